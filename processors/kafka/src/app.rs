//! Puts components together: reads topology and environment, builds lanes on threads of their own, keeps them alive,
//! serves HTTP, ends on SIGTERM. Used by every binary and by `tapeline run`.

use crate::client::{instance, member_name};
use crate::port::KafkaPort;
use crate::registry::Registry;
use crate::replay_port::ReplayPort;
use crate::sink_port::KafkaSinkPort;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::event_decoder::{EventDecoder, decoder};
use tapeline_runtime::lane::{InputSpec, Lane, LaneError, LaneSpec, OwnRecords};
use tapeline_runtime::metrics::{LaneMetrics, Metrics};
use tapeline_runtime::port::{Port, PortError};
use tapeline_runtime::processor::{Coding, Processor};
use tapeline_runtime::serve;
use tapeline_runtime::sink::{Sink, SinkError};
use tapeline_runtime::sink_lane::{SinkLane, SinkSpec};
use tapeline_runtime::snapshot::{SnapshotSpec, manifests};
use tapeline_runtime::supervisor::supervise;
use tapeline_runtime::topology::{Cleanup, Problem, Topology};
use tapeline_schemas::codec::{SchemaIds, schema_of_stem};
use tapeline_schemas::wire::SnapshotPart;

/// Exit code of a process that another one has taken over from.
pub const EXIT_FENCED: u8 = 3;
/// A processor's batch is committed when it has this many records.
pub const MAX_BATCH_RECORDS: usize = 5_000;

/// Builds rules and coding for one life of a lane; fails with a sentence while the registry is away.
pub type Make<P, C> = fn(&LaneSpec, &Arc<dyn SchemaIds>) -> Result<(P, C), String>;

/// What all components of a process share.
pub struct App {
    /// The topology.
    pub topology: Topology,
    /// Where the servers are.
    pub addresses: Addresses,
    /// Metrics.
    pub metrics: Metrics,
    /// The registry.
    pub registry: Arc<Registry>,
    /// Set to end all components.
    pub stop: Arc<AtomicBool>,
    /// This process's name among those of its components.
    pub instance: String,
    /// Where it serves HTTP, once it does.
    http: OnceLock<SocketAddr>,
}

/// What a restart of a processor's partition needs of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartNeed {
    /// The processor's partition.
    pub partition: i32,
    /// Number of the snapshot that it restarts from; `None` if it replays from the beginning.
    pub snapshot: Option<i64>,
    /// An input, or the journal.
    pub topic: String,
    /// Partition of that.
    pub of_input: i32,
    /// The first offset that is needed,
    pub needed_offset: i64,
    /// and the first one that the log still has.
    pub first_offset: i64,
}

/// How a sink gathers its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Most records of a batch.
    pub max_records: usize,
    /// Least time from one batch to the next, unless one is full.
    pub interval: Duration,
}

/// Components at work, each on its thread.
#[derive(Default)]
pub struct Running(Vec<(String, JoinHandle<Result<(), LaneError>>)>);

impl App {
    /// Reads `topology.toml` and the environment.
    ///
    /// # Errors
    /// If one of them is wrong; the message names file, key and mend.
    pub fn from_env() -> Result<Arc<Self>> {
        Self::at(Addresses::from_env()?)
    }

    /// Reads `topology.toml`; the servers are at `addresses`.
    ///
    /// # Errors
    /// If the topology is wrong; the message names file, key and mend.
    pub fn at(addresses: Addresses) -> Result<Arc<Self>> {
        Self::with(load_topology()?, addresses)
    }

    /// An app of a topology that was read and checked before; the servers are at `addresses`.
    ///
    /// # Errors
    /// If the registry's address is none.
    pub fn with(topology: Topology, addresses: Addresses) -> Result<Arc<Self>> {
        let registry = Arc::new(Registry::new(&addresses.registry_url)?);
        Ok(Arc::new(Self {
            topology,
            addresses,
            metrics: Metrics::new()?,
            registry,
            stop: Arc::default(),
            instance: instance(),
            http: OnceLock::new(),
        }))
    }

    /// Starts `lanes` lanes of a processor. `make` builds rules and coding anew for each life of a lane.
    ///
    /// # Errors
    /// If the topology does not list the processor, or a thread can't be started.
    pub fn spawn_processor<P, C>(
        self: &Arc<Self>,
        running: &mut Running,
        name: &str,
        lanes: usize,
        make: Make<P, C>,
    ) -> Result<()>
    where
        P: Processor + 'static,
        C: Coding<P> + 'static,
    {
        let spec = self.lane_spec(name)?;
        for lane in 0..lanes {
            let (app, spec) = (Arc::clone(self), spec.clone());
            // Before its thread runs: a lane that nobody knows of yet can't be waited for.
            let metrics = self.metrics.lane(name, lane);
            running.spawn(name, lane, move || {
                supervise(&spec.component, &metrics, &app.stop, || app.live_lane(&spec, lane, &metrics, make))
            })?;
        }
        Ok(())
    }

    fn live_lane<P: Processor, C: Coding<P>>(
        &self,
        spec: &LaneSpec,
        lane: usize,
        metrics: &LaneMetrics,
        make: Make<P, C>,
    ) -> Result<(), LaneError> {
        let written = self.topology.written_by(&spec.component);
        let inputs = || spec.inputs.iter().map(|input| &input.topic);
        let name = member_name(&spec.component, &self.instance, lane);
        let started_at = Instant::now();
        // A restart waits for registry and broker at the same time: each of them may take half a second where it is busy.
        let (asked, opened) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| (self.ask_together(inputs().chain(&written)), started_at.elapsed()));
            let opened = KafkaPort::open(&self.addresses.kafka, spec, name, written.clone(), self.http.get().copied());
            (asked.join(), opened.map(|port| (port, started_at.elapsed())))
        });
        let (ids, schemas_after) = asked.map_err(|_| LaneError::Fatal("asking for schema ids panicked".into()))?;
        let (processor, coding) = make(spec, &ids).map_err(LaneError::Away)?;
        let records = OwnRecords::new(spec, &ids).map_err(LaneError::Away)?;
        let (mut port, clients_after) = opened?;
        // It is the first to notice, and at once, that Kafka is away: whoever asks a client waits for as long as that does.
        port.join()?;
        self.check_partitions(inputs(), |topic| port.partitions(topic))?;
        tracing::info!(
            component = %spec.component,
            lane,
            schemas_ms = schemas_after.as_millis() as u64,
            clients_ms = clients_after.as_millis() as u64,
            joining_after_ms = started_at.elapsed().as_millis() as u64,
            "has its schemas and its clients"
        );
        Lane::new(spec.clone(), processor, coding, records, port, metrics.clone()).run(&self.stop)
    }

    /// The registry, with its answers on the schemas of `topics`, those that have one.
    fn ask_together<'a>(&'a self, topics: impl Iterator<Item = &'a String>) -> Arc<dyn SchemaIds> {
        let topics = topics.filter_map(|name| self.topology.topic(name));
        let with_schema =
            topics.filter_map(|topic| Some((topic.name.as_str(), schema_of_stem(topic.schema.as_deref()?)?)));
        Arc::new(self.registry.ask_together(with_schema))
    }

    /// Replays all partitions of a processor by its journal, outputs suppressed, and compares their hash. Disturbs
    /// nobody. Gives the number of outputs of each partition, or what differs.
    ///
    /// # Errors
    /// If the topology does not list the processor or a server is away.
    pub fn replay_processor<P: Processor, C: Coding<P>>(
        &self,
        name: &str,
        make: Make<P, C>,
    ) -> Result<Vec<(i32, Result<u64, LaneError>)>> {
        // All of the log, not only what came after a snapshot.
        let spec = LaneSpec { snapshots: None, ..self.lane_spec(name)? };
        let ids: Arc<dyn SchemaIds> = Arc::clone(&self.registry) as _;
        let journal = spec.journal.clone().ok_or_else(|| anyhow!("{name} has no journal to replay by"))?;
        let partitions = self.topology.topic(&journal).map_or(0, |topic| topic.partitions);
        let replay = |partition| -> Result<u64, LaneError> {
            let (processor, coding) = make(&spec, &ids).map_err(LaneError::Away)?;
            let records = OwnRecords::new(&spec, &ids).map_err(LaneError::Away)?;
            let port = ReplayPort::new(&self.addresses.kafka);
            let metrics = Metrics::new().map_err(|error| LaneError::Fatal(error.to_string()))?.lane(name, 0);
            Lane::new(spec.clone(), processor, coding, records, port, metrics).replay(partition)
        };
        Ok((0..partitions).map(|partition| (partition, replay(partition))).collect())
    }

    /// What the log must still hold for a restart of each partition of a processor from its newest snapshot but one, which
    /// it falls back to if the newest is damaged; from the log's beginning where it has no snapshot.
    ///
    /// # Errors
    /// If the topology does not list the processor, or broker or registry are away.
    pub fn restart_needs(&self, name: &str) -> Result<Vec<RestartNeed>> {
        let spec = self.lane_spec(name)?;
        let ids: Arc<dyn SchemaIds> = Arc::clone(&self.registry) as _;
        let port = ReplayPort::new(&self.addresses.kafka);
        let (Some(snapshots), Some(journal)) = (&spec.snapshots, &spec.journal) else { return Ok(Vec::new()) };
        let mut parts = decoder::<SnapshotPart>(&snapshots.topic, &ids).map_err(anyhow::Error::msg)?;
        let mut needs = Vec::new();
        for partition in 0..port.partitions(journal)? {
            let bounds = port.bounds(&snapshots.topic, partition)?;
            let kept = manifests(&port, &mut parts, &snapshots.topic, partition, bounds, 2)?.pop();
            let mut needed: BTreeMap<(String, i32), i64> = BTreeMap::from([((journal.clone(), partition), 0)]);
            for input in &spec.inputs {
                let of_input =
                    if input.broadcast { 0..port.partitions(&input.topic)? } else { partition..partition + 1 };
                needed.extend(of_input.map(|partition| ((input.topic.clone(), partition), 0)));
            }
            if let Some(found) = &kept {
                needed.insert((journal.clone(), partition), found.manifest.journal_offset);
                let positions = found.manifest.positions.iter();
                needed.extend(positions.map(|at| ((at.topic.to_string(), at.partition), at.next_offset)));
            }
            for ((topic, of_input), needed_offset) in needed {
                let first_offset = port.bounds(&topic, of_input)?.start;
                let snapshot = kept.as_ref().map(|found| found.number);
                needs.push(RestartNeed { partition, snapshot, topic, of_input, needed_offset, first_offset });
            }
        }
        Ok(needs)
    }

    /// Starts a sink; `connect` makes its database connection for each life of the loop.
    ///
    /// # Errors
    /// If the topology does not list the sink, or a thread can't be started.
    pub fn spawn_sink<S: Sink + 'static>(
        self: &Arc<Self>,
        running: &mut Running,
        name: &str,
        batching: Batching,
        connect: fn(&Addresses) -> Result<S, SinkError>,
    ) -> Result<()> {
        let spec = self.sink_spec(name, batching)?;
        let (app, metrics) = (Arc::clone(self), self.metrics.lane(name, 0));
        running.spawn(name, 0, move || {
            supervise(&spec.component, &metrics, &app.stop, || app.live_sink(&spec, &metrics, connect))
        })
    }

    fn live_sink<S: Sink + 'static>(
        &self,
        spec: &SinkSpec,
        metrics: &LaneMetrics,
        connect: fn(&Addresses) -> Result<S, SinkError>,
    ) -> Result<(), LaneError> {
        let sink = connect(&self.addresses).map_err(|error| match error {
            SinkError::Fatal(why) => LaneError::Fatal(why),
            other => LaneError::Away(other.to_string()),
        })?;
        let sink = Arc::new(Mutex::new(sink));
        let ids = self.ask_together(spec.inputs.iter().map(|input| &input.topic));
        let events = EventDecoder::new(&ids).map_err(LaneError::Away)?;
        let port = KafkaSinkPort::open(&self.addresses.kafka, spec, &self.instance, &sink)?;
        SinkLane::new(spec.clone(), sink, events, port, metrics.clone())?.run(&self.stop)
    }

    /// A topic with another number of partitions than the topology says would tear keys from their state.
    fn check_partitions<'a>(
        &self,
        topics: impl Iterator<Item = &'a String>,
        on_broker: impl Fn(&str) -> Result<i32, PortError>,
    ) -> Result<(), LaneError> {
        for name in topics {
            let Some(declared) = self.topology.topic(name).map(|topic| topic.partitions) else { continue };
            let found = on_broker(name)?;
            if found != declared {
                return Err(LaneError::Fatal(format!(
                    "{}: topics.\"{name}\".partitions is {declared}, the broker has {found}: set it to {found}",
                    self.topology.file_name
                )));
            }
        }
        Ok(())
    }

    /// What a processor reads and writes.
    ///
    /// # Errors
    /// If the topology does not list it.
    pub fn lane_spec(&self, name: &str) -> Result<LaneSpec> {
        let spec = self.topology.processor(name).ok_or_else(|| self.not_listed("processor", name))?;
        let inputs = spec.inputs.iter().map(|topic| self.input(name, topic, false));
        let broadcast = spec.broadcast.iter().map(|topic| self.input(name, topic, true));
        Ok(LaneSpec {
            component: name.to_owned(),
            inputs: inputs.chain(broadcast).collect::<Result<_>>()?,
            journal: spec.journal.clone(),
            snapshots: spec.snapshots.as_deref().map(SnapshotSpec::in_topic),
            max_batch_records: MAX_BATCH_RECORDS,
        })
    }

    fn sink_spec(&self, name: &str, batching: Batching) -> Result<SinkSpec> {
        let spec = self.topology.sink(name).ok_or_else(|| self.not_listed("sink", name))?;
        Ok(SinkSpec {
            component: name.to_owned(),
            inputs: spec.inputs.iter().map(|topic| self.input(name, topic, false)).collect::<Result<_>>()?,
            max_batch_records: batching.max_records,
            batch_interval: batching.interval,
        })
    }

    fn input(&self, component: &str, name: &str, broadcast: bool) -> Result<InputSpec> {
        let topic = self.topology.topic(name).ok_or_else(|| self.not_listed("topic", name))?;
        let owns_dead_letters = topic.dead_letters_by.as_deref() == Some(component);
        Ok(InputSpec {
            topic: name.to_owned(),
            broadcast,
            reference: matches!(topic.cleanup, Cleanup::Compact { .. }),
            dead_letters: topic.dead_letter_topic().filter(|_| owns_dead_letters),
        })
    }

    fn not_listed(&self, what: &str, name: &str) -> anyhow::Error {
        anyhow!("{}: there is no {what} `{name}`: add it", self.topology.file_name)
    }
}

/// Reads and checks the topology.
///
/// # Errors
/// All its problems, a line each.
pub fn load_topology() -> Result<Topology> {
    checked(Topology::load_default())
}

/// Reads and checks the topology in a file.
///
/// # Errors
/// All its problems, a line each.
pub fn load_topology_at(path: &Path) -> Result<Topology> {
    checked(Topology::load(path))
}

fn checked(read: Result<Topology, Vec<Problem>>) -> Result<Topology> {
    let lines = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let topology = read.map_err(|problems| anyhow!(lines(&problems)))?;
    let problems = topology.check();
    if !problems.is_empty() {
        bail!(lines(&problems));
    }
    Ok(topology)
}

impl Running {
    /// Runs `work` on a thread named after the component.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn spawn(
        &mut self,
        component: &str,
        lane: usize,
        work: impl FnOnce() -> Result<(), LaneError> + Send + 'static,
    ) -> Result<()> {
        let handle = std::thread::Builder::new().name(format!("{component}-{lane}")).spawn(work)?;
        self.0.push((component.to_owned(), handle));
        Ok(())
    }

    /// Whether a component has ended by itself.
    pub fn any_ended(&self) -> bool {
        self.0.iter().any(|(_, handle)| handle.is_finished())
    }

    /// Waits until the first component ends or `stop` is set, then ends all others.
    ///
    /// # Errors
    /// The first component's error that did not end cleanly.
    pub fn wait(self, stop: &AtomicBool) -> Result<(), LaneError> {
        while !stop.load(Ordering::Relaxed) && !self.any_ended() {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.stop_and_join(stop)
    }

    /// Ends all components and waits until they have.
    ///
    /// # Errors
    /// The first component's error that did not end cleanly.
    pub fn stop_and_join(self, stop: &AtomicBool) -> Result<(), LaneError> {
        stop.store(true, Ordering::Relaxed);
        let mut first_error = None;
        for (component, handle) in self.0 {
            let ended = handle.join().unwrap_or_else(|_| Err(LaneError::Fatal(format!("{component} panicked"))));
            if let Err(error) = ended {
                tracing::error!(component, %error, "ended");
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// The exit code for how a process ended.
pub fn exit_code(ended: &Result<(), LaneError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(LaneError::Fenced(_)) => ExitCode::from(EXIT_FENCED),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Sets `stop` on SIGTERM or SIGINT. They are caught from the return on: before, they end the process at once.
///
/// # Errors
/// If the signals can't be caught.
pub fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    let stop = Arc::clone(stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut term, mut int) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            tracing::info!("stopping");
            stop.store(true, Ordering::Relaxed);
        });
    })?;
    Ok(())
}

/// Serves `/metrics`, `/healthz` and `/readyz` at `TAPELINE_HTTP`, or at `default` if that is not set.
///
/// # Errors
/// If the address is malformed or taken.
pub fn serve_http(app: &App, default: &str) -> Result<SocketAddr> {
    let text = std::env::var("TAPELINE_HTTP").unwrap_or_else(|_| default.to_owned());
    let address: SocketAddr = text
        .parse()
        .with_context(|| format!("TAPELINE_HTTP is `{text}`: set it to an address such as 127.0.0.1:9464"))?;
    let bound = serve::serve(address, app.metrics.clone())?;
    let bound = *app.http.get_or_init(|| bound);
    tracing::info!(http = %bound, "serving /metrics, /healthz, /readyz");
    Ok(bound)
}

/// The `main` of a binary with one component: `start` spawns it.
pub fn main(start: fn(&Arc<App>, &mut Running) -> Result<()>) -> ExitCode {
    serve::init_logs();
    let started = App::from_env().and_then(|app| {
        stop_on_signals(&app.stop)?;
        serve_http(&app, "127.0.0.1:0")?;
        let mut running = Running::default();
        start(&app, &mut running)?;
        Ok((app, running))
    });
    match started {
        Ok((app, running)) => exit_code(&running.wait(&app.stop)),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
