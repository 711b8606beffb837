//! A book and a candle chart for the terminal. Takes plain numbers, prints text.

use crate::verify::RestingBook;
use tapeline_domain::money::decimal;
use tapeline_domain::types::ONE;

const LEVELS: usize = 6;
const BAR: usize = 30;
const CANDLES: usize = 60;
const ROWS: usize = 12;

/// The best levels of a book with bars for their quantities.
pub(super) fn book(book: &RestingBook) -> String {
    let asks: Vec<_> = book.asks.iter().take(LEVELS).collect();
    let bids: Vec<_> = book.bids.iter().rev().take(LEVELS).collect();
    let largest = asks.iter().chain(&bids).map(|(_, quantity)| **quantity).max().unwrap_or(1).max(1);
    let line = |side: &str, price: i64, quantity: i64| {
        let length = (quantity as i128 * BAR as i128 / largest as i128).max(1) as usize;
        format!("  {side} {:>14} {:>12} {}\n", decimal(price), decimal(quantity), "█".repeat(length))
    };
    let mut text = format!("{} (what rests, hidden quantity included)\n", book.instrument);
    asks.iter().rev().for_each(|(price, quantity)| text += &line("ask", **price, **quantity));
    bids.iter().for_each(|(price, quantity)| text += &line("bid", **price, **quantity));
    text
}

/// Open, high, low, close.
type Candle = [i64; 4];

/// Candles of `prints` (time in ms, price, quantity), as many of equal length as fit.
pub(super) fn candles(prints: &[(i64, i64, i64)]) -> String {
    let (Some(first), Some(last)) = (prints.first(), prints.last()) else { return "  no trades\n".into() };
    let length_ms = ((last.0 - first.0) / CANDLES as i64 + 1).max(1);
    let mut candles: Vec<Option<Candle>> = vec![None; CANDLES];
    for (at_ms, price, _) in prints {
        let index = (((at_ms - first.0) / length_ms).max(0) as usize).min(CANDLES - 1);
        let [_, high, low, close] = candles[index].get_or_insert([*price; 4]);
        (*high, *low, *close) = ((*high).max(*price), (*low).min(*price), *price);
    }
    let all = || candles.iter().flatten();
    let top = all().map(|candle| candle[1]).max().unwrap_or(0);
    let bottom = all().map(|candle| candle[2]).min().unwrap_or(0);
    let step = ((top - bottom) / ROWS as i64 + 1).max(1);
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let (low, high) = (bottom + row as i64 * step, bottom + (row as i64 + 1) * step - 1);
        let label = if row % 4 == 0 || row == ROWS - 1 { decimal(low - low % rounding(low)) } else { String::new() };
        text += &format!("  {label:>14} │");
        text.extend(candles.iter().map(|candle| candle.map_or(' ', |candle| mark(candle, low, high))));
        text.push('\n');
    }
    text + &format!("  {:>14} └{} {length_ms} ms a candle\n", "", "─".repeat(CANDLES))
}

/// Prices above 10 are labelled in hundredths.
const fn rounding(price: i64) -> i64 {
    if price > 10 * ONE { ONE / 100 } else { 1 }
}

/// How a candle shows in the row of prices from `low` to `high`.
fn mark([open, top, bottom, close]: Candle, low: i64, high: i64) -> char {
    if top < low || bottom > high {
        ' '
    } else if open.max(close) < low || open.min(close) > high {
        '│'
    } else if close >= open {
        '█'
    } else {
        '░'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_and_a_falling_candle_show_at_their_prices() {
        let text = candles(&[(0, 100, 1), (1, 220, 1), (600_000, 220, 1), (600_001, 100, 1)]);
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[0].contains('█') || rows[1].contains('█'), "{text}");
        assert!(rows.iter().any(|row| row.contains('░')), "{text}");
        assert_eq!(rows.len(), ROWS + 1);
    }

    #[test]
    fn a_book_shows_asks_above_bids_best_in_the_middle() {
        let side = |levels: &[(i64, i64)]| levels.iter().copied().collect();
        let resting = RestingBook {
            instrument: "A-B".into(),
            bids: side(&[(98, 5), (99, 1)]),
            asks: side(&[(101, 2), (102, 9)]),
            trades: 0,
        };
        let text = book(&resting);
        let prices: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(prices, ["0.00000102", "0.00000101", "0.00000099", "0.00000098"]);
    }
}
