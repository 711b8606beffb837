//! Rebuilds a task from the log alone: replays its inputs in the order that the journal tells, outputs suppressed,
//! and checks the running hash after each entry. A difference stops the process; it never goes on with a doubtful state.

use crate::journal::VERSION;
use crate::lane::{Lane, LaneError, LaneSpec};
use crate::port::{InputPartition, Port, Reader, Record};
use crate::processor::{Coding, Processor};
use crate::task::Task;
use std::collections::BTreeMap;
use tapeline_schemas::wire::JournalEntry;

/// The task of `partition` as the journal left it, and the reference records that it must take first.
pub(crate) fn restore<P: Processor, C: Coding<P>, Q: Port>(
    lane: &mut Lane<P, C, Q>,
    partition: i32,
) -> Result<(Task<P>, Vec<Record>), LaneError> {
    let partitions = match lane.spec.inputs.iter().find(|input| !input.broadcast) {
        Some(input) => lane.port.partitions(&input.topic)?,
        None => 1,
    };
    let mut task = Task::new(&lane.processor, partition, partitions);
    // Asked first: the broker answers only once no transaction of a former owner is left open on these offsets, so that
    // the journal read afterwards is complete.
    let committed = committed(lane, partition)?;
    if let Some(journal) = lane.spec.journal.clone() {
        let mut entries = lane.port.reader(&journal, partition, 0)?;
        let mut inputs = Inputs { port: &lane.port, spec: &lane.spec, open: BTreeMap::new() };
        while let Some(record) = entries.next()? {
            let entry = lane.journal.decoder.decode(record.payload.as_deref()).map_err(|error| {
                let at = format!("{journal}, partition {partition}, offset {}", record.offset);
                if error.is_poison() {
                    LaneError::Fatal(format!("{at}: the journal can't be read: {error}"))
                } else {
                    LaneError::Away(format!("{at}: {error}"))
                }
            })?;
            let mut out = Vec::new();
            for run in &entry.runs {
                let input = inputs.index_of(&run.topic)?;
                for _ in 0..run.count {
                    let record = inputs.next((input, run.partition))?;
                    task.take(&lane.processor, &mut lane.coding, &lane.spec, &record, &mut out)?;
                    out.clear();
                }
                inputs.check_run_end(&task, (input, run.partition), run.next_offset)?;
            }
            check_hash(&task, &entry, &journal, record.offset)?;
            task.runs = Default::default();
        }
        check_group(&lane.spec, &task, &committed)?;
    }
    let reference = reference_records(lane, &task)?;
    Ok((task, reference))
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

    fn next(&mut self, at: InputPartition) -> Result<Record, LaneError> {
        let topic = &self.spec.inputs[at.0].topic;
        if !self.open.contains_key(&at) {
            self.open.insert(at, self.port.reader(topic, at.1, 0)?);
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
            return Err(LaneError::Fatal(format!(
                "{topic}, partition {}: the group {} stands at offset {committed}, its journal at {journal_says}: \
                 somebody moved the group forward; reset it to {journal_says}",
                task.partition, spec.component
            )));
        }
    }
    Ok(())
}

fn reference_records<P: Processor, C: Coding<P>, Q: Port>(
    lane: &Lane<P, C, Q>,
    task: &Task<P>,
) -> Result<Vec<Record>, LaneError> {
    let mut records = Vec::new();
    for (input, spec) in lane.spec.inputs.iter().enumerate().filter(|(_, spec)| spec.reference) {
        let partitions =
            if spec.broadcast { (0..lane.port.partitions(&spec.topic)?).collect() } else { vec![task.partition] };
        for partition in partitions {
            let mut reader = lane.port.reader(&spec.topic, partition, task.position((input, partition)))?;
            while let Some(mut record) = reader.next()? {
                record.input = input;
                records.push(record);
            }
        }
    }
    Ok(records)
}
