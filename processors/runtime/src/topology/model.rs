//! What the topology file declares, as types, and what follows from it for the broker.

use super::Topology;
use tapeline_schemas::topic::DEAD_LETTER_SUFFIX;

/// Key of topics that get one record for each partition: fits beside any other key.
pub(super) const KEY_PARTITION: &str = "partition";

const DAY_MS: i64 = 86_400_000;
/// How long dead letters wait for operations.
const DEAD_LETTER_RETENTION_MS: i64 = 365 * DAY_MS;
/// Room for the headers that a dead letter has on top of the record that it holds.
pub(super) const DEAD_LETTER_HEADER_BYTES: i64 = 64 << 10;
/// Segments of compacted topics.
const COMPACTED_SEGMENT_BYTES: i64 = 64 << 20;
/// Kafka's default of `segment.ms`.
const SEGMENT_MS: i64 = 7 * DAY_MS;

/// A declared topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name in Kafka.
    pub name: String,
    /// What it holds.
    pub doc: String,
    /// What the record key is, for example `account`; `partition` for one record to each partition.
    pub key: Option<String>,
    /// Number of partitions, 1 to 1024.
    pub partitions: i32,
    /// Stem of the schema file in `schemas/`.
    pub schema: Option<String>,
    /// What happens to old records.
    pub cleanup: Cleanup,
    /// Largest record batch.
    pub max_message_bytes: i64,
    /// The reader that writes records that can't be read to [`Topic::dead_letter_topic`].
    pub dead_letters_by: Option<String>,
}

impl Topic {
    /// Name of its dead-letter topic, if it has one.
    pub fn dead_letter_topic(&self) -> Option<String> {
        self.dead_letters_by.as_ref().map(|_| format!("{}{DEAD_LETTER_SUFFIX}", self.name))
    }
}

/// What happens to old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// They go when their time is over.
    Delete {
        /// How long they stay.
        retention: Retention,
    },
    /// The newest of each key stays.
    Compact {
        /// How long older ones stay for sure, milliseconds.
        min_compaction_lag_ms: i64,
    },
}

/// How long records stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Always: Kafka is the system of record.
    Forever,
    /// So many milliseconds.
    Ms(i64),
}

/// A processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessorSpec {
    /// Its name, its consumer group too.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// Co-partitioned inputs: partition n of all of them belongs to one task.
    pub inputs: Vec<String>,
    /// Inputs that every task reads in full.
    pub broadcast: Vec<String>,
    /// What it writes, its journal and snapshots not among them.
    pub outputs: Vec<String>,
    /// Whether it keeps state.
    pub state: bool,
    /// Its journal topic.
    pub journal: Option<String>,
    /// The topic of its snapshots.
    pub snapshots: Option<String>,
}

/// A sink: a view in a database that folds topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSpec {
    /// Its name.
    pub name: String,
    /// What the view shows.
    pub doc: String,
    /// What it reads.
    pub inputs: Vec<String>,
    /// Where the applied offsets stand, in words.
    pub offsets: String,
}

/// A component at the edge: writes from outside, or reads for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorSpec {
    /// Its name.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// What it reads.
    pub inputs: Vec<String>,
    /// What it writes.
    pub outputs: Vec<String>,
}

/// A topic as the broker must have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Name.
    pub name: String,
    /// What it holds.
    pub doc: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Stem of the schema file of its values; none for dead letters.
    pub schema: Option<String>,
    /// Topic configuration as Kafka names it.
    pub configs: Vec<(String, String)>,
}

/// A component of any kind, with the key under which it names each topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component<'a> {
    /// `processors`, `sinks` or `connectors`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a str,
    /// Key and topic of what it reads.
    pub reads: Vec<(&'static str, &'a str)>,
    /// Key and topic of what it writes, its journal and snapshots among them.
    pub writes: Vec<(&'static str, &'a str)>,
}

impl Topology {
    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name == name)
    }

    /// The processor of this name.
    pub fn processor(&self, name: &str) -> Option<&ProcessorSpec> {
        self.processors.iter().find(|processor| processor.name == name)
    }

    /// The sink of this name.
    pub fn sink(&self, name: &str) -> Option<&SinkSpec> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// Whether the topic is some processor's journal or holds its snapshots: it alone writes and reads it.
    pub fn is_own(&self, topic: &str) -> bool {
        let owns =
            |spec: &ProcessorSpec| [&spec.journal, &spec.snapshots].iter().any(|own| own.as_deref() == Some(topic));
        self.processors.iter().any(owns)
    }

    /// All topics that a component writes to: outputs, journal, snapshots, dead letters.
    pub fn written_by(&self, component: &str) -> Vec<String> {
        let components = self.components();
        let own = components.iter().filter(|spec| spec.name == component).flat_map(|spec| &spec.writes);
        let letters = self.topics.iter().filter(|topic| topic.dead_letters_by.as_deref() == Some(component));
        let letters = letters.filter_map(Topic::dead_letter_topic);
        own.map(|(_, topic)| (*topic).to_owned()).chain(letters).collect()
    }

    /// All topics that the broker must have, each followed by its dead-letter topic, with their configuration.
    pub fn topics_with_dlq(&self) -> Vec<KafkaTopic> {
        self.topics
            .iter()
            .flat_map(|topic| std::iter::once(kafka_topic(topic)).chain(dead_letter_topic(topic)))
            .collect()
    }

    /// All components, in the file's order, journals and snapshots among what processors write.
    pub fn components(&self) -> Vec<Component<'_>> {
        fn under<'a>(key: &'static str, topics: &'a [String]) -> impl Iterator<Item = (&'static str, &'a str)> {
            topics.iter().map(move |topic| (key, topic.as_str()))
        }
        let processors = self.processors.iter().map(|spec| Component {
            kind: "processors",
            name: &spec.name,
            reads: under("inputs", &spec.inputs).chain(under("broadcast", &spec.broadcast)).collect(),
            writes: under("outputs", &spec.outputs)
                .chain(under("journal", spec.journal.as_slice()))
                .chain(under("snapshots", spec.snapshots.as_slice()))
                .collect(),
        });
        let sinks = self.sinks.iter().map(|spec| Component {
            kind: "sinks",
            name: &spec.name,
            reads: under("inputs", &spec.inputs).collect(),
            writes: Vec::new(),
        });
        let connectors = self.connectors.iter().map(|spec| Component {
            kind: "connectors",
            name: &spec.name,
            reads: under("inputs", &spec.inputs).collect(),
            writes: under("outputs", &spec.outputs).collect(),
        });
        processors.chain(sinks).chain(connectors).collect()
    }
}

fn kafka_topic(topic: &Topic) -> KafkaTopic {
    KafkaTopic {
        name: topic.name.clone(),
        doc: topic.doc.clone(),
        partitions: topic.partitions,
        schema: topic.schema.clone(),
        configs: configs(topic.cleanup, topic.max_message_bytes),
    }
}

fn dead_letter_topic(topic: &Topic) -> Option<KafkaTopic> {
    let cleanup = Cleanup::Delete { retention: Retention::Ms(DEAD_LETTER_RETENTION_MS) };
    Some(KafkaTopic {
        name: topic.dead_letter_topic()?,
        doc: format!("Records of `{}` that could not be read, bytes untouched; headers say why.", topic.name),
        partitions: topic.partitions,
        schema: None,
        configs: configs(cleanup, topic.max_message_bytes + DEAD_LETTER_HEADER_BYTES),
    })
}

fn configs(cleanup: Cleanup, max_message_bytes: i64) -> Vec<(String, String)> {
    let mut configs = match cleanup {
        Cleanup::Delete { retention: Retention::Forever } => {
            vec![
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", "-1".into()),
                ("retention.bytes", "-1".into()),
            ]
        }
        Cleanup::Delete { retention: Retention::Ms(ms) } => vec![
            ("cleanup.policy", "delete".into()),
            ("retention.ms", ms.to_string()),
            // Only closed segments are deleted, so a segment must not stay open for longer than its records may stay.
            ("segment.ms", ms.min(SEGMENT_MS).to_string()),
        ],
        Cleanup::Compact { min_compaction_lag_ms } => {
            vec![
                ("cleanup.policy", "compact".into()),
                ("min.compaction.lag.ms", min_compaction_lag_ms.to_string()),
                // Only closed segments are compacted: a gigabyte of each partition's old snapshots would stay.
                ("segment.bytes", COMPACTED_SEGMENT_BYTES.to_string()),
            ]
        }
    };
    // The broker's append time, so that no publisher sets the clock.
    configs.push(("message.timestamp.type", "LogAppendTime".into()));
    configs.push(("max.message.bytes", max_message_bytes.to_string()));
    configs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
