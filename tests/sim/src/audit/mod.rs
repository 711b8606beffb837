//! The auditor: knows the commands and the committed logs, nothing else, and checks the seven invariants as they grow.
//!
//! It shares the wire types and their codec with the pipeline, and no rule: what a settlement must say, which order must
//! trade first and what an account may spend are computed here once more, by other means.

mod book;
mod depth;
mod flow;
mod ledger;
mod replay;
mod view;

use crate::broker::Broker;
use crate::sinks::Store;
use depth::Depth;
use flow::Flow;
use ledger::Ledger;
use std::collections::BTreeMap;
use std::sync::Arc;
use tapeline_runtime::dead_letter::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use tapeline_runtime::port::Record;
use tapeline_schemas::codec::{Decoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};
use view::View;

pub(crate) use replay::check as check_replay;

/// What must always hold: DESIGN, section 2, and that everything ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// All accounts together hold nothing.
    Conservation,
    /// No balance is below zero.
    NoOverdraft,
    /// Each command has one verdict, each order one end.
    OneVerdict,
    /// Each trade, release and transfer is settled once and exactly.
    SettledOnce,
    /// Best price first, then earliest; never crossed.
    PriceTimePriority,
    /// A view is the fold of the log up to the offsets that it states.
    ViewIsFold,
    /// Same input in the same order, same bytes; a component never stops over its own log.
    Determinism,
    /// When all faults have healed, everything finishes.
    Liveness,
}

impl Invariant {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conservation => "Conservation",
            Self::NoOverdraft => "No overdraft",
            Self::OneVerdict => "One verdict",
            Self::SettledOnce => "Settled once",
            Self::PriceTimePriority => "Price-time priority",
            Self::ViewIsFold => "View = fold(log)",
            Self::Determinism => "Determinism",
            Self::Liveness => "Liveness",
        }
    }
}

/// The first thing that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What exactly.
    pub what: String,
    /// At which step of the run.
    pub step: u64,
}

pub(crate) type Checked = Result<(), (Invariant, String)>;

/// Fails with `invariant` unless `holds`.
pub(crate) fn ensure(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err((invariant, what())) }
}

/// Identity from a position, as the schemas document it: partition times 2^44 plus offset.
pub(crate) const fn identity(partition: i32, offset: i64) -> i64 {
    ((partition as i64) << 44) | offset
}

/// Partition of an identity.
pub(crate) const fn partition_of_identity(id: i64) -> i32 {
    (id >> 44) as i32
}

pub(crate) const VALIDATOR_JOURNAL: &str = "validator.journal";
pub(crate) const EXECUTOR_JOURNAL: &str = "executor.journal";

/// In this order, so that causes are read before effects.
const TOPICS: [&str; 17] = [
    topic::INSTRUMENTS,
    topic::ACCOUNTS,
    topic::CLOCK,
    topic::MARKET_TICKS,
    topic::ORDERS,
    topic::VALIDATED,
    topic::REJECTED,
    topic::EXECUTED,
    topic::DEPTH,
    topic::SETTLED,
    "orders.dlq",
    "reference.accounts.dlq",
    "reference.instruments.dlq",
    "clock.dlq",
    "market.ticks.dlq",
    VALIDATOR_JOURNAL,
    EXECUTOR_JOURNAL,
];
/// Dead letters of what the pipeline itself writes: there must never be one.
const OWN_DEAD_LETTERS: [&str; 4] =
    ["orders.validated.dlq", "orders.rejected.dlq", "trades.executed.dlq", "trades.settled.dlq"];

pub(crate) struct Decoders {
    pub(crate) command: Decoder<wire::Command>,
    pub(crate) validated: Decoder<wire::ValidatedCommand>,
    pub(crate) rejected: Decoder<wire::Rejection>,
    pub(crate) executed: Decoder<wire::Execution>,
    pub(crate) depth: Decoder<wire::BookDepth>,
    pub(crate) settled: Decoder<wire::Settlement>,
    pub(crate) instrument: Decoder<wire::Instrument>,
    pub(crate) account: Decoder<wire::Account>,
    pub(crate) tick: Decoder<wire::Tick>,
    pub(crate) market: Decoder<wire::MarketTick>,
    pub(crate) journal: Decoder<wire::JournalEntry>,
}

fn decoder<T: Wire>(topic: &str, ids: &Arc<dyn SchemaIds>) -> anyhow::Result<Decoder<T>> {
    let id = ids.registered_id(topic, T::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
    Ok(Decoder::new(id, Arc::clone(ids) as _))
}

impl Decoders {
    fn new(ids: &Arc<dyn SchemaIds>) -> anyhow::Result<Self> {
        Ok(Self {
            command: decoder(topic::ORDERS, ids)?,
            validated: decoder(topic::VALIDATED, ids)?,
            rejected: decoder(topic::REJECTED, ids)?,
            executed: decoder(topic::EXECUTED, ids)?,
            depth: decoder(topic::DEPTH, ids)?,
            settled: decoder(topic::SETTLED, ids)?,
            instrument: decoder(topic::INSTRUMENTS, ids)?,
            account: decoder(topic::ACCOUNTS, ids)?,
            tick: decoder(topic::CLOCK, ids)?,
            market: decoder(topic::MARKET_TICKS, ids)?,
            journal: decoder(VALIDATOR_JOURNAL, ids)?,
        })
    }
}

/// The auditor of a run.
pub(crate) struct Auditor {
    decoders: Decoders,
    partitions: i32,
    cursors: BTreeMap<(&'static str, i32), i64>,
    seen_version: u64,
    flow: Flow,
    depth: Depth,
    ledger: Ledger,
    timescale: View,
    clickhouse: View,
}

impl Auditor {
    pub(crate) fn new(ids: &Arc<dyn SchemaIds>, partitions: i32) -> anyhow::Result<Self> {
        Ok(Self {
            decoders: Decoders::new(ids)?,
            partitions,
            cursors: BTreeMap::new(),
            seen_version: u64::MAX,
            flow: Flow::default(),
            depth: Depth::default(),
            ledger: Ledger::default(),
            timescale: View::default(),
            clickhouse: View::default(),
        })
    }

    /// Reads what is new in the committed logs, then what the views state.
    pub(crate) fn follow(&mut self, broker: &Broker, timescale: &Store, clickhouse: &Store) -> Checked {
        if self.seen_version != broker.version {
            self.seen_version = broker.version;
            for topic in TOPICS {
                for partition in 0..broker.partitions(topic) {
                    let mut at = self.cursors.get(&(topic, partition)).copied().unwrap_or(0);
                    while let Some(record) = broker.read(topic, partition, at, i64::MAX) {
                        at = record.offset + 1;
                        self.read(topic, record)?;
                    }
                    self.cursors.insert((topic, partition), at);
                }
            }
            for topic in OWN_DEAD_LETTERS {
                for partition in 0..broker.partitions(topic) {
                    ensure(broker.read(topic, partition, 0, i64::MAX).is_none(), Invariant::OneVerdict, || {
                        format!("{topic}: the pipeline could not read what it wrote itself")
                    })?;
                }
            }
            self.ledger.follow(&self.flow)?;
        }
        self.timescale.follow(&mut self.decoders, broker, timescale)?;
        self.clickhouse.follow(&mut self.decoders, broker, clickhouse)
    }

    fn read(&mut self, name: &'static str, record: &Record) -> Checked {
        let place = (name, record.partition, record.offset);
        self.ledger.saw(place);
        let payload = record.payload.as_deref();
        let defect = |error: tapeline_schemas::codec::DecodeError| {
            let what = format!("{name}, partition {}, offset {}: {error}", record.partition, record.offset);
            (Invariant::OneVerdict, what)
        };
        match name {
            topic::VALIDATED => {
                let command = self.decoders.validated.decode(payload).map_err(defect)?;
                self.flow.validated(&command)
            }
            topic::REJECTED => {
                let rejection = self.decoders.rejected.decode(payload).map_err(defect)?;
                self.flow.rejected(&rejection)
            }
            topic::EXECUTED => {
                let execution = self.decoders.executed.decode(payload).map_err(defect)?;
                self.flow.executed(identity(record.partition, record.offset), &execution)
            }
            topic::DEPTH => {
                let update = self.decoders.depth.decode(payload).map_err(defect)?;
                self.depth.follow(&update).map_err(|what| (Invariant::ViewIsFold, what))
            }
            topic::SETTLED => {
                let settlement = self.decoders.settled.decode(payload).map_err(defect)?;
                self.flow.settled(&settlement)?;
                self.ledger.settled(record.partition, record.offset, settlement)
            }
            VALIDATOR_JOURNAL | EXECUTOR_JOURNAL => {
                let entry = self.decoders.journal.decode(payload).map_err(defect)?;
                self.ledger.journal(name, record.partition, entry)
            }
            _ if name.ends_with(".dlq") => {
                let (source, partition, offset) = source(record);
                self.flow.letter(&source, partition, offset)
            }
            _ => {
                self.outside(name, record);
                Ok(())
            }
        }
    }

    /// A record from outside: a command, or something that nobody can read, or nothing to follow.
    fn outside(&mut self, name: &'static str, record: &Record) {
        let (key, payload) = (record.key.as_deref(), record.payload.as_deref());
        let decoders = &mut self.decoders;
        let readable = match name {
            topic::ORDERS => {
                let command = decoders.command.decode(payload).ok();
                let command = command.filter(|command| key == Some(command.account.as_bytes()));
                let readable = command.is_some();
                if let Some(command) = command {
                    self.flow.command(identity(record.partition, record.offset), record.timestamp_ms, command);
                }
                readable
            }
            topic::INSTRUMENTS => {
                payload.is_none() || {
                    let instrument = decoders.instrument.decode(payload);
                    instrument.is_ok_and(|is| key == Some(is.symbol.as_bytes()) && is.maker_fee_ppm >= 0)
                }
            }
            topic::ACCOUNTS => {
                let mut account = || decoders.account.decode(payload).ok();
                payload.is_none() || account().is_some_and(|account| key == Some(account.account.as_bytes()))
            }
            topic::CLOCK => decoders.tick.decode(payload).is_ok(),
            _ => decoders.market.decode(payload).is_ok_and(|tick| key == Some(tick.instrument.as_bytes())),
        };
        if !readable {
            let copies = if name == topic::INSTRUMENTS { self.partitions as u32 } else { 1 };
            self.flow.garbage((name, record.partition, record.offset), copies);
        }
    }

    /// When everything is at rest: all is told, all is settled, all is shown.
    pub(crate) fn at_rest(&self, broker: &Broker, timescale: &Store, clickhouse: &Store) -> Checked {
        self.flow.at_rest()?;
        self.depth.at_rest(&self.flow).map_err(|what| (Invariant::ViewIsFold, what))?;
        self.ledger.at_rest(&self.flow)?;
        self.timescale.at_rest(broker, timescale)?;
        self.clickhouse.at_rest(broker, clickhouse)
    }

    /// When every account has cancelled all it had.
    pub(crate) fn closed(&self) -> Checked {
        self.flow.closed()?;
        self.ledger.closed()
    }

    pub(crate) const fn trades(&self) -> u64 {
        self.flow.trades
    }

    pub(crate) const fn decoders(&mut self) -> &mut Decoders {
        &mut self.decoders
    }
}

/// What a dead letter's headers say of its source.
fn source(record: &Record) -> (String, i32, i64) {
    let header = |name: &str| {
        let found = record.headers.iter().rev().find(|(header, _)| header == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let number = |name: &str| header(name).parse::<i64>().unwrap_or(-1);
    (header(SOURCE_TOPIC), number(SOURCE_PARTITION) as i32, number(SOURCE_OFFSET))
}
