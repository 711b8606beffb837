//! Finds and reads the newest usable snapshot. One that is damaged or of an unknown format is passed over for the one
//! before it, and the log says so; without any, a restart replays from the beginning.

use crate::journal::OutputHash;
use crate::lane::{Lane, LaneError};
use crate::port::{Bounds, Port, PortError};
use crate::processor::{Coding, Processor};
use crate::snapshot::seal;
use crate::task::Task;
use tapeline_domain::image::{FORMAT, Image};
use tapeline_schemas::codec::Decoder;
use tapeline_schemas::wire::{SnapshotManifest, SnapshotPart};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many offsets before the end manifests are first looked for; each further look goes this many times further back.
const LOOK_BACK: i64 = 8;

/// A manifest and the record that it stood in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Offset of the record in the snapshots' topic.
    pub offset: i64,
    /// Append time of the record, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Number of the snapshot.
    pub number: i64,
    /// How many blocks it has.
    pub blocks: i32,
    /// Checksum of all of them and of the manifest.
    pub checksum: i64,
    /// What it is.
    pub manifest: SnapshotManifest,
}

/// Why a snapshot can't be used.
enum Unusable {
    Damaged(String),
    Lane(LaneError),
}

impl From<PortError> for Unusable {
    fn from(error: PortError) -> Self {
        Self::Lane(error.into())
    }
}

fn damaged<T>(why: impl Into<String>) -> Result<T, Unusable> {
    Err(Unusable::Damaged(why.into()))
}

/// The newest `count` manifests of a partition within `bounds`, newest first.
///
/// # Errors
/// See [`PortError`].
pub fn manifests<Q: Port>(
    port: &Q,
    decoder: &mut Decoder<SnapshotPart>,
    topic: &str,
    partition: i32,
    bounds: Bounds,
    count: usize,
) -> Result<Vec<Found>, PortError> {
    let Bounds { start, end: below } = bounds;
    let mut back = LOOK_BACK;
    loop {
        let from = (below - back).max(start);
        let mut found = Vec::new();
        let mut reader = port.reader(topic, partition, from)?;
        while let Some(record) = reader.next()?.filter(|record| record.offset < below) {
            let part = match decoder.decode(record.payload.as_deref()) {
                Ok(part) => part,
                // It is no manifest, so its snapshot is not complete.
                Err(error) if error.is_poison() => continue,
                Err(error) => return Err(PortError::Away(error.to_string())),
            };
            let SnapshotPart { snapshot: number, block: blocks, checksum, manifest: Some(manifest), .. } = part else {
                continue;
            };
            let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
            found.push(Found { offset, timestamp_ms, number, blocks, checksum, manifest });
        }
        if found.len() >= count || from <= start {
            found.reverse();
            found.truncate(count);
            return Ok(found);
        }
        back *= LOOK_BACK;
    }
}

/// The task as the newest usable snapshot has it, and the offset in the journal from which it goes on; a new task and 0
/// if there is none.
pub(crate) fn newest<P: Processor, C: Coding<P>, Q: Port>(
    lane: &mut Lane<P, C, Q>,
    partition: i32,
    partitions: i32,
) -> Result<(Task<P>, i64), LaneError> {
    let new = |lane: &Lane<P, C, Q>| Task::new(&lane.processor, partition, partitions);
    let Some(topic) = lane.spec.snapshots.as_ref().map(|spec| spec.topic.clone()) else { return Ok((new(lane), 0)) };
    let mut bounds = lane.port.bounds(&topic, partition)?;
    let end = bounds.end;
    loop {
        let found = manifests(&lane.port, &mut lane.records.read_parts, &topic, partition, bounds, 1)?.pop();
        let mut task = new(lane);
        task.snapshots.end = end;
        let Some(found) = found else { return Ok((task, 0)) };
        match read(lane, &topic, &found, &mut task) {
            Ok(()) => return Ok((task, found.manifest.journal_offset)),
            Err(Unusable::Lane(error)) => return Err(error),
            Err(Unusable::Damaged(why)) => {
                lane.metrics.snapshot_damaged();
                tracing::warn!(
                    component = %lane.spec.component,
                    %topic,
                    partition,
                    offset = found.offset,
                    snapshot = found.number,
                    version = %found.manifest.version,
                    why,
                    "a snapshot can't be used; falling back to the one before"
                );
                bounds.end = found.offset;
            }
        }
    }
}

fn read<P: Processor, C: Coding<P>, Q: Port>(
    lane: &mut Lane<P, C, Q>,
    topic: &str,
    found: &Found,
    task: &mut Task<P>,
) -> Result<(), Unusable> {
    let manifest = &found.manifest;
    if manifest.format != FORMAT {
        return damaged(format!("its format is {}, this version reads {FORMAT}", manifest.format));
    }
    let blocks = read_blocks(lane, topic, found, task.partition)?;
    task.state.read_image(&blocks).map_err(|error| Unusable::Damaged(error.0))?;
    for position in &manifest.positions {
        let input = lane.spec.inputs.iter().position(|input| position.topic == input.topic);
        let Some(input) = input else {
            return Err(Unusable::Lane(LaneError::Fatal(format!(
                "a snapshot of {} has taken the input {}, which topology.toml does not list: list it again",
                lane.spec.component, position.topic
            ))));
        };
        task.next.insert((input, position.partition), position.next_offset);
    }
    task.hash = OutputHash { outputs: manifest.outputs as u64, hash: manifest.output_hash as u64 };
    task.snapshots.number = found.number;
    task.snapshots.newest.clone_from(&manifest.positions);
    Ok(())
}

fn read_blocks<P: Processor, C: Coding<P>, Q: Port>(
    lane: &mut Lane<P, C, Q>,
    topic: &str,
    found: &Found,
    partition: i32,
) -> Result<Vec<Vec<u8>>, Unusable> {
    let mut blocks = Vec::new();
    let mut checksum = 0;
    let mut reader = lane.port.reader(topic, partition, found.manifest.first_offset)?;
    while let Some(record) = reader.next()?.filter(|record| record.offset < found.offset) {
        let part = match lane.records.read_parts.decode(record.payload.as_deref()) {
            Ok(part) => part,
            Err(error) if error.is_poison() => return damaged(format!("offset {}: {error}", record.offset)),
            Err(error) => return Err(Unusable::Lane(LaneError::Away(error.to_string()))),
        };
        if part.snapshot != found.number || part.manifest.is_some() {
            continue;
        }
        checksum = xxh3_64_with_seed(&part.image, checksum);
        if (part.block, part.checksum) != (blocks.len() as i32, checksum as i64) {
            return damaged(format!("offset {}: it is not block {} as it was written", record.offset, blocks.len()));
        }
        blocks.push(part.image.into_vec());
    }
    if blocks.len() as i32 != found.blocks {
        return damaged(format!("{} blocks are there, of {}", blocks.len(), found.blocks));
    }
    let sealed = seal(found.number, found.blocks, checksum, found.manifest.clone(), &lane.records.parts);
    if sealed.checksum == found.checksum { Ok(blocks) } else { damaged("its manifest is not as it was written") }
}
