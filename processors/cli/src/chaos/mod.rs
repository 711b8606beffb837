//! `tapeline chaos`: a load, processes and servers killed under it at random, and the proof that nothing came of it.
//!
//! All parts are real: each component is a process of its own, the servers are local parts in a folder of their own. A
//! seed gives the victims, the ways and the moments ([`plan`]); moments are counted in acknowledged commands. After the
//! last strike everything comes to rest, and then this is compared:
//!
//! 1. `orders` holds each acknowledged command exactly once, in the publisher's order ([`replay::compare_published`]).
//! 2. The seven invariants hold over the whole log and both databases ([`crate::verify`]): one verdict for each command.
//! 3. Every record of every output topic is what an undisturbed replay of the committed inputs gives, in order, none lost
//!    and none doubled ([`replay`]). This holds for all of the flow, whatever the interleaving was.
//! 4. Both databases, wiped and filled again by sinks that nobody disturbs, hold the same rows in every table.
//! 5. The same commands once more through an emptied stack that nobody disturbs give the same trades, orders, balances and
//!    quotes in all books whose input order does not depend on timing ([`twin`], [`load`]).
//!
//! With three brokers, [`failover`] comes first: the leader of each topic is killed under load.
//!
//! Two other scenarios end with comparisons 1 to 3 as well: a rolling restart ([`rolling`]) and an overload ([`overload`]).
//!
//! What is absent: power cuts. A killed server keeps what it had given to the operating system.

mod comparison;
mod failover;
mod fleet;
mod load;
mod overload;
mod plan;
mod replay;
mod rolling;
mod twin;

pub use comparison::Comparison;

use crate::fingerprint::{Fingerprint, fingerprints};
use crate::rig::{Events, Site};
use crate::run::{DRAINING, VIEWS};
use crate::{demo, drain, parts, publish, verify};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use fleet::Fleet;
use load::{Flow, Load, LoadSpec, Manner, Published};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tapeline_schemas::topic;
use tapeline_schemas::wire::Command;

/// Commands for each strike, if their number is not given: at 2,000 a second a strike each 2.5 s.
const COMMANDS_PER_STRIKE: u64 = 5_000;
/// A strike that must wait for the end of an earlier one lets the load go on for so many commands: all strikes meet a load.
const MOST_OVERDUE_COMMANDS: u64 = COMMANDS_PER_STRIKE;
const FEWEST_COMMANDS: u64 = 20_000;
/// How long anything may take, and more for each thousand commands: a busy machine included.
const PATIENCE: Duration = Duration::from_secs(240);
const PATIENCE_PER_THOUSAND: Duration = Duration::from_secs(2);
/// How long the pipeline is waited for between two looks at the processes.
const DRAIN_STEP: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const REBUILD_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often an undisturbed run is tried.
const TWIN_ATTEMPTS: u32 = 3;
/// How much faster the undisturbed twin is fed through a single broker. Three of them on a small machine take little more than
/// the load's own rate: at four times that members lost their sessions, and the twin was disturbed by its own load.
const TWIN_SPEED_UP: u64 = 4;
/// Goal for three brokers: no processor without a commit for longer.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(10);

/// What is done to the pipeline.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scenario {
    /// Processes and servers are killed, ended and stood still at random.
    #[default]
    Kills,
    /// Three instances of each processor are restarted one by one.
    Rolling,
    /// Five times more commands come than the pipeline takes.
    Overload,
}

/// Options of `tapeline chaos`.
#[derive(Args, Debug, Clone)]
pub struct ChaosOptions {
    /// What is done to the pipeline.
    #[arg(long, value_enum, default_value_t)]
    pub scenario: Scenario,
    /// Kills: how many times a process is killed, ended or stood still.
    #[arg(long, default_value_t = 20)]
    pub kills: u32,
    /// The same seed gives the same load, victims, ways and moments.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Kills, rolling: commands a second.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rate: u64,
    /// How many commands to publish; rolling: before the first restart. If it is not given: 5,000 for each kill, 90 s of a load
    /// before the first restart, two minutes of overload.
    #[arg(long)]
    pub orders: Option<u64>,
    /// Brokers, 1 or 3. With 3, the leader of each topic is killed first and the failover is measured.
    #[arg(long, default_value_t = 1)]
    pub brokers: u16,
    /// Delete what is in the folder `chaos` of TAPELINE_HOME and begin.
    #[arg(long)]
    pub yes: bool,
}

/// What a run has shown.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was compared.
    pub comparisons: Vec<Comparison>,
    /// Times that were compared with a goal: they depend on the machine.
    pub timings: Vec<Comparison>,
    /// Strikes that were carried out, by victim.
    pub struck: BTreeMap<String, u32>,
    /// Processes that ended by a signal that nobody had sent. They were started again.
    pub crashes: Vec<String>,
    /// With three brokers: the longest time without a commit, by processor.
    pub standstill: Option<BTreeMap<&'static str, Duration>>,
}

impl Outcome {
    /// Whether all comparisons hold, nothing crashed and no failover took too long.
    pub fn holds(&self) -> bool {
        let quick = |times: &BTreeMap<_, Duration>| times.values().all(|time| *time < LONGEST_STANDSTILL);
        let equal = self.comparisons.iter().chain(&self.timings).all(Comparison::holds);
        equal && self.crashes.is_empty() && self.standstill.as_ref().is_none_or(quick)
    }
}

/// `tapeline chaos`: runs in `$TAPELINE_HOME/chaos` and takes its parts down in the end.
///
/// # Errors
/// If it was not allowed to delete data, if a component ended in a way that nobody ordered, or if a server is away.
pub fn chaos(options: &ChaosOptions) -> Result<ExitCode> {
    let home = parts::home_from_env()?.join("chaos");
    if !options.yes {
        bail!("this deletes the data in {} and kills the servers there: say --yes if that is meant", home.display());
    }
    let binary = std::env::current_exe()?;
    let outcome = run(options, &home, binary.parent().context("the folder of this binary")?)?;
    Ok(if outcome.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs on a stack in `home`, whose data is deleted, with the components' binaries in `executables`. The parts are stopped
/// in the end.
///
/// # Errors
/// If a component ended in a way that nobody ordered, or if a server is away.
pub fn run(options: &ChaosOptions, home: &Path, executables: &Path) -> Result<Outcome> {
    let site = Site::new(home, executables, options.brokers)?;
    let mut events = Events::create(&home.join("report.txt"))?;
    let mut work = Run { options, site: &site, events: &mut events };
    let result = match options.scenario {
        Scenario::Kills => work.kills(),
        Scenario::Rolling => rolling::run(&mut work),
        Scenario::Overload => overload::run(&mut work),
    };
    if let Err(error) = &result {
        events.note(&format!("failed: {error:#}"));
    }
    println!("Report: {}", events.path().display());
    let stopped = site.parts(&["down"]);
    let outcome = result?;
    stopped?;
    Ok(outcome)
}

struct Run<'a> {
    options: &'a ChaosOptions,
    site: &'a Site,
    events: &'a mut Events,
}

impl Run<'_> {
    fn kills(&mut self) -> Result<Outcome> {
        let ChaosOptions { kills, seed, rate, brokers, .. } = *self.options;
        let most = self.options.orders.unwrap_or((u64::from(kills) * COMMANDS_PER_STRIKE).max(FEWEST_COMMANDS));
        let began_at = Instant::now();
        self.events.note(&format!("seed {seed}: {kills} kills, {most} commands at {rate}/s, {brokers} brokers"));
        self.site.fresh()?;
        let flow = self.flow()?;
        let mut fleet = Fleet::start_all(self.site)?;
        self.introduce(&flow)?;
        let mut rest_of_flow = flow.clone();
        let (mut commands, mut standstill) = (0, None);
        if brokers == 3 {
            let (published, times) = self.failover(&mut fleet, rest_of_flow)?;
            (rest_of_flow, commands, standstill) = (published.flow, published.commands, Some(times));
        }
        let (published, struck) = self.disturbed(&mut fleet, rest_of_flow, most)?;
        commands += published.commands;
        let patience = self.patience(commands);
        self.rest(&mut fleet, patience)?;
        let (fenced, crashes) = (fleet.fenced, std::mem::take(&mut fleet.crashes));
        self.events.note(&format!("at rest; {fenced} times a component ended as fenced and was started again"));
        fleet.stop(self.events)?;

        let mut comparisons = self.check_log(&flow, commands)?;
        comparisons.push(self.rebuild_views(patience)?);
        self.announce(comparisons.last());
        let outcome = twin::Outcome::read(&self.site.app.addresses)?;
        let undisturbed = self.undisturbed(&flow, commands, patience)?;
        comparisons.push(outcome.compare(&undisturbed));
        self.announce(comparisons.last());

        let outcome = Outcome { comparisons, timings: Vec::new(), struck, crashes, standstill };
        self.summary(&outcome, commands, began_at);
        Ok(outcome)
    }

    fn flow(&self) -> Result<Flow> {
        let partitions = self.site.app.topology.topic(topic::ORDERS).map_or(0, |orders| orders.partitions);
        Flow::new(self.options.seed, partitions, demo::now_ms())
    }

    /// How long the pipeline may take to come to rest.
    fn patience(&self, commands: u64) -> Duration {
        PATIENCE + PATIENCE_PER_THOUSAND * (commands / 1_000) as u32
    }

    fn announce(&mut self, comparison: Option<&Comparison>) {
        if let Some(comparison) = comparison {
            self.events.note(&comparison.to_string());
        }
    }

    /// Reference data and deposits.
    fn introduce(&mut self, flow: &Flow) -> Result<()> {
        let app = &self.site.app;
        let publisher = publish::commands(&app.addresses)?;
        demo::introduce(&app.topology, &app.addresses, &publisher, &flow.instruments(), flow.accounts().into_iter())?;
        self.events.note(&format!("{} accounts funded", flow.accounts().len()));
        Ok(())
    }

    fn load(&self, flow: Flow, most_commands: u64, rate_per_second: u64) -> Result<Load> {
        let spec = LoadSpec { flow, most_commands, rate_per_second, manner: Manner::Yielding, due: None };
        Ok(Load::start(publish::commands(&self.site.app.addresses)?, spec))
    }

    fn failover(&mut self, fleet: &mut Fleet<'_>, flow: Flow) -> Result<(Published, failover::Standstill)> {
        let load = self.load(flow, u64::MAX, self.options.rate)?;
        let times = failover::run(self.site, fleet, self.events);
        load.enough();
        let published = load.join()?;
        let times = times?;
        self.events.note(&format!(
            "failover: {} commands published at {:.0}/s; longest time without a commit: {}",
            published.commands,
            published.commands as f64 / published.time.as_secs_f64(),
            failover::shown(&times)
        ));
        Ok((published, times))
    }

    /// Looks after the processes until a load has ended by itself.
    fn outlast(&mut self, fleet: &mut Fleet<'_>, load: Load) -> Result<Published> {
        while !load.has_ended() {
            fleet.tick(self.events)?;
            std::thread::sleep(LOOK_EVERY);
        }
        load.join()
    }

    /// The load with all strikes.
    fn disturbed(
        &mut self,
        fleet: &mut Fleet<'_>,
        flow: Flow,
        most: u64,
    ) -> Result<(Published, BTreeMap<String, u32>)> {
        let mut due: VecDeque<plan::Event> =
            plan::plan(self.options.seed, self.options.kills, most, self.options.brokers).into();
        let mut struck = BTreeMap::new();
        let load = self.load(flow, most, self.options.rate)?;
        while !load.has_ended() || !due.is_empty() {
            fleet.tick(self.events)?;
            let reached = load.acknowledged();
            load.limit(due.front().map_or(u64::MAX, |event| event.at_command + MOST_OVERDUE_COMMANDS));
            if let Some(event) = due.front().copied()
                && (event.at_command <= reached || load.has_ended())
                && !fleet.is_busy(&event.deed)
            {
                due.pop_front();
                let whom = fleet.perform(&event.deed).with_context(|| event.deed.to_string())?;
                if let plan::Deed::Strike { victim, .. } = event.deed {
                    *struck.entry(victim.to_string()).or_default() += 1;
                }
                self.events
                    .note(&format!("{reached} commands (planned {}): {} [{whom}]", event.at_command, event.deed));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let published = load.join()?;
        let rate = published.commands as f64 / published.time.as_secs_f64();
        let seconds = published.time.as_secs_f64();
        self.events.note(&format!("{} commands published in {seconds:.1} s, {rate:.0}/s", published.commands));
        Ok((published, struck))
    }

    /// Waits until nothing is under way, ends the clock and waits until everything is taken. Only without a clock does the
    /// log have an end: a tick after the last look would be an input that nobody has taken.
    fn rest(&mut self, fleet: &mut Fleet<'_>, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        self.wait_whole(fleet, deadline)?;
        if fleet.runs(crate::clock::NAME) {
            fleet.stop_clock()?;
            self.wait_whole(fleet, deadline)?;
        }
        self.settle_down(fleet, patience)
    }

    fn wait_whole(&mut self, fleet: &mut Fleet<'_>, deadline: Instant) -> Result<()> {
        while !fleet.is_whole() {
            fleet.tick(self.events)?;
            ensure!(
                Instant::now() < deadline,
                "a process or server has not come back, or the clock has not ended, in time"
            );
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits until everything is taken that was there at the time of the last look; a clock may go on.
    fn settle_down(&mut self, fleet: &mut Fleet<'_>, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let running: Vec<&str> = DRAINING.into_iter().filter(|name| fleet.runs(name)).collect();
        loop {
            fleet.tick(self.events)?;
            match drain::wait(&self.site.app.topology, &self.site.app.addresses, &running, DRAIN_STEP) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context(format!("waited {patience:?}"))),
                Err(_) => {}
            }
        }
    }

    /// Comparisons 1 to 3.
    fn check_log(&mut self, flow: &Flow, commands: u64) -> Result<Vec<Comparison>> {
        let mut comparisons = Vec::new();
        let accounts = flow.accounts();
        let deposits: Vec<Command> = accounts.iter().flat_map(|funded| funded.deposits()).collect();
        let published = deposits.into_iter().chain(flow.clone().take(usize::try_from(commands)?));
        comparisons.push(replay::compare_published(&self.site.app, published)?);
        self.announce(comparisons.last());
        for comparison in verify(self.site)? {
            self.announce(Some(&comparison));
            comparisons.push(comparison);
        }
        comparisons.push(replay::compare(&self.site.app)?);
        self.announce(comparisons.last());
        Ok(comparisons)
    }

    /// Comparison 4.
    fn rebuild_views(&mut self, patience: Duration) -> Result<Comparison> {
        let addresses = &self.site.app.addresses;
        let before = fingerprints(addresses)?;
        self.site.wipe_views()?;
        let empty = fingerprints(addresses)?;
        ensure!(empty.values().all(|(rows, _)| *rows == 0), "the databases were not wiped: {empty:?}");
        let mut sinks = Fleet::start(self.site, &VIEWS)?;
        // The groups' offsets stand at the end still: only the views themselves tell how far they are.
        let deadline = Instant::now() + patience;
        let mut after = empty;
        while after != before && Instant::now() < deadline {
            sinks.tick(self.events)?;
            std::thread::sleep(REBUILD_LOOK_EVERY);
            after = fingerprints(addresses)?;
        }
        sinks.stop(self.events)?;
        Ok(same_tables(&before, &after))
    }

    /// The same commands through an emptied stack; its outcome. Whatever else the machine does can make a process stand still
    /// for longer than its group waits: such a run was disturbed, and another one is made.
    fn undisturbed(&mut self, flow: &Flow, commands: u64, patience: Duration) -> Result<twin::Outcome> {
        for _ in 0..TWIN_ATTEMPTS {
            if let Some(outcome) = self.twin(flow, commands, patience)? {
                return Ok(outcome);
            }
            self.events.note("the undisturbed run was disturbed: a process stood still and was fenced");
        }
        bail!("no run of {TWIN_ATTEMPTS} was undisturbed: is the machine busy with other things?")
    }

    /// The outcome of one run, unless a process was fenced in it.
    fn twin(&mut self, flow: &Flow, commands: u64, patience: Duration) -> Result<Option<twin::Outcome>> {
        self.site.fresh()?;
        let mut fleet = Fleet::start_all(self.site)?;
        self.introduce(flow)?;
        let speed_up = if self.options.brokers == 1 { TWIN_SPEED_UP } else { 1 };
        let load = self.load(flow.clone(), commands, self.options.rate * speed_up)?;
        self.outlast(&mut fleet, load)?;
        self.rest(&mut fleet, patience)?;
        ensure!(fleet.crashes.is_empty(), "a component crashed in the undisturbed run: {}", fleet.crashes.join("; "));
        let is_undisturbed = fleet.fenced == 0;
        fleet.stop(self.events)?;
        is_undisturbed.then(|| twin::Outcome::read(&self.site.app.addresses)).transpose()
    }

    fn summary(&mut self, outcome: &Outcome, commands: u64, began_at: Instant) {
        for (victim, count) in &outcome.struck {
            self.events.note(&format!("struck {count} times: {victim}"));
        }
        let strikes: u32 = outcome.struck.values().sum();
        let verdict = if outcome.holds() { "everything is equal" } else { "FAILED, see above" };
        self.events.note(&format!("{} crashes", outcome.crashes.len()));
        let ChaosOptions { seed, .. } = self.options;
        self.events.note(&format!(
            "seed {seed}: {strikes} strikes, {commands} commands, {:.0} s in all: {verdict}",
            began_at.elapsed().as_secs_f64()
        ));
    }
}

/// The seven invariants over the whole log and both databases.
fn verify(site: &Site) -> Result<Vec<Comparison>> {
    let audit = verify::audit(&site.app)?;
    let comparison = |finding: verify::Finding| Comparison {
        what: format!("{} ({})", finding.invariant, finding.checked),
        compared: 1,
        count: finding.count,
        differences: finding.violations,
    };
    Ok(audit.findings.into_iter().map(comparison).collect())
}

fn same_tables(before: &BTreeMap<String, Fingerprint>, after: &BTreeMap<String, Fingerprint>) -> Comparison {
    let mut comparison = Comparison::new("rows of both databases = the same after a wipe, filled again undisturbed");
    for (table, fingerprint) in before {
        comparison.compared += fingerprint.0;
        if after.get(table) != Some(fingerprint) {
            comparison.difference(|| format!("{table}: {fingerprint:?}, filled again {:?}", after.get(table)));
        }
    }
    if before.len() != after.len() {
        comparison.difference(|| format!("{} tables, filled again {}", before.len(), after.len()));
    }
    comparison
}
