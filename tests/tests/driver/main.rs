//! The production lanes over bytes in a log in memory: the whole flow with feedback, restarts at each commit, and what
//! garbage gets. No broker, no threads, no wall clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

mod snapshots;
mod world;

use tapeline_domain::types::{FEES_ACCOUNT, ONE};
use tapeline_runtime::dead_letter;
use tapeline_runtime::port::{OutRecord, Record};
use tapeline_schemas::codec::{Encoder, Wire};
use tapeline_schemas::{topic, wire};
use tapeline_tests::memory_log::Fault;
use world::{World, decoder, generated};

/// Keys and bodies of all that was written, in order.
fn outputs(world: &World) -> Vec<Vec<Record>> {
    [
        topic::VALIDATED,
        topic::REJECTED,
        topic::EXECUTED,
        topic::DEPTH,
        topic::SETTLED,
        "validator.journal",
        "executor.journal",
    ]
    .map(|topic| world.log.records(topic))
    .to_vec()
}

#[test]
fn a_generated_flow_trades_settles_and_conserves() {
    let mut world = generated(7, 3_000);
    world.run_to_rest();
    let verdicts = world.log.records(topic::VALIDATED).len() + world.log.records(topic::REJECTED).len();
    assert_eq!(verdicts, world.log.records(topic::ORDERS).len(), "each command has one verdict");
    let settlements: Vec<wire::Settlement> = world.read(topic::SETTLED);
    let fees: i64 = settlements
        .iter()
        .flat_map(|settlement| &settlement.postings)
        .filter(|line| line.account == FEES_ACCOUNT)
        .map(|line| line.amount)
        .sum();
    assert!(fees > ONE, "trades pay fees: {fees}");
    for settlement in &settlements {
        for line in &settlement.postings {
            let same_asset = settlement.postings.iter().filter(|other| other.asset == line.asset);
            assert_eq!(same_asset.map(|other| i128::from(other.amount)).sum::<i128>(), 0, "{settlement:?}");
        }
    }
    for topic in ["orders.dlq", "orders.validated.dlq", "trades.executed.dlq"] {
        assert!(world.log.records(topic).is_empty(), "{topic}");
    }
}

#[test]
fn the_same_input_in_the_same_order_gives_the_same_bytes() {
    let run = || {
        let mut world = generated(11, 1_000);
        world.run_to_rest();
        outputs(&world)
    };
    assert!(run() == run());
}

#[test]
fn crashes_before_and_after_commits_lose_and_double_nothing() {
    let mut world = generated(13, 3_000);
    let mut round = 0;
    while round < 90 {
        let fault = if round % 2 == 0 { Fault::CrashBeforeCommit } else { Fault::CrashAfterCommit };
        match round % 3 {
            0 => world.validator.fault.replace(fault),
            1 => world.executor.fault.replace(fault),
            _ => world.settler.fault.replace(fault),
        };
        world.step();
        round += 1;
    }
    world.run_to_rest();
    let restarts = world.validator.restarts + world.executor.restarts + world.settler.restarts;
    assert!(restarts > 20, "only {restarts} restarts");

    let mut verdicts = std::collections::HashMap::new();
    for accepted in world.read::<wire::ValidatedCommand>(topic::VALIDATED) {
        *verdicts.entry(accepted.command_id).or_insert(0) += 1;
    }
    for rejected in world.read::<wire::Rejection>(topic::REJECTED) {
        *verdicts.entry(rejected.command_id).or_insert(0) += 1;
    }
    assert_eq!(verdicts.len(), world.log.records(topic::ORDERS).len());
    assert!(verdicts.values().all(|count| *count == 1));

    let mut sides = std::collections::HashMap::new();
    for settled in world.read::<wire::Settlement>(topic::SETTLED) {
        if let (Some(trade), Some(side)) = (settled.trade_id, settled.side) {
            *sides.entry((trade, side)).or_insert(0) += 1;
        }
    }
    let trades: Vec<i64> =
        world.read::<wire::Execution>(topic::EXECUTED).iter().filter_map(|execution| execution.trade_id).collect();
    assert!(!trades.is_empty());
    for trade in &trades {
        for side in [wire::Side::Buy, wire::Side::Sell] {
            assert_eq!(sides.get(&(*trade, side)), Some(&1), "trade {trade}, {side:?}");
        }
    }
    assert_eq!(sides.len(), 2 * trades.len());
}

#[test]
fn a_state_that_replays_differently_stops_the_lane() {
    let mut world = generated(17, 200);
    world.run_to_rest();
    // Somebody rewrote history: a journal entry claims another hash.
    let forged = world.log.records("executor.journal").pop().unwrap();
    let mut entry = decoder::<wire::JournalEntry>(&world.ids).decode(forged.payload.as_deref()).unwrap();
    entry.runs.clear();
    entry.output_hash ^= 1;
    world.executor.lane = None;
    let mut payload = Vec::new();
    let id = world.ids.registered_id("", wire::JournalEntry::SCHEMA_JSON).unwrap();
    Encoder::new(id).encode(&entry, &mut payload);
    world.log.append(OutRecord {
        topic: "executor.journal".into(),
        partition: Some(forged.partition),
        key: forged.key,
        payload: Some(payload),
        headers: Vec::new(),
    });
    // Partitions are restored in the round after the one that brings the assignment.
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run_to_rest()));
    let message = *stopped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("run the version that wrote it"), "{message}");
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters_untouched_and_the_lane_goes_on() {
    let mut world = generated(19, 0);
    // A deposit of an account that exists.
    let deposit = world.read::<wire::Command>(topic::ORDERS).remove(0);
    let good = |id: &str| wire::Command { client_order_id: id.into(), amount: Some(ONE), ..deposit.clone() };
    let account = good("").account;
    let mut unknown_schema = vec![0, 0, 0, 99, 99];
    unknown_schema.extend(b"rest");
    world.publish(topic::ORDERS, &account, &good("first"));
    world.publish_bytes(topic::ORDERS, Some(&account), Some(b"garbage".to_vec()));
    world.publish_bytes(topic::ORDERS, Some(&account), Some(unknown_schema.clone()));
    world.publish_bytes(topic::ORDERS, Some(&account), None);
    let mut keyless = Vec::new();
    let id = world.ids.registered_id("", wire::Command::SCHEMA_JSON).unwrap();
    Encoder::new(id).encode(&good("keyless"), &mut keyless);
    world.publish_bytes(topic::ORDERS, None, Some(keyless.clone()));
    world.publish(topic::ORDERS, "somebody-else", &good("foreign"));
    world.publish(topic::ORDERS, &account, &good("last"));
    world.run_to_rest();

    let letters = world.log.records("orders.dlq");
    let header = |record: &Record, name: &str| {
        let found = record.headers.iter().find(|(header, _)| header == name);
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    let mut seen: Vec<_> =
        letters.iter().map(|letter| (header(letter, dead_letter::REASON), letter.payload.clone())).collect();
    seen.sort();
    let foreign = seen.iter().filter(|(reason, _)| reason == dead_letter::BAD_KEY).count();
    assert_eq!(foreign, 2, "{seen:?}");
    assert!(seen.contains(&(dead_letter::BAD_KEY.into(), Some(keyless))));
    assert!(seen.contains(&(dead_letter::UNDECODABLE.into(), Some(b"garbage".to_vec()))));
    assert!(seen.contains(&(dead_letter::UNDECODABLE.into(), None)));
    assert!(seen.contains(&(dead_letter::UNKNOWN_SCHEMA.into(), Some(unknown_schema))));
    assert_eq!(seen.len(), 5);
    assert_eq!(header(&letters[0], dead_letter::SOURCE_TOPIC), topic::ORDERS);
    let settled: Vec<wire::Settlement> = world.read(topic::SETTLED);
    let deposits = settled.iter().filter(|settled| settled.postings.iter().any(|line| line.amount == ONE));
    assert_eq!(deposits.count(), 2, "both good ones are settled");
}
