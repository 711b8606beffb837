//! An idempotent producer for connectors and tools: what [`Publisher::flush`] has passed, the broker has.

use crate::client::{LastingContext, producer_config, producer_error};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tapeline_runtime::port::{OutRecord, PortError};

/// How long a flush waits for the broker.
const PATIENCE: Duration = Duration::from_secs(60);
/// Steps in which deliveries are awaited: rdkafka's own flush waits in steps of 100 ms.
const SERVE_STEP: Duration = Duration::from_micros(200);

/// The first record's error that could not be delivered.
#[derive(Default)]
struct FirstError(Mutex<Option<KafkaError>>);

impl ProducerContext for LastingContext<FirstError> {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let (Err((error, _)), Ok(mut first)) = (result, self.notes.0.lock()) {
            first.get_or_insert_with(|| error.clone());
        }
    }
}

/// A producer.
pub struct Publisher {
    producer: BaseProducer<LastingContext<FirstError>>,
}

impl Publisher {
    /// A producer that calls itself `client_id`.
    ///
    /// # Errors
    /// If the settings are refused.
    pub fn open(bootstrap: &str, client_id: &str) -> Result<Self, PortError> {
        let producer = producer_config(bootstrap, client_id)
            .create_with_context(LastingContext::new(bootstrap, FirstError::default()))
            .map_err(|error| PortError::Fatal(format!("producer: {error}")))?;
        Ok(Self { producer })
    }

    /// Queues a record; waits while the queue is full.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn send(&self, record: &OutRecord) -> Result<(), PortError> {
        self.look_after_client();
        let mut to_send: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&record.topic);
        to_send.key = record.key.as_deref();
        to_send.payload = record.payload.as_deref();
        to_send.partition = record.partition;
        if !record.headers.is_empty() {
            let headers = record
                .headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
            to_send.headers = Some(headers);
        }
        enqueue(&self.producer, to_send)
    }

    /// Queues a record that lies elsewhere, without headers; waits while the queue is full.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn send_bytes(&self, topic: &str, partition: i32, key: &[u8], payload: &[u8]) -> Result<(), PortError> {
        enqueue(&self.producer, BaseRecord::to(topic).partition(partition).key(key).payload(payload))
    }

    /// How many queued records the broker has not acknowledged yet.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Lets the client work; call it now and then while nothing is sent.
    pub fn poll(&self) {
        take_deliveries(&self.producer);
        self.look_after_client();
    }

    fn look_after_client(&self) {
        self.producer.context().stranded.bring_back(self.producer.client());
    }

    /// Waits until the broker has all that was queued.
    ///
    /// # Errors
    /// The first record's error that could not be delivered, or that the broker did not answer.
    pub fn flush(&self) -> Result<(), PortError> {
        let deadline = Instant::now() + PATIENCE;
        while self.producer.in_flight_count() > 0 {
            serve(&self.producer);
            self.look_after_client();
            if Instant::now() > deadline {
                return Err(PortError::Away(format!("the broker took no records for {PATIENCE:?}")));
            }
        }
        take_deliveries(&self.producer);
        let failed = self.producer.context().notes.0.lock().ok().and_then(|mut first| first.take());
        failed.map_or(Ok(()), |error| Err(producer_error("writing", &error, self.producer.client().fatal_error())))
    }
}

/// Queues a record, waiting while the producer's queue is full.
fn enqueue<C>(producer: &BaseProducer<C>, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), PortError>
where
    C: ProducerContext<DeliveryOpaque = ()>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned))
                if Instant::now() < deadline =>
            {
                serve(producer);
                record = returned;
            }
            Err((error, _)) => return Err(producer_error("writing", &error, producer.client().fatal_error())),
        }
    }
}

/// Takes all that the client has to say of deliveries; whether that was anything. One poll takes one batch only.
pub(crate) fn take_deliveries<C: ProducerContext>(producer: &BaseProducer<C>) -> bool {
    let at_first = producer.in_flight_count();
    let mut left = at_first;
    loop {
        producer.poll(Duration::ZERO);
        match producer.in_flight_count() {
            now if now == left => return left != at_first,
            now => left = now,
        }
    }
}

/// Takes what the client has to say of deliveries, and waits a little if that was nothing.
///
/// rdkafka's poll with a time-out waits in whole milliseconds: below one it asks again and again until the time is over, which
/// took a third of a lane's processor time.
pub(crate) fn serve<C: ProducerContext>(producer: &BaseProducer<C>) {
    if !take_deliveries(producer) {
        std::thread::sleep(SERVE_STEP);
    }
}
