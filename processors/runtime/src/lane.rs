//! The lane: one thread, one group member, one transactional producer, one task for each partition it holds.
//!
//! A lane reads what is there, lets the tasks apply it, writes outputs, journal and offsets in one transaction and
//! commits as soon as the input is drained or the batch is full. It reads only between transactions, so a rebalance
//! never meets a half-done batch. After any failure it is dropped and built anew from the log ([`crate::supervisor`]).

use crate::dead_letter::dead_letter;
use crate::metrics::{LaneMetrics, Tally};
use crate::port::{InputPartition, OutView, Polled, Port, PortError, Record};
use crate::processor::{Coding, Draft, Processor};
use crate::restore;
use crate::snapshot::{RECORDS_PER_BLOCK, SnapshotSpec};
use crate::task::{Outcome, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapeline_domain::image::Image as _;
#[cfg(feature = "mutations")]
use tapeline_domain::mutation::Mutation;
use tapeline_schemas::codec::{Decoder, Encoder, SchemaIds, Wire};
use tapeline_schemas::wire::{JournalEntry, SnapshotPart};

/// How long an idle lane waits for a record before it looks around.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// How many batches of records for partitions that are not restored yet are taken in one round at most.
const EARLY_BATCHES: usize = 10;

/// Tasks are restored in a round until what they hold (orders, accounts, remembered commands) is this much, some tenths of a
/// second: small ones together, with one look at the reference data; and the first of large ones goes on working before the
/// next is restored.
const ENTITIES_IN_ROUND: usize = 100_000;

/// Shortest rest after a transaction with few records. A commit may take 2 ms only; stages that rest as short wake each other up
/// hundreds of times a second, which cost 40 µs of processor for an order at 12,500 orders/s, and gained 6 ms.
const SHORTEST_REST: Duration = Duration::from_millis(6);
/// Longest rest between two transactions.
const LONGEST_REST: Duration = Duration::from_millis(60);
/// A transaction of so many records is worth what it costs: a lane does not rest after it.
const WORTHWHILE_RECORDS: usize = 1_000;

/// A member that has been given nothing for this long is a spare one, and ready to take over.
pub(crate) const SPARE_AFTER: Duration = Duration::from_secs(20);

/// An input of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Topic.
    pub topic: String,
    /// Each task reads all partitions of it (else: the partition with the task's own number).
    pub broadcast: bool,
    /// Reference data: read to its end before a task takes its first other record.
    pub reference: bool,
    /// Where this component puts what it can't read of it; `None` if another component does.
    pub dead_letters: Option<String>,
}

/// What a lane reads and writes, from `topology.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSpec {
    /// The processor's name, also its consumer group's.
    pub component: String,
    /// Inputs.
    pub inputs: Vec<InputSpec>,
    /// Journal topic; `None` for a processor without state.
    pub journal: Option<String>,
    /// Snapshots; `None` for a processor without state.
    pub snapshots: Option<SnapshotSpec>,
    /// A batch is committed when it has this many records, if the input is not drained before.
    pub max_batch_records: usize,
}

/// Why a lane ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// Another process has taken over.
    #[error("fenced: {0}")]
    Fenced(String),
    /// Something is away: build the lane anew after a pause.
    #[error("{0}")]
    Away(String),
    /// Ends the process.
    #[error("{0}")]
    Fatal(String),
}

impl From<PortError> for LaneError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Fenced(why) => Self::Fenced(why),
            PortError::Away(why) => Self::Away(why),
            PortError::Fatal(why) => Self::Fatal(why),
        }
    }
}

/// Reads and writes what a lane keeps for itself: journal and snapshots.
pub struct OwnRecords {
    pub(crate) entries: Encoder<JournalEntry>,
    pub(crate) read_entries: Decoder<JournalEntry>,
    pub(crate) parts: Encoder<SnapshotPart>,
    pub(crate) read_parts: Decoder<SnapshotPart>,
}

impl OwnRecords {
    /// Asks the registry for the schemas' ids, where the lane has such topics.
    ///
    /// # Errors
    /// A sentence, if a schema is not registered or the registry is away.
    pub fn new(spec: &LaneSpec, ids: &Arc<dyn SchemaIds>) -> Result<Self, String> {
        let id = |topic: Option<&String>, schema| topic.map_or(Ok(0), |topic| ids.registered_id(topic, schema));
        let journal = id(spec.journal.as_ref(), JournalEntry::SCHEMA_JSON)?;
        let snapshots = id(spec.snapshots.as_ref().map(|spec| &spec.topic), SnapshotPart::SCHEMA_JSON)?;
        Ok(Self {
            entries: Encoder::new(journal),
            read_entries: Decoder::new(journal, Arc::clone(ids) as _),
            parts: Encoder::new(snapshots),
            read_parts: Decoder::new(snapshots, Arc::clone(ids) as _),
        })
    }
}

/// One processor on one thread.
pub struct Lane<P: Processor, C: Coding<P>, Q: Port> {
    pub(crate) spec: LaneSpec,
    pub(crate) processor: P,
    pub(crate) coding: C,
    pub(crate) records: OwnRecords,
    pub(crate) port: Q,
    pub(crate) metrics: LaneMetrics,
    pub(crate) tasks: BTreeMap<i32, Task<P>>,
    assigned: BTreeSet<InputPartition>,
    /// Records to be processed next: reference data of new tasks, and what was polled for tasks not complete yet.
    waiting: Vec<Record>,
    joined_at: Instant,
    /// How long the last transaction asks the next one to wait for more records.
    rest: Duration,
    /// Whether it takes no more records.
    pub(crate) is_stopping: bool,
}

impl<P: Processor, C: Coding<P>, Q: Port> Lane<P, C, Q> {
    /// A lane that has not joined its group yet.
    pub fn new(spec: LaneSpec, processor: P, coding: C, records: OwnRecords, port: Q, metrics: LaneMetrics) -> Self {
        let (tasks, assigned, waiting) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let joined_at = Instant::now();
        let (rest, is_stopping) = (Duration::ZERO, false);
        Self { spec, processor, coding, records, port, metrics, tasks, assigned, waiting, joined_at, rest, is_stopping }
    }

    /// Works until `stop` is set, then writes snapshots at the last offsets.
    ///
    /// # Errors
    /// See [`LaneError`]; the lane must not be used afterwards.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), LaneError> {
        while !stop.load(Ordering::Relaxed) {
            self.step(IDLE_WAIT)?;
        }
        self.end()
    }

    /// A clean end: snapshots at the last offsets, so that the next life starts without a replay.
    ///
    /// # Errors
    /// [`LaneError::Fenced`] if another process has taken over. Anything else only makes the next start longer, and is
    /// said in the log.
    pub fn end(&mut self) -> Result<(), LaneError> {
        let started_at = Instant::now();
        let stopped = self.snapshot_at_stop();
        let component = &self.spec.component;
        match stopped {
            Ok(()) => {
                let snapshot_ms = started_at.elapsed().as_millis() as u64;
                tracing::info!(%component, snapshot_ms, "stopped after its last record");
                Ok(())
            }
            Err(LaneError::Away(why) | LaneError::Fatal(why)) => {
                tracing::warn!(%component, why, "no snapshot at the stop: the next start replays");
                Ok(())
            }
            fenced => fenced,
        }
    }

    /// One round: reads what is there (waiting up to `wait` for the first record), processes and commits it.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub fn step(&mut self, wait: Duration) -> Result<(), LaneError> {
        self.port.rest(std::mem::take(&mut self.rest));
        let is_snapshotting = self.has_snapshot_at_work();
        let batch = self.collect(if is_snapshotting { Duration::ZERO } else { wait })?;
        if !batch.is_empty() || self.has_snapshot_at_work() {
            self.process(&batch)?;
        }
        let spare = self.assigned.is_empty() && self.joined_at.elapsed() > SPARE_AFTER;
        self.metrics.set_ready(!self.tasks.is_empty() || spare);
        self.metrics.set_lag(&self.spec, &self.port.lag());
        Ok(())
    }

    /// Replays a partition by the journal, compares the hash, and gives the number of outputs. For audits.
    ///
    /// # Errors
    /// [`LaneError::Fatal`] names the journal offset at which the replay differs.
    pub fn replay(&mut self, partition: i32) -> Result<u64, LaneError> {
        Ok(restore::restore(self, partition)?.hash.outputs)
    }

    /// The state of a partition's task, for tests and audits.
    pub fn state(&self, partition: i32) -> Option<&P::State> {
        self.tasks.get(&partition).map(|task| &task.state)
    }

    /// Partitions that this lane holds now.
    pub fn partitions(&self) -> Vec<i32> {
        self.tasks.keys().copied().collect()
    }

    /// Where a task stands in the inputs that its group assigns.
    fn positions(&self, partition: i32) -> Vec<(InputPartition, i64)> {
        let next = self.tasks.get(&partition).into_iter().flat_map(|task| &task.next);
        next.filter(|((input, _), _)| !self.spec.inputs[*input].broadcast).map(|(at, offset)| (*at, *offset)).collect()
    }

    fn collect(&mut self, wait: Duration) -> Result<Vec<Record>, LaneError> {
        let mut batch = self.start_tasks()?;
        batch.append(&mut self.waiting);
        let mut wait = if batch.is_empty() { wait } else { Duration::ZERO };
        // What waits does not count: a lane full of records for tasks that are not complete must go on polling, or it
        // would never hear of the partitions that complete them. Nor, up to a bound, do records that will wait: those of
        // the partitions that work already may lie behind them.
        let most_ready = batch.len() + self.spec.max_batch_records;
        let most = batch.len() + self.spec.max_batch_records * EARLY_BATCHES;
        let mut ready = batch.len();
        while ready < most_ready && batch.len() < most {
            match self.port.poll(wait)? {
                Polled::Nothing => break,
                Polled::Record(record) => {
                    ready += usize::from(self.is_for_a_task(&record));
                    batch.push(record);
                }
                Polled::Assigned(partitions) => self.assign(partitions),
                Polled::Revoked(partitions) => self.drop_tasks(&partitions, &mut batch),
            }
            wait = Duration::ZERO;
        }
        let (ready, early) = batch.into_iter().partition(|record| self.is_for_a_task(record));
        self.waiting = early;
        Ok(ready)
    }

    fn assign(&mut self, partitions: Vec<InputPartition>) {
        let (component, after_join_ms) = (&self.spec.component, self.joined_at.elapsed().as_millis() as u64);
        tracing::info!(%component, after_join_ms, input_partitions = partitions.len(), "partitions assigned");
        self.assigned.extend(partitions);
    }

    fn is_for_a_task(&self, record: &Record) -> bool {
        self.spec.inputs[record.input].broadcast || self.tasks.contains_key(&record.partition)
    }

    /// Starts tasks of partitions of which all partitioned inputs are assigned, see [`ENTITIES_IN_ROUND`], and gives the
    /// reference data that they must take before anything else.
    fn start_tasks(&mut self) -> Result<Vec<Record>, LaneError> {
        let (before, mut entities) = (self.tasks.len(), 0);
        while entities < ENTITIES_IN_ROUND
            && let Some(partition) = self.next_to_start()
        {
            let started_at = Instant::now();
            let task = restore::restore(self, partition)?;
            self.metrics.restored(partition, started_at.elapsed());
            tracing::info!(
                component = %self.spec.component,
                partition,
                snapshot = task.snapshots.number,
                outputs = task.hash.outputs,
                replayed = task.snapshots.records(),
                restore_ms = started_at.elapsed().as_millis() as u64,
                "partition restored"
            );
            entities += task.state.entities();
            self.tasks.insert(partition, task);
        }
        if self.tasks.len() == before {
            return Ok(Vec::new());
        }
        let reference = restore::reference_records(self)?;
        self.follow_broadcast()?;
        Ok(reference)
    }

    fn next_to_start(&self) -> Option<i32> {
        let own_inputs = (0..self.spec.inputs.len()).filter(|input| !self.spec.inputs[*input].broadcast);
        let is_complete = |partition: &i32| {
            !self.tasks.contains_key(partition)
                && own_inputs.clone().all(|input| self.assigned.contains(&(input, *partition)))
        };
        self.assigned.iter().map(|(_, partition)| *partition).find(is_complete)
    }

    /// Broadcast inputs are read from where the task that is furthest behind stands; the others skip what they know.
    fn follow_broadcast(&mut self) -> Result<(), LaneError> {
        let mut positions = Vec::new();
        for (input, spec) in self.spec.inputs.iter().enumerate().filter(|(_, spec)| spec.broadcast) {
            for partition in 0..self.port.partitions(&spec.topic)? {
                let behind = self.tasks.values().map(|task| task.position((input, partition))).min().unwrap_or(0);
                positions.push(((input, partition), behind));
            }
        }
        Ok(self.port.follow_broadcast(&positions)?)
    }

    fn drop_tasks(&mut self, revoked: &[InputPartition], batch: &mut Vec<Record>) {
        for (input, partition) in revoked {
            self.assigned.remove(&(*input, *partition));
            if self.tasks.remove(partition).is_some() {
                tracing::info!(component = %self.spec.component, partition, "partition revoked");
            }
        }
        batch.retain(|record| {
            self.spec.inputs[record.input].broadcast || !revoked.contains(&(record.input, record.partition))
        });
    }

    /// Takes a batch in one transaction, with the next blocks of snapshots at work.
    pub(crate) fn process(&mut self, batch: &[Record]) -> Result<(), LaneError> {
        #[cfg(feature = "mutations")]
        self.commit_offsets_first(batch)?;
        let mut transaction = Transaction::default();
        for (place, record) in batch.iter().enumerate() {
            if place % RECORDS_PER_BLOCK == RECORDS_PER_BLOCK - 1 && transaction.open {
                transaction.with_blocks.extend(self.send_blocks()?);
            }
            if self.spec.inputs[record.input].broadcast {
                for partition in self.partitions() {
                    self.take(partition, record, &mut transaction)?;
                }
            } else {
                self.take(record.partition, record, &mut transaction)?;
            }
        }
        if !transaction.open && self.has_snapshot_at_work() {
            self.port.begin()?;
            transaction.open = true;
        }
        if transaction.open {
            self.commit(transaction)?;
            self.begin_due_snapshot()?;
        }
        Ok(())
    }

    fn take(&mut self, partition: i32, record: &Record, transaction: &mut Transaction) -> Result<(), LaneError> {
        let Self { tasks, processor, coding, spec, port, .. } = self;
        let Some(task) = tasks.get_mut(&partition).filter(|task| !task.has_taken(record)) else {
            return Ok(());
        };
        if !transaction.open {
            port.begin()?;
            transaction.open = true;
        }
        let tally = &mut transaction.tally;
        let outcome = task.take(processor, coding, spec, record, |draft, label| {
            tally.output(label);
            let Draft { topic, key, payload } = draft;
            port.send(OutView::without_headers(topic, None, key, payload))
        })?;
        tally.record(record.input, &outcome);
        let input = &spec.inputs[record.input];
        if !input.broadcast {
            transaction.offsets.insert((record.input, record.partition), record.offset + 1);
        } else if let Some(own) = spec.inputs.iter().position(|input| !input.broadcast) {
            // A broadcast input has no offsets in the group, but without any the commit would not be fenced: a lane that
            // has lost the partition could still write to its journal. So where the task stands is committed again.
            let at = (own, partition);
            transaction.offsets.entry(at).or_insert_with(|| task.position(at));
        }
        transaction.touched.insert(partition);
        if let (Outcome::Poison { code, text }, Some(target)) = (&outcome, &input.dead_letters) {
            let (topic, component) = (&input.topic, &spec.component);
            tracing::warn!(%component, %topic, record.partition, record.offset, code, text, "dead letter");
            port.send(dead_letter(record, topic, target, component, code, text).view())?;
        }
        Ok(())
    }

    #[cfg(feature = "mutations")]
    fn commit_offsets_first(&mut self, batch: &[Record]) -> Result<(), LaneError> {
        if !Mutation::OffsetsBeforeOutputs.is_active() {
            return Ok(());
        }
        let own = batch.iter().filter(|record| !self.spec.inputs[record.input].broadcast);
        let offsets: BTreeMap<_, _> = own.map(|at| ((at.input, at.partition), at.offset + 1)).collect();
        self.port.begin()?;
        Ok(self.port.commit(&offsets.into_iter().collect::<Vec<_>>())?)
    }

    fn commit(&mut self, mut transaction: Transaction) -> Result<(), LaneError> {
        let journal = self.spec.journal.clone();
        #[cfg(feature = "mutations")]
        let journal = journal.filter(|_| !Mutation::NoJournal.is_active());
        if let Some(topic) = journal {
            for partition in &transaction.touched {
                let Some(task) = self.tasks.get_mut(partition) else { continue };
                let mut payload = Vec::with_capacity(96);
                let entry = task.runs.entry(task.hash);
                self.records.entries.encode(&entry, &mut payload);
                let key = partition.to_string();
                self.port.send(OutView::without_headers(&topic, Some(*partition), key.as_bytes(), &payload))?;
            }
        }
        transaction.with_blocks.extend(self.send_blocks()?);
        for partition in transaction.with_blocks {
            // Offsets carry the group's generation, which is what fences: no transaction goes without.
            transaction.offsets.extend(self.positions(partition));
        }
        let started_at = Instant::now();
        let offsets: Vec<_> = transaction.offsets.into_iter().collect();
        self.port.commit(&offsets)?;
        let took = started_at.elapsed();
        // A transaction costs the broker the same however small it is. A lane that commits each record as it comes keeps
        // a broker busy at a tenth of its load, and then all wait for it: so it rests for as long as its commit took, less
        // the more records it had.
        self.rest = rest(took, transaction.tally.taken());
        self.metrics.committed(&self.spec, &transaction.tally, took);
        Ok(())
    }
}

/// How long a lane rests after a transaction of so many records whose commit took so long.
fn rest(commit: Duration, records: usize) -> Duration {
    let lacking = WORTHWHILE_RECORDS.saturating_sub(records) as f64 / WORTHWHILE_RECORDS as f64;
    commit.clamp(SHORTEST_REST, LONGEST_REST).mul_f64(lacking)
}

/// What the transaction at hand has gathered.
#[derive(Default)]
struct Transaction {
    open: bool,
    tally: Tally,
    offsets: BTreeMap<InputPartition, i64>,
    touched: BTreeSet<i32>,
    /// Tasks of whose snapshots it holds blocks.
    with_blocks: BTreeSet<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_shorter_the_fuller_the_transaction_and_never_long() {
        let ms = |commit_ms, records| rest(Duration::from_millis(commit_ms), records).as_millis();
        assert_eq!([ms(8, 0), ms(8, 250), ms(8, 1_000), ms(8, 5_000)], [8, 6, 0, 0]);
        assert_eq!([ms(0, 0), ms(2, 500)], [6, 3]);
        assert_eq!([ms(900, 0), ms(900, 500)], [60, 30]);
    }
}
