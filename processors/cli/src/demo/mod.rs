//! `tapeline demo`: the main job from nothing to proven results, with all parts real and all components in one process.

mod chart;
mod console;
mod progress;
mod report;

use crate::publish::{self, TopicPublisher};
use crate::verify::audit;
use crate::{apply, drain, parts, run};
use anyhow::{Context, Result, bail};
use clap::Args;
use smol_str::SmolStr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tapeline_kafka::app::{self, App, Running, load_topology};
use tapeline_replay::generate::{Config, Generator};
use tapeline_replay::pace::Pace;
use tapeline_replay::{FundedAccount, Timed, aapl};
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::topology::Topology;
pub use tapeline_runtime::wall_clock::now_ms;
use tapeline_schemas::{topic, wire};

/// How long the pipeline may take to come to rest after the last order.
const PATIENCE: Duration = Duration::from_secs(600);
/// Seed of the demo's generated flow.
const SEED: u64 = 20_120_621;
/// Commands a second, unless it is told.
const RATE: u64 = 5_000;

/// Options of `tapeline demo`.
#[derive(Args, Debug, Clone)]
pub struct DemoOptions {
    /// How many orders and other commands to generate; or a file of orders, such as the AAPL hour, to replay.
    #[arg(long, default_value = "100000", value_name = "NUMBER or FILE")]
    pub orders: String,
    /// Over how many instruments.
    #[arg(long, default_value_t = 50)]
    pub instruments: u32,
    /// Over how many accounts.
    #[arg(long, default_value_t = 1_000)]
    pub accounts: u32,
    /// Commands a second, 0 is as fast as possible; 5000 if absent, with --console 100.
    #[arg(long)]
    pub rate: Option<u64>,
    /// Start a gateway with the web console beside, and a generated market that goes on until Ctrl-C.
    #[arg(long, conflicts_with = "orders")]
    pub console: bool,
    /// Leave the parts running afterwards.
    #[arg(long)]
    pub keep: bool,
}

impl DemoOptions {
    fn rate(&self) -> u64 {
        self.rate.unwrap_or(RATE)
    }
}

/// A stream of commands with all that must be there before it.
struct Source {
    what: String,
    instruments: Vec<wire::Instrument>,
    accounts: Vec<FundedAccount>,
    total: u64,
    commands: Box<dyn Iterator<Item = Timed>>,
}

/// Runs the demo; the exit code tells whether all invariants hold.
///
/// # Errors
/// If a part or a component fails.
pub fn demo(options: &DemoOptions) -> Result<ExitCode> {
    let topology = load_topology()?;
    let source = if options.console { None } else { Some(source(options, &topology)?) };
    parts::run(parts::Action::Up)?;
    let result = on_running_parts(options, source);
    if options.keep {
        println!("\nThe parts keep running (--keep): `tapeline status`, `tapeline down`, `tapeline reset`.");
    } else {
        parts::run(parts::Action::Down)?;
    }
    result
}

fn on_running_parts(options: &DemoOptions, source: Option<Source>) -> Result<ExitCode> {
    let app = App::from_env()?;
    app::stop_on_signals(&app.stop)?;
    let plan = apply::plan(&app.topology, &app.addresses)?;
    apply::carry_out(&app.topology, &app.addresses, &plan, |_| {})?;
    println!("Topology applied: {} steps.", plan.len());
    let Some(source) = source else {
        return console::on_running_parts(&app, options.instruments, options.accounts, options.rate);
    };

    let mut running = Running::default();
    run::spawn(&app, &mut running, &[], 1)?;
    let worked = send_and_wait(&app, &running, options, source);
    // The clock must stand still too before the log is read to its end.
    let ended = running.stop_and_join(&app.stop);
    let sent = worked?;
    ended.context("a component ended with an error")?;

    println!("\nReading the whole log and both databases back ...");
    let audit = audit(&app)?;
    report::print(&app, &audit, &sent)?;
    Ok(if audit.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was sent, for the report.
pub(crate) struct Sent {
    what: String,
    commands: u64,
    publishing: Duration,
    until_rest: Duration,
}

fn send_and_wait(app: &Arc<App>, running: &Running, options: &DemoOptions, source: Source) -> Result<Sent> {
    let publisher = publish::commands(&app.addresses)?;
    println!("Funding {} accounts, listing {} instruments ...", source.accounts.len(), source.instruments.len());
    introduce(&app.topology, &app.addresses, &publisher, &source.instruments, source.accounts.into_iter())?;

    println!("Sending {} ...", source.what);
    let started_at = Instant::now();
    let pace = if options.rate() == 0 { Pace::Max } else { Pace::Rate(options.rate()) };
    let timed = pace.schedule(source.commands)?.map(|(due, timed)| Ok((due, timed.command)));
    let display = progress::Progress::start(app, source.total);
    let published = |count| display.published(count);
    let commands = publish::paced(&publisher, timed, |command| &command.account, &app.stop, published)?;
    let publishing = started_at.elapsed();
    if app.stop.load(Ordering::Relaxed) || running.any_ended() {
        bail!("stopped before the end");
    }
    let components: Vec<&str> = run::COMPONENTS.into_iter().filter(|name| *name != crate::clock::NAME).collect();
    drain::wait(&app.topology, &app.addresses, &components, PATIENCE)?;
    drop(display);
    Ok(Sent { what: source.what, commands, publishing, until_rest: started_at.elapsed() })
}

fn source(options: &DemoOptions, topology: &Topology) -> Result<Source> {
    if let Ok(commands) = options.orders.parse::<u64>() {
        let config = Config {
            instruments: options.instruments,
            accounts: options.accounts,
            commands: Some(commands),
            rate_per_second: options.rate().max(1),
            ..Config::new(SEED, now_ms())
        };
        let generator = Generator::new(config)?;
        return Ok(Source {
            what: format!("{commands} generated commands over {} instruments", options.instruments),
            instruments: generator.instruments(),
            accounts: generator.accounts().collect(),
            total: commands,
            commands: Box::new(generator),
        });
    }
    let path = PathBuf::from(&options.orders);
    let file = aapl::OrderFile::read(&path, &file_options(topology, None))?;
    let commands: Vec<Timed> = file.commands().collect();
    Ok(Source {
        what: format!("{} commands of {}", commands.len(), path.display()),
        instruments: vec![file.instrument()],
        accounts: file.accounts(),
        total: commands.len() as u64,
        commands: Box::new(commands.into_iter()),
    })
}

/// How a file of orders is read. A venue's file is one sequence, and Kafka keeps the order within a partition only: the
/// made-up accounts are named so that all of them belong to one partition of `orders`.
pub fn file_options(topology: &Topology, instrument: Option<&str>) -> aapl::Options {
    let partitions = topology.topic(topic::ORDERS).map_or(1, |topic| topic.partitions);
    let default = aapl::Options::default();
    aapl::Options { instrument: instrument.map_or(default.instrument, SmolStr::new), partitions, ..default }
}

/// Publishes reference data and deposits, and waits until the validator knows all of it, so that no order that follows
/// fails for want of funds.
///
/// # Errors
/// If the servers are away, or no pipeline runs that would settle the deposits.
pub fn introduce(
    topology: &Topology,
    addresses: &Addresses,
    publisher: &TopicPublisher<wire::Command>,
    instruments: &[wire::Instrument],
    accounts: impl Iterator<Item = FundedAccount>,
) -> Result<()> {
    let accounts: Vec<FundedAccount> = accounts.collect();
    // Reference data and commands travel on different topics: what refers to it must come after the validator has it.
    let watch = drain::BroadcastWatch::begin(topology, addresses, tapeline_validator::NAME)?;
    list(addresses, instruments, &accounts)?;
    drain::wait(topology, addresses, &run::PROCESSORS, PATIENCE).context("is `tapeline run` at work?")?;
    watch.wait(topic::INSTRUMENTS, PATIENCE)?;
    fund(publisher, &accounts)?;
    drain::wait(topology, addresses, &run::PROCESSORS, PATIENCE)
}

/// Publishes reference data, and waits until the broker has it.
///
/// # Errors
/// If a record could not be delivered.
pub fn list(addresses: &Addresses, instruments: &[wire::Instrument], accounts: &[FundedAccount]) -> Result<()> {
    let accounts: Vec<wire::Account> = accounts.iter().map(|funded| funded.account.clone()).collect();
    publish::reference(addresses, instruments, &accounts)
}

/// Publishes deposits, and waits until the broker has them.
///
/// # Errors
/// If a record could not be delivered.
pub fn fund(publisher: &TopicPublisher<wire::Command>, accounts: &[FundedAccount]) -> Result<()> {
    for deposit in accounts.iter().flat_map(FundedAccount::deposits) {
        publisher.send(&deposit.account, &deposit)?;
    }
    publisher.flush()
}
