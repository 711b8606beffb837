//! One book, rebuilt from executions by plain sorted lists: who must trade first, what shows, and that it never crosses.

use super::flow::has_ended;
use std::collections::BTreeMap;
use tapeline_schemas::wire::{Execution, ExecutionKind, OrderState, OrderStatus, Side};

struct Resting {
    side: Side,
    /// Price, best first, then place in the queue.
    key: (i64, u64),
    leaves: i64,
    shown: i64,
    display: Option<i64>,
}

/// The book of one instrument.
#[derive(Default)]
pub(super) struct Book {
    resting: BTreeMap<i64, Resting>,
    /// Order ids by (price key, place).
    queues: [BTreeMap<(i64, u64), i64>; 2],
    next_place: u64,
    /// Best bid and ask as told last: price and quantity.
    told: [Option<(i64, i64)>; 2],
    /// The command whose events come now.
    at: i64,
    /// A tick expires orders of several commands and tells the quotes once.
    expiring: bool,
}

fn index(side: Side) -> usize {
    usize::from(side != Side::Buy)
}

fn price_key(side: Side, price: i64) -> i64 {
    if side == Side::Buy { -price } else { price }
}

impl Book {
    /// Follows one event; `display` is the iceberg's slice of the event's order.
    pub(super) fn follow(&mut self, execution: &Execution, display: Option<i64>) -> Result<(), String> {
        if execution.command_id != self.at && execution.kind != ExecutionKind::Quoted {
            if !(self.expiring && execution.kind == ExecutionKind::Expired) {
                self.check_quotes("before the next command")?;
            }
            self.at = execution.command_id;
        }
        self.expiring = execution.kind == ExecutionKind::Expired;
        match (execution.kind, &execution.order, &execution.maker) {
            (ExecutionKind::Traded, Some(taker), Some(maker)) => self.trade(execution, taker, maker, display),
            (ExecutionKind::Amended, Some(order), _) => {
                self.change(order, display, execution.kept_place == Some(true));
                Ok(())
            }
            (ExecutionKind::Quoted, ..) => {
                self.told =
                    [execution.bid_price.zip(execution.bid_quantity), execution.ask_price.zip(execution.ask_quantity)];
                self.check_quotes("by the quote")
            }
            (_, Some(order), _) => {
                self.change(order, display, true);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn trade(
        &mut self,
        execution: &Execution,
        taker: &OrderState,
        maker: &OrderState,
        display: Option<i64>,
    ) -> Result<(), String> {
        let (price, quantity) = (execution.price.unwrap_or(0), execution.quantity.unwrap_or(0));
        self.leave(taker.order_id);
        let first = self.queues[index(maker.side)].first_key_value().map(|(_, id)| *id);
        if first != Some(maker.order_id) {
            return Err(format!("order {} traded, order {first:?} was first", maker.order_id));
        }
        let reaches = match taker.side {
            Side::Buy => taker.price >= price,
            _ => taker.price <= price,
        };
        let Some(resting) = self.resting.get_mut(&maker.order_id) else { return Err("the maker did not rest".into()) };
        let expected = resting.shown.min(taker.leaves + quantity);
        if price != maker.price || !reaches || quantity != expected || resting.leaves - quantity != maker.leaves {
            return Err(format!("order {} traded {quantity} at {price}, not {expected}", maker.order_id));
        }
        resting.leaves -= quantity;
        resting.shown -= quantity;
        let (slice_over, lives_on, maker_display) = (resting.shown == 0, maker.leaves > 0, resting.display);
        if slice_over || !lives_on {
            self.leave(maker.order_id);
        }
        if slice_over && lives_on {
            self.enter(maker, maker_display);
        }
        if !has_ended(taker.status) {
            self.enter(taker, display);
        }
        Ok(())
    }

    /// Takes over an order's state after an event that is no trade.
    fn change(&mut self, order: &OrderState, display: Option<i64>, keeps_place: bool) {
        let rests = matches!(order.status, OrderStatus::Open | OrderStatus::PartlyFilled) && order.leaves > 0;
        match self.resting.get_mut(&order.order_id) {
            Some(resting) if rests && keeps_place => {
                resting.leaves = order.leaves;
                resting.shown = resting.shown.min(order.leaves);
            }
            _ => {
                self.leave(order.order_id);
                if rests {
                    self.enter(order, display);
                }
            }
        }
    }

    fn enter(&mut self, order: &OrderState, display: Option<i64>) {
        self.next_place += 1;
        let key = (price_key(order.side, order.price), self.next_place);
        let shown = display.map_or(order.leaves, |display| display.min(order.leaves));
        self.queues[index(order.side)].insert(key, order.order_id);
        self.resting.insert(order.order_id, Resting { side: order.side, key, leaves: order.leaves, shown, display });
    }

    fn leave(&mut self, order_id: i64) {
        if let Some(gone) = self.resting.remove(&order_id) {
            self.queues[index(gone.side)].remove(&gone.key);
        }
    }

    /// What shows of each side, by price.
    pub(super) fn shown(&self) -> [BTreeMap<i64, i64>; 2] {
        [Side::Buy, Side::Sell].map(|side| {
            let mut levels = BTreeMap::new();
            for resting in self.resting.values().filter(|resting| resting.side == side) {
                *levels.entry(price_key(side, resting.key.0)).or_insert(0) += resting.shown;
            }
            levels
        })
    }

    /// Best price and what shows there.
    fn best(&self, side: Side) -> Option<(i64, i64)> {
        let queue = &self.queues[index(side)];
        let ((best, _), _) = queue.first_key_value()?;
        let shown = queue.range((*best, 0)..=(*best, u64::MAX));
        let shown = shown.filter_map(|(_, id)| self.resting.get(id)).map(|resting| resting.shown).sum();
        Some((price_key(side, *best), shown))
    }

    /// What was told last is what is there, and it does not cross.
    fn check_quotes(&self, when: &str) -> Result<(), String> {
        let now = [self.best(Side::Buy), self.best(Side::Sell)];
        if now != self.told {
            return Err(format!("{when}: the best quotes are {now:?}, told were {:?}", self.told));
        }
        match now {
            [Some((bid, _)), Some((ask, _))] if bid >= ask => {
                Err(format!("{when}: bid {bid}, ask {ask}: it is crossed"))
            }
            _ => Ok(()),
        }
    }
}
