//! What a transaction will write, kept back until its commit.
//!
//! librdkafka has one request of a partition on its way, and while another is due its thread asks without a pause whether
//! it may go: where the broker is slow, the threads of all lanes take the processor from the very broker that they wait for.
//! Handed over at once, what a transaction writes to a partition is one request in nearly all cases.

use crate::port::{OutView, PortError};
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

    /// Gives all of it to `write`, in the order in which it came, and is empty then.
    ///
    /// # Errors
    /// See [`PortError`]; the transaction is lost, and what is left here with it.
    pub(crate) fn send(
        &mut self,
        mut write: impl FnMut(OutView<'_>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let mut rest = self.bytes.as_slice();
        for Kept { topic, partition, key_bytes, payload_bytes } in &self.records {
            let (key, behind_key) = rest.split_at(*key_bytes);
            let (payload, behind) = behind_key.split_at(*payload_bytes);
            let (key, payload) = (Some(key), Some(payload));
            write(OutView { topic, partition: *partition, key, payload, headers: &[] })?;
            rest = behind;
        }
        self.records.clear();
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written = (String, Option<i32>, Vec<u8>, Vec<u8>);

    fn sent(outbox: &mut Outbox) -> Vec<Written> {
        let mut written = Vec::new();
        let all = outbox.send(|OutView { topic, partition, key, payload, headers }| {
            assert!(headers.is_empty());
            let bytes = |part: Option<&[u8]>| part.expect("it was given").to_vec();
            written.push((topic.to_owned(), partition, bytes(key), bytes(payload)));
            Ok(())
        });
        all.expect("nothing fails here");
        written
    }

    #[test]
    fn gives_what_it_took_in_its_order_and_serves_the_next_transaction() {
        let mut outbox = Outbox::default();
        assert!(sent(&mut outbox).is_empty());
        for transaction in 0..3_u8 {
            let written: Vec<Written> = vec![
                ("executed".into(), None, vec![b'k', transaction], vec![1, transaction]),
                ("settled".into(), Some(3), Vec::new(), vec![transaction; 300]),
                ("executed".into(), None, vec![b'k', transaction], Vec::new()),
            ];
            for (topic, partition, key, payload) in &written {
                outbox.push(topic, *partition, key, payload);
            }
            assert_eq!(sent(&mut outbox), written);
        }
    }

    #[test]
    fn stops_at_the_first_failure() {
        let mut outbox = Outbox::default();
        (0..3_u8).for_each(|number| outbox.push("settled", None, b"k", &[number]));
        let mut asked = 0;
        let failed = outbox.send(|out| {
            asked += 1;
            if out.payload == Some(&[1]) { Err(PortError::Fenced("another one".into())) } else { Ok(()) }
        });
        assert_eq!((failed, asked), (Err(PortError::Fenced("another one".into())), 2));
    }
}
