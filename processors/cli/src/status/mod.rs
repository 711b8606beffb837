//! `tapeline status`: the parts, the consumer groups with what they hold and how far they are, and open transactions.
//!
//! Groups, offsets and times are read from Kafka, so that it says the same on every machine and for processes that do not
//! answer. Only how far a restore is comes from the process at work. What is absent: all else that a process alone knows
//! (its metrics).

mod render;

pub use tapeline_kafka::groups::{GroupStatus, MemberStatus, PartitionStatus};

use crate::parts::{self, PartState};
use crate::tx::{OpenTransaction, survey};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use tapeline_kafka::app::load_topology;
use tapeline_kafka::groups;
use tapeline_kafka::protocol::Cluster;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::topology::Topology;

/// How to show it.
#[derive(Debug, Args)]
pub struct Options {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// All of it.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Kafka, registry and databases.
    pub parts: Vec<PartState>,
    /// The consumer groups of all processors and sinks.
    pub groups: Vec<GroupStatus>,
    /// Open transactions of all producers, the oldest first.
    pub open_transactions: Vec<OpenTransaction>,
}

/// Prints the status.
///
/// # Errors
/// If a part is down or Kafka does not answer; what could be found out is printed before.
pub fn show(options: &Options) -> Result<()> {
    let (topology, addresses) = (load_topology()?, Addresses::from_env()?);
    let parts = parts::states()?;
    let log = groups_and_transactions(&topology, &addresses);
    let (groups, open_transactions, away) = match log {
        Ok((groups, open)) => (groups, open, None),
        Err(error) => (Vec::new(), Vec::new(), Some(error)),
    };
    let status = Status { parts, groups, open_transactions };
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&status)?),
        false => print!("{}", render::render(&status, away.is_none())),
    }
    if let Some(error) = away {
        return Err(error).context("groups and transactions can't be shown");
    }
    if !status.parts.iter().all(PartState::is_up) {
        bail!("not all parts are up");
    }
    Ok(())
}

fn groups_and_transactions(
    topology: &Topology,
    addresses: &Addresses,
) -> Result<(Vec<GroupStatus>, Vec<OpenTransaction>)> {
    let mut cluster = Cluster::new(&addresses.kafka);
    let groups = groups::groups(&mut cluster, topology, addresses)?;
    Ok((groups, survey(&mut cluster)?))
}
