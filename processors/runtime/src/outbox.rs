//! What a transaction will write, kept back until its commit.
//!
//! librdkafka has one request of a partition on its way, and while another is due its thread asks without a pause whether
//! it may go: where the broker is slow, the threads of all lanes take the processor from the very broker that they wait for.
//! Handed over at once, what a transaction writes to a partition is one request in nearly all cases.

use crate::port::{OutView, Port, PortError};
use smol_str::SmolStr;

/// Records in the order in which they are to be written, without headers.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Keys and values, one behind the other. Used again by the next transaction.
    bytes: Vec<u8>,
    records: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    topic: SmolStr,
    partition: Option<i32>,
    key_bytes: usize,
    payload_bytes: usize,
}

impl Outbox {
    /// Keeps a record; its partition is found by its key if `partition` is `None`.
    pub(crate) fn push(&mut self, topic: &str, partition: Option<i32>, key: &[u8], payload: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
        self.records.push(Kept { topic: topic.into(), partition, key_bytes: key.len(), payload_bytes: payload.len() });
    }

    /// Writes all of it within the open transaction, and is empty then.
    ///
    /// # Errors
    /// See [`PortError`]; the transaction is lost, and what is left here with it.
    pub(crate) fn send(&mut self, port: &mut impl Port) -> Result<(), PortError> {
        let mut rest = self.bytes.as_slice();
        for Kept { topic, partition, key_bytes, payload_bytes } in &self.records {
            let (key, behind_key) = rest.split_at(*key_bytes);
            let (payload, behind) = behind_key.split_at(*payload_bytes);
            let (key, payload) = (Some(key), Some(payload));
            port.send(OutView { topic, partition: *partition, key, payload, headers: &[] })?;
            rest = behind;
        }
        self.records.clear();
        self.bytes.clear();
        Ok(())
    }
}
