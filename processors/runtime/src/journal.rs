//! The journal: one record in each transaction that says how much of which input was taken, in what order, and a
//! running hash of the outputs. A restart replays the inputs by it and compares the hash.

use smol_str::SmolStr;
use tapeline_schemas::codec::HEADER_BYTES;
use tapeline_schemas::wire::{JournalEntry, Run};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Software version written into journal records.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Counts and hashes what a task has written since its partition's first transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputHash {
    /// Number of records.
    pub outputs: u64,
    /// XXH3 over topic, key and Avro body of each, chained.
    pub hash: u64,
}

impl OutputHash {
    /// Adds a record. The schema id is left out, so that a rebuilt registry changes nothing.
    pub fn add(&mut self, topic: &str, key: &[u8], payload: &[u8]) {
        let body = payload.get(HEADER_BYTES..).unwrap_or_default();
        self.outputs += 1;
        self.hash = xxh3_64_with_seed(topic.as_bytes(), self.hash);
        self.hash = xxh3_64_with_seed(key, self.hash);
        self.hash = xxh3_64_with_seed(body, self.hash);
    }
}

/// The runs of the transaction at hand.
#[derive(Debug, Default)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Notes that a record was taken.
    pub fn take(&mut self, topic: &str, partition: i32, offset: i64) {
        match self.0.last_mut() {
            Some(run) if run.partition == partition && run.topic == topic => {
                run.count += 1;
                run.next_offset = offset + 1;
            }
            _ => self.0.push(Run { topic: SmolStr::new(topic), partition, count: 1, next_offset: offset + 1 }),
        }
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The journal record for these runs; they are empty afterwards.
    pub fn entry(&mut self, hash: OutputHash) -> JournalEntry {
        JournalEntry {
            runs: std::mem::take(&mut self.0),
            outputs: hash.outputs as i64,
            output_hash: hash.hash as i64,
            version: SmolStr::new_static(VERSION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_records_of_one_partition_make_one_run() {
        let mut runs = Runs::default();
        for (topic, offset) in [("orders", 5), ("orders", 8), ("trades.settled", 2), ("orders", 9)] {
            runs.take(topic, 0, offset);
        }
        let entry = runs.entry(OutputHash::default());
        let taken: Vec<_> = entry.runs.iter().map(|run| (run.topic.as_str(), run.count, run.next_offset)).collect();
        assert_eq!(taken, [("orders", 2, 9), ("trades.settled", 1, 3), ("orders", 1, 10)]);
        assert!(runs.is_empty());
    }

    #[test]
    fn the_hash_depends_on_order_and_not_on_the_schema_id() {
        let hash = |records: &[(&str, &[u8])]| {
            let mut hash = OutputHash::default();
            records.iter().for_each(|(key, payload)| hash.add("t", key.as_bytes(), payload));
            hash
        };
        let a = ("a", [0, 0, 0, 0, 1, 9].as_slice());
        let b = ("b", [0, 0, 0, 0, 1, 8].as_slice());
        assert_ne!(hash(&[a, b]), hash(&[b, a]));
        assert_eq!(hash(&[a]), hash(&[("a", &[0, 0, 0, 0, 7, 9])]));
    }
}
