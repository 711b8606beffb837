//! One instrument: price levels with their queues, waiting stops, and the best displayed quotes.

use super::order::{Order, key_price, price_key};
use super::store::{List, Slot, Store};
use crate::depth::{DepthKind, DepthUpdate, level_checksum};
use crate::execution::{Level, OrderStatus};
use crate::image::{Damaged, Field, Source};
use crate::types::{MAX_UNITS, Side, TimeMs, Units};
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
    /// How many changes of what shows have been told.
    depth_sequence: i64,
    /// Of all levels as told last, see [`crate::depth::level_checksum`].
    checksum: u32,
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
            depth_sequence: 0,
            checksum: 0,
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

    /// What changed of the book that shows since this told it last, if anything did.
    pub(super) fn changed_depth(&mut self, kind: DepthKind, validated_at_ms: TimeMs) -> Option<DepthUpdate> {
        let (bids, of_bids) = self.bids.take_changes();
        let (asks, of_asks) = self.asks.take_changes();
        if bids.is_empty() && asks.is_empty() {
            return None;
        }
        self.depth_sequence += 1;
        self.checksum = self.checksum.wrapping_add(of_bids).wrapping_add(of_asks);
        Some(self.depth_update(kind, bids, asks, validated_at_ms))
    }

    /// All of the book that shows, in parts of at most `part_levels` levels. To be called when no change is untold.
    pub(super) fn depth_snapshot(&self, part_levels: usize, now_ms: TimeMs) -> impl Iterator<Item = DepthUpdate> {
        let levels = |ladder: &Ladder| ladder.depth().map(|level| (ladder.side, level)).collect::<Vec<_>>();
        let all = [levels(&self.bids), levels(&self.asks)].concat();
        let parts = all.len().div_ceil(part_levels).max(1);
        (0..parts).map(move |part| {
            let levels = all.iter().skip(part * part_levels).take(part_levels);
            let of = |side| levels.clone().filter(|(of, _)| *of == side).map(|(_, level)| *level).collect();
            let kind = DepthKind::Snapshot { part: part as i32, parts: parts as i32 };
            self.depth_update(kind, of(Side::Buy), of(Side::Sell), now_ms)
        })
    }

    fn depth_update(
        &self,
        kind: DepthKind,
        bids: Vec<Level>,
        asks: Vec<Level>,
        validated_at_ms: TimeMs,
    ) -> DepthUpdate {
        let (instrument, sequence, checksum) = (self.symbol.clone(), self.depth_sequence, self.checksum);
        DepthUpdate { instrument, kind, sequence, bids, asks, checksum, validated_at_ms }
    }

    /// How many changes of what shows have been told.
    pub(super) const fn depth_sequence(&self) -> i64 {
        self.depth_sequence
    }

    /// Takes over how many changes had been told when an image was made of it. All its orders are back.
    pub(super) fn resume_depth(&mut self, sequence: i64) {
        let sum = |ladder: &Ladder| {
            let checksums = ladder.depth().map(|level| level_checksum(ladder.side, level));
            checksums.fold(0, u32::wrapping_add)
        };
        self.depth_sequence = sequence;
        self.checksum = sum(&self.bids).wrapping_add(sum(&self.asks));
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
    /// Keys of levels that changed since that was told last, each with what showed there before; a key may be there again
    /// with what showed in between.
    touched: Vec<(i64, Units)>,
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
        Self { side, levels: BTreeMap::new(), orders: 0, touched: Vec::new() }
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
        let key = price_key(self.side, order.state.price);
        let queue = self.levels.entry(key).or_default();
        touch(&mut self.touched, key, queue);
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
            let key = price_key(self.side, order.state.price);
            if let Some(queue) = self.levels.get_mut(&key) {
                touch(&mut self.touched, key, queue);
                queue.displayed -= i128::from(quantity);
            }
        }
    }

    /// After the order lost some of its leaves in place: hidden quantity goes first, then what shows.
    pub(super) fn shrink(&mut self, orders: &mut Store, slot: Slot) {
        let order = &mut orders[slot];
        let excess = order.displayed - order.displayed.min(order.state.leaves);
        order.displayed -= excess;
        let key = price_key(self.side, order.state.price);
        if let Some(queue) = self.levels.get_mut(&key) {
            touch(&mut self.touched, key, queue);
            queue.displayed -= i128::from(excess);
        }
    }

    fn remove(&mut self, orders: &mut Store, slot: Slot) {
        let order = &mut orders[slot];
        let key = price_key(self.side, order.state.price);
        let displayed = std::mem::take(&mut order.displayed);
        if let Some(queue) = self.levels.get_mut(&key) {
            touch(&mut self.touched, key, queue);
            queue.displayed -= i128::from(displayed);
            orders.dequeue(&mut queue.list, slot);
            self.orders -= 1;
            if queue.list.is_empty() {
                self.levels.remove(&key);
            }
        }
    }

    fn depth(&self) -> impl Iterator<Item = Level> {
        self.levels.iter().map(|(key, queue)| Level { price: key_price(self.side, *key), quantity: queue.shown() })
    }

    /// Levels whose shown quantity differs from what was told last, best first, and what that adds to the checksum.
    fn take_changes(&mut self) -> (Vec<Level>, u32) {
        // A stable sort: of several entries for a key the first has what was told.
        self.touched.sort_by_key(|(key, _)| *key);
        self.touched.dedup_by_key(|(key, _)| *key);
        let (mut changes, mut checksum) = (Vec::new(), 0_u32);
        for (key, before) in self.touched.drain(..) {
            let price = key_price(self.side, key);
            let now = self.levels.get(&key).map_or(0, Queue::shown);
            if now == before {
                continue;
            }
            let of = |quantity| if quantity == 0 { 0 } else { level_checksum(self.side, Level { price, quantity }) };
            checksum = checksum.wrapping_add(of(now)).wrapping_sub(of(before));
            changes.push(Level { price, quantity: now });
        }
        (changes, checksum)
    }
}

impl Queue {
    /// A sum too large for a topic is told as the largest that fits.
    fn shown(&self) -> Units {
        self.displayed.min(i128::from(MAX_UNITS)) as Units
    }
}

/// Notes that a level is about to change.
fn touch(touched: &mut Vec<(i64, Units)>, key: i64, queue: &Queue) {
    if touched.last().is_none_or(|(last, _)| *last != key) {
        touched.push((key, queue.shown()));
    }
}
