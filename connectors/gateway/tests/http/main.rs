//! The router, without sockets, Kafka and databases: commands go to a log in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails says where by panicking")]

mod around;
#[path = "../../../identity/tests/support/authenticator.rs"]
mod authenticator;
mod document;
mod identity;
mod orders;
mod support;
