//! `tapeline tx`: open transactions, and ending those that block readers.

mod abort;
mod survey;

pub use abort::Abort;
pub use survey::{OpenPartition, OpenTransaction, survey};

use crate::table::{Table, age};
use anyhow::Result;
use clap::{Args, Subcommand};
use tapeline_kafka::protocol::Cluster;
use tapeline_runtime::addresses::Addresses;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Tx {
    /// Open transactions of all producers, oldest first; hanging ones are flagged.
    List(List),
    /// Abort one open transaction. Without --yes it only says what it would do.
    Abort(Abort),
}

/// How to list.
#[derive(Debug, Args)]
pub struct List {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
///
/// # Errors
/// If Kafka is away or refuses, or no open transaction is meant.
pub fn perform(verb: &Tx) -> Result<()> {
    let addresses = Addresses::from_env()?;
    match verb {
        Tx::List(options) => {
            let open = survey(&mut Cluster::new(&addresses.kafka))?;
            match options.json {
                true => println!("{}", serde_json::to_string_pretty(&open)?),
                false => print!("{}", render(&open)),
            }
            Ok(())
        }
        Tx::Abort(options) => abort::perform(options, &addresses),
    }
}

/// The table of open transactions, a line for each.
pub fn render(open: &[OpenTransaction]) -> String {
    if open.is_empty() {
        return "No transaction is open.\n".into();
    }
    let mut table =
        Table::new(&["transactional id", "state", "producer", "open for", "time-out", "partitions from offset", ""]);
    for one in open {
        let partitions: Vec<String> = one.partitions.iter().map(ToString::to_string).collect();
        table.row([
            one.transactional_id.clone().unwrap_or_else(|| "-".into()),
            one.state.clone(),
            format!("{}/{}", one.producer_id, one.producer_epoch),
            age(one.age_ms),
            age(one.timeout_ms.map(i64::from)),
            partitions.join(" "),
            one.hanging.as_ref().map_or_else(String::new, |why| format!("HANGING: {why}")),
        ]);
    }
    table.to_string()
}
