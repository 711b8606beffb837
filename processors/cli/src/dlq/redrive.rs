//! `tapeline dlq redrive`: puts dead letters back into their topic, each at most once.
//!
//! One transaction writes the records into the source topic and a mark for each into the dead-letter topic, so a record
//! is there if and only if its mark is. The transactional id is the dead-letter topic's: of two redrives at the same
//! time the later fences the earlier, and reads the marks only when all transactions before it are decided.

use super::Redrive;
use super::log::DeadLetters;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::App;
use tapeline_kafka::transaction::TransactionalPublisher;
use tapeline_runtime::dead_letter;
use tapeline_runtime::port::OutRecord;
use tapeline_runtime::topology::Topology;

/// Most letters of one transaction.
const BATCH: usize = 500;
/// How long other transactions on the dead-letter topic may stay open: the lanes' own time-out, and some.
const PATIENCE: Duration = Duration::from_secs(75);

pub(super) fn redrive(app: &App, options: &Redrive) -> Result<()> {
    let letters = DeadLetters::of(app, &options.topic)?;
    refuse_topics_of_processors(&app.topology, &letters.source.name)?;
    if !options.yes {
        let found = select(&letters, options, |_| Ok(()))?;
        found.print("would be put back into", &letters.source.name);
        if found.chosen > 0 {
            println!("Nothing was written: pass --yes to do it.");
        }
        return Ok(());
    }
    let mut producer =
        TransactionalPublisher::open(&app.addresses.kafka, &format!("tapeline-redrive-{}", letters.name))?;
    Admin::connect(&app.addresses.kafka)?.wait_until_decided(&letters.name, PATIENCE)?;
    let mut batch = Vec::with_capacity(2 * BATCH);
    let mut written = 0;
    let mut write = |batch: &mut Vec<OutRecord>| -> Result<()> {
        producer.commit(batch).with_context(|| {
            format!("{written} dead letters are back; run it again for the rest: none is redriven twice")
        })?;
        written += batch.len() / 2;
        batch.clear();
        Ok(())
    };
    let found = select(&letters, options, |records| {
        batch.extend(records);
        if batch.len() >= 2 * BATCH { write(&mut batch) } else { Ok(()) }
    })?;
    if !batch.is_empty() {
        write(&mut batch)?;
    }
    found.print("put back into", &letters.source.name);
    Ok(())
}

/// What a look through the dead letters gave.
#[derive(Default)]
struct Found {
    chosen: u64,
    by_reason: BTreeMap<String, u64>,
    redriven_before: u64,
}

impl Found {
    fn print(&self, done: &str, topic: &str) {
        let reasons = self.by_reason.iter().map(|(reason, count)| format!("{count} {}", reason.escape_debug()));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
        let letters = if self.chosen == 1 { "dead letter" } else { "dead letters" };
        println!("{} {letters} {done} {topic}{reasons}.", self.chosen);
        if self.redriven_before > 0 {
            println!("{} were redriven before and are left alone.", self.redriven_before);
        }
    }
}

/// Calls `take` with the records to write for each letter that is chosen and was not redriven.
fn select(
    letters: &DeadLetters<'_>,
    options: &Redrive,
    mut take: impl FnMut([OutRecord; 2]) -> Result<()>,
) -> Result<Found> {
    let mut found = Found::default();
    letters.each_letter(|record, letter, redriven| {
        if !options.which.takes(&record, &letter) {
            return Ok(ControlFlow::Continue(()));
        }
        if redriven {
            found.redriven_before += 1;
            return Ok(ControlFlow::Continue(()));
        }
        take(dead_letter::redrive(&record, &letter, &letters.place(&record)))?;
        found.chosen += 1;
        *found.by_reason.entry(letter.reason).or_default() += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    if options.which.offset.is_some() && found.chosen + found.redriven_before == 0 {
        bail!("there is no dead letter at that partition and offset of {}", letters.name);
    }
    Ok(found)
}

/// Only what comes from outside may be put back: a processor's outputs are its alone.
fn refuse_topics_of_processors(topology: &Topology, topic: &str) -> Result<()> {
    let writer = topology.processors.iter().find(|processor| processor.outputs.iter().any(|output| output == topic));
    let Some(writer) = writer else { return Ok(()) };
    let from_outside = topology.connectors.iter().flat_map(|connector| connector.outputs.clone());
    bail!(
        "{topic} can't be redriven: {} alone writes it, and the ids of its records come from their positions. A record \
         that {} did not write is rightly dead. If it did write it, one of the two has a defect: mend that, and correct \
         the effect by commands on `orders`. Topics that can be redriven: {}",
        writer.name,
        writer.name,
        from_outside.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_topics_from_outside_can_be_redriven() {
        let topology = Topology::embedded().unwrap();
        for topic in ["orders", "reference.instruments", "reference.accounts", "market.ticks", "clock"] {
            assert!(refuse_topics_of_processors(&topology, topic).is_ok(), "{topic}");
        }
        for (topic, writer) in [
            ("orders.validated", "validator"),
            ("orders.rejected", "validator"),
            ("trades.executed", "executor"),
            ("trades.settled", "settler"),
        ] {
            let refusal = refuse_topics_of_processors(&topology, topic).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("{topic} can't be redriven: {writer} alone writes it")), "{refusal}");
        }
    }
}
