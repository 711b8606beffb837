//! Publishes as the outside does: commands as an upstream exchange, reference data as operations, ticks as a venue.

use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapeline_kafka::publisher::Publisher;
use tapeline_kafka::registry::Registry;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::port::OutRecord;
use tapeline_schemas::codec::{Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};

/// Publishes values of one topic.
pub struct TopicPublisher<T: Wire> {
    topic: &'static str,
    encoder: Encoder<T>,
    publisher: Publisher,
}

impl<T: Wire> TopicPublisher<T> {
    /// Connects; the topic's schema must be registered (`tapeline apply`).
    ///
    /// # Errors
    /// If the registry is away or does not know the schema.
    pub fn open(addresses: &Addresses, topic: &'static str, client_id: &str) -> Result<Self> {
        let registry = Registry::new(&addresses.registry_url)?;
        let id = registry.registered_id(topic, T::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
        let encoder = Encoder::new(id);
        Ok(Self { topic, encoder, publisher: Publisher::open(&addresses.kafka, client_id)? })
    }

    /// Queues a value.
    ///
    /// # Errors
    /// If the broker refuses or does not take it.
    pub fn send(&self, key: &str, value: &T) -> Result<()> {
        let mut payload = Vec::with_capacity(160);
        self.encoder.encode(value, &mut payload);
        let (topic, key) = (self.topic.to_owned(), Some(key.as_bytes().to_vec()));
        let record = OutRecord { topic, partition: None, key, payload: Some(payload), headers: Vec::new() };
        self.publisher.send(&record).with_context(|| format!("publishing to {}", self.topic))
    }

    /// How many of them the broker has not acknowledged yet.
    pub fn in_flight(&self) -> u64 {
        self.publisher.in_flight()
    }

    /// Lets the client work; call it now and then while nothing is sent.
    pub fn poll(&self) {
        self.publisher.poll();
    }

    /// Waits until the broker has all of it.
    ///
    /// # Errors
    /// If a record could not be delivered.
    pub fn flush(&self) -> Result<()> {
        self.publisher.flush().with_context(|| format!("publishing to {}", self.topic))
    }
}

/// A publisher of commands.
///
/// # Errors
/// See [`TopicPublisher::open`].
pub fn commands(addresses: &Addresses) -> Result<TopicPublisher<wire::Command>> {
    TopicPublisher::open(addresses, topic::ORDERS, "upstream")
}

/// Publishes instruments and accounts, and waits until the broker has them.
///
/// # Errors
/// If a record could not be delivered.
pub fn reference(addresses: &Addresses, instruments: &[wire::Instrument], accounts: &[wire::Account]) -> Result<()> {
    let publisher = TopicPublisher::open(addresses, topic::INSTRUMENTS, "operations")?;
    for instrument in instruments {
        publisher.send(&instrument.symbol, instrument)?;
    }
    publisher.flush()?;
    let publisher = TopicPublisher::open(addresses, topic::ACCOUNTS, "operations")?;
    for account in accounts {
        publisher.send(&account.account, account)?;
    }
    publisher.flush()
}

/// Publishes values when they are due, counted from the first call; `published` hears how many have gone out.
/// Ends early when `stop` is set. Returns how many were published.
///
/// # Errors
/// If a record could not be delivered.
pub fn paced<T: Wire>(
    publisher: &TopicPublisher<T>,
    values: impl Iterator<Item = Result<(Duration, T)>>,
    key: impl Fn(&T) -> &str,
    stop: &AtomicBool,
    mut published: impl FnMut(u64),
) -> Result<u64> {
    let started_at = Instant::now();
    let mut count = 0;
    for value in values {
        let (due, value) = value?;
        while started_at.elapsed() < due && !stop.load(Ordering::Relaxed) {
            publisher.publisher.poll();
            let left = due.saturating_sub(started_at.elapsed());
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        publisher.send(key(&value), &value)?;
        count += 1;
        if count % 1_000 == 0 {
            publisher.publisher.poll();
            published(count);
        }
    }
    publisher.flush()?;
    published(count);
    Ok(count)
}
