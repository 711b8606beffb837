//! The lane's port: a member of the processor's group and a transactional producer.
//!
//! The producer's transactional id is `<component>-<instance>-<lane>`: a process that is started again under its name
//! ends what its former life left open. Zombies are fenced by the group's generation, which each commit carries.

use crate::client::{
    GroupContext, QuietContext, consumer_config, consumer_error, member_config, producer_config, producer_error, record,
};
use crate::reader::PartitionReader;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::port::{InputPartition, OutRecord, Polled, Port, PortError, Reader};

/// How long one request to the broker may take before the lane is built anew.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Steps in which deliveries are awaited: rdkafka's own flush waits in steps of 100 ms.
const FLUSH_STEP: Duration = Duration::from_micros(500);

/// A lane's consumer and producer.
pub struct KafkaPort {
    bootstrap: String,
    topics: Vec<String>,
    group: BaseConsumer<GroupContext>,
    broadcast: Option<BaseConsumer<QuietContext>>,
    producer: BaseProducer<QuietContext>,
    in_transaction: bool,
}

impl KafkaPort {
    /// Joins the group of `spec.component` and takes over the transactional id of `instance` and `lane`.
    ///
    /// # Errors
    /// [`PortError::Away`] if the broker is away.
    pub fn open(bootstrap: &str, spec: &LaneSpec, instance: &str, lane: usize) -> Result<Self, PortError> {
        let away = |error: KafkaError| PortError::Away(format!("{}: {error}", spec.component));
        let transactional_id = format!("{}-{instance}-{lane}", spec.component);
        let mut config = producer_config(bootstrap, &transactional_id);
        config.set("transactional.id", &transactional_id).set("transaction.timeout.ms", "60000");
        let producer: BaseProducer<QuietContext> = config.create_with_context(QuietContext).map_err(away)?;
        producer
            .init_transactions(REQUEST_TIMEOUT)
            .map_err(|error| producer_error("taking over the transactional id", &error))?;
        let topics: Vec<String> = spec.inputs.iter().map(|input| input.topic.clone()).collect();
        let group: BaseConsumer<GroupContext> = member_config(bootstrap, &spec.component)
            .create_with_context(GroupContext::new(topics.clone(), None))
            .map_err(away)?;
        let own: Vec<&str> =
            spec.inputs.iter().filter(|input| !input.broadcast).map(|input| input.topic.as_str()).collect();
        group.subscribe(&own).map_err(away)?;
        let broadcast = if spec.inputs.iter().any(|input| input.broadcast) {
            let mut config = consumer_config(bootstrap, &spec.component);
            config.set("group.id", format!("{}-broadcast", spec.component));
            Some(config.create_with_context(QuietContext).map_err(away)?)
        } else {
            None
        };
        Ok(Self { bootstrap: bootstrap.to_owned(), topics, group, broadcast, producer, in_transaction: false })
    }

    fn poll_broadcast(&self) -> Option<Polled> {
        let message = self.broadcast.as_ref()?.poll(Duration::ZERO)?.ok()?;
        let input = self.topics.iter().position(|topic| topic == message.topic())?;
        Some(Polled::Record(record(input, &message)))
    }

    /// Waits until the broker has all that was sent.
    fn flush(&self) -> Result<(), PortError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(FLUSH_STEP);
            if Instant::now() > deadline {
                return Err(PortError::Away(format!("the broker took no records for {REQUEST_TIMEOUT:?}")));
            }
        }
        Ok(())
    }

    /// Repeats a transaction's step while the client says that it may be repeated.
    fn repeat(&self, doing: &str, step: impl Fn() -> Result<(), KafkaError>) -> Result<(), PortError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match step() {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                    self.producer.poll(FLUSH_STEP);
                }
                Err(error) => return Err(producer_error(doing, &error)),
            }
        }
    }
}

impl Port for KafkaPort {
    fn poll(&mut self, wait: Duration) -> Result<Polled, PortError> {
        if let Some(event) = self.group.context().next_event() {
            return event;
        }
        // A batch begins with a poll that waits: reference data must not starve while orders pour in.
        if !wait.is_zero()
            && let Some(polled) = self.poll_broadcast()
        {
            return Ok(polled);
        }
        match self.group.poll(wait) {
            Some(Ok(message)) => {
                let input = self.group.context().input(message.topic()).ok_or_else(|| {
                    PortError::Fatal(format!("a record of {}, which was not subscribed to", message.topic()))
                })?;
                return Ok(Polled::Record(record(input, &message)));
            }
            Some(Err(error)) => consumer_error(&error).map_or(Ok(()), Err)?,
            None => {}
        }
        // A rebalance ends the client's poll without a record and leaves its event here.
        if let Some(event) = self.group.context().next_event() {
            return event;
        }
        Ok(self.poll_broadcast().unwrap_or(Polled::Nothing))
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        Ok(Box::new(PartitionReader::open(&self.bootstrap, topic, partition, from)?))
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

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        partitions(&self.group, topic)
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

    fn begin(&mut self) -> Result<(), PortError> {
        self.producer.begin_transaction().map_err(|error| producer_error("beginning a transaction", &error))?;
        self.in_transaction = true;
        Ok(())
    }

    fn send(&mut self, out: OutRecord) -> Result<(), PortError> {
        send(&self.producer, &out)
    }

    fn commit(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        let mut list = TopicPartitionList::new();
        for ((input, partition), offset) in offsets {
            list.add_partition_offset(&self.topics[*input], *partition, Offset::Offset(*offset))
                .map_err(|error| PortError::Fatal(error.to_string()))?;
        }
        if !offsets.is_empty() {
            let member = self.group.group_metadata();
            let member = member.ok_or_else(|| PortError::Away("the consumer is not in its group".into()))?;
            self.repeat("adding offsets", || {
                self.producer.send_offsets_to_transaction(&list, &member, REQUEST_TIMEOUT)
            })?;
        }
        self.flush()?;
        self.repeat("committing", || self.producer.commit_transaction(REQUEST_TIMEOUT))?;
        self.in_transaction = false;
        Ok(())
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        self.group.context().lag()
    }
}

impl Drop for KafkaPort {
    /// What is half done is aborted at once, so that readers behind it don't wait for its time-out.
    fn drop(&mut self) {
        if self.in_transaction
            && let Err(error) = self.producer.abort_transaction(Duration::from_secs(5))
        {
            tracing::debug!(%error, "a transaction could not be aborted");
        }
    }
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

/// Queues a record, waiting while the producer's queue is full.
pub(crate) fn send<C>(producer: &BaseProducer<C>, out: &OutRecord) -> Result<(), PortError>
where
    C: ProducerContext<DeliveryOpaque = ()>,
{
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&out.topic);
    record.key = out.key.as_deref();
    record.payload = out.payload.as_deref();
    record.partition = out.partition;
    if !out.headers.is_empty() {
        let headers = out
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        record.headers = Some(headers);
    }
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned))
                if Instant::now() < deadline =>
            {
                producer.poll(Duration::from_millis(5));
                record = returned;
            }
            Err((error, _)) => return Err(producer_error("writing", &error)),
        }
    }
}
