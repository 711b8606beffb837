//! The sink's port: a static group member that begins where the sink's database says.

use crate::client::{GroupContext, QuicklyClosed, consumer, member_config, member_name, poll_member};
use crate::port::partitions;
use crate::protocol::Cluster;
use crate::publisher::Publisher;
use crate::reader::PartitionReader;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tapeline_runtime::port::{InputPartition, OutRecord, Polled, PortError, Reader};
use tapeline_runtime::sink::Sink;
use tapeline_runtime::sink_lane::{SinkPort, SinkSpec};

/// What the broker gathers before it answers a sink, if it comes within half of the sink's own waiting.
const FETCH_BYTES: &str = "65536";

/// How long a member waits to hear that it is none: a process that wakes up sends its overdue heartbeat at once.
const HEARTBEAT_ANSWER: Duration = Duration::from_secs(2);

/// A sink's consumer.
pub struct KafkaSinkPort {
    bootstrap: String,
    component: String,
    topics: Vec<String>,
    group: QuicklyClosed<GroupContext>,
    dead_letters: Option<Publisher>,
}

impl KafkaSinkPort {
    /// Joins the group of `spec.component` under the name of `instance`; whoever held it is fenced. Assigned partitions
    /// begin where `sink` says.
    ///
    /// # Errors
    /// [`PortError::Away`] if the broker is away.
    pub fn open<S: Sink + 'static>(
        bootstrap: &str,
        spec: &SinkSpec,
        instance: &str,
        sink: &Arc<Mutex<S>>,
    ) -> Result<Self, PortError> {
        let away = |error: KafkaError| PortError::Away(format!("{}: {error}", spec.component));
        let topics: Vec<String> = spec.inputs.iter().map(|input| input.topic.clone()).collect();
        let sink = Arc::clone(sink);
        let start_at = move |partitions: &[(smol_str::SmolStr, i32)]| {
            let sink = sink.lock().map_err(|_| "the sink panicked earlier".to_owned())?;
            sink.positions(partitions).map_err(|error| error.to_string())
        };
        let name = member_name(&spec.component, instance, 0);
        Cluster::new(bootstrap).release_instance(&spec.component, &name)?;
        let mut config = member_config(bootstrap, &spec.component, &name, &spec.component);
        // It gathers batches anyway: the broker may gather for as long, or each transaction of each stage costs it an answer.
        config
            .set("fetch.min.bytes", FETCH_BYTES)
            .set("fetch.wait.max.ms", (spec.batch_interval / 2).as_millis().clamp(10, 100).to_string());
        let context = GroupContext::new(bootstrap, topics.clone(), Some(Box::new(start_at)));
        let group = consumer(&config, context).map_err(away)?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        group.subscribe(&names).map_err(away)?;
        let (bootstrap, component) = (bootstrap.to_owned(), spec.component.clone());
        Ok(Self { bootstrap, component, topics, group, dead_letters: None })
    }
}

impl SinkPort for KafkaSinkPort {
    fn poll(&mut self, wait: Duration) -> Result<Polled, PortError> {
        if let Some(event) = self.group.context().next_event() {
            return event;
        }
        self.group.context().stranded.bring_back(self.group.client());
        if let Some(record) = poll_member(&self.group, wait)? {
            return Ok(Polled::Record(record));
        }
        self.group.context().next_event().unwrap_or(Ok(Polled::Nothing))
    }

    fn confirm_membership(&mut self) -> Result<(), PortError> {
        // Fetches nothing meanwhile; a member that holds nothing or can't be paused only drops what comes.
        if let Err(error) = self.group.assignment().and_then(|held| self.group.pause(&held)) {
            tracing::debug!(%error, "the sink's partitions could not be paused");
        }
        let until = Instant::now() + HEARTBEAT_ANSWER;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.poll(left)?;
        }
        Ok(())
    }

    fn commit_for_tools(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        let mut list = TopicPartitionList::new();
        for ((input, partition), offset) in offsets {
            list.add_partition_offset(&self.topics[*input], *partition, Offset::Offset(*offset))
                .map_err(|error| PortError::Fatal(error.to_string()))?;
        }
        // Nothing depends on it: a refusal (a rebalance under way) is mended by the next batch.
        if let Err(error) = self.group.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "the group's offsets could not be moved");
        }
        Ok(())
    }

    fn send_dead_letter(&mut self, record: OutRecord) -> Result<(), PortError> {
        let publisher = match self.dead_letters.take() {
            Some(publisher) => publisher,
            None => Publisher::open(&self.bootstrap, &self.component)?,
        };
        publisher.send(&record)?;
        publisher.flush()?;
        self.dead_letters = Some(publisher);
        Ok(())
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        Ok(Box::new(PartitionReader::open(&self.bootstrap, topic, partition, from)?))
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        partitions(&self.group, topic)
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        self.group.context().lag()
    }
}
