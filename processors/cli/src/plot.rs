//! Line charts over time as SVG files, for reports.

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
    /// Seconds, and value at that time.
    pub points: Vec<(f64, f64)>,
}

/// A chart over time.
pub struct Chart<'a> {
    /// Over the chart.
    pub title: &'a str,
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
        chart.configure_mesh().x_desc("seconds").y_desc(self.values).light_line_style(WHITE).draw()?;
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
        Chart { title: "latency", values: "ms", lines, marks: vec![0.5] }.write(&path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for text in ["latency", "p50", "p99", "#2563EB", "#DC2626", "#94A3B8"] {
            assert!(svg.contains(text), "{text} is not in it:\n{svg}");
        }
    }
}
