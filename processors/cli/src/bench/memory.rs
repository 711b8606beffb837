//! Whether memory stays flat: resident memory of every process over an hour under a steady load, with both views.

use super::pipeline::{Pipeline, Setup};
use super::plots;
use super::report::{Better, Report};
use crate::plot::{Across, Chart, Line};
use crate::rig::{Curve, Events, MemoryWatch, Site};
use anyhow::Result;
use std::time::Duration;

const PER_SECOND: u64 = 5_000;
/// The hour comes in windows of a minute, as its commands are made up before they are due.
const WINDOWS: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);
/// Memory is flat if it grows by so many percent at most from the second sixth of the time to the last.
const MOST_GROWTH_PERCENT: f64 = 5.0;
const SIXTHS: f64 = 6.0;
/// Points of a curve in the plot.
const POINTS: usize = 360;

/// Watches memory.
pub(super) fn run(site: &Site, share: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    events.note(super::MEMORY);
    site.empty()?;
    site.wipe_views()?;
    let mut pipeline = Pipeline::start(site, Setup { views: true, ..super::ZIPF_OVER_FOUR })?;
    let watch = MemoryWatch::start(pipeline.processes()?);
    for _ in 0..(WINDOWS / share).max(1) {
        pipeline.window(super::steady(PER_SECOND, WINDOW / share), false)?;
    }
    let curves = watch.end()?;
    let audit = pipeline.stop()?;
    events.note(&format!("{} records checked, all as it must be", audit.events));
    for (name, curve) in &curves {
        let (early, late) = (mean_of_sixth(curve, 1), mean_of_sixth(curve, 5));
        events.note(&format!("{name}: {early:.0} MiB in the second sixth of the time, {late:.0} in the last"));
        let percent = (late / early - 1.0) * 100.0;
        let figure = format!("resident memory of {name} at {PER_SECOND}/s, growth in the hour's last 50 minutes, %");
        report.row(&figure, MOST_GROWTH_PERCENT, Better::Less, vec![percent]);
    }
    let line = |(name, curve): (String, Curve)| Line { name, points: thinned(&curve) };
    Chart {
        title: &format!("Resident memory at {PER_SECOND} orders/s, both views"),
        across: Across::Seconds,
        values: "MiB",
        lines: curves.into_iter().map(line).collect(),
        marks: Vec::new(),
    }
    .write(&plots::path(super::MEMORY, "over time", events))
}

/// Mean of what was seen in a sixth of the time, the first being 0.
fn mean_of_sixth(curve: &Curve, sixth: u32) -> f64 {
    let until = curve.last().map_or(0.0, |point| point.0);
    let (from, to) = (until * f64::from(sixth) / SIXTHS, until * f64::from(sixth + 1) / SIXTHS);
    let seen: Vec<f64> = curve.iter().filter(|(at, _)| (from..=to).contains(at)).map(|point| point.1).collect();
    seen.iter().sum::<f64>() / seen.len() as f64
}

/// Every n-th point, so that few are left.
fn thinned(curve: &Curve) -> Curve {
    curve.iter().step_by((curve.len() / POINTS).max(1)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixths_are_compared_by_their_means() {
        let curve: Curve = (0..=60).map(|second| (f64::from(second), f64::from(second))).collect();
        assert_eq!((mean_of_sixth(&curve, 1), mean_of_sixth(&curve, 5)), (15.0, 55.0));
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_nearly() {
        let curve: Curve = (0..7_200).map(|half| (f64::from(half) / 2.0, 1.0)).collect();
        let thin = thinned(&curve);
        assert_eq!((thin.len(), thin[0].0), (POINTS, 0.0));
        assert!(thin[POINTS - 1].0 > 3_580.0);
    }
}
