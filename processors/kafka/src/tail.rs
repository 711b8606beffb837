//! Follows all partitions of a topic from their present ends or from a little before, outside any group: what a client of
//! the pipeline sees, when it sees it.

use crate::client::{LastingContext, QuicklyClosed, consumer, consumer_config, consumer_error};
use crate::port;
use crate::scan::RecordView;
use crate::stranded::STATISTICS_INTERVAL_MS;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tapeline_runtime::port::PortError;

/// How long the broker may take to say which offsets belong to a time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a tail begins in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// At its present end.
    End,
    /// At its first record.
    Beginning,
    /// At these offsets, by partition; at its first record where there is none.
    At(&'a [i64]),
    /// So long ago by the records' times, or so many offsets before the end, whichever is earlier.
    Back {
        /// How long ago, by this machine's clock.
        age: Duration,
        /// How many offsets before the end; markers of transactions take offsets too.
        records: i64,
    },
}

/// A consumer of committed records that began at a topic's end, or before it.
pub struct Tail {
    consumer: QuicklyClosed<LastingContext>,
    next_offsets: Vec<i64>,
    /// Ends of the partitions as they were at the begin; taken away once they were reached.
    ends: Vec<Option<i64>>,
}

impl Tail {
    /// Begins at the present ends: what is committed from now on is seen.
    ///
    /// # Errors
    /// [`PortError::Away`] if the broker is away or the topic does not exist.
    pub fn open(bootstrap: &str, topic: &str) -> Result<Self, PortError> {
        Self::open_at(bootstrap, topic, Start::End)
    }

    /// Begins where `start` says: what is committed there and from now on is seen.
    ///
    /// # Errors
    /// [`PortError::Away`] if the broker is away or the topic does not exist.
    pub fn open_at(bootstrap: &str, topic: &str, start: Start<'_>) -> Result<Self, PortError> {
        let away = |error: KafkaError| PortError::Away(format!("{topic}: {error}"));
        let mut config = consumer_config(bootstrap, "tapeline-tail");
        // Never joins: the client wants a name for manual assignment too.
        config
            .set("group.id", "tapeline-tail")
            .set("enable.partition.eof", (start != Start::End).to_string())
            .set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string());
        let consumer = consumer(&config, LastingContext::new(bootstrap, ())).map_err(away)?;
        let partitions = port::partitions(&consumer, topic)?;
        let since = match start {
            Start::Back { age, .. } => since(&consumer, topic, partitions, age).map_err(away)?,
            Start::End | Start::Beginning | Start::At(_) => Vec::new(),
        };
        let (mut list, mut next_offsets, mut ends) = (TopicPartitionList::new(), Vec::new(), Vec::new());
        for partition in 0..partitions {
            let bounds = port::bounds(&consumer, topic, partition)?;
            let from = match start {
                Start::End => bounds.end,
                Start::Beginning => bounds.start,
                Start::At(offsets) => offsets.get(partition as usize).copied().unwrap_or(bounds.start),
                Start::Back { records, .. } => {
                    let by_time = since.get(partition as usize).copied().flatten().unwrap_or(bounds.end);
                    by_time.min(bounds.end - records).max(bounds.start)
                }
            };
            list.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(away)?;
            next_offsets.push(from);
            ends.push(Some(bounds.end).filter(|end| from < *end));
        }
        consumer.assign(&list).map_err(away)?;
        Ok(Self { consumer, next_offsets, ends })
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
                reached(&mut self.ends, partition, offset + 1);
                let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
                visit(&RecordView { partition, offset, timestamp_ms, key: message.key(), payload: message.payload() });
                Ok(true)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                reached(&mut self.ends, partition, i64::MAX);
                Ok(false)
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

    /// Whether all that was committed when it began has been seen.
    pub fn caught_up(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }
}

/// Takes the end of `partition` away if it was reached.
fn reached(ends: &mut [Option<i64>], partition: i32, next: i64) {
    if let Some(end) = ends.get_mut(partition as usize)
        && end.is_some_and(|end| next >= end)
    {
        *end = None;
    }
}

/// By partition: the first offset whose record is not older than `age`; none if all are older.
fn since(
    consumer: &QuicklyClosed<LastingContext>,
    topic: &str,
    partitions: i32,
    age: Duration,
) -> Result<Vec<Option<i64>>, KafkaError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut times = TopicPartitionList::new();
    for partition in 0..partitions {
        let time_ms = now.saturating_sub(age).as_millis() as i64;
        times.add_partition_offset(topic, partition, Offset::Offset(time_ms))?;
    }
    let found = consumer.offsets_for_times(times, REQUEST_TIMEOUT)?;
    let offset = |partition| match found.find_partition(topic, partition).map(|at| at.offset()) {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    };
    Ok((0..partitions).map(offset).collect())
}
