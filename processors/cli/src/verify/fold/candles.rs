//! Candles and best quotes of TimescaleDB, from own trades and quotes and those of outside venues.
//!
//! A candle's open belongs to the earliest trade, its close to the latest, by time, then trade id, then price.

use crate::verify::rows_timescale::{Moment, clean};
use crate::verify::tables::{RangeKey, TS_BEST_QUOTES, TS_CANDLES};
use crate::verify::writer::{TableFold, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name and length in microseconds of each interval.
const INTERVALS: [(&str, i64); 5] =
    [("1s", 1_000_000), ("1m", 60_000_000), ("5m", 300_000_000), ("1h", 3_600_000_000), ("1d", 86_400_000_000)];

/// One interval of one book; prices and quantities in units of 10^-8.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candle {
    /// Time, trade id and price of the first and of the last trade.
    first: (i64, i64, i64),
    last: (i64, i64, i64),
    high: i64,
    low: i64,
    volume: i128,
    trades: i64,
}

impl Candle {
    fn add(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume += other.volume;
        self.trades += other.trades;
    }
}

/// Best bid and ask, each a price and a quantity.
type Quotes = (Option<(i64, i64)>, Option<(i64, i64)>);

/// One instrument of one venue.
#[derive(Default)]
pub(super) struct Market {
    /// By begin in microseconds, of the shortest interval.
    seconds: BTreeMap<i64, Candle>,
    quote: Option<(Moment, Quotes)>,
}

impl Market {
    pub(super) fn trade(&mut self, at_us: i64, trade_id: i64, price: i64, quantity: i64) {
        let at = (at_us, trade_id, price);
        let one = Candle { first: at, last: at, high: price, low: price, volume: quantity.into(), trades: 1 };
        add(&mut self.seconds, at_us - at_us.rem_euclid(INTERVALS[0].1), one);
    }

    /// The newest offset wins, whatever its partition: a book has one.
    pub(super) fn quote(&mut self, at: Moment, bid: Option<(i64, i64)>, ask: Option<(i64, i64)>) {
        if self.quote.as_ref().is_none_or(|(before, _)| at.offset >= before.offset) {
            self.quote = Some((at, (bid, ask)));
        }
    }
}

fn add(candles: &mut BTreeMap<i64, Candle>, begin_us: i64, candle: Candle) {
    match candles.get_mut(&begin_us) {
        Some(found) => found.add(&candle),
        None => {
            candles.insert(begin_us, candle);
        }
    }
}

/// The rows of `candles` and `best_quotes`.
pub(super) struct MarketRows {
    candles: TableFold,
    quotes: TableFold,
}

impl MarketRows {
    pub(super) fn new(wanted: Option<Arc<Wanted>>) -> Self {
        let candles = TableFold::new(&TS_CANDLES, wanted.clone());
        Self { candles, quotes: TableFold::new(&TS_BEST_QUOTES, wanted) }
    }

    pub(super) fn add(&mut self, venue: &str, instrument: &str, market: Market) {
        let (venue, instrument) = (clean(venue), clean(instrument));
        if let Some((at, (bid, ask))) = &market.quote {
            self.quotes.row(&RangeKey::Named(venue.to_string()), |row| {
                row.text(&venue);
                row.text(&instrument);
                for level in [bid, ask] {
                    row.opt_amount(level.map(|(price, _)| price));
                    row.opt_amount(level.map(|(_, quantity)| quantity));
                }
                row.time_us(at.at_us);
                row.int(at.partition.into());
                row.int(at.offset);
            });
        }
        let mut finer = market.seconds;
        for (name, length_us) in INTERVALS {
            let mut candles = BTreeMap::new();
            for (begin_us, candle) in finer {
                add(&mut candles, begin_us - begin_us.rem_euclid(length_us), candle);
            }
            let range = RangeKey::Named(format!("{venue} {instrument} {name}"));
            for (begin_us, candle) in &candles {
                self.candles.row(&range, |row| {
                    row.text(&venue);
                    row.text(&instrument);
                    row.text(name);
                    row.time_us(*begin_us);
                    for price in [candle.first.2, candle.high, candle.low, candle.last.2] {
                        row.amount(price.into());
                    }
                    row.amount(candle.volume);
                    row.int(candle.trades);
                    for (at_us, trade_id, _) in [candle.first, candle.last] {
                        row.time_us(at_us);
                        row.int(trade_id);
                    }
                });
            }
            finer = candles;
        }
    }

    pub(super) fn into_tables(self) -> [TableFold; 2] {
        [self.candles, self.quotes]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By the definition: sort, then look at both ends.
    fn by_definition(trades: &[(i64, i64, i64, i64)]) -> Candle {
        let mut sorted: Vec<_> = trades.iter().map(|(at, id, price, _)| (*at, *id, *price)).collect();
        sorted.sort_unstable();
        Candle {
            first: sorted[0],
            last: *sorted.last().unwrap(),
            high: trades.iter().map(|trade| trade.2).max().unwrap(),
            low: trades.iter().map(|trade| trade.2).min().unwrap(),
            volume: trades.iter().map(|trade| i128::from(trade.3)).sum(),
            trades: trades.len() as i64,
        }
    }

    proptest! {
        #[test]
        fn a_candle_is_the_fold_of_its_trades_in_any_order(
            trades in proptest::collection::vec((0..1_000_000_i64, 0..4_i64, 1..9_i64, 1..9_i64), 1..20),
        ) {
            let mut market = Market::default();
            trades.iter().for_each(|(at, id, price, quantity)| market.trade(*at, *id, *price, *quantity));
            prop_assert_eq!(market.seconds.into_values().collect::<Vec<_>>(), vec![by_definition(&trades)]);
        }
    }
}
