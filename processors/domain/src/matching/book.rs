//! One instrument: price levels with their queues, waiting stops, and the best displayed quotes.

use super::order::{Order, key_price, price_key};
use super::store::{List, Slot, Store};
use crate::execution::{Level, OrderStatus};
use crate::image::{Damaged, Field, Source};
use crate::types::{MAX_UNITS, Side, Units};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// Best displayed bid and ask.
pub(super) type Quotes = (Option<Level>, Option<Level>);

/// The book of one instrument. From outside it can be read only.
#[derive(Debug)]
pub struct Book {
    symbol: SmolStr,
    bids: Ladder,
    asks: Ladder,
    /// Waiting stops by (trigger key, entry), where the key of a buy is its stop price and of a sale its negative:
    /// what a trade elects stands in front.
    buy_stops: BTreeSet<(i64, u64, Slot)>,
    sell_stops: BTreeSet<(i64, u64, Slot)>,
    last_price: Option<Units>,
    /// Lowest and highest trade price since stops were elected last.
    prints: Option<(Units, Units)>,
    /// The quotes told last.
    told: Quotes,
}

impl Book {
    pub(super) fn new(symbol: SmolStr) -> Self {
        Self {
            symbol,
            bids: Ladder::new(Side::Buy),
            asks: Ladder::new(Side::Sell),
            buy_stops: BTreeSet::new(),
            sell_stops: BTreeSet::new(),
            last_price: None,
            prints: None,
            told: (None, None),
        }
    }

    /// The instrument.
    pub fn symbol(&self) -> &SmolStr {
        &self.symbol
    }

    /// Highest bid price and what shows at it.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.depth().next()
    }

    /// Lowest ask price and what shows at it.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.depth().next()
    }

    /// The best `levels` levels of a side with what shows at each, best first.
    pub fn depth(&self, side: Side, levels: usize) -> Vec<Level> {
        self.ladder(side).depth().take(levels).collect()
    }

    /// How many orders rest in the book. Waiting stops don't count.
    pub fn order_count(&self) -> usize {
        self.bids.orders + self.asks.orders
    }

    /// How many stop orders wait for their price.
    pub fn waiting_count(&self) -> usize {
        self.buy_stops.len() + self.sell_stops.len()
    }

    /// Price of the last trade, if there was one.
    pub fn last_price(&self) -> Option<Units> {
        self.last_price
    }

    pub(super) const fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    pub(super) const fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    pub(super) fn record_trade(&mut self, price: Units) {
        self.last_price = Some(price);
        let (low, high) = self.prints.unwrap_or((price, price));
        self.prints = Some((low.min(price), high.max(price)));
    }

    /// Whether the last trade price has reached the order's stop price.
    pub(super) fn has_reached(&self, order: &Order) -> bool {
        let Some(last_price) = self.last_price else { return false };
        trigger_key(order) <= price_key(order.state.side.opposite(), last_price)
    }

    /// A stop begins to wait.
    pub(super) fn wait(&mut self, orders: &Store, slot: Slot) {
        let order = &orders[slot];
        self.stops_mut(order.state.side).insert((trigger_key(order), order.entry, slot));
    }

    /// Takes the stops out that the trades since the last call have elected, in the order in which they came in.
    pub(super) fn elect(&mut self, elected: &mut impl Extend<Slot>) {
        let Some((low, high)) = self.prints.take() else { return };
        let mut found: Vec<(u64, Slot)> = Vec::new();
        for (side, price) in [(Side::Buy, high), (Side::Sell, low)] {
            let reached = price_key(side.opposite(), price);
            let stops = self.stops_mut(side);
            while let Some((key, entry, slot)) = stops.first().copied()
                && key <= reached
            {
                stops.pop_first();
                found.push((entry, slot));
            }
        }
        found.sort_unstable();
        elected.extend(found.into_iter().map(|(_, slot)| slot));
    }

    /// Takes a resting or waiting order out.
    pub(super) fn detach(&mut self, orders: &mut Store, slot: Slot) {
        let order = &orders[slot];
        let side = order.state.side;
        if order.state.status == OrderStatus::Waiting {
            let key = (trigger_key(order), order.entry, slot);
            self.stops_mut(side).remove(&key);
        } else {
            self.ladder_mut(side).remove(orders, slot);
        }
    }

    /// The best quotes, if they differ from what this told last.
    pub(super) fn changed_quotes(&mut self) -> Option<Quotes> {
        let quotes = (self.best_bid(), self.best_ask());
        if quotes == self.told {
            return None;
        }
        self.told = quotes;
        Some(quotes)
    }

    /// What an image holds of a book beside its orders.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.symbol.put(out);
        self.last_price.put(out);
        self.told.put(out);
    }

    /// The book without its orders.
    pub(super) fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let mut book = Self::new(Field::get(from)?);
        book.last_price = Field::get(from)?;
        book.told = Field::get(from)?;
        Ok(book)
    }

    const fn stops_mut(&mut self, side: Side) -> &mut BTreeSet<(i64, u64, Slot)> {
        match side {
            Side::Buy => &mut self.buy_stops,
            Side::Sell => &mut self.sell_stops,
        }
    }
}

/// Sort key of a waiting stop: reached when not above the key of a trade price.
fn trigger_key(order: &Order) -> i64 {
    price_key(order.state.side.opposite(), order.state.stop_price.unwrap_or_default())
}

/// One side of a book: queues by price key, best first.
#[derive(Debug)]
pub(super) struct Ladder {
    side: Side,
    levels: BTreeMap<i64, Queue>,
    orders: usize,
}

/// The orders at one price, earliest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) list: List,
    /// Sum of the displayed slices; in 128 bits, as nothing bounds the number of orders.
    displayed: i128,
}

impl Ladder {
    const fn new(side: Side) -> Self {
        Self { side, levels: BTreeMap::new(), orders: 0 }
    }

    /// Key of the best price and the order that is first there.
    pub(super) fn first(&self) -> Option<(i64, Slot)> {
        let (key, queue) = self.levels.first_key_value()?;
        Some((*key, queue.list.head()?))
    }

    /// Takes over an order of an image, whose neighbours in its queue are its store's affair. False if another is first there.
    pub(super) fn adopt(&mut self, order: &Order, slot: Slot, is_first: bool, is_last: bool) -> bool {
        let queue = self.levels.entry(price_key(self.side, order.state.price)).or_default();
        if is_first && !queue.list.is_empty() {
            return false;
        }
        if is_first {
            queue.list.set_head(slot);
        }
        if is_last {
            queue.list.set_tail(slot);
        }
        queue.displayed += i128::from(order.displayed);
        self.orders += 1;
        true
    }

    /// Queues at `limit_key` or better, best first.
    pub(super) fn up_to(&self, limit_key: i64) -> impl Iterator<Item = &Queue> {
        self.levels.range(..=limit_key).map(|(_, queue)| queue)
    }

    /// Puts an order at the back of its price level, where its next slice shows.
    pub(super) fn push(&mut self, orders: &mut Store, slot: Slot) {
        let order = &mut orders[slot];
        order.displayed = order.slice();
        let queue = self.levels.entry(price_key(self.side, order.state.price)).or_default();
        queue.displayed += i128::from(order.displayed);
        orders.enqueue(&mut queue.list, slot);
        self.orders += 1;
    }

    /// After a trade of `quantity` with the order's displayed slice: the next slice goes to the back, an order with
    /// nothing left goes.
    pub(super) fn consume(&mut self, orders: &mut Store, slot: Slot, quantity: Units) {
        let order = &mut orders[slot];
        if order.displayed == quantity {
            let lives_on = order.state.leaves > 0;
            self.remove(orders, slot);
            if lives_on {
                self.push(orders, slot);
            }
        } else {
            order.displayed -= quantity;
            if let Some(queue) = self.levels.get_mut(&price_key(self.side, order.state.price)) {
                queue.displayed -= i128::from(quantity);
            }
        }
    }

    /// After the order lost some of its leaves in place: hidden quantity goes first, then what shows.
    pub(super) fn shrink(&mut self, orders: &mut Store, slot: Slot) {
        let order = &mut orders[slot];
        let excess = order.displayed - order.displayed.min(order.state.leaves);
        order.displayed -= excess;
        if let Some(queue) = self.levels.get_mut(&price_key(self.side, order.state.price)) {
            queue.displayed -= i128::from(excess);
        }
    }

    fn remove(&mut self, orders: &mut Store, slot: Slot) {
        let order = &mut orders[slot];
        let key = price_key(self.side, order.state.price);
        let displayed = std::mem::take(&mut order.displayed);
        if let Some(queue) = self.levels.get_mut(&key) {
            queue.displayed -= i128::from(displayed);
            orders.dequeue(&mut queue.list, slot);
            self.orders -= 1;
            if queue.list.is_empty() {
                self.levels.remove(&key);
            }
        }
    }

    /// A sum too large for a topic is told as the largest that fits.
    fn depth(&self) -> impl Iterator<Item = Level> {
        self.levels.iter().map(|(key, queue)| Level {
            price: key_price(self.side, *key),
            quantity: queue.displayed.min(i128::from(MAX_UNITS)) as Units,
        })
    }
}
