//! Snapshots of processors' states: `<processor>.snapshots`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::wire_record;
use serde_bytes::ByteBuf;
use smol_str::SmolStr;

wire_record! {
    /// A part of a snapshot of a processor's state: one block of its image, or the manifest that completes it. Record key:
    /// the snapshot's place (its number modulo 3) and the block's, so that compaction keeps the newest three.
    SnapshotPart {
        /// Number of the snapshot in its partition, from 1. One that was not finished may have the number of a later one.
        snapshot: i64,
        /// Place of the block in the image, from 0; of the manifest: how many blocks there are.
        block: i32,
        /// The block, in the format that the manifest names; empty in the manifest.
        image: ByteBuf,
        /// XXH3 (64 bits) of `image`, with the checksum of the block before as its seed (0 for the first). Of the manifest:
        /// that of the record's Avro body with the last block's checksum in this place.
        checksum: i64,
        /// Set in the last record of a snapshot only.
        manifest: Option<SnapshotManifest>,
    }
}

wire_record! {
    /// What a snapshot is: without it its blocks count for nothing.
    SnapshotManifest {
        /// Version of the image's format.
        format: i32,
        /// Version of the software that wrote it.
        version: SmolStr,
        /// Bytes of all blocks together.
        image_bytes: i64,
        /// Offset in this topic at or before the first block.
        first_offset: i64,
        /// Offset in the journal at or before the first entry that the state does not include. Entries whose runs end at or
        /// below `positions` are included.
        journal_offset: i64,
        /// How far the state has taken its inputs.
        positions: Vec<SnapshotPosition>,
        /// How many records were written since the partition's first transaction.
        outputs: i64,
        /// Running XXH3 hash (64 bits) over topic, key and Avro body of all outputs since the partition's first transaction.
        output_hash: i64,
    }
}

wire_record! {
    /// How far the state has taken an input partition.
    SnapshotPosition {
        /// Input topic.
        topic: SmolStr,
        /// Partition of the input topic.
        partition: i32,
        /// Offset after the last record taken.
        next_offset: i64,
    }
}
