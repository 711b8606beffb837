//! How fast rows are written. Not part of a normal run: it says something in a release build on a quiet machine only.

use crate::database::Database;
use crate::fixture::{Flow, ONE, OPEN_MS, QUICK, place, trade};
use std::time::{Duration, Instant};
use tapeline_domain::types::position_id;
use tapeline_runtime::sink::{Sink, SinkBatch};
use tapeline_schemas::wire::Side;

/// A hundred small trades with all that leads to them, in each of four partitions' offsets.
fn pattern() -> Flow {
    let mut flow = Flow::default();
    for at in 0..100 {
        let now = OPEN_MS + at;
        let (maker, taker) = (format!("maker-{at}"), format!("taker-{at}"));
        let mut bob = place(&mut flow, now, ("bob", &maker), ("AAPL-USD", (at % 4) as i32), Side::Sell, (1, 200 * ONE));
        let mut ann = place(&mut flow, now, ("ann", &taker), ("AAPL-USD", (at % 4) as i32), Side::Buy, (1, 200 * ONE));
        flow.execution((at % 4) as i32, QUICK, trade(position_id(0, at), now, 1, &mut ann, &mut bob));
    }
    flow
}

/// The pattern again and again until there are `events` records; offsets go on.
fn batch(pattern: &SinkBatch, from: &SinkBatch, events: usize) -> SinkBatch {
    let mut next = SinkBatch { records: Vec::with_capacity(events), spans: from.spans.clone() };
    next.spans.iter_mut().for_each(|span| span.from_offset = span.next_offset);
    while next.records.len() < events {
        for (record, span) in pattern.records.iter().map(|record| {
            let topic = crate::fixture::topic_of(&record.event);
            let span = pattern.spans.iter().position(|span| span.topic == topic && span.partition == record.partition);
            (record, span.unwrap())
        }) {
            let mut record = record.clone();
            record.offset = next.spans[span].next_offset;
            next.spans[span].next_offset += 1;
            next.records.push(record);
        }
    }
    next
}

#[test]
#[ignore = "a measurement: cargo test --release -p tapeline-clickhouse -- --ignored --nocapture"]
fn two_hundred_thousand_rows_a_second() {
    let Some(database) = Database::new("speed") else { return };
    let pattern = pattern().batches(usize::MAX).remove(0);
    let mut sink = database.sink();
    let mut last = pattern.clone();
    last.spans.iter_mut().for_each(|span| (span.from_offset, span.next_offset) = (0, 0));
    let (mut written, mut spent) = (0, Duration::ZERO);
    while written < 600_000 {
        last = batch(&pattern, &last, 50_000);
        let started_at = Instant::now();
        sink.write(&last).unwrap();
        spent += started_at.elapsed();
        written += last.records.len();
    }
    let count = "SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase()";
    let rows: u64 = database.ask(count).lines().last().unwrap().parse().unwrap();
    let rows_per_s = rows as f64 / spent.as_secs_f64();
    println!("{written} events, {rows} rows in {spent:.1?}: {rows_per_s:.0} rows/s");
    assert!(rows_per_s > 200_000.0);
}
