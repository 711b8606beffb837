//! A book as a plain queue at each price: checks price-time priority and that quotes never cross.
//!
//! Icebergs give up their time with each slice, which the events do not show: among themselves and against others they
//! are held to price priority only.

use super::FastMap;
use crate::verify::records::OrderState;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use tapeline_schemas::wire::{OrderStatus, Side};

/// What rests in one book: quantity by price, hidden quantity included, units of 10^-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingBook {
    /// The instrument.
    pub instrument: SmolStr,
    /// Bids, lowest price first.
    pub bids: BTreeMap<i64, i64>,
    /// Asks, lowest price first.
    pub asks: BTreeMap<i64, i64>,
    /// Trades so far.
    pub trades: u64,
}

struct Resting {
    side: Side,
    price: i64,
    leaves: i64,
    entered: u64,
    is_iceberg: bool,
}

/// A book.
#[derive(Default)]
pub(super) struct Book {
    resting: FastMap<i64, Resting>,
    /// Orders by entry number, by price and side: the queue of each level.
    levels: [BTreeMap<i64, BTreeMap<u64, i64>>; 2],
    entries: u64,
    pub(super) trades: u64,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Sell)
}

impl Book {
    fn leave(&mut self, order_id: i64) -> Option<u64> {
        let gone = self.resting.remove(&order_id)?;
        let levels = &mut self.levels[index(gone.side)];
        if let Some(level) = levels.get_mut(&gone.price) {
            level.remove(&gone.entered);
            if level.is_empty() {
                levels.remove(&gone.price);
            }
        }
        Some(gone.entered)
    }

    /// Takes over the order's new state. It enters at the end of its level's queue unless it was there and keeps its place.
    pub(super) fn update(&mut self, order: &OrderState<'_>, keeps_place: bool, is_iceberg: bool) {
        self.entries += 1;
        let rests = matches!(order.status, OrderStatus::Open | OrderStatus::PartlyFilled) && order.leaves > 0;
        if let Some(resting) = self.resting.get_mut(&order.order_id)
            && rests
            && keeps_place
            && (resting.side, resting.price) == (order.side, order.price)
        {
            resting.leaves = order.leaves;
            return;
        }
        let before = self.leave(order.order_id);
        if rests {
            let entered = before.filter(|_| keeps_place).unwrap_or(self.entries);
            self.levels[index(order.side)].entry(order.price).or_default().insert(entered, order.order_id);
            let (side, price, leaves) = (order.side, order.price, order.leaves);
            self.resting.insert(order.order_id, Resting { side, price, leaves, entered, is_iceberg });
        }
    }

    /// Whether the maker of a trade was the first of its side; `taker_id` is out of the book for this.
    pub(super) fn check_maker(&mut self, maker: &OrderState<'_>, taker_id: i64) -> Result<(), String> {
        self.leave(taker_id);
        let levels = &self.levels[index(maker.side)];
        let best = match maker.side {
            Side::Sell => levels.first_key_value(),
            _ => levels.last_key_value(),
        };
        let Some((price, queue)) = best else { return Err("it did not rest".into()) };
        if *price != maker.price {
            return Err(format!("it rests at {}, the best price is {price}", maker.price));
        }
        let is_iceberg = |id: &i64| self.resting.get(id).is_some_and(|resting| resting.is_iceberg);
        let first_plain = queue.values().find(|id| !is_iceberg(id));
        if !is_iceberg(&maker.order_id) && first_plain != Some(&maker.order_id) {
            return Err(format!("order {first_plain:?} came before it at {price}"));
        }
        Ok(())
    }

    /// What rests.
    pub(super) fn resting(&self, instrument: &SmolStr) -> RestingBook {
        let depth = |side: &BTreeMap<i64, BTreeMap<u64, i64>>| {
            let leaves = |id: &i64| self.resting.get(id).map_or(0, |resting| resting.leaves);
            side.iter().map(|(price, queue)| (*price, queue.values().map(leaves).sum())).collect()
        };
        let (bids, asks) = (depth(&self.levels[0]), depth(&self.levels[1]));
        RestingBook { instrument: instrument.clone(), bids, asks, trades: self.trades }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapeline_schemas::wire::{OrderType, TimeInForce};

    fn order(order_id: i64, side: Side, price: i64, leaves: i64) -> OrderState<'static> {
        OrderState {
            order_id,
            account: "a",
            client_order_id: "c",
            instrument: "X-USD",
            base_asset: "X",
            quote_asset: "USD",
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            price,
            stop_price: None,
            quantity: leaves,
            filled: 0,
            leaves,
            status: if leaves == 0 { OrderStatus::Filled } else { OrderStatus::Open },
            maker_fee_ppm: 0,
            taker_fee_ppm: 0,
            reserved_before: 0,
            reserved_after: 0,
        }
    }

    #[test]
    fn an_order_that_gave_its_place_up_is_not_first_any_more() {
        let mut book = Book::default();
        book.update(&order(1, Side::Sell, 10, 5), true, false);
        book.update(&order(2, Side::Sell, 10, 5), true, false);
        assert!(book.check_maker(&order(2, Side::Sell, 10, 0), 9).is_err_and(|why| why.contains("Some(1)")));
        book.update(&order(1, Side::Sell, 10, 5), false, false);
        assert_eq!(book.check_maker(&order(2, Side::Sell, 10, 0), 9), Ok(()));
    }

    #[test]
    fn a_better_price_comes_first() {
        let mut book = Book::default();
        book.update(&order(1, Side::Buy, 10, 5), true, false);
        book.update(&order(2, Side::Buy, 11, 5), true, false);
        assert!(book.check_maker(&order(1, Side::Buy, 10, 0), 9).is_err_and(|why| why.contains("best price is 11")));
        book.update(&order(2, Side::Buy, 11, 0), true, false);
        assert_eq!(book.check_maker(&order(1, Side::Buy, 10, 0), 9), Ok(()));
        assert_eq!(book.resting(&"X-USD".into()).bids, BTreeMap::from([(10, 5)]));
    }

    proptest! {
        /// Of orders in any order, the maker that holds is the one of the best price that came first, and no other.
        #[test]
        fn price_time_priority(prices in proptest::collection::vec(1..4_i64, 1..12)) {
            let mut book = Book::default();
            for (id, price) in (0..).zip(&prices) {
                book.update(&order(id, Side::Sell, *price, 1), true, false);
            }
            let best = prices.iter().min().unwrap();
            let first = prices.iter().position(|price| price == best).unwrap() as i64;
            for (id, price) in (0..).zip(&prices) {
                prop_assert_eq!(book.check_maker(&order(id, Side::Sell, *price, 0), 99).is_ok(), id == first);
            }
        }
    }
}
