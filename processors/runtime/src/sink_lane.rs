//! The loop that feeds a sink: reads its topics from where its database says it stands, and writes batches.
//!
//! The group's offsets follow for the tools' sake; no start ever reads them. After any failure the loop is dropped and
//! built anew ([`crate::supervisor`]); what was written twice changes nothing, see [`Sink::write`].

use crate::dead_letter::{Entry, UNKNOWN_SCHEMA, dead_letter};
use crate::event_decoder::EventDecoder;
use crate::lane::{InputSpec, LaneError, SPARE_AFTER};
use crate::metrics::{Counts, LaneMetrics, count};
use crate::port::{InputPartition, OutRecord, Polled, PortError, Reader, Record};
use crate::processor::Undecodable;
use crate::sink::{Event, Sink, SinkBatch, SinkError, SinkRecord, Span};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tapeline_schemas::topic::DEAD_LETTER_SUFFIX;

const IDLE_WAIT: Duration = Duration::from_millis(100);

/// What a sink's loop needs from a log.
pub trait SinkPort {
    /// Waits up to `wait` for a record or a change of the assignment. Assigned partitions begin at the offset that the
    /// sink's database states.
    ///
    /// # Errors
    /// See [`PortError`].
    fn poll(&mut self, wait: Duration) -> Result<Polled, PortError>;

    /// Asks the group whether this process still is a member of it, and waits for what it says. Nothing more can be
    /// read through this port afterwards.
    ///
    /// # Errors
    /// [`PortError::Fenced`] if the group has given it up.
    fn confirm_membership(&mut self) -> Result<(), PortError>;

    /// Tells the group how far the view is, for the tools' sake.
    ///
    /// # Errors
    /// See [`PortError`].
    fn commit_for_tools(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError>;

    /// Writes a dead letter and waits until the broker has it.
    ///
    /// # Errors
    /// See [`PortError`].
    fn send_dead_letter(&mut self, record: OutRecord) -> Result<(), PortError>;

    /// A reader of a topic's partition from `from` to its present end.
    ///
    /// # Errors
    /// See [`PortError`].
    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError>;

    /// Number of partitions of a topic.
    ///
    /// # Errors
    /// See [`PortError`].
    fn partitions(&self, topic: &str) -> Result<i32, PortError>;

    /// Consumer lag in records, as last reported by the client.
    fn lag(&self) -> Vec<(InputPartition, i64)>;
}

/// What a sink reads, from `topology.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// The sink's name, also its consumer group's.
    pub component: String,
    /// Inputs.
    pub inputs: Vec<InputSpec>,
    /// A batch is written when it has this many records.
    pub max_batch_records: usize,
    /// Least time from one batch to the next, unless one is full: what comes while a batch is written counts as waiting.
    pub batch_interval: Duration,
}

/// Input, partition and offset of a record.
type InputPlace = (usize, i32, i64);

/// One sink on one thread.
pub struct SinkLane<S: Sink, Q: SinkPort> {
    spec: SinkSpec,
    sink: Arc<Mutex<S>>,
    decoder: EventDecoder,
    port: Q,
    metrics: LaneMetrics,
    positions: BTreeMap<InputPartition, i64>,
    /// Dead letters of the inputs, by where they came from, with their reasons: a rebuilt view repeats none.
    dead: HashMap<InputPlace, String>,
    joined_at: Instant,
    /// When the next batch may be written that is not full.
    due_at: Instant,
}

impl<S: Sink, Q: SinkPort> SinkLane<S, Q> {
    /// A loop that has not joined its group yet; reads the dead letters of its inputs first.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub fn new(
        spec: SinkSpec,
        sink: Arc<Mutex<S>>,
        decoder: EventDecoder,
        port: Q,
        metrics: LaneMetrics,
    ) -> Result<Self, LaneError> {
        let dead = known_dead_letters(&spec, &port)?;
        let (positions, now) = (BTreeMap::new(), Instant::now());
        Ok(Self { spec, sink, decoder, port, metrics, positions, dead, joined_at: now, due_at: now })
    }

    /// Works until `stop` is set.
    ///
    /// # Errors
    /// See [`LaneError`]; the loop must not be used afterwards.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), LaneError> {
        while !stop.load(Ordering::Relaxed) {
            self.step(IDLE_WAIT)?;
        }
        Ok(())
    }

    /// One round: gathers a batch and writes it.
    ///
    /// # Errors
    /// See [`LaneError`].
    pub fn step(&mut self, wait: Duration) -> Result<(), LaneError> {
        let records = self.collect(wait)?;
        if !records.is_empty() {
            self.due_at = Instant::now() + self.spec.batch_interval;
            self.write(records)?;
        }
        self.metrics.set_ready(!self.positions.is_empty() || self.joined_at.elapsed() > SPARE_AFTER);
        for ((input, partition), lag) in self.port.lag() {
            self.metrics.set_topic_lag(&self.spec.inputs[input].topic, partition, lag);
        }
        Ok(())
    }

    fn collect(&mut self, wait: Duration) -> Result<Vec<Record>, LaneError> {
        let mut records: Vec<Record> = Vec::new();
        let mut wait = wait;
        while records.len() < self.spec.max_batch_records {
            match self.port.poll(wait)? {
                Polled::Nothing => break,
                Polled::Record(record) => records.push(record),
                Polled::Assigned(partitions) => self.gain(&partitions)?,
                Polled::Revoked(partitions) => {
                    self.positions.retain(|at, _| !partitions.contains(at));
                    records.retain(|record| !partitions.contains(&(record.input, record.partition)));
                }
            }
            wait =
                if records.is_empty() { Duration::ZERO } else { self.due_at.saturating_duration_since(Instant::now()) };
        }
        Ok(records)
    }

    fn gain(&mut self, partitions: &[InputPartition]) -> Result<(), LaneError> {
        let names: Vec<(SmolStr, i32)> =
            partitions.iter().map(|(input, partition)| (self.topic(*input), *partition)).collect();
        let stated = lock(&self.sink)?.positions(&names).map_err(sink_error)?;
        let offsets: Vec<_> = partitions.iter().copied().zip(stated).collect();
        // Of a wiped view the group's old offsets would say until the first batch that nothing is left to take.
        self.port.commit_for_tools(&offsets)?;
        self.positions.extend(offsets);
        Ok(())
    }

    fn topic(&self, input: usize) -> SmolStr {
        SmolStr::new(&self.spec.inputs[input].topic)
    }

    fn write(&mut self, records: Vec<Record>) -> Result<(), LaneError> {
        let started_at = Instant::now();
        let mut batch = SinkBatch { records: Vec::with_capacity(records.len()), spans: Vec::new() };
        let mut reached: BTreeMap<InputPartition, i64> = BTreeMap::new();
        let (mut commanded_at_ms, mut outcomes) = (Counts::new(), Counts::new());
        for record in records {
            let at = (record.input, record.partition);
            let applied = reached.get(&at).or_else(|| self.positions.get(&at)).copied();
            if applied.is_none_or(|next| record.offset < next) {
                continue;
            }
            reached.insert(at, record.offset + 1);
            if let Some(event) = self.decode(&record, &mut outcomes)? {
                commanded_at_ms.extend(commanded_at(&event).map(|at_ms| (at_ms, 1)));
                let (partition, offset, timestamp_ms) = (record.partition, record.offset, record.timestamp_ms);
                batch.records.push(SinkRecord { partition, offset, timestamp_ms, event });
            }
        }
        for (at, next_offset) in &reached {
            let from_offset = self.positions.get(at).copied().unwrap_or(0);
            batch.spans.push(Span { topic: self.topic(at.0), partition: at.1, from_offset, next_offset: *next_offset });
        }
        if batch.spans.is_empty() {
            return Ok(());
        }
        let written = lock(&self.sink)?.write(&batch);
        if let Err(error) = written {
            return Err(self.unwritten(error));
        }
        let offsets: Vec<_> = reached.into_iter().collect();
        self.positions.extend(offsets.iter().copied());
        self.port.commit_for_tools(&offsets)?;
        for ((input, outcome), records) in outcomes {
            self.metrics.count(&self.spec.inputs[input].topic, outcome, records as u64);
        }
        self.metrics.batch(batch.records.len(), started_at.elapsed(), &commanded_at_ms);
        Ok(())
    }

    /// What a failed write means. A view that has moved has two causes which look the same to its database: the answer to
    /// our own write was lost, or our partitions went to another process while we stood still. The group knows which.
    fn unwritten(&mut self, error: SinkError) -> LaneError {
        match &error {
            SinkError::Moved(_) => {
                self.port.confirm_membership().err().map_or_else(|| sink_error(error), LaneError::from)
            }
            SinkError::Away(_) | SinkError::Fatal(_) => sink_error(error),
        }
    }

    fn decode(
        &mut self,
        record: &Record,
        outcomes: &mut Counts<(usize, &'static str)>,
    ) -> Result<Option<Event>, LaneError> {
        let input = &self.spec.inputs[record.input];
        let place = (record.input, record.partition, record.offset);
        let known = self.dead.get(&place);
        if known.is_some_and(|reason| reason == UNKNOWN_SCHEMA) {
            // Its schema may be registered by now. Dead it is all the same: else a rebuilt view would hold one more record.
            count(outcomes, (record.input, UNKNOWN_SCHEMA));
            return Ok(None);
        }
        match self.decoder.decode(&input.topic, record.key.as_deref(), record.payload.as_deref()) {
            Ok(event) => {
                count(outcomes, (record.input, "done"));
                Ok(Some(event))
            }
            Err(Undecodable::Away(why)) => Err(LaneError::Away(why)),
            Err(Undecodable::Poison { code, text }) => {
                count(outcomes, (record.input, code));
                if let (Some(target), None) = (&input.dead_letters, known) {
                    let letter = dead_letter(record, &input.topic, target, &self.spec.component, code, &text);
                    self.port.send_dead_letter(letter)?;
                    self.dead.insert(place, code.to_owned());
                }
                Ok(None)
            }
        }
    }
}

/// Append time of the command that an event goes back to.
fn commanded_at(event: &Event) -> Option<i64> {
    match event {
        Event::Executed(execution) => Some(execution.commanded_at_ms),
        Event::Settled(settlement) => Some(settlement.commanded_at_ms),
        _ => None,
    }
}

fn known_dead_letters<Q: SinkPort>(spec: &SinkSpec, port: &Q) -> Result<HashMap<InputPlace, String>, LaneError> {
    let mut known = HashMap::new();
    for (index, input) in spec.inputs.iter().enumerate() {
        let topic = format!("{}{DEAD_LETTER_SUFFIX}", input.topic);
        for partition in 0..port.partitions(&topic)? {
            let mut reader = port.reader(&topic, partition, 0)?;
            while let Some(record) = reader.next()? {
                if let Ok(Entry::Letter(letter)) = Entry::read(&record.headers)
                    && letter.source.topic == input.topic
                {
                    known.insert((index, letter.source.partition, letter.source.offset), letter.reason);
                }
            }
        }
    }
    Ok(known)
}

fn lock<S>(sink: &Mutex<S>) -> Result<std::sync::MutexGuard<'_, S>, LaneError> {
    sink.lock().map_err(|_| LaneError::Fatal("the sink panicked earlier".into()))
}

fn sink_error(error: SinkError) -> LaneError {
    match error {
        SinkError::Away(_) | SinkError::Moved(_) => LaneError::Away(error.to_string()),
        SinkError::Fatal(why) => LaneError::Fatal(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use std::collections::VecDeque;
    use tapeline_schemas::codec::{SchemaIds, SchemaSource};
    use tapeline_schemas::topic;

    /// A view that gives the same answer to each write.
    struct View {
        answer: Result<(), SinkError>,
        /// How far it is after each write.
        reached: Vec<i64>,
    }

    impl Sink for View {
        fn positions(&self, partitions: &[(SmolStr, i32)]) -> Result<Vec<i64>, SinkError> {
            Ok(vec![0; partitions.len()])
        }

        fn write(&mut self, batch: &SinkBatch) -> Result<(), SinkError> {
            self.reached.extend(batch.spans.iter().map(|span| span.next_offset));
            self.answer.clone()
        }
    }

    /// A group that gives what is in its script, and its answer to whoever asks for its membership.
    struct Group {
        script: VecDeque<Polled>,
        membership: Result<(), PortError>,
        /// Whether each poll would have waited for a record.
        waits: Vec<bool>,
        /// What the group was told, in turn.
        told: Vec<i64>,
    }

    impl Group {
        fn of(membership: Result<(), PortError>, script: impl IntoIterator<Item = Polled>) -> Self {
            Self { script: script.into_iter().collect(), membership, waits: Vec::new(), told: Vec::new() }
        }
    }

    impl SinkPort for Group {
        fn poll(&mut self, wait: Duration) -> Result<Polled, PortError> {
            self.waits.push(!wait.is_zero());
            Ok(self.script.pop_front().unwrap_or(Polled::Nothing))
        }

        fn confirm_membership(&mut self) -> Result<(), PortError> {
            self.membership.clone()
        }

        fn commit_for_tools(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
            self.told.extend(offsets.iter().map(|(_, offset)| *offset));
            Ok(())
        }

        fn send_dead_letter(&mut self, _: OutRecord) -> Result<(), PortError> {
            Ok(())
        }

        fn reader(&self, topic: &str, _: i32, _: i64) -> Result<Box<dyn Reader>, PortError> {
            Err(PortError::Fatal(format!("{topic} has no partitions here")))
        }

        fn partitions(&self, _: &str) -> Result<i32, PortError> {
            Ok(0)
        }

        fn lag(&self) -> Vec<(InputPartition, i64)> {
            Vec::new()
        }
    }

    /// A registry with one schema for everything.
    struct OneSchema;

    impl SchemaSource for OneSchema {
        fn schema_json(&self, _: u32) -> Result<Option<String>, String> {
            Ok(None)
        }
    }

    impl SchemaIds for OneSchema {
        fn registered_id(&self, _: &str, _: &str) -> Result<u32, String> {
            Ok(1)
        }
    }

    /// Without a value.
    fn record(offset: i64) -> Polled {
        let (key, payload, headers) = (None, None, Vec::new());
        Polled::Record(Record { input: 0, partition: 0, offset, timestamp_ms: 0, key, payload, headers })
    }

    fn lane(sink: &Arc<Mutex<View>>, port: Group, most: usize, interval: Duration) -> SinkLane<View, Group> {
        let input = InputSpec { topic: topic::ORDERS.into(), broadcast: false, reference: false, dead_letters: None };
        let (component, inputs) = ("view".to_owned(), vec![input]);
        let spec = SinkSpec { component, inputs, max_batch_records: most, batch_interval: interval };
        let ids: Arc<dyn SchemaIds> = Arc::new(OneSchema);
        let decoder = EventDecoder::new(&ids).expect("decoder");
        let metrics = Metrics::new().expect("metrics").lane("view", 0);
        SinkLane::new(spec, Arc::clone(sink), decoder, port, metrics).expect("lane")
    }

    #[test]
    fn a_batch_waits_for_more_only_since_the_one_before_it() {
        let script = [Polled::Assigned(vec![(0, 0)]), record(0), Polled::Nothing, record(1), record(2)];
        let view = Arc::new(Mutex::new(View { answer: Ok(()), reached: Vec::new() }));
        let mut lane = lane(&view, Group::of(Ok(()), script), 2, Duration::from_secs(3_600));
        lane.step(Duration::ZERO).expect("the first batch");
        assert_eq!((&lane.port.waits, &view.lock().expect("view").reached), (&vec![false; 3], &vec![1]));
        lane.step(Duration::ZERO).expect("a full batch");
        assert_eq!((&lane.port.waits[3..], &view.lock().expect("view").reached), (&[false, true][..], &vec![1, 3]));
    }

    #[test]
    fn the_group_is_told_where_the_view_stands_before_anything_is_written() {
        let view = Arc::new(Mutex::new(View { answer: Ok(()), reached: Vec::new() }));
        let script = [Polled::Assigned(vec![(0, 0)]), Polled::Nothing, record(0)];
        let mut lane = lane(&view, Group::of(Ok(()), script), 1, Duration::ZERO);
        lane.step(Duration::ZERO).expect("an assignment");
        assert_eq!(lane.port.told, [0]);
        lane.step(Duration::ZERO).expect("a batch");
        assert_eq!(lane.port.told, [0, 1]);
    }

    #[test]
    fn a_view_that_has_moved_is_begun_anew_by_a_member_and_left_alone_by_a_fenced_one() {
        let fenced = || PortError::Fenced("given up".into());
        for (error, membership, expected) in [
            (SinkError::Moved("on".into()), Ok(()), "away"),
            (SinkError::Moved("on".into()), Err(fenced()), "fenced"),
            (SinkError::Away("off".into()), Err(fenced()), "away"),
            (SinkError::Fatal("broken".into()), Err(fenced()), "fatal"),
        ] {
            let view = Arc::new(Mutex::new(View { answer: Err(error.clone()), reached: Vec::new() }));
            let group = Group::of(membership, [Polled::Assigned(vec![(0, 0)]), record(0)]);
            let mut lane = lane(&view, group, 1, Duration::ZERO);
            let ended = match lane.step(Duration::ZERO).expect_err("the view refuses") {
                LaneError::Away(_) => "away",
                LaneError::Fenced(_) => "fenced",
                LaneError::Fatal(_) => "fatal",
            };
            assert_eq!(ended, expected, "{error}");
        }
    }
}
