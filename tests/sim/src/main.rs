//! The `sim` binary: runs seeds, one by one or many at once.

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tapeline_sim::{Outcome, Stats, run, run_guarded};

/// Simulates the pipeline under faults. Prints the first violated seed; the same seed replays it exactly.
#[derive(Parser)]
struct Args {
    /// Runs this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from", "jobs"])]
    seed: Option<u64>,
    /// Prints each event of the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Runs so many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let Some(seed) = args.seed else { return many(&args) };
    let outcome = run(seed, args.trace)?;
    println!("{}", outcome.stats.table(1));
    println!("seed {seed}: logs {:016x}, trace {:016x}", outcome.log_hash, outcome.trace_hash);
    Ok(verdict(&[outcome]))
}

fn verdict(outcomes: &[Outcome]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for outcome in outcomes {
        if let Some(violation) = &outcome.violation {
            let (seed, step, name) = (outcome.seed, violation.step, violation.invariant.name());
            println!("seed {seed}, step {step}: {name}: {}", violation.what);
            println!("  replay: sim --seed {seed} --trace");
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn many(args: &Args) -> Result<ExitCode> {
    let (next, started_at) = (AtomicU64::new(args.from), Instant::now());
    let end = args.from.checked_add(args.seeds).context("--from and --seeds leave the range of seeds")?;
    let sums: Mutex<(u64, Stats, Vec<Outcome>)> = Mutex::default();
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return Ok(());
                }
                let outcome = run_guarded(seed)?;
                let Ok(mut sums) = sums.lock() else { bail!("another thread panicked") };
                sums.0 += 1;
                sums.1.add(&outcome.stats);
                if outcome.violation.is_some() {
                    verdict(std::slice::from_ref(&outcome));
                    sums.2.push(outcome);
                }
            }
        };
        let threads: Vec<_> = (0..args.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let (runs, stats, violated) = sums.into_inner().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    let seconds = started_at.elapsed().as_secs_f64();
    println!("{}", stats.table(runs));
    println!(
        "{runs} seeds in {seconds:.1} s, {:.1} a second; {} with a violation",
        runs as f64 / seconds,
        violated.len()
    );
    Ok(if violated.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
