//! Checks the check: five deliberate breaks, each of which the simulation must find, by the invariant that it breaks.
//! `cargo test --release -p tapeline-sim --features mutations --test mutations`

#![cfg(feature = "mutations")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use tapeline_sim::{Invariant, Mutation, run_guarded};

/// A break must show within so many seeds: as many as a run of CI tries. (A skipped fence needs a pause at the right moment.)
const SEEDS: u64 = 300;

/// The first seed that finds `mutation`; the same seed is green without it.
fn found_by(mutation: Mutation) -> (u64, Invariant) {
    for seed in 1..=SEEDS {
        Mutation::activate(Some(mutation));
        let broken = run_guarded(seed).unwrap();
        Mutation::activate(None);
        if let Some(violation) = broken.violation {
            assert_eq!(run_guarded(seed).unwrap().violation, None, "seed {seed} fails without {mutation:?} too");
            assert!(!violation.what.starts_with("panic"), "{mutation:?}: seed {seed}, {}", violation.what);
            println!("{mutation:?}: seed {seed}, {}: {}", violation.invariant.name(), violation.what);
            return (seed, violation.invariant);
        }
    }
    panic!("{mutation:?} was not found within {SEEDS} seeds");
}

#[test]
fn offsets_committed_before_outputs_are_found() {
    let (_, by) = found_by(Mutation::OffsetsBeforeOutputs);
    let losses = [Invariant::OneVerdict, Invariant::SettledOnce, Invariant::Liveness, Invariant::Determinism];
    assert!(losses.contains(&by), "{by:?}");
}

#[test]
fn a_dropped_journal_is_found() {
    let (_, by) = found_by(Mutation::NoJournal);
    assert!([Invariant::Determinism, Invariant::Liveness].contains(&by), "{by:?}");
}

#[test]
fn a_skipped_fence_check_is_found() {
    let (_, by) = found_by(Mutation::NoFence);
    let doubles = [Invariant::OneVerdict, Invariant::SettledOnce, Invariant::Determinism];
    assert!(doubles.contains(&by), "{by:?}");
}

#[test]
fn sink_offsets_outside_the_transaction_are_found() {
    assert_eq!(found_by(Mutation::SinkOffsetsApart).1, Invariant::ViewIsFold);
}

#[test]
fn funds_released_twice_are_found() {
    assert_eq!(found_by(Mutation::ReleaseTwice).1, Invariant::SettledOnce);
}
