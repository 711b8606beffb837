//! The undisturbed replay: all three processors once more, in this process, over the committed log, in the order that
//! the journals tell, by a loop that shares nothing with the lane. What they give must be what the output topics hold.
//!
//! A task's outputs for one partition of a topic come in order; those of different tasks interleave in an order that
//! only the broker knows. So a partition must be a merge of the tasks' sequences: each record is the next one of a task,
//! compared by key and Avro body (a 128-bit hash of them), and none is left over. That finds a record that is lost,
//! doubled, changed or out of its order. Also each input must have been taken to its end.
//!
//! What is not compared: append times, schema ids, and dead letters.

use super::comparison::Comparison;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tapeline_kafka::app::{App, Make};
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::port::{Reader, Record};
use tapeline_runtime::processor::{Coding, Draft, Position, Processor, Undecodable, Verdict};
use tapeline_schemas::codec::{HEADER_BYTES, SchemaIds};
use tapeline_schemas::topic::{self, partition_of};
use tapeline_schemas::wire::{Command, JournalEntry};
use xxhash_rust::xxh3::Xxh3;

/// Hash of a record's key and Avro body.
pub(super) fn record_hash(key: &[u8], payload: &[u8]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&(key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update(payload.get(HEADER_BYTES..).unwrap_or_default());
    hash.digest128()
}

/// What tasks write to a partition of a topic, by topic and partition; one sequence for each task.
#[derive(Default)]
struct Expected(BTreeMap<(String, i32), BTreeMap<String, VecDeque<u128>>>);

/// Replays everything and compares all outputs.
///
/// # Errors
/// If a server is away.
pub(super) fn compare(app: &Arc<App>) -> Result<Comparison> {
    let mut comparison = Comparison::new("outputs = undisturbed replay of the committed inputs, record by record");
    let mut expected = Expected::default();
    let mut replay = Replay { app, comparison: &mut comparison, expected: &mut expected };
    replay.processor(tapeline_validator::NAME, tapeline_validator::make)?;
    replay.processor(tapeline_executor::NAME, tapeline_executor::make)?;
    replay.processor(tapeline_settler::NAME, tapeline_settler::make)?;
    for name in [topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::DEPTH, topic::SETTLED] {
        for partition in 0..partitions(app, name)? {
            let sequences = expected.0.remove(&(name.to_owned(), partition)).unwrap_or_default();
            merge(app, name, partition, sequences, &mut comparison)?;
        }
    }
    if let Some((topic, partition)) = expected.0.keys().next() {
        bail!("the replay writes to {topic}, partition {partition}, which is compared with nothing");
    }
    Ok(comparison)
}

/// Compares `orders` with what was published: each command once, in the publisher's order.
///
/// # Errors
/// If a server is away.
pub(super) fn compare_published(app: &App, published: impl Iterator<Item = Command>) -> Result<Comparison> {
    let mut comparison = Comparison::new("orders = the commands that were published and acknowledged, each once");
    let ids: Arc<dyn SchemaIds> = Arc::clone(&app.registry) as _;
    let id = ids.registered_id(topic::ORDERS, <Command as tapeline_schemas::codec::Wire>::SCHEMA_JSON);
    let encoder = tapeline_schemas::codec::Encoder::new(id.map_err(anyhow::Error::msg)?);
    let count = partitions(app, topic::ORDERS)?;
    let mut sequences: BTreeMap<i32, VecDeque<u128>> = BTreeMap::new();
    for command in published {
        let mut payload = Vec::with_capacity(160);
        encoder.encode(&command, &mut payload);
        let key = command.account.as_bytes();
        sequences.entry(partition_of(key, count)).or_default().push_back(record_hash(key, &payload));
    }
    for partition in 0..count {
        let sequence = sequences.remove(&partition).unwrap_or_default();
        merge(app, topic::ORDERS, partition, BTreeMap::from([("the load".to_owned(), sequence)]), &mut comparison)?;
    }
    Ok(comparison)
}

fn partitions(app: &App, topic: &str) -> Result<i32> {
    Ok(app.topology.topic(topic).with_context(|| format!("no topic {topic} in the topology"))?.partitions)
}

/// Checks that a partition is a merge of `sequences`.
fn merge(
    app: &App,
    topic: &str,
    partition: i32,
    mut sequences: BTreeMap<String, VecDeque<u128>>,
    comparison: &mut Comparison,
) -> Result<()> {
    let mut reader = PartitionReader::open(&app.addresses.kafka, topic, partition, 0)?;
    while let Some(record) = reader.next()? {
        comparison.compared += 1;
        let hash =
            record_hash(record.key.as_deref().unwrap_or_default(), record.payload.as_deref().unwrap_or_default());
        let source = sequences.values_mut().find(|sequence| sequence.front() == Some(&hash));
        match source {
            Some(sequence) => drop(sequence.pop_front()),
            None => comparison.difference(|| {
                format!("{topic}, partition {partition}, offset {}: not the next record of any writer", record.offset)
            }),
        }
    }
    for (writer, sequence) in sequences.iter().filter(|(_, sequence)| !sequence.is_empty()) {
        let missing = sequence.len();
        comparison.difference(|| format!("{topic}, partition {partition}: the last {missing} of {writer} are missing"));
    }
    Ok(())
}

struct Replay<'a> {
    app: &'a Arc<App>,
    comparison: &'a mut Comparison,
    expected: &'a mut Expected,
}

/// One task of a replay.
struct Task<'a, P: Processor, C: Coding<P>> {
    spec: &'a LaneSpec,
    processor: P,
    coding: C,
    state: P::State,
    partition: i32,
    partitions: i32,
}

impl Replay<'_> {
    fn processor<P: Processor, C: Coding<P>>(&mut self, name: &str, make: Make<P, C>) -> Result<()> {
        let spec = self.app.lane_spec(name)?;
        let ids: Arc<dyn SchemaIds> = Arc::clone(&self.app.registry) as _;
        let own = spec.inputs.iter().find(|input| !input.broadcast).with_context(|| format!("{name} has no input"))?;
        let partitions = partitions(self.app, &own.topic)?;
        for partition in 0..partitions {
            let (processor, coding) = make(&spec, &ids).map_err(anyhow::Error::msg)?;
            let state = processor.new_state(partition);
            let mut task = Task { spec: &spec, processor, coding, state, partition, partitions };
            let inputs = Inputs { app: self.app, spec: &spec, open: BTreeMap::new() };
            match &spec.journal {
                Some(journal) => self.by_journal(&mut task, journal, inputs)?,
                None => self.by_offset(&mut task, inputs)?,
            }
        }
        Ok(())
    }

    fn by_journal<P: Processor, C: Coding<P>>(
        &mut self,
        task: &mut Task<'_, P, C>,
        journal: &str,
        mut inputs: Inputs<'_>,
    ) -> Result<()> {
        let ids: Arc<dyn SchemaIds> = Arc::clone(&self.app.registry) as _;
        let mut decoder = decoder::<JournalEntry>(journal, &ids).map_err(anyhow::Error::msg)?;
        let mut entries = PartitionReader::open(&self.app.addresses.kafka, journal, task.partition, 0)?;
        while let Some(entry) = entries.next()? {
            let at = format!("{journal}, partition {}, offset {}", task.partition, entry.offset);
            let entry = decoder.decode(entry.payload.as_deref()).with_context(|| at.clone())?;
            for run in &entry.runs {
                let mut next_offset = run.next_offset;
                for _ in 0..run.count {
                    let record = inputs.next(&run.topic, run.partition)?;
                    let Some(record) = record else { bail!("{at}: {} has no such record", run.topic) };
                    next_offset = record.offset + 1;
                    task.take(&record, self.expected)?;
                }
                if next_offset != run.next_offset {
                    let topic = &run.topic;
                    self.comparison.difference(|| format!("{at}: {topic} stands at {next_offset} there"));
                }
            }
        }
        for input in task.spec.inputs.iter().filter(|input| !input.broadcast) {
            if let Some(left) = inputs.next(&input.topic, task.partition)? {
                let (topic, partition, component) = (&input.topic, task.partition, &task.spec.component);
                self.comparison.difference(|| {
                    format!("{topic}, partition {partition}, offset {}: {component} has not taken it", left.offset)
                });
            }
        }
        Ok(())
    }

    /// A processor without a journal has one input, whose order is the order.
    fn by_offset<P: Processor, C: Coding<P>>(
        &mut self,
        task: &mut Task<'_, P, C>,
        mut inputs: Inputs<'_>,
    ) -> Result<()> {
        let topic = task.spec.inputs[0].topic.clone();
        while let Some(record) = inputs.next(&topic, task.partition)? {
            task.take(&record, self.expected)?;
        }
        Ok(())
    }
}

impl<P: Processor, C: Coding<P>> Task<'_, P, C> {
    fn take(&mut self, record: &Record, expected: &mut Expected) -> Result<()> {
        let event = match self.coding.decode(record.input, record.key.as_deref(), record.payload.as_deref()) {
            Ok(event) => event,
            Err(Undecodable::Poison { .. }) => return Ok(()),
            Err(Undecodable::Away(why)) => bail!("{}: {why}", self.spec.component),
        };
        let at = Position {
            input: record.input,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            partitions: self.partitions,
        };
        let mut effects = Vec::new();
        if let Verdict::Poison(_) = self.processor.apply(&mut self.state, &at, event, &mut effects) {
            return Ok(());
        }
        let task = format!("{}, partition {}", self.spec.component, self.partition);
        for effect in &effects {
            let mut draft = Draft::default();
            self.coding.encode(effect, &mut draft);
            let place = (draft.topic.to_owned(), partition_of(&draft.key, self.partitions));
            let sequence = expected.0.entry(place).or_default().entry(task.clone()).or_default();
            sequence.push_back(record_hash(&draft.key, &draft.payload));
        }
        Ok(())
    }
}

/// The inputs of a task, each partition through a reader of its own.
struct Inputs<'a> {
    app: &'a App,
    spec: &'a LaneSpec,
    open: BTreeMap<(usize, i32), PartitionReader>,
}

impl Inputs<'_> {
    fn next(&mut self, topic: &str, partition: i32) -> Result<Option<Record>> {
        let input = self.spec.inputs.iter().position(|input| input.topic == topic);
        let input = input.with_context(|| format!("{} does not read {topic}", self.spec.component))?;
        let reader = match self.open.entry((input, partition)) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(PartitionReader::open(&self.app.addresses.kafka, topic, partition, 0)?)
            }
        };
        Ok(reader.next()?.map(|record| Record { input, ..record }))
    }
}
