//! The peer: the same pipeline on Kafka Streams (`tests/bench/peer`), alternated with Tapeline on one broker.
//!
//! Both get the same load from the same program, on topics that are emptied in between while the broker stays up, and both
//! warm up first. What the peer wrote is audited like Tapeline's log, but for what only journals and Tapeline's own groups
//! tell: the order in which the validator took its inputs, and what each stage had taken by then. So of the peer only a
//! verdict for each command is asked for, not an execution for each order.

use super::Loads;
use super::load::Pace;
use super::pipeline::{Mode, Pipeline, Setup, Window};
use super::report::{self, Better, Report};
use crate::drain::Group;
use crate::rig::{Events, Site};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use tapeline_schemas::topic;

/// Its name among processes, and its application id.
pub(super) const NAME: &str = "peer";
/// What it prints when all its tasks run.
pub(super) const READY: &str = "ready";
/// Where its build leaves it, from the repository's folder.
const JAR: &str = "tests/bench/peer/target/peer.jar";
/// Threads of the peer: as many as there are cores.
const THREADS: &str = "2";
const HEAP: &str = "-Xmx2g";
/// Of the warm-ups of a case: each round has both kinds of load, and there are many rounds.
const SHARE_OF_WARM_UPS: u32 = 2;
/// The quantile that is compared.
const P99: f64 = 0.99;

/// How the peer is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tuning {
    /// `memory` or `rocksdb`.
    stores: &'static str,
    commit_interval_ms: u32,
}

const TUNINGS: [Tuning; 3] = [
    Tuning { stores: "memory", commit_interval_ms: 100 },
    Tuning { stores: "memory", commit_interval_ms: 10 },
    Tuning { stores: "rocksdb", commit_interval_ms: 100 },
];

/// Whether the peer is built.
pub(super) fn is_built() -> bool {
    Path::new(JAR).is_file()
}

/// Starts it on a state folder that is empty.
pub(super) fn command(site: &Site, tuning: Tuning) -> Result<Command> {
    let state = site.scratch("peer-state")?;
    let jar = Path::new(JAR).canonicalize().with_context(|| format!("{JAR}: run `mvn -q -B package` in its folder"))?;
    let addresses = &site.app.addresses;
    let mut command = Command::new("java");
    command.arg(HEAP).arg("-jar").arg(jar);
    command.args(["--kafka", &addresses.kafka, "--registry", &addresses.registry_url, "--application-id", NAME]);
    command.args(["--stores", tuning.stores, "--commit-interval-ms", &tuning.commit_interval_ms.to_string()]);
    command.args(["--threads", THREADS, "--state-dir"]).arg(state);
    Ok(command)
}

/// Its consumer group with what it reads.
pub(super) fn group() -> Group {
    let inputs = [topic::ORDERS, topic::VALIDATED, topic::EXECUTED, topic::SETTLED];
    (NAME.to_owned(), inputs.map(str::to_owned).to_vec())
}

/// Orders settled per second at saturation, and the 99th percentile of the open loop in milliseconds.
type Seen = (f64, f64);

/// Alternates Tapeline, in separate binaries without views, with the peer in each tuning.
pub(super) fn run(site: &Site, repetitions: u32, loads: Loads, events: &mut Events, report: &mut Report) -> Result<()> {
    let mut own: Vec<Seen> = Vec::new();
    let mut others: Vec<Vec<Seen>> = vec![Vec::new(); TUNINGS.len()];
    for _ in 0..repetitions {
        own.push(round(site, Mode::Separate, "tapeline", loads, events)?);
        for (tuning, seen) in TUNINGS.into_iter().zip(&mut others) {
            seen.push(round(site, Mode::Peer(tuning), &name(tuning), loads, events)?);
        }
    }
    let throughput = |seen: &[Seen]| seen.iter().map(|(per_second, _)| *per_second).collect::<Vec<_>>();
    let p99_ms = |seen: &[Seen]| seen.iter().map(|(_, ms)| *ms).collect::<Vec<_>>();
    for (name, seen) in std::iter::once(("tapeline".to_owned(), &own)).chain(TUNINGS.map(name).into_iter().zip(&others))
    {
        report.figure(&format!("{name}: orders settled per second"), throughput(seen));
        report.figure(&format!("{name}: order → settled at the open loop's rate, p99, ms"), p99_ms(seen));
    }
    // Each round's own ratio, against the best of the peer's tunings in that round.
    let best = |round: usize, of: fn(&Seen) -> f64, better: fn(f64, f64) -> f64| {
        others.iter().filter_map(|seen| seen.get(round)).map(of).reduce(better).unwrap_or(f64::NAN)
    };
    let ratios =
        own.iter().enumerate().map(|(round, (per_second, _))| per_second / best(round, |seen| seen.0, f64::max));
    report.row("throughput against the peer's best, times", 3.0, Better::More, ratios.collect());
    let ratios = own.iter().enumerate().map(|(round, (_, ms))| ms / best(round, |seen| seen.1, f64::min));
    report.row("p99 against the peer's best, times", 1.0 / 3.0, Better::Less, ratios.collect());
    Ok(())
}

fn name(tuning: Tuning) -> String {
    format!("peer, stores in {}, commit interval {} ms", tuning.stores, tuning.commit_interval_ms)
}

fn round(site: &Site, mode: Mode, name: &str, loads: Loads, events: &mut Events) -> Result<Seen> {
    site.empty()?;
    let setup = Setup { mode, ..super::ZIPF_OVER_FOUR };
    let mut pipeline = Pipeline::start(site, setup).with_context(|| name.to_owned())?;
    let mut window = |load: (usize, Pace), watched| -> Result<Window> {
        pipeline.warm_up(load, loads.most_warm_ups.div_ceil(SHARE_OF_WARM_UPS), watched, events)?;
        let window = pipeline.window(load, watched)?;
        events.note(&format!("{name}: {}", report::line(&window)));
        Ok(window)
    };
    let per_second = window(loads.saturation, false)?.commands_per_second();
    let p99_ms = report::latency_ms(&window(loads.open_loop, true)?, super::SETTLED, P99)?;
    let audit = pipeline.stop().with_context(|| name.to_owned())?;
    ensure!(audit.flow.trades > 0, "{name}: nothing was traded");
    events.note(&format!("{name}: {} records checked, {} trades", audit.events, audit.flow.trades));
    Ok((per_second, p99_ms))
}
