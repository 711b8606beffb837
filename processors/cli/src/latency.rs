//! Latency as a client sees it: from the moment an order was due to be sent until its settlement can be read.
//!
//! Open loop: what counts is when a command was *due*, not when it went out, so that a stall of publisher, broker or
//! pipeline is not hidden. A settlement counts when a consumer of committed records has it in its hands. Both are told by
//! the same clock, that of this process.
//!
//! What is absent: what is measured under which load (see `chaos`).

use crate::drain::has_record;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_domain::types::{id_partition, id_sequence};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::App;
use tapeline_kafka::tail::Tail;
use tapeline_runtime::event_decoder::decoder;
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::topic::{self, partition_of};
use tapeline_schemas::wire::{Settlement, SettlementKind};

/// Significant digits of the histograms: 1 % is precise enough.
const DIGITS: u8 = 2;
/// How long the watch waits for a record before it looks whether it shall end.
const POLL: Duration = Duration::from_millis(20);
/// How long the last records may take to be seen after the pipeline has come to rest.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// When each command of a load was due. The load must be the only writer of `orders`: then the n-th command that it sends
/// to a partition has the n-th offset after the partition's former end.
pub struct DueTimes {
    began_at: Instant,
    first_offsets: Vec<i64>,
    /// By partition, in the order of offsets: time since `began_at`.
    due: Mutex<Vec<Vec<Duration>>>,
}

impl DueTimes {
    /// Begins with the next command.
    ///
    /// # Errors
    /// If the broker is away.
    pub fn begin(app: &App) -> Result<Arc<Self>> {
        let admin = Admin::connect(&app.addresses.kafka)?;
        let first_offsets: Vec<i64> = admin.watermarks(topic::ORDERS)?.iter().map(|marks| marks.end).collect();
        let due = Mutex::new(vec![Vec::new(); first_offsets.len()]);
        Ok(Arc::new(Self { began_at: Instant::now(), first_offsets, due }))
    }

    fn due(&self) -> Result<MutexGuard<'_, Vec<Vec<Duration>>>> {
        self.due.lock().map_err(|_| anyhow::anyhow!("the load panicked"))
    }

    /// Notes that the next command of `account` was due at `at`. Call it just before the command is sent.
    ///
    /// # Errors
    /// If a thread panicked that used these times.
    pub fn note(&self, account: &str, at: Instant) -> Result<()> {
        let partition = partition_of(account.as_bytes(), self.first_offsets.len() as i32);
        self.due()?[partition as usize].push(at.saturating_duration_since(self.began_at));
        Ok(())
    }

    /// When a command was due, as time since the beginning; `None` if it is none of this load.
    fn of(&self, command_id: i64) -> Result<Option<Duration>> {
        let partition = usize::try_from(id_partition(command_id)).unwrap_or(usize::MAX);
        let Some(first) = self.first_offsets.get(partition) else { return Ok(None) };
        let Ok(index) = usize::try_from(id_sequence(command_id) - first) else { return Ok(None) };
        Ok(self.due()?[partition].get(index).copied())
    }

    /// Checks that nobody else wrote to `orders`, which would have shifted all offsets.
    ///
    /// # Errors
    /// If somebody did, or if the broker is away.
    pub fn check_alone(&self, app: &App) -> Result<()> {
        let ends = Admin::connect(&app.addresses.kafka)?.watermarks(topic::ORDERS)?;
        for (partition, (marks, due)) in ends.iter().zip(&*self.due()?).enumerate() {
            let (grown, noted) = (marks.end - self.first_offsets[partition], due.len() as i64);
            ensure!(
                grown == noted,
                "{}-{partition} has grown by {grown} offsets, the load sent {noted} commands: somebody else writes there, \
                 so no latency can be told",
                topic::ORDERS
            );
        }
        Ok(())
    }
}

/// Latencies by the second in which the order was due, microseconds.
#[derive(Debug, Default)]
pub struct Latencies {
    by_second: BTreeMap<u64, Histogram<u64>>,
}

impl Latencies {
    fn add(&mut self, due: Duration, took: Duration) -> Result<()> {
        let histogram = match self.by_second.entry(due.as_secs()) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Histogram::new(DIGITS)?),
        };
        Ok(histogram.record(took.as_micros() as u64)?)
    }

    /// Seconds that have settlements, with a quantile (0 to 1) of each: the second since the beginning, and the latency.
    pub fn by_second(&self, quantile: f64) -> Vec<(u64, Duration)> {
        let of = |(second, histogram): (&u64, &Histogram<u64>)| {
            (*second, Duration::from_micros(histogram.value_at_quantile(quantile)))
        };
        self.by_second.iter().map(of).collect()
    }

    /// All latencies of orders that were due in the seconds of `range`.
    ///
    /// # Errors
    /// If the histograms can't be added.
    pub fn within(&self, range: std::ops::Range<u64>) -> Result<Histogram<u64>> {
        let mut all = Histogram::new(DIGITS)?;
        self.by_second.range(range).try_for_each(|(_, histogram)| all.add(histogram))?;
        Ok(all)
    }
}

/// Watches `trades.settled` on a thread of its own.
pub struct SettledWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Latencies>>,
}

impl SettledWatch {
    /// Watches what is settled from now on: trades of commands that `due` knows.
    ///
    /// # Errors
    /// If broker or registry are away.
    pub fn start(app: &App, due: Arc<DueTimes>) -> Result<Self> {
        let ids: Arc<dyn SchemaIds> = Arc::clone(&app.registry) as _;
        let mut settlements = decoder::<Settlement>(topic::SETTLED, &ids).map_err(anyhow::Error::msg)?;
        let (bootstrap, stop) = (app.addresses.kafka.clone(), Arc::new(AtomicBool::new(false)));
        let mut tail = Tail::open(&bootstrap, topic::SETTLED)?;
        let shall_end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut latencies = Latencies::default();
            let mut ends_by = None;
            loop {
                let mut seen = Ok(());
                let came = tail.poll(POLL, |record| {
                    let seen_at = due.began_at.elapsed();
                    seen =
                        settlements.decode(record.payload).map_err(anyhow::Error::from).and_then(|settlement| {
                            match (settlement.kind, due.of(settlement.command_id)?) {
                                (SettlementKind::Trade, Some(due)) => latencies.add(due, seen_at.saturating_sub(due)),
                                _ => Ok(()),
                            }
                        });
                })?;
                seen?;
                if came || !shall_end.load(Ordering::Relaxed) {
                    continue;
                }
                if is_at_end(&bootstrap, &tail)? {
                    return Ok(latencies);
                }
                let deadline: &mut Instant = ends_by.get_or_insert_with(|| Instant::now() + END_PATIENCE);
                ensure!(Instant::now() < *deadline, "the last settlements were not seen within {END_PATIENCE:?}");
            }
        });
        Ok(Self { stop, thread })
    }

    /// Waits until all that was settled has been seen; call it when the pipeline is at rest.
    ///
    /// # Errors
    /// If the watch failed.
    pub fn end(self) -> Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?.context("watching trades.settled")
    }
}

/// Whether no record is left that the tail has not seen. What lies between may be markers.
fn is_at_end(bootstrap: &str, tail: &Tail) -> Result<bool> {
    for (partition, next) in tail.next_offsets().iter().enumerate() {
        if has_record(bootstrap, topic::SETTLED, partition as i32, *next)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where by panicking")]
mod tests {
    use super::*;
    use tapeline_domain::types::position_id;

    #[test]
    fn a_command_is_found_by_its_place_and_others_are_not() {
        let began_at = Instant::now();
        let due = DueTimes { began_at, first_offsets: vec![7, 100], due: Mutex::new(vec![Vec::new(); 2]) };
        // Of the two accounts each belongs to another partition.
        let account =
            |partition| (0..).map(|n| format!("a{n}")).find(|name| partition_of(name.as_bytes(), 2) == partition);
        for (n, partition) in [0, 1, 0].into_iter().enumerate() {
            due.note(&account(partition).unwrap(), began_at + Duration::from_secs(n as u64)).unwrap();
        }
        let seconds = |partition, offset| due.of(position_id(partition, offset)).unwrap().map(|due| due.as_secs());
        assert_eq!([seconds(0, 7), seconds(1, 100), seconds(0, 8)], [Some(0), Some(1), Some(2)]);
        assert_eq!([seconds(0, 6), seconds(0, 9), seconds(1, 99), seconds(2, 0)], [None; 4]);
    }

    #[test]
    fn latencies_are_kept_by_the_second_in_which_the_order_was_due() {
        let mut latencies = Latencies::default();
        for (due_ms, took_ms) in [(500, 10), (900, 20), (1_000, 3_000), (5_999, 1)] {
            latencies.add(Duration::from_millis(due_ms), Duration::from_millis(took_ms)).unwrap();
        }
        let seconds: Vec<u64> = latencies.by_second(0.99).iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [0, 1, 5]);
        let all = latencies.within(0..2).unwrap();
        assert_eq!(all.len(), 3);
        let p99_ms = all.value_at_quantile(0.99) / 1_000;
        assert!((2_970..=3_030).contains(&p99_ms), "{p99_ms}");
    }
}
