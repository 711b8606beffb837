//! Follows all partitions of a topic from their present ends, outside any group: what a client of the pipeline sees, when
//! it sees it.

use crate::client::{LastingContext, QuicklyClosed, consumer, consumer_config, consumer_error};
use crate::port;
use crate::scan::RecordView;
use crate::stranded::STATISTICS_INTERVAL_MS;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::Duration;
use tapeline_runtime::port::PortError;

/// A consumer of committed records that began at a topic's end, or where it was told to.
pub struct Tail {
    consumer: QuicklyClosed<LastingContext>,
    next_offsets: Vec<i64>,
}

impl Tail {
    /// Begins at the present ends: what is committed from now on is seen.
    ///
    /// # Errors
    /// [`PortError::Away`] if the broker is away or the topic does not exist.
    pub fn open(bootstrap: &str, topic: &str) -> Result<Self, PortError> {
        Self::begin(bootstrap, topic, |_, end| end)
    }

    /// Begins at these offsets, by partition; at a partition's beginning where there is none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_at(bootstrap: &str, topic: &str, next_offsets: &[i64]) -> Result<Self, PortError> {
        Self::begin(bootstrap, topic, |partition, _| next_offsets.get(partition as usize).copied().unwrap_or(0))
    }

    fn begin(bootstrap: &str, topic: &str, at: impl Fn(i32, i64) -> i64) -> Result<Self, PortError> {
        let away = |error: KafkaError| PortError::Away(format!("{topic}: {error}"));
        let mut config = consumer_config(bootstrap, "tapeline-tail");
        // Never joins: the client wants a name for manual assignment too.
        config.set("group.id", "tapeline-tail").set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string());
        let consumer = consumer(&config, LastingContext::new(bootstrap, ())).map_err(away)?;
        let (mut list, mut next_offsets) = (TopicPartitionList::new(), Vec::new());
        for partition in 0..port::partitions(&consumer, topic)? {
            let next_offset = at(partition, port::bounds(&consumer, topic, partition)?.end);
            list.add_partition_offset(topic, partition, Offset::Offset(next_offset)).map_err(away)?;
            next_offsets.push(next_offset);
        }
        consumer.assign(&list).map_err(away)?;
        Ok(Self { consumer, next_offsets })
    }

    /// Waits up to `wait` for a record and shows it to `visit`; whether one came.
    ///
    /// # Errors
    /// If the client fails for good; what it mends by itself, such as a broker that is away for a while, is no error.
    pub fn poll(&mut self, wait: Duration, visit: impl FnOnce(&RecordView<'_>)) -> Result<bool, PortError> {
        self.consumer.context().stranded.bring_back(self.consumer.client());
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                if let Some(next) = self.next_offsets.get_mut(partition as usize) {
                    *next = offset + 1;
                }
                let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
                visit(&RecordView { partition, offset, timestamp_ms, key: message.key(), payload: message.payload() });
                Ok(true)
            }
            Some(Err(error)) => match consumer_error(&error, self.consumer.client().fatal_error()) {
                Some(error @ PortError::Fatal(_)) => Err(error),
                _ => Ok(false),
            },
            None => Ok(false),
        }
    }

    /// Offset after the last record seen, by partition; at first where it began.
    pub fn next_offsets(&self) -> &[i64] {
        &self.next_offsets
    }
}
