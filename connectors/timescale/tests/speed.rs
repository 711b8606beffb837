//! How fast batches go in. Measures, so it is run by hand:
//! `cargo test --release -p tapeline-timescale --test speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod support;

use std::time::{Duration, Instant};
use support::TestDatabase;
use support::stream::{batches, busy_stream};
use tapeline_runtime::sink::Sink;
use tapeline_timescale::TimescaleSink;

#[test]
#[ignore = "a measurement, not a check"]
fn records_per_second_by_batch_size() {
    for (size, count) in [(1, 200), (100, 10_000), (10_000, 200_000), (50_000, 200_000)] {
        let Some(database) = TestDatabase::create("records_per_second_by_batch_size") else { return };
        // Half as many orders as records: an order has about four events in its life, on two topics.
        let batches = batches(&busy_stream(1, count, count as i64 / 2), size);
        let mut sink = TimescaleSink::connect(&database.url).unwrap();
        let mut times: Vec<Duration> = Vec::new();
        for batch in &batches {
            let started_at = Instant::now();
            sink.write(batch).unwrap();
            times.push(started_at.elapsed());
        }
        let whole: Duration = times.iter().sum();
        times.sort();
        let rate = count as f64 / whole.as_secs_f64();
        println!("batches of {size}: {rate:.0} records/s, median {:?} a batch", times[times.len() / 2]);
    }
}
