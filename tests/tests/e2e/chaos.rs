//! `tapeline chaos` in short: processes and servers are killed under load, and nothing is lost, doubled or different
//! from undisturbed runs. The long form (200 kills) and what exactly is compared are in `docs/operations.md`.

use anyhow::{Result, ensure};
use std::path::Path;
use tapeline_cli::chaos::{ChaosOptions, Outcome, Scenario, run};
use tapeline_tests::parts::{beside_stack, executables};

const SEED: u64 = 1;

/// Whether so many comparisons hold. Timings are shown: how fast a machine is decides no test.
fn passed(outcome: &Outcome, comparisons: usize) -> Result<()> {
    for comparison in outcome.comparisons.iter().chain(&outcome.timings) {
        println!("{comparison}");
    }
    ensure!(outcome.comparisons.len() == comparisons, "{} comparisons, not {comparisons}", outcome.comparisons.len());
    let equal = outcome.comparisons.iter().all(tapeline_cli::chaos::Comparison::holds);
    ensure!(equal && outcome.crashes.is_empty(), "something differs or has crashed, see above (seed {SEED})");
    Ok(())
}

fn options(scenario: Scenario) -> ChaosOptions {
    ChaosOptions { scenario, kills: 12, seed: SEED, rate: 2_000, orders: Some(40_000), brokers: 1, yes: true }
}

#[test]
fn twelve_kills_over_all_victims_change_nothing() -> Result<()> {
    beside_stack("chaos", |home| {
        let outcome = run_below(home, &options(Scenario::Kills))?;
        ensure!(outcome.struck.values().sum::<u32>() == 12, "not 12 strikes: {:?}", outcome.struck);
        ensure!(outcome.struck.len() == 9, "not all nine victims were struck: {:?}", outcome.struck);
        // Published = log, seven invariants, replay, views filled again, undisturbed twin.
        passed(&outcome, 11)
    })
}

#[test]
fn a_rolling_restart_is_not_noticed() -> Result<()> {
    beside_stack("rolling", |home| {
        let outcome = run_below(home, &options(Scenario::Rolling))?;
        // Published = log, seven invariants, replay.
        passed(&outcome, 9)
    })
}

#[test]
fn memory_does_not_follow_an_overload() -> Result<()> {
    beside_stack("overload", |home| {
        let options = ChaosOptions { orders: Some(100_000), ..options(Scenario::Overload) };
        let outcome = run_below(home, &options)?;
        // Memory, published = log, seven invariants, replay.
        passed(&outcome, 10)
    })
}

fn run_below(home: &Path, options: &ChaosOptions) -> Result<Outcome> {
    run(options, &home.join("chaos"), &executables()?)
}
