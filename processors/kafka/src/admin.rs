//! Topics on the broker: what is there, and making what is missing. Never deletes and never shrinks.

use crate::client::{QuicklyClosed, QuietContext, base_config, consumer};
use anyhow::{Context, Result, bail};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A topic as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerTopic {
    /// Number of partitions.
    pub partitions: i32,
    /// Settings.
    pub config: HashMap<String, String>,
}

/// First and next offsets of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// First offset that is still there.
    pub first: i64,
    /// Offset after the last committed record or marker.
    pub end: i64,
}

/// A connection for administration.
pub struct Admin {
    client: AdminClient<QuietContext>,
    consumer: QuicklyClosed<QuietContext>,
    bootstrap: String,
    runtime: tokio::runtime::Runtime,
}

impl Admin {
    /// Connects.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn connect(bootstrap: &str) -> Result<Self> {
        let mut config = base_config(bootstrap, "tapeline-admin");
        let client = config.create_with_context(QuietContext).context("Kafka admin client")?;
        config.set("group.id", "tapeline-admin").set("isolation.level", "read_committed");
        let consumer = consumer(&config, QuietContext).context("Kafka client")?;
        consumer
            .fetch_metadata(None, TIMEOUT)
            .with_context(|| format!("no Kafka at {bootstrap}: run `tapeline up`, or set TAPELINE_KAFKA"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { client, consumer, bootstrap: bootstrap.to_owned(), runtime })
    }

    /// How many brokers are up.
    ///
    /// # Errors
    /// If none answers.
    pub fn brokers(&self) -> Result<usize> {
        Ok(self.consumer.fetch_metadata(None, TIMEOUT).context("Kafka metadata")?.brokers().len())
    }

    /// Node id of the leader of each partition of each topic, Kafka's own topics included; -1 where there is none.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn leaders(&self) -> Result<BTreeMap<String, Vec<i32>>> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT).context("Kafka metadata")?;
        let of = |topic: &rdkafka::metadata::MetadataTopic| {
            let leaders = topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::leader).collect();
            (topic.name().to_owned(), leaders)
        };
        Ok(metadata.topics().iter().map(of).collect())
    }

    /// Whether each partition of each topic has all its copies in sync.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn all_in_sync(&self) -> Result<bool> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT).context("Kafka metadata")?;
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        Ok(partitions.all(|partition| partition.isr().len() == partition.replicas().len()))
    }

    /// All topics with their settings.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn topics(&self) -> Result<BTreeMap<String, BrokerTopic>> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT).context("Kafka metadata")?;
        let counts: BTreeMap<&str, i32> =
            metadata.topics().iter().map(|topic| (topic.name(), topic.partitions().len() as i32)).collect();
        let resources: Vec<_> = counts.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        if resources.is_empty() {
            return Ok(BTreeMap::new());
        }
        let described = self.runtime.block_on(self.client.describe_configs(&resources, &options()))?;
        let mut topics = BTreeMap::new();
        for (found, (name, partitions)) in described.into_iter().zip(&counts) {
            let found = found.map_err(|code| anyhow::anyhow!("settings of {name}: {code}"))?;
            let config = found.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
            topics.insert((*name).to_owned(), BrokerTopic { partitions: *partitions, config });
        }
        Ok(topics)
    }

    /// Creates a topic with so many copies.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn create_topic(&self, name: &str, partitions: i32, copies: i32, config: &[(String, String)]) -> Result<()> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let results = self.runtime.block_on(self.client.create_topics([&topic], &options()))?;
        for result in results {
            if let Err((name, code)) = result {
                bail!("the topic {name} could not be created: {code}");
            }
        }
        Ok(())
    }

    /// Adds partitions to a topic.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn grow_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let grown = NewPartitions::new(name, partitions as usize);
        let results = self.runtime.block_on(self.client.create_partitions([&grown], &options()))?;
        for result in results {
            if let Err((name, code)) = result {
                bail!("the topic {name} could not be given {partitions} partitions: {code}");
            }
        }
        Ok(())
    }

    /// Sets a topic's settings to exactly these (others return to the broker's defaults).
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn configure_topic(&self, name: &str, config: &[(String, String)]) -> Result<()> {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in config {
            change = change.set(key, value);
        }
        let results = self.runtime.block_on(self.client.alter_configs([&change], &options()))?;
        for result in results {
            if let Err((_, code)) = result {
                bail!("the settings of {name} could not be changed: {code}");
            }
        }
        Ok(())
    }

    /// First and next offsets of each partition of a topic.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn watermarks(&self, topic: &str) -> Result<Vec<Watermarks>> {
        let partitions = crate::port::partitions(&self.consumer, topic)?;
        let of = |partition| {
            let (first, end) = self.consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            Ok(Watermarks { first, end })
        };
        (0..partitions).map(of).collect()
    }

    /// Waits until every record that a topic holds now is either committed or aborted, so that a reader of committed
    /// records meets all that was committed before the call. A transaction that is still open holds back what lies
    /// behind its first record.
    ///
    /// # Errors
    /// If that is not so after `patience`, or if the broker does not answer.
    pub fn wait_until_decided(&self, topic: &str, patience: Duration) -> Result<()> {
        let mut config = base_config(&self.bootstrap, "tapeline-admin");
        config.set("group.id", "tapeline-admin").set("isolation.level", "read_uncommitted");
        let consumer = consumer(&config, QuietContext)?;
        let deadline = Instant::now() + patience;
        for partition in 0..crate::port::partitions(&self.consumer, topic)? {
            let (_, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            while self.consumer.fetch_watermarks(topic, partition, TIMEOUT)?.1 < end {
                if Instant::now() > deadline {
                    bail!(
                        "{topic}, partition {partition}: a transaction has been open for {patience:?}; try again later"
                    );
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// Committed offsets of a group, one for each partition of each of `topics`; `None` where it has none.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn committed(&self, group: &str, topics: &[String]) -> Result<Vec<Vec<Option<i64>>>> {
        let mut config = base_config(&self.bootstrap, "tapeline-admin");
        config.set("group.id", group).set("isolation.level", "read_committed");
        let consumer = consumer(&config, QuietContext)?;
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_partition_range(topic, 0, crate::port::partitions(&self.consumer, topic)? - 1);
        }
        let deadline = Instant::now() + TIMEOUT;
        let committed = loop {
            match consumer.committed_offsets(list.clone(), TIMEOUT) {
                // The group's coordinator moves or still reads what it must know: it is there in a moment.
                Err(KafkaError::MetadataFetch(code)) if is_moving(code) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                answer => break answer.with_context(|| format!("offsets of the group {group}"))?,
            }
        };
        let offset = |offset| match offset {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        let of_topic = |topic: &String| {
            let elements = committed.elements_for_topic(topic);
            elements.iter().map(|element| offset(element.offset())).collect()
        };
        Ok(topics.iter().map(of_topic).collect())
    }
}

fn is_moving(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::CoordinatorLoadInProgress
    )
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
