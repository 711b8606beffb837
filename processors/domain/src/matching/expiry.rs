//! Ticks end DAY and GTD orders. Nothing else expires them: an order whose time has come still trades until the tick.

use super::{Events, Matching};
use crate::execution::{Execution, ExecutionBody, OrderStatus};
use crate::types::{OrderId, TimeMs};
use smol_str::SmolStr;
use std::collections::BTreeMap;

impl Matching {
    /// Expires each resting or waiting order with `expires_at_ms <= now_ms`, in order of (expires_at_ms, order id),
    /// then tells the changed quotes of the touched books in order of their symbols. `now_ms` is the time of the tick
    /// record. Events carry the expired order's id as their command; a quote that of the last order expired in
    /// its book.
    pub fn tick(&mut self, now_ms: TimeMs, out: &mut Vec<Execution>) {
        let mut events = Events { command_id: 0, commanded_at_ms: now_ms, validated_at_ms: now_ms, out };
        self.depth.clear();
        let mut touched: BTreeMap<SmolStr, (u32, OrderId)> = BTreeMap::new();
        for slot in self.orders.expired(now_ms) {
            self.detach(slot);
            let order = &mut self.orders[slot];
            order.end(OrderStatus::Expired);
            events.command_id = order.state.order_id;
            events.push(ExecutionBody::Expired { order: order.state.clone() });
            touched.insert(order.state.instrument.clone(), (order.book, order.state.order_id));
            self.orders.release(slot);
        }
        for (book, last_order_id) in touched.into_values() {
            events.command_id = last_order_id;
            self.quote(book, &mut events);
            self.tell_depth(book, &events);
        }
        self.tell_books(now_ms);
    }
}
