//! What a transaction will write, kept back until its commit.
//!
//! librdkafka has one request of a partition on its way, and while another is due its thread asks without a pause whether
//! it may go: on a busy broker the threads of all lanes then take the processor from the very broker that they wait for
//! (seen: a hundred threads in the run queue of two cores, no commit for six seconds). Handed over at once, what a
//! transaction writes to a partition is one request in nearly all cases.

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
    key_begins: usize,
    payload_begins: usize,
}

impl Outbox {
    /// Keeps a record; its partition is found by its key if `partition` is `None`.
    pub(crate) fn push(&mut self, topic: &str, partition: Option<i32>, key: &[u8], payload: &[u8]) {
        let key_begins = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let payload_begins = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.records.push(Kept { topic: topic.into(), partition, key_begins, payload_begins });
    }

    /// Writes all of it within the open transaction, and is empty then.
    ///
    /// # Errors
    /// See [`PortError`]; the transaction is lost, and what is left here with it.
    pub(crate) fn send(&mut self, port: &mut impl Port) -> Result<(), PortError> {
        let ends = self.records.iter().skip(1).map(|next| next.key_begins).chain([self.bytes.len()]);
        for (Kept { topic, partition, key_begins, payload_begins }, end) in self.records.iter().zip(ends) {
            let (key, payload) = (&self.bytes[*key_begins..*payload_begins], &self.bytes[*payload_begins..end]);
            let (key, payload) = (Some(key), Some(payload));
            port.send(OutView { topic, partition: *partition, key, payload, headers: &[] })?;
        }
        self.records.clear();
        self.bytes.clear();
        Ok(())
    }
}
