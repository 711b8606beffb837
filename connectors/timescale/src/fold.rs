//! Folds a batch in memory: what it changes, once for each order, candle, book and balance. Pure; no database.
//!
//! It borrows from the batch and computes nothing that depends on where one batch ends and the next begins.

use crate::OWN_VENUE;
use crate::candle::{self, Candle, INTERVALS};
use std::collections::HashMap;
use tapeline_domain::money;
use tapeline_runtime::sink::{Event, SinkBatch, SinkRecord};
use tapeline_schemas::wire;

/// Names of outside venues and instruments that are longer have no row: an index can't hold any length.
const MAX_NAME_BYTES: usize = 64;
/// End of the year 9999: a later time is nonsense.
const MAX_AT_US: i64 = 253_402_300_799_999_999;

/// Venue and instrument.
pub(crate) type Book<'a> = (&'a str, &'a str);

/// Candles of one interval, by book and begin in microseconds.
pub(crate) type Candles<'a> = HashMap<(Book<'a>, i64), Candle>;

/// What a batch changes.
#[derive(Debug, Default)]
pub(crate) struct Fold<'a> {
    pub(crate) trades: Vec<TradeRow<'a>>,
    /// Of the finest interval; the coarser ones follow from them.
    seconds: Candles<'a>,
    pub(crate) quotes: HashMap<Book<'a>, QuoteRow>,
    /// By order id.
    pub(crate) orders: HashMap<i64, OrderRow<'a>>,
    /// By account and asset.
    pub(crate) balances: HashMap<(&'a str, &'a str), BalanceChange>,
    /// Records that make no sense and change nothing: how many, and the first of them.
    pub(crate) skipped: Option<(usize, String)>,
}

/// A trade of an own book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TradeRow<'a> {
    pub(crate) trade_id: i64,
    pub(crate) at_us: i64,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) notional: i64,
    pub(crate) taker: &'a wire::OrderState,
    pub(crate) maker: &'a wire::OrderState,
    pub(crate) position: Position,
}

/// Partition and offset of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Best quotes of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuoteRow {
    /// Price and quantity.
    pub(crate) bid: Option<(i64, i64)>,
    /// Price and quantity.
    pub(crate) ask: Option<(i64, i64)>,
    pub(crate) at_us: i64,
    pub(crate) position: Position,
}

/// Where an order comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderSource<'a> {
    Rejected(&'a wire::Rejection),
    Executed { order: &'a wire::OrderState, reason: Option<&'static str> },
}

/// An order as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderRow<'a> {
    pub(crate) source: OrderSource<'a>,
    pub(crate) at_us: i64,
    pub(crate) position: Position,
}

impl OrderRow<'_> {
    /// What decides which row stays; the same in `sql/merge/orders.sql`.
    const fn rank(&self) -> (bool, i64) {
        (matches!(self.source, OrderSource::Executed { .. }), self.position.offset)
    }
}

/// Changes of a balance, in units of 10^-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BalanceChange {
    pub(crate) available: i128,
    pub(crate) reserved: i128,
}

/// What is wrong with a record that changes nothing.
type Nonsense = &'static str;

/// Folds `batch`.
pub(crate) fn fold(batch: &SinkBatch) -> Fold<'_> {
    let mut fold = Fold::default();
    for record in &batch.records {
        if let Err(why) = fold.add(record) {
            let (count, _) = fold.skipped.get_or_insert_with(|| (0, describe(record, why)));
            *count += 1;
        }
    }
    fold
}

fn describe(record: &SinkRecord, why: Nonsense) -> String {
    let topic = match record.event {
        Event::Command(_) => "orders",
        Event::Validated(_) => "orders.validated",
        Event::Rejected(_) => "orders.rejected",
        Event::Executed(_) => "trades.executed",
        Event::Settled(_) => "trades.settled",
        Event::Market(_) => "market.ticks",
    };
    format!("{topic}, partition {}, offset {}: {why}", record.partition, record.offset)
}

fn checked_time(at_us: Option<i64>) -> Result<i64, Nonsense> {
    at_us.filter(|at_us| (0..=MAX_AT_US).contains(at_us)).ok_or("its time is not within 1970 and 9999")
}

fn time_of_ms(at_ms: i64) -> Result<i64, Nonsense> {
    checked_time(at_ms.checked_mul(1_000))
}

impl<'a> Fold<'a> {
    /// Takes the candles out, of all intervals, with the interval's name.
    pub(crate) fn candles(&mut self) -> Vec<(&'static str, Candles<'a>)> {
        let mut finer = std::mem::take(&mut self.seconds);
        let mut all = Vec::with_capacity(INTERVALS.len());
        for (_, length_us) in &INTERVALS[1..] {
            let coarse = candle::coarser(&finer, *length_us);
            all.push(std::mem::replace(&mut finer, coarse));
        }
        all.push(finer);
        INTERVALS.iter().map(|(name, _)| *name).zip(all).collect()
    }

    fn add(&mut self, record: &'a SinkRecord) -> Result<(), Nonsense> {
        let position = Position { partition: record.partition, offset: record.offset };
        match &record.event {
            Event::Command(_) => Ok(()),
            Event::Validated(command) => self.reserve(command),
            Event::Rejected(rejection) => self.reject(rejection, position),
            Event::Executed(execution) => self.execute(execution, position),
            Event::Settled(settlement) => self.settle(settlement),
            Event::Market(tick) => self.tick(tick, position),
        }
    }

    fn balance(&mut self, account: &'a str, asset: &'a str) -> &mut BalanceChange {
        self.balances.entry((account, asset)).or_default()
    }

    fn reserve(&mut self, command: &'a wire::ValidatedCommand) -> Result<(), Nonsense> {
        if command.reserved_amount == 0 {
            return Ok(());
        }
        let asset = command.reserved_asset.as_deref().ok_or("it reserves an amount of no asset")?;
        let change = self.balance(&command.account, asset);
        change.available -= i128::from(command.reserved_amount);
        change.reserved += i128::from(command.reserved_amount);
        Ok(())
    }

    fn settle(&mut self, settlement: &'a wire::Settlement) -> Result<(), Nonsense> {
        // All lines or none: a record's postings balance only together.
        if settlement.postings.iter().any(|line| line.bucket == wire::Bucket::Unknown) {
            return Err("a posting is to a bucket that this version does not know");
        }
        for line in &settlement.postings {
            let change = self.balance(&line.account, &line.asset);
            let bucket = match line.bucket {
                wire::Bucket::Reserved => &mut change.reserved,
                wire::Bucket::Available | wire::Bucket::Unknown => &mut change.available,
            };
            *bucket += i128::from(line.amount);
        }
        Ok(())
    }

    fn reject(&mut self, rejection: &'a wire::Rejection, position: Position) -> Result<(), Nonsense> {
        if rejection.kind == wire::CommandKind::Place {
            let at_us = time_of_ms(rejection.commanded_at_ms)?;
            self.order(rejection.command_id, OrderRow { source: OrderSource::Rejected(rejection), at_us, position });
        }
        Ok(())
    }

    fn order(&mut self, order_id: i64, row: OrderRow<'a>) {
        let kept = self.orders.entry(order_id).or_insert(row);
        if row.rank() >= kept.rank() {
            *kept = row;
        }
    }

    fn execute(&mut self, execution: &'a wire::Execution, position: Position) -> Result<(), Nonsense> {
        use wire::ExecutionKind as Kind;
        let at_us = time_of_ms(execution.validated_at_ms)?;
        match execution.kind {
            Kind::Refused | Kind::Transferred => return Ok(()),
            Kind::Unknown => return Err("it is of a kind that this version does not know"),
            Kind::Quoted => {
                let instrument = execution.instrument.as_deref().ok_or("it quotes no instrument")?;
                let bid = execution.bid_price.zip(execution.bid_quantity);
                let ask = execution.ask_price.zip(execution.ask_quantity);
                self.quote((OWN_VENUE, instrument), QuoteRow { bid, ask, at_us, position });
                return Ok(());
            }
            Kind::Accepted | Kind::Traded | Kind::Amended | Kind::Triggered | Kind::Cancelled | Kind::Expired => {}
        }
        let order = execution.order.as_ref().ok_or("it has no order")?;
        let mut orders = [Some(order), None];
        if execution.kind == Kind::Traded {
            let trade = trade_row(execution, order, at_us, position)?;
            let candle = Candle::of_trade(at_us, trade.trade_id, trade.price, trade.quantity);
            self.candle((OWN_VENUE, &order.instrument), candle);
            self.trades.push(trade);
            orders[1] = Some(trade.maker);
        }
        let reason = execution.cancel_reason.map(wire::CancelReason::symbol);
        for order in orders.into_iter().flatten() {
            self.order(order.order_id, OrderRow { source: OrderSource::Executed { order, reason }, at_us, position });
        }
        Ok(())
    }

    fn quote(&mut self, book: Book<'a>, row: QuoteRow) {
        let kept = self.quotes.entry(book).or_insert(row);
        if row.position.offset >= kept.position.offset {
            *kept = row;
        }
    }

    fn candle(&mut self, book: Book<'a>, candle: Candle) {
        let begin_us = candle::bucket(candle.first.0, INTERVALS[0].1);
        candle::add(&mut self.seconds, (book, begin_us), candle);
    }

    fn tick(&mut self, tick: &'a wire::MarketTick, position: Position) -> Result<(), Nonsense> {
        let book = (outside_name(&tick.venue)?, outside_name(&tick.instrument)?);
        if tick.venue == OWN_VENUE {
            return Err("its venue has the name that own trades go by");
        }
        let at_us = checked_time(Some(tick.at_us))?;
        match tick.kind {
            wire::TickKind::Unknown => Err("it is of a kind that this version does not know"),
            wire::TickKind::Quote => {
                let bid = tick.bid_price.zip(tick.bid_quantity);
                let ask = tick.ask_price.zip(tick.ask_quantity);
                self.quote(book, QuoteRow { bid, ask, at_us, position });
                Ok(())
            }
            wire::TickKind::Trade => {
                let trade_id = tick.trade_id.ok_or("it is a trade without a trade_id")?;
                let price = tick.price.ok_or("it is a trade without a price")?;
                let quantity = tick.quantity.ok_or("it is a trade without a quantity")?;
                if quantity <= 0 {
                    return Err("its quantity is not above zero");
                }
                self.candle(book, Candle::of_trade(at_us, trade_id, price, quantity));
                Ok(())
            }
        }
    }
}

fn outside_name(name: &str) -> Result<&str, Nonsense> {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err("venue and instrument must have 1 to 64 bytes, none of them a control character") }
}

fn trade_row<'a>(
    execution: &'a wire::Execution,
    taker: &'a wire::OrderState,
    at_us: i64,
    position: Position,
) -> Result<TradeRow<'a>, Nonsense> {
    let maker = execution.maker.as_ref().ok_or("it is a trade without a maker")?;
    let trade_id = execution.trade_id.ok_or("it is a trade without a trade_id")?;
    let price = execution.price.ok_or("it is a trade without a price")?;
    let quantity = execution.quantity.ok_or("it is a trade without a quantity")?;
    let notional = money::notional(price, quantity).map_err(|_| "price times quantity is out of range")?;
    Ok(TradeRow { trade_id, at_us, price, quantity, notional, taker, maker, position })
}

#[cfg(test)]
mod tests;
