//! The journal of processors: `<processor>.journal`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::wire_record;
use smol_str::SmolStr;

wire_record! {
    /// Consecutive records of one input partition.
    Run {
        /// Input topic.
        topic: SmolStr,
        /// Partition of the input topic.
        partition: i32,
        /// How many records were taken, ignored and poisoned ones included.
        count: i64,
        /// Offset after the last of them.
        next_offset: i64,
    }
}

wire_record! {
    /// Written in each transaction of a processor with the outputs: how much of which input was taken, in what order.
    /// A restart replays its inputs by it. Record key: the partition's number as text.
    JournalEntry {
        /// Runs in the order in which they were taken.
        runs: Vec<Run>,
        /// How many records were written since the partition's first transaction.
        outputs: i64,
        /// Running XXH3 hash (64 bits) over topic, key and Avro body of all outputs since the partition's first
        /// transaction.
        output_hash: i64,
        /// Version of the software that wrote it.
        version: SmolStr,
    }
}
