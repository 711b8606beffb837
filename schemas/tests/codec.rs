//! What the decoder makes of records that it did not write: other versions of a schema, and garbage.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use support::{Check, each_wire_type, examples};
use tapeline_schemas::codec::{DecodeError, Decoder, Encoder, SchemaSource, Wire};
use tapeline_schemas::wire::{Command, CommandKind, Execution, ExecutionKind, OrderType, Side, ValidatedCommand};

const OWN_ID: u32 = 7;
const OTHER_ID: u32 = 8;

/// A registry as a table; `None` is one that is away.
struct Table(Option<HashMap<u32, String>>);

impl SchemaSource for Table {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        let table = self.0.as_ref().ok_or("connection refused")?;
        Ok(table.get(&id).cloned())
    }
}

fn decoder<T: Wire>(schemas: &[(u32, &Json)]) -> Decoder<T> {
    let table = schemas.iter().map(|(id, schema)| (*id, schema.to_string())).collect();
    Decoder::new(OWN_ID, Arc::new(Table(Some(table))))
}

fn encoded<T: Wire>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::new(OWN_ID).encode(value, &mut bytes);
    bytes
}

fn example<T: Wire>(stem: &str, name: &str) -> T {
    let (_, json) = examples(stem).into_iter().find(|(at, _)| at.contains(name)).unwrap();
    serde_json::from_value(json).unwrap()
}

fn schema_of<T: Wire>() -> Json {
    serde_json::from_str(T::SCHEMA_JSON).unwrap()
}

fn field<'a>(schema: &'a mut Json, name: &str) -> &'a mut Json {
    schema["fields"].as_array_mut().unwrap().iter_mut().find(|field| field["name"] == name).unwrap()
}

/// `value` as a publisher with schema `other` would write it, after `edit`.
fn written_with<T: Wire>(other: &Json, value: &T, edit: impl FnOnce(&mut Vec<(String, Value)>)) -> Vec<u8> {
    let own = apache_avro::to_value(value).unwrap().resolve(T::schema()).unwrap();
    let Value::Record(mut fields) = own else { panic!("{own:?} is no record") };
    edit(&mut fields);
    let schema = Schema::parse_str(&other.to_string()).unwrap();
    // Resolving against the other schema puts fields and symbols into its order.
    let value = Value::Record(fields).resolve(&schema).unwrap();
    let mut bytes = vec![0];
    bytes.extend_from_slice(&OTHER_ID.to_be_bytes());
    GenericDatumWriter::builder(&schema).build().unwrap().write_value(&mut bytes, value).unwrap();
    bytes
}

#[test]
fn a_record_of_another_version_is_resolved_by_its_writers_schema() {
    let value: Command = example("orders", "place_iceberg");
    let mut other = schema_of::<Command>();
    let fields = other["fields"].as_array_mut().unwrap();
    // A later version has a field more, an earlier one lacked some, and the order may differ.
    fields.retain(|field| field["name"] != "self_trade_prevention");
    fields.insert(0, json!({"name": "desk", "type": ["null", "string"], "default": null}));
    fields.reverse();
    let desk = Value::Union(1, Box::new(Value::String("rates".into())));
    let bytes = written_with(&other, &value, |fields| fields.push(("desk".into(), desk)));
    let decoded = decoder::<Command>(&[(OTHER_ID, &other)]).decode(Some(&bytes)).unwrap();
    assert_eq!(decoded, Command { self_trade_prevention: None, ..value });
}

#[test]
fn a_symbol_that_is_newer_than_the_reader_becomes_unknown() {
    let value: Command = example("orders", "place_market.json");
    let mut other = schema_of::<Command>();
    for (name, symbol) in [("kind", "REPLACE"), ("order_type", "PEGGED")] {
        let kind = &mut field(&mut other, name)["type"];
        let kind = if kind.is_array() { &mut kind[1] } else { kind };
        kind["symbols"].as_array_mut().unwrap().insert(1, json!(symbol));
    }
    let bytes = written_with(&other, &value, |fields| {
        for (name, value) in fields {
            match name.as_str() {
                "kind" => *value = Value::Enum(1, "REPLACE".into()),
                "order_type" => *value = Value::Union(1, Box::new(Value::Enum(1, "PEGGED".into()))),
                _ => {}
            }
        }
    });
    let decoded = decoder::<Command>(&[(OTHER_ID, &other)]).decode(Some(&bytes)).unwrap();
    assert_eq!(decoded.kind, CommandKind::Unknown);
    assert_eq!(decoded.order_type, Some(OrderType::Unknown));
    assert_eq!(decoded.side, Some(Side::Sell), "symbols keep their names though their places moved");
}

#[test]
fn nested_records_and_repeated_names_are_resolved_too() {
    let value: Execution = example("trades.executed", "traded_both_filled");
    assert_eq!(value.kind, ExecutionKind::Traded);
    let mut other = schema_of::<Execution>();
    let order = &mut field(&mut other, "order")["type"][1];
    order["fields"].as_array_mut().unwrap().push(json!({"name": "desk", "type": "string", "default": ""}));
    let bytes = written_with(&other, &value, |_| {});
    let decoded = decoder::<Execution>(&[(OTHER_ID, &other)]).decode(Some(&bytes)).unwrap();
    assert_eq!(decoded, value);
}

#[test]
fn the_same_schema_under_another_id_is_read_as_well() {
    struct UnderOtherId;
    impl Check for UnderOtherId {
        fn check<T: Wire + PartialEq + Debug>(&mut self, stem: &str) {
            let schema = schema_of::<T>();
            let mut decoder = decoder::<T>(&[(OTHER_ID, &schema)]);
            for (name, json) in examples(stem) {
                let value: T = serde_json::from_value(json).unwrap();
                let mut bytes = encoded(&value);
                bytes[1..5].copy_from_slice(&OTHER_ID.to_be_bytes());
                let decoded = decoder.decode(Some(&bytes)).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(decoded, value, "{name}");
            }
        }
    }
    each_wire_type(&mut UnderOtherId);
}

#[test]
fn what_is_not_framed_is_told_from_what_is_not_known() {
    let mut decoder = decoder::<Command>(&[]);
    let bytes = encoded(&example::<Command>("orders", "place_market.json"));
    assert_eq!(decoder.decode(None), Err(DecodeError::Empty));
    for garbage in [&b""[..], b"\0\0\0\0", b"{\"account\": \"acc-1\"}", &bytes[5..]] {
        assert_eq!(decoder.decode(Some(garbage)), Err(DecodeError::NotFramed), "{garbage:?}");
    }
    let mut unknown = bytes;
    unknown[1..5].copy_from_slice(&99_u32.to_be_bytes());
    assert_eq!(decoder.decode(Some(&unknown)), Err(DecodeError::UnknownSchema(99)));
}

#[test]
fn a_registry_that_is_away_is_not_the_records_fault() {
    let mut decoder = Decoder::<Command>::new(OWN_ID, Arc::new(Table(None)));
    let mut bytes = encoded(&example::<Command>("orders", "place_market.json"));
    assert!(decoder.decode(Some(&bytes)).is_ok(), "the own schema needs no registry");
    bytes[1..5].copy_from_slice(&OTHER_ID.to_be_bytes());
    let error = decoder.decode(Some(&bytes)).unwrap_err();
    assert_eq!(error, DecodeError::SourceAway("connection refused".into()));
    assert!(!error.is_poison());
}

#[test]
fn a_body_that_is_cut_or_too_long_is_malformed() {
    struct CutAndExtended;
    impl Check for CutAndExtended {
        fn check<T: Wire + PartialEq + Debug>(&mut self, stem: &str) {
            let mut decoder = decoder::<T>(&[(OTHER_ID, &schema_of::<T>())]);
            for (name, json) in examples(stem) {
                let value: T = serde_json::from_value(json).unwrap();
                for id in [OWN_ID, OTHER_ID] {
                    let mut bytes = encoded(&value);
                    bytes[1..5].copy_from_slice(&id.to_be_bytes());
                    for end in 5..bytes.len() {
                        let error = decoder.decode(Some(&bytes[..end])).unwrap_err();
                        assert!(matches!(error, DecodeError::Malformed { id: at, .. } if at == id), "{name} {error}");
                        assert!(error.is_poison());
                    }
                    bytes.push(0);
                    let error = decoder.decode(Some(&bytes)).unwrap_err();
                    assert_eq!(error, DecodeError::Malformed { id, why: "1 bytes are left over".into() }, "{name}");
                }
            }
        }
    }
    each_wire_type(&mut CutAndExtended);
}

#[test]
fn a_record_of_another_topic_is_not_read_as_one_of_this_topic() {
    let (name, json) = examples("orders.validated").remove(0);
    let value: ValidatedCommand = serde_json::from_value(json).unwrap();
    let mut bytes = encoded(&value);
    bytes[1..5].copy_from_slice(&OTHER_ID.to_be_bytes());
    let other = schema_of::<ValidatedCommand>();
    let error = decoder::<Command>(&[(OTHER_ID, &other)]).decode(Some(&bytes)).unwrap_err();
    let why = "it is a schema of `ValidatedCommand`, not of `Command`".to_owned();
    assert_eq!(error, DecodeError::Malformed { id: OTHER_ID, why }, "{name}");
}

#[test]
fn a_registered_schema_that_does_not_fit_the_topic_is_malformed() {
    let other = json!({"type": "record", "name": "Command", "fields": [{"name": "account", "type": "long"}]});
    let bytes = [0, 0, 0, 0, OTHER_ID as u8, 2];
    let error = decoder::<Command>(&[(OTHER_ID, &other)]).decode(Some(&bytes)).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed { id: OTHER_ID, .. }), "{error:?}");
    let broken = json!({"type": "nonsense"});
    let error = decoder::<Command>(&[(OTHER_ID, &broken)]).decode(Some(&bytes)).unwrap_err();
    assert!(matches!(error, DecodeError::Malformed { id: OTHER_ID, .. }), "{error:?}");
}

/// Decodes `bytes` as each wire type: any answer will do, but there must be one.
struct Decoded<'a>(&'a [u8]);

impl Check for Decoded<'_> {
    fn check<T: Wire + PartialEq + Debug>(&mut self, _: &str) {
        let mut decoder = decoder::<T>(&[(OTHER_ID, &schema_of::<T>())]);
        for id in [OWN_ID, OTHER_ID] {
            let mut framed = vec![0];
            framed.extend_from_slice(&id.to_be_bytes());
            framed.extend_from_slice(self.0);
            let _ = decoder.decode(Some(&framed));
        }
        let _ = decoder.decode(Some(self.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        each_wire_type(&mut Decoded(&bytes));
    }

    /// Closer to the real thing: an example with a few bytes changed.
    #[test]
    fn damaged_records_never_panic(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let all = examples("trades.settled");
        let (_, json) = &all[which.index(all.len())];
        let mut bytes = encoded(&serde_json::from_value::<tapeline_schemas::wire::Settlement>(json.clone()).unwrap());
        for (at, byte) in damage {
            let at = 5 + at.index(bytes.len() - 5);
            bytes[at] = byte;
        }
        each_wire_type(&mut Decoded(&bytes[5..]));
    }
}
