//! Kafka and the schema registry. The only crate that imports rdkafka or speaks Kafka's protocol.
//!
//! - [`port`]: the lane's port (group member with a transactional producer), [`sink_port`]: the sink's.
//! - [`reader`]: one partition, from an offset to its present end; [`scan`]: the same without copies, for audits.
//! - [`tail`]: all partitions of a topic from their ends on or from a little before, as a client sees them.
//! - [`protocol`]: what librdkafka has no calls for: groups in full, transactions, fencing.
//! - [`groups`]: the consumer group of each component, its lag and its restores.
//! - [`publisher`]: an idempotent producer for connectors and tools, [`acknowledged`]: one that tells of each record what became
//!   of it, [`transaction`]: a transactional one.
//! - [`app`]: components put together, each on its thread.
//! - `stranded`: clients that have forgotten all brokers get them anew, a bug of librdkafka; `leader_hints`: clients do not
//!   crash over another one.
//! - [`admin`]: topics and their settings, [`registry`]: subjects and schemas.
//!
//! What is absent: any knowledge of what the records mean.

pub mod acknowledged;
pub mod admin;
pub mod app;
mod append_times;
mod client;
pub mod groups;
mod leader_hints;
mod membership;
pub mod port;
mod producer;
pub mod protocol;
pub mod publisher;
pub mod reader;
pub mod registry;
mod replay_port;
pub mod scan;
pub mod sink_port;
mod stranded;
pub mod tail;
mod takeover;
pub mod transaction;

pub use append_times::append_times;
pub use client::{http_of, instance};
