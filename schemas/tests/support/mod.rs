//! What the tests of the schemas share: where the files are, and the list of topics with their wire types.

#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::Value as Json;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use tapeline_schemas::codec::Wire;
use tapeline_schemas::wire;

/// Something to be checked of each wire type.
pub(crate) trait Check {
    /// `stem` is the schema file's name without `.avsc`.
    fn check<T: Wire + PartialEq + Debug>(&mut self, stem: &str);
}

/// Runs `check` for each wire type; a schema file that is left out here is found by `all_schemas_are_checked`.
pub(crate) fn each_wire_type(check: &mut impl Check) {
    check.check::<wire::Command>("orders");
    check.check::<wire::ValidatedCommand>("orders.validated");
    check.check::<wire::Rejection>("orders.rejected");
    check.check::<wire::Execution>("trades.executed");
    check.check::<wire::Settlement>("trades.settled");
    check.check::<wire::BookDepth>("book.depth");
    check.check::<wire::Instrument>("reference.instruments");
    check.check::<wire::Account>("reference.accounts");
    check.check::<wire::MarketTick>("market.ticks");
    check.check::<wire::Tick>("clock");
    check.check::<wire::JournalEntry>("journal");
    check.check::<wire::SnapshotPart>("snapshot");
    check.check::<wire::IdentityUser>("identity.users");
    check.check::<wire::IdentitySession>("identity.sessions");
    check.check::<wire::IdentityKey>("identity.keys");
    check.check::<wire::IdentitySigner>("identity.signers");
    check.check::<wire::GatewayAudit>("gateway.audit");
}

/// `schemas/`.
pub(crate) fn schemas_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Stem and text of each schema file.
pub(crate) fn schemas() -> Vec<(String, String)> {
    let read = |path: PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        (stem, fs::read_to_string(&path).unwrap())
    };
    files(&schemas_dir(), ".avsc").into_iter().map(read).collect()
}

/// The files in `dir` that end in `ending`, by name.
pub(crate) fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

/// The examples of a topic: path for messages, and content.
pub(crate) fn examples(stem: &str) -> Vec<(String, Json)> {
    let paths = files(&schemas_dir().join("examples").join(stem), ".json");
    paths
        .into_iter()
        .map(|path| {
            let name = format!("examples/{stem}/{}", path.file_name().unwrap().to_string_lossy());
            let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, json)
        })
        .collect()
}

/// Name and symbols of each enum in a schema's JSON.
pub(crate) fn enums(schema: &Json) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    if let (Some("enum"), Some(symbols)) = (schema["type"].as_str(), schema["symbols"].as_array()) {
        let symbols = symbols.iter().map(|symbol| symbol.as_str().unwrap().to_owned()).collect();
        found.push((schema["name"].as_str().unwrap().to_owned(), symbols));
    }
    match schema {
        Json::Array(items) => found.extend(items.iter().flat_map(enums)),
        Json::Object(fields) => found.extend(fields.values().flat_map(enums)),
        _ => {}
    }
    found
}
