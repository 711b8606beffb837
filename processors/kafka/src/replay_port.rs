//! A port that only reads: for replays that check determinism and disturb nobody.

use crate::client::{QuietContext, consumer_config};
use crate::port::{bounds, partitions};
use crate::reader::Readers;
use rdkafka::consumer::BaseConsumer;
use std::time::Duration;
use tapeline_runtime::port::{Bounds, InputPartition, OutView, Polled, Port, PortError, Reader};

/// Reads inputs and journals; joins no group and writes nothing.
pub(crate) struct ReplayPort {
    readers: Readers,
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
        Ok(Self { readers: Readers::new(bootstrap), consumer })
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
        self.readers.open(topic, partition, from)
    }

    /// A replay goes by the journal alone.
    fn committed(&self, _topic: &str, _partition: i32) -> Result<Option<i64>, PortError> {
        Ok(None)
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<Bounds, PortError> {
        bounds(&self.consumer, topic, partition)
    }

    /// What is committed and marked by now is what an audit replays.
    fn wait_stable(&mut self, _topic: &str, _partition: i32) -> Result<(), PortError> {
        Ok(())
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

    fn send(&mut self, _record: OutView<'_>) -> Result<(), PortError> {
        read_only()
    }

    fn commit(&mut self, _offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        read_only()
    }

    fn written(&self, _topic: &str, _partition: i32) -> Option<i64> {
        None
    }

    fn starts(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }
}
