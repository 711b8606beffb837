//! The dependency audit, offline: where dependencies come from, under which licences, pinned and checksummed, and none
//! that is banned. Advisories need a database from the network; whoever updates `Cargo.lock` checks them.
//!
//! cargo-deny would say the same, but takes longer to build than all of Tapeline's tests.

#![allow(clippy::unwrap_used, reason = "a test that fails says where by panicking")]

use cargo_metadata::{MetadataCommand, Package};

/// Licences that a binary under Apache-2.0 can be given out with.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What must not come in: more TLS stacks than the system's OpenSSL for clients and rustls with ring for the gateway, and second
/// Kafka clients.
const BANNED: [&str; 3] = ["aws-lc-sys", "openssl-src", "kafka"];

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path("../Cargo.toml")
        .other_options(["--locked".into(), "--offline".into(), "--filter-platform".into(), target()])
        .exec();
    metadata.unwrap().packages
}

fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Whether one of the choices that `expression` (SPDX) leaves is allowed in full.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    // `A AND (B OR C)` without its brackets reads as `(A AND B) OR C`: both readings must hold an allowed choice.
    expression.split(" OR ").any(|choice| choice.split(" AND ").all(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn every_dependency_has_a_licence_that_we_may_pass_on() {
    let foreign: Vec<String> = packages()
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(allowed))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

#[test]
fn every_dependency_comes_from_the_registry_with_a_checksum() {
    let outside: Vec<String> = packages()
        .iter()
        .filter(|package| package.source.as_ref().is_some_and(|source| !source.is_crates_io()))
        .map(|package| package.name.to_string())
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
    let lock = std::fs::read_to_string("../Cargo.lock").unwrap();
    let unpinned =
        lock.split("[[package]]").skip(1).filter(|entry| entry.contains("source = ") && !entry.contains("checksum = "));
    assert_eq!(unpinned.count(), 0);
}

#[test]
fn nothing_banned_is_built_in() {
    let found: Vec<String> = packages()
        .iter()
        .filter(|package| BANNED.contains(&package.name.as_str()))
        .map(|package| package.name.to_string())
        .collect();
    assert!(found.is_empty(), "{found:?}: see why with `cargo tree -i NAME`");
}

#[test]
fn the_reading_of_licences_knows_and_from_or() {
    assert!(allowed("MIT OR Apache-2.0"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allowed("GPL-3.0"));
    assert!(!allowed("MIT AND GPL-3.0"));
}
