//! Decoders of all wire types, whole frames with keys, and the reading for people.

use super::{Start, Target, kind_of};
use crate::corpus::examples;
use anyhow::{Context, Result};
use std::sync::Arc;
use tapeline_domain::depth::DepthUpdate;
use tapeline_domain::{accepted, command, execution, settlement, types};
use tapeline_runtime::event_decoder::EventDecoder;
use tapeline_runtime::processor::Undecodable;
use tapeline_schemas::codec::{
    DecodeError, Decoder, Encoder, HEADER_BYTES, SchemaIds, SchemaSource, Wire, schema_of_stem, split_frame,
};
use tapeline_schemas::inspect::inspect;
use tapeline_schemas::{topic, wire};

const STEMS: [&str; 10] = [
    "orders",
    "orders.validated",
    "orders.rejected",
    "trades.executed",
    "trades.settled",
    "reference.instruments",
    "reference.accounts",
    "market.ticks",
    "clock",
    "journal",
];

/// Ids that a frame may name. Others are not registered.
const OWN_ID: u32 = 1;
/// The same schema under another id: the way of records of other versions.
const OTHER_ID: u32 = 2;
/// Its fields in the reverse order.
const REVERSED_ID: u32 = 3;
/// Another topic's schema.
const FOREIGN_ID: u32 = 4;
/// No schema at all.
const BROKEN_ID: u32 = 5;
/// Beyond these, the frame target has one id for each topic.
const FIRST_TOPIC_ID: u32 = 100;

pub(super) fn targets() -> Vec<Target> {
    let target = |name, seeds, start| Target { name, is_text: false, weight: 8, seeds, start };
    vec![
        target(
            "decoder.orders",
            || seeds::<wire::Command>("orders"),
            || decoder::<wire::Command, command::Command>("orders"),
        ),
        target(
            "decoder.orders.validated",
            || seeds::<wire::ValidatedCommand>("orders.validated"),
            || decoder::<wire::ValidatedCommand, accepted::Accepted>("orders.validated"),
        ),
        target(
            "decoder.orders.rejected",
            || seeds::<wire::Rejection>("orders.rejected"),
            || decoder::<wire::Rejection, wire::Rejection>("orders.rejected"),
        ),
        target(
            "decoder.trades.executed",
            || seeds::<wire::Execution>("trades.executed"),
            || decoder::<wire::Execution, execution::Execution>("trades.executed"),
        ),
        target(
            "decoder.trades.settled",
            || seeds::<wire::Settlement>("trades.settled"),
            || decoder::<wire::Settlement, settlement::Settlement>("trades.settled"),
        ),
        target(
            "decoder.reference.instruments",
            || seeds::<wire::Instrument>("reference.instruments"),
            || decoder::<wire::Instrument, types::Instrument>("reference.instruments"),
        ),
        target(
            "decoder.reference.accounts",
            || seeds::<wire::Account>("reference.accounts"),
            || decoder::<wire::Account, types::Account>("reference.accounts"),
        ),
        target(
            "decoder.book.depth",
            || seeds::<wire::BookDepth>("book.depth"),
            || decoder::<wire::BookDepth, DepthUpdate>("book.depth"),
        ),
        target(
            "decoder.market.ticks",
            || seeds::<wire::MarketTick>("market.ticks"),
            || decoder::<wire::MarketTick, wire::MarketTick>("market.ticks"),
        ),
        target("decoder.clock", || seeds::<wire::Tick>("clock"), || decoder::<wire::Tick, wire::Tick>("clock")),
        target(
            "decoder.journal",
            || seeds::<wire::JournalEntry>("journal"),
            || decoder::<wire::JournalEntry, wire::JournalEntry>("journal"),
        ),
        target(
            "decoder.identity.users",
            || seeds::<wire::IdentityUser>("identity.users"),
            || decoder::<wire::IdentityUser, wire::IdentityUser>("identity.users"),
        ),
        target(
            "decoder.identity.sessions",
            || seeds::<wire::IdentitySession>("identity.sessions"),
            || decoder::<wire::IdentitySession, wire::IdentitySession>("identity.sessions"),
        ),
        target(
            "decoder.identity.keys",
            || seeds::<wire::IdentityKey>("identity.keys"),
            || decoder::<wire::IdentityKey, wire::IdentityKey>("identity.keys"),
        ),
        target(
            "decoder.identity.signers",
            || seeds::<wire::IdentitySigner>("identity.signers"),
            || decoder::<wire::IdentitySigner, wire::IdentitySigner>("identity.signers"),
        ),
        target(
            "decoder.gateway.audit",
            || seeds::<wire::GatewayAudit>("gateway.audit"),
            || decoder::<wire::GatewayAudit, wire::GatewayAudit>("gateway.audit"),
        ),
        target("frame", frame_seeds, frame),
        target("inspect", inspect_seeds, inspection),
    ]
}

/// The schemas that a decoder of one topic may be sent to.
struct Table {
    own: &'static str,
    reversed: String,
    foreign: &'static str,
}

impl Table {
    fn of(stem: &str) -> Result<Self> {
        let own = schema_of_stem(stem).with_context(|| stem.to_owned())?;
        let mut reversed: serde_json::Value = serde_json::from_str(own)?;
        // A type is declared where it first stands, so only schemas without repeated names can be turned round.
        if let Some(fields) = reversed["fields"].as_array_mut().filter(|_| !own.contains("\"Order")) {
            fields.reverse();
        }
        let foreign = if stem == "orders" { "orders.rejected" } else { "orders" };
        let foreign = schema_of_stem(foreign).context("another schema")?;
        Ok(Self { own, reversed: reversed.to_string(), foreign })
    }
}

impl SchemaSource for Table {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        Ok(match id {
            OWN_ID | OTHER_ID => Some(self.own.to_owned()),
            REVERSED_ID => Some(self.reversed.clone()),
            FOREIGN_ID => Some(self.foreign.to_owned()),
            BROKEN_ID => Some(r#"{"type": "nonsense"}"#.to_owned()),
            _ => None,
        })
    }
}

/// Each example under each of the first ids.
fn seeds<T: Wire>(stem: &str) -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for example in examples(stem)? {
        for id in [OWN_ID, OTHER_ID] {
            seeds.push(encoded::<T>(id, &example)?);
        }
    }
    Ok(seeds)
}

fn encoded<T: Wire>(id: u32, example: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = Encoder::<T>::new(id);
    encoder.encode(&serde_json::from_str(example)?, &mut bytes);
    Ok(bytes)
}

/// Decodes, and converts into the domain what can be decoded. What was decoded must encode and decode to the same again.
#[allow(clippy::panic, reason = "a broken promise is a failure of the target")]
fn decoder<T: Wire + PartialEq + std::fmt::Debug + 'static, D: TryFrom<T>>(stem: &'static str) -> Result<Start> {
    let mut decoder = Decoder::<T>::new(OWN_ID, Arc::new(Table::of(stem)?));
    let encoder = Encoder::<T>::new(OWN_ID);
    Ok(Box::new(move |input| {
        let id = split_frame(input).map_or(0, |(id, _)| id);
        let value = match decoder.decode(Some(input)) {
            Ok(value) => value,
            Err(DecodeError::Malformed { why, .. }) => return format!("id {id}: {}", kind_of(&why)),
            Err(DecodeError::UnknownSchema(_)) => return "unknown schema".into(),
            Err(error) => return kind_of(&error.to_string()),
        };
        let mut again = Vec::new();
        encoder.encode(&value, &mut again);
        if decoder.decode(Some(&again)).as_ref() != Ok(&value) {
            panic!("what was decoded of {input:02x?} does not come back");
        }
        // The same bytes through apache-avro, as a record of another version.
        if id == OWN_ID {
            again.clear();
            again.extend_from_slice(input);
            again[1..HEADER_BYTES].copy_from_slice(&OTHER_ID.to_be_bytes());
            if let Ok(by_apache) = decoder.decode(Some(&again))
                && by_apache != value
            {
                panic!("apache-avro reads {input:02x?} otherwise: {by_apache:?}");
            }
        }
        match D::try_from(value) {
            Ok(_) => format!("id {id}: taken"),
            Err(_) => format!("id {id}: decoded, not for the domain"),
        }
    }))
}

/// A registry in which each topic's schema has an id of its own.
struct Registry;

impl SchemaSource for Registry {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        let stem = STEMS.get((id as usize).wrapping_sub(FIRST_TOPIC_ID as usize));
        Ok(stem.and_then(|stem| schema_of_stem(stem)).map(str::to_owned))
    }
}

impl SchemaIds for Registry {
    fn registered_id(&self, topic: &str, _: &str) -> Result<u32, String> {
        id_of(topic).ok_or_else(|| format!("no topic {topic}"))
    }
}

fn id_of(stem: &str) -> Option<u32> {
    STEMS.iter().position(|name| *name == stem).map(|index| FIRST_TOPIC_ID + index as u32)
}

/// Topics that sinks read: an input names one by its first byte.
const SINK_TOPICS: [&str; 6] =
    [topic::ORDERS, topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED, topic::MARKET_TICKS];

/// Inputs of `frame`: the topic's number, the key's length, the key, the value.
fn frame_seeds() -> Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for (number, stem) in SINK_TOPICS.into_iter().enumerate() {
        for example in examples(stem)? {
            let id = id_of(stem).with_context(|| stem.to_owned())?;
            let value = match stem {
                topic::ORDERS => encoded::<wire::Command>(id, &example),
                topic::VALIDATED => encoded::<wire::ValidatedCommand>(id, &example),
                topic::REJECTED => encoded::<wire::Rejection>(id, &example),
                topic::EXECUTED => encoded::<wire::Execution>(id, &example),
                topic::SETTLED => encoded::<wire::Settlement>(id, &example),
                _ => encoded::<wire::MarketTick>(id, &example),
            }?;
            let json: serde_json::Value = serde_json::from_str(&example)?;
            let key = if stem == topic::MARKET_TICKS { &json["instrument"] } else { &json["account"] };
            let key = key.as_str().unwrap_or_default().as_bytes();
            seeds.push([&[number as u8, key.len() as u8], key, &value].concat());
        }
    }
    Ok(seeds)
}

fn frame() -> Result<Start> {
    let registry: Arc<dyn SchemaIds> = Arc::new(Registry);
    let mut decoder = EventDecoder::new(&registry).map_err(anyhow::Error::msg)?;
    Ok(Box::new(move |input| {
        let [number, length, rest @ ..] = input else { return "too short".into() };
        let topic = SINK_TOPICS[usize::from(*number) % SINK_TOPICS.len()];
        let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
        match decoder.decode(topic, Some(key), Some(value)) {
            Ok(_) => format!("{topic}: taken"),
            Err(Undecodable::Poison { code, .. }) => format!("{topic}: {code}"),
            Err(Undecodable::Away(why)) => format!("away: {why}"),
        }
    }))
}

/// Inputs of `inspect`: the schema's number, the body.
fn inspect_seeds() -> Result<Vec<Vec<u8>>> {
    let frames = frame_seeds()?;
    let bodies = frames.iter().filter_map(|frame| {
        let (number, rest) = (frame.first()?, frame.get(2 + usize::from(*frame.get(1)?)..)?);
        Some([&[*number], split_frame(rest)?.1].concat())
    });
    Ok(bodies.collect())
}

/// Reading for people agrees with the decoder: what the decoder takes is read whole.
#[allow(clippy::panic, reason = "a broken promise is a failure of the target")]
fn inspection() -> Result<Start> {
    let registry: Arc<dyn SchemaIds> = Arc::new(Registry);
    let mut decoder = EventDecoder::new(&registry).map_err(anyhow::Error::msg)?;
    Ok(Box::new(move |input| {
        let Some((number, body)) = input.split_first() else { return "too short".into() };
        let stem = SINK_TOPICS[usize::from(*number) % SINK_TOPICS.len()];
        let (Some(schema), Some(id)) = (schema_of_stem(stem), id_of(stem)) else { return "no schema".into() };
        let found = match inspect(schema, body) {
            Ok(found) => found,
            Err(why) => panic!("{stem}: {why}"),
        };
        let whole = found.failure.is_none() && found.left_over == 0;
        let frame = [&[0], &id.to_be_bytes()[..], body].concat();
        // Without its key, a record that decodes is refused for that alone.
        let taken = match decoder.decode(stem, None, Some(&frame)) {
            Ok(_) => true,
            Err(Undecodable::Poison { code, .. }) => code == tapeline_runtime::dead_letter::BAD_KEY,
            Err(Undecodable::Away(_)) => false,
        };
        if taken && !whole && found.values.len() < 1_000 {
            panic!("{stem}: the decoder takes {body:02x?}, of which the reading says {found:?}");
        }
        match (&found.failure, whole) {
            (None, true) => format!("{stem}: whole"),
            (None, false) => format!("{stem}: left over"),
            (Some(failure), _) => format!("{stem}: {}", kind_of(&failure.why)),
        }
    }))
}
