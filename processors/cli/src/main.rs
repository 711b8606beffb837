//! The `tapeline` command.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tapeline_cli::bench::{self, BenchOptions};
use tapeline_cli::chaos::{self, ChaosOptions};
use tapeline_cli::demo::{self, DemoOptions};
use tapeline_cli::{apply, check, dlq, parts, publish, run, status, tx, verify};
use tapeline_kafka::app::{self, App, Running, load_topology};
use tapeline_replay::generate::{Config, Generator};
use tapeline_replay::pace::{Pace, Schedule};
use tapeline_replay::{aapl, market};
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::serve::init_logs;
use tapeline_schemas::{topic, wire};

/// Tapeline: a Kafka-native trading pipeline. Kafka is the system of record; all else can be rebuilt from it.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The main job: start everything, send orders through, and show that it holds.
    Demo(DemoOptions),
    /// Install (first time) and start Kafka, registry, TimescaleDB and ClickHouse in a folder of their own.
    Up,
    /// Stop them; data stays.
    Down,
    /// What runs, and where; consumer groups with their members and lag; open transactions.
    Status(status::Options),
    /// Delete their data.
    Reset {
        /// Do it without asking again.
        #[arg(long)]
        yes: bool,
    },
    /// Check topology.toml, and with --live whether the log holds what restarts need.
    Check(check::Options),
    /// Make topics, subjects and tables match topology.toml; shows the plan first.
    Apply {
        /// Carry the plan out without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Print the topology as Mermaid.
    Graph {
        /// Write it as SVG to this file too.
        #[arg(long)]
        svg: Option<PathBuf>,
    },
    /// Run components in this process: all, or those named (validator executor settler timescale clickhouse clock).
    Run {
        /// Components.
        components: Vec<String>,
        /// Lanes (threads) of each processor.
        #[arg(long, default_value_t = 1)]
        lanes: usize,
    },
    /// Publish reference data from a JSON file: {"instruments": [...], "accounts": [...]}, fields as in schemas/.
    Reference {
        /// The file.
        file: PathBuf,
    },
    /// Dead letters: list them, show them, put them back into their topic after a fix.
    #[command(subcommand)]
    Dlq(dlq::Verb),
    /// Publish a file as an upstream exchange or an outside venue would; its format is told by its header line.
    Replay(Replay),
    /// Measure throughput and latency beside their goals. Wipes a stack of its own.
    Bench(BenchOptions),
    /// Kill processes and servers under load, and show that nothing came of it. Wipes a stack of its own.
    Chaos(ChaosOptions),
    /// Publish generated orders as an upstream exchange would.
    Generate(Generate),
    /// Open transactions: list them, abort one that blocks readers.
    #[command(subcommand)]
    Tx(tx::Tx),
    /// Prove that both views equal the log and that the log keeps its invariants; works while the pipeline runs.
    Verify(verify::VerifyOptions),
}

#[derive(Args)]
struct Replay {
    /// A file of orders, or of an outside venue's trades.
    #[arg(long)]
    orders: PathBuf,
    /// recorded, 10x, 5000/s or max.
    #[arg(long, default_value = "recorded")]
    pace: Pace,
    /// Instrument of the file.
    #[arg(long)]
    instrument: Option<String>,
    /// Venue of a file of trades.
    #[arg(long, default_value = "binance")]
    venue: String,
    /// Publish no instruments, accounts and deposits first.
    #[arg(long)]
    bare: bool,
}

#[derive(Args)]
struct Generate {
    /// How many commands.
    #[arg(long, default_value_t = 100_000)]
    orders: u64,
    /// Over how many instruments.
    #[arg(long, default_value_t = 50)]
    instruments: u32,
    /// Over how many accounts.
    #[arg(long, default_value_t = 5_000)]
    accounts: u32,
    /// The same seed gives the same flow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Commands a second in the mean; bursts are in the flow. 0: as fast as possible.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
}

fn main() -> ExitCode {
    init_logs();
    match perform(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tapeline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Demo(options) => return demo::demo(&options),
        Verb::Bench(options) => return bench::bench(&options),
        Verb::Chaos(options) => return chaos::chaos(&options),
        Verb::Up => parts::run(parts::Action::Up)?,
        Verb::Down => parts::run(parts::Action::Down)?,
        Verb::Status(options) => status::show(&options)?,
        Verb::Reset { yes } => parts::run(parts::Action::Reset { yes })?,
        Verb::Check(options) => check::check(options)?,
        Verb::Apply { yes } => apply(yes)?,
        Verb::Graph { svg } => graph(svg)?,
        Verb::Run { components, lanes } => return run_components(&components, lanes),
        Verb::Reference { file } => reference(&file)?,
        Verb::Dlq(verb) => dlq::perform(&verb)?,
        Verb::Replay(options) => replay(&options)?,
        Verb::Generate(options) => generate(&options)?,
        Verb::Tx(verb) => tx::perform(&verb)?,
        Verb::Verify(options) => return Ok(verify::verify(&options)),
    }
    Ok(ExitCode::SUCCESS)
}

fn apply(yes: bool) -> Result<()> {
    let (topology, addresses) = (load_topology()?, Addresses::from_env()?);
    let plan = apply::plan(&topology, &addresses)?;
    if plan.is_empty() {
        println!("Topics, subjects and tables match {}: nothing to do.", topology.file_name);
        return Ok(());
    }
    println!("To match {}:", topology.file_name);
    plan.iter().for_each(|step| println!("  {step}"));
    if !yes && !confirmed()? {
        bail!("nothing was changed");
    }
    apply::carry_out(&topology, &addresses, &plan, |step| println!("done: {step}"))
}

fn confirmed() -> Result<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("no terminal to ask at: pass --yes to carry the plan out");
    }
    print!("Carry it out? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn graph(svg: Option<PathBuf>) -> Result<()> {
    let topology = load_topology()?;
    print!("{}", topology.mermaid());
    if let Some(path) = svg {
        std::fs::write(&path, topology.svg()).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn run_components(components: &[String], lanes: usize) -> Result<ExitCode> {
    let app = App::from_env()?;
    app::stop_on_signals(&app.stop)?;
    app::serve_http(&app, "127.0.0.1:9464")?;
    let mut running = Running::default();
    run::spawn(&app, &mut running, components, lanes)?;
    Ok(app::exit_code(&running.wait(&app.stop)))
}

/// What `tapeline reference` reads.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceFile {
    #[serde(default)]
    instruments: Vec<wire::Instrument>,
    #[serde(default)]
    accounts: Vec<wire::Account>,
}

fn reference(path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let file: ReferenceFile = serde_json::from_str(&text)
        .with_context(|| format!("{}: fields and symbols are listed in schemas/reference.*.avsc", path.display()))?;
    for instrument in &file.instruments {
        tapeline_domain::types::Instrument::try_from(instrument.clone())
            .with_context(|| format!("{}: nothing was published", path.display()))?;
    }
    publish::reference(&Addresses::from_env()?, &file.instruments, &file.accounts)?;
    println!("{} instruments and {} accounts published.", file.instruments.len(), file.accounts.len());
    Ok(())
}

/// A stop flag that SIGTERM and Ctrl-C set.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::default();
    app::stop_on_signals(&stop)?;
    Ok(stop)
}

fn replay(options: &Replay) -> Result<()> {
    let (addresses, stop) = (Addresses::from_env()?, stop_flag()?);
    if tapeline_replay::detect(&options.orders)? == tapeline_replay::Format::MarketTrades {
        let instrument = options.instrument.as_deref().unwrap_or("XRP-ETH");
        let trades = market::Trades::open(&options.orders, &options.venue, instrument)?;
        let mut schedule = Schedule::new(options.pace)?;
        let mut first_us = None;
        let timed = trades.map(|tick| {
            let tick = tick?;
            let since_us = tick.at_us - *first_us.get_or_insert(tick.at_us);
            Ok((schedule.due(since_us.unsigned_abs() * 1_000), tick))
        });
        let publisher = publish::TopicPublisher::<wire::MarketTick>::open(&addresses, topic::MARKET_TICKS, "venues")?;
        let count = publish::paced(&publisher, timed, |tick| &tick.instrument, &stop, |_| {})?;
        println!("{count} trades published to {}.", topic::MARKET_TICKS);
        return Ok(());
    }
    let topology = load_topology()?;
    let file = aapl::OrderFile::read(&options.orders, &demo::file_options(&topology, options.instrument.as_deref()))?;
    let publisher = publish::commands(&addresses)?;
    if !options.bare {
        demo::introduce(&topology, &addresses, &publisher, &[file.instrument()], file.accounts().into_iter())?;
    }
    let timed = options.pace.schedule(file.commands())?.map(|(due, timed)| Ok((due, timed.command)));
    let count = publish::paced(&publisher, timed, |command| &command.account, &stop, |_| {})?;
    println!("{count} commands published to {}.", topic::ORDERS);
    Ok(())
}

fn generate(options: &Generate) -> Result<()> {
    let (addresses, stop) = (Addresses::from_env()?, stop_flag()?);
    let config = Config {
        instruments: options.instruments,
        accounts: options.accounts,
        commands: Some(options.orders),
        rate_per_second: options.rate.max(1),
        ..Config::new(options.seed, demo::now_ms())
    };
    let generator = Generator::new(config)?;
    let publisher = publish::commands(&addresses)?;
    demo::introduce(&load_topology()?, &addresses, &publisher, &generator.instruments(), generator.accounts())?;
    let pace = if options.rate == 0 { Pace::Max } else { Pace::Recorded };
    let timed = pace.schedule(generator)?.map(|(due, timed): (Duration, _)| Ok((due, timed.command)));
    let count = publish::paced(&publisher, timed, |command| &command.account, &stop, |_| {})?;
    println!("{count} commands published to {}.", topic::ORDERS);
    Ok(())
}
