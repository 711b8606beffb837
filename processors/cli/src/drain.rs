//! Waits until a pipeline stands still: every group has taken all that its topics hold.

use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::reader::PartitionReader;
use tapeline_kafka::registry::Registry;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::Reader;
use tapeline_runtime::topology::Topology;
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::topic;
use tapeline_schemas::wire::JournalEntry;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until the groups of `components` have taken all records of their inputs, two looks in a row.
///
/// # Errors
/// If that is not so after `patience`, naming who lags where; or if the broker is away.
pub fn wait(topology: &Topology, addresses: &Addresses, components: &[&str], patience: Duration) -> Result<()> {
    let group = |component: &&str| -> Result<Group> {
        let processor = topology.processor(component).map(|spec| &spec.inputs);
        let inputs = processor.or_else(|| topology.sink(component).map(|spec| &spec.inputs));
        let inputs = inputs.with_context(|| format!("no component {component}"))?;
        Ok(((*component).to_owned(), inputs.clone()))
    };
    wait_groups(topology, addresses, &components.iter().map(group).collect::<Result<Vec<_>>>()?, patience)
}

/// A consumer group and the topics that it reads.
pub(crate) type Group = (String, Vec<String>);

/// As [`wait`], of groups that need not be those of components.
pub(crate) fn wait_groups(
    topology: &Topology,
    addresses: &Addresses,
    groups: &[Group],
    patience: Duration,
) -> Result<()> {
    let admin = Admin::connect(&addresses.kafka)?;
    let deadline = Instant::now() + patience;
    let mut last_ends = None;
    loop {
        let (ends, lagging) = look(topology, addresses, &admin, groups)?;
        match lagging {
            None if last_ends.as_ref() == Some(&ends) => return Ok(()),
            Some(lagging) if Instant::now() > deadline => {
                bail!("the pipeline has not come to rest after {patience:?}: {lagging}");
            }
            _ => last_ends = Some(ends),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until every task of a processor has taken what is published to a broadcast input after [`Self::begin`]. No
/// group's offsets tell that, the journal does.
pub struct BroadcastWatch<'a> {
    topology: &'a Topology,
    addresses: &'a Addresses,
    admin: Admin,
    journal: String,
    journal_ends: Vec<i64>,
}

impl<'a> BroadcastWatch<'a> {
    /// Notes where the journal of `processor` ends now.
    ///
    /// # Errors
    /// If the broker is away or the processor has no journal.
    pub fn begin(topology: &'a Topology, addresses: &'a Addresses, processor: &str) -> Result<Self> {
        let admin = Admin::connect(&addresses.kafka)?;
        let spec = topology.processor(processor).with_context(|| format!("no processor {processor}"))?;
        let journal = spec.journal.clone().with_context(|| format!("{processor} has no journal"))?;
        let journal_ends = admin.watermarks(&journal)?.iter().map(|marks| marks.end).collect();
        Ok(Self { topology, addresses, admin, journal, journal_ends })
    }

    /// Waits until each partition's journal says that `topic` was taken to its present end.
    ///
    /// # Errors
    /// If that is not so after `patience`.
    pub fn wait(&self, topic: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let ends: Vec<i64> = self.admin.watermarks(topic)?.iter().map(|marks| marks.end).collect();
        let registry: Arc<dyn SchemaIds> = Arc::new(Registry::new(&self.addresses.registry_url)?);
        let mut decoder = decoder::<JournalEntry>(&self.journal, &registry).map_err(anyhow::Error::msg)?;
        let tasks = self.topology.topic(&self.journal).map_or(0, |journal| journal.partitions);
        for task in 0..tasks {
            let mut taken = vec![0; ends.len()];
            while taken != ends {
                let mut reader = PartitionReader::open(
                    &self.addresses.kafka,
                    &self.journal,
                    task,
                    self.journal_ends[task as usize],
                )?;
                while let Some(record) = reader.next()? {
                    let entry = decoder.decode(record.payload.as_deref())?;
                    for run in entry.runs.iter().filter(|run| run.topic == topic) {
                        taken[run.partition as usize] = run.next_offset;
                    }
                }
                if Instant::now() > deadline {
                    bail!("{} has not taken {topic} to its end after {patience:?}", self.journal);
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }
}

/// The ends of all inputs, and who lags behind one of them. The clock does not count: it never stands still.
fn look(
    topology: &Topology,
    addresses: &Addresses,
    admin: &Admin,
    groups: &[Group],
) -> Result<(Vec<i64>, Option<String>)> {
    let mut all_ends = Vec::new();
    for (group, inputs) in groups {
        let inputs: Vec<String> = inputs.iter().filter(|name| *name != topic::CLOCK).cloned().collect();
        for (topic, committed) in inputs.iter().zip(admin.committed(group, &inputs)?) {
            let markers = is_transactional(topology, topic);
            for (partition, (marks, committed)) in admin.watermarks(topic)?.iter().zip(committed).enumerate() {
                all_ends.push(marks.end);
                let taken = committed.unwrap_or(marks.first);
                let at_rest = match marks.end - taken {
                    0 => true,
                    // A committed transaction ends with its marker.
                    1 if markers => true,
                    // Aborted ones leave more of them, and a redrive leaves one in a topic that comes from outside: only a
                    // record says that something is left.
                    _ => !has_record(&addresses.kafka, topic, partition as i32, taken)?,
                };
                if !at_rest {
                    let lagging = format!("{group} is at {taken} of {} in {topic}-{partition}", marks.end);
                    return Ok((all_ends, Some(lagging)));
                }
            }
        }
    }
    Ok((all_ends, None))
}

/// Whether processors write the topic, in transactions, whose markers take offsets too.
fn is_transactional(topology: &Topology, topic: &str) -> bool {
    topology.processors.iter().any(|processor| processor.outputs.iter().any(|output| output == topic))
}

/// Whether a partition holds a committed record at or after an offset, and not only markers.
pub(crate) fn has_record(bootstrap: &str, topic: &str, partition: i32, from: i64) -> Result<bool> {
    Ok(PartitionReader::open(bootstrap, topic, partition, from)?.next()?.is_some())
}
