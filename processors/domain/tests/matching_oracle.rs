//! The real book against the naive one: on any stream of commands, event by event, and level by level.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod matching_support;

use matching_support::naive::Naive;
use matching_support::script::event_text;
use matching_support::stream::{inputs, steps, symbol};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use tapeline_domain::execution::ExecutionBody;
use tapeline_domain::matching::Matching;
use tapeline_domain::types::Side;

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(400) })]

    #[test]
    fn same_events_as_the_naive_book(steps in steps()) {
        let (mut matching, mut naive) = (Matching::new(5), Naive::new(5));
        for input in inputs(&steps) {
            prop_assert_eq!(input.feed(&mut matching), naive.feed(&input), "after {:?}", input);
            for symbol in [0, 1, 2].map(symbol) {
                let Some(book) = matching.book(symbol) else { continue };
                for side in [Side::Buy, Side::Sell] {
                    prop_assert_eq!(book.depth(side, usize::MAX), naive.depth(symbol, side));
                }
                prop_assert_eq!((book.order_count(), book.waiting_count()), naive.counts(symbol));
            }
        }
    }
}

/// The streams would prove little if a kind of event never came up in them.
#[test]
fn random_streams_reach_every_event() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..200 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut matching = Matching::new(0);
        for event in inputs(&steps).iter().flat_map(|input| input.feed(&mut matching)) {
            let text = event_text(&event);
            let kind = text.split_whitespace().next().unwrap();
            let what = match &event.body {
                ExecutionBody::Cancelled { reason, .. } => format!("{reason:?}"),
                ExecutionBody::Refused { reason, .. } => format!("{reason:?}"),
                ExecutionBody::Amended { kept_place, .. } => format!("{kept_place}"),
                ExecutionBody::Traded(trade) => format!("maker {:?}", trade.maker.status),
                _ => String::new(),
            };
            *seen.entry(format!("{kind} {what}")).or_default() += 1;
        }
    }
    let (kinds, rarest) = (seen.len(), seen.values().min().copied().unwrap());
    assert!(kinds == 21 && rarest >= 20, "{kinds} kinds of events, the rarest {rarest} times: {seen:#?}");
}
