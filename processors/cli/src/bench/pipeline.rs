//! The pipeline on its stack, and windows in which a load goes through it.

use super::flow::{Popularity, Prepared, encoder, generator};
use super::load::{Pace, publish};
use super::peer::{self, Tuning};
use super::report;
use super::usage::{Usage, usage};
use super::views::ViewWatch;
use crate::component::{self, Component};
use crate::latency::{DueTimes, Latencies, Seen, Stage, StageWatch};
use crate::rig::{Events, Site};
use crate::run::{DRAINING, PROCESSORS, VIEWS};
use crate::verify::{self, Audit, NO_OVERDRAFT};
use crate::{clock, demo, drain};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tapeline_kafka::admin::Admin;
use tapeline_kafka::publisher::Publisher;
use tapeline_kafka::reader::PartitionReader;
use tapeline_replay::generate::Generator;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::{Reader, Record};
use tapeline_schemas::codec::Encoder;
use tapeline_schemas::topic;
use tapeline_schemas::wire;

/// How long the pipeline may take to start, to come to rest after a window, and to end.
const PATIENCE: Duration = Duration::from_secs(900);
/// The last record of a topic lies within so many offsets of its end: what comes after it are markers.
const TAIL_OFFSETS: i64 = 2_000;
/// A pipeline is warm when an order takes at least this share of the least processor time that one took before.
const WARM: f64 = 0.95;
/// The load's name among the processes.
const LOAD: &str = "load";

/// How components run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each as a binary of its own.
    Separate,
    /// All in one process.
    OneProcess,
    /// The peer on Kafka Streams instead, see [`super::peer`]; of Tapeline the clock alone.
    Peer(Tuning),
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) mode: Mode,
    /// Of each processor, where all run in one process; a binary has one.
    pub(super) lanes: usize,
    /// Whether both views are kept.
    pub(super) views: bool,
    /// Partitions of each topic that has several.
    pub(super) partitions: i32,
    pub(super) popularity: Popularity,
}

/// Components at work, with instruments listed and accounts funded.
pub(super) struct Pipeline<'a> {
    site: &'a Site,
    setup: Setup,
    members: Vec<Component>,
    flow: Generator,
    encoder: Encoder<wire::Command>,
    publisher: Publisher,
}

/// What a window has shown.
pub(super) struct Window {
    pub(super) commands: usize,
    /// From the broker's time of the first command to that of the last settlement; with views until they have it too.
    pub(super) time: Duration,
    /// From when an order was due until what it led to could be read, by stage or view; empty if it was not watched.
    pub(super) latencies: BTreeMap<&'static str, Latencies>,
    /// Of each process, the load among them.
    pub(super) usage: BTreeMap<String, Usage>,
}

impl Window {
    pub(super) fn commands_per_second(&self) -> f64 {
        self.commands as f64 / self.time.as_secs_f64()
    }

    /// Seconds of processor that everything took.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.usage.values().map(|used| used.cpu_seconds).sum()
    }
}

impl<'a> Pipeline<'a> {
    /// Starts everything on a stack that is empty.
    pub(super) fn start(site: &'a Site, setup: Setup) -> Result<Self> {
        let app = &site.app;
        let mut pipeline = Self {
            site,
            setup,
            members: Vec::new(),
            flow: generator(setup.popularity)?,
            encoder: encoder(&site.app)?,
            publisher: Publisher::open(&app.addresses.kafka, "upstream")?,
        };
        match setup.mode {
            Mode::Separate => {
                for name in pipeline.names() {
                    pipeline.spawn(component::command(&site.executables, name)?, name)?;
                }
            }
            Mode::OneProcess => {
                let mut command = Command::new(site.executables.join("tapeline"));
                command.arg("run").args(["--lanes", &setup.lanes.to_string()]).args(pipeline.names());
                pipeline.spawn(command, "tapeline")?;
            }
            Mode::Peer(tuning) => {
                // It reads all instruments before it is ready, and nobody's journal tells when it knows of a later one.
                demo::list(
                    &app.addresses,
                    &pipeline.flow.instruments(),
                    &pipeline.flow.accounts().collect::<Vec<_>>(),
                )?;
                pipeline.spawn(component::command(&site.executables, clock::NAME)?, clock::NAME)?;
                pipeline.spawn(peer::command(site, tuning)?, peer::NAME)?;
            }
        }
        pipeline.members.iter_mut().try_for_each(|member| {
            if member.name == peer::NAME {
                return member.wait_said(peer::READY, PATIENCE);
            }
            member.wait_http()?;
            member.wait_ready(PATIENCE)
        })?;
        let (publisher, accounts) = (crate::publish::commands(&app.addresses)?, pipeline.flow.accounts());
        match setup.mode {
            Mode::Peer(_) => {
                demo::fund(&publisher, &accounts.collect::<Vec<_>>())?;
                pipeline.drain()?;
            }
            Mode::Separate | Mode::OneProcess => {
                demo::introduce(&app.topology, &app.addresses, &publisher, &pipeline.flow.instruments(), accounts)?;
            }
        }
        Ok(pipeline)
    }

    /// Processors and views: what takes records until there are none.
    fn draining(&self) -> Vec<&'static str> {
        if self.setup.views { DRAINING.to_vec() } else { PROCESSORS.to_vec() }
    }

    /// Waits until everything has been taken.
    fn drain(&self) -> Result<()> {
        let (topology, addresses) = (&self.site.app.topology, &self.site.app.addresses);
        match self.setup.mode {
            Mode::Peer(_) => drain::wait_groups(topology, addresses, &[peer::group()], PATIENCE),
            Mode::Separate | Mode::OneProcess => drain::wait(topology, addresses, &self.draining(), PATIENCE),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        [self.draining(), vec![clock::NAME]].concat()
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> Result<()> {
        self.site.environment(&mut command);
        self.members.push(Component::spawn(command, name, name, self.site.log(name))?);
        Ok(())
    }

    /// Windows that do not count, `most` at most, until the last one took hardly less processor time for an order than the
    /// best before it.
    pub(super) fn warm_up(&mut self, load: (usize, Pace), most: u32, watched: bool, events: &mut Events) -> Result<()> {
        let mut least_micros = f64::INFINITY;
        for _ in 0..most {
            let window = self.window(load, watched)?;
            let micros = window.cpu_seconds() * 1e6 / window.commands as f64;
            events.note(&format!("warm-up, not counted: {}", report::line(&window)));
            if micros >= least_micros * WARM {
                break;
            }
            least_micros = micros;
        }
        Ok(())
    }

    /// Sends so many commands and waits until everything has taken them. `watched`: tells latencies too.
    pub(super) fn window(&mut self, (commands, pace): (usize, Pace), watched: bool) -> Result<Window> {
        let prepared = Prepared::take(&mut self.flow, commands, &self.encoder, self.setup.partitions)?;
        ensure!(prepared.len() == commands, "the flow has ended");
        let app = &self.site.app;
        let admin = Admin::connect(&app.addresses.kafka)?;
        let ends = |topic: &str| Ok::<_, anyhow::Error>(admin.watermarks(topic)?.iter().map(|at| at.end).collect());
        let (orders_from, settled_from): (Vec<i64>, Vec<i64>) = (ends(topic::ORDERS)?, ends(topic::SETTLED)?);
        let due = DueTimes::begin(app)?;
        let watches = if watched { Some(self.watch(&due)?) } else { None };

        let before = self.usage()?;
        publish(&self.publisher, &prepared, pace, watched.then_some(&*due))?;
        self.drain()?;
        let drained_ms = demo::now_ms();
        let after = self.usage()?;

        let latencies = watches.map_or_else(|| Ok(BTreeMap::new()), Watches::end)?;
        if watched {
            due.check_alone(app)?;
        }
        let first_ms = self.append_times(topic::ORDERS, &orders_from, |_| Ok(true))?.0;
        let mut settlement = decoder::<wire::Settlement>(topic::SETTLED, &(Arc::clone(&app.registry) as _))
            .map_err(anyhow::Error::msg)?;
        // An order that expires at rest, with a tick of the clock up to a second later, is not what the load waits for.
        let last_settlement_ms = self
            .append_times(topic::SETTLED, &settled_from, |record| {
                Ok(settlement.decode(record.payload.as_deref())?.kind != wire::SettlementKind::Expired)
            })?
            .1;
        // Views that keep up have all of it by then: what they lag behind counts.
        let last_ms = if self.setup.views { drained_ms } else { last_settlement_ms };
        let time = Duration::from_millis(u64::try_from(last_ms - first_ms).context("the broker's clock was set back")?);
        let used =
            |(name, now): (&String, &Usage)| (name.clone(), *now - before.get(name).copied().unwrap_or_default());
        Ok(Window { commands, time, latencies, usage: after.iter().map(used).collect() })
    }

    fn watch(&self, due: &Arc<DueTimes>) -> Result<Watches> {
        let app = &self.site.app;
        let mut views = BTreeMap::new();
        let mut seen = Vec::new();
        if self.setup.views {
            for name in VIEWS {
                let settled = Arc::new(Seen::default());
                views.insert(name, ViewWatch::start(app, name, Arc::clone(due), Arc::clone(&settled))?);
                seen.push(settled);
            }
        }
        let mut stages = BTreeMap::new();
        for (name, stage) in
            [("1 validated", Stage::Validated), ("2 executed", Stage::Executed), (super::SETTLED, Stage::Settled)]
        {
            let seen = if stage == Stage::Settled { std::mem::take(&mut seen) } else { Vec::new() };
            stages.insert(name, StageWatch::start(app, stage, Arc::clone(due), seen)?);
        }
        Ok(Watches { stages, views })
    }

    /// Append times of the first and of the last committed record of a topic since these offsets; the last of those that
    /// `counts`.
    fn append_times(
        &self,
        topic: &str,
        from: &[i64],
        mut counts: impl FnMut(&Record) -> Result<bool>,
    ) -> Result<(i64, i64)> {
        let kafka = &self.site.app.addresses.kafka;
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for (partition, (marks, from)) in Admin::connect(kafka)?.watermarks(topic)?.iter().zip(from).enumerate() {
            if marks.end <= *from {
                continue;
            }
            let partition = partition as i32;
            if let Some(record) = PartitionReader::open(kafka, topic, partition, *from)?.next()? {
                first = first.min(record.timestamp_ms);
            }
            let mut reader = PartitionReader::open(kafka, topic, partition, (marks.end - TAIL_OFFSETS).max(*from))?;
            while let Some(record) = reader.next()? {
                if counts(&record)? {
                    last = last.max(record.timestamp_ms);
                }
            }
        }
        ensure!(first <= last, "nothing came to {topic} in this window");
        Ok((first, last))
    }

    /// Name and id of each component and server.
    pub(super) fn processes(&self) -> Result<Vec<(String, u32)>> {
        let members = self.members.iter().map(|member| (member.name.clone(), member.id()));
        let servers = self.site.servers()?.into_iter().map(|(name, id)| (format!("{name} server"), id));
        Ok(members.chain(servers).collect())
    }

    fn usage(&self) -> Result<BTreeMap<String, Usage>> {
        let mut processes = self.processes()?;
        // The components are children of this process: whoever comes first in the list gets a process.
        processes.push((LOAD.to_owned(), std::process::id()));
        usage(&processes)
    }

    /// Ends all components and checks what is in the log and the views.
    pub(super) fn stop(self) -> Result<Audit> {
        self.members.into_iter().try_for_each(|member| member.terminate(PATIENCE))?;
        let audit = if self.setup.views { verify::audit(&self.site.app) } else { verify::audit_log(&self.site.app) }?;
        // The peer has no journal, which alone tells in which order the validator took its inputs.
        let has_journal = !matches!(self.setup.mode, Mode::Peer(_));
        let judged = audit.findings.iter().filter(|finding| has_journal || finding.invariant != NO_OVERDRAFT);
        let wrong: Vec<String> = judged.flat_map(|finding| finding.violations.clone()).collect();
        ensure!(wrong.is_empty(), "the results are wrong:\n{}", wrong.join("\n"));
        // Nor does the audit know without it which commands must have a verdict: all of them, at rest.
        let flow = &audit.flow;
        let verdicts = flow.accepted + flow.rejected.values().sum::<u64>();
        ensure!(verdicts == flow.commands, "{} commands have {verdicts} verdicts", flow.commands);
        Ok(audit)
    }
}

struct Watches {
    stages: BTreeMap<&'static str, StageWatch>,
    views: BTreeMap<&'static str, ViewWatch>,
}

impl Watches {
    fn end(self) -> Result<BTreeMap<&'static str, Latencies>> {
        let mut latencies = BTreeMap::new();
        for (name, watch) in self.stages {
            latencies.insert(name, watch.end()?);
        }
        for (name, watch) in self.views {
            latencies.insert(name, watch.end()?);
        }
        Ok(latencies)
    }
}
