//! Reads one partition from its first record to a given offset as fast as the client can, without copying records.
//!
//! For audits of the whole log; a reader that owns its records is in [`crate::reader`].

use crate::client::{QuicklyClosed, QuietContext, consumer, consumer_config, consumer_error, know};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::Duration;
use tapeline_runtime::port::PortError;

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(100);
/// After how many polls without a record, 30 s, a scan gives up. Counted, for a look at the clock per record would be dear.
const PATIENCE_POLLS: u32 = 300;

/// A committed record, borrowed from the client.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Broker's append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Value, if it has one.
    pub payload: Option<&'a [u8]>,
}

/// Calls `visit` for each committed record of `topic`, `partition` whose offset is below `until`, in order.
///
/// # Errors
/// What `visit` says, or that the broker does not answer.
pub fn scan<E: From<PortError>>(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    until: i64,
    mut visit: impl FnMut(&RecordView<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let away = |why: String| PortError::Away(format!("{topic}, partition {partition}: {why}"));
    let consumer = open(bootstrap, topic, partition).map_err(|error| away(error.to_string()))?;
    let mut idle_polls = 0;
    loop {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                if message.offset() >= until {
                    return Ok(());
                }
                let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
                let (key, payload) = (message.key(), message.payload());
                visit(&RecordView { partition, offset: message.offset(), timestamp_ms, key, payload })?;
                if message.offset() + 1 == until {
                    return Ok(());
                }
                idle_polls = 0;
            }
            // What follows up to `until` are markers of transactions.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => {
                if let Some(error) = consumer_error(&error, consumer.client().fatal_error()) {
                    return Err(error.into());
                }
            }
            None if idle_polls == PATIENCE_POLLS => {
                return Err(away(format!("no answer for {:?}", POLL * PATIENCE_POLLS)).into());
            }
            None => idle_polls += 1,
        }
    }
}

fn open(bootstrap: &str, topic: &str, partition: i32) -> Result<QuicklyClosed<QuietContext>, KafkaError> {
    let mut config = consumer_config(bootstrap, "tapeline-scan");
    // Never joins: the client wants a name for manual assignment too.
    config
        .set("group.id", "tapeline-scan")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "1048576")
        // Records wait in memory that is used again and again: with four times as many each is a fresh page.
        .set("queued.min.messages", "50000")
        // Full means full for the moment, not for the client's usual second.
        .set("fetch.queue.backoff.ms", "10");
    let consumer = consumer(&config, QuietContext)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)?;
    know(consumer.client(), topic, POLL * PATIENCE_POLLS)?;
    consumer.assign(&list)?;
    Ok(consumer)
}
