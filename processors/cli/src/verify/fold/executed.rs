//! Folds one partition of `trades.executed`: orders and their ends, trades, books, and what both views show of them.

use super::book::Book;
use super::candles::{Market, MarketRows};
use super::depth::{Depth, Told};
use super::shared::{Shared, mark};
use super::{FastMap, Part};
use crate::verify::avro::{WithBytes, read};
use crate::verify::log::LogReader;
use crate::verify::records::{Execution, OrderState};
use crate::verify::rows_clickhouse::{self, Trade, trade_of};
use crate::verify::rows_timescale::{self, Moment, checked_ms};
use crate::verify::tables::{CH_EXECUTIONS, CH_TRADES, RangeKey, TS_OPEN_ORDERS, TS_ORDERS, TS_TRADES};
use crate::verify::writer::TableFold;
use anyhow::{Result, anyhow};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use tapeline_domain::types::{id_partition, id_sequence};
use tapeline_kafka::scan::RecordView;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{self, ExecutionKind, OrderStatus};

/// Venue of own trades and quotes.
pub(super) const OWN_VENUE: &str = "tapeline";

/// An order that has not ended, as its last record has it.
struct OpenOrder {
    state: Vec<u8>,
    status: OrderStatus,
    /// What TimescaleDB knows: when and where, and the reason.
    shown: Option<(Moment, Option<&'static str>)>,
}

/// An instrument's book, market and prints.
#[derive(Default)]
struct Instrument {
    book: Book,
    market: Market,
    prints: Vec<(i64, i64, i64)>,
    /// Quantity and notional.
    traded: (i128, i128),
    /// The command of the last event.
    command_id: i64,
    /// Whether an iceberg was ever placed in it.
    has_icebergs: bool,
    /// Whether the book was what `book.depth` tells last, when the command was done that it tells of.
    is_shown: bool,
}

struct Executed<'s> {
    shared: &'s Shared,
    told: Option<&'s Depth>,
    partition: i32,
    /// How far each view has folded the partition, and the settler has taken it.
    in_timescale: i64,
    in_clickhouse: i64,
    taken: i64,
    part: Part,
    executions: TableFold,
    trades: TableFold,
    shown_trades: TableFold,
    orders: TableFold,
    open_orders: TableFold,
    /// Orders that have not ended, by identity. Those that have are in the digests already: memory is for what is open.
    open: FastMap<i64, OpenOrder>,
    instruments: FastMap<SmolStr, Instrument>,
    /// Whether the records below what TimescaleDB states are all read.
    is_beyond: bool,
}

pub(super) fn executed(shared: &Shared, log: &LogReader, told: &[Depth], partition: i32) -> Result<Part> {
    let table = |table| TableFold::new(table, shared.wanted.clone());
    let mut fold = Executed {
        shared,
        told: told.get(partition as usize),
        partition,
        in_timescale: shared.timescale.at(topic::EXECUTED, partition),
        in_clickhouse: shared.clickhouse.at(topic::EXECUTED, partition),
        taken: shared.cut.taken.at(topic::EXECUTED, partition),
        part: Part::default(),
        executions: table(&CH_EXECUTIONS),
        trades: table(&CH_TRADES),
        shown_trades: table(&TS_TRADES),
        orders: table(&TS_ORDERS),
        open_orders: table(&TS_OPEN_ORDERS),
        open: FastMap::default(),
        instruments: FastMap::default(),
        is_beyond: false,
    };
    let (name, until) = (topic::EXECUTED, shared.cut.ends.at(topic::EXECUTED, partition));
    log.each::<wire::Execution>(name, partition, until, |at, body| match body.read::<Execution<'_>>()? {
        Some(execution) => fold.add(at, &execution),
        None => Ok(()),
    })?;
    fold.finish()
}

fn place(at: &RecordView<'_>) -> String {
    format!("{}, partition {}, offset {}", topic::EXECUTED, at.partition, at.offset)
}

impl Instrument {
    /// A book that the log tells no more of, for it keeps a week, is shown if nothing rests in it.
    fn compare(&mut self, name: &str, told: Option<&Told>) {
        let resting = self.book.resting(&SmolStr::new(name));
        self.is_shown |= match told {
            Some(told) if told.is_known() => told.shows(&resting, self.has_icebergs),
            _ => resting.bids.is_empty() && resting.asks.is_empty(),
        };
    }
}

impl Executed<'_> {
    fn add(&mut self, at: &RecordView<'_>, execution: &Execution<'_>) -> Result<()> {
        if !self.is_beyond && at.offset >= self.in_timescale {
            self.is_beyond = true;
            self.show_open_orders()?;
        }
        let trade = trade_of(execution);
        if at.offset < self.in_clickhouse {
            let range = RangeKey::of(topic::EXECUTED, self.partition, at.offset);
            if let Some(trade) = &trade {
                self.trades.row(&range, |row| rows_clickhouse::trade(row, at, execution, trade));
            }
            self.executions.row(&range, |row| rows_clickhouse::execution(row, at, execution));
        }
        *self.part.flow.executions.entry(execution.kind.symbol()).or_default() += 1;
        let shown = if self.is_beyond { None } else { self.moment(at, execution, trade.as_ref()) };
        if let Some(moment) = &shown {
            self.show(moment, execution, trade.as_ref());
        }
        if let Some(trade) = &trade {
            self.trade(at, execution, trade);
        }
        self.book(at, execution);
        let reason = execution.cancel_reason.map(wire::CancelReason::symbol);
        for order in [&execution.order, &execution.maker].into_iter().flatten() {
            self.order(at, order, shown.map(|moment| (moment, reason)));
        }
        Ok(())
    }

    /// When and where, if the record changes TimescaleDB: one that makes no sense does not.
    fn moment(&self, at: &RecordView<'_>, execution: &Execution<'_>, trade: Option<&Trade<'_, '_>>) -> Option<Moment> {
        let at_us = checked_ms(execution.validated_at_ms)?;
        let makes_sense = match execution.kind {
            ExecutionKind::Refused | ExecutionKind::Transferred | ExecutionKind::Unknown => false,
            ExecutionKind::Quoted => execution.instrument.is_some(),
            ExecutionKind::Traded => trade.is_some(),
            _ => execution.order.is_some(),
        };
        makes_sense.then_some(Moment { partition: self.partition, offset: at.offset, at_us })
    }

    fn instrument(&mut self, name: &str) -> &mut Instrument {
        self.instruments.entry(SmolStr::new(name)).or_default()
    }

    /// Trades, candles and quotes of TimescaleDB.
    fn show(&mut self, moment: &Moment, execution: &Execution<'_>, trade: Option<&Trade<'_, '_>>) {
        if let Some(trade) = trade {
            let range = RangeKey::of(topic::EXECUTED, self.partition, moment.offset);
            self.shown_trades.row(&range, |row| rows_timescale::trade(row, moment, trade));
            let market = &mut self.instrument(trade.taker.instrument).market;
            market.trade(moment.at_us, trade.trade_id, trade.price, trade.quantity);
        }
        if let (ExecutionKind::Quoted, Some(instrument)) = (execution.kind, execution.instrument) {
            let bid = execution.bid_price.zip(execution.bid_quantity);
            let ask = execution.ask_price.zip(execution.ask_quantity);
            self.instrument(instrument).market.quote(*moment, bid, ask);
        }
    }

    fn trade(&mut self, at: &RecordView<'_>, execution: &Execution<'_>, trade: &Trade<'_, '_>) {
        let passed = at.offset < self.taken;
        if !self.shared.trades.executed(trade.trade_id, trade.price, trade.quantity, passed) {
            let why = || format!("{}: trade {} was executed before, or can't be", place(at), trade.trade_id);
            self.part.findings.one_verdict.violation(why);
        }
        self.part.flow.trades += 1;
        let print = (execution.validated_at_ms, trade.price, trade.quantity);
        let instrument = self.instrument(trade.taker.instrument);
        instrument.prints.push(print);
        instrument.traded.0 += i128::from(trade.quantity);
        instrument.traded.1 += i128::from(trade.notional);
    }

    /// Price-time priority.
    fn book(&mut self, at: &RecordView<'_>, execution: &Execution<'_>) {
        let Some(name) = execution.instrument else { return };
        let shared = self.shared;
        let is_iceberg = |order: &OrderState<'_>| shared.commands.has(order.order_id, mark::ICEBERG);
        let order = execution.order.as_ref().map(|order| &order.value);
        let maker = execution.maker.as_ref().map(|maker| &maker.value);
        self.compare_depth(name, execution.command_id);
        let instrument = self.instrument(name);
        instrument.has_icebergs |= order.is_some_and(is_iceberg);
        let book = &mut instrument.book;
        let violation = match (execution.kind, order, maker) {
            (ExecutionKind::Traded, Some(taker), Some(maker)) => {
                book.trades += 1;
                let checked = book.check_maker(maker, taker.order_id);
                book.update(maker, true, is_iceberg(maker));
                book.update(taker, true, is_iceberg(taker));
                checked.err().map(|why| format!("the maker {} was not first: {why}", maker.order_id))
            }
            (ExecutionKind::Quoted, ..) => match (execution.bid_price, execution.ask_price) {
                (Some(bid), Some(ask)) if bid >= ask => Some(format!("bid {bid}, ask {ask}")),
                _ => None,
            },
            (kind, Some(order), _) => {
                let keeps_place = kind != ExecutionKind::Amended || execution.kept_place == Some(true);
                book.update(order, keeps_place, is_iceberg(order));
                None
            }
            _ => None,
        };
        if let Some(violation) = violation {
            self.part.findings.priority.violation(|| format!("{}: {name}: {violation}", place(at)));
        }
    }

    /// Before the first event of another command: is the book as it was told by the last that is told of it? Beyond the end of
    /// `book.depth` as it was read, more may have happened.
    fn compare_depth(&mut self, name: &str, next_command_id: i64) {
        let told = self.told.and_then(|depth| depth.books.get(name));
        let instrument = self.instrument(name);
        if instrument.command_id != next_command_id {
            if told.is_some_and(|told| told.command_id == Some(instrument.command_id)) {
                instrument.compare(name, told);
            }
            instrument.command_id = next_command_id;
        }
    }

    /// One end for each order.
    fn order(
        &mut self,
        at: &RecordView<'_>,
        order: &WithBytes<'_, OrderState<'_>>,
        shown: Option<(Moment, Option<&'static str>)>,
    ) {
        let (id, status) = (order.value.order_id, order.value.status);
        let ends = matches!(status, OrderStatus::Filled | OrderStatus::Cancelled | OrderStatus::Expired);
        let marks = mark::EXECUTED | if ends { mark::ENDED } else { 0 };
        let before = self.shared.commands.mark(id, marks);
        if before.is_none_or(|before| before & mark::ENDED != 0) {
            let why = if before.is_none() { "was never commanded" } else { "goes on after its end" };
            self.part.findings.one_verdict.violation(|| format!("{}: order {id} {why}", place(at)));
        }
        if ends {
            *self.part.flow.orders.entry(status.symbol()).or_default() += 1;
            self.open.remove(&id);
            if let Some((moment, reason)) = shown {
                self.show_order(&moment, &order.value, reason);
            }
            return;
        }
        let open = self.open.entry(id).or_insert_with(|| OpenOrder { state: Vec::new(), status, shown: None });
        open.status = status;
        if shown.is_some() {
            open.state.clear();
            open.state.extend_from_slice(order.bytes);
            open.shown = shown;
        }
    }

    fn show_order(&mut self, moment: &Moment, order: &OrderState<'_>, reason: Option<&'static str>) {
        let range = RangeKey::of(topic::ORDERS, id_partition(order.order_id), id_sequence(order.order_id));
        if rows_timescale::is_open(order.status) {
            self.open_orders.row(&range, |row| rows_timescale::open_order(row, moment, order));
        }
        self.orders.row(&range, |row| rows_timescale::order(row, moment, order, reason));
    }

    /// The rows of orders that are open where TimescaleDB stands.
    fn show_open_orders(&mut self) -> Result<()> {
        // By identity, so that ranges come one after the other.
        let mut shown: BTreeMap<i64, (Vec<u8>, Moment, Option<&'static str>)> = BTreeMap::new();
        for (id, open) in &mut self.open {
            if let Some((moment, reason)) = open.shown.take() {
                shown.insert(*id, (std::mem::take(&mut open.state), moment, reason));
            }
        }
        for (id, (state, moment, reason)) in &shown {
            let order: OrderState<'_> = read(state).map_err(|_| anyhow!("order {id} can't be read again"))?;
            self.show_order(moment, &order, *reason);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Part> {
        self.show_open_orders()?;
        for open in self.open.values() {
            *self.part.flow.orders.entry(open.status.symbol()).or_default() += 1;
        }
        let mut rows = MarketRows::new(self.shared.wanted.clone());
        for (name, mut instrument) in self.instruments {
            instrument.compare(&name, self.told.and_then(|depth| depth.books.get(&name)));
            if !instrument.is_shown {
                self.part.depth.violation(|| format!("{name}: {} does not tell what its book holds", topic::DEPTH));
            }
            self.part.books.push(instrument.book.resting(&name));
            rows.add(OWN_VENUE, &name, instrument.market);
            if !instrument.prints.is_empty() {
                self.part.flow.traded.insert(name.clone(), instrument.traded);
            }
            self.part.flow.prints.insert(name, instrument.prints);
        }
        self.part.tables.extend(rows.into_tables());
        self.part.tables.extend([self.executions, self.trades, self.shown_trades, self.orders, self.open_orders]);
        Ok(self.part)
    }
}
