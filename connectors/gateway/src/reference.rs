//! Reference data of instruments, held in memory: the compacted topic is read to its end, then followed.

use crate::problem::Problem;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tapeline_kafka::app::App;
use tapeline_kafka::reader::PartitionReader;
use tapeline_kafka::tail::{Start, Tail};
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::metrics::LaneMetrics;
use tapeline_runtime::port::{PortError, Reader};
use tapeline_schemas::codec::{DecodeError, Decoder, SchemaIds};
use tapeline_schemas::{topic, wire};
use tokio::sync::broadcast;

/// How long a tail waits for a record before it looks whether to stop.
const TAIL_WAIT: Duration = Duration::from_millis(200);
/// Pause before the topic is read anew after an error.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Changes that a slow receiver may lag behind; it reads all anew then.
const MAX_CHANGES: usize = 1_024;

/// Instruments by symbol.
#[derive(Clone)]
pub struct Instruments {
    known: Arc<RwLock<Known>>,
    changes: broadcast::Sender<wire::Instrument>,
}

#[derive(Default)]
struct Known {
    by_symbol: BTreeMap<SmolStr, wire::Instrument>,
    /// Whether the topic has been read to its end once.
    is_complete: bool,
}

impl Default for Instruments {
    fn default() -> Self {
        Self { known: Arc::default(), changes: broadcast::channel(MAX_CHANGES).0 }
    }
}

impl Instruments {
    /// All, by symbol.
    ///
    /// # Errors
    /// 503 while the topic has not been read.
    pub fn all(&self) -> Result<Vec<wire::Instrument>, Problem> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_complete {
            return Ok(known.by_symbol.values().cloned().collect());
        }
        let detail = "the gateway has not read the instruments yet: try again";
        Err(Problem::new(503, "starting", "Not ready", detail).retry_after(1))
    }

    /// The instrument `symbol`, if it is known.
    pub fn get(&self, symbol: &str) -> Option<wire::Instrument> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_symbol.get(symbol).cloned()
    }

    /// What changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<wire::Instrument> {
        self.changes.subscribe()
    }

    /// Takes a version of an instrument.
    pub fn set(&self, instrument: wire::Instrument) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.by_symbol.insert(instrument.symbol.clone(), instrument.clone());
        // Nobody may be listening.
        let _ = self.changes.send(instrument);
    }

    /// An instrument is gone.
    fn remove(&self, symbol: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).by_symbol.remove(symbol);
    }

    /// All that there was has been read.
    pub fn set_complete(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).is_complete = true;
    }

    /// Reads the topic and follows it until `stop` is set; begins anew after an error. Blocks.
    pub fn follow(&self, app: &App, metrics: &LaneMetrics, stop: &AtomicBool) {
        let mut last_said = String::new();
        while !stop.load(Ordering::Relaxed) {
            let Err(why) = self.read_and_follow(app, metrics, stop) else { return };
            if why != last_said {
                tracing::warn!(why, "instruments can't be read: trying again");
                last_said = why;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    fn read_and_follow(&self, app: &App, metrics: &LaneMetrics, stop: &AtomicBool) -> Result<(), String> {
        let away = |error: PortError| error.to_string();
        let ids: Arc<dyn SchemaIds> = Arc::clone(&app.registry) as Arc<dyn SchemaIds>;
        let mut decoder = decoder::<wire::Instrument>(topic::INSTRUMENTS, &ids)?;
        let declared = app.topology.topic(topic::INSTRUMENTS).map_or(1, |topic| topic.partitions);
        let mut next_offsets = Vec::new();
        for partition in 0..declared {
            let mut reader =
                PartitionReader::open(&app.addresses.kafka, topic::INSTRUMENTS, partition, 0).map_err(away)?;
            let mut next_offset = 0;
            while let Some(record) = reader.next().map_err(away)? {
                self.take(&mut decoder, record.key.as_deref(), record.payload.as_deref())?;
                next_offset = record.offset + 1;
            }
            next_offsets.push(next_offset);
        }
        let mut tail =
            Tail::open_at(&app.addresses.kafka, topic::INSTRUMENTS, Start::At(&next_offsets)).map_err(away)?;
        self.set_complete();
        metrics.set_ready(true);
        while !stop.load(Ordering::Relaxed) {
            let mut taken = Ok(());
            tail.poll(TAIL_WAIT, |record| taken = self.take(&mut decoder, record.key, record.payload)).map_err(away)?;
            taken?;
        }
        Ok(())
    }

    /// Takes a record. One that can't be read is passed over: the validator puts it into the dead letters.
    fn take(
        &self,
        decoder: &mut Decoder<wire::Instrument>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
    ) -> Result<(), String> {
        let symbol = key.map(String::from_utf8_lossy).unwrap_or_default();
        if payload.is_none() {
            self.remove(&symbol);
            return Ok(());
        }
        match decoder.decode(payload) {
            Ok(instrument) => self.set(instrument),
            Err(DecodeError::SourceAway(why)) => return Err(why),
            Err(error) => tracing::warn!(%symbol, %error, "an instrument can't be read"),
        }
        Ok(())
    }
}
