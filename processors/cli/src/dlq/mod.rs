//! `tapeline dlq`: what lies in the dead-letter topics, why, and back into the source topic after a fix.
//!
//! What is absent: mending. A redriven record has the bytes that came in; what was at fault must have changed elsewhere.

mod list;
mod log;
mod redrive;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};
use tapeline_kafka::app::App;
use tapeline_runtime::dead_letter::{Letter, REASONS};
use tapeline_runtime::port::Record;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Count the dead letters of each topic by reason, with the time of the oldest and newest and how many were redriven.
    List {
        /// Only this topic, with or without `.dlq`.
        topic: Option<String>,
    },
    /// Show dead letters: why, headers, key, bytes, and as much as can be decoded.
    Show(Show),
    /// Put dead letters back into their topic, each at most once; without --yes only says what it would do.
    Redrive(Redrive),
}

/// Options of `tapeline dlq show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The topic, with or without `.dlq`.
    topic: String,
    #[command(flatten)]
    which: Which,
    /// Show no more than this many.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

/// Options of `tapeline dlq redrive`.
#[derive(Debug, Args)]
pub struct Redrive {
    /// The topic, with or without `.dlq`.
    topic: String,
    #[command(flatten)]
    which: Which,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

/// Which dead letters of a topic; all if nothing is said.
#[derive(Debug, Args)]
pub struct Which {
    /// Only this partition of the dead-letter topic.
    #[arg(long)]
    partition: Option<i32>,
    /// Only the dead letter at this offset of the dead-letter topic.
    #[arg(long, requires = "partition")]
    offset: Option<i64>,
    /// Only those with this reason.
    #[arg(long, conflicts_with = "offset", value_parser = clap::builder::PossibleValuesParser::new(REASONS))]
    reason: Option<String>,
}

impl Which {
    fn takes(&self, record: &Record, letter: &Letter) -> bool {
        self.partition.is_none_or(|partition| partition == record.partition)
            && self.offset.is_none_or(|offset| offset == record.offset)
            && self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
    }
}

/// Does it.
///
/// # Errors
/// If a server is away, or if the topology knows no such topic.
pub fn perform(verb: &Verb) -> Result<()> {
    let app = App::from_env()?;
    match verb {
        Verb::List { topic } => list::list(&app, topic.as_deref()),
        Verb::Show(options) => show::show(&app, options),
        Verb::Redrive(options) => redrive::redrive(&app, options),
    }
}

/// A time of the wall clock as `2024-05-06T07:08:09.123Z`.
fn utc(time_ms: i64) -> String {
    let (days, ms) = (time_ms.div_euclid(86_400_000), time_ms.rem_euclid(86_400_000));
    // Civil date from days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "292278994-08-17T07:12:55.807Z"),
        ];
        for (time_ms, expected) in cases {
            assert_eq!(utc(time_ms), expected);
        }
    }
}
