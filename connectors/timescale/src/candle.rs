//! Candles, merged in any order: one code for own trades and those of outside venues.
//!
//! [`Candle::merge`] is commutative and associative; `sql/merge/candles.sql` does the same in the database.

use std::collections::HashMap;
use std::hash::Hash;

/// Name and length in microseconds of each interval, the finest first; each is a whole multiple of the one before.
pub(crate) const INTERVALS: [(&str, i64); 5] =
    [("1s", 1_000_000), ("1m", 60_000_000), ("5m", 300_000_000), ("1h", 3_600_000_000), ("1d", 86_400_000_000)];

/// Prices and quantities in units of 10^-8, times in microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candle {
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) volume: i128,
    pub(crate) trades: i64,
    /// Time and trade id of the trade that gave `open`.
    pub(crate) first: (i64, i64),
    /// Time and trade id of the trade that gave `close`.
    pub(crate) last: (i64, i64),
}

impl Candle {
    /// The candle of a single trade.
    pub(crate) fn of_trade(at_us: i64, trade_id: i64, price: i64, quantity: i64) -> Self {
        let at = (at_us, trade_id);
        let volume = i128::from(quantity);
        Self { open: price, high: price, low: price, close: price, volume, trades: 1, first: at, last: at }
    }

    /// Adds the trades of `other`. Open belongs to the earliest trade, close to the latest, by time and then trade id;
    /// the price decides last, so that even a venue that repeats an id gets the same candle in any order.
    pub(crate) fn merge(&mut self, other: &Self) {
        if (other.first, other.open) < (self.first, self.open) {
            (self.first, self.open) = (other.first, other.open);
        }
        if (other.last, other.close) > (self.last, self.close) {
            (self.last, self.close) = (other.last, other.close);
        }
        self.high = self.high.max(other.high);
        self.low = self.low.min(other.low);
        self.volume += other.volume;
        self.trades += other.trades;
    }
}

/// The begin of the interval of `length_us` that `at_us` lies in.
pub(crate) const fn bucket(at_us: i64, length_us: i64) -> i64 {
    at_us.div_euclid(length_us) * length_us
}

/// Adds `candle` to the one at `key`.
pub(crate) fn add<K: Eq + Hash>(candles: &mut HashMap<K, Candle>, key: K, candle: Candle) {
    match candles.entry(key) {
        std::collections::hash_map::Entry::Occupied(mut found) => found.get_mut().merge(&candle),
        std::collections::hash_map::Entry::Vacant(free) => {
            free.insert(candle);
        }
    }
}

/// Candles of the next interval from those of a finer one; the last part of the key is the bucket, microseconds.
pub(crate) fn coarser<K: Eq + Hash + Copy>(
    finer: &HashMap<(K, i64), Candle>,
    length_us: i64,
) -> HashMap<(K, i64), Candle> {
    let mut coarse = HashMap::new();
    for ((key, at_us), candle) in finer {
        add(&mut coarse, (*key, bucket(*at_us, length_us)), candle.clone());
    }
    coarse
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(trades: &[(i64, i64, i64, i64)]) -> Option<Candle> {
        let mut candles = trades.iter().map(|(at, id, price, quantity)| Candle::of_trade(*at, *id, *price, *quantity));
        let mut whole = candles.next()?;
        candles.for_each(|candle| whole.merge(&candle));
        Some(whole)
    }

    #[test]
    fn open_is_the_earliest_trade_and_close_the_latest() {
        let candle = merged(&[(20, 2, 7, 1), (10, 1, 5, 2), (20, 3, 6, 4)]).unwrap();
        let expected =
            Candle { open: 5, high: 7, low: 5, close: 6, volume: 7, trades: 3, first: (10, 1), last: (20, 3) };
        assert_eq!(candle, expected);
    }

    #[test]
    fn buckets_begin_at_whole_intervals_before_the_epoch_too() {
        assert_eq!(bucket(1_570_752_011_620_000, 60_000_000), 1_570_752_000_000_000);
        assert_eq!(bucket(-1, 1_000_000), -1_000_000);
    }

    #[test]
    fn each_interval_is_a_multiple_of_the_one_before() {
        assert!(INTERVALS.windows(2).all(|pair| pair[1].1 % pair[0].1 == 0));
    }

    proptest! {
        /// Any order and any cut of the trades gives the same candle, repeated times and ids included.
        #[test]
        fn merging_is_commutative_and_associative(
            trades in proptest::collection::vec((0..4i64, 0..4i64, 1..9i64, 1..9i64), 2..20),
            cut in 1..19usize,
        ) {
            let forward = merged(&trades);
            let backward: Vec<_> = trades.iter().rev().copied().collect();
            prop_assert_eq!(&merged(&backward), &forward);
            let (left, right) = trades.split_at(cut.min(trades.len() - 1));
            let mut halves = merged(right).unwrap();
            halves.merge(&merged(left).unwrap());
            prop_assert_eq!(Some(halves), forward);
        }
    }
}
