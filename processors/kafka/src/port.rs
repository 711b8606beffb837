//! The lane's port: a static member of the processor's group and a transactional producer.
//!
//! `<component>-<instance>-<lane>` is both the member's `group.instance.id` and the producer's transactional id: a process
//! that is started again under its name gets its partitions back at once and ends what its former life left open.
//!
//! Zombies can't write. Before a lane works on partitions that it was given, it fences its own former life and every
//! producer of its component whose member is not in the group any more ([`crate::takeover`]): the broker refuses their
//! records from then on. And each commit carries the member's epoch, which the group's coordinator checks.

use crate::client::{
    GroupContext, LastingContext, QuicklyClosed, client_id, consumer, consumer_config, member_config, poll_member,
    record,
};
use crate::membership::membership;
use crate::producer::{GroupOffsets, Producer};
use crate::protocol::{Cluster, OffsetOf};
use crate::reader::Readers;
use crate::stranded::STATISTICS_INTERVAL_MS;
use crate::takeover::{Successor, end_what_is_left};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::port::{Bounds, InputPartition, OutView, Polled, Port, PortError, Reader};

/// How long one request to the broker may take before the lane is built anew.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Where Kafka keeps what groups have committed: a transaction's offsets stand there.
const GROUP_OFFSETS: &str = "__consumer_offsets";
/// Pause between two looks whether a transaction's markers have been written.
const STABLE_PAUSE: Duration = Duration::from_millis(5);

/// A lane's consumer and producer.
pub struct KafkaPort {
    readers: Readers,
    component: String,
    /// Group instance and transactional id.
    name: String,
    topics: Vec<String>,
    /// Those of them that the group assigns.
    assigned_topics: Vec<String>,
    /// All topics that the component's transactions touch.
    written_topics: Vec<String>,
    /// Numbers of partitions by topic, as far as they have been asked for: they never change.
    partition_counts: RefCell<HashMap<String, i32>>,
    cluster: Cluster,
    group: QuicklyClosed<GroupContext>,
    broadcast: Option<QuicklyClosed<LastingContext>>,
    producer: Producer,
    /// Whether the producer has taken over its transactional id.
    initialised: bool,
    /// When the group's consumer had nothing more, last.
    drained_at: Instant,
}

impl KafkaPort {
    /// Makes the clients of a lane called `name`. It is in no group yet. `outputs` are all topics that the component writes
    /// to; `http` is where this process serves HTTP.
    ///
    /// # Errors
    /// [`PortError::Away`] if a client can't be made.
    pub fn open(
        bootstrap: &str,
        spec: &LaneSpec,
        name: String,
        outputs: Vec<String>,
        http: Option<SocketAddr>,
    ) -> Result<Self, PortError> {
        let away = |error: KafkaError| PortError::Away(format!("{}: {error}", spec.component));
        let topics: Vec<String> = spec.inputs.iter().map(|input| input.topic.clone()).collect();
        let assigned = spec.inputs.iter().filter(|input| !input.broadcast);
        let client_id = client_id(&spec.component, http);
        let config = member_config(bootstrap, &spec.component, &name, &client_id);
        let group = consumer(&config, GroupContext::new(bootstrap, topics.clone(), None)).map_err(away)?;
        let broadcast = if spec.inputs.iter().any(|input| input.broadcast) {
            let mut config = consumer_config(bootstrap, &spec.component);
            config
                .set("group.id", format!("{}-broadcast", spec.component))
                .set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string());
            Some(consumer(&config, LastingContext::new(bootstrap, ())).map_err(away)?)
        } else {
            None
        };
        Ok(Self {
            readers: Readers::new(bootstrap),
            component: spec.component.clone(),
            producer: Producer::new(bootstrap, &name),
            name,
            topics,
            assigned_topics: assigned.map(|input| input.topic.clone()).collect(),
            written_topics: outputs.into_iter().chain([GROUP_OFFSETS.to_owned()]).collect(),
            partition_counts: RefCell::default(),
            cluster: Cluster::new(bootstrap),
            group,
            broadcast,
            initialised: false,
            drained_at: Instant::now(),
        })
    }

    /// Joins the group. Whoever held the lane's name is fenced: a process joins when it has all that it needs for its work.
    ///
    /// # Errors
    /// [`PortError::Away`] if the broker is away.
    pub fn join(&mut self) -> Result<(), PortError> {
        self.cluster.release_instance(&self.component, &self.name)?;
        let topics: Vec<&str> = self.assigned_topics.iter().map(String::as_str).collect();
        let subscribed = self.group.subscribe(&topics);
        subscribed.map_err(|error| PortError::Away(format!("{}: {error}", self.component)))
    }

    /// What the group has to say, if anything. Partitions are passed on only when nobody else can write for them: the
    /// member is in the group by then, so that no other one takes this producer for a zombie's.
    fn next_event(&mut self) -> Option<Result<Polled, PortError>> {
        let event = self.group.context().next_event()?;
        let is_assignment = matches!(event, Ok(Polled::Assigned(_)));
        Some(if is_assignment { self.take_over().and(event) } else { event })
    }

    fn take_over(&mut self) -> Result<(), PortError> {
        let transactions = self.cluster.transactions()?;
        let claimed = self.claim()?;
        let successor = Successor { component: &self.component, name: &self.name, topics: &self.written_topics };
        Ok(end_what_is_left(&mut self.cluster, &successor, &transactions, claimed)?)
    }

    /// Takes over the transactional id, and says whether it was not so before.
    fn claim(&mut self) -> Result<bool, PortError> {
        if self.initialised {
            return Ok(false);
        }
        let started_at = Instant::now();
        self.producer.claim()?;
        self.initialised = true;
        let claim_ms = started_at.elapsed().as_millis() as u64;
        tracing::info!(id = %self.name, claim_ms, "transactional id taken over");
        Ok(true)
    }

    /// Lets the clients go on that have lost sight of Kafka.
    fn look_after_clients(&self) {
        self.group.context().stranded.bring_back(self.group.client());
        if let Some(broadcast) = &self.broadcast {
            broadcast.context().stranded.bring_back(broadcast.client());
        }
    }

    /// A record or, as a rebalance ends the client's poll without one, what the group has to say.
    fn poll_group(&mut self, wait: Duration) -> Result<Option<Polled>, PortError> {
        match poll_member(&self.group, wait)? {
            Some(record) => Ok(Some(Polled::Record(record))),
            None => self.next_event().transpose(),
        }
    }

    fn poll_broadcast(&self) -> Option<Polled> {
        let message = self.broadcast.as_ref()?.poll(Duration::ZERO)?.ok()?;
        let input = self.topics.iter().position(|topic| topic == message.topic())?;
        Some(Polled::Record(record(input, &message)))
    }
}

impl Port for KafkaPort {
    fn poll(&mut self, wait: Duration) -> Result<Polled, PortError> {
        if let Some(event) = self.next_event() {
            return event;
        }
        // A batch begins with a poll that waits: reference data must not starve while orders pour in.
        if !wait.is_zero() {
            self.look_after_clients();
            if let Some(polled) = self.poll_broadcast() {
                return Ok(polled);
            }
        }
        if let Some(polled) = self.poll_group(wait)? {
            return Ok(polled);
        }
        // Without waiting, the client's poll ends at the first event that is no record. Statistics pile up while a partition
        // is restored; each of them would end a round, and the partitions that work already would wait for all restores.
        if wait.is_zero() {
            for _ in 0..self.drained_at.elapsed().as_millis() / u128::from(STATISTICS_INTERVAL_MS) {
                if let Some(polled) = self.poll_group(wait)? {
                    return Ok(polled);
                }
            }
        }
        self.drained_at = Instant::now();
        Ok(self.poll_broadcast().unwrap_or(Polled::Nothing))
    }

    fn rest(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        self.readers.open(topic, partition, from)
    }

    fn committed(&self, topic: &str, partition: i32) -> Result<Option<i64>, PortError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = self
            .group
            .committed_offsets(list, REQUEST_TIMEOUT)
            .map_err(|error| PortError::Away(format!("offsets of {topic}: {error}")))?;
        Ok(committed.find_partition(topic, partition).and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<Bounds, PortError> {
        self.readers.ask(|consumer| bounds(consumer, topic, partition))
    }

    fn wait_stable(&mut self, topic: &str, partition: i32) -> Result<(), PortError> {
        let ends = self.cluster.offsets(&[topic.to_owned()], OffsetOf::End)?;
        let end = ends.get(&(topic.to_owned(), partition)).map_or(0, |end| end.offset);
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while self.bounds(topic, partition)?.end < end {
            if Instant::now() > deadline {
                return Err(PortError::Away(format!(
                    "{topic}, partition {partition}: a transaction of a former owner is open there: `tapeline tx list` shows it"
                )));
            }
            std::thread::sleep(STABLE_PAUSE);
        }
        Ok(())
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        if let Some(known) = self.partition_counts.borrow().get(topic) {
            return Ok(*known);
        }
        let count = self.readers.ask(|consumer| partitions(consumer, topic))?;
        self.partition_counts.borrow_mut().insert(topic.to_owned(), count);
        Ok(count)
    }

    fn follow_broadcast(&mut self, positions: &[(InputPartition, i64)]) -> Result<(), PortError> {
        let Some(consumer) = &self.broadcast else { return Ok(()) };
        let away = |error: KafkaError| PortError::Away(format!("broadcast inputs: {error}"));
        let mut list = TopicPartitionList::new();
        for ((input, partition), offset) in positions {
            list.add_partition_offset(&self.topics[*input], *partition, Offset::Offset(*offset)).map_err(away)?;
        }
        consumer.assign(&list).map_err(away)
    }

    /// The broker hears of a transaction with its first records.
    fn begin(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    fn send(&mut self, out: OutView<'_>) -> Result<(), PortError> {
        self.producer.send(&out)
    }

    fn commit(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        if offsets.is_empty() {
            return self.producer.commit(None);
        }
        let member = membership(self.group.client());
        let member = member.ok_or_else(|| PortError::Away("the consumer is not in its group".into()))?;
        let place = |((input, partition), offset): &(InputPartition, i64)| (&*self.topics[*input], *partition, *offset);
        let offsets: Vec<_> = offsets.iter().map(place).collect();
        let (group, instance) = (&*self.component, &*self.name);
        self.producer.commit(Some(&GroupOffsets { group, instance, member: &member, offsets: &offsets }))
    }

    fn written(&self, topic: &str, partition: i32) -> Option<i64> {
        self.producer.next_offset(topic, partition)
    }

    fn starts(&self) -> Vec<(InputPartition, i64)> {
        self.group.context().starts()
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        self.group.context().lag()
    }
}

impl Drop for KafkaPort {
    /// What is half done is aborted at once, so that readers behind it don't wait for its time-out.
    fn drop(&mut self) {
        if let Err(error) = self.producer.abort() {
            tracing::debug!(%error, "a transaction could not be aborted");
        }
    }
}

/// Where a partition begins, and its last stable offset: consumers of committed records are told no more.
pub(crate) fn bounds<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<Bounds, PortError> {
    let (start, end) = consumer
        .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
        .map_err(|error| PortError::Away(format!("bounds of {topic}, partition {partition}: {error}")))?;
    Ok(Bounds { start, end })
}

/// Number of partitions of a topic.
pub(crate) fn partitions<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
) -> Result<i32, PortError> {
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(|error| PortError::Away(format!("metadata of {topic}: {error}")))?;
    let count =
        metadata.topics().iter().find(|found| found.name() == topic).map_or(0, |found| found.partitions().len());
    if count == 0 {
        return Err(PortError::Away(format!("the topic {topic} does not exist: run `tapeline apply`")));
    }
    Ok(count as i32)
}
