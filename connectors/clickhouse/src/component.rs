//! The sink as a component of a process.

use crate::ClickhouseSink;
use std::sync::Arc;
use std::time::Duration;
use tapeline_kafka::app::{App, Batching, Running};

/// The component's name, in the topology, as consumer group and in metrics.
pub const NAME: &str = "clickhouse";

/// Each insert makes a part of each table and partition, and parts must be merged: few large batches serve it best. An
/// order of a small batch (5,000 orders over four partitions) costs the server 78 µs, of one ten times as large 20 before merges.
const BATCHING: Batching = Batching { max_records: 200_000, interval: Duration::from_millis(300) };

/// Starts the sink.
///
/// # Errors
/// If the topology does not list it.
pub fn spawn(app: &Arc<App>, running: &mut Running) -> anyhow::Result<()> {
    app.spawn_sink(running, NAME, BATCHING, |addresses| ClickhouseSink::connect(&addresses.clickhouse_url))
}
