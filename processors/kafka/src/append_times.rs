//! When records were appended: reads the first record at or after an offset, of many partitions at once.

use crate::client::{QuicklyClosed, QuietContext, consumer, consumer_config};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tapeline_runtime::port::PortError;

/// How long the records may take to come. A partition that holds only markers gives none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The append time, in milliseconds since the Unix epoch, of the first record at or after each position (topic,
/// partition, offset). Records of open and aborted transactions count; a partition without a record is left out.
///
/// # Errors
/// [`PortError::Away`] if the client can't be made.
pub fn append_times(
    bootstrap: &str,
    positions: &[(String, i32, i64)],
) -> Result<BTreeMap<(String, i32), i64>, PortError> {
    let mut found = BTreeMap::new();
    if positions.is_empty() {
        return Ok(found);
    }
    let consumer = consumer_at(bootstrap, positions).map_err(|error| PortError::Away(error.to_string()))?;
    let (mut ended, deadline) = (0, Instant::now() + PATIENCE);
    while found.len() + ended < positions.len() && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                // A paused partition does not tell its end any more, so none is counted twice.
                let mut this = TopicPartitionList::new();
                this.add_partition(message.topic(), message.partition());
                consumer.pause(&this).map_err(|error| PortError::Away(error.to_string()))?;
                let time_ms = message.timestamp().to_millis().unwrap_or(0);
                found.entry((message.topic().to_owned(), message.partition())).or_insert(time_ms);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(_)) | None => {}
        }
    }
    Ok(found)
}

fn consumer_at(bootstrap: &str, positions: &[(String, i32, i64)]) -> KafkaResult<QuicklyClosed<QuietContext>> {
    let mut config = consumer_config(bootstrap, "tapeline-status");
    config
        .set("group.id", "tapeline-status")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        // One record of each partition is wanted.
        .set("fetch.message.max.bytes", "1024")
        .set("fetch.wait.max.ms", "10");
    let consumer = consumer(&config, QuietContext)?;
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}
