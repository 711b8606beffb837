//! A port that only reads: for replays that check determinism and disturb nobody.

use crate::client::{QuietContext, consumer_config};
use crate::port::partitions;
use crate::reader::PartitionReader;
use rdkafka::consumer::BaseConsumer;
use std::time::Duration;
use tapeline_runtime::port::{InputPartition, OutRecord, Polled, Port, PortError, Reader};

/// Reads inputs and journals; joins no group and writes nothing.
pub(crate) struct ReplayPort {
    bootstrap: String,
    consumer: BaseConsumer<QuietContext>,
}

impl ReplayPort {
    /// Connects.
    ///
    /// # Errors
    /// If the client can't be made.
    pub(crate) fn open(bootstrap: &str) -> Result<Self, PortError> {
        let mut config = consumer_config(bootstrap, "tapeline-replay");
        config.set("group.id", "tapeline-replay");
        let consumer =
            config.create_with_context(QuietContext).map_err(|error| PortError::Away(format!("replay: {error}")))?;
        Ok(Self { bootstrap: bootstrap.to_owned(), consumer })
    }
}

fn read_only<T>() -> Result<T, PortError> {
    Err(PortError::Fatal("a replay only reads".into()))
}

impl Port for ReplayPort {
    fn poll(&mut self, _wait: Duration) -> Result<Polled, PortError> {
        read_only()
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        Ok(Box::new(PartitionReader::open(&self.bootstrap, topic, partition, from)?))
    }

    /// A replay goes by the journal alone.
    fn committed(&self, _topic: &str, _partition: i32) -> Result<Option<i64>, PortError> {
        Ok(None)
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        partitions(&self.consumer, topic)
    }

    fn follow_broadcast(&mut self, _positions: &[(InputPartition, i64)]) -> Result<(), PortError> {
        read_only()
    }

    fn begin(&mut self) -> Result<(), PortError> {
        read_only()
    }

    fn send(&mut self, _record: OutRecord) -> Result<(), PortError> {
        read_only()
    }

    fn commit(&mut self, _offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        read_only()
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }
}
