//! Market trades and candles of outside venues, from files.
//!
//! What is absent: making candles of trades; that is the views' part.

use crate::table::{Format, ReadError, Row, Table};
use smol_str::SmolStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use tapeline_schemas::wire;

const TRADE_ID: usize = 0;
const TIME_MS: usize = 1;
const PRICE: usize = 2;
const QUANTITY: usize = 3;
const SIDE: usize = 4;

/// Latest time that still fits 64 bits in microseconds, and then some.
const MAX_TIME_MS: i64 = 9_000_000_000_000_000;

/// The trades of a file of [`Format::MarketTrades`], one after the other. After an error it ends.
pub struct Trades<R = BufReader<File>> {
    table: Table<R>,
    venue: SmolStr,
    instrument: SmolStr,
    last_trade_id: i64,
    failed: bool,
}

impl Trades {
    /// Opens a file of the trades of `instrument` (for example `XRP-ETH`) at `venue` (for example `binance`).
    ///
    /// # Errors
    /// If the file can't be read or is of another format.
    pub fn open(path: &Path, venue: &str, instrument: &str) -> Result<Self, ReadError> {
        Ok(Self::of(Table::open(path, Format::MarketTrades)?, venue, instrument))
    }
}

impl<R: BufRead> Trades<R> {
    /// Reads the text of such a file from anywhere; `name` is for the errors.
    ///
    /// # Errors
    /// As [`Trades::open`].
    pub fn from_reader(name: &Path, text: R, venue: &str, instrument: &str) -> Result<Self, ReadError> {
        Ok(Self::of(Table::new(name, text, Format::MarketTrades)?, venue, instrument))
    }

    fn of(table: Table<R>, venue: &str, instrument: &str) -> Self {
        Self { table, venue: venue.into(), instrument: instrument.into(), last_trade_id: -1, failed: false }
    }

    fn read(&mut self) -> Result<Option<wire::MarketTick>, ReadError> {
        let Some(row) = self.table.next_row()? else { return Ok(None) };
        let trade_id = row.whole(TRADE_ID, 0..=i64::MAX)?;
        if trade_id <= self.last_trade_id {
            return Err(row.wrong(TRADE_ID, format!("more than {}, the trade before", self.last_trade_id)));
        }
        self.last_trade_id = trade_id;
        Ok(Some(wire::MarketTick {
            venue: self.venue.clone(),
            instrument: self.instrument.clone(),
            kind: wire::TickKind::Trade,
            at_us: row.whole(TIME_MS, 0..=MAX_TIME_MS)? * 1_000,
            trade_id: Some(trade_id),
            price: Some(above_zero(&row, PRICE)?),
            quantity: Some(above_zero(&row, QUANTITY)?),
            taker_side: Some(row.word(SIDE, &[("buy", wire::Side::Buy), ("sell", wire::Side::Sell)])?),
            bid_price: None,
            bid_quantity: None,
            ask_price: None,
            ask_quantity: None,
        }))
    }
}

impl<R: BufRead> Iterator for Trades<R> {
    type Item = Result<wire::MarketTick, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

fn above_zero(row: &Row<'_>, column: usize) -> Result<i64, ReadError> {
    match row.decimal(column)? {
        0 => Err(row.wrong(column, "more than zero")),
        value => Ok(value),
    }
}

/// A candle as the venue computed it. Prices and volume in units of 10^-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// Begin, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub close: i64,
    /// Sum of the quantities.
    pub volume: i64,
}

/// Reads a file of [`Format::Candles`].
///
/// # Errors
/// If the file can't be read, is of another format or has a bad line.
pub fn candles(path: &Path) -> Result<Vec<Candle>, ReadError> {
    read_candles(Table::open(path, Format::Candles)?)
}

/// Reads the text of such a file from anywhere; `name` is for the errors.
///
/// # Errors
/// As [`candles`].
pub fn candles_from_reader(name: &Path, text: impl BufRead) -> Result<Vec<Candle>, ReadError> {
    read_candles(Table::new(name, text, Format::Candles)?)
}

fn read_candles<R: BufRead>(mut table: Table<R>) -> Result<Vec<Candle>, ReadError> {
    let mut candles = Vec::new();
    while let Some(row) = table.next_row()? {
        candles.push(Candle {
            at_ms: row.whole(0, 0..=MAX_TIME_MS)?,
            open: row.decimal(1)?,
            high: row.decimal(2)?,
            low: row.decimal(3)?,
            close: row.decimal(4)?,
            volume: row.decimal(5)?,
        });
    }
    Ok(candles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trades(rows: &str) -> Result<Vec<wire::MarketTick>, ReadError> {
        let text = format!("{}\n{rows}", Format::MarketTrades.header());
        Trades::from_reader(Path::new("t.csv"), text.as_bytes(), "binance", "XRP-ETH")?.collect()
    }

    #[test]
    fn a_trade_is_read_exactly() {
        let ticks = trades("13519807,1570752011620,0.00141342,23.00000000,sell\r\n").unwrap();
        assert_eq!(ticks.len(), 1);
        assert_eq!((ticks[0].venue.as_str(), ticks[0].instrument.as_str()), ("binance", "XRP-ETH"));
        assert_eq!((ticks[0].kind, ticks[0].at_us), (wire::TickKind::Trade, 1_570_752_011_620_000));
        assert_eq!(
            (ticks[0].trade_id, ticks[0].price, ticks[0].quantity, ticks[0].taker_side),
            (Some(13_519_807), Some(141_342), Some(2_300_000_000), Some(wire::Side::Sell))
        );
    }

    #[test]
    fn bad_lines_say_where_and_what() {
        let cases = [
            ("1,1,0.000000001,1,buy", "t.csv, line 2, column `price`: `0.000000001`, expected a decimal number"),
            ("1,1,1,0,buy", "t.csv, line 2, column `qty`: `0`, expected more than zero"),
            ("1,1,1,1,BUY", "t.csv, line 2, column `side`: `BUY`, expected buy or sell"),
            ("1,-1,1,1,buy", "t.csv, line 2, column `time_ms`: `-1`, expected a whole number from 0"),
            ("5,1,1,1,buy\n5,1,1,1,buy", "t.csv, line 3, column `agg_trade_id`: `5`, expected more than 5"),
            ("1,1,1,1", "t.csv, line 2: 4 columns, expected 5: agg_trade_id,"),
            ("1,1,1,1,buy\n\n", "t.csv, line 3: 1 columns, expected 5"),
        ];
        for (rows, expected) in cases {
            let error = trades(rows).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{rows:?}: {error}");
        }
    }

    #[test]
    fn candles_are_read_and_other_files_refused() {
        let text = format!("{}\n1570752000000,1,2,0.5,1.5,1482.00000000\n", Format::Candles.header());
        let one = 100_000_000;
        let expected = Candle {
            at_ms: 1_570_752_000_000,
            open: one,
            high: 2 * one,
            low: one / 2,
            close: one * 3 / 2,
            volume: 1_482 * one,
        };
        assert_eq!(candles_from_reader(Path::new("c.csv"), text.as_bytes()).unwrap(), [expected]);
        let error = Table::new(Path::new("c.csv"), text.as_bytes(), Format::Orders).err().unwrap().to_string();
        assert!(error.contains("`time_ms,open,") && error.contains("expected `seq,ts_ns,"), "{error}");
    }
}
