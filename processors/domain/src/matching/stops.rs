//! Stop orders: they wait beside the book until a trade reaches their stop price, then enter as market (bounded by
//! their price) or limit orders.
//!
//! Each single trade elects: a sweep wakes the stops of all prices that it went through, even if its last trade
//! was at another one. What is elected runs after the command, one after the other, in the order in which the orders
//! came in; stops that these elect in turn queue up behind. While nothing has traded, stops sleep.

use super::order::Order;
use super::{Events, Matching};
use crate::execution::ExecutionBody;

impl Matching {
    /// A stop comes in: it sleeps, unless the last trade price has reached its stop price already.
    pub(super) fn wait_or_trigger(&mut self, order: Order, events: &mut Events<'_>) {
        let book = order.book as usize;
        if self.books[book].has_reached(&order) {
            self.trigger(order, events);
        } else {
            let slot = self.orders.insert(order);
            self.books[book].wait(&self.orders, slot);
        }
    }

    /// Runs the stops that the command's trades have elected, and those that these elect.
    pub(super) fn run_stops(&mut self, book: u32, events: &mut Events<'_>) {
        self.books[book as usize].elect(&mut self.elected);
        while let Some(slot) = self.elected.pop_front() {
            let order = self.orders.take(slot);
            self.trigger(order, events);
            self.books[book as usize].elect(&mut self.elected);
        }
    }

    fn trigger(&mut self, mut order: Order, events: &mut Events<'_>) {
        order.trigger();
        events.push(ExecutionBody::Triggered { order: order.state.clone() });
        self.enter(order, events);
    }
}
