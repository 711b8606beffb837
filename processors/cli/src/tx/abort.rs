//! `tapeline tx abort`: ends one open transaction, after it has shown what that transaction blocks.

use super::survey::{OpenTransaction, Origin, survey};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tapeline_kafka::app::load_topology;
use tapeline_kafka::protocol::{Cluster, Marker, OffsetOf};
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::topology::Topology;

/// Which transaction, by its id or by a place where it is open.
#[derive(Debug, Args)]
pub struct Abort {
    /// Its transactional id.
    #[arg(long, required_unless_present = "topic", conflicts_with_all = ["topic", "partition", "start_offset"])]
    transactional_id: Option<String>,
    /// A topic in which it is open.
    #[arg(long, requires_all = ["partition", "start_offset"])]
    topic: Option<String>,
    /// The partition.
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// The offset of its first record there, as `tx list` shows it.
    #[arg(long, requires = "topic")]
    start_offset: Option<i64>,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

impl Abort {
    fn means(&self, open: &OpenTransaction) -> bool {
        let here = |topic: &str| {
            let (partition, start_offset) = (self.partition, self.start_offset);
            let is_here = |at: &&super::OpenPartition| at.topic == topic && Some(at.partition) == partition;
            open.partitions.iter().filter(is_here).any(|at| at.start_offset == start_offset)
        };
        match &self.topic {
            Some(topic) => here(topic),
            None => open.transactional_id == self.transactional_id,
        }
    }
}

pub(super) fn perform(options: &Abort, addresses: &Addresses) -> Result<()> {
    let mut cluster = Cluster::new(&addresses.kafka);
    let open = survey(&mut cluster)?;
    let mut meant = open.iter().filter(|open| options.means(open));
    let chosen = meant.next().context("no such transaction is open: `tapeline tx list` shows those that are")?;
    ensure!(
        meant.next().is_none(),
        "it is open in several places that no coordinator knows of: name one by --topic, --partition and --start-offset"
    );
    print!("{}", super::render(std::slice::from_ref(chosen)));
    print!("{}", blocked(&mut cluster, &load_topology()?, chosen)?);
    println!("{}", plan(chosen));
    if !options.yes {
        println!("Nothing was changed. --yes does it.");
        return Ok(());
    }
    match &chosen.origin {
        Origin::Coordinator(transaction) => {
            if !cluster.fence(transaction)? {
                bail!("{} has gone to another producer since: nothing was changed", transaction.id);
            }
        }
        Origin::Partition(producer) => cluster.write_marker(producer, Marker::Abort)?,
    }
    println!("Aborted.");
    Ok(())
}

fn plan(chosen: &OpenTransaction) -> String {
    match &chosen.origin {
        Origin::Coordinator(transaction) => format!(
            "To abort: fence its producer at the coordinator of {}. A process that still uses it gets an error; a \
             component of Tapeline ends with code 3.",
            transaction.id
        ),
        Origin::Partition(producer) => format!(
            "To abort: write an abort marker to {}-{} for producer {}, epoch {}; no coordinator will.",
            producer.topic, producer.partition, producer.producer_id, producer.producer_epoch
        ),
    }
}

/// What readers of committed records do not get while it is open.
fn blocked(cluster: &mut Cluster, topology: &Topology, chosen: &OpenTransaction) -> Result<String> {
    let topics: Vec<String> = chosen.partitions.iter().map(|at| at.topic.clone()).collect();
    let ends = cluster.offsets(&topics, OffsetOf::End)?;
    let mut lines = String::new();
    for at in &chosen.partitions {
        let Some(from) = at.start_offset else { continue };
        let end = ends.get(&(at.topic.clone(), at.partition)).map_or(from, |end| end.offset);
        let processors = topology.processors.iter().map(|processor| (&processor.name, &processor.inputs));
        let components = processors.chain(topology.sinks.iter().map(|sink| (&sink.name, &sink.inputs)));
        let readers: Vec<&str> =
            components.filter(|(_, inputs)| inputs.contains(&at.topic)).map(|(name, _)| name.as_str()).collect();
        let readers = if readers.is_empty() { "no component".to_owned() } else { readers.join(", ") };
        let (topic, partition, offsets) = (&at.topic, at.partition, end - from);
        lines += &format!(
            "It blocks {topic}-{partition} from offset {from} on: {offsets} offsets wait. Read by {readers}.\n"
        );
    }
    Ok(lines)
}
