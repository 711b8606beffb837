//! The short form of fuzzing, for every change: each file of every corpus, and 20,000 damaged inputs over all targets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use tapeline_fuzz::run::{Cases, prepare, run};
use tapeline_fuzz::targets::all;

const INPUTS: u64 = 20_000;
const SEED: u64 = 4;

#[test]
fn no_damaged_input_panics_and_a_fair_part_gets_past_the_first_check() {
    prepare();
    let targets = all();
    let weights: u64 = targets.iter().map(|target| target.weight).sum();
    for target in &targets {
        let count = (INPUTS * target.weight).div_ceil(weights);
        let report = run(target, &Cases { seed: SEED, from: 0, count, keep: false });
        let report = report.unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(report.cases, count);
        let kinds = report.kinds.values().filter(|count| **count > 0).count();
        let most = report.kinds.values().max().copied().unwrap_or_default();
        assert!(kinds >= 3 && most * 10 < count * 9, "{}: {:?}", target.name, report.kinds);
    }
}
