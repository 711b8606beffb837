//! Reads topics from their first to their present last record.

use anyhow::{Context, Result, anyhow};
use std::sync::Arc;
use tapeline_kafka::app::App;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::port::{Reader, Record};
use tapeline_schemas::codec::{Decoder, SchemaIds, SchemaSource, Wire};

pub(super) struct Log<'a> {
    pub(super) app: &'a App,
    ids: Arc<dyn SchemaIds>,
}

impl<'a> Log<'a> {
    pub(super) fn new(app: &'a Arc<App>) -> Result<Self> {
        Ok(Self { app, ids: Arc::clone(&app.registry) as _ })
    }

    pub(super) fn partitions(&self, topic: &str) -> Result<i32> {
        let declared = self.app.topology.topic(topic).with_context(|| format!("no topic {topic} in the topology"))?;
        Ok(declared.partitions)
    }

    /// Opens one partition at its first record.
    pub(super) fn open<T: Wire>(&self, topic: &'static str, partition: i32) -> Result<Tape<T>> {
        let id = self.ids.registered_id(topic, T::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
        let source: Arc<dyn SchemaSource> = Arc::clone(&self.app.registry) as _;
        let decoder = Decoder::new(id, source).map_err(anyhow::Error::msg)?;
        let reader = PartitionReader::open(&self.app.addresses.kafka, topic, partition, 0)?;
        Ok(Tape { topic, partition, decoder, reader, held: None })
    }

    /// Calls `visit` for each record of a topic that decodes, partition by partition.
    pub(super) fn each<T: Wire>(
        &self,
        topic: &'static str,
        mut visit: impl FnMut(&Record, T) -> Result<()>,
    ) -> Result<()> {
        for partition in 0..self.partitions(topic)? {
            let mut tape = self.open::<T>(topic, partition)?;
            while let Some((record, value)) = tape.next()? {
                visit(&record, value)?;
            }
        }
        Ok(())
    }
}

/// The decodable records of one partition; the others are dead letters and no part of the flow.
pub(super) struct Tape<T: Wire> {
    topic: &'static str,
    partition: i32,
    decoder: Decoder<T>,
    reader: PartitionReader,
    held: Option<(Record, T)>,
}

impl<T: Wire> Tape<T> {
    pub(super) fn next(&mut self) -> Result<Option<(Record, T)>> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        while let Some(record) = self.reader.next()? {
            match self.decoder.decode(record.payload.as_deref()) {
                Ok(value) => return Ok(Some((record, value))),
                Err(error) if error.is_poison() => {}
                Err(error) => {
                    return Err(anyhow!(
                        "{}, partition {}, offset {}: {error}",
                        self.topic,
                        self.partition,
                        record.offset
                    ));
                }
            }
        }
        Ok(None)
    }

    /// The next record if its offset is below `offset`.
    pub(super) fn next_below(&mut self, offset: i64) -> Result<Option<(Record, T)>> {
        match self.next()? {
            Some((record, value)) if record.offset >= offset => {
                self.held = Some((record, value));
                Ok(None)
            }
            next => Ok(next),
        }
    }
}
