//! A task: the state of one partition, what it has taken, and the hash of what it has written. Live processing and
//! replay go through the same function, so that a replay can't differ by its path.

use crate::journal::{OutputHash, Runs};
use crate::lane::{LaneError, LaneSpec};
use crate::port::{InputPartition, PortError, Record};
use crate::processor::{Coding, Draft, Label, Position, Processor, Undecodable, Verdict};
use crate::snapshot::Snapshots;
use std::collections::BTreeMap;

/// What one record led to, apart from the outputs themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Ignored(&'static str),
    Poison { code: &'static str, text: String },
}

pub(crate) struct Task<P: Processor> {
    pub(crate) partition: i32,
    pub(crate) partitions: i32,
    pub(crate) state: P::State,
    pub(crate) next: BTreeMap<InputPartition, i64>,
    pub(crate) hash: OutputHash,
    pub(crate) runs: Runs,
    pub(crate) snapshots: Snapshots,
    effects: Vec<P::Out>,
    draft: Draft,
}

impl<P: Processor> Task<P> {
    pub(crate) fn new(processor: &P, partition: i32, partitions: i32) -> Self {
        Self {
            partition,
            partitions,
            state: processor.new_state(partition),
            next: BTreeMap::new(),
            hash: OutputHash::default(),
            runs: Runs::default(),
            snapshots: Snapshots::default(),
            effects: Vec::new(),
            draft: Draft::default(),
        }
    }

    /// Where this task stands in an input partition; 0 before its first record.
    pub(crate) fn position(&self, at: InputPartition) -> i64 {
        self.next.get(&at).copied().unwrap_or(0)
    }

    /// Whether `record` was taken before (a redelivery after a restart).
    pub(crate) fn has_taken(&self, record: &Record) -> bool {
        record.offset < self.position((record.input, record.partition))
    }

    /// Moves the position past a record.
    pub(crate) fn pass(&mut self, spec: &LaneSpec, record: &Record) {
        self.next.insert((record.input, record.partition), record.offset + 1);
        self.snapshots.took(record.timestamp_ms);
        self.runs.take(&spec.inputs[record.input].topic, record.partition, record.offset);
    }

    /// Takes a record: moves the position, applies it, and gives each effect to `write` as the record that it becomes.
    pub(crate) fn take<C: Coding<P>>(
        &mut self,
        processor: &P,
        coding: &mut C,
        spec: &LaneSpec,
        record: &Record,
        mut write: impl FnMut(&Draft, Label) -> Result<(), PortError>,
    ) -> Result<Outcome, LaneError> {
        let event = match coding.decode(record.input, record.key.as_deref(), record.payload.as_deref()) {
            Err(Undecodable::Away(why)) => return Err(LaneError::Away(why)),
            Err(Undecodable::Poison { code, text }) => Err(Outcome::Poison { code, text }),
            Ok(event) => Ok(event),
        };
        self.pass(spec, record);
        let event = match event {
            Ok(event) => event,
            Err(poison) => return Ok(poison),
        };
        let at = Position {
            input: record.input,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            partitions: self.partitions,
        };
        self.effects.clear();
        let outcome = match processor.apply(&mut self.state, &at, event, &mut self.effects) {
            Verdict::Done => Outcome::Done,
            Verdict::Ignored(why) => Outcome::Ignored(why),
            Verdict::Poison(text) => return Ok(Outcome::Poison { code: crate::dead_letter::IMPOSSIBLE, text }),
        };
        for effect in &self.effects {
            self.draft.clear();
            coding.encode(effect, &mut self.draft);
            let Draft { topic, key, payload } = &self.draft;
            self.hash.add(topic, key, payload);
            write(&self.draft, C::label(effect))?;
        }
        Ok(outcome)
    }
}
