//! Each schema stays readable by, and can read, every version of it that was ever committed (FULL_TRANSITIVE, as the
//! registry demands it too).
//!
//! `schemas/history/<stem>/vN.avsc` holds the versions. To change a schema: edit `schemas/<stem>.avsc`, copy it to the
//! next `vN.avsc`, and let this test judge. A committed version is never edited or removed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::Path;
use support::{enums, files, schemas, schemas_dir};

/// Whether records of either schema can be read by the other one, all of them.
///
/// The library's [`SchemaCompatibility`] gives `Partial` where a reader would fail for some records only, for
/// example for a symbol that it does not know; that is a refusal here. One rule is our own: a symbol is never removed,
/// although Avro would let it where the enum has a default: the topics keep old records for ever, and each one that
/// holds the symbol would silently read as UNKNOWN.
fn check_compatible(old: &Json, new: &Json) -> Result<(), String> {
    let symbols = enums(new);
    for (name, was) in enums(old) {
        let now = symbols.iter().filter(|(other, _)| *other == name).flat_map(|(_, symbols)| symbols);
        let now: Vec<&String> = now.collect();
        if let Some(lost) = was.iter().find(|symbol| !now.is_empty() && !now.contains(symbol)) {
            return Err(format!("{name} has lost its symbol {lost}"));
        }
    }
    let parse = |json: &Json| Schema::parse_str(&json.to_string()).map_err(|error| error.to_string());
    let (old, new) = (&parse(old)?, &parse(new)?);
    for (writer, reader, what) in [
        (old, new, "records of the old version can't be read with the new one"),
        (new, old, "records of the new version can't be read with the old one"),
    ] {
        match SchemaCompatibility::can_read(writer, reader) {
            Ok(Compatibility::Full) => {}
            Ok(Compatibility::Partial) => return Err(format!("{what}: some records would fail")),
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
    Ok(())
}

#[test]
fn every_schema_is_compatible_with_all_its_history() {
    for (stem, text) in schemas() {
        let current: Json = serde_json::from_str(&text).unwrap();
        let versions = history(&stem);
        for (name, old) in &versions {
            let old = serde_json::from_str(old).unwrap_or_else(|e| panic!("{name}: {e}"));
            check_compatible(&old, &current).unwrap_or_else(|why| panic!("schemas/{stem}.avsc against {name}: {why}"));
        }
        let (name, newest) = versions.last().unwrap_or_else(|| panic!("schemas/history/{stem} has no version"));
        let same = serde_json::from_str::<Json>(newest).unwrap() == current;
        let next = versions.len() + 1;
        assert!(same, "schemas/{stem}.avsc differs from {name}: copy it to schemas/history/{stem}/v{next}.avsc");
    }
}

/// Name and text of each version, oldest first, numbered from 1 without a gap.
fn history(stem: &str) -> Vec<(String, String)> {
    let dir = schemas_dir().join("history").join(stem);
    let count = files(&dir, ".avsc").len();
    let read = |number: usize| {
        let path = dir.join(format!("v{number}.avsc"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (format!("schemas/history/{stem}/v{number}.avsc"), text)
    };
    (1..=count).map(read).collect()
}

#[test]
fn history_has_no_schema_that_is_gone() {
    let known: Vec<String> = schemas().into_iter().map(|(stem, _)| stem).collect();
    for entry in fs::read_dir(Path::new(&schemas_dir()).join("history")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(known.contains(&name), "schemas/history/{name} is kept, but schemas/{name}.avsc is gone");
    }
}

/// The real `orders` schema after an edit of its JSON.
fn edited(edit: impl FnOnce(&mut Json)) -> Result<(), String> {
    let (_, text) = schemas().into_iter().find(|(stem, _)| stem == "orders").unwrap();
    let old: Json = serde_json::from_str(&text).unwrap();
    let mut new = old.clone();
    edit(&mut new);
    Schema::parse_str(&new.to_string()).unwrap_or_else(|error| panic!("the edit makes no schema: {error}"));
    check_compatible(&old, &new)
}

fn field<'a>(schema: &'a mut Json, name: &str) -> &'a mut Json {
    schema["fields"].as_array_mut().unwrap().iter_mut().find(|field| field["name"] == name).unwrap()
}

/// The symbols of `kind`.
fn kinds(schema: &mut Json) -> &mut Vec<Json> {
    field(schema, "kind")["type"]["symbols"].as_array_mut().unwrap()
}

fn add_field(schema: &mut Json, field: Json) {
    schema["fields"].as_array_mut().unwrap().push(field);
}

fn remove_field(schema: &mut Json, name: &str) {
    schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != name);
}

#[test]
fn additions_with_a_default_are_allowed() {
    let allowed: [(&str, Result<(), String>); 5] = [
        ("nothing changed", edited(|_| {})),
        ("a doc changed", edited(|s| s["doc"] = json!("Other words."))),
        (
            "an optional field more",
            edited(|s| add_field(s, json!({"name": "note", "type": ["null", "string"], "default": null}))),
        ),
        ("a field with a default less", edited(|s| remove_field(s, "display_quantity"))),
        ("a symbol more in an enum that has a default", edited(|s| kinds(s).push(json!("REPLACE")))),
    ];
    for (what, verdict) in allowed {
        assert_eq!(verdict, Ok(()), "{what}");
    }
}

#[test]
fn breaking_changes_are_refused() {
    let quantity_as = |kind: Json| edited(move |s| field(s, "quantity")["type"] = kind);
    let required = json!({"name": "quantity", "type": "long", "default": 0});
    let refused: [(&str, Result<(), String>); 8] = [
        ("a field without default less", edited(|s| remove_field(s, "client_order_id"))),
        ("a field without default more", edited(|s| add_field(s, json!({"name": "desk", "type": "string"})))),
        ("another type", edited(|s| field(s, "account")["type"] = json!("long"))),
        ("another type within a union", quantity_as(json!(["null", "string"]))),
        ("a wider type, which old readers can't read", quantity_as(json!(["null", "double"]))),
        ("null no longer allowed", edited(|s| *field(s, "quantity") = required)),
        ("a field renamed", edited(|s| field(s, "account")["name"] = json!("client"))),
        ("a symbol less, although there is a default", edited(|s| drop(kinds(s).pop()))),
    ];
    for (what, verdict) in refused {
        assert!(verdict.is_err(), "{what} must be refused");
    }
}

/// Removing a symbol of an enum without default, wherever the enum stands.
#[test]
fn a_removed_symbol_is_refused_where_the_enum_has_no_default() {
    let shapes: [fn(Json) -> Json; 4] = [
        |kind| json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}),
        |kind| json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": ["null", kind], "default": null}]}),
        |kind| json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": {"type": "array", "items": kind}}]}),
        |kind| {
            let inner = json!({"type": "record", "name": "I", "fields": [{"name": "g", "type": kind}]});
            json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": ["null", inner], "default": null}]})
        },
    ];
    for shape in shapes {
        let schema = |symbols: Json| shape(json!({"type": "enum", "name": "E", "symbols": symbols}));
        let (old, new) = (schema(json!(["A", "B"])), schema(json!(["A"])));
        assert!(check_compatible(&old, &new).is_err(), "{old:?}");
        assert!(check_compatible(&new, &old).is_err(), "{old:?}");
        assert_eq!(check_compatible(&old, &old), Ok(()));
    }
}
