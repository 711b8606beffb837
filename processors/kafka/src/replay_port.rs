//! A port that only reads: for replays that check determinism and disturb nobody.

use crate::port::{bounds, partitions};
use crate::reader::Readers;
use std::time::Duration;
use tapeline_runtime::port::{Bounds, InputPartition, OutView, Polled, Port, PortError, Reader};

/// Reads inputs and journals; joins no group and writes nothing.
pub(crate) struct ReplayPort {
    readers: Readers,
}

impl ReplayPort {
    /// Connects to nobody yet.
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self { readers: Readers::new(bootstrap) }
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
        self.readers.ask(|consumer| bounds(consumer, topic, partition))
    }

    /// What is committed and marked by now is what an audit replays.
    fn wait_stable(&mut self, _topic: &str, _partition: i32) -> Result<(), PortError> {
        Ok(())
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        self.readers.ask(|consumer| partitions(consumer, topic))
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
