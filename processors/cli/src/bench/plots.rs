//! Plots of the open loop: latency over time, and percentiles.

use super::SETTLED;
use super::pipeline::Window;
use super::report::merged;
use crate::plot::{Across, Chart, Line};
use crate::rig::Events;
use anyhow::Result;
use std::path::PathBuf;

/// Up to which quantile percentiles are drawn: beyond it a window has too few orders.
const LAST_QUANTILE: f64 = 0.9999;
const STEPS: u32 = 80;

/// Draws a case whose windows were watched.
pub(super) fn of_case(case: &str, windows: &[Window], events: &mut Events) -> Result<()> {
    let Some(settled) = windows.last().and_then(|window| window.latencies.get(SETTLED)) else { return Ok(()) };
    Chart {
        title: &format!("{case}: order to settled, last window"),
        across: Across::Seconds,
        values: "milliseconds",
        lines: Line::by_second(settled),
        marks: Vec::new(),
    }
    .write(&path(case, "over time", events))?;
    let mut lines = Vec::new();
    for (name, all) in merged(windows)? {
        let at = |step| 1.0 - (1.0 - LAST_QUANTILE).powf(f64::from(step) / f64::from(STEPS));
        let point = |quantile| (Across::nines(quantile), all.value_at_quantile(quantile) as f64 / 1e3);
        lines.push(Line { name: name.to_owned(), points: (0..=STEPS).map(at).map(point).collect() });
    }
    Chart {
        title: &format!("{case}: from due to readable, all windows"),
        across: Across::Percentiles,
        values: "milliseconds",
        lines,
        marks: Vec::new(),
    }
    .write(&path(case, "percentiles", events))
}

/// A file beside the report, its name made of a case's and what it shows.
pub(super) fn path(case: &str, what: &str, events: &Events) -> PathBuf {
    let words = format!("{case} {what}").replace(|letter: char| !letter.is_ascii_alphanumeric(), " ");
    let name = words.split_whitespace().collect::<Vec<_>>().join("-");
    events.path().with_file_name(format!("{name}.svg"))
}
