//! `tapeline dlq list`.

use super::log::DeadLetters;
use super::utc;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tapeline_kafka::app::App;

/// What a dead-letter topic holds.
#[derive(Default)]
struct Summary {
    letters: u64,
    redriven: u64,
    by_reason: BTreeMap<String, u64>,
    /// Times of the oldest and newest letter, by their readers' clocks.
    span_ms: Option<(i64, i64)>,
}

impl Summary {
    fn of(letters: &DeadLetters<'_>) -> Result<Self> {
        let mut summary = Self::default();
        letters.each_letter(|_, letter, redriven| {
            summary.letters += 1;
            summary.redriven += u64::from(redriven);
            *summary.by_reason.entry(letter.reason).or_default() += 1;
            let (oldest, newest) = summary.span_ms.unwrap_or((letter.time_ms, letter.time_ms));
            summary.span_ms = Some((oldest.min(letter.time_ms), newest.max(letter.time_ms)));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(summary)
    }
}

pub(super) fn list(app: &App, topic: Option<&str>) -> Result<()> {
    let topics = match topic {
        Some(topic) => vec![DeadLetters::of(app, topic)?],
        None => DeadLetters::all(app),
    };
    println!("{:<24} {:>8} {:>9}  {:<24}  {:<24}  by reason", "topic", "letters", "redriven", "oldest", "newest");
    for letters in &topics {
        let summary = Summary::of(letters)?;
        let reasons = summary.by_reason.iter().map(|(reason, count)| format!("{} {count}", reason.escape_debug()));
        let (oldest, newest) = summary.span_ms.map_or_else(Default::default, |(from, to)| (utc(from), utc(to)));
        let line = format!(
            "{:<24} {:>8} {:>9}  {oldest:<24}  {newest:<24}  {}",
            letters.name,
            summary.letters,
            summary.redriven,
            reasons.collect::<Vec<_>>().join(", ")
        );
        println!("{}", line.trim_end());
    }
    Ok(())
}
