//! The part of the log that is checked: how far each topic is read, how far each stage had come, and the reading itself.
//!
//! All of it is fixed at the start, and in an order that makes a running pipeline look consistent: first what the views
//! state, then how far each stage has come ([`Cut::taken`]), then the ends of the topics from the last one to the
//! first. So whatever a record goes back to lies within the part that is read, and whatever a stage had taken by then
//! has its outputs within that part. What lies between is in flight, and missing outputs of it are no violation.

use super::avro::{FromAvro, read};
use super::parallel::{Task, run_all};
use super::records::JournalEntry;
use anyhow::{Context, Result, anyhow};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::App;
use tapeline_kafka::reader::PartitionReader;
use tapeline_kafka::scan::{RecordView, scan};
use tapeline_runtime::dead_letter::{Entry, Place};
use tapeline_runtime::port::Reader;
use tapeline_runtime::topology::Topic;
use tapeline_schemas::codec::{Decoder, Encoder, HEADER_BYTES, SchemaIds, SchemaSource, Wire};
use tapeline_schemas::{topic, wire};

pub(super) const VALIDATOR_JOURNAL: &str = "validator.journal";
pub(super) const EXECUTOR_JOURNAL: &str = "executor.journal";

/// Topics that are read besides the journals, from the last stage to the first.
const TOPICS: [&str; 7] = [
    topic::SETTLED,
    topic::DEPTH,
    topic::EXECUTED,
    topic::VALIDATED,
    topic::REJECTED,
    topic::ORDERS,
    topic::MARKET_TICKS,
];

/// A topic's offsets, one for each partition.
pub(super) type Offsets = Vec<i64>;

/// Offsets by topic.
#[derive(Debug, Clone, Default)]
pub(super) struct Positions(pub(super) BTreeMap<String, Offsets>);

impl Positions {
    /// The offset for a partition; 0 where none is known.
    pub(super) fn at(&self, topic: &str, partition: i32) -> i64 {
        let offsets = self.0.get(topic);
        offsets.and_then(|offsets| offsets.get(usize::try_from(partition).ok()?)).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, topic: &str, partition: i32, offset: i64) {
        let Ok(index) = usize::try_from(partition) else { return };
        let offsets = self.0.entry(topic.to_owned()).or_default();
        offsets.resize(offsets.len().max(index + 1), 0);
        offsets[index] = offset;
    }
}

/// Where the log is cut.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Offset after the last record of each topic that is read.
    pub(super) ends: Positions,
    /// Inputs of each stage up to which its outputs must be there: `orders` by the validator, `orders.validated` by the
    /// executor, `trades.executed` by the settler.
    pub(super) taken: Positions,
}

impl Cut {
    /// Takes the cut now.
    pub(super) fn take(app: &Arc<App>, reader: &LogReader) -> Result<Self> {
        let admin = Admin::connect(&app.addresses.kafka)?;
        let mut cut = Self::default();
        cut.note_end(&admin, VALIDATOR_JOURNAL)?;
        cut.note_end(&admin, EXECUTOR_JOURNAL)?;
        let executed = [topic::EXECUTED.to_owned()];
        for offsets in admin.committed(tapeline_settler::NAME, &executed)? {
            let offsets = offsets.into_iter().map(|offset| offset.unwrap_or(0)).collect();
            cut.taken.0.insert(topic::EXECUTED.to_owned(), offsets);
        }
        for name in TOPICS {
            cut.note_end(&admin, name)?;
        }
        cut.note_taken(reader, VALIDATOR_JOURNAL, topic::ORDERS)?;
        cut.note_taken(reader, EXECUTOR_JOURNAL, topic::VALIDATED)?;
        // Read further than it was noted above: all verdicts that are read have their place in it.
        cut.note_end(&admin, VALIDATOR_JOURNAL)?;
        Ok(cut)
    }

    fn note_end(&mut self, admin: &Admin, topic: &str) -> Result<()> {
        let marks = admin.watermarks(topic).with_context(|| format!("the topic {topic}"))?;
        self.ends.0.insert(topic.to_owned(), marks.iter().map(|mark| mark.end).collect());
        Ok(())
    }

    /// How far each partition's task had taken `input`, by its journal below the cut.
    fn note_taken(&mut self, reader: &LogReader, journal: &'static str, input: &str) -> Result<()> {
        let ends = self.ends.0.get(journal).cloned().unwrap_or_default();
        let tasks = (0..).zip(ends).map(|(partition, end)| {
            let task: Task<'_, i64> = Box::new(move || taken(reader, journal, partition, end, input));
            task
        });
        let offsets = run_all(tasks.collect())?;
        self.taken.0.insert(input.to_owned(), offsets);
        Ok(())
    }
}

fn taken(reader: &LogReader, journal: &'static str, partition: i32, end: i64, input: &str) -> Result<i64> {
    let mut taken = 0;
    reader.each::<wire::JournalEntry>(journal, partition, end, |_, body| {
        if let Some(entry) = body.read::<JournalEntry<'_>>()? {
            let runs = entry.runs.iter().filter(|run| run.topic == input);
            taken = runs.map(|run| run.next_offset).max().unwrap_or(0).max(taken);
        }
        Ok(())
    })?;
    Ok(taken)
}

/// Reads partitions of the log and counts the records.
pub(super) struct LogReader {
    app: Arc<App>,
    /// Offsets by topic and partition of records that their reader could not read.
    dead: HashMap<(String, i32), HashSet<i64>>,
    events: AtomicU64,
}

impl LogReader {
    /// Reads the dead letters first: what could not be read is no part of the flow, even if the registry has learnt its
    /// schema since.
    pub(super) fn new(app: &Arc<App>) -> Result<Self> {
        let admin = Admin::connect(&app.addresses.kafka)?;
        let mut dead: HashMap<(String, i32), HashSet<i64>> = HashMap::new();
        for letters in app.topology.topics.iter().filter_map(Topic::dead_letter_topic) {
            let marks = admin.watermarks(&letters)?;
            for (partition, _) in (0..).zip(&marks).filter(|(_, marks)| marks.end > marks.first) {
                let mut reader = PartitionReader::open(&app.addresses.kafka, &letters, partition, 0)?;
                while let Some(record) = reader.next()? {
                    if let Ok(Entry::Letter(letter)) = Entry::read(&record.headers)
                        && letter.was_unreadable()
                    {
                        let Place { topic, partition, offset } = letter.source;
                        dead.entry((topic, partition)).or_default().insert(offset);
                    }
                }
            }
        }
        Ok(Self { app: Arc::clone(app), dead, events: AtomicU64::new(0) })
    }

    /// How many records have been read.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Calls `visit` for each record of a partition below `until`.
    pub(super) fn each<T: Wire>(
        &self,
        topic: &'static str,
        partition: i32,
        until: i64,
        mut visit: impl FnMut(&RecordView<'_>, Body<'_, T>) -> Result<()>,
    ) -> Result<()> {
        if until <= 0 {
            return Ok(());
        }
        let mut frames = Frames::<T>::new(&self.app, topic)?;
        let dead = self.dead.get(&(topic.to_owned(), partition));
        let mut count = 0;
        scan(&self.app.addresses.kafka, topic, partition, until, |record| {
            count += 1;
            // Without its value a record is a dead letter to all that follows.
            let payload = record.payload.filter(|_| !dead.is_some_and(|dead| dead.contains(&record.offset)));
            visit(record, Body { payload, frames: &mut frames })
                .with_context(|| format!("{topic}, partition {partition}, offset {}", record.offset))
        })?;
        self.events.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }
}

/// Takes the frame off values. Bodies of other schema versions, and any that look wrong, go through the codec, whose
/// word is final.
struct Frames<T: Wire> {
    header: [u8; HEADER_BYTES],
    decoder: Decoder<T>,
    encoder: Encoder<T>,
    /// A body that the codec wrote anew.
    buffer: Vec<u8>,
}

impl<T: Wire> Frames<T> {
    fn new(app: &App, topic: &str) -> Result<Self> {
        let id = app.registry.registered_id(topic, T::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
        let source: Arc<dyn SchemaSource> = Arc::clone(&app.registry) as _;
        let [a, b, c, d] = id.to_be_bytes();
        Ok(Self {
            header: [0, a, b, c, d],
            decoder: Decoder::new(id, source),
            encoder: Encoder::new(id),
            buffer: Vec::new(),
        })
    }
}

/// The value of a record, not yet read.
pub(super) struct Body<'a, T: Wire> {
    payload: Option<&'a [u8]>,
    frames: &'a mut Frames<T>,
}

impl<'a, T: Wire> Body<'a, T> {
    /// Decodes the value as any reader does; `None` if the record is a dead letter or can't be read.
    pub(super) fn decoded(self) -> Result<Option<T>> {
        match self.payload.map(|payload| self.frames.decoder.decode(Some(payload))) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) if error.is_poison() => Ok(None),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Reads the value; `None` if the record is a dead letter and no part of the flow.
    pub(super) fn read<V: FromAvro<'a>>(self) -> Result<Option<V>> {
        let Some(payload) = self.payload else { return Ok(None) };
        if let Some(body) = payload.strip_prefix(&self.frames.header)
            && let Ok(value) = read(body)
        {
            return Ok(Some(value));
        }
        match self.frames.decoder.decode(Some(payload)) {
            Ok(value) => {
                self.frames.buffer.clear();
                self.frames.encoder.encode(&value, &mut self.frames.buffer);
                let body = &self.frames.buffer[HEADER_BYTES..];
                read(body)
                    .map(Some)
                    .map_err(|_| anyhow!("the audit can't read what the codec can: a fault of this program"))
            }
            Err(error) if error.is_poison() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
