//! Comma-separated files with a header line that names the format: lines, cells, and errors that say where.
//!
//! What is absent: quoting and escapes (no format read here has them), and any meaning of a row.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tapeline_domain::types::MAX_UNITS;

/// Longest line that is read at once; a longer one is not of any format here and ends in an error.
const MAX_LINE_BYTES: u64 = 4_096;
/// Most columns of a format.
const MAX_COLUMNS: usize = 8;

/// A file format, recognised by its header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Orders of an exchange, order by order: [`crate::aapl::OrderFile`].
    Orders,
    /// Fills that the orders must give: [`crate::aapl::fills`].
    Fills,
    /// Aggregated trades of a venue: [`crate::market::Trades`].
    MarketTrades,
    /// Candles of a venue: [`crate::market::candles`].
    Candles,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Orders, Self::Fills, Self::MarketTrades, Self::Candles];

    /// What the format holds, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Fills => "fills",
            Self::MarketTrades => "market trades",
            Self::Candles => "candles",
        }
    }

    /// The header line that a file of this format begins with.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Orders => "seq,ts_ns,action,order_id,side,price,qty,tag",
            Self::Fills => "fill_seq,ts_ns,aggressor_seq,maker_order_id,aggressor_side,price,qty",
            Self::MarketTrades => "agg_trade_id,time_ms,price,qty,side",
            Self::Candles => "time_ms,open,high,low,close,volume",
        }
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be opened or read.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The first line is not the header of the format that is wanted, or of any.
    #[error("{}, line 1: the header is `{found}`, expected {}", path.display(), wanted(*expected))]
    Header {
        /// Which file.
        path: PathBuf,
        /// Its first line.
        found: String,
        /// The format that the caller wants; none if any would do.
        expected: Option<Format>,
    },
    /// A line has too few or too many columns.
    #[error("{}, line {line}: {found} columns, expected {}: {columns}", path.display(), columns.split(',').count())]
    Columns {
        /// Which file.
        path: PathBuf,
        /// Line number; the header is line 1.
        line: u64,
        /// How many columns it has.
        found: usize,
        /// The header line.
        columns: &'static str,
    },
    /// A cell is not what its column holds.
    #[error("{}, line {line}, column `{column}`: `{found}`, expected {expected}", path.display())]
    Cell {
        /// Which file.
        path: PathBuf,
        /// Line number; the header is line 1.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: String,
    },
}

fn wanted(format: Option<Format>) -> String {
    let describe = |format: Format| format!("`{}` ({})", format.header(), format.name());
    match format {
        Some(format) => describe(format),
        None => Format::ALL.map(describe).join(" or "),
    }
}

/// Tells a file's format by its header line.
///
/// # Errors
/// If the file can't be read, or the header is of no known format: the error lists those that are.
pub fn detect(path: &Path) -> Result<Format, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_path_buf(), source })?;
    let mut lines = Lines::new(path, BufReader::new(file));
    let header = lines.next_line()?.unwrap_or_default();
    let known = Format::ALL.into_iter().find(|format| format.header() == header);
    known.ok_or_else(|| ReadError::Header { path: path.to_path_buf(), found: excerpt(header), expected: None })
}

/// As much of `text` as an error message can bear.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

struct Lines<R> {
    path: PathBuf,
    reader: R,
    buffer: String,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(path: &Path, reader: R) -> Self {
        Self { path: path.to_path_buf(), reader, buffer: String::new(), line: 0 }
    }

    /// The next line without its end, or none after the last.
    fn next_line(&mut self) -> Result<Option<&str>, ReadError> {
        self.buffer.clear();
        self.line += 1;
        let read = self.reader.by_ref().take(MAX_LINE_BYTES).read_line(&mut self.buffer);
        let bytes = read.map_err(|source| ReadError::Io { path: self.path.clone(), source })?;
        let text = self.buffer.strip_suffix('\n').unwrap_or(&self.buffer);
        Ok((bytes > 0).then(|| text.strip_suffix('\r').unwrap_or(text)))
    }
}

/// A file of one format, row by row.
pub(crate) struct Table<R> {
    lines: Lines<R>,
    columns: &'static str,
}

impl Table<BufReader<File>> {
    /// Opens a file of `format`.
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_path_buf(), source })?;
        Self::new(path, BufReader::new(file), format)
    }
}

impl<R: BufRead> Table<R> {
    /// Reads the header of `reader`; `path` is for the errors.
    pub(crate) fn new(path: &Path, reader: R, format: Format) -> Result<Self, ReadError> {
        let mut lines = Lines::new(path, reader);
        let header = lines.next_line()?.unwrap_or_default();
        if header != format.header() {
            let found = excerpt(header);
            return Err(ReadError::Header { path: path.to_path_buf(), found, expected: Some(format) });
        }
        Ok(Self { lines, columns: format.header() })
    }

    /// The next row, or none after the last.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row<'_>>, ReadError> {
        let columns = self.columns;
        if self.lines.next_line()?.is_none() {
            return Ok(None);
        }
        let text = self.lines.buffer.trim_end_matches(['\n', '\r']);
        let mut cells = [""; MAX_COLUMNS];
        let mut count = 0;
        for cell in text.split(',') {
            if let Some(place) = cells.get_mut(count) {
                *place = cell;
            }
            count += 1;
        }
        let (path, line) = (&self.lines.path, self.lines.line);
        if count != columns.split(',').count() {
            return Err(ReadError::Columns { path: path.clone(), line, found: count, columns });
        }
        Ok(Some(Row { path, line, columns, cells }))
    }
}

/// One line of a [`Table`].
pub(crate) struct Row<'a> {
    path: &'a Path,
    line: u64,
    columns: &'static str,
    cells: [&'a str; MAX_COLUMNS],
}

impl Row<'_> {
    /// The text in `column` (from 0).
    pub(crate) fn text(&self, column: usize) -> &str {
        self.cells.get(column).copied().unwrap_or_default()
    }

    /// Says that `column` holds something else than `expected`.
    pub(crate) fn wrong(&self, column: usize, expected: impl Into<String>) -> ReadError {
        ReadError::Cell {
            path: self.path.to_path_buf(),
            line: self.line,
            column: self.columns.split(',').nth(column).unwrap_or_default(),
            found: excerpt(self.text(column)),
            expected: expected.into(),
        }
    }

    /// The whole number in `column`, which must lie in `range`.
    pub(crate) fn whole(&self, column: usize, range: RangeInclusive<i64>) -> Result<i64, ReadError> {
        let number = self.text(column).parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| self.wrong(column, format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// What the word in `column` stands for.
    pub(crate) fn word<T: Copy>(&self, column: usize, words: &[(&str, T)]) -> Result<T, ReadError> {
        let text = self.text(column);
        let known = words.iter().find(|(word, _)| *word == text);
        known.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(column, words.join(" or "))
        })
    }

    /// The decimal number in `column` in units of 10^-8, exactly.
    pub(crate) fn decimal(&self, column: usize) -> Result<i64, ReadError> {
        units(self.text(column))
            .ok_or_else(|| self.wrong(column, "a decimal number from 0 to 9999999999.99999999 with at most 8 decimals"))
    }
}

/// A decimal string in units of 10^-8: digits, with at most eight more after a point. No sign, no exponent.
fn units(text: &str) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let decimals = fraction.unwrap_or_default();
    if whole.is_empty() || fraction == Some("") || decimals.len() > 8 {
        return None;
    }
    let digits = whole.bytes().chain(decimals.bytes()).chain(std::iter::repeat_n(b'0', 8 - decimals.len()));
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))?;
    }
    (value <= MAX_UNITS).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_units_exactly_or_not_at_all() {
        let cases = [
            ("0.00141342", Some(141_342)),
            ("23.00000000", Some(2_300_000_000)),
            ("1.5", Some(150_000_000)),
            ("7", Some(700_000_000)),
            ("0", Some(0)),
            ("9999999999.99999999", Some(MAX_UNITS)),
            ("10000000000", None),
            ("99999999999999999999999", None),
            ("0.123456789", None),
            ("0.100000000", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1.", None),
            (".5", None),
            ("", None),
            ("1.2.3", None),
            (" 1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(units(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_unknown_header_lists_the_formats_known() {
        let error = ReadError::Header { path: "x.csv".into(), found: "a,b".into(), expected: None }.to_string();
        assert!(error.starts_with("x.csv, line 1: the header is `a,b`, expected `seq,ts_ns,"), "{error}");
        for format in Format::ALL {
            assert!(error.contains(format.header()) && error.contains(format.name()), "{error}");
        }
    }

    #[test]
    fn an_endless_line_ends_in_a_short_error() {
        let endless = "x".repeat(1_000_000);
        let error = Table::new(Path::new("x.csv"), endless.as_bytes(), Format::Orders).err().unwrap().to_string();
        assert!(error.len() < 300 && error.contains("xxx..."), "{error}");
    }
}
