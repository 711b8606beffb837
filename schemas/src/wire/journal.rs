//! The journal of processors: `<processor>.journal`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Consecutive records of one input partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Input topic.
    pub topic: SmolStr,
    /// Partition of the input topic.
    pub partition: i32,
    /// How many records were taken, ignored and poisoned ones included.
    pub count: i64,
    /// Offset after the last of them.
    pub next_offset: i64,
}

/// Written in each transaction of a processor with the outputs: how much of which input was taken, in what order.
/// A restart replays its inputs by it. Record key: the partition's number as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Runs in the order in which they were taken.
    pub runs: Vec<Run>,
    /// How many records were written since the partition's first transaction.
    pub outputs: i64,
    /// Running XXH3 hash (64 bits) over topic, key and Avro body of all outputs since the partition's first
    /// transaction.
    pub output_hash: i64,
    /// Version of the software that wrote it.
    pub version: SmolStr,
}
