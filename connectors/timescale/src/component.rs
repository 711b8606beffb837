//! The sink as a component of a process.

use crate::TimescaleSink;
use std::sync::Arc;
use std::time::Duration;
use tapeline_kafka::app::{App, Batching, Running};

/// The component's name, in the topology, as consumer group and in metrics.
pub const NAME: &str = "timescale";

/// Small views are wanted soon, so batches follow each other closely; under load they fill up by themselves.
const BATCHING: Batching = Batching { max_records: 20_000, interval: Duration::from_millis(20) };

/// Starts the sink.
///
/// # Errors
/// If the topology does not list it.
pub fn spawn(app: &Arc<App>, running: &mut Running) -> anyhow::Result<()> {
    app.spawn_sink(running, NAME, BATCHING, |addresses| TimescaleSink::connect(&addresses.timescale_url))
}
