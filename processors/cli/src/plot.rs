//! Line charts as SVG files, for reports: over time, over percentiles, over a rate.

use crate::latency::Latencies;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (960, 420);
/// Lines take turns in them.
const COLOURS: [RGBColor; 6] = [
    RGBColor(37, 99, 235),
    RGBColor(220, 38, 38),
    RGBColor(21, 128, 61),
    RGBColor(126, 34, 206),
    RGBColor(180, 83, 9),
    RGBColor(8, 145, 178),
];
const MARK: RGBColor = RGBColor(148, 163, 184);

/// A line of a chart.
pub struct Line {
    /// What it is, for the legend.
    pub name: String,
    /// Place on the axis across, and value there.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// Median, p99 and the longest of the latencies of each second, milliseconds.
    pub fn by_second(latencies: &Latencies) -> Vec<Self> {
        let point = |(second, took): (u64, std::time::Duration)| (second as f64, took.as_secs_f64() * 1_000.0);
        let line = |(name, quantile): (&str, f64)| Self {
            name: name.to_owned(),
            points: latencies.by_second(quantile).into_iter().map(point).collect(),
        };
        [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)].map(line).into()
    }
}

/// What the axis across tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Time, in seconds.
    Seconds,
    /// Percentiles, each step a tenth of what is left: a quantile q lies at [`Across::nines`].
    Percentiles,
    /// Orders per second.
    OrdersPerSecond,
}

impl Across {
    /// Where a quantile below 1 lies among [`Self::Percentiles`].
    pub fn nines(quantile: f64) -> f64 {
        -(1.0 - quantile).log10()
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Percentiles => "percentile",
            Self::OrdersPerSecond => "orders per second",
        }
    }

    fn label(self, at: f64) -> String {
        match self {
            Self::Percentiles => {
                format!("{:.*}", (at - 2.0).max(0.0).round() as usize, 100.0 - 100.0 / 10_f64.powf(at))
            }
            Self::Seconds | Self::OrdersPerSecond => format!("{at}"),
        }
    }
}

/// A chart.
pub struct Chart<'a> {
    /// Over the chart.
    pub title: &'a str,
    /// What the axis across tells.
    pub across: Across,
    /// What the values are, with their unit.
    pub values: &'a str,
    /// The lines.
    pub lines: Vec<Line>,
    /// Moments at which something happened, seconds.
    pub marks: Vec<f64>,
}

impl Chart<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.draw(path).map_err(|error| anyhow!("drawing {}: {error}", path.display()))
    }

    fn draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error + '_>> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let last = points().map(|point| point.0).fold(1.0, f64::max);
        let most = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max) * 1.08;
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(38)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last, 0.0..most)?;
        chart
            .configure_mesh()
            .x_desc(self.across.text())
            .x_label_formatter(&|at| self.across.label(*at))
            .y_desc(self.values)
            .light_line_style(WHITE)
            .draw()?;
        for at in &self.marks {
            chart.draw_series(LineSeries::new([(*at, 0.0), (*at, most)], MARK))?;
        }
        for (line, colour) in self.lines.iter().zip(COLOURS.into_iter().cycle()) {
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(MARK).draw()?;
        root.present()?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_chart_shows_each_line_and_mark() {
        let path = std::env::temp_dir().join(format!("tapeline-plot-{}.svg", std::process::id()));
        let line = |name: &str, points| Line { name: name.into(), points };
        let lines = vec![line("p50", vec![(0.0, 1.0), (1.0, 2.0)]), line("p99", vec![(0.0, 3.0), (1.0, 9.0)])];
        let chart = Chart { title: "latency", across: Across::Seconds, values: "ms", lines, marks: vec![0.5] };
        chart.write(&path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for text in ["latency", "p50", "p99", "#2563EB", "#DC2626", "#94A3B8"] {
            assert!(svg.contains(text), "{text} is not in it:\n{svg}");
        }
    }

    #[test]
    fn percentiles_stand_at_their_nines() {
        let label = |quantile| Across::Percentiles.label(Across::nines(quantile));
        assert_eq!([label(0.0), label(0.9), label(0.99), label(0.999)], ["0", "90", "99", "99.9"]);
    }
}
