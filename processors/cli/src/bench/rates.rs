//! What a rate costs: latency and processor time from a fraction of the open loop's rate to more than it.

use super::pipeline::{Pipeline, Window};
use super::plots;
use super::report::{self, Report, latency_ms};
use crate::plot::{Across, Chart, Line};
use crate::rig::{Events, Site};
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// Orders per second, the highest first: its windows warm everything up.
const RATES: [u64; 6] = [40_000, 25_000, 12_500, 6_000, 3_000, 1_000];
const WINDOW: Duration = Duration::from_secs(20);
/// Windows at the highest rate that do not count.
const WARM_UPS: u32 = 4;

/// A window at each rate, separate binaries without views.
pub(super) fn run(site: &Site, share: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    events.note(super::RATES);
    site.empty()?;
    let mut pipeline = Pipeline::start(site, super::ZIPF_OVER_FOUR)?;
    pipeline.warm_up(super::steady(RATES[0], WINDOW / share), (WARM_UPS / share).max(1), true, events)?;
    let mut cores: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for rate in RATES {
        let window = pipeline.window(super::steady(rate, WINDOW / share), true)?;
        events.note(&report::line(&window));
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let ms = latency_ms(&window, super::SETTLED, quantile)?;
            report.figure(&format!("{rate} orders/s: order → settled, {name}, ms"), vec![ms]);
        }
        report.figure(&format!("{rate} orders/s: cores in use"), vec![window.cpu_seconds() / seconds(&window)]);
        let mut note = |name: String, cpu_seconds: f64| {
            cores.entry(name).or_default().push((window.commands_per_second(), cpu_seconds / seconds(&window)));
        };
        note("all".to_owned(), window.cpu_seconds());
        for (name, used) in &window.usage {
            note(name.clone(), used.cpu_seconds);
        }
    }
    pipeline.stop()?;
    // Whoever takes next to nothing would only crowd the legend.
    let shown = cores.into_iter().filter(|(_, points)| points.iter().any(|point| point.1 > 0.02));
    Chart {
        title: "Throughput against processor time, separate binaries without views",
        across: Across::OrdersPerSecond,
        values: "cores in use",
        lines: shown.map(|(name, points)| Line { name, points }).collect(),
        marks: Vec::new(),
    }
    .write(&plots::path(super::RATES, "cores", events))
}

fn seconds(window: &Window) -> f64 {
    window.time.as_secs_f64()
}
