//! Snapshots of processors' states: `<processor>.snapshots`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use smol_str::SmolStr;

/// A part of a snapshot of a processor's state: one block of its image, or the manifest that completes it. Record key:
/// the snapshot's place (its number modulo 3) and the block's, so that compaction keeps the newest three.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// Number of the snapshot in its partition, from 1. One that was not finished may have the number of a later one.
    pub snapshot: i64,
    /// Place of the block in the image, from 0; of the manifest: how many blocks there are.
    pub block: i32,
    /// The block, in the format that the manifest names; empty in the manifest.
    pub image: ByteBuf,
    /// XXH3 (64 bits) of `image`, with the checksum of the block before as its seed (0 for the first). Of the manifest:
    /// that of the record's Avro body with the last block's checksum in this place.
    pub checksum: i64,
    /// Set in the last record of a snapshot only.
    pub manifest: Option<SnapshotManifest>,
}

/// What a snapshot is: without it its blocks count for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotManifest {
    /// Version of the image's format.
    pub format: i32,
    /// Version of the software that wrote it.
    pub version: SmolStr,
    /// Bytes of all blocks together.
    pub image_bytes: i64,
    /// Offset in this topic at or before the first block.
    pub first_offset: i64,
    /// Offset in the journal at or before the first entry that the state does not include. Entries whose runs end at or
    /// below `positions` are included.
    pub journal_offset: i64,
    /// How far the state has taken its inputs.
    pub positions: Vec<SnapshotPosition>,
    /// How many records were written since the partition's first transaction.
    pub outputs: i64,
    /// Running XXH3 hash (64 bits) over topic, key and Avro body of all outputs since the partition's first transaction.
    pub output_hash: i64,
}

/// How far the state has taken an input partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPosition {
    /// Input topic.
    pub topic: SmolStr,
    /// Partition of the input topic.
    pub partition: i32,
    /// Offset after the last record taken.
    pub next_offset: i64,
}
