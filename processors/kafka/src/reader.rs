//! Reads one partition from an offset to its present end, outside any group.

use crate::client::{self, QuicklyClosed, QuietContext, consumer_config, consumer_error, know, record};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tapeline_runtime::port::{PortError, Reader, Record};

/// How long a reader waits for the broker before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Consumers that readers are done with. The next reader takes one over with its connections: a restore opens a handful
/// of readers for each partition, and a consumer of its own costs each some tens of milliseconds.
#[derive(Clone)]
pub(crate) struct Readers {
    bootstrap: String,
    idle: Rc<RefCell<Vec<QuicklyClosed<QuietContext>>>>,
}

impl Readers {
    /// None yet.
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), idle: Rc::default() }
    }

    /// A reader of `topic`, `partition` from `from` on.
    ///
    /// # Errors
    /// If the client can't be made or the offset is out of range.
    pub(crate) fn open(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        let reader = PartitionReader::of(self.consumer()?, topic, partition, from)?;
        Ok(Box::new(Lent { reader: Some(reader), readers: self.clone() }))
    }

    /// Asks the broker something over a connection on which nothing waits: it answers those of a connection in turn, and a
    /// fetch of a group's consumer waits for up to 100 ms. Four questions of a restore took 0.4 s.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&BaseConsumer<QuietContext>) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let consumer = self.consumer()?;
        let answer = question(&consumer);
        self.idle.borrow_mut().push(consumer);
        answer
    }

    fn consumer(&self) -> Result<QuicklyClosed<QuietContext>, PortError> {
        let idle = self.idle.borrow_mut().pop();
        idle.map_or_else(
            || consumer(&self.bootstrap).map_err(|error| PortError::Away(format!("a reader: {error}"))),
            Ok,
        )
    }
}

/// A reader whose consumer goes back when it is dropped.
struct Lent {
    reader: Option<PartitionReader>,
    readers: Readers,
}

impl Reader for Lent {
    fn next(&mut self) -> Result<Option<Record>, PortError> {
        self.reader.as_mut().map_or(Ok(None), PartitionReader::next)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(PartitionReader { consumer, .. }) = self.reader.take()
            && consumer.unassign().is_ok()
        {
            self.readers.idle.borrow_mut().push(consumer);
        }
    }
}

/// A reader of committed records.
pub struct PartitionReader {
    consumer: QuicklyClosed<QuietContext>,
    what: String,
    ended: bool,
}

fn consumer(bootstrap: &str) -> Result<QuicklyClosed<QuietContext>, KafkaError> {
    let mut config = consumer_config(bootstrap, "tapeline-reader");
    // Never joins: the client wants a name for manual assignment too.
    config
        .set("group.id", "tapeline-reader")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .set("auto.offset.reset", "earliest");
    client::consumer(&config, QuietContext)
}

impl PartitionReader {
    /// Opens `topic`, `partition` at `from`.
    ///
    /// # Errors
    /// If the client can't be made or the offset is out of range.
    pub fn open(bootstrap: &str, topic: &str, partition: i32, from: i64) -> Result<Self, PortError> {
        let consumer = consumer(bootstrap).map_err(|error| PortError::Away(format!("{topic}: {error}")))?;
        Self::of(consumer, topic, partition, from)
    }

    fn of(consumer: QuicklyClosed<QuietContext>, topic: &str, partition: i32, from: i64) -> Result<Self, PortError> {
        let what = format!("{topic}, partition {partition}");
        let away = |error: KafkaError| PortError::Away(format!("{what}: {error}"));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(from)).map_err(away)?;
        know(consumer.client(), topic, PATIENCE).map_err(away)?;
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
                    if let Some(error) = consumer_error(&error, self.consumer.client().fatal_error()) {
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
