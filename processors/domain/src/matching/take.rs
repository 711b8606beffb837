//! An order enters the book: it takes what it may, then rests or ends.

use super::order::Order;
use super::store::{Chain, Slot};
use super::{Events, Matching};
use crate::execution::{CancelReason, ExecutionBody, OrderStatus, Trade};
use crate::types::{SelfTradePrevention, TimeInForce};

/// What meeting an order of the same account means for the incoming one.
#[derive(PartialEq, Eq)]
enum Incoming {
    GoesOn,
    Ended,
}

impl Matching {
    /// Brings an awake order into its book.
    pub(super) fn enter(&mut self, mut order: Order, events: &mut Events<'_>) {
        let refused = if order.post_only && self.would_take(&order) {
            Some(CancelReason::PostOnly)
        } else if order.is_fill_or_kill() && !self.can_fill(&order) {
            Some(CancelReason::FillOrKill)
        } else {
            None
        };
        if let Some(reason) = refused {
            end(&mut order, reason, events);
            return;
        }
        if self.take(&mut order, events) == Incoming::Ended {
            return;
        }
        match remainder_ends(&order) {
            Some(reason) => end(&mut order, reason, events),
            None => self.rest(order),
        }
    }

    fn would_take(&self, order: &Order) -> bool {
        let opposite = self.books[order.book as usize].ladder(order.state.side.opposite());
        opposite.first().is_some_and(|(key, _)| key <= order.limit_key())
    }

    /// Fill-or-kill: whether the book would fill it whole. Goes through the other side in priority order: at each
    /// price first what shows, then what icebergs hide, since a new slice goes behind all that shows. An own order on
    /// the way is passed over if the mode would remove it; any other mode would end or reduce the taker there.
    fn can_fill(&self, taker: &Order) -> bool {
        let opposite = self.books[taker.book as usize].ladder(taker.state.side.opposite());
        let mut missing = i128::from(taker.state.leaves);
        for queue in opposite.up_to(taker.limit_key()) {
            let mut hidden = 0;
            for slot in self.orders.walk(queue.list, Chain::Queue) {
                let maker = &self.orders[slot];
                if maker.account == taker.account {
                    if taker.self_trade_prevention == SelfTradePrevention::CancelOldest {
                        continue;
                    }
                    return false;
                }
                missing -= i128::from(maker.displayed);
                if missing <= 0 {
                    return true;
                }
                hidden += i128::from(maker.state.leaves - maker.displayed);
            }
            missing -= hidden;
            if missing <= 0 {
                return true;
            }
        }
        false
    }

    /// Trades while prices cross: best price first, then earliest.
    fn take(&mut self, taker: &mut Order, events: &mut Events<'_>) -> Incoming {
        let (book, limit_key) = (taker.book as usize, taker.limit_key());
        let opposite = taker.state.side.opposite();
        while let Some((key, slot)) = self.books[book].ladder(opposite).first()
            && key <= limit_key
        {
            if self.orders[slot].account == taker.account {
                if self.prevent_self_trade(taker, slot, events) == Incoming::Ended {
                    return Incoming::Ended;
                }
                continue;
            }
            self.trade(taker, slot, events);
            if taker.state.leaves == 0 {
                return Incoming::Ended;
            }
        }
        Incoming::GoesOn
    }

    /// One trade at the maker's price with the maker's displayed slice.
    fn trade(&mut self, taker: &mut Order, slot: Slot, events: &mut Events<'_>) {
        let trade_id = self.take_trade_id();
        let maker = &mut self.orders[slot];
        let price = maker.state.price;
        let quantity = taker.state.leaves.min(maker.displayed);
        taker.fill(quantity);
        maker.fill(quantity);
        let (taker_state, maker_state) = (taker.state.clone(), maker.state.clone());
        let (side, filled) = (maker.state.side, maker.state.leaves == 0);
        events.push(ExecutionBody::Traded(Box::new(Trade {
            trade_id,
            price,
            quantity,
            taker: taker_state,
            maker: maker_state,
        })));
        let book = &mut self.books[taker.book as usize];
        book.record_trade(price);
        book.ladder_mut(side).consume(&mut self.orders, slot, quantity);
        if filled {
            self.orders.release(slot);
        }
    }

    /// The incoming order has met a resting one of its own account. The resting one's event comes first.
    ///
    /// [`SelfTradePrevention::DecrementAndCancel`]: the one that lives on is `Amended`, its `leaves` and reservation
    /// smaller, its total `quantity` as before. One that reaches zero is `Cancelled`; its `leaves` says what it gave
    /// up, as for each cancelled order, so both lose the same quantity.
    fn prevent_self_trade(&mut self, taker: &mut Order, slot: Slot, events: &mut Events<'_>) -> Incoming {
        let mode = taker.self_trade_prevention;
        let (own, other) = (taker.state.leaves, self.orders[slot].state.leaves);
        let decrements = mode == SelfTradePrevention::DecrementAndCancel;
        if decrements && other > own {
            let maker = &mut self.orders[slot];
            maker.decrement(own);
            events.amended(maker, true);
            let side = maker.state.side;
            self.books[taker.book as usize].ladder_mut(side).shrink(&mut self.orders, slot);
        } else if mode != SelfTradePrevention::CancelNewest {
            self.cancel_stored(slot, CancelReason::SelfTrade, events);
        }
        match mode {
            SelfTradePrevention::CancelOldest => return Incoming::GoesOn,
            SelfTradePrevention::DecrementAndCancel if own > other => {
                taker.decrement(other);
                events.amended(taker, true);
                return Incoming::GoesOn;
            }
            _ => {}
        }
        end(taker, CancelReason::SelfTrade, events);
        Incoming::Ended
    }

    fn rest(&mut self, order: Order) {
        let (book, side) = (order.book as usize, order.state.side);
        let slot = self.orders.insert(order);
        self.books[book].ladder_mut(side).push(&mut self.orders, slot);
    }
}

/// Why what is left of an order may not rest, if so.
fn remainder_ends(order: &Order) -> Option<CancelReason> {
    match order.state.time_in_force {
        TimeInForce::Fok => Some(CancelReason::FillOrKill),
        _ if order.is_market() => Some(CancelReason::NoLiquidity),
        TimeInForce::Ioc => Some(CancelReason::ImmediateOrCancel),
        TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd => None,
    }
}

/// Cancels an order in hand.
fn end(order: &mut Order, reason: CancelReason, events: &mut Events<'_>) {
    order.end(OrderStatus::Cancelled);
    events.cancelled(order, reason);
}
