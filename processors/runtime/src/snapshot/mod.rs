//! Snapshots: the state of a task, written to a topic now and then, so that a restart replays only what came since.
//!
//! A snapshot is the image ([`tapeline_domain::image`]) of the state between two transactions, and a manifest that says
//! which: positions of the inputs, place in the journal, hash of the outputs. Its blocks travel in the lane's own
//! transactions, one after some records and one at the end of each, so that no record waits for more than a block, and so that
//! a fenced process can't add one. The manifest is the last record: what has none was never finished.
//!
//! What is absent: wall clocks. A snapshot is due by records taken and by the records' own times.

mod read;

pub use read::manifests;
pub(crate) use read::newest;

use crate::journal::{OutputHash, VERSION};
use crate::lane::{Lane, LaneError, LaneSpec};
use crate::port::{InputPartition, OutView, Port};
use crate::processor::{Coding, Processor};
use crate::task::Task;
use serde_bytes::ByteBuf;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::time::Instant;
use tapeline_domain::image::{FORMAT, Image};
use tapeline_schemas::codec::{Encoder, HEADER_BYTES};
use tapeline_schemas::wire::{SnapshotManifest, SnapshotPart, SnapshotPosition};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Snapshots that compaction keeps: the newest, the one before to fall back to, and the one at work.
const PLACES: i64 = 3;
/// A lane that works writes a block after so many records, and at the end of each transaction: a block costs about as much
/// as twenty records.
pub(crate) const RECORDS_PER_BLOCK: usize = 32;
/// Blocks in a transaction of a lane that takes no more records: whoever is to go on waits for each commit.
const BLOCKS_AT_STOP: usize = 256;

/// Where a lane's snapshots go, and when they are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSpec {
    /// Topic.
    pub topic: String,
    /// Blocks are closed at this size. The largest record is a little larger, and must fit the broker's limit.
    pub block_bytes: usize,
    /// No snapshot before so many records have been taken since the last one began,
    pub min_records: u64,
    /// and one after so many, however large the state is. In between: half as many as the state has entities, so that
    /// the work of writing stays in proportion to that of processing.
    pub max_records: u64,
    /// One also if so much time lies between the records, milliseconds.
    pub max_age_ms: i64,
}

impl SnapshotSpec {
    /// Snapshots in `topic` at the pace that `ARCHITECTURE.md` gives the figures for.
    pub fn in_topic(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            block_bytes: 32 << 10,
            min_records: 20_000,
            max_records: 100_000,
            max_age_ms: 5 * 60 * 1_000,
        }
    }
}

/// What a task knows of its snapshots.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// Number of the newest complete one; 0 before the first.
    pub(crate) number: i64,
    /// Positions of the newest complete one; of the one before, which the log must still be able to continue.
    pub(crate) newest: Vec<SnapshotPosition>,
    /// Where the topic of snapshots and the journal ended at the restore.
    pub(crate) end: i64,
    pub(crate) journal_end: i64,
    /// Records taken since the image of the newest one, or the one at work, began.
    records: u64,
    /// Time of the first of these and of the last record taken.
    since_ms: Option<i64>,
    now_ms: i64,
    at_work: Option<AtWork>,
}

/// A snapshot that is being written.
#[derive(Debug)]
struct AtWork {
    block: i32,
    checksum: u64,
    manifest: SnapshotManifest,
}

impl Snapshots {
    /// Counts a record.
    pub(crate) fn took(&mut self, timestamp_ms: i64) {
        self.records += 1;
        self.now_ms = timestamp_ms;
        self.since_ms.get_or_insert(timestamp_ms);
    }

    /// Records taken since the image of the newest one, or the one at work, began.
    pub(crate) const fn records(&self) -> u64 {
        self.records
    }

    fn is_due(&self, spec: &SnapshotSpec, entities: usize) -> bool {
        let half = (entities as u64 / 2).clamp(spec.min_records, spec.max_records);
        let age_ms = self.since_ms.map_or(0, |since_ms| self.now_ms - since_ms);
        self.records > 0 && (self.records >= half || age_ms >= spec.max_age_ms)
    }
}

impl AtWork {
    /// The next block as a record's value.
    fn block(&mut self, number: i64, image: Vec<u8>) -> SnapshotPart {
        self.checksum = xxh3_64_with_seed(&image, self.checksum);
        self.manifest.image_bytes += image.len() as i64;
        let part = SnapshotPart {
            snapshot: number,
            block: self.block,
            image: ByteBuf::from(image),
            checksum: self.checksum as i64,
            manifest: None,
        };
        self.block += 1;
        part
    }

    /// The end.
    fn finish(self, number: i64, encoder: &Encoder<SnapshotPart>) -> SnapshotPart {
        seal(number, self.block, self.checksum, self.manifest, encoder)
    }
}

/// The last part of a snapshot: its checksum covers the manifest too, by the Avro body with `checksum`, that of the blocks,
/// in its place.
fn seal(
    number: i64,
    blocks: i32,
    checksum: u64,
    manifest: SnapshotManifest,
    encoder: &Encoder<SnapshotPart>,
) -> SnapshotPart {
    let mut part = SnapshotPart {
        snapshot: number,
        block: blocks,
        image: ByteBuf::new(),
        checksum: checksum as i64,
        manifest: Some(manifest),
    };
    let mut payload = Vec::new();
    encoder.encode(&part, &mut payload);
    part.checksum = xxh3_64(payload.get(HEADER_BYTES..).unwrap_or_default()) as i64;
    part
}

/// Key of a part: parts of a later snapshot in the same place replace those of this one.
fn key(part: &SnapshotPart) -> Vec<u8> {
    let place = part.snapshot % PLACES;
    if part.manifest.is_some() { format!("{place}/end") } else { format!("{place}/{}", part.block) }.into_bytes()
}

fn positions(next: &BTreeMap<InputPartition, i64>, spec: &LaneSpec) -> Vec<SnapshotPosition> {
    let position = |((input, partition), next_offset): (&InputPartition, &i64)| SnapshotPosition {
        topic: SmolStr::new(&spec.inputs[*input].topic),
        partition: *partition,
        next_offset: *next_offset,
    };
    next.iter().map(position).collect()
}

impl<P: Processor, C: Coding<P>, Q: Port> Lane<P, C, Q> {
    /// Whether a snapshot is being written.
    pub(crate) fn has_snapshot_at_work(&self) -> bool {
        self.tasks.values().any(|task| task.snapshots.at_work.is_some())
    }

    /// Adds the next block of each snapshot at work to the open transaction, and names the tasks that they are of.
    pub(crate) fn send_blocks(&mut self) -> Result<Vec<i32>, LaneError> {
        let Some(spec) = &self.spec.snapshots else { return Ok(Vec::new()) };
        let most = if self.is_stopping { BLOCKS_AT_STOP } else { 1 };
        let mut of_tasks = Vec::new();
        for task in self.tasks.values_mut() {
            let started_at = Instant::now();
            for _ in 0..most {
                let Some(mut at_work) = task.snapshots.at_work.take() else { break };
                let number = task.snapshots.number + 1;
                let part = match task.state.next_block() {
                    Some(image) => {
                        let part = at_work.block(number, image);
                        task.snapshots.at_work = Some(at_work);
                        part
                    }
                    None => {
                        task.snapshots.number = number;
                        task.snapshots.newest.clone_from(&at_work.manifest.positions);
                        self.metrics.snapshot_finished(task.partition, at_work.manifest.image_bytes);
                        at_work.finish(number, &self.records.parts)
                    }
                };
                let mut payload = Vec::with_capacity(part.image.len() + 64);
                self.records.parts.encode(&part, &mut payload);
                self.port.send(OutView::without_headers(&spec.topic, Some(task.partition), &key(&part), &payload))?;
                of_tasks.push(task.partition);
            }
            if of_tasks.last() == Some(&task.partition) {
                self.metrics.snapshot_pause(started_at.elapsed());
            }
        }
        of_tasks.dedup();
        Ok(of_tasks)
    }

    /// Begins the snapshot that is due most, if none is at work; all that its task has taken must be committed. One after the
    /// other, each is complete after fewer records: a restart replays what came since the newest complete one began.
    pub(crate) fn begin_due_snapshot(&mut self) -> Result<(), LaneError> {
        let Some(spec) = self.spec.snapshots.clone() else { return Ok(()) };
        if self.has_snapshot_at_work() {
            return Ok(());
        }
        let is_due = |task: &&Task<P>| task.snapshots.is_due(&spec, task.state.entities());
        let due = self.tasks.values().filter(is_due).max_by_key(|task| task.snapshots.records);
        due.map(|task| task.partition).map_or(Ok(()), |partition| self.begin_snapshot(&spec, partition))
    }

    fn begin_snapshot(&mut self, spec: &SnapshotSpec, partition: i32) -> Result<(), LaneError> {
        let started_at = Instant::now();
        let Some(task) = self.tasks.get_mut(&partition) else { return Ok(()) };
        let first_offset = self.port.written(&spec.topic, partition).unwrap_or(task.snapshots.end);
        let journal_offset = match &self.spec.journal {
            Some(journal) => self.port.written(journal, partition).unwrap_or(task.snapshots.journal_end),
            None => 0,
        };
        self.metrics.set_margins(partition, &margins(&self.spec, &self.port.starts(), &task.snapshots.newest));
        task.state.begin_image(spec.block_bytes);
        let OutputHash { outputs, hash } = task.hash;
        let manifest = SnapshotManifest {
            format: FORMAT,
            version: SmolStr::new_static(VERSION),
            image_bytes: 0,
            first_offset,
            journal_offset,
            positions: positions(&task.next, &self.spec),
            outputs: outputs as i64,
            output_hash: hash as i64,
        };
        task.snapshots.at_work = Some(AtWork { block: 0, checksum: 0, manifest });
        (task.snapshots.records, task.snapshots.since_ms) = (0, None);
        self.metrics.snapshot_pause(started_at.elapsed());
        Ok(())
    }

    /// For a clean stop: a snapshot of each task at its last offset, so that the next life starts without a replay.
    pub(crate) fn snapshot_at_stop(&mut self) -> Result<(), LaneError> {
        let Some(spec) = self.spec.snapshots.clone() else { return Ok(()) };
        self.is_stopping = true;
        let changed: Vec<i32> =
            self.tasks.values().filter(|task| task.snapshots.records > 0).map(|task| task.partition).collect();
        changed.into_iter().try_for_each(|partition| self.begin_snapshot(&spec, partition))?;
        while self.has_snapshot_at_work() {
            self.process(&[])?;
        }
        Ok(())
    }
}

/// For each partitioned input: how many records before the position of the newest snapshot the log still has. The snapshot
/// is of no use once one of these is negative. (Broadcast inputs are compacted; `tapeline check --live` looks at them too.)
fn margins(spec: &LaneSpec, starts: &[(InputPartition, i64)], newest: &[SnapshotPosition]) -> Vec<(SmolStr, i64)> {
    let margin = |position: &SnapshotPosition| {
        let is_of = |((input, partition), _): &&(InputPartition, i64)| {
            position.topic == spec.inputs[*input].topic && position.partition == *partition
        };
        let (_, start) = starts.iter().find(is_of)?;
        Some((position.topic.clone(), position.next_offset - start))
    };
    newest.iter().filter_map(margin).collect()
}
