//! Every schema example goes through the sink, and the view of them is what one reads in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod support;

use serde::de::DeserializeOwned;
use std::path::Path;
use support::TestDatabase;
use support::stream::batches;
use tapeline_runtime::sink::{Event, Sink, SinkRecord};
use tapeline_schemas::{topic, wire};
use tapeline_timescale::TimescaleSink;

fn examples<T: DeserializeOwned>(
    topic: &'static str,
    event: fn(T) -> Event,
    all: &mut Vec<(smol_str::SmolStr, SinkRecord)>,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(topic);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    for (offset, file) in (0..).zip(files) {
        let value = serde_json::from_slice(&std::fs::read(&file).unwrap());
        let event = event(value.unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        all.push((topic.into(), SinkRecord { partition: 0, offset, timestamp_ms: 1_340_285_400_000, event }));
    }
}

#[test]
fn every_example_of_every_topic_is_folded() {
    let Some(database) = TestDatabase::create("every_example_of_every_topic_is_folded") else { return };
    let mut records = Vec::new();
    examples::<wire::ValidatedCommand>(topic::VALIDATED, Event::Validated, &mut records);
    examples::<wire::Rejection>(topic::REJECTED, Event::Rejected, &mut records);
    examples::<wire::Execution>(topic::EXECUTED, Event::Executed, &mut records);
    examples::<wire::Settlement>(topic::SETTLED, Event::Settled, &mut records);
    examples::<wire::MarketTick>(topic::MARKET_TICKS, Event::Market, &mut records);
    let count = |wanted: fn(&Event) -> bool| records.iter().filter(|(_, record)| wanted(&record.event)).count();
    let trades = count(|event| matches!(event, Event::Executed(e) if e.kind == wire::ExecutionKind::Traded));
    let refused = count(|event| matches!(event, Event::Rejected(r) if r.kind == wire::CommandKind::Place));

    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    batches(&records, 10).iter().for_each(|batch| sink.write(batch).unwrap());

    assert_eq!(database.value("SELECT count(*) FROM trades"), trades.to_string());
    assert_eq!(database.value("SELECT count(*) FROM orders WHERE status = 'rejected'"), refused.to_string());
    assert_eq!(database.value("SELECT count(*) FROM asset_totals WHERE imbalance <> 0"), "0");
    let trade =
        "SELECT price, quantity, notional, taker_side, taker_account, maker_account, position_offset FROM trades
                 ORDER BY position_offset LIMIT 1";
    assert_eq!(database.value(trade), "585.10000000|40.00000000|23404.00000000|buy|acc-1|acc-2|5");
}
