//! The processes: production lanes and sink loops, built anew for each life as `processors/kafka/src/app.rs` does.

use crate::port::SimPort;
use crate::sinks::{SimSinkPort, Store};
use crate::world::{Handle, World};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tapeline_runtime::event_decoder::EventDecoder;
use tapeline_runtime::lane::{InputSpec, Lane, LaneError, LaneSpec, OwnRecords};
use tapeline_runtime::port::Port;
use tapeline_runtime::processor::{Coding, Processor};
use tapeline_runtime::sink_lane::{SinkLane, SinkSpec};
use tapeline_runtime::snapshot::SnapshotSpec;
use tapeline_runtime::topology::{Cleanup, Topology};
use tapeline_schemas::codec::SchemaIds;

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Component {
    Validator,
    Executor,
    Settler,
    Timescale,
    Clickhouse,
}

impl Component {
    pub(crate) const ALL: [Self; 5] =
        [Self::Validator, Self::Executor, Self::Settler, Self::Timescale, Self::Clickhouse];

    /// Its name in the topology; its consumer group's too.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Validator => tapeline_validator::NAME,
            Self::Executor => tapeline_executor::NAME,
            Self::Settler => tapeline_settler::NAME,
            Self::Timescale => "timescale",
            Self::Clickhouse => "clickhouse",
        }
    }
}

/// One life of a process.
pub(crate) trait Life {
    /// One round of its loop.
    fn step(&mut self) -> Result<(), LaneError>;
}

impl<P: Processor, C: Coding<P>, Q: Port> Life for Lane<P, C, Q> {
    fn step(&mut self) -> Result<(), LaneError> {
        Self::step(self, Duration::ZERO)
    }
}

impl Life for SinkLane<Store, SimSinkPort> {
    fn step(&mut self) -> Result<(), LaneError> {
        Self::step(self, Duration::ZERO)
    }
}

/// What the components of a run are made of.
pub(crate) struct Specs {
    pub(crate) topology: Topology,
    pub(crate) max_batch_records: usize,
}

impl Specs {
    fn input(&self, component: &str, name: &str, broadcast: bool) -> InputSpec {
        let topic = self.topology.topic(name);
        let owned = topic.filter(|topic| topic.dead_letters_by.as_deref() == Some(component));
        InputSpec {
            topic: name.to_owned(),
            broadcast,
            reference: topic.is_some_and(|topic| matches!(topic.cleanup, Cleanup::Compact { .. })),
            dead_letters: owned.and_then(|topic| topic.dead_letter_topic()),
        }
    }

    pub(crate) fn lane(&self, name: &str) -> Result<LaneSpec, LaneError> {
        let spec = self.topology.processor(name).ok_or_else(|| missing(name))?;
        let own = spec.inputs.iter().map(|topic| self.input(name, topic, false));
        let broadcast = spec.broadcast.iter().map(|topic| self.input(name, topic, true));
        Ok(LaneSpec {
            component: name.to_owned(),
            inputs: own.chain(broadcast).collect(),
            journal: spec.journal.clone(),
            // So small and so often that each life meets several.
            snapshots: spec.snapshots.as_ref().map(|topic| SnapshotSpec {
                topic: topic.clone(),
                block_bytes: 400,
                min_records: 40,
                max_records: 120,
                max_age_ms: 60_000,
            }),
            max_batch_records: self.max_batch_records,
        })
    }

    fn sink(&self, name: &str) -> Result<SinkSpec, LaneError> {
        let spec = self.topology.sink(name).ok_or_else(|| missing(name))?;
        Ok(SinkSpec {
            component: name.to_owned(),
            inputs: spec.inputs.iter().map(|topic| self.input(name, topic, false)).collect(),
            max_batch_records: self.max_batch_records,
            // The wall clock decides nothing here: a batch is what is there.
            batch_interval: Duration::ZERO,
        })
    }

    /// Topics of a component's partitioned inputs.
    pub(crate) fn inputs(&self, component: Component) -> Vec<String> {
        let name = component.name();
        let processor = self.topology.processor(name).map(|spec| spec.inputs.clone());
        processor.or_else(|| self.topology.sink(name).map(|spec| spec.inputs.clone())).unwrap_or_default()
    }
}

fn missing(name: &str) -> LaneError {
    LaneError::Fatal(format!("topology.toml has no {name}"))
}

/// Starts a process.
pub(crate) fn start(world: &Rc<World>, me: &Rc<Handle>) -> Result<Box<dyn Life>, LaneError> {
    match me.component {
        Component::Validator => lane(world, me, tapeline_validator::make),
        Component::Executor => lane(world, me, tapeline_executor::make),
        Component::Settler => lane(world, me, tapeline_settler::make),
        Component::Timescale => sink(world, me, &world.timescale),
        Component::Clickhouse => sink(world, me, &world.clickhouse),
    }
}

type Make<P, C> = fn(&LaneSpec, &Arc<dyn SchemaIds>) -> Result<(P, C), String>;

fn lane<P, C>(world: &Rc<World>, me: &Rc<Handle>, make: Make<P, C>) -> Result<Box<dyn Life>, LaneError>
where
    P: Processor + 'static,
    C: Coding<P> + 'static,
{
    let spec = world.specs.lane(me.component.name())?;
    let port = SimPort::open(world, me, &spec)?;
    Ok(Box::new(build(world, spec, make, port)?))
}

/// A lane on any port.
pub(crate) fn build<P: Processor, C: Coding<P>, Q: Port>(
    world: &World,
    spec: LaneSpec,
    make: Make<P, C>,
    port: Q,
) -> Result<Lane<P, C, Q>, LaneError> {
    let (processor, coding) = make(&spec, &world.ids).map_err(LaneError::Away)?;
    let records = OwnRecords::new(&spec, &world.ids).map_err(LaneError::Away)?;
    let metrics = world.metrics.lane(&spec.component, 0);
    Ok(Lane::new(spec, processor, coding, records, port, metrics))
}

fn sink(world: &Rc<World>, me: &Rc<Handle>, store: &Store) -> Result<Box<dyn Life>, LaneError> {
    let spec = world.specs.sink(me.component.name())?;
    let events = EventDecoder::new(&world.ids).map_err(LaneError::Away)?;
    let port = SimSinkPort::open(world, me, &spec, store)?;
    let metrics = world.metrics.lane(&spec.component, 0);
    Ok(Box::new(SinkLane::new(spec, Arc::new(Mutex::new(store.clone())), events, port, metrics)?))
}
