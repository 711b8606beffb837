//! An idempotent producer for connectors and tools: what [`Publisher::flush`] has passed, the broker has.

use crate::client::{LastingContext, producer_config, producer_error};
use crate::port;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tapeline_runtime::port::{OutRecord, PortError};

/// How long a flush waits for the broker.
const PATIENCE: Duration = Duration::from_secs(60);

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
        port::send(&self.producer, record.view())
    }

    /// Queues a record that lies elsewhere, without headers; waits while the queue is full.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn send_bytes(&self, topic: &str, partition: i32, key: &[u8], payload: &[u8]) -> Result<(), PortError> {
        port::enqueue(&self.producer, BaseRecord::to(topic).partition(partition).key(key).payload(payload))
    }

    /// How many queued records the broker has not acknowledged yet.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Lets the client work; call it now and then while nothing is sent.
    pub fn poll(&self) {
        port::take_deliveries(&self.producer);
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
            port::serve(&self.producer);
            self.look_after_client();
            if Instant::now() > deadline {
                return Err(PortError::Away(format!("the broker took no records for {PATIENCE:?}")));
            }
        }
        port::take_deliveries(&self.producer);
        let failed = self.producer.context().notes.0.lock().ok().and_then(|mut first| first.take());
        failed.map_or(Ok(()), |error| Err(producer_error("writing", &error, self.producer.client().fatal_error())))
    }
}
