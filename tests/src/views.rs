//! What the databases hold (see [`tapeline_cli::fingerprint`]), and wiping them.

use crate::parts::Stack;
use anyhow::{Context, Result, ensure};
use tapeline_runtime::addresses::Addresses;

pub use tapeline_cli::fingerprint::{Fingerprint, clickhouse, fingerprints, one, timescale};

/// Deletes both databases and lets `tapeline apply` make them again, empty.
///
/// # Errors
/// If a database refuses.
pub fn wipe(stack: &Stack) -> Result<()> {
    let addresses = &stack.app.addresses;
    let (server, database) =
        addresses.timescale_url.rsplit_once('/').context("the address of TimescaleDB names no database")?;
    let outside = Addresses { timescale_url: format!("{server}/postgres"), ..addresses.clone() };
    timescale(&outside, &format!("DROP DATABASE {database} WITH (FORCE)"))?;
    timescale(&outside, &format!("CREATE DATABASE {database}"))?;
    stack.parts(&["clickhouse", "DROP DATABASE tapeline SYNC"])?;
    let applied = stack.tapeline(&["apply", "--yes"])?;
    ensure!(applied.contains("timescale") && applied.contains("clickhouse"), "apply made no tables:\n{applied}");
    Ok(())
}
