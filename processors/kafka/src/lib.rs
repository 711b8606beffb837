//! Kafka and the schema registry. The only crate that imports rdkafka.
//!
//! - [`port`]: the lane's port (group member with a transactional producer), [`sink_port`]: the sink's.
//! - [`reader`]: one partition, from an offset to its present end.
//! - [`publisher`]: an idempotent producer for connectors and tools.
//! - [`app`]: components put together, each on its thread.
//! - [`admin`]: topics and their settings, [`registry`]: subjects and schemas.
//!
//! What is absent: any knowledge of what the records mean.

pub mod admin;
pub mod app;
mod client;
pub mod port;
pub mod publisher;
pub mod reader;
pub mod registry;
mod replay_port;
pub mod sink_port;

pub use client::instance;
