//! An idempotent producer that tells of each record where the broker put it, or that this is not known: for whoever must
//! not say "accepted" before Kafka has it.
//!
//! Records of a partition go out one batch after the other, and what comes meanwhile is kept back for the next one.
//! librdkafka has one request of an idempotent producer's partition on its way, and while more are due its thread asks
//! without a pause whether the next may go (see `ARCHITECTURE.md`, "A load must not starve what it loads").
//!
//! What is absent: trying again. A record whose time-out is over may lie in the log nevertheless; its sender decides.

use crate::client::{LastingContext, producer_config};
use crate::publisher;
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tapeline_runtime::port::PortError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How long an idle producer waits for a record before it looks after its client.
const IDLE_LOOK: Duration = Duration::from_millis(50);

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Why it is not known that a record is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// So many are on their way already that this one was not taken: it is not in the log.
    #[error("{0} records are waiting for Kafka already")]
    Full(usize),
    /// It never left: it is not in the log.
    #[error("it was not sent: {0}")]
    NotSent(String),
    /// It was given up after it may have left: it may be in the log, or not.
    #[error("Kafka has not acknowledged it: {0}")]
    Unknown(String),
}

/// How a producer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// After this time a record is given up; twice that if it had to wait for those before it.
    pub patience: Duration,
    /// How long the client gathers records of a partition before it sends them.
    pub linger: Duration,
    /// Most records that wait for their acknowledgement.
    pub max_in_flight: usize,
}

/// A record that waits, and whoever waits for it.
struct Waiting {
    topic: &'static str,
    partition: i32,
    key: Vec<u8>,
    payload: Vec<u8>,
    since: Instant,
    answer: Answer,
}

/// Told once; the place among the records in flight is free again before that.
struct Answer {
    to: oneshot::Sender<Result<Delivered, Undelivered>>,
    place: OwnedSemaphorePermit,
}

impl Answer {
    /// Whoever asked may have gone.
    fn say(self, what: Result<Delivered, Undelivered>) {
        let Self { to, place } = self;
        drop(place);
        let _ = to.send(what);
    }
}

/// How many records of each partition the client has.
#[derive(Default)]
struct Sent(Mutex<BTreeMap<i32, usize>>);

impl Sent {
    fn add(&self, partition: i32) {
        if let Ok(mut sent) = self.0.lock() {
            *sent.entry(partition).or_default() += 1;
        }
    }

    fn take(&self, partition: i32) {
        if let Ok(mut sent) = self.0.lock()
            && let Some(count) = sent.get_mut(&partition)
        {
            *count = count.saturating_sub(1);
        }
    }

    fn is_idle(&self, partition: i32) -> bool {
        self.0.lock().is_ok_and(|sent| sent.get(&partition).is_none_or(|count| *count == 0))
    }
}

impl ProducerContext for LastingContext<Sent> {
    type DeliveryOpaque = Box<(i32, Answer)>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        let (partition, answer) = *opaque;
        self.notes.take(partition);
        answer.say(match result {
            Ok(message) => Ok(Delivered { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(Undelivered::Unknown(error.to_string())),
        });
    }
}

/// A producer with a thread of its own.
pub struct AcknowledgedPublisher {
    records: Sender<Waiting>,
    places: Arc<Semaphore>,
    max_in_flight: usize,
    stop: Arc<AtomicBool>,
}

impl AcknowledgedPublisher {
    /// A producer that calls itself `client_id`.
    ///
    /// # Errors
    /// If the settings are refused or no thread can be started.
    pub fn open(bootstrap: &str, client_id: &str, sending: Sending) -> Result<Self, PortError> {
        let fatal = |why: String| PortError::Fatal(format!("producer: {why}"));
        let producer: BaseProducer<LastingContext<Sent>> = producer_config(bootstrap, client_id)
            .set("message.timeout.ms", sending.patience.as_millis().to_string())
            .set("linger.ms", sending.linger.as_millis().to_string())
            .create_with_context(LastingContext::new(bootstrap, Sent::default()))
            .map_err(|error| fatal(error.to_string()))?;
        let (records, taken) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let sender =
            SenderThread { producer, taken, waiting: BTreeMap::new(), patience: sending.patience, stop: stop.clone() };
        let started = std::thread::Builder::new().name("publisher".into()).spawn(move || sender.run());
        started.map_err(|error| fatal(error.to_string()))?;
        let places = Arc::new(Semaphore::new(sending.max_in_flight));
        Ok(Self { records, places, max_in_flight: sending.max_in_flight, stop })
    }

    /// Sends a record and waits until it is known what became of it. Whoever stops waiting does not take it back.
    ///
    /// # Errors
    /// See [`Undelivered`].
    pub async fn send(
        &self,
        topic: &'static str,
        partition: i32,
        key: &[u8],
        payload: Vec<u8>,
    ) -> Result<Delivered, Undelivered> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Undelivered::Full(self.max_in_flight))?;
        let (to, answer) = oneshot::channel();
        let answer_to = Answer { to, place };
        let since = Instant::now();
        let record = Waiting { topic, partition, key: key.to_vec(), payload, since, answer: answer_to };
        let ended = || Undelivered::NotSent("the producer has ended".into());
        self.records.send(record).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(Undelivered::Unknown("the producer has ended".into())))
    }

    /// How many records wait for their acknowledgement.
    pub fn in_flight(&self) -> usize {
        self.max_in_flight.saturating_sub(self.places.available_permits())
    }
}

impl Drop for AcknowledgedPublisher {
    /// The thread ends once all that it has taken is answered.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct SenderThread {
    producer: BaseProducer<LastingContext<Sent>>,
    taken: Receiver<Waiting>,
    waiting: BTreeMap<i32, VecDeque<Waiting>>,
    patience: Duration,
    stop: Arc<AtomicBool>,
}

impl SenderThread {
    fn run(mut self) {
        loop {
            let is_idle = self.waiting.is_empty() && self.producer.in_flight_count() == 0;
            if is_idle {
                match self.taken.recv_timeout(IDLE_LOOK) {
                    Ok(record) => self.keep(record),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if self.stop.load(Ordering::Relaxed) && self.waiting.is_empty() {
                    return;
                }
            }
            while let Ok(record) = self.taken.try_recv() {
                self.keep(record);
            }
            self.send_what_may_go();
            self.give_up_what_is_old();
            publisher::serve(&self.producer);
            self.producer.context().stranded.bring_back(self.producer.client());
        }
    }

    fn keep(&mut self, record: Waiting) {
        self.waiting.entry(record.partition).or_default().push_back(record);
    }

    /// Hands over all that waits for a partition of which nothing is on its way.
    fn send_what_may_go(&mut self) {
        let Self { producer, waiting, .. } = self;
        let sent = &producer.context().notes;
        for (partition, records) in waiting.iter_mut().filter(|(partition, _)| sent.is_idle(**partition)) {
            while let Some(record) = records.pop_front() {
                let opaque = Box::new((*partition, record.answer));
                let to_send = BaseRecord::with_opaque_to(record.topic, opaque)
                    .partition(*partition)
                    .key(&record.key)
                    .payload(&record.payload);
                sent.add(*partition);
                if let Err((error, returned)) = producer.send(to_send) {
                    sent.take(*partition);
                    let answer = returned.delivery_opaque.1;
                    // The queue is far larger than what may be in flight; what fills it is gone in a moment.
                    answer.say(Err(Undelivered::NotSent(explained(producer, &error))));
                }
            }
        }
        waiting.retain(|_, records| !records.is_empty());
    }

    /// A partition whose leader is away holds nobody for longer than a record's own time-out.
    fn give_up_what_is_old(&mut self) {
        for records in self.waiting.values_mut() {
            while records.front().is_some_and(|record| record.since.elapsed() > self.patience) {
                let Some(record) = records.pop_front() else { break };
                let why = format!("those before it have not been acknowledged for {:?}", self.patience);
                record.answer.say(Err(Undelivered::NotSent(why)));
            }
        }
        self.waiting.retain(|_, records| !records.is_empty());
    }
}

/// An error with the reason of the fatal one that it comes from.
fn explained<C: ProducerContext>(producer: &BaseProducer<C>, error: &KafkaError) -> String {
    let fatal: Option<(RDKafkaErrorCode, String)> = producer.client().fatal_error();
    fatal.map_or_else(|| error.to_string(), |(_, text)| format!("{error}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody listens there.
    const NO_KAFKA: &str = "127.0.0.1:9";

    fn open(max_in_flight: usize) -> AcknowledgedPublisher {
        let (patience, linger) = (Duration::from_millis(200), Duration::from_millis(1));
        let sending = Sending { patience, linger, max_in_flight };
        AcknowledgedPublisher::open(NO_KAFKA, "test", sending).expect("a producer")
    }

    #[tokio::test]
    async fn without_kafka_no_record_counts_as_delivered_and_none_waits_for_ever() {
        let publisher = open(10);
        let first = publisher.send("orders", 0, b"ann", vec![1]).await;
        assert!(matches!(first, Err(Undelivered::Unknown(_))), "{first:?}");
        assert_eq!(publisher.in_flight(), 0);
    }

    #[tokio::test]
    async fn beyond_the_bound_a_record_is_refused_at_once() {
        let publisher = open(1);
        let (first, second) = tokio::join!(publisher.send("orders", 0, b"ann", vec![1]), async {
            while publisher.in_flight() == 0 {
                tokio::task::yield_now().await;
            }
            publisher.send("orders", 0, b"ann", vec![2]).await
        });
        assert!(first.is_err());
        assert_eq!(second, Err(Undelivered::Full(1)));
    }
}
