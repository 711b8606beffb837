//! Rebuilds a task from the log alone: reads its newest snapshot, replays what its inputs brought since in the order that
//! the journal tells, outputs suppressed, and checks the running hash after each entry. A difference stops the process;
//! it never goes on with a doubtful state.

use crate::dead_letter::Entry;
use crate::journal::VERSION;
use crate::lane::{Lane, LaneError, LaneSpec};
use crate::port::{Bounds, InputPartition, Port, Reader, Record};
use crate::processor::{Coding, Processor};
use crate::snapshot;
use crate::task::Task;
use std::collections::{BTreeMap, BTreeSet};
use tapeline_schemas::wire::JournalEntry;

/// The task of `partition` as the journal left it.
pub(crate) fn restore<P: Processor, C: Coding<P>, Q: Port>(
    lane: &mut Lane<P, C, Q>,
    partition: i32,
) -> Result<Task<P>, LaneError> {
    lane.metrics.restoring(partition, 0.0);
    let partitions = match lane.spec.inputs.iter().find(|input| !input.broadcast) {
        Some(input) => lane.port.partitions(&input.topic)?,
        None => 1,
    };
    // Each partition gets its marker by itself. A former owner's last transaction may show in the group's offsets and not
    // in the journal yet; what it took of a broadcast input, which has no offsets in the group, would be taken twice.
    if let Some(journal) = lane.spec.journal.clone() {
        lane.port.wait_stable(&journal, partition)?;
    }
    let committed = committed(lane, partition)?;
    let (mut task, journal_offset) = snapshot::newest(lane, partition, partitions)?;
    if let Some(journal) = lane.spec.journal.clone() {
        task.snapshots.journal_end = check_beginning(lane, &journal, partition, journal_offset)?;
        let mut replayed = 0;
        lane.metrics.replayed(partition, replayed);
        let progress = Progress::begin(&task, &committed);
        let mut entries = lane.port.reader(&journal, partition, journal_offset)?;
        let mut dead = None;
        let mut inputs = Inputs { port: &lane.port, spec: &lane.spec, open: BTreeMap::new() };
        while let Some(record) = entries.next()? {
            let entry = lane.records.read_entries.decode(record.payload.as_deref()).map_err(|error| {
                let at = format!("{journal}, partition {partition}, offset {}", record.offset);
                if error.is_poison() {
                    LaneError::Fatal(format!("{at}: the journal can't be read: {error}"))
                } else {
                    LaneError::Away(format!("{at}: {error}"))
                }
            })?;
            if inputs.are_included(&task, &entry)? {
                continue;
            }
            if dead.is_none() {
                dead = Some(unreadable(lane, partition)?);
            }
            for run in &entry.runs {
                let input = inputs.index_of(&run.topic)?;
                replayed += run.count.unsigned_abs();
                for _ in 0..run.count {
                    let record = inputs.next(&task, (input, run.partition))?;
                    let place = (input, record.partition, record.offset);
                    if dead.as_ref().is_some_and(|dead| dead.contains(&place)) {
                        task.pass(&lane.spec, &record);
                        continue;
                    }
                    task.take(&lane.processor, &mut lane.coding, &lane.spec, &record, |_, _| Ok(()))?;
                }
                inputs.check_run_end(&task, (input, run.partition), run.next_offset)?;
            }
            check_hash(&task, &entry, &journal, record.offset)?;
            task.runs = Default::default();
            lane.metrics.replayed(partition, replayed);
            lane.metrics.restoring(partition, progress.of(&task));
        }
        check_group(&lane.spec, &task, &committed)?;
    }
    Ok(task)
}

/// How far a replay is, in offsets of the inputs that the group has committed.
struct Progress {
    from: i64,
    to: i64,
}

impl Progress {
    fn begin<P: Processor>(task: &Task<P>, committed: &[(usize, i64)]) -> Self {
        let to = committed.iter().map(|(_, offset)| offset).sum();
        Self { from: Self::at(task), to }
    }

    fn at<P: Processor>(task: &Task<P>) -> i64 {
        task.next.iter().filter(|((_, partition), _)| *partition == task.partition).map(|(_, offset)| offset).sum()
    }

    /// Between 0 and 1. What broadcast inputs add is small and only makes it end a little early.
    fn of<P: Processor>(&self, task: &Task<P>) -> f64 {
        let (done, all) = (Self::at(task) - self.from, (self.to - self.from).max(1));
        (done as f64 / all as f64).clamp(0.0, 1.0)
    }
}

/// A journal that begins after the place from which it is needed has lost what led to the state. Gives its end.
fn check_beginning<P: Processor, C: Coding<P>, Q: Port>(
    lane: &Lane<P, C, Q>,
    journal: &str,
    partition: i32,
    needed: i64,
) -> Result<i64, LaneError> {
    let Bounds { start, end } = lane.port.bounds(journal, partition)?;
    if start <= needed {
        return Ok(end);
    }
    Err(LaneError::Fatal(format!(
        "{journal}, partition {partition}: records below offset {start} are gone, and what snapshots are left need them \
         from offset {needed} on: the state of {} can't be rebuilt",
        lane.spec.component
    )))
}

/// Input, partition and offset of the records that this processor could not read when it met them. A registry that has
/// learnt a schema since, or a mended decoder, must not make them part of the history: they stay dead until redriven.
fn unreadable<P: Processor, C: Coding<P>, Q: Port>(
    lane: &Lane<P, C, Q>,
    partition: i32,
) -> Result<BTreeSet<(usize, i32, i64)>, LaneError> {
    let mut dead = BTreeSet::new();
    for (input, spec) in lane.spec.inputs.iter().enumerate() {
        let Some(topic) = &spec.dead_letters else { continue };
        let partitions = if spec.broadcast { 0..lane.port.partitions(topic)? } else { partition..partition + 1 };
        for partition in partitions {
            let mut letters = lane.port.reader(topic, partition, 0)?;
            while let Some(record) = letters.next()? {
                if let Ok(Entry::Letter(letter)) = Entry::read(&record.headers)
                    && letter.was_unreadable()
                    && letter.source.topic == spec.topic
                {
                    dead.insert((input, letter.source.partition, letter.source.offset));
                }
            }
        }
    }
    Ok(dead)
}

/// Reads the inputs of a replay, each partition through a reader of its own.
struct Inputs<'a, Q: Port> {
    port: &'a Q,
    spec: &'a LaneSpec,
    open: BTreeMap<InputPartition, Box<dyn Reader>>,
}

impl<Q: Port> Inputs<'_, Q> {
    fn index_of(&self, topic: &str) -> Result<usize, LaneError> {
        self.spec.inputs.iter().position(|input| input.topic == topic).ok_or_else(|| {
            LaneError::Fatal(format!(
                "the journal of {} names the input {topic}, which topology.toml does not list: list it again",
                self.spec.component
            ))
        })
    }

    /// Whether the snapshot has all that the entry tells of.
    fn are_included<P: Processor>(&self, task: &Task<P>, entry: &JournalEntry) -> Result<bool, LaneError> {
        if entry.runs.is_empty() {
            return Ok(false);
        }
        for run in &entry.runs {
            if run.next_offset > task.position((self.index_of(&run.topic)?, run.partition)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn next<P: Processor>(&mut self, task: &Task<P>, at: InputPartition) -> Result<Record, LaneError> {
        let topic = &self.spec.inputs[at.0].topic;
        if !self.open.contains_key(&at) {
            self.open.insert(at, self.port.reader(topic, at.1, task.position(at))?);
        }
        let next = match self.open.get_mut(&at) {
            Some(reader) => reader.next()?,
            None => None,
        };
        let mut record = next.ok_or_else(|| {
            LaneError::Fatal(format!(
                "{topic}, partition {}: records that {} has taken are gone; its state can't be rebuilt",
                at.1, self.spec.component
            ))
        })?;
        record.input = at.0;
        Ok(record)
    }

    fn check_run_end<P: Processor>(
        &self,
        task: &Task<P>,
        at: InputPartition,
        next_offset: i64,
    ) -> Result<(), LaneError> {
        let found = task.position(at);
        if found == next_offset {
            return Ok(());
        }
        Err(LaneError::Fatal(format!(
            "{}, partition {}: the replay stands at offset {found} where the journal says {next_offset}: records are \
             missing or were added below it",
            self.spec.inputs[at.0].topic, at.1
        )))
    }
}

fn check_hash<P: Processor>(task: &Task<P>, entry: &JournalEntry, journal: &str, offset: i64) -> Result<(), LaneError> {
    let (outputs, hash) = (task.hash.outputs as i64, task.hash.hash as i64);
    if (outputs, hash) == (entry.outputs, entry.output_hash) {
        return Ok(());
    }
    Err(LaneError::Fatal(format!(
        "{journal}, partition {}, offset {offset}: the replay by version {VERSION} gives {outputs} outputs with hash \
         {hash:016x}, version {} wrote {} with {:016x}: run the version that wrote it",
        task.partition, entry.version, entry.outputs, entry.output_hash
    )))
}

/// The group's committed offsets of a partition, by input; 0 where there are none.
fn committed<P: Processor, C: Coding<P>, Q: Port>(
    lane: &Lane<P, C, Q>,
    partition: i32,
) -> Result<Vec<(usize, i64)>, LaneError> {
    let inputs = lane.spec.inputs.iter().enumerate().filter(|(_, input)| !input.broadcast);
    inputs.map(|(index, input)| Ok((index, lane.port.committed(&input.topic, partition)?.unwrap_or(0)))).collect()
}

/// The group's offsets must not be ahead of the journal, or records would be skipped.
fn check_group<P: Processor>(spec: &LaneSpec, task: &Task<P>, committed: &[(usize, i64)]) -> Result<(), LaneError> {
    for (input, committed) in committed {
        let (journal_says, topic) = (task.position((*input, task.partition)), &spec.inputs[*input].topic);
        if *committed > journal_says {
            return Err(LaneError::Away(format!(
                "{topic}, partition {}: the group {} stands at offset {committed}, its journal at {journal_says}: \
                 if this stays, somebody moved the group forward; reset it to {journal_says}",
                task.partition, spec.component
            )));
        }
    }
    Ok(())
}

/// What the lane's tasks do not know yet of their reference inputs. A broadcast input is read from where the task that
/// is furthest behind stands, as each record goes to all tasks: a later start would make those behind miss some.
pub(crate) fn reference_records<P: Processor, C: Coding<P>, Q: Port>(
    lane: &Lane<P, C, Q>,
) -> Result<Vec<Record>, LaneError> {
    let mut starts: BTreeMap<InputPartition, i64> = BTreeMap::new();
    for (input, spec) in lane.spec.inputs.iter().enumerate().filter(|(_, spec)| spec.reference) {
        for task in lane.tasks.values() {
            let partitions =
                if spec.broadcast { 0..lane.port.partitions(&spec.topic)? } else { task.partition..task.partition + 1 };
            for partition in partitions {
                let from = task.position((input, partition));
                starts.entry((input, partition)).and_modify(|least| *least = from.min(*least)).or_insert(from);
            }
        }
    }
    let mut records = Vec::new();
    for ((input, partition), from) in starts {
        let topic = &lane.spec.inputs[input].topic;
        // In nearly all restarts nothing is new, and to ask for that takes a third of the time of reading nothing.
        if lane.port.bounds(topic, partition)?.end <= from {
            continue;
        }
        let mut reader = lane.port.reader(topic, partition, from)?;
        while let Some(mut record) = reader.next()? {
            record.input = input;
            records.push(record);
        }
    }
    Ok(records)
}
