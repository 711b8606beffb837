//! Reads one partition from an offset to its present end, outside any group.

use crate::client::{QuietContext, consumer_config, consumer_error, record};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use tapeline_runtime::port::{PortError, Reader, Record};

/// How long a reader waits for the broker before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader of committed records.
pub struct PartitionReader {
    consumer: BaseConsumer<QuietContext>,
    what: String,
    ended: bool,
}

impl PartitionReader {
    /// Opens `topic`, `partition` at `from`.
    ///
    /// # Errors
    /// If the client can't be made or the offset is out of range.
    pub fn open(bootstrap: &str, topic: &str, partition: i32, from: i64) -> Result<Self, PortError> {
        let what = format!("{topic}, partition {partition}");
        let away = |error: KafkaError| PortError::Away(format!("{what}: {error}"));
        let mut config = consumer_config(bootstrap, "tapeline-reader");
        // Never joins: the client wants a name for manual assignment too.
        config
            .set("group.id", "tapeline-reader")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer<QuietContext> = config.create_with_context(QuietContext).map_err(away)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(away)?;
        consumer.assign(&list).map_err(away)?;
        Ok(Self { consumer, what, ended: false })
    }
}

impl Reader for PartitionReader {
    fn next(&mut self) -> Result<Option<Record>, PortError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.ended {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => return Ok(Some(record(usize::MAX, &message))),
                Some(Err(KafkaError::PartitionEOF(_))) => self.ended = true,
                Some(Err(error)) => {
                    if let Some(error) = consumer_error(&error) {
                        return Err(error);
                    }
                }
                None if Instant::now() > deadline => {
                    return Err(PortError::Away(format!("{}: no answer for {PATIENCE:?}", self.what)));
                }
                None => {}
            }
        }
        Ok(None)
    }
}
