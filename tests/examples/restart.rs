//! How long a killed executor and validator take to their first new commit, with a million resting orders, after one and
//! after ten minutes of load: a restart must not grow with the history. And how long records waited for parts of snapshots.
//!
//! How long a restart takes depends on how much came since the last snapshot. So both are killed several times after each
//! stretch of load, at moments that have nothing to do with snapshots.
//!
//! `tests/run` brings no stack for examples; see `docs/benchmarks.md` for the command. What is absent: the views, which
//! have no part in a restart.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapeline_cli::{demo, publish};
use tapeline_kafka::protocol::Cluster;
use tapeline_replay::generate::{Config, Generator};
use tapeline_replay::pace::Pace;
use tapeline_runtime::metrics::{Sample, samples};
use tapeline_schemas::topic;
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::{PROCESSORS, Pipeline};

const SEED: u64 = 42;
const INSTRUMENTS: u32 = 100;
const ACCOUNTS: u32 = 50_000;
const RATE_PER_SECOND: u64 = 5_000;
/// How often both are killed after each stretch, and how long they have worked again before the next time.
const KILLS: usize = 5;
const BETWEEN_KILLS: Duration = Duration::from_secs(17);
const KILLED: [&str; 2] = ["validator", "executor"];
const PATIENCE: Duration = Duration::from_secs(1_800);

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [resting, minutes @ ..] = &numbers[..] else {
        eprintln!("usage: restart RESTING_ORDERS MINUTES...");
        return ExitCode::from(2);
    };
    match with_stack("restart", |stack| measure(stack, *resting, minutes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(stack: &Stack, resting: u64, minutes: &[u64]) -> Result<()> {
    let mut pipeline = Pipeline::start(stack, &[&PROCESSORS[..], &["clock"]].concat())?;
    let addresses = &stack.app.addresses;
    let config = |base_time_ms| Config {
        instruments: INSTRUMENTS,
        accounts: ACCOUNTS,
        rate_per_second: RATE_PER_SECOND,
        ..Config::new(SEED, base_time_ms)
    };
    let generator = Generator::new(config(demo::now_ms()))?;
    let publisher = publish::commands(addresses)?;
    let started_at = Instant::now();
    demo::introduce(&stack.app.topology, addresses, &publisher, &generator.instruments(), generator.accounts())?;
    println!("{ACCOUNTS} accounts funded after {:.0} s", started_at.elapsed().as_secs_f64());
    for command in generator.resting_orders(resting) {
        publisher.send(&command.account, &command)?;
    }
    publisher.flush()?;
    stack.drain(&PROCESSORS, PATIENCE)?;
    println!("{resting} orders rest after {:.0} s", started_at.elapsed().as_secs_f64());
    for minutes in minutes {
        let before = pauses_of_all(&pipeline)?;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let flow = Pace::Recorded.schedule(Generator::new(config(demo::now_ms()))?)?;
                let timed = flow.map(|(due, timed)| Ok((due, timed.command)));
                publish::paced(&publisher, timed, |command| &command.account, &stop, |_| {})
            });
            std::thread::sleep(Duration::from_secs(60 * minutes));
            for (name, pauses) in pauses_of_all(&pipeline)? {
                println!("  {name}: {}", shown(&pauses, &before[name])?);
            }
            let measured = (0..KILLS).map(|kill| {
                if kill > 0 {
                    std::thread::sleep(BETWEEN_KILLS);
                }
                kill_and_measure(stack, &mut pipeline)
            });
            let measured = measured.collect::<Result<Vec<_>>>();
            stop.store(true, Ordering::Relaxed);
            let sent = load.join().ok().context("the load panicked")??;
            println!("after {minutes} min ({sent} commands at {RATE_PER_SECOND}/s):");
            print_restarts(&measured?);
            anyhow::Ok(())
        })?;
        pipeline.wait_ready()?;
        stack.drain(&PROCESSORS, PATIENCE)?;
    }
    pipeline.stop()
}

/// Upper bounds in seconds and how many pauses for a part of a snapshot took at most so long.
type Pauses = Vec<(f64, u64)>;

fn pauses_of_all(pipeline: &Pipeline<'_>) -> Result<BTreeMap<&'static str, Pauses>> {
    let of = |name: &'static str| Ok((name, pauses(&pipeline.component(name)?.get("/metrics")?.1)));
    KILLED.into_iter().map(of).collect()
}

/// The histogram of pauses in a process's metrics; empty before the first.
fn pauses(metrics: &str) -> Pauses {
    let bucket = |sample: Sample<'_>| Some((sample.label("le")?.parse().ok()?, sample.value as u64));
    samples(metrics, "tapeline_snapshot_pause_seconds_bucket").filter_map(bucket).collect()
}

/// Where 99 and 99.9 of 100 pauses since `before` lie.
fn shown(pauses: &Pauses, before: &Pauses) -> Result<String> {
    let earlier = |at: usize| before.get(at).map_or(0, |(_, count)| *count);
    let since: Pauses = pauses.iter().enumerate().map(|(at, (bound, count))| (*bound, count - earlier(at))).collect();
    let all = since.last().context("no snapshot was written")?.1;
    let below = |share: f64| {
        let bucket = since.iter().find(|(_, count)| *count as f64 >= share * all as f64);
        bucket.map_or(f64::INFINITY, |(bound, _)| bound * 1_000.0)
    };
    Ok(format!(
        "{all} parts of snapshots; p99 of their pauses below {:.1} ms, p99.9 below {:.1} ms",
        below(0.99),
        below(0.999)
    ))
}

/// A component's restart.
#[derive(Debug, Clone, Copy)]
struct Restart {
    /// From the start of the new process to its first commit, and to that of its last partition.
    first_seconds: f64,
    all_seconds: f64,
    /// What its restores took in all, and how many records they replayed.
    restore_seconds: f64,
    replayed_records: f64,
}

fn print_restarts(all: &[BTreeMap<&'static str, Restart>]) {
    for name in KILLED {
        let restarts: Vec<Restart> = all.iter().filter_map(|of| of.get(name).copied()).collect();
        for restart in &restarts {
            println!(
                "  {name}: first commit {:.2} s, all partitions {:.2} s after the start; restores {:.2} s, {} records replayed",
                restart.first_seconds, restart.all_seconds, restart.restore_seconds, restart.replayed_records
            );
        }
        let median = |of: fn(&Restart) -> f64| {
            let mut values: Vec<f64> = restarts.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "  {name}, median: first commit {:.2} s, all partitions {:.2} s",
            median(|restart| restart.first_seconds),
            median(|restart| restart.all_seconds)
        );
    }
}

/// The sum of a gauge over all partitions in a process's metrics.
fn sum_of(metrics: &str, gauge: &str) -> f64 {
    samples(metrics, gauge).map(|sample| sample.value).sum()
}

fn kill_and_measure(stack: &Stack, pipeline: &mut Pipeline<'_>) -> Result<BTreeMap<&'static str, Restart>> {
    // What is committed for certain: a killed process leaves a transaction open, and whoever waited for its end would
    // wait for the new process.
    let mut cluster = Cluster::new(&stack.app.addresses.kafka);
    let mut committed = |name: &str| -> Result<Vec<Option<i64>>> {
        let input = if name == "validator" { topic::ORDERS } else { topic::VALIDATED };
        let partitions = stack.app.topology.topic(input).map_or(0, |topic| topic.partitions);
        let offsets = cluster.committed(name, &[(input.to_owned(), partitions)])?;
        Ok((0..partitions).map(|partition| offsets.get(&(input.to_owned(), partition)).copied()).collect())
    };
    for name in KILLED {
        pipeline.kill9(name)?;
    }
    let mut before = BTreeMap::new();
    for name in KILLED {
        before.insert(name, committed(name)?);
    }
    let restarted_at = Instant::now();
    for name in KILLED {
        pipeline.start_again(name)?;
    }
    let (mut first, mut all) = (BTreeMap::new(), BTreeMap::new());
    wait_until("both commit in all partitions", Duration::from_secs(120), || {
        for name in KILLED {
            let now = committed(name)?;
            let moved = now.iter().zip(&before[name]).filter(|(now, before)| now != before).count();
            let seconds = restarted_at.elapsed().as_secs_f64();
            if moved > 0 {
                first.entry(name).or_insert(seconds);
            }
            if moved == now.len() {
                all.entry(name).or_insert(seconds);
            }
        }
        Ok(all.len() == KILLED.len())
    })?;
    ensure!(first.len() == KILLED.len(), "a first commit was not seen");
    let restart = |name: &'static str| {
        let metrics = pipeline.component(name)?.get("/metrics")?.1;
        let restart = Restart {
            first_seconds: first[name],
            all_seconds: all[name],
            restore_seconds: sum_of(&metrics, "tapeline_restore_seconds"),
            replayed_records: sum_of(&metrics, "tapeline_replayed_records"),
        };
        Ok((name, restart))
    };
    KILLED.into_iter().map(restart).collect()
}
