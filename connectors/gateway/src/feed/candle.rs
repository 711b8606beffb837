//! Running candles. Folded as `connectors/timescale/src/candle.rs` folds them, so that a live candle ends as the view has it:
//! open belongs to the earliest trade, close to the latest, by time and then trade id.

use tapeline_domain::types::Units;

/// Name and length in milliseconds of each interval.
pub const INTERVALS: [(&str, i64); 5] =
    [("1s", 1_000), ("1m", 60_000), ("5m", 300_000), ("1h", 3_600_000), ("1d", 86_400_000)];

/// A trade, as far as prices are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Identity; it rises within the instrument.
    pub trade_id: i64,
    /// Price, in units of 10^-8.
    pub price: Units,
    /// Quantity, in units of 10^-8.
    pub quantity: Units,
    /// The execution's own time, milliseconds since the Unix epoch.
    pub time_ms: i64,
}

/// Prices and quantities of an interval, in units of 10^-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// When the interval begins, milliseconds since the Unix epoch.
    pub bucket_ms: i64,
    /// Price of the earliest trade.
    pub open: Units,
    /// Highest price.
    pub high: Units,
    /// Lowest price.
    pub low: Units,
    /// Price of the latest trade.
    pub close: Units,
    /// Sum of quantities.
    pub volume: i128,
    /// Number of trades.
    pub trades: i64,
    /// Time and id of the trade that gave `open`.
    pub first: (i64, i64),
    /// Time and id of the trade that gave `close`.
    pub last: (i64, i64),
}

/// The begin of the interval of `length_ms` that `time_ms` lies in.
pub const fn bucket(time_ms: i64, length_ms: i64) -> i64 {
    time_ms.div_euclid(length_ms) * length_ms
}

impl Candle {
    /// The candle of a single trade.
    pub fn of(trade: &Trade, length_ms: i64) -> Self {
        let (at, price) = ((trade.time_ms, trade.trade_id), trade.price);
        Self {
            bucket_ms: bucket(trade.time_ms, length_ms),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: i128::from(trade.quantity),
            trades: 1,
            first: at,
            last: at,
        }
    }

    /// Adds the trades of `other`, which lie in the same interval.
    pub fn merge(&mut self, other: &Self) {
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

/// The candle of the present interval, and the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// The interval of the newest trade.
    pub current: Option<Candle>,
    /// The one before, which got its last trade: shown once more, for a client may have seen it unfinished.
    pub closed: Option<Candle>,
}

impl Running {
    /// Adds a trade. One that is older than the present interval changes nothing: an instrument's trades come in the order of
    /// their times, for they come from one partition, whose times the broker sets.
    pub fn add(&mut self, candle: Candle) {
        match &mut self.current {
            Some(current) if current.bucket_ms == candle.bucket_ms => current.merge(&candle),
            Some(current) if current.bucket_ms > candle.bucket_ms => {}
            _ => self.closed = self.current.replace(candle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trade(time_ms: i64, trade_id: i64, price: Units, quantity: Units) -> Trade {
        Trade { trade_id, price, quantity, time_ms }
    }

    #[test]
    fn open_is_the_earliest_trade_and_close_the_latest() {
        let mut candle = Candle::of(&trade(1_020, 2, 7, 1), 1_000);
        candle.merge(&Candle::of(&trade(1_010, 1, 5, 2), 1_000));
        candle.merge(&Candle::of(&trade(1_020, 3, 6, 4), 1_000));
        let expected = Candle {
            bucket_ms: 1_000,
            open: 5,
            high: 7,
            low: 5,
            close: 6,
            volume: 7,
            trades: 3,
            first: (1_010, 1),
            last: (1_020, 3),
        };
        assert_eq!(candle, expected);
    }

    #[test]
    fn a_new_interval_closes_the_one_before_and_older_trades_change_nothing() {
        let mut running = Running::default();
        for (time_ms, id) in [(1_500, 1), (1_900, 2), (3_000, 3), (2_999, 4)] {
            running.add(Candle::of(&trade(time_ms, id, 100 + id, 1), 1_000));
        }
        let shown = |candle: &Option<Candle>| candle.as_ref().map(|at| (at.bucket_ms, at.open, at.close, at.trades));
        assert_eq!(shown(&running.closed), Some((1_000, 101, 102, 2)));
        assert_eq!(shown(&running.current), Some((3_000, 103, 103, 1)));
    }

    proptest! {
        /// What a client saw last of each interval is the fold of the interval's trades, in whatever order the view folds them.
        #[test]
        fn each_interval_ends_as_the_fold_of_its_trades(
            steps in proptest::collection::vec((0..700i64, 1..9i64, 1..9i64), 1..60),
        ) {
            let (mut now, mut trades) = (0, Vec::new());
            for (id, (step, price, quantity)) in steps.into_iter().enumerate() {
                now += step;
                trades.push(trade(now, id as i64, price, quantity));
            }
            for (_, length_ms) in INTERVALS {
                let (mut running, mut seen) = (Running::default(), std::collections::BTreeMap::new());
                for at in &trades {
                    running.add(Candle::of(at, length_ms));
                    let shown = running.closed.iter().chain(&running.current);
                    seen.extend(shown.map(|candle| (candle.bucket_ms, candle.clone())));
                }
                let mut folded = std::collections::BTreeMap::new();
                for at in trades.iter().rev() {
                    let candle = Candle::of(at, length_ms);
                    folded.entry(candle.bucket_ms).and_modify(|at: &mut Candle| at.merge(&candle)).or_insert(candle);
                }
                prop_assert_eq!(seen, folded);
            }
        }
    }
}
