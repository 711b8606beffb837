//! What must hold for any stream of commands, one test for each invariant. They look at commands, events and the
//! public book only, so they would hold for any other implementation as well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod matching_support;

use matching_support::script::event_text;
use matching_support::stream::{Input, account, inputs, steps, symbol};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tapeline_domain::accepted::{Accepted, Action, OrderTerms};
use tapeline_domain::execution::{Execution, ExecutionBody, OrderState, OrderStatus, Trade};
use tapeline_domain::matching::Matching;
use tapeline_domain::money;
use tapeline_domain::types::{OrderId, Side, Units};

/// The orders that an event tells of, the taker before the maker.
fn orders(event: &Execution) -> Vec<&OrderState> {
    match &event.body {
        ExecutionBody::Traded(trade) => vec![&trade.taker, &trade.maker],
        ExecutionBody::Accepted { order }
        | ExecutionBody::Amended { order, .. }
        | ExecutionBody::Triggered { order }
        | ExecutionBody::Cancelled { order, .. }
        | ExecutionBody::Expired { order } => vec![order],
        ExecutionBody::Refused { .. } | ExecutionBody::Quoted { .. } | ExecutionBody::Transferred { .. } => vec![],
    }
}

fn has_ended(order: &OrderState) -> bool {
    matches!(order.status, OrderStatus::Filled | OrderStatus::Cancelled | OrderStatus::Expired)
}

/// Where an order stands in its queue, told from events alone.
struct Place {
    side: Side,
    price: Units,
    rank: usize,
    shown: Units,
}

/// Queues of one stream. An order is placed where an event leaves it open, and anew when its slice is used up.
#[derive(Default)]
struct Queues {
    terms: BTreeMap<OrderId, OrderTerms>,
    places: BTreeMap<(String, OrderId), Place>,
    ranks: usize,
}

impl Queues {
    fn place(&mut self, order: &OrderState) {
        self.ranks += 1;
        let display = self.terms[&order.order_id].display_quantity.unwrap_or(order.leaves);
        let place = Place { side: order.side, price: order.price, rank: self.ranks, shown: display.min(order.leaves) };
        self.places.insert((order.instrument.to_string(), order.order_id), place);
    }

    /// The order that has priority on a side.
    fn first(&self, instrument: &str, side: Side) -> Option<OrderId> {
        let here = self.places.iter().filter(|((symbol, _), place)| symbol == instrument && place.side == side);
        let best = here.min_by_key(|(_, place)| match side {
            Side::Buy => (-place.price, place.rank),
            Side::Sell => (place.price, place.rank),
        });
        best.map(|((_, order_id), _)| *order_id)
    }

    fn follow_trade(&mut self, trade: &Trade) -> Result<(), TestCaseError> {
        let (maker, taker) = (&trade.maker, &trade.taker);
        let instrument = maker.instrument.to_string();
        self.places.remove(&(instrument.clone(), taker.order_id));
        prop_assert_eq!(self.first(&instrument, maker.side), Some(maker.order_id));
        prop_assert_eq!(trade.price, maker.price);
        let place = self.places.get_mut(&(instrument.clone(), maker.order_id)).unwrap();
        prop_assert!(trade.quantity <= place.shown);
        place.shown -= trade.quantity;
        let used_up = place.shown == 0;
        if has_ended(maker) {
            self.places.remove(&(instrument, maker.order_id));
        } else if used_up {
            self.place(maker);
        }
        Ok(())
    }

    fn follow(&mut self, event: &Execution) -> Result<(), TestCaseError> {
        if let ExecutionBody::Traded(trade) = &event.body {
            self.follow_trade(trade)?;
            if !has_ended(&trade.taker) {
                self.place(&trade.taker);
            }
            return Ok(());
        }
        for order in orders(event) {
            let key = (order.instrument.to_string(), order.order_id);
            let keeps = matches!(event.body, ExecutionBody::Amended { kept_place: true, .. });
            if has_ended(order) || order.status == OrderStatus::Waiting {
                self.places.remove(&key);
            } else if let (true, Some(place)) = (keeps, self.places.get_mut(&key)) {
                place.shown = place.shown.min(order.leaves);
            } else {
                self.place(order);
            }
        }
        Ok(())
    }
}

/// What an event takes out of an order's reservation.
fn spent(event: &Execution, order: &OrderState) -> Units {
    let ExecutionBody::Traded(trade) = &event.body else { return 0 };
    if order.side == Side::Sell {
        return trade.quantity;
    }
    let cost = money::notional(trade.price, trade.quantity).unwrap();
    let takes = order.order_id == trade.taker.order_id;
    cost + money::fee(cost, if takes { order.taker_fee_ppm } else { order.maker_fee_ppm }).unwrap()
}

fn action(input: &Input) -> Option<&Action> {
    if let Input::Command(_, command) = input { Some(&command.action) } else { None }
}

/// What the command of an amendment has reserved on top.
fn extra(input: &Input, event: &Execution, order: &OrderState) -> Units {
    let first = !matches!(event.body, ExecutionBody::Traded(_) | ExecutionBody::Triggered { .. });
    match action(input) {
        Some(Action::Amend(amendment)) if first && amendment.target_order_id == order.order_id => {
            amendment.extra_reserved
        }
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Each trade is with the order that was first at the best price, at its price, out of its displayed slice.
    #[test]
    fn price_time_priority(steps in steps()) {
        let (mut matching, mut queues) = (Matching::new(0), Queues::default());
        for input in inputs(&steps) {
            if let Input::Command(_, command) = &input
                && let Action::Place(terms) = &command.action
            {
                queues.terms.insert(command.command_id, terms.clone());
            }
            for event in input.feed(&mut matching) {
                queues.follow(&event)?;
            }
        }
    }

    #[test]
    fn book_never_crossed_after_a_command(steps in steps()) {
        let mut matching = Matching::new(0);
        let mut told = BTreeMap::new();
        for input in inputs(&steps) {
            for event in input.feed(&mut matching) {
                if let ExecutionBody::Quoted { instrument, bid, ask } = event.body {
                    prop_assert_ne!(told.insert(instrument, (bid, ask)), Some((bid, ask)), "told twice");
                }
            }
            for symbol in [0, 1, 2].map(symbol) {
                let Some(book) = matching.book(symbol) else { continue };
                let quotes = (book.best_bid(), book.best_ask());
                if let (Some(bid), Some(ask)) = quotes {
                    prop_assert!(bid.price < ask.price, "{:?} after {:?}", quotes, input);
                }
                prop_assert_eq!(told.get(symbol).copied().unwrap_or_default(), quotes);
            }
        }
    }

    /// What is reserved before an event covers what it spends and what stays reserved, and nothing gets lost between
    /// two events of an order.
    #[test]
    fn reservation_covers_every_fill(steps in steps()) {
        let mut matching = Matching::new(0);
        let mut reserved: BTreeMap<OrderId, Units> = BTreeMap::new();
        for input in inputs(&steps) {
            let mut extra_used = false;
            for event in input.feed(&mut matching) {
                for order in orders(&event) {
                    let spent = spent(&event, order);
                    prop_assert!(order.reserved_before >= spent + order.reserved_after, "{}", event_text(&event));
                    let needed =
                        money::reservation(order.side, order.price, order.leaves, order.taker_fee_ppm).unwrap();
                    prop_assert_eq!(order.reserved_after, if has_ended(order) { 0 } else { needed });
                    if let Some(before) = reserved.insert(order.order_id, order.reserved_after) {
                        let extra = if extra_used { 0 } else { extra(&input, &event, order) };
                        extra_used |= extra != 0;
                        prop_assert_eq!(order.reserved_before, before + extra, "{}", event_text(&event));
                    }
                }
                if let ExecutionBody::Refused { released, .. } = &event.body {
                    let extra =
                        if let Some(Action::Amend(amendment)) = action(&input) { amendment.extra_reserved } else { 0 };
                    prop_assert_eq!(*released, extra);
                }
            }
        }
    }

    /// Begins with `Accepted`, ends once, and then nothing more; after a cancel-all of everybody nothing is open.
    #[test]
    fn each_order_has_exactly_one_end(steps in steps()) {
        let mut matching = Matching::new(0);
        let mut ended: BTreeMap<OrderId, bool> = BTreeMap::new();
        for input in inputs(&steps).into_iter().chain(cancel_everything()) {
            for event in input.feed(&mut matching) {
                let begins = matches!(event.body, ExecutionBody::Accepted { .. });
                for order in orders(&event) {
                    let before = ended.insert(order.order_id, has_ended(order));
                    prop_assert_eq!(before, if begins { None } else { Some(false) }, "{}", event_text(&event));
                    prop_assert!(order.filled + order.leaves <= order.quantity);
                    prop_assert_eq!(order.status == OrderStatus::Filled, has_ended(order) && order.leaves == 0);
                }
            }
        }
        prop_assert!(ended.values().all(|ended| *ended));
        for symbol in [0, 1, 2].map(symbol) {
            let counts = matching.book(symbol).map(|book| (book.order_count(), book.waiting_count()));
            prop_assert!(matches!(counts, None | Some((0, 0))), "{:?}", counts);
        }
    }

    #[test]
    fn same_input_same_output(steps in steps()) {
        let inputs = inputs(&steps);
        let run = || {
            let mut matching = Matching::new(7);
            inputs.iter().flat_map(|input| input.feed(&mut matching)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

fn cancel_everything() -> Vec<Input> {
    let mut inputs = Vec::new();
    for number in 0..4u8 {
        for instrument in [0, 1, 2].map(symbol) {
            let command = Accepted {
                command_id: 1_000_000 + inputs.len() as i64,
                account: account(number).into(),
                client_order_id: "end".into(),
                commanded_at_ms: 1_000_000,
                action: Action::CancelAll { instrument: instrument.into() },
            };
            inputs.push(Input::Command(1_000_000, Box::new(command)));
        }
    }
    inputs
}
