//! Determinism, when all is done: a fresh lane replays each partition by its journal and must come to the journal's hash;
//! and the bare rules, without lane, port or fault, must give the bytes that stand in the log when they are fed the same
//! records in the same order.

use super::{Checked, Decoders, EXECUTOR_JOURNAL, Invariant, VALIDATOR_JOURNAL, ensure, partition_of_identity};
use crate::broker::Broker;
use crate::member::build;
use crate::world::World;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::port::{Bounds, InputPartition, OutView, Polled, Port, PortError, Reader, Record};
use tapeline_runtime::processor::{Coding, Draft, Position, Processor, Undecodable, Verdict};
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::topic;
use tapeline_schemas::topic::partition_of;
use tapeline_schemas::wire::Run;

/// Written records by topic and partition: key and value.
type Written = BTreeMap<(&'static str, i32), Vec<(Vec<u8>, Vec<u8>)>>;

/// Replays everything.
pub(crate) fn check(world: &Rc<World>) -> Checked {
    let component = tapeline_validator::NAME;
    replayed(world, component, VALIDATOR_JOURNAL, tapeline_validator::make)?;
    replayed(world, tapeline_executor::NAME, EXECUTOR_JOURNAL, tapeline_executor::make)?;
    let broker = world.broker.borrow();
    for partition in 0..broker.partitions(topic::ORDERS) {
        let runs = runs(world, &broker, VALIDATOR_JOURNAL, partition)?;
        let expected = apply(world, &broker, component, partition, &runs, tapeline_validator::make)?;
        same(world, &broker, partition, &[topic::VALIDATED, topic::REJECTED], expected)?;
        let runs = self::runs(world, &broker, EXECUTOR_JOURNAL, partition)?;
        let expected = apply(world, &broker, tapeline_executor::NAME, partition, &runs, tapeline_executor::make)?;
        same(world, &broker, partition, &[topic::EXECUTED, topic::DEPTH], expected)?;
        let all = Run { topic: topic::EXECUTED.into(), partition, count: 0, next_offset: i64::MAX };
        let expected = apply(world, &broker, tapeline_settler::NAME, partition, &[all], tapeline_settler::make)?;
        same(world, &broker, partition, &[topic::SETTLED], expected)?;
    }
    Ok(())
}

fn failed(what: impl ToString) -> (Invariant, String) {
    (Invariant::Determinism, what.to_string())
}

type Make<P, C> = fn(&LaneSpec, &Arc<dyn SchemaIds>) -> Result<(P, C), String>;

/// A fresh lane comes to the hash that the journal says.
fn replayed<P: Processor, C: Coding<P>>(world: &Rc<World>, name: &str, journal: &str, make: Make<P, C>) -> Checked {
    let partitions = world.broker.borrow().partitions(journal);
    for partition in 0..partitions {
        // All of the log, not only what came after a snapshot.
        let spec = LaneSpec { snapshots: None, ..world.specs.lane(name).map_err(failed)? };
        let port = ReplayPort(Rc::clone(world));
        let mut lane = build(world, spec, make, port).map_err(failed)?;
        lane.replay(partition).map_err(failed)?;
    }
    Ok(())
}

fn runs(world: &World, broker: &Broker, journal: &str, partition: i32) -> Result<Vec<Run>, (Invariant, String)> {
    let mut auditor = world.auditor.borrow_mut();
    let decoders = auditor.decoders();
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some(record) = broker.read(journal, partition, at, i64::MAX) {
        at = record.offset + 1;
        runs.extend(decoders.journal.decode(record.payload.as_deref()).map_err(failed)?.runs);
    }
    Ok(runs)
}

/// What the bare rules write when they are fed these runs.
fn apply<P: Processor, C: Coding<P>>(
    world: &World,
    broker: &Broker,
    name: &str,
    partition: i32,
    runs: &[Run],
    make: Make<P, C>,
) -> Result<Written, (Invariant, String)> {
    let spec = world.specs.lane(name).map_err(failed)?;
    let (processor, mut coding) = make(&spec, &world.ids).map_err(failed)?;
    let mut state = processor.new_state(partition);
    let mut positions: BTreeMap<InputPartition, i64> = BTreeMap::new();
    let mut written = Written::new();
    let (mut effects, partitions) = (Vec::new(), broker.partitions(topic::ORDERS));
    for run in runs {
        let input = spec.inputs.iter().position(|input| input.topic == run.topic).unwrap_or(usize::MAX);
        let from = positions.entry((input, run.partition)).or_insert(0);
        while let Some(record) = broker.read(&run.topic, run.partition, *from, run.next_offset) {
            *from = record.offset + 1;
            let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
            let event = match coding.decode(input, record.key.as_deref(), record.payload.as_deref()) {
                Ok(event) => event,
                Err(Undecodable::Poison { .. }) => continue,
                Err(Undecodable::Away(why)) => return Err(failed(why)),
            };
            effects.clear();
            let at = Position { input, partition: run.partition, offset, timestamp_ms, partitions };
            if let Verdict::Poison(why) = processor.apply(&mut state, &at, event, &mut effects) {
                return Err(failed(why));
            }
            for effect in &effects {
                let mut draft = Draft::default();
                coding.encode(effect, &mut draft);
                let home = partition_of(&draft.key, broker.partitions(draft.topic));
                written.entry((draft.topic, home)).or_default().push((draft.key, draft.payload));
            }
        }
    }
    Ok(written)
}

/// The log holds, of this task, exactly what was expected, in the same order.
fn same(world: &World, broker: &Broker, task: i32, topics: &[&'static str], mut expected: Written) -> Checked {
    let mut auditor = world.auditor.borrow_mut();
    for name in topics {
        for partition in 0..broker.partitions(name) {
            let mut expected = expected.remove(&(*name, partition)).unwrap_or_default().into_iter();
            let mut at = 0;
            while let Some(record) = broker.read(name, partition, at, i64::MAX) {
                at = record.offset + 1;
                if origin(auditor.decoders(), name, record) != Some(task) {
                    continue;
                }
                let found = record.key.clone().zip(record.payload.clone());
                ensure(expected.next() == found, Invariant::Determinism, || {
                    let offset = record.offset;
                    format!("{name}, partition {partition}, offset {offset}: the rules of task {task} say otherwise")
                })?;
            }
            let missing = expected.count();
            ensure(missing == 0, Invariant::Determinism, || {
                format!("{name}, partition {partition}: {missing} records of task {task} are missing")
            })?;
        }
    }
    Ok(())
}

/// Which task wrote a record.
fn origin(decoders: &mut Decoders, name: &str, record: &Record) -> Option<i32> {
    let payload = record.payload.as_deref();
    let id = match name {
        topic::VALIDATED => decoders.validated.decode(payload).ok()?.command_id,
        topic::REJECTED => decoders.rejected.decode(payload).ok()?.command_id,
        topic::SETTLED => decoders.settled.decode(payload).ok()?.execution_id,
        _ => return Some(record.partition),
    };
    Some(partition_of_identity(id))
}

/// Reads and does nothing else.
struct ReplayPort(Rc<World>);

struct ReplayReader {
    world: Rc<World>,
    topic: String,
    partition: i32,
    at: i64,
}

impl Reader for ReplayReader {
    fn next(&mut self) -> Result<Option<Record>, PortError> {
        let broker = self.world.broker.borrow();
        let record = broker.read(&self.topic, self.partition, self.at, i64::MAX).cloned();
        self.at = record.as_ref().map_or(self.at, |record| record.offset + 1);
        Ok(record)
    }
}

fn read_only<T>() -> Result<T, PortError> {
    Err(PortError::Fatal("a replay only reads".into()))
}

impl Port for ReplayPort {
    fn poll(&mut self, _wait: Duration) -> Result<Polled, PortError> {
        read_only()
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        Ok(Box::new(ReplayReader { world: Rc::clone(&self.0), topic: topic.to_owned(), partition, at: from }))
    }

    fn committed(&self, _topic: &str, _partition: i32) -> Result<Option<i64>, PortError> {
        Ok(None)
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<Bounds, PortError> {
        Ok(Bounds { start: 0, end: self.0.broker.borrow().stable_end(topic, partition) })
    }

    fn wait_stable(&mut self, _topic: &str, _partition: i32) -> Result<(), PortError> {
        Ok(())
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        Ok(self.0.broker.borrow().partitions(topic))
    }

    fn follow_broadcast(&mut self, _positions: &[(InputPartition, i64)]) -> Result<(), PortError> {
        read_only()
    }

    fn begin(&mut self) -> Result<(), PortError> {
        read_only()
    }

    fn send(&mut self, _record: OutView<'_>) -> Result<(), PortError> {
        read_only()
    }

    fn commit(&mut self, _offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        read_only()
    }

    fn written(&self, _topic: &str, _partition: i32) -> Option<i64> {
        None
    }

    fn starts(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }
}
