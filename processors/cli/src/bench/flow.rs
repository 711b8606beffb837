//! Commands encoded before they are due, so that a load costs what a client's sending costs and not what making up orders
//! costs.

use crate::demo;
use anyhow::Result;
use tapeline_kafka::app::App;
use tapeline_replay::Timed;
use tapeline_replay::generate::{Config, Generator};
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::codec::{Encoder, Wire};
use tapeline_schemas::topic::{self, partition_of};
use tapeline_schemas::wire::Command;

const SEED: u64 = 7;
const INSTRUMENTS: u32 = 100;
const ACCOUNTS: u32 = 5_000;

/// Commands in one piece of memory.
#[derive(Default)]
pub(super) struct Prepared {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

struct Place {
    partition: i32,
    key: usize,
    payload: usize,
    end: usize,
}

/// A command as it goes out.
pub(super) struct Outgoing<'a> {
    /// Partition of `orders`, which the account decides.
    pub(super) partition: i32,
    /// The account.
    pub(super) key: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Prepared {
    /// Takes `count` commands of a flow.
    pub(super) fn take(
        flow: &mut impl Iterator<Item = Timed>,
        count: usize,
        encoder: &Encoder<Command>,
        partitions: i32,
    ) -> Result<Self> {
        let mut prepared = Self::default();
        for timed in flow.take(count) {
            let command = timed.command;
            let key = prepared.bytes.len();
            prepared.bytes.extend_from_slice(command.account.as_bytes());
            let payload = prepared.bytes.len();
            encoder.encode(&command, &mut prepared.bytes);
            let (partition, end) = (partition_of(command.account.as_bytes(), partitions), prepared.bytes.len());
            prepared.places.push(Place { partition, key, payload, end });
        }
        Ok(prepared)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    pub(super) fn get(&self, index: usize) -> Option<Outgoing<'_>> {
        let Place { partition, key, payload, end } = *self.places.get(index)?;
        Some(Outgoing { partition, key: &self.bytes[key..payload], payload: &self.bytes[payload..end] })
    }
}

/// How orders are spread over instruments and accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Popularity {
    /// The n-th gets a share of 1/n.
    Zipf,
    /// Each gets as much as any other.
    Uniform,
}

/// The generated flow of most cases.
pub(super) fn generator(popularity: Popularity) -> Result<Generator> {
    generator_over(INSTRUMENTS, ACCOUNTS, popularity)
}

/// A generated flow over so many instruments and accounts.
pub(super) fn generator_over(instruments: u32, accounts: u32, popularity: Popularity) -> Result<Generator> {
    let is_uniform = popularity == Popularity::Uniform;
    let config = Config { instruments, accounts, is_uniform, ..Config::new(SEED, demo::now_ms()) };
    Ok(Generator::new(config)?)
}

/// An encoder of commands under the id that the registry gives their schema.
pub(super) fn encoder(app: &App) -> Result<Encoder<Command>> {
    let id = app.registry.registered_id(topic::ORDERS, Command::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
    Ok(Encoder::new(id))
}
