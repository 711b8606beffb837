//! Figures beside their goals, percentiles of each stage, and what each process used for an order, as Markdown.

use super::pipeline::Window;
use crate::latency::Latencies;
use crate::rig::Events;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const PERCENTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)];

/// On which side of a goal a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

impl Better {
    /// Whether a goal is met, and if not by how many times it is missed.
    fn verdict(self, goal: f64, seen: f64) -> String {
        let miss = match self {
            Self::More => goal / seen,
            Self::Less => seen / goal,
        };
        if miss <= 1.0 { "met".to_owned() } else { format!("missed {miss:.1} ×") }
    }
}

/// What a goal is about.
#[derive(Debug, Clone, Copy)]
enum Measure {
    CommandsPerSecond,
    /// Of a stage or view, in milliseconds.
    LatencyMs {
        of: &'static str,
        quantile: f64,
    },
}

/// What a figure must be at least (throughput) or at most (latency).
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    measure: Measure,
    value: f64,
}

impl Goal {
    pub(super) const fn throughput(per_second: f64) -> Self {
        Self { measure: Measure::CommandsPerSecond, value: per_second }
    }

    pub(super) const fn latency(of: &'static str, quantile: f64, ms: f64) -> Self {
        Self { measure: Measure::LatencyMs { of, quantile }, value: ms }
    }

    fn seen(&self, window: &Window) -> Result<f64> {
        match self.measure {
            Measure::CommandsPerSecond => Ok(window.commands_per_second()),
            Measure::LatencyMs { of, quantile } => latency_ms(window, of, quantile),
        }
    }

    const fn better(&self) -> Better {
        match self.measure {
            Measure::CommandsPerSecond => Better::More,
            Measure::LatencyMs { .. } => Better::Less,
        }
    }

    fn figure(&self) -> String {
        match self.measure {
            Measure::CommandsPerSecond => "orders settled per second".to_owned(),
            Measure::LatencyMs { of, quantile } => {
                let name = PERCENTILES.iter().find(|(_, of)| *of == quantile).map_or("", |(name, _)| name);
                format!("order → {of}, {name}, ms")
            }
        }
    }
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The middle of sorted values, the mean of the middle two of an even number.
fn median(sorted: &[f64]) -> Option<f64> {
    let (below, above) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*below, *above))
}

fn all(latencies: &Latencies) -> Result<Histogram<u64>> {
    latencies.within(0..u64::MAX)
}

/// Latencies of several windows together, by stage or view.
pub(super) fn merged(windows: &[Window]) -> Result<BTreeMap<&'static str, Histogram<u64>>> {
    let mut merged: BTreeMap<&'static str, Histogram<u64>> = BTreeMap::new();
    for (name, latencies) in windows.iter().flat_map(|window| &window.latencies) {
        let of_window = all(latencies)?;
        match merged.get_mut(name) {
            Some(merged) => merged.add(of_window)?,
            None => drop(merged.insert(name, of_window)),
        }
    }
    Ok(merged)
}

/// A quantile of a stage's or view's latencies in a window, milliseconds.
pub(super) fn latency_ms(window: &Window, of: &str, quantile: f64) -> Result<f64> {
    let latencies = window.latencies.get(of).with_context(|| format!("{of} was not watched"))?;
    Ok(all(latencies)?.value_at_quantile(quantile) as f64 / 1_000.0)
}

/// A window in one line.
pub(super) fn line(window: &Window) -> String {
    let mut text = format!(
        "{} commands in {:.2} s: {:.0} settled per second",
        window.commands,
        window.time.as_secs_f64(),
        window.commands_per_second()
    );
    for (name, latencies) in &window.latencies {
        let Ok(all) = all(latencies) else { continue };
        let at = |quantile| all.value_at_quantile(quantile) as f64 / 1_000.0;
        let _ = write!(text, "; {name} p50 {:.0}, p99 {:.0}, p99.9 {:.0} ms", at(0.5), at(0.99), at(0.999));
    }
    let micros = |seconds: f64| seconds * 1e6 / window.commands as f64;
    let used = window.usage.iter().map(|(name, used)| format!("{name} {:.1}", micros(used.cpu_seconds)));
    let _ = write!(text, "; µs of processor for an order: {}", used.collect::<Vec<_>>().join(", "));
    text
}

/// All cases so far.
#[derive(Default)]
pub(super) struct Report {
    goals: String,
    cases: String,
}

impl Report {
    /// Adds a case with its windows; of one without goals the throughput is told.
    pub(super) fn add(&mut self, case: &str, goals: &[Goal], windows: &[Window]) -> Result<()> {
        if goals.is_empty() {
            let seen = windows.iter().map(Window::commands_per_second).collect();
            self.figure(&format!("{case}: orders settled per second"), seen);
        }
        for goal in goals {
            let seen = windows.iter().map(|window| goal.seen(window)).collect::<Result<Vec<f64>>>()?;
            self.row(&format!("{case}: {}", goal.figure()), goal.value, goal.better(), seen);
        }
        self.percentiles(case, windows)?;
        self.usage(case, windows)
    }

    /// Adds a figure that was seen so often. The median is judged.
    pub(super) fn row(&mut self, figure: &str, goal: f64, better: Better, seen: Vec<f64>) {
        self.line(figure, &number(goal), |median| better.verdict(goal, median), seen);
    }

    /// Adds a figure without a goal.
    pub(super) fn figure(&mut self, figure: &str, seen: Vec<f64>) {
        self.line(figure, "", |_| String::new(), seen);
    }

    fn line(&mut self, figure: &str, goal: &str, verdict: impl Fn(f64) -> String, mut seen: Vec<f64>) {
        seen.sort_by(f64::total_cmp);
        let [Some(least), Some(median), Some(most)] = [seen.first().copied(), median(&seen), seen.last().copied()]
        else {
            return;
        };
        let cells = [least, median, most].map(number).join(" | ");
        self.goals.push_str(&format!("| {figure} | {goal} | {cells} | {} |\n", verdict(median)));
    }

    fn percentiles(&mut self, case: &str, windows: &[Window]) -> Result<()> {
        let merged = merged(windows)?;
        if merged.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = PERCENTILES.iter().map(|(name, _)| *name).collect();
        writeln!(self.cases, "\n{case}: from due to readable, ms, all windows\n\n| | {} |", names.join(" | "))?;
        writeln!(self.cases, "|---|{}", "---|".repeat(names.len()))?;
        for (name, all) in merged {
            let cell = |(_, quantile): &(&str, f64)| format!("{:.1}", all.value_at_quantile(*quantile) as f64 / 1e3);
            let cells: Vec<String> = PERCENTILES.iter().map(cell).collect();
            writeln!(self.cases, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    fn usage(&mut self, case: &str, windows: &[Window]) -> Result<()> {
        let commands: usize = windows.iter().map(|window| window.commands).sum();
        let mut sums: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
        for (name, used) in windows.iter().flat_map(|window| &window.usage) {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + used.cpu_seconds, sum.1 + used.written_bytes);
        }
        writeln!(self.cases, "\n{case}: for an order\n\n| process | processor, µs | written, bytes |\n|---|---|---|")?;
        for (name, (cpu_seconds, written_bytes)) in &sums {
            let (micros, bytes) = (cpu_seconds * 1e6 / commands as f64, *written_bytes as f64 / commands as f64);
            writeln!(self.cases, "| {name} | {micros:.2} | {bytes:.0} |")?;
        }
        let micros: f64 = sums.values().map(|(cpu_seconds, _)| cpu_seconds * 1e6 / commands as f64).sum();
        writeln!(self.cases, "| all | {micros:.2} | |")?;
        Ok(())
    }

    /// Prints it and writes it to a file.
    pub(super) fn write(&self, path: &Path, events: &mut Events) -> Result<()> {
        let heading = "| figure | goal | least | median | most | verdict |\n|---|---|---|---|---|---|\n";
        let text = format!("{heading}{}{}", self.goals, self.cases);
        println!("\n{text}");
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        events.note(&format!("report: {}", path.display()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Goal, median};

    #[test]
    fn a_goal_says_by_how_much_it_is_missed() {
        let more = [100_000.0, 40_000.0].map(|seen| Better::More.verdict(100_000.0, seen));
        assert_eq!(more, ["met", "missed 2.5 ×"]);
        assert_eq!([12.0, 75.0].map(|seen| Better::Less.verdict(50.0, seen)), ["met", "missed 1.5 ×"]);
        assert_eq!(
            [&[][..], &[1.0], &[1.0, 4.0], &[1.0, 2.0, 9.0]].map(median),
            [None, Some(1.0), Some(2.5), Some(2.0)]
        );
        assert_eq!(Goal::latency("3 settled", 0.99, 50.0).figure(), "order → 3 settled, p99, ms");
    }
}
