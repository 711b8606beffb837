//! `tapeline bench`: how fast the pipeline is on this machine, with all parts real, everything that it does checked.
//!
//! - *Open loop* ([`load`]): orders come at a steady rate; latency counts from when an order was due.
//! - *Saturation*: orders come as fast as the broker takes them; what counts is how many were settled in a second, from
//!   the first order to the last settlement, and with views until these have it too.
//!
//! A case begins on emptied topics. Windows of its own kind warm everything up and do not count, until an order takes hardly
//! less processor time than before: a broker whose JVM is cold takes several times as much, and compiles for minutes. Then
//! come the windows that count. Load, broker, databases and components share the machine, and the load's time counts like
//! that of others. After each case the log must keep its invariants and the views must equal it, or the case has failed.
//!
//! What is absent: a verdict by exit code on a figure. It is 0 if every case ran and its results were right.

mod ceiling;
mod core;
mod flow;
mod growth;
mod load;
mod memory;
mod peer;
mod pipeline;
mod plots;
mod rates;
mod report;
mod usage;
mod views;

use crate::parts;
use crate::rig::{Events, Site};
use anyhow::{Context, Result, bail};
use clap::Args;
use flow::Popularity;
use load::Pace;
use pipeline::{Mode, Pipeline, Setup};
use report::{Goal, Report};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `tapeline bench`.
#[derive(Args, Debug, Clone)]
pub struct BenchOptions {
    /// Only cases whose names contain this text.
    #[arg(long, default_value = "")]
    pub only: String,
    /// How often each case repeats its window.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// A tenth of the load and of the warm-up: shows that all of it runs, its figures mean little.
    #[arg(long)]
    pub short: bool,
    /// Delete what is in the folder `bench` of TAPELINE_HOME and begin.
    #[arg(long)]
    pub yes: bool,
}

/// Rate of the open loop: what others call peak.
const OPEN_LOOP_PER_SECOND: u64 = 12_500;
/// How long a window of the open loop is.
const OPEN_LOOP: Duration = Duration::from_secs(30);
/// Most windows of a case that only warm up.
const MOST_WARM_UPS: u32 = 8;
/// Of a window at saturation.
const SATURATING_COMMANDS: usize = 500_000;
/// A short run's share.
const SHORT: u32 = 10;

/// The names of what needs no servers.
const CORE: &str = "core";
const GROWTH: &str = "growth";
/// The name of what runs without components.
const CEILING: &str = "ceiling";
/// The name of the comparison with the peer.
const PEER: &str = "peer";
/// The name of what finds out how much processor time each rate takes.
const RATES: &str = "rates";
/// The name of the hour in which memory is watched.
const MEMORY: &str = "memory";
/// The stage that ends an order's way, among a window's latencies.
const SETTLED: &str = "3 settled";

/// A case of the pipeline.
struct Case {
    name: &'static str,
    setup: Setup,
    /// Orders at a steady rate with their latencies; else at saturation.
    is_open_loop: bool,
    goals: &'static [Goal],
}

/// What most cases have.
const ZIPF_OVER_FOUR: Setup =
    Setup { mode: Mode::Separate, lanes: 1, views: false, partitions: 4, popularity: Popularity::Zipf };

/// What the open loop is to reach.
const ORDER_TO_SETTLED: [Goal; 3] =
    [Goal::latency(SETTLED, 0.5, 20.0), Goal::latency(SETTLED, 0.99, 50.0), Goal::latency(SETTLED, 0.999, 100.0)];

/// The same of views.
const ORDER_TO_ROW: [Goal; 2] =
    [Goal::latency(tapeline_timescale::NAME, 0.99, 250.0), Goal::latency(tapeline_clickhouse::NAME, 0.99, 500.0)];

const CASES: [Case; 11] = [
    Case {
        name: "saturation, separate binaries, 4 partitions",
        setup: ZIPF_OVER_FOUR,
        is_open_loop: false,
        goals: &[Goal::throughput(100_000.0)],
    },
    Case {
        name: "saturation, separate binaries, 2 partitions",
        setup: Setup { partitions: 2, ..ZIPF_OVER_FOUR },
        is_open_loop: false,
        goals: &[],
    },
    Case {
        name: "saturation, separate binaries, 1 partition",
        setup: Setup { partitions: 1, ..ZIPF_OVER_FOUR },
        is_open_loop: false,
        goals: &[],
    },
    Case {
        name: "saturation, separate binaries, uniform flow",
        setup: Setup { popularity: Popularity::Uniform, ..ZIPF_OVER_FOUR },
        is_open_loop: false,
        goals: &[],
    },
    Case {
        name: "saturation, one process",
        setup: Setup { mode: Mode::OneProcess, ..ZIPF_OVER_FOUR },
        is_open_loop: false,
        goals: &[Goal::throughput(200_000.0)],
    },
    Case {
        name: "saturation, one process, 2 lanes of each processor",
        setup: Setup { mode: Mode::OneProcess, lanes: 2, ..ZIPF_OVER_FOUR },
        is_open_loop: false,
        goals: &[],
    },
    Case {
        name: "saturation, one process with both views",
        setup: Setup { mode: Mode::OneProcess, views: true, ..ZIPF_OVER_FOUR },
        is_open_loop: false,
        goals: &[Goal::throughput(40_000.0)],
    },
    Case {
        name: "open loop, separate binaries, 4 partitions",
        setup: ZIPF_OVER_FOUR,
        is_open_loop: true,
        goals: &ORDER_TO_SETTLED,
    },
    Case {
        name: "open loop, separate binaries, 1 partition",
        setup: Setup { partitions: 1, ..ZIPF_OVER_FOUR },
        is_open_loop: true,
        goals: &ORDER_TO_SETTLED,
    },
    Case {
        name: "open loop, separate binaries with both views, 4 partitions",
        setup: Setup { views: true, ..ZIPF_OVER_FOUR },
        is_open_loop: true,
        goals: &ORDER_TO_ROW,
    },
    Case {
        name: "open loop, separate binaries with both views, 1 partition",
        setup: Setup { views: true, partitions: 1, ..ZIPF_OVER_FOUR },
        is_open_loop: true,
        goals: &ORDER_TO_ROW,
    },
];

/// `tapeline bench`: runs in `$TAPELINE_HOME/bench` and takes its parts down in the end.
///
/// # Errors
/// If it was not allowed to delete data, if something could not run, or if a result is wrong.
pub fn bench(options: &BenchOptions) -> Result<ExitCode> {
    let home = parts::home_from_env()?.join("bench");
    if !options.yes {
        bail!("this deletes the data in {}: say --yes if that is meant", home.display());
    }
    let binary = std::env::current_exe()?;
    run(options, &home, binary.parent().context("the folder of this binary")?)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs on a stack in `home`, whose data is deleted, with the components' binaries in `executables`. The parts are stopped
/// in the end.
///
/// # Errors
/// If something could not run, or if a result is wrong.
pub fn run(options: &BenchOptions, home: &Path, executables: &Path) -> Result<()> {
    let mut site = Site::new(home, executables, 1)?;
    let mut events = Events::create(&home.join("events.txt"))?;
    let mut report = Report::default();
    if CORE.contains(&options.only) {
        core::run(&site.app, options.repetitions, share(options), &mut events, &mut report)?;
    }
    if GROWTH.contains(&options.only) {
        growth::run(&site.app, options.repetitions, share(options), &mut events, &mut report)?;
    }
    let on_servers_too = [CEILING, PEER, RATES, MEMORY].into_iter().chain(CASES.iter().map(|case| case.name));
    if on_servers_too.into_iter().any(|name| name.contains(&options.only)) {
        let ran = on_servers(options, &mut site, &mut events, &mut report);
        site.parts(&["down"])?;
        ran?;
    }
    report.write(&home.join("report.md"), &mut events)
}

fn on_servers(options: &BenchOptions, site: &mut Site, events: &mut Events, report: &mut Report) -> Result<()> {
    let loads = Loads::of(options);
    let is_asked_for = |name: &str| name.contains(&options.only);
    site.partition(ZIPF_OVER_FOUR.partitions)?;
    site.fresh()?;
    if is_asked_for(CEILING) {
        ceiling::run(site, options.repetitions, loads.saturation.0, events, report).context(CEILING)?;
    }
    if is_asked_for(PEER) {
        if peer::is_built() {
            peer::run(site, options.repetitions, loads, events, report).context(PEER)?;
        } else {
            events.note("the peer is not built (`mvn -q -B package` in tests/bench/peer): its rows are left out");
        }
    }
    for case in CASES.iter().filter(|case| is_asked_for(case.name)) {
        site.partition(case.setup.partitions)?;
        run_case(options, site, case, events, report).with_context(|| case.name.to_owned())?;
    }
    site.partition(ZIPF_OVER_FOUR.partitions)?;
    if is_asked_for(RATES) {
        rates::run(site, share(options), events, report).context(RATES)?;
    }
    if is_asked_for(MEMORY) {
        memory::run(site, share(options), events, report).context(MEMORY)?;
    }
    Ok(())
}

/// How many commands, and how they come: of a window of the open loop and at saturation.
#[derive(Debug, Clone, Copy)]
struct Loads {
    open_loop: (usize, Pace),
    saturation: (usize, Pace),
    most_warm_ups: u32,
}

impl Loads {
    fn of(options: &BenchOptions) -> Self {
        let share = share(options);
        Self {
            open_loop: steady(OPEN_LOOP_PER_SECOND, OPEN_LOOP / share),
            saturation: (SATURATING_COMMANDS / share as usize, Pace::Saturating),
            most_warm_ups: (MOST_WARM_UPS / share).max(1),
        }
    }
}

/// Commands at a steady rate for so long.
fn steady(rate: u64, time: Duration) -> (usize, Pace) {
    ((rate * time.as_secs().max(1)) as usize, Pace::PerSecond(rate))
}

const fn share(options: &BenchOptions) -> u32 {
    if options.short { SHORT } else { 1 }
}

fn run_case(options: &BenchOptions, site: &Site, case: &Case, events: &mut Events, report: &mut Report) -> Result<()> {
    let loads = Loads::of(options);
    let load = if case.is_open_loop { loads.open_loop } else { loads.saturation };
    events.note(case.name);
    site.empty()?;
    if case.setup.views {
        site.wipe_views()?;
    }
    let mut pipeline = Pipeline::start(site, case.setup)?;
    pipeline.warm_up(load, loads.most_warm_ups, case.is_open_loop, events)?;
    let mut windows = Vec::new();
    for _ in 0..options.repetitions {
        let window = pipeline.window(load, case.is_open_loop)?;
        events.note(&report::line(&window));
        windows.push(window);
    }
    let audit = pipeline.stop()?;
    events.note(&format!("{} records checked, all as it must be", audit.events));
    plots::of_case(case.name, &windows, events)?;
    report.add(case.name, case.goals, &windows)
}
