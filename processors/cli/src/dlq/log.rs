//! Reads dead-letter topics: letters, marks, and what is neither.

use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::ops::ControlFlow;
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::App;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::dead_letter::{Entry, Foreign, Letter, Place};
use tapeline_runtime::port::{Reader, Record};
use tapeline_runtime::topology::Topic;
use tapeline_schemas::topic::DEAD_LETTER_SUFFIX;

/// The dead-letter topic of a source topic.
pub(super) struct DeadLetters<'a> {
    app: &'a App,
    pub(super) source: &'a Topic,
    pub(super) name: String,
}

impl<'a> DeadLetters<'a> {
    /// The dead letters of `topic`, which may be named with or without its ending.
    pub(super) fn of(app: &'a App, topic: &str) -> Result<Self> {
        let name = topic.strip_suffix(DEAD_LETTER_SUFFIX).unwrap_or(topic);
        let found = Self::all(app).into_iter().find(|letters| letters.source.name == name);
        found.with_context(|| {
            let known: Vec<String> = Self::all(app).into_iter().map(|letters| letters.source.name.clone()).collect();
            format!("{}: no topic `{name}` with dead letters: choose from {}", app.topology.file_name, known.join(", "))
        })
    }

    /// All dead-letter topics of the topology.
    pub(super) fn all(app: &'a App) -> Vec<Self> {
        let with_letters = |source: &'a Topic| Some(Self { app, source, name: source.dead_letter_topic()? });
        app.topology.topics.iter().filter_map(with_letters).collect()
    }

    /// Where a record of this topic stands.
    pub(super) fn place(&self, record: &Record) -> Place {
        Place { topic: self.name.clone(), partition: record.partition, offset: record.offset }
    }

    /// Calls `visit` for each record that is there now, partition by partition, until it says stop. What is added while
    /// it reads is left out, or a redrive of records that are bad again would never end.
    pub(super) fn each(
        &self,
        mut visit: impl FnMut(&Record, Result<Entry, Foreign>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let ends = Admin::connect(&self.app.addresses.kafka)?.watermarks(&self.name)?;
        for (partition, marks) in (0..).zip(ends) {
            let mut reader = PartitionReader::open(&self.app.addresses.kafka, &self.name, partition, 0)?;
            while let Some(record) = reader.next()?.filter(|record| record.offset < marks.end) {
                if visit(&record, Entry::read(&record.headers))?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Calls `visit` for each letter, with whether it was redriven. Letters of another topic are somebody else's records.
    pub(super) fn each_letter(
        &self,
        mut visit: impl FnMut(Record, Letter, bool) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let redriven = self.redriven()?;
        self.each(|record, entry| match entry {
            Ok(Entry::Letter(letter)) if letter.source.topic == self.source.name => {
                let is_redriven = redriven.contains(&(record.partition, record.offset));
                visit(record.clone(), letter, is_redriven)
            }
            _ => Ok(ControlFlow::Continue(())),
        })
    }

    /// Partition and offset of the letters that were redriven.
    fn redriven(&self) -> Result<HashSet<(i32, i64)>> {
        let mut redriven = HashSet::new();
        self.each(|record, entry| {
            if let Ok(Entry::Mark { offset }) = entry
                && !redriven.insert((record.partition, offset))
            {
                bail!("{} is marked as redriven twice: this is a defect, report it", self.place(record));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(redriven)
    }
}
