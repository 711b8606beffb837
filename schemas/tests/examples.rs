//! Every example is a value of its wire type, and of its Avro schema, and comes back equal from the wire.
//!
//! The examples under `schemas/examples/` tell one story: two accounts trade AAPL-USD, from deposit to withdrawal.
//! They are plain JSON in the shape of the wire types, all fields present.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use support::{Check, each_wire_type, enums, examples, schemas};
use tapeline_schemas::codec::{Decoder, Encoder, HEADER_BYTES, SchemaSource, Wire, schema_of_stem};

const SCHEMA_ID: u32 = 0x0102_0304;

struct NoRegistry;

impl SchemaSource for NoRegistry {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        Err(format!("id {id} was asked for, but the decoder's own id needs no look-up"))
    }
}

struct FitsItsSchema;

impl Check for FitsItsSchema {
    fn check<T: Wire + PartialEq + Debug>(&mut self, stem: &str) {
        let encoder = Encoder::<T>::new(SCHEMA_ID);
        let mut decoder = Decoder::<T>::new(SCHEMA_ID, Arc::new(NoRegistry));
        let generic = GenericDatumReader::builder(T::schema()).human_readable(false).build().unwrap();
        let writer = GenericDatumWriter::builder(T::schema()).validate(false).human_readable(false).build().unwrap();
        for (name, json) in examples(stem) {
            let value: T = serde_json::from_value(json.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let back = serde_json::to_value(&value).unwrap();
            assert_eq!(back, json, "{name}: every field must be there, null if absent, and none else");

            let mut bytes = Vec::new();
            encoder.encode(&value, &mut bytes);
            assert_eq!(&bytes[..HEADER_BYTES], &[0, 1, 2, 3, 4], "{name}");
            let decoded = decoder.decode(Some(&bytes)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(decoded, value, "{name}");

            // The same bytes as any other Avro reader sees them: by the schema alone, without the wire type.
            let mut body = &bytes[HEADER_BYTES..];
            let seen = generic.read_value(&mut body).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(body.is_empty(), "{name}: {} bytes left over", body.len());
            assert!(seen.validate(T::schema()), "{name}: {seen:?}");
            assert_eq!(Json::try_from(seen).unwrap(), json, "{name}");

            // And as apache-avro writes it.
            let mut by_apache = Vec::new();
            writer.write_ser(&mut by_apache, &value).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(&bytes[HEADER_BYTES..], by_apache, "{name}");
        }
    }
}

#[test]
fn every_wire_type_fits_its_schema() {
    each_wire_type(&mut FitsItsSchema);
}

#[test]
fn all_schemas_are_checked() {
    struct Stems(BTreeSet<String>);
    impl Check for Stems {
        fn check<T: Wire>(&mut self, stem: &str) {
            assert_eq!(schema_of_stem(stem), Some(T::SCHEMA_JSON), "{stem}");
            self.0.insert(stem.into());
        }
    }
    let mut checked = Stems(BTreeSet::new());
    each_wire_type(&mut checked);
    let on_disk: BTreeSet<String> = schemas().into_iter().map(|(stem, _)| stem).collect();
    assert_eq!(checked.0, on_disk, "tests/support lists the wire types");
}

#[test]
fn examples_show_every_symbol_of_every_enum() {
    for (stem, text) in schemas() {
        let mut seen = BTreeSet::new();
        for (_, json) in examples(&stem) {
            collect_strings(&json, &mut seen);
        }
        for (name, symbols) in enums(&serde_json::from_str(&text).unwrap()) {
            for symbol in symbols.into_iter().filter(|symbol| symbol != "UNKNOWN") {
                assert!(seen.contains(&symbol), "no file in schemas/examples/{stem} shows {name} {symbol}");
            }
        }
    }
}

#[test]
fn every_settlement_example_sums_to_zero_for_each_asset() {
    for (name, json) in examples("trades.settled") {
        let postings = json["postings"].as_array().unwrap();
        let assets: BTreeSet<&str> = postings.iter().map(|line| line["asset"].as_str().unwrap()).collect();
        for asset in assets {
            let lines = postings.iter().filter(|line| line["asset"] == asset);
            let sum: i128 = lines.map(|line| i128::from(line["amount"].as_i64().unwrap())).sum();
            assert_eq!(sum, 0, "{name}: {asset}");
        }
    }
}

/// Java and C# clients make one class for each full name, so one name can't mean two shapes.
#[test]
fn a_name_means_the_same_in_all_schemas() {
    let mut known: Vec<(String, Vec<String>, String)> = Vec::new();
    for (stem, text) in schemas() {
        Schema::parse_str(&text).unwrap_or_else(|e| panic!("{stem}.avsc: {e}"));
        for (name, symbols) in enums(&serde_json::from_str(&text).unwrap()) {
            match known.iter().find(|(other, _, _)| *other == name) {
                Some((_, expected, first)) => assert_eq!(&symbols, expected, "{name} in {stem} and in {first}"),
                None => known.push((name, symbols, stem.clone())),
            }
        }
    }
}

fn collect_strings(json: &Json, into: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => drop(into.insert(text.clone())),
        Json::Array(items) => items.iter().for_each(|item| collect_strings(item, into)),
        Json::Object(fields) => fields.values().for_each(|field| collect_strings(field, into)),
        _ => {}
    }
}
