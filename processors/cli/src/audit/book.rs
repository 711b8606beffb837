//! Rebuilds the books from `trades.executed` by a plain list of orders, and checks price-time priority and that quotes
//! never cross.
//!
//! Icebergs give up their time with each slice, which the events do not show: among themselves and against others they
//! are held to price priority only.

use super::Finding;
use super::log::Log;
use anyhow::Result;
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap, HashSet};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{CommandKind, Execution, ExecutionKind, OrderState, OrderStatus, Side, ValidatedCommand};

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
    order: OrderState,
    entered: u64,
}

#[derive(Default)]
struct Book {
    resting: HashMap<i64, Resting>,
    /// Entry numbers by side and price, in order: the queue of each level.
    levels: [BTreeMap<i64, BTreeMap<u64, i64>>; 2],
    trades: u64,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Sell)
}

impl Book {
    fn leave(&mut self, order_id: i64) -> Option<u64> {
        let gone = self.resting.remove(&order_id)?;
        let levels = &mut self.levels[index(gone.order.side)];
        if let Some(level) = levels.get_mut(&gone.order.price) {
            level.remove(&gone.entered);
            if level.is_empty() {
                levels.remove(&gone.order.price);
            }
        }
        Some(gone.entered)
    }

    /// Takes over the order's new state; `number` is its place if it enters or loses its old one.
    fn update(&mut self, order: &OrderState, number: u64, keeps_place: bool) {
        let before = self.leave(order.order_id);
        if matches!(order.status, OrderStatus::Open | OrderStatus::PartlyFilled) && order.leaves > 0 {
            let entered = before.filter(|_| keeps_place).unwrap_or(number);
            let level = self.levels[index(order.side)].entry(order.price).or_default();
            level.insert(entered, order.order_id);
            self.resting.insert(order.order_id, Resting { order: order.clone(), entered });
        }
    }

    fn check_maker(&self, maker: &OrderState, icebergs: &HashSet<i64>) -> Result<(), String> {
        let levels = &self.levels[index(maker.side)];
        let best = match maker.side {
            Side::Sell => levels.first_key_value(),
            _ => levels.last_key_value(),
        };
        let Some((price, queue)) = best else { return Err("it did not rest".into()) };
        if *price != maker.price {
            return Err(format!("it rests at {}, the best price is {price}", maker.price));
        }
        let plain = queue.values().find(|id| !icebergs.contains(*id));
        if !icebergs.contains(&maker.order_id) && plain != Some(&maker.order_id) {
            return Err(format!("order {plain:?} came before it at {price}"));
        }
        Ok(())
    }
}

/// Reads validated icebergs and all executions.
pub(super) fn read(log: &Log<'_>) -> Result<(Vec<RestingBook>, Finding)> {
    let mut finding = Finding::new("Price-time priority");
    let mut icebergs = HashSet::new();
    log.each::<ValidatedCommand>(topic::VALIDATED, |_, command| {
        if command.kind == CommandKind::Place && command.display_quantity.is_some() {
            icebergs.insert(command.command_id);
        }
        Ok(())
    })?;
    let mut books: BTreeMap<SmolStr, Book> = BTreeMap::new();
    let (mut number, mut trades, mut quotes) = (0, 0_u64, 0_u64);
    log.each::<Execution>(topic::EXECUTED, |record, execution| {
        let Some(instrument) = &execution.instrument else { return Ok(()) };
        let book = books.entry(instrument.clone()).or_default();
        number += 1;
        match (execution.kind, &execution.order, &execution.maker) {
            (ExecutionKind::Traded, Some(taker), Some(maker)) => {
                (trades, book.trades) = (trades + 1, book.trades + 1);
                book.leave(taker.order_id);
                if let Err(why) = book.check_maker(maker, &icebergs) {
                    let at = format!("{instrument}, partition {}, offset {}", record.partition, record.offset);
                    finding.violation(|| format!("{at}: the maker {} was not first: {why}", maker.order_id));
                }
                book.update(maker, number, true);
                book.update(taker, number, true);
            }
            (ExecutionKind::Amended, Some(order), _) => {
                book.update(order, number, execution.kept_place == Some(true));
            }
            (ExecutionKind::Quoted, ..) => {
                quotes += 1;
                if let (Some(bid), Some(ask)) = (execution.bid_price, execution.ask_price)
                    && bid >= ask
                {
                    finding.violation(|| format!("{instrument}, offset {}: bid {bid}, ask {ask}", record.offset));
                }
            }
            (_, Some(order), _) => book.update(order, number, true),
            _ => {}
        }
        Ok(())
    })?;
    finding.checked = format!("{trades} trades, {quotes} quotes");
    let depth = |side: &BTreeMap<i64, BTreeMap<u64, i64>>, book: &Book| {
        let leaves = |id: &i64| book.resting.get(id).map_or(0, |resting| resting.order.leaves);
        side.iter().map(|(price, queue)| (*price, queue.values().map(leaves).sum())).collect()
    };
    let resting = books.iter().map(|(instrument, book)| RestingBook {
        instrument: instrument.clone(),
        bids: depth(&book.levels[0], book),
        asks: depth(&book.levels[1], book),
        trades: book.trades,
    });
    Ok((resting.collect(), finding))
}
