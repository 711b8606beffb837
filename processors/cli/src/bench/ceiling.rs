//! The ceiling: what broker and client do without any of Tapeline's work, with the load's own records.
//!
//! - *Raw produce*: commands, as fast as an idempotent producer has them acknowledged.
//! - *Raw consume*: the same records read back, all partitions at once, with nothing done to them.
//! - *Bare transactions*: what a lane does to the log and no more. Records are read, written to another topic as they are
//!   and committed with the group's offsets, in batches as large as a lane's.

use super::flow::{Popularity, Prepared, encoder, generator};
use super::load::{Pace, publish};
use super::report::Report;
use crate::rig::{Events, Site};
use anyhow::{Context, Result, anyhow, ensure};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::MAX_BATCH_RECORDS;
use tapeline_kafka::port::KafkaPort;
use tapeline_kafka::publisher::Publisher;
use tapeline_kafka::scan::scan;
use tapeline_runtime::lane::{InputSpec, LaneSpec};
use tapeline_runtime::port::{OutView, Polled, Port, PortError};
use tapeline_schemas::topic;

/// The group's and the producer's name.
const NAME: &str = "ceiling";
/// How long a poll waits for the first record of a batch.
const WAIT: Duration = Duration::from_millis(100);
/// How long the log may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures all three, `repetitions` times on `commands` records each; a round before warms the broker up.
pub(super) fn run(
    site: &Site,
    repetitions: u32,
    commands: usize,
    events: &mut Events,
    report: &mut Report,
) -> Result<()> {
    let kafka = &site.app.addresses.kafka;
    let partitions = site.app.topology.topic(topic::ORDERS).map_or(0, |orders| orders.partitions);
    let publisher = Publisher::open(kafka, "upstream")?;
    let mut port = port(kafka)?;
    let (mut flow, encoder) = (generator(Popularity::Zipf)?, encoder(&site.app)?);
    let mut seen: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for repetition in 0..=repetitions {
        let prepared = Prepared::take(&mut flow, commands, &encoder, partitions)?;
        let began_at = Instant::now();
        publish(&publisher, &prepared, Pace::Saturating, None)?;
        let produced = commands as f64 / began_at.elapsed().as_secs_f64();
        let began_at = Instant::now();
        let records = consume(kafka, topic::ORDERS)?;
        let consumed = records as f64 / began_at.elapsed().as_secs_f64();
        let copied = commands as f64 / copy(&mut port, commands)?.as_secs_f64();
        let copies = consume(kafka, topic::VALIDATED)?;
        ensure!(copies == records, "{copies} of {records} records were copied");
        events.note(&format!(
            "ceiling: {produced:.0} records produced, {consumed:.0} consumed, {copied:.0} copied per second{}",
            if repetition == 0 { " (cold: not counted)" } else { "" }
        ));
        if repetition > 0 {
            for (name, figure) in [("produce", produced), ("consume", consumed), ("bare transactions", copied)] {
                seen.entry(name).or_default().push(figure);
            }
        }
    }
    for (name, figures) in seen {
        report.figure(&format!("ceiling, {name}: records per second"), figures);
    }
    Ok(())
}

fn port(kafka: &str) -> Result<KafkaPort> {
    let input = InputSpec { topic: topic::ORDERS.to_owned(), broadcast: false, reference: false, dead_letters: None };
    let spec = LaneSpec {
        component: NAME.to_owned(),
        inputs: vec![input],
        journal: None,
        snapshots: None,
        max_batch_records: MAX_BATCH_RECORDS,
    };
    let mut port = KafkaPort::open(kafka, &spec, NAME.to_owned(), vec![topic::VALIDATED.to_owned()], None)?;
    port.join()?;
    Ok(port)
}

/// Reads all of a topic and gives the number of records.
fn consume(kafka: &str, topic: &str) -> Result<u64> {
    let marks = Admin::connect(kafka)?.watermarks(topic)?;
    let read = |partition: i32, end: i64| -> Result<u64, PortError> {
        let mut count = 0;
        scan(kafka, topic, partition, end, |_| {
            count += 1;
            Ok::<_, PortError>(())
        })?;
        Ok(count)
    };
    std::thread::scope(|scope| {
        let read = &read;
        let filled = (0..).zip(&marks).filter(|(_, marks)| marks.end > 0);
        let threads: Vec<_> =
            filled.map(|(partition, marks)| scope.spawn(move || read(partition, marks.end))).collect();
        let counts =
            threads.into_iter().map(|thread| Ok(thread.join().map_err(|_| anyhow!("a reader panicked"))??));
        counts.sum()
    })
}

/// Copies so many records of the input in transactions, and says how long that took.
fn copy(port: &mut KafkaPort, count: usize) -> Result<Duration> {
    let began_at = Instant::now();
    let mut last_at = began_at;
    let mut copied = 0;
    while copied < count {
        let batch = copy_batch(port)?;
        if batch > 0 {
            last_at = Instant::now();
        }
        ensure!(last_at.elapsed() < PATIENCE, "{copied} of {count} records came within {PATIENCE:?}");
        copied += batch;
    }
    Ok(began_at.elapsed())
}

fn copy_batch(port: &mut KafkaPort) -> Result<usize> {
    let mut offsets = BTreeMap::new();
    let mut batch = 0;
    while batch < MAX_BATCH_RECORDS {
        match port.poll(if batch == 0 { WAIT } else { Duration::ZERO })? {
            Polled::Nothing => break,
            Polled::Assigned(_) | Polled::Revoked(_) => {}
            Polled::Record(record) => {
                if batch == 0 {
                    port.begin()?;
                }
                let (key, payload) = (record.key.as_deref(), record.payload.as_deref());
                let out = OutView { topic: topic::VALIDATED, partition: None, key, payload, headers: &[] };
                port.send(out).context("copying")?;
                offsets.insert((record.input, record.partition), record.offset + 1);
                batch += 1;
            }
        }
    }
    if batch > 0 {
        port.commit(&offsets.into_iter().collect::<Vec<_>>())?;
    }
    Ok(batch)
}
