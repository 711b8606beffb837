//! Latency as a client sees it: from the moment an order was due to be sent until what became of it can be read.
//!
//! Open loop: what counts is when a command was *due*, not when it went out, so that a stall of publisher, broker or
//! pipeline is not hidden. A record counts when a consumer of committed records has it in its hands. Both are told by
//! the same clock, that of this process.
//!
//! What is absent: what is measured under which load (see `chaos` and `bench`).

use crate::drain::has_record;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_domain::types::{id_partition, id_sequence};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::App;
use tapeline_kafka::tail::Tail;
use tapeline_runtime::event_decoder::decoder;
use tapeline_schemas::codec::{DecodeError, SchemaIds};
use tapeline_schemas::topic::{self, partition_of};
use tapeline_schemas::wire::{Execution, ExecutionKind, Settlement, SettlementKind, ValidatedCommand};

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

    /// The partition of an account's commands.
    pub fn partition_of(&self, account: &str) -> i32 {
        partition_of(account.as_bytes(), self.first_offsets.len() as i32)
    }

    /// Notes that the next command in a partition of `orders` was due at `at`. Call it just before the command is sent.
    ///
    /// # Errors
    /// If a thread panicked that used these times.
    pub fn note(&self, partition: i32, at: Instant) -> Result<()> {
        self.due()?[partition as usize].push(at.saturating_duration_since(self.began_at));
        Ok(())
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.began_at.elapsed()
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
    /// Adds one.
    ///
    /// # Errors
    /// If a histogram can't be made or can't take it.
    pub fn add(&mut self, due: Duration, took: Duration) -> Result<()> {
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

/// A stage of the pipeline, by what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The command was accepted.
    Validated,
    /// The order was accepted by its book or traded.
    Executed,
    /// A trade that the command led to was settled.
    Settled,
}

/// Reads the command that a record goes back to; `None` if the record does not count.
type CommandOf = Box<dyn FnMut(Option<&[u8]>) -> Result<Option<i64>, DecodeError> + Send>;

impl Stage {
    /// Its topic.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Validated => topic::VALIDATED,
            Self::Executed => topic::EXECUTED,
            Self::Settled => topic::SETTLED,
        }
    }

    fn command_of(self, ids: &Arc<dyn SchemaIds>) -> Result<CommandOf> {
        let name = self.topic();
        Ok(match self {
            Self::Validated => {
                let mut read = decoder::<ValidatedCommand>(name, ids).map_err(anyhow::Error::msg)?;
                Box::new(move |payload| Ok(Some(read.decode(payload)?.command_id)))
            }
            Self::Executed => {
                let mut read = decoder::<Execution>(name, ids).map_err(anyhow::Error::msg)?;
                let counts = |kind| matches!(kind, ExecutionKind::Accepted | ExecutionKind::Traded);
                Box::new(move |payload| {
                    let execution = read.decode(payload)?;
                    Ok(counts(execution.kind).then_some(execution.command_id))
                })
            }
            Self::Settled => {
                let mut read = decoder::<Settlement>(name, ids).map_err(anyhow::Error::msg)?;
                Box::new(move |payload| {
                    let settlement = read.decode(payload)?;
                    Ok((settlement.kind == SettlementKind::Trade).then_some(settlement.command_id))
                })
            }
        })
    }
}

/// Records that a watch has seen, for who waits until a view shows them: by partition, offset and when the order was due.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Vec<VecDeque<(i64, Duration)>>>);

impl Seen {
    fn push(&self, partition: i32, offset: i64, due: Duration) -> Result<()> {
        let mut all = self.0.lock().map_err(|_| anyhow::anyhow!("the watch over a view panicked"))?;
        let index = partition as usize;
        if all.len() <= index {
            all.resize_with(index + 1, VecDeque::new);
        }
        all[index].push_back((offset, due));
        Ok(())
    }

    /// Whether nothing waits.
    ///
    /// # Errors
    /// If the thread that watches the topic panicked.
    pub fn is_empty(&self) -> Result<bool> {
        let all = self.0.lock().map_err(|_| anyhow::anyhow!("the watch over the topic panicked"))?;
        Ok(all.iter().all(VecDeque::is_empty))
    }

    /// Takes out what lies below `next_offset` in a partition: when these orders were due.
    ///
    /// # Errors
    /// If the thread that watches the topic panicked.
    pub fn take_below(&self, partition: i32, next_offset: i64) -> Result<Vec<Duration>> {
        let mut all = self.0.lock().map_err(|_| anyhow::anyhow!("the watch over the topic panicked"))?;
        let Some(of_partition) = all.get_mut(partition as usize) else { return Ok(Vec::new()) };
        let below = of_partition.partition_point(|(offset, _)| *offset < next_offset);
        Ok(of_partition.drain(..below).map(|(_, due)| due).collect())
    }
}

/// Watches what a stage writes, on a thread of its own.
pub struct StageWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Latencies>>,
}

impl StageWatch {
    /// Watches what is written from now on and goes back to commands that `due` knows. `seen` are told of it too.
    ///
    /// # Errors
    /// If broker or registry are away.
    pub fn start(app: &App, stage: Stage, due: Arc<DueTimes>, seen: Vec<Arc<Seen>>) -> Result<Self> {
        let ids: Arc<dyn SchemaIds> = Arc::clone(&app.registry) as _;
        let mut command_of = stage.command_of(&ids)?;
        let (bootstrap, stop) = (app.addresses.kafka.clone(), Arc::new(AtomicBool::new(false)));
        let mut tail = Tail::open(&bootstrap, stage.topic())?;
        let shall_end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut latencies = Latencies::default();
            let mut ends_by = None;
            loop {
                let mut noted = Ok(());
                let came = tail.poll(POLL, |record| {
                    let seen_at = due.now();
                    noted = command_of(record.payload).map_err(anyhow::Error::from).and_then(|command| {
                        let due = command.map_or(Ok(None), |command| due.of(command))?;
                        let Some(due) = due else { return Ok(()) };
                        seen.iter().try_for_each(|seen| seen.push(record.partition, record.offset, due))?;
                        latencies.add(due, seen_at.saturating_sub(due))
                    });
                })?;
                noted?;
                if came || !shall_end.load(Ordering::Relaxed) {
                    continue;
                }
                if is_at_end(&bootstrap, stage.topic(), &tail)? {
                    return Ok(latencies);
                }
                let deadline: &mut Instant = ends_by.get_or_insert_with(|| Instant::now() + END_PATIENCE);
                ensure!(Instant::now() < *deadline, "the last records were not seen within {END_PATIENCE:?}");
            }
        });
        Ok(Self { stop, thread })
    }

    /// Waits until all that was written has been seen; call it when the pipeline is at rest.
    ///
    /// # Errors
    /// If the watch failed.
    pub fn end(self) -> Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("a watch panicked"))?.context("watching a topic")
    }
}

/// Whether no record is left that the tail has not seen. What lies between may be markers.
fn is_at_end(bootstrap: &str, topic: &str, tail: &Tail) -> Result<bool> {
    for (partition, next) in tail.next_offsets().iter().enumerate() {
        if has_record(bootstrap, topic, partition as i32, *next)? {
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
            assert_eq!(due.partition_of(&account(partition).unwrap()), partition);
            due.note(partition, began_at + Duration::from_secs(n as u64)).unwrap();
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
