//! Who a member is in its consumer group now, for the transactions that commit offsets in its name.
//!
//! rdkafka hands these over to librdkafka's own transactions only, and shows them to nobody.

use rdkafka::bindings::{
    rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy,
    rd_kafka_consumer_group_metadata_generation_id, rd_kafka_consumer_group_metadata_member_id,
};
use rdkafka::client::{Client, ClientContext};
use std::ffi::CStr;

/// A member, as its group's coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) member_id: String,
    /// Epoch of the assignment that it has (KIP-848); negative if it is in no group.
    pub(crate) epoch: i32,
}

/// Who the consumer `client` is now; `None` if it has no group.
#[allow(unsafe_code, reason = "rdkafka has no safe call for it")]
pub(crate) fn membership<C: ClientContext>(client: &Client<C>) -> Option<Membership> {
    // SAFETY: the handle is valid for as long as `client` is borrowed. What the first call gives is ours, or null, which is
    // looked at; the strings that the others give are its own, end with a zero byte and are copied before it is destroyed.
    unsafe {
        let metadata = rd_kafka_consumer_group_metadata(client.native_ptr());
        if metadata.is_null() {
            return None;
        }
        let member_id = rd_kafka_consumer_group_metadata_member_id(metadata);
        let member_id = (!member_id.is_null()).then(|| CStr::from_ptr(member_id).to_string_lossy().into_owned());
        let epoch = rd_kafka_consumer_group_metadata_generation_id(metadata);
        rd_kafka_consumer_group_metadata_destroy(metadata);
        Some(Membership { member_id: member_id?, epoch })
    }
}
