//! One order: how its quantities, its status and its reservation move.

use super::store::Link;
use crate::accepted::{Accepted, OrderTerms};
use crate::execution::{OrderState, OrderStatus};
use crate::money;
use crate::types::{MAX_UNITS, OrderType, SelfTradePrevention, Side, TimeInForce, TimeMs, Units};

/// An order in hand or in the store.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// What events tell of it. `reserved_after` is what is reserved now.
    pub(super) state: OrderState,
    pub(super) account: u32,
    pub(super) book: u32,
    /// When it came in, as a sequence over all books.
    pub(super) entry: u64,
    /// The slice that shows and can trade while it rests; zero otherwise.
    pub(super) displayed: Units,
    /// Iceberg: largest slice.
    pub(super) display_quantity: Option<Units>,
    pub(super) expires_at_ms: Option<TimeMs>,
    pub(super) post_only: bool,
    pub(super) self_trade_prevention: SelfTradePrevention,
    /// Neighbours in the lists that it is in, by `store::Chain`.
    pub(super) links: [Link; 3],
    /// False for what is left in a free slot.
    pub(super) is_stored: bool,
    /// The image that it was written into last.
    pub(super) saved_in: u32,
}

/// Price as a sort key: the best price of a side has the lowest.
pub(super) const fn price_key(side: Side, price: Units) -> i64 {
    match side {
        Side::Buy => price.wrapping_neg(),
        Side::Sell => price,
    }
}

/// The price that [`price_key`] made `key` of.
pub(super) const fn key_price(side: Side, key: i64) -> Units {
    price_key(side, key)
}

impl Order {
    pub(super) fn new(command: &Accepted, terms: &OrderTerms, account: u32, book: u32, entry: u64) -> Self {
        let status = if terms.order_type.is_stop() { OrderStatus::Waiting } else { OrderStatus::Open };
        let state = OrderState {
            order_id: command.command_id,
            account: command.account.clone(),
            client_order_id: command.client_order_id.clone(),
            instrument: terms.instrument.clone(),
            base_asset: terms.base_asset.clone(),
            quote_asset: terms.quote_asset.clone(),
            side: terms.side,
            order_type: terms.order_type,
            time_in_force: terms.time_in_force,
            price: terms.price,
            stop_price: terms.stop_price,
            quantity: terms.quantity,
            filled: 0,
            leaves: terms.quantity,
            status,
            maker_fee_ppm: terms.maker_fee_ppm,
            taker_fee_ppm: terms.taker_fee_ppm,
            reserved_before: terms.reserved,
            reserved_after: terms.reserved,
        };
        Self {
            state,
            account,
            book,
            entry,
            displayed: 0,
            display_quantity: terms.display_quantity,
            expires_at_ms: terms.expires_at_ms,
            post_only: terms.post_only,
            self_trade_prevention: terms.self_trade_prevention,
            links: [Link::default(); 3],
            is_stored: false,
            saved_in: 0,
        }
    }

    /// Whether its terms are such that no later product can leave its range and its reservation covers it.
    /// The validator lets nothing else through.
    pub(super) fn is_sound(&self) -> bool {
        let state = &self.state;
        let in_range = |units: Units| (1..=MAX_UNITS).contains(&units);
        in_range(state.quantity)
            && in_range(state.price)
            && self.display_quantity.is_none_or(in_range)
            && (!state.order_type.is_stop() || state.stop_price.is_some_and(in_range))
            && (0..=1_000_000).contains(&state.taker_fee_ppm)
            && (0..=state.taker_fee_ppm).contains(&state.maker_fee_ppm)
            && self.needed(state.price, state.leaves).is_ok_and(|needed| needed <= state.reserved_after)
    }

    /// What must be reserved for it with another price and quantity.
    pub(super) fn needed(&self, price: Units, leaves: Units) -> Result<Units, money::OutOfRange> {
        money::reservation(self.state.side, price, leaves, self.state.taker_fee_ppm)
    }

    /// Whether it takes what it can within its price and never rests.
    pub(super) const fn is_market(&self) -> bool {
        matches!(self.state.order_type, OrderType::Market | OrderType::Stop)
    }

    pub(super) fn is_fill_or_kill(&self) -> bool {
        self.state.time_in_force == TimeInForce::Fok
    }

    /// The worst key on the opposite side that it trades with.
    pub(super) const fn limit_key(&self) -> i64 {
        price_key(self.state.side.opposite(), self.state.price)
    }

    /// How much of it shows when it joins a queue.
    pub(super) fn slice(&self) -> Units {
        self.display_quantity.map_or(self.state.leaves, |display| display.min(self.state.leaves))
    }

    /// Before an event that changes its reservation.
    fn begin(&mut self) {
        self.state.reserved_before = self.state.reserved_after;
    }

    /// Brings the reservation down to what the rest needs. It never rises here, so the product is in range.
    fn settle_reservation(&mut self) {
        let needed = self.needed(self.state.price, self.state.leaves);
        self.state.reserved_after = needed.unwrap_or(self.state.reserved_before);
    }

    /// Trades `quantity`, at most its leaves.
    pub(super) fn fill(&mut self, quantity: Units) {
        self.begin();
        self.state.filled += quantity;
        self.state.leaves -= quantity;
        if self.state.leaves == 0 {
            self.state.status = OrderStatus::Filled;
            self.state.reserved_after = 0;
        } else {
            self.state.status = OrderStatus::PartlyFilled;
            self.settle_reservation();
        }
    }

    /// Gives up `quantity`, less than its leaves, to self-trade prevention. The total quantity stays as it was.
    pub(super) fn decrement(&mut self, quantity: Units) {
        self.begin();
        self.state.leaves -= quantity;
        self.settle_reservation();
    }

    /// Takes new terms that its reservation, with `extra` on top, is known to cover.
    pub(super) fn amend(&mut self, price: Units, quantity: Units, leaves: Units, extra: Units) {
        self.begin();
        self.add_reserved(extra);
        self.state.price = price;
        self.state.quantity = quantity;
        self.state.leaves = leaves;
        self.settle_reservation();
    }

    /// Ends it unfilled; `leaves` stays and says what was given up.
    pub(super) fn end(&mut self, status: OrderStatus) {
        self.end_with_extra(status, 0);
    }

    /// Ends it on an amend that had reserved `extra` on top.
    pub(super) fn end_with_extra(&mut self, status: OrderStatus, extra: Units) {
        self.begin();
        self.add_reserved(extra);
        self.state.status = status;
        self.state.reserved_after = 0;
    }

    fn add_reserved(&mut self, extra: Units) {
        self.state.reserved_before = self.state.reserved_before.saturating_add(extra);
    }

    /// A stop wakes. Nothing of its reservation moves: the settler doesn't look at this event.
    pub(super) fn trigger(&mut self) {
        self.begin();
        self.state.status = OrderStatus::Open;
    }
}
