//! The last 24 hours of an instrument, by whole minutes: open, high, low, volume, number of trades.

use super::candle::{Candle, Trade, bucket};
use std::collections::VecDeque;
use tapeline_domain::types::Units;

/// Length of a bucket, milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// What the window covers, milliseconds.
const DAY_MS: i64 = 86_400_000;

/// A rolling window over minutes. It covers the present minute and the 1,439 before it.
#[derive(Debug, Default)]
pub struct Day {
    minutes: VecDeque<Candle>,
    last: Option<Units>,
    high: Units,
    low: Units,
    volume: i128,
    trades: i64,
}

impl Day {
    /// Adds minutes that are older than all that is there, or a minute's other trades.
    pub fn add(&mut self, minute: Candle) {
        (self.volume, self.trades) = (self.volume + minute.volume, self.trades + minute.trades);
        match self.minutes.is_empty() {
            true => (self.high, self.low) = (minute.high, minute.low),
            false => (self.high, self.low) = (self.high.max(minute.high), self.low.min(minute.low)),
        }
        let place = self.minutes.partition_point(|at| at.bucket_ms < minute.bucket_ms);
        match self.minutes.get_mut(place) {
            Some(same) if same.bucket_ms == minute.bucket_ms => same.merge(&minute),
            _ => self.minutes.insert(place, minute),
        }
        self.last = self.minutes.back().map(|newest| newest.close);
    }

    /// Adds a trade.
    pub fn trade(&mut self, trade: &Trade) {
        self.add(Candle::of(trade, MINUTE_MS));
    }

    /// Lets minutes go that are older than a day at `now_ms`; whether any did.
    pub fn advance(&mut self, now_ms: i64) -> bool {
        let first_ms = bucket(now_ms, MINUTE_MS) + MINUTE_MS - DAY_MS;
        let before = self.minutes.len();
        while let Some(oldest) = self.minutes.front().filter(|oldest| oldest.bucket_ms < first_ms) {
            (self.volume, self.trades) = (self.volume - oldest.volume, self.trades - oldest.trades);
            self.minutes.pop_front();
        }
        let moved = self.minutes.len() != before;
        if moved {
            self.high = self.minutes.iter().map(|minute| minute.high).max().unwrap_or(0);
            self.low = self.minutes.iter().map(|minute| minute.low).min().unwrap_or(0);
        }
        moved
    }

    /// Price of the newest trade, however old.
    pub const fn last(&self) -> Option<Units> {
        self.last
    }

    /// Open, high and low of the window; none without a trade.
    pub fn prices(&self) -> Option<[Units; 3]> {
        self.minutes.front().map(|oldest| [oldest.open, self.high, self.low])
    }

    /// Volume and number of trades.
    pub const fn volume(&self) -> (i128, i64) {
        (self.volume, self.trades)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(trades: &[(i64, Units)]) -> Day {
        let mut day = Day::default();
        for (trade_id, (minute, price)) in trades.iter().enumerate() {
            let trade_id = trade_id as i64;
            day.trade(&Trade { trade_id, price: *price, quantity: 10, time_ms: minute * MINUTE_MS + trade_id });
        }
        day
    }

    #[test]
    fn minutes_leave_after_a_day_and_take_their_extremes_with_them() {
        let mut day = day(&[(0, 5), (0, 9), (1, 7), (700, 6), (1_439, 8)]);
        assert_eq!((day.prices(), day.volume(), day.last()), (Some([5, 9, 5]), (50, 5), Some(8)));
        assert!(!day.advance(1_439 * MINUTE_MS + 59_999));
        assert!(day.advance(1_440 * MINUTE_MS));
        assert_eq!((day.prices(), day.volume()), (Some([7, 8, 6]), (30, 3)));
        assert!(day.advance(10_000 * MINUTE_MS));
        assert_eq!((day.prices(), day.volume(), day.last()), (None, (0, 0), Some(8)));
    }

    #[test]
    fn older_minutes_may_come_later_as_when_the_past_is_loaded() {
        let mut day = day(&[(10, 5)]);
        let past = Trade { trade_id: -1, price: 3, quantity: 4, time_ms: 9 * MINUTE_MS };
        day.add(Candle::of(&past, MINUTE_MS));
        assert_eq!((day.prices(), day.volume(), day.last()), (Some([3, 5, 3]), (14, 2), Some(5)));
    }
}
