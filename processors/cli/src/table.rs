//! Columns and ages as `tapeline status` and `tapeline tx` print them.

use std::fmt;

/// Rows under a heading, columns as wide as their widest cell.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A time span to read: `350 ms`, `12.3 s`, `4 min`, `3.5 h`; `-` for none.
pub fn age(span_ms: Option<i64>) -> String {
    match span_ms {
        None => "-".into(),
        Some(ms) if ms < 1_000 => format!("{ms} ms"),
        Some(ms) if ms < 120_000 => format!("{:.1} s", ms as f64 / 1e3),
        Some(ms) if ms < 7_200_000 => format!("{} min", ms / 60_000),
        Some(ms) => format!("{:.1} h", ms as f64 / 3.6e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, age};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["a", "long heading", "c"]);
        table.row(["wide cell".into(), "x".into(), String::new()]);
        assert_eq!(table.to_string(), "a          long heading  c\nwide cell  x\n");
    }

    #[test]
    fn ages_have_a_unit_that_fits() {
        let cases = [
            (None, "-"),
            (Some(999), "999 ms"),
            (Some(1_000), "1.0 s"),
            (Some(119_900), "119.9 s"),
            (Some(120_000), "2 min"),
            (Some(7_200_000), "2.0 h"),
        ];
        for (span_ms, expected) in cases {
            assert_eq!(age(span_ms), expected);
        }
    }
}
