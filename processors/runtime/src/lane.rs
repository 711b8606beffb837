//! The lane: one thread, one group member, one transactional producer, one task for each partition it holds.
//!
//! A lane reads what is there, lets the tasks apply it, writes outputs, journal and offsets in one transaction and
//! commits as soon as the input is drained or the batch is full. It reads only between transactions, so a rebalance
//! never meets a half-done batch. After any failure it is dropped and built anew from the log ([`crate::supervisor`]).

use crate::dead_letter::dead_letter;
use crate::metrics::LaneMetrics;
use crate::port::{InputPartition, OutRecord, Polled, Port, PortError, Record};
use crate::processor::{Coding, Processor};
use crate::restore;
use crate::task::{Outcome, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapeline_schemas::codec::{Decoder, Encoder};
use tapeline_schemas::wire::JournalEntry;

/// How long an idle lane waits for a record before it looks around.
const IDLE_WAIT: Duration = Duration::from_millis(100);

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

/// Encoder and decoder of the journal.
pub struct JournalCoding {
    /// Writes entries.
    pub encoder: Encoder<JournalEntry>,
    /// Reads them.
    pub decoder: Decoder<JournalEntry>,
}

/// One processor on one thread.
pub struct Lane<P: Processor, C: Coding<P>, Q: Port> {
    pub(crate) spec: LaneSpec,
    pub(crate) processor: P,
    pub(crate) coding: C,
    pub(crate) journal: JournalCoding,
    pub(crate) port: Q,
    pub(crate) metrics: LaneMetrics,
    tasks: BTreeMap<i32, Task<P>>,
    assigned: BTreeSet<InputPartition>,
    /// Records to be processed next: reference data of new tasks, and what was polled for tasks not complete yet.
    waiting: Vec<Record>,
    joined_at: Instant,
}

impl<P: Processor, C: Coding<P>, Q: Port> Lane<P, C, Q> {
    /// A lane that has not joined its group yet.
    pub fn new(spec: LaneSpec, processor: P, coding: C, journal: JournalCoding, port: Q, metrics: LaneMetrics) -> Self {
        let (tasks, assigned, waiting) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let joined_at = Instant::now();
        Self { spec, processor, coding, journal, port, metrics, tasks, assigned, waiting, joined_at }
    }

    /// Works until `stop` is set.
    ///
    /// # Errors
    /// See [`LaneError`]; the lane must not be used afterwards.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), LaneError> {
        while !stop.load(Ordering::Relaxed) {
            self.step(IDLE_WAIT)?;
        }
        Ok(())
    }

    /// One round: reads what is there (waiting up to `wait` for the first record), processes and commits it.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub fn step(&mut self, wait: Duration) -> Result<(), LaneError> {
        let batch = self.collect(wait)?;
        if !batch.is_empty() {
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
        Ok(restore::restore(self, partition)?.0.hash.outputs)
    }

    /// The state of a partition's task, for tests and audits.
    pub fn state(&self, partition: i32) -> Option<&P::State> {
        self.tasks.get(&partition).map(|task| &task.state)
    }

    /// Partitions that this lane holds now.
    pub fn partitions(&self) -> Vec<i32> {
        self.tasks.keys().copied().collect()
    }

    fn collect(&mut self, wait: Duration) -> Result<Vec<Record>, LaneError> {
        let mut batch = std::mem::take(&mut self.waiting);
        let mut wait = if batch.is_empty() { wait } else { Duration::ZERO };
        while batch.len() < self.spec.max_batch_records {
            match self.port.poll(wait)? {
                Polled::Nothing => break,
                Polled::Record(record) => batch.push(record),
                Polled::Assigned(partitions) => {
                    self.assigned.extend(partitions);
                    self.start_complete_tasks(&mut batch)?;
                }
                Polled::Revoked(partitions) => self.drop_tasks(&partitions, &mut batch),
            }
            wait = Duration::ZERO;
        }
        let (ready, early) = batch.into_iter().partition(|record| self.is_for_a_task(record));
        self.waiting = early;
        Ok(ready)
    }

    fn is_for_a_task(&self, record: &Record) -> bool {
        self.spec.inputs[record.input].broadcast || self.tasks.contains_key(&record.partition)
    }

    /// Starts a task for each partition of which all partitioned inputs are assigned.
    fn start_complete_tasks(&mut self, batch: &mut Vec<Record>) -> Result<(), LaneError> {
        let own_inputs: Vec<usize> =
            (0..self.spec.inputs.len()).filter(|input| !self.spec.inputs[*input].broadcast).collect();
        let partitions: BTreeSet<i32> = self.assigned.iter().map(|(_, partition)| *partition).collect();
        let complete = partitions.into_iter().filter(|partition| {
            !self.tasks.contains_key(partition)
                && own_inputs.iter().all(|input| self.assigned.contains(&(*input, *partition)))
        });
        let mut started = false;
        for partition in complete.collect::<Vec<_>>() {
            let started_at = Instant::now();
            let (task, reference) = restore::restore(self, partition)?;
            tracing::info!(
                component = %self.spec.component,
                partition,
                outputs = task.hash.outputs,
                restore_ms = started_at.elapsed().as_millis() as u64,
                "partition restored"
            );
            self.tasks.insert(partition, task);
            // What the new task knows of its reference inputs comes before anything else it is given.
            batch.splice(0..0, reference);
            started = true;
        }
        if started { self.follow_broadcast() } else { Ok(()) }
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

    fn process(&mut self, batch: &[Record]) -> Result<(), LaneError> {
        let mut transaction = Transaction::default();
        for record in batch {
            if self.spec.inputs[record.input].broadcast {
                for partition in self.partitions() {
                    self.take(partition, record, &mut transaction)?;
                }
            } else {
                self.take(record.partition, record, &mut transaction)?;
            }
        }
        if transaction.open {
            self.commit(transaction)?;
        }
        Ok(())
    }

    fn take(&mut self, partition: i32, record: &Record, transaction: &mut Transaction) -> Result<(), LaneError> {
        let Some(task) = self.tasks.get_mut(&partition).filter(|task| !task.has_taken(record)) else {
            return Ok(());
        };
        if !transaction.open {
            self.port.begin()?;
            transaction.open = true;
        }
        let mut out = Vec::new();
        let outcome = task.take(&self.processor, &mut self.coding, &self.spec, record, &mut out)?;
        let input = &self.spec.inputs[record.input];
        transaction.records += 1;
        if !input.broadcast {
            transaction.offsets.insert((record.input, record.partition), record.offset + 1);
        }
        transaction.touched.insert(partition);
        self.metrics.record(&input.topic, &outcome);
        if let (Outcome::Poison { code, text }, Some(target)) = (&outcome, &input.dead_letters) {
            let (topic, component) = (&input.topic, &self.spec.component);
            tracing::warn!(%component, %topic, record.partition, record.offset, code, text, "dead letter");
            self.port.send(dead_letter(record, topic, target, component, code, text))?;
        }
        for encoded in out {
            transaction.commanded_at_ms.push(encoded.label.commanded_at_ms);
            self.metrics.output(encoded.label);
            self.port.send(OutRecord {
                topic: encoded.topic.to_owned(),
                partition: None,
                key: Some(encoded.key),
                payload: Some(encoded.payload),
                headers: Vec::new(),
            })?;
        }
        Ok(())
    }

    fn commit(&mut self, transaction: Transaction) -> Result<(), LaneError> {
        if let Some(topic) = self.spec.journal.clone() {
            for partition in &transaction.touched {
                let Some(task) = self.tasks.get_mut(partition) else { continue };
                let mut payload = Vec::with_capacity(96);
                let entry = task.runs.entry(task.hash);
                self.journal.encoder.encode(&entry, &mut payload).map_err(LaneError::Fatal)?;
                self.port.send(OutRecord {
                    topic: topic.clone(),
                    partition: Some(*partition),
                    key: Some(partition.to_string().into_bytes()),
                    payload: Some(payload),
                    headers: Vec::new(),
                })?;
            }
        }
        let started_at = Instant::now();
        let offsets: Vec<_> = transaction.offsets.into_iter().collect();
        self.port.commit(&offsets)?;
        self.metrics.committed(transaction.records, started_at.elapsed(), &transaction.commanded_at_ms);
        Ok(())
    }
}

/// What the transaction at hand has gathered.
#[derive(Default)]
struct Transaction {
    open: bool,
    records: usize,
    offsets: BTreeMap<InputPartition, i64>,
    touched: BTreeSet<i32>,
    commanded_at_ms: Vec<i64>,
}
