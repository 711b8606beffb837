//! Holds the dependency direction: domain ← schemas ← runtime ← kafka ← processors and connectors; never sideways.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use cargo_metadata::{Metadata, MetadataCommand};
use std::collections::BTreeMap;

/// What each crate may use of the workspace, tests aside.
const ALLOWED: [(&str, &[&str]); 14] = [
    ("tapeline-domain", &[]),
    ("tapeline-schemas", &["tapeline-domain"]),
    ("tapeline-runtime", &["tapeline-domain", "tapeline-schemas"]),
    ("tapeline-kafka", &["tapeline-domain", "tapeline-schemas", "tapeline-runtime"]),
    ("tapeline-validator", BELOW_PROCESSORS),
    ("tapeline-executor", BELOW_PROCESSORS),
    ("tapeline-settler", BELOW_PROCESSORS),
    ("tapeline-timescale", BELOW_PROCESSORS),
    ("tapeline-clickhouse", BELOW_PROCESSORS),
    ("tapeline-replay", BELOW_PROCESSORS),
    ("tapeline-gateway", GATEWAY),
    // Pure rules: no Kafka, no runtime.
    ("tapeline-identity", &["tapeline-schemas"]),
    ("tapeline-cli", EVERYTHING),
    ("tapeline-sim", EVERYTHING),
];
const BELOW_PROCESSORS: &[&str] = &["tapeline-domain", "tapeline-schemas", "tapeline-runtime", "tapeline-kafka"];
const GATEWAY: &[&str] =
    &["tapeline-domain", "tapeline-schemas", "tapeline-runtime", "tapeline-kafka", "tapeline-identity"];
const EVERYTHING: &[&str] = &[
    "tapeline-domain",
    "tapeline-schemas",
    "tapeline-runtime",
    "tapeline-kafka",
    "tapeline-validator",
    "tapeline-executor",
    "tapeline-settler",
    "tapeline-timescale",
    "tapeline-clickhouse",
    "tapeline-replay",
    "tapeline-identity",
    "tapeline-gateway",
];
/// Crates that only test, and may use everything.
const TESTS: [&str; 2] = ["tapeline-tests", "tapeline-fuzz"];
/// All that the domain uses: text that is cheap to copy, a hash and a checksum. It is free of serde, clients and clocks, and
/// stays so.
const DOMAIN_USES: &[&str] = &["crc32fast", "foldhash", "hashbrown", "smol_str"];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path("../Cargo.toml").no_deps().exec().unwrap()
}

/// Normal dependencies of each package of the workspace.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, Vec<String>> {
    let of = |package: &cargo_metadata::Package| {
        let normal = package.dependencies.iter().filter(|used| used.kind == cargo_metadata::DependencyKind::Normal);
        (package.name.to_string(), normal.map(|used| used.name.clone()).collect())
    };
    metadata.packages.iter().map(of).collect()
}

#[test]
fn dependencies_point_one_way() {
    let found = dependencies(&metadata());
    for (name, used) in found.iter().filter(|(name, _)| !TESTS.contains(&name.as_str())) {
        let allowed = ALLOWED.iter().find(|(package, _)| package == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} has no place in the layers: add it to ALLOWED"));
        for own in used.iter().filter(|used| used.starts_with("tapeline-")) {
            assert!(allowed.contains(&own.as_str()), "{name} must not use {own}");
        }
    }
}

#[test]
fn one_crate_imports_rdkafka_and_speaks_kafkas_protocol() {
    let found = dependencies(&metadata());
    for package in ["rdkafka", "kafka-protocol"] {
        let users: Vec<&String> =
            found.iter().filter(|(_, used)| used.contains(&package.into())).map(|(name, _)| name).collect();
        assert_eq!(users, ["tapeline-kafka"], "{package}");
    }
}

#[test]
fn the_domain_uses_no_serde_tokio_kafka_or_clock() {
    let found = dependencies(&metadata());
    assert_eq!(found["tapeline-domain"], DOMAIN_USES);
    for entry in walk("../processors/domain/src") {
        let text = std::fs::read_to_string(&entry).unwrap();
        for forbidden in ["std::time", "SystemTime", "Instant::", "std::net", "std::fs", "std::env", "f64", "f32"] {
            assert!(!text.contains(forbidden), "{entry} contains {forbidden}");
        }
    }
}

fn walk(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        match path.is_dir() {
            true => files.extend(walk(&name)),
            false => files.push(name),
        }
    }
    assert!(!files.is_empty(), "{folder} is empty");
    files
}
