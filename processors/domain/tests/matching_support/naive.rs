//! The oracle: a book as dumb as possible. One `Vec` of orders, looked through and sorted at each step; fill-or-kill is
//! tried out on a copy. It shares nothing with the real one but the vocabulary and `money::reservation`.

use super::stream::Input;
use std::collections::{BTreeMap, BTreeSet};
use tapeline_domain::accepted::{Accepted, Action, Amendment, OrderTerms};
use tapeline_domain::execution::*;
use tapeline_domain::money;
use tapeline_domain::types::*;

#[derive(Debug, Clone)]
struct Order {
    state: OrderState,
    terms: OrderTerms,
    /// Position in the whole order of arrivals at queues; the lower, the earlier.
    rank: u64,
    shown: Units,
    entry: u64,
    elected: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Naive {
    partition: i32,
    trades: i64,
    ranks: u64,
    entries: u64,
    orders: Vec<Order>,
    last: BTreeMap<String, Units>,
    quotes: BTreeMap<String, (Option<Level>, Option<Level>)>,
    events: Vec<ExecutionBody>,
}

impl Naive {
    pub fn new(partition: i32) -> Self {
        Self { partition, ..Self::default() }
    }

    pub fn feed(&mut self, input: &Input) -> Vec<Execution> {
        match input {
            Input::Command(at_ms, command) => self.command(*at_ms, command),
            Input::Tick(now_ms) => self.tick(*now_ms),
        }
    }

    fn command(&mut self, validated_at_ms: TimeMs, command: &Accepted) -> Vec<Execution> {
        let instrument = match &command.action {
            Action::Place(terms) => terms.instrument.to_string(),
            Action::Amend(amendment) => amendment.instrument.to_string(),
            Action::Cancel { instrument, .. } | Action::CancelAll { instrument } => instrument.to_string(),
            Action::Transfer { .. } => String::new(),
        };
        match &command.action {
            Action::Place(terms) => self.place(command, terms),
            Action::Amend(amendment) => self.amend(command, amendment),
            Action::Cancel { target_order_id, .. } => match self.own(command, *target_order_id, &instrument) {
                Some(order) => self.cancel(order, CancelReason::Requested),
                None => self.refuse(command, &instrument, Some(*target_order_id), RefuseReason::NotOpen),
            },
            Action::CancelAll { .. } => {
                let mut ids: Vec<OrderId> = self.orders.iter().map(|order| order.state.order_id).collect();
                ids.sort();
                let mine: Vec<Order> =
                    ids.into_iter().filter_map(|id| self.own_copy(command, id, &instrument)).collect();
                if mine.is_empty() {
                    self.refuse(command, &instrument, None, RefuseReason::NothingToCancel);
                }
                for order in mine {
                    self.orders.retain(|other| other.state.order_id != order.state.order_id);
                    self.cancel(order, CancelReason::CancelAll);
                }
            }
            Action::Transfer { asset, amount } => self.events.push(ExecutionBody::Transferred {
                account: command.account.clone(),
                client_order_id: command.client_order_id.clone(),
                asset: asset.clone(),
                amount: *amount,
            }),
        }
        self.run_elected();
        self.quote(&instrument);
        let wrap = |body| Execution {
            command_id: command.command_id,
            commanded_at_ms: command.commanded_at_ms,
            validated_at_ms,
            body,
        };
        std::mem::take(&mut self.events).into_iter().map(wrap).collect()
    }

    fn tick(&mut self, now_ms: TimeMs) -> Vec<Execution> {
        let mut ending = Vec::new();
        let mut staying = Vec::new();
        for order in std::mem::take(&mut self.orders) {
            let ends = order.terms.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if ends { ending.push(order) } else { staying.push(order) }
        }
        self.orders = staying;
        ending.sort_by_key(|order| (order.terms.expires_at_ms, order.state.order_id));
        let mut out = Vec::new();
        let wrap = |command_id, body| Execution { command_id, commanded_at_ms: now_ms, validated_at_ms: now_ms, body };
        let symbols: BTreeSet<String> = ending.iter().map(|order| order.state.instrument.to_string()).collect();
        for order in &ending {
            let mut state = order.state.clone();
            finish(&mut state, OrderStatus::Expired, 0);
            out.push(wrap(state.order_id, ExecutionBody::Expired { order: state }));
        }
        for symbol in symbols {
            let last = ending.iter().rev().find(|order| order.state.instrument == symbol).unwrap();
            self.quote(&symbol);
            out.extend(std::mem::take(&mut self.events).into_iter().map(|body| wrap(last.state.order_id, body)));
        }
        out
    }

    fn place(&mut self, command: &Accepted, terms: &OrderTerms) {
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
            status: if terms.stop_price.is_some() { OrderStatus::Waiting } else { OrderStatus::Open },
            maker_fee_ppm: terms.maker_fee_ppm,
            taker_fee_ppm: terms.taker_fee_ppm,
            reserved_before: terms.reserved,
            reserved_after: terms.reserved,
        };
        self.entries += 1;
        let order = Order { state, terms: terms.clone(), rank: 0, shown: 0, entry: self.entries, elected: false };
        self.events.push(ExecutionBody::Accepted { order: order.state.clone() });
        if terms.stop_price.is_none() {
            self.enter(order);
        } else if self.last.get(terms.instrument.as_str()).is_some_and(|last| reaches(&order, *last)) {
            self.wake(order);
        } else {
            self.orders.push(order);
        }
    }

    fn wake(&mut self, mut order: Order) {
        order.state.status = OrderStatus::Open;
        order.state.reserved_before = order.state.reserved_after;
        self.events.push(ExecutionBody::Triggered { order: order.state.clone() });
        self.enter(order);
    }

    fn enter(&mut self, mut order: Order) {
        if order.terms.post_only && !self.counterparts(&order).is_empty() {
            return self.cancel(order, CancelReason::PostOnly);
        }
        if order.terms.time_in_force == TimeInForce::Fok && !self.fills_on_a_copy(&order) {
            return self.cancel(order, CancelReason::FillOrKill);
        }
        if self.take(&mut order) {
            return;
        }
        let immediate = order.terms.time_in_force == TimeInForce::Ioc;
        match order.terms.order_type {
            OrderType::Market | OrderType::Stop => self.cancel(order, CancelReason::NoLiquidity),
            OrderType::Limit | OrderType::StopLimit if immediate => self.cancel(order, CancelReason::ImmediateOrCancel),
            OrderType::Limit | OrderType::StopLimit => self.queue(order),
        }
    }

    fn queue(&mut self, mut order: Order) {
        self.ranks += 1;
        order.rank = self.ranks;
        order.shown = order.terms.display_quantity.unwrap_or(order.state.leaves).min(order.state.leaves);
        self.orders.push(order);
    }

    /// Tries the order on a copy of everything and looks whether all of it traded.
    fn fills_on_a_copy(&self, order: &Order) -> bool {
        let mut copy = self.clone();
        copy.events.clear();
        copy.take(&mut order.clone());
        let traded: i64 = copy
            .events
            .iter()
            .map(|event| if let ExecutionBody::Traded(trade) = event { trade.quantity } else { 0 })
            .sum();
        traded == order.state.leaves
    }

    /// Resting orders that it could meet, in priority order.
    fn counterparts(&self, taker: &Order) -> Vec<OrderId> {
        let mut found: Vec<&Order> = self
            .orders
            .iter()
            .filter(|order| order.state.status != OrderStatus::Waiting)
            .filter(|order| order.state.instrument == taker.state.instrument && order.state.side != taker.state.side)
            .filter(|order| match taker.state.side {
                Side::Buy => order.state.price <= taker.state.price,
                Side::Sell => order.state.price >= taker.state.price,
            })
            .collect();
        found.sort_by_key(|order| order.rank);
        found.sort_by_key(|order| match taker.state.side {
            Side::Buy => order.state.price,
            Side::Sell => -order.state.price,
        });
        found.iter().map(|order| order.state.order_id).collect()
    }

    /// Whether the taker has ended.
    fn take(&mut self, taker: &mut Order) -> bool {
        let mut prices = Vec::new();
        let mut ended = false;
        while !ended && let Some(id) = self.counterparts(taker).first() {
            let at = self.orders.iter().position(|order| order.state.order_id == *id).unwrap();
            let maker = self.orders.remove(at);
            if maker.state.account == taker.state.account {
                ended = self.meet_own(taker, maker, at);
            } else {
                prices.push(maker.state.price);
                self.trade(taker, maker, at);
                ended = taker.state.leaves == 0;
            }
        }
        for order in &mut self.orders {
            let waits = order.state.status == OrderStatus::Waiting && order.state.instrument == taker.state.instrument;
            order.elected |= waits && prices.iter().any(|price| reaches(order, *price));
        }
        // Stops elected by one order's trades run by entry, after all that were elected before.
        let mut newly: Vec<u64> =
            self.orders.iter().filter(|order| order.elected && order.rank == 0).map(|order| order.entry).collect();
        newly.sort();
        for entry in newly {
            self.ranks += 1;
            let order = self.orders.iter_mut().find(|order| order.entry == entry).unwrap();
            order.rank = self.ranks;
        }
        ended
    }

    fn run_elected(&mut self) {
        loop {
            let elected = self.orders.iter().filter(|order| order.elected);
            let Some(next) = elected.min_by_key(|order| order.rank).map(|order| order.state.order_id) else { return };
            let at = self.orders.iter().position(|order| order.state.order_id == next).unwrap();
            let mut order = self.orders.remove(at);
            order.elected = false;
            self.wake(order);
        }
    }

    fn trade(&mut self, taker: &mut Order, mut maker: Order, at: usize) {
        self.trades += 1;
        let quantity = taker.state.leaves.min(maker.shown);
        for state in [&mut taker.state, &mut maker.state] {
            state.filled += quantity;
            state.leaves -= quantity;
            state.status = if state.leaves == 0 { OrderStatus::Filled } else { OrderStatus::PartlyFilled };
            keep(state, 0);
        }
        maker.shown -= quantity;
        self.last.insert(taker.state.instrument.to_string(), maker.state.price);
        self.events.push(ExecutionBody::Traded(Box::new(Trade {
            trade_id: position_id(self.partition, self.trades),
            price: maker.state.price,
            quantity,
            taker: taker.state.clone(),
            maker: maker.state.clone(),
        })));
        if maker.shown > 0 {
            self.orders.insert(at, maker);
        } else if maker.state.leaves > 0 {
            self.queue(maker);
        }
    }

    /// Whether the taker has ended.
    fn meet_own(&mut self, taker: &mut Order, mut maker: Order, at: usize) -> bool {
        let reason = CancelReason::SelfTrade;
        match taker.terms.self_trade_prevention {
            SelfTradePrevention::CancelNewest => {
                self.orders.insert(at, maker);
                self.cancel(taker.clone(), reason);
                true
            }
            SelfTradePrevention::CancelOldest => {
                self.cancel(maker, reason);
                false
            }
            SelfTradePrevention::CancelBoth => {
                self.cancel(maker, reason);
                self.cancel(taker.clone(), reason);
                true
            }
            SelfTradePrevention::DecrementAndCancel => {
                let (mine, its) = (taker.state.leaves, maker.state.leaves);
                if its > mine {
                    maker.state.leaves -= mine;
                    maker.shown = maker.shown.min(maker.state.leaves);
                    keep(&mut maker.state, 0);
                    self.events.push(ExecutionBody::Amended { order: maker.state.clone(), kept_place: true });
                    self.orders.insert(at, maker);
                } else {
                    self.cancel(maker, reason);
                }
                if mine > its {
                    taker.state.leaves -= its;
                    keep(&mut taker.state, 0);
                    self.events.push(ExecutionBody::Amended { order: taker.state.clone(), kept_place: true });
                } else {
                    self.cancel(taker.clone(), reason);
                }
                mine <= its
            }
        }
    }

    fn amend(&mut self, command: &Accepted, amendment: &Amendment) {
        let (instrument, extra) = (amendment.instrument.to_string(), amendment.extra_reserved);
        let Some(old) = self.own_copy(command, amendment.target_order_id, &instrument) else {
            return self.refuse_amend(command, amendment, RefuseReason::NotOpen);
        };
        if old.terms.order_type == OrderType::Stop && amendment.price.is_some() {
            return self.refuse_amend(command, amendment, RefuseReason::NotAmendable);
        }
        let price = amendment.price.unwrap_or(old.state.price);
        let quantity = amendment.quantity.unwrap_or(old.state.quantity);
        let gone = old.state.quantity - old.state.leaves;
        let at = self.orders.iter().position(|order| order.state.order_id == amendment.target_order_id).unwrap();
        let mut order = old;
        if quantity <= gone {
            self.orders.remove(at);
            finish(&mut order.state, OrderStatus::Cancelled, extra);
            let reason = CancelReason::AmendedToFilled;
            return self.events.push(ExecutionBody::Cancelled { order: order.state, reason });
        }
        let needed = money::reservation(order.state.side, price, quantity - gone, order.state.taker_fee_ppm).unwrap();
        if order.state.reserved_after + extra < needed {
            return self.refuse_amend(command, amendment, RefuseReason::ReservationTooSmall);
        }
        self.orders.remove(at);
        let waits = order.state.status == OrderStatus::Waiting;
        let keeps = waits || (price == order.state.price && quantity <= order.state.quantity);
        order.state.price = price;
        order.state.quantity = quantity;
        order.state.leaves = quantity - gone;
        keep(&mut order.state, extra);
        self.events.push(ExecutionBody::Amended { order: order.state.clone(), kept_place: keeps });
        if keeps {
            order.shown = order.shown.min(order.state.leaves);
            self.orders.insert(at, order);
        } else {
            self.enter(order);
        }
    }

    fn own(&mut self, command: &Accepted, id: OrderId, instrument: &str) -> Option<Order> {
        let order = self.own_copy(command, id, instrument)?;
        self.orders.retain(|other| other.state.order_id != id);
        Some(order)
    }

    fn own_copy(&self, command: &Accepted, id: OrderId, instrument: &str) -> Option<Order> {
        let is_it = |order: &&Order| {
            order.state.order_id == id && order.state.account == command.account && order.state.instrument == instrument
        };
        self.orders.iter().find(is_it).cloned()
    }

    fn cancel(&mut self, mut order: Order, reason: CancelReason) {
        finish(&mut order.state, OrderStatus::Cancelled, 0);
        self.events.push(ExecutionBody::Cancelled { order: order.state, reason });
    }

    fn refuse_amend(&mut self, command: &Accepted, amendment: &Amendment, reason: RefuseReason) {
        self.refuse(command, &amendment.instrument, Some(amendment.target_order_id), reason);
        if let Some(ExecutionBody::Refused { reserve_asset, released, .. }) = self.events.last_mut()
            && amendment.extra_reserved != 0
        {
            *reserve_asset = Some(amendment.reserve_asset.clone());
            *released = amendment.extra_reserved;
        }
    }

    fn refuse(&mut self, command: &Accepted, instrument: &str, target: Option<OrderId>, reason: RefuseReason) {
        self.events.push(ExecutionBody::Refused {
            account: command.account.clone(),
            client_order_id: command.client_order_id.clone(),
            instrument: instrument.into(),
            target_order_id: target,
            reason,
            reserve_asset: None,
            released: 0,
        });
    }

    fn quote(&mut self, instrument: &str) {
        let now =
            (self.depth(instrument, Side::Buy).first().copied(), self.depth(instrument, Side::Sell).first().copied());
        let before = self.quotes.insert(instrument.to_string(), now).unwrap_or((None, None));
        if now != before {
            self.events.push(ExecutionBody::Quoted { instrument: instrument.into(), bid: now.0, ask: now.1 });
        }
    }

    pub fn depth(&self, instrument: &str, side: Side) -> Vec<Level> {
        let mut sums: BTreeMap<Units, Units> = BTreeMap::new();
        for order in &self.orders {
            let state = &order.state;
            if state.instrument == instrument && state.side == side && state.status != OrderStatus::Waiting {
                *sums.entry(state.price).or_default() += order.shown;
            }
        }
        let mut levels: Vec<Level> = sums.into_iter().map(|(price, quantity)| Level { price, quantity }).collect();
        if side == Side::Buy {
            levels.reverse();
        }
        levels
    }

    /// How many orders rest and how many wait.
    pub fn counts(&self, instrument: &str) -> (usize, usize) {
        let here = self.orders.iter().filter(|order| order.state.instrument == instrument);
        let (waiting, resting): (Vec<&Order>, Vec<&Order>) =
            here.partition(|order| order.state.status == OrderStatus::Waiting);
        (resting.len(), waiting.len())
    }
}

fn reaches(order: &Order, price: Units) -> bool {
    let Some(stop_price) = order.terms.stop_price else { return false };
    match order.state.side {
        Side::Buy => price >= stop_price,
        Side::Sell => price <= stop_price,
    }
}

fn keep(state: &mut OrderState, extra: Units) {
    state.reserved_before = state.reserved_after + extra;
    state.reserved_after = money::reservation(state.side, state.price, state.leaves, state.taker_fee_ppm).unwrap();
}

fn finish(state: &mut OrderState, status: OrderStatus, extra: Units) {
    state.status = status;
    state.reserved_before = state.reserved_after + extra;
    state.reserved_after = 0;
}
