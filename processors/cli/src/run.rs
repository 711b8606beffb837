//! `tapeline run`: all components, or some of them, in one process.

use anyhow::{Result, bail};
use std::sync::Arc;
use tapeline_kafka::app::{App, Running};
use tapeline_runtime::lane::LaneError;

/// Processors, in the order of the flow.
pub const PROCESSORS: [&str; 3] = [tapeline_validator::NAME, tapeline_executor::NAME, tapeline_settler::NAME];
/// The sinks that keep the views.
pub const VIEWS: [&str; 2] = [tapeline_timescale::NAME, tapeline_clickhouse::NAME];
/// Processors and sinks: what takes records until there are none.
pub const DRAINING: [&str; 5] = [
    tapeline_validator::NAME,
    tapeline_executor::NAME,
    tapeline_settler::NAME,
    tapeline_timescale::NAME,
    tapeline_clickhouse::NAME,
];

/// All components that can run, in the order of the flow.
pub const COMPONENTS: [&str; 6] = [
    tapeline_validator::NAME,
    tapeline_executor::NAME,
    tapeline_settler::NAME,
    tapeline_timescale::NAME,
    tapeline_clickhouse::NAME,
    crate::clock::NAME,
];

/// Starts the named components, all if none is named; processors with `lanes` lanes each.
///
/// # Errors
/// If a name is not a component's.
pub fn spawn(app: &Arc<App>, running: &mut Running, names: &[String], lanes: usize) -> Result<()> {
    let all: Vec<String> = COMPONENTS.iter().map(ToString::to_string).collect();
    for name in if names.is_empty() { &all } else { names } {
        match name.as_str() {
            tapeline_validator::NAME => tapeline_validator::spawn(app, running, lanes)?,
            tapeline_executor::NAME => tapeline_executor::spawn(app, running, lanes)?,
            tapeline_settler::NAME => tapeline_settler::spawn(app, running, lanes)?,
            tapeline_timescale::NAME => tapeline_timescale::spawn(app, running)?,
            tapeline_clickhouse::NAME => tapeline_clickhouse::spawn(app, running)?,
            crate::clock::NAME => crate::clock::spawn(app, running)?,
            other => bail!("there is no component `{other}`: choose from {}", COMPONENTS.join(", ")),
        }
    }
    Ok(())
}

/// Replays of all partitions of the processors with state: component, partition, number of outputs or what differs.
pub type Replays = Vec<(&'static str, i32, Result<u64, LaneError>)>;

/// Replays validator and executor by their journals and compares the hashes of their outputs.
///
/// # Errors
/// If a server is away.
pub fn replay_all(app: &App) -> Result<Replays> {
    let validator = app.replay_processor(tapeline_validator::NAME, tapeline_validator::make)?;
    let executor = app.replay_processor(tapeline_executor::NAME, tapeline_executor::make)?;
    let named = |name, replays: Vec<_>| replays.into_iter().map(move |(partition, outputs)| (name, partition, outputs));
    Ok(named(tapeline_validator::NAME, validator).chain(named(tapeline_executor::NAME, executor)).collect())
}
