//! Threads that tail the topics and feed the hub: one for each topic, for each waits for its own records.
//!
//! Records come from all partitions, committed ones only, outside any group: each gateway sees everything. Private topics and
//! trades begin a little before the end, so that clients can go on where another gateway, or this one's last life, left
//! them; books begin where a snapshot of each is sure to be found; instruments at the begin.
//!
//! A record that can't be read is counted, logged and passed over: a gateway only shows what is in the topics, the dead letters
//! are its writers' matter.

use super::account::{Record, Source};
use super::hub::Hub;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_kafka::scan::RecordView;
use tapeline_kafka::tail::{Start, Tail};
use tapeline_runtime::port::PortError;
use tapeline_runtime::wall_clock::now_ms;
use tapeline_schemas::codec::{DecodeError, Decoder, SchemaIds, Wire};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{BookDepth, Execution, Instrument, Rejection, Settlement, ValidatedCommand};

/// Each book is written as a whole once in 60 ticks of the clock, about a minute: in so long a time it is there twice.
const BOOKS_BACK: Start<'static> = Start::Back { age: Duration::from_secs(150), records: 50_000 };
/// What clients may have missed while they moved to another gateway.
const EVENTS_BACK: Start<'static> = Start::Back { age: Duration::from_secs(60), records: 20_000 };
/// How long a thread waits for a record before it looks whether it shall end.
const POLL: Duration = Duration::from_millis(200);
/// After so many records clients are told, even if more are there.
const BATCH_RECORDS: usize = 256;
/// Pause before another try.
const RETRY: Duration = Duration::from_secs(1);
/// How often tickers lose what is older than a day.
const ADVANCE: Duration = Duration::from_secs(1);

/// What the threads need.
#[derive(Clone)]
pub struct Sources {
    /// Kafka's addresses.
    pub bootstrap: String,
    /// The schema registry.
    pub schemas: Arc<dyn SchemaIds>,
    /// Where records go.
    pub hub: Arc<Hub>,
}

/// The threads, until they are told to stop.
pub struct Feed {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Feed {
    /// Starts all threads. They work until [`Self::stop`]; a broker that is away is waited for.
    ///
    /// # Errors
    /// If a thread can't be made.
    pub fn start(sources: &Sources) -> std::io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let mut feed = Self { stop, threads: Vec::new() };
        feed.follow(sources, topic::INSTRUMENTS, Start::Beginning, |_, _| (), instruments)?;
        feed.follow(sources, topic::DEPTH, BOOKS_BACK, |_, _| (), depth)?;
        let begin = |hub: &Hub, offsets: &[i64]| {
            hub.begin_trades(offsets);
            hub.accounts.begin(Source::Executed, offsets);
        };
        feed.follow(sources, topic::EXECUTED, EVENTS_BACK, begin, executed)?;
        let begin = |hub: &Hub, offsets: &[i64]| hub.accounts.begin(Source::Validated, offsets);
        feed.follow(sources, topic::VALIDATED, EVENTS_BACK, begin, |hub, batch: Batch<ValidatedCommand>| {
            private(hub, batch, Source::Validated, |command| Record::Validated(Arc::new(command)));
        })?;
        let begin = |hub: &Hub, offsets: &[i64]| hub.accounts.begin(Source::Rejected, offsets);
        feed.follow(sources, topic::REJECTED, EVENTS_BACK, begin, |hub, batch: Batch<Rejection>| {
            private(hub, batch, Source::Rejected, |rejection| Record::Rejected(Arc::new(rejection)));
        })?;
        let begin = |hub: &Hub, offsets: &[i64]| hub.accounts.begin(Source::Settled, offsets);
        feed.follow(sources, topic::SETTLED, EVENTS_BACK, begin, |hub, batch: Batch<Settlement>| {
            private(hub, batch, Source::Settled, |settlement| Record::Settled(Arc::new(settlement), None));
        })?;
        feed.advance(Arc::clone(&sources.hub))?;
        Ok(feed)
    }

    /// Ends all threads and waits for them.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the feed had panicked");
            }
        }
    }

    fn follow<T: Wire + 'static>(
        &mut self,
        sources: &Sources,
        topic: &'static str,
        start: Start<'static>,
        begin: fn(&Hub, &[i64]),
        take: fn(&Hub, Batch<T>),
    ) -> std::io::Result<()> {
        sources.hub.metrics.set_ready(topic, false);
        let (sources, stop) = (sources.clone(), Arc::clone(&self.stop));
        let follow = move || {
            let following = Following { sources: &sources, topic, stop: &stop };
            let Some(mut tail) = following.open(start) else { return };
            begin(&sources.hub, tail.next_offsets());
            if let Err(error) = following.run(&mut tail, take) {
                sources.hub.metrics.set_ready(topic, false);
                tracing::error!(topic, %error, "the feed has lost a topic for good: restart the gateway");
            }
        };
        self.threads.push(std::thread::Builder::new().name(topic.into()).spawn(follow)?);
        Ok(())
    }

    fn advance(&mut self, hub: Arc<Hub>) -> std::io::Result<()> {
        let stop = Arc::clone(&self.stop);
        let advance = move || {
            let mut last = Instant::now();
            while !stop.load(Ordering::Acquire) {
                std::thread::sleep(POLL);
                if last.elapsed() >= ADVANCE {
                    last = Instant::now();
                    hub.advance(now_ms());
                }
            }
        };
        self.threads.push(std::thread::Builder::new().name("advance".into()).spawn(advance)?);
        Ok(())
    }
}

/// Records of one poll with partition, offset and key; `None` where one could not be read or has no value.
type Batch<T> = Vec<Taken<T>>;

struct Taken<T> {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<T>,
}

struct Following<'a> {
    sources: &'a Sources,
    topic: &'static str,
    stop: &'a AtomicBool,
}

impl Following<'_> {
    /// A tail of the topic, once there is a broker that has it; `None` if the feed is to stop before.
    fn open(&self, start: Start<'static>) -> Option<Tail> {
        while !self.stop.load(Ordering::Acquire) {
            match Tail::open_at(&self.sources.bootstrap, self.topic, start) {
                Ok(tail) => return Some(tail),
                Err(error) => tracing::warn!(topic = self.topic, %error, "waiting for the topic"),
            }
            std::thread::sleep(RETRY);
        }
        None
    }

    fn run<T: Wire>(&self, tail: &mut Tail, take: fn(&Hub, Batch<T>)) -> Result<(), PortError> {
        let Sources { hub, .. } = self.sources;
        let Some(mut decoder) = self.decoder() else { return Ok(()) };
        let records = hub.metrics.records.with_label_values(&[self.topic]);
        let mut ready = false;
        while !self.stop.load(Ordering::Acquire) {
            let batch = self.poll(tail, &mut decoder)?;
            records.inc_by(batch.len() as u64);
            if !batch.is_empty() {
                take(hub, batch);
                hub.end_batch();
            }
            if !ready && tail.caught_up() {
                ready = true;
                hub.metrics.set_ready(self.topic, true);
                tracing::info!(topic = self.topic, "the feed has caught up");
            }
        }
        Ok(())
    }

    fn decoder<T: Wire>(&self) -> Option<Decoder<T>> {
        let schemas = &self.sources.schemas;
        while !self.stop.load(Ordering::Acquire) {
            match schemas.registered_id(self.topic, T::SCHEMA_JSON) {
                Ok(id) => return Some(Decoder::new(id, Arc::<dyn SchemaIds>::clone(schemas))),
                Err(error) => tracing::warn!(topic = self.topic, error, "waiting for the schema"),
            }
            std::thread::sleep(RETRY);
        }
        None
    }

    /// Waits for a record and takes those behind it that are there.
    fn poll<T: Wire>(&self, tail: &mut Tail, decoder: &mut Decoder<T>) -> Result<Batch<T>, PortError> {
        let mut batch = Vec::new();
        let mut wait = POLL;
        while batch.len() < BATCH_RECORDS && tail.poll(wait, |record| batch.push(self.read(decoder, record)))? {
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    fn read<T: Wire>(&self, decoder: &mut Decoder<T>, record: &RecordView<'_>) -> Taken<T> {
        let (partition, offset) = (record.partition, record.offset);
        let key = record.key.map(<[u8]>::to_vec);
        loop {
            match decoder.decode(record.payload) {
                Ok(value) => return Taken { partition, offset, key, value: Some(value) },
                // In a compacted topic that is how an entry is taken back.
                Err(DecodeError::Empty) if self.topic == topic::INSTRUMENTS => {
                    return Taken { partition, offset, key, value: None };
                }
                Err(DecodeError::SourceAway(why)) if !self.stop.load(Ordering::Acquire) => {
                    tracing::warn!(topic = self.topic, why, "waiting for the schema registry");
                    std::thread::sleep(RETRY);
                }
                Err(error) => {
                    self.sources.hub.metrics.unreadable.with_label_values(&[self.topic]).inc();
                    tracing::warn!(topic = self.topic, partition, offset, %error, "a record is passed over");
                    return Taken { partition, offset, key: None, value: None };
                }
            }
        }
    }
}

fn instruments(hub: &Hub, batch: Batch<Instrument>) {
    for record in batch {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        if let Some(symbol) = key {
            hub.take_instrument(&symbol.into(), record.value.as_ref());
        }
    }
}

fn depth(hub: &Hub, batch: Batch<BookDepth>) {
    batch.iter().filter_map(|record| record.value.as_ref()).for_each(|record| hub.take_depth(record));
}

fn executed(hub: &Hub, batch: Batch<Execution>) {
    for record in &batch {
        if let Some(execution) = &record.value {
            hub.take_execution(record.offset, execution);
        }
    }
    private(hub, batch, Source::Executed, |execution| Record::Executed(Arc::new(execution)));
}

fn private<T>(hub: &Hub, batch: Batch<T>, source: Source, record: fn(T) -> Record) {
    hub.accounts.take(source, batch.into_iter().map(|taken| (taken.partition, taken.offset, taken.value.map(record))));
}
