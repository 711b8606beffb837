//! A publisher must be able to work from the schemas alone: every record, enum and field has a doc, and every number
//! says its unit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::Value as Json;
use support::schemas;

/// Whole numbers without a unit: identities, positions and counts.
const PLAIN_NUMBERS: [&str; 17] = [
    "sequence",
    "part",
    "parts",
    "partition",
    "count",
    "outputs",
    "output_hash",
    "max_open_orders",
    "trade_id",
    "snapshot",
    "block",
    "checksum",
    "format",
    "image_bytes",
    "generation",
    "revision",
    "transports",
];

#[test]
fn every_field_has_a_doc() {
    let mut lacking = Vec::new();
    for (stem, text) in schemas() {
        walk(&stem, &serde_json::from_str(&text).unwrap(), &mut lacking);
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn a_field_without_doc_or_unit_is_found() {
    let text = r#"{"type": "record", "name": "A", "doc": "A.", "fields": [
        {"name": "price", "type": ["null", "long"], "doc": "A price."},
        {"name": "at_ms", "type": "long", "doc": "When."},
        {"name": "side", "type": {"type": "enum", "name": "S", "symbols": ["X"]}}]}"#;
    let mut lacking = Vec::new();
    walk("a", &serde_json::from_str(text).unwrap(), &mut lacking);
    let expected = [
        "a.avsc: A.price: the doc must say `In units of 10^-8`, or the name must say another unit",
        "a.avsc: A.at_ms: the doc must say `milliseconds`",
        "a.avsc: A.side has no doc",
        "a.avsc: S has no doc",
    ];
    assert_eq!(lacking, expected);
}

fn walk(stem: &str, schema: &Json, lacking: &mut Vec<String>) {
    if let Json::Array(branches) = schema {
        return branches.iter().for_each(|branch| walk(stem, branch, lacking));
    }
    let Some(kind) = schema["type"].as_str() else { return };
    let name = schema["name"].as_str().unwrap_or_default();
    if matches!(kind, "record" | "enum") && doc(schema).is_empty() {
        lacking.push(format!("{stem}.avsc: {name} has no doc"));
    }
    for field in schema["fields"].as_array().into_iter().flatten() {
        let at = format!("{stem}.avsc: {name}.{}", field["name"].as_str().unwrap_or_default());
        if doc(field).is_empty() {
            lacking.push(format!("{at} has no doc"));
        } else if let Some(fault) = unit_fault(field) {
            lacking.push(format!("{at}: {fault}"));
        }
        walk(stem, &field["type"], lacking);
    }
    walk(stem, &schema["items"], lacking);
}

fn doc(of: &Json) -> &str {
    of["doc"].as_str().unwrap_or_default().trim()
}

fn unit_fault(field: &Json) -> Option<String> {
    let is_number = |kind: &Json| matches!(kind.as_str(), Some("int" | "long"));
    let kind = &field["type"];
    if !is_number(kind) && !kind.as_array().is_some_and(|branches| branches.iter().any(is_number)) {
        return None;
    }
    let name = field["name"].as_str().unwrap_or_default();
    if PLAIN_NUMBERS.contains(&name) || name.ends_with("_id") || name.ends_with("_offset") {
        return None;
    }
    let by_ending = [("_ms", "milliseconds"), ("_us", "microseconds"), ("_ppm", "parts per million")];
    match by_ending.iter().find(|(ending, _)| name.ends_with(ending)) {
        Some((_, unit)) => (!doc(field).contains(unit)).then(|| format!("the doc must say `{unit}`")),
        None => (!doc(field).contains("In units of 10^-8"))
            .then(|| "the doc must say `In units of 10^-8`, or the name must say another unit".to_owned()),
    }
}
