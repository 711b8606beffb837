//! An hour of AAPL at NASDAQ, order by order, as commands; any other file of [`Format::Orders`] too.
//!
//! The file has no participants, so accounts are made up:
//! - resting orders (`NEW`) by a fixed hash of the order id over `acc-00001`, `acc-00002`, ...;
//! - `IOC` orders over `taker-00001`, ...: accounts that never rest;
//! - `NEW` orders tagged `exec+rest` trade on entry and then rest: each gets an account of its own, `cross-00001`, ...
//!
//! So no order meets one of its own account, and self-trade prevention has nothing to do. Client order ids are
//! `ORDERID-SEQ` of the file, which [`file_ids`] takes apart again.
//!
//! The whole file is read and checked before the first command comes out: nothing is published of a bad file.
//! What is absent: matching. Whether a cancelled order was still open is for the pipeline to say.

use crate::table::{Format, ReadError, Row, Table};
use crate::{FundedAccount, Timed};
use smol_str::{SmolStr, format_smolstr};
use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::path::Path;
use tapeline_domain::types::{MAX_UNITS, ONE};
use tapeline_schemas::{topic, wire};

#[cfg(test)]
mod tests;

const SEQ: usize = 0;
const TS_NS: usize = 1;
const ACTION: usize = 2;
const ORDER_ID: usize = 3;
const SIDE: usize = 4;
const PRICE: usize = 5;
const QUANTITY: usize = 6;
const TAG: usize = 7;

/// The file's prices are in 10^-4.
const PRICE_SCALE: i64 = 10_000;
/// Tag of the rows that stand for orders from before the file begins.
const SEED_TAG: &str = "seed";
/// Tag of the `NEW` rows that trade on entry.
const CROSSING_TAG: &str = "exec+rest";

const MAKER_FEE_PPM: i64 = 100;
const TAKER_FEE_PPM: i64 = 250;
/// Session close of NASDAQ in summer: 20:00 UTC.
const SESSION_CLOSE_MS: i64 = 20 * 3_600_000;

/// What the file does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The instrument, `BASE-QUOTE`.
    pub instrument: SmolStr,
    /// Over how many accounts the resting orders are spread; 0 counts as 1.
    pub makers: u32,
    /// Over how many accounts the IOC orders are spread; 0 counts as 1.
    pub takers: u32,
    /// Number of partitions of `orders`: all accounts are named so that they belong to partition 0, because the file is
    /// one sequence and Kafka keeps the order within a partition only. 1 leaves the plain names.
    pub partitions: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { instrument: SmolStr::new_static("AAPL-USD"), makers: 100, takers: 10, partitions: 1 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    New,
    Ioc,
    Reduce,
    Cancel,
}

/// Who a made-up account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Maker(u32),
    Taker(u32),
    Crosser(u32),
}

impl Owner {
    /// The first of `acc-00001`, `acc-00001a`, `acc-00001b`, ... that belongs to partition 0 of `partitions`.
    fn name(self, partitions: i32) -> SmolStr {
        let plain = match self {
            Self::Maker(number) => format_smolstr!("acc-{number:05}"),
            Self::Taker(number) => format_smolstr!("taker-{number:05}"),
            Self::Crosser(number) => format_smolstr!("cross-{number:05}"),
        };
        let at_home = |name: &SmolStr| topic::partition_of(name.as_bytes(), partitions) == 0;
        let endings = (0_u32..).map(|number| match number {
            0 => plain.clone(),
            1..=26 => format_smolstr!("{plain}{}", char::from(b'a' + (number - 1) as u8)),
            _ => format_smolstr!("{plain}-{number}"),
        });
        endings.into_iter().find(at_home).unwrap_or_default()
    }
}

/// A row of the file, with what earlier rows say about its order.
#[derive(Debug, Clone)]
struct Order {
    at_ns: u64,
    action: Action,
    owner: Owner,
    side: wire::Side,
    order_id: i64,
    seq: i64,
    /// `seq` of the row that placed the order.
    placed_seq: i64,
    /// Units of 10^-8.
    price: i64,
    /// Units of 10^-8; for a REDUCE the new total.
    quantity: i64,
}

/// A file of orders, read and checked.
#[derive(Debug, Clone)]
pub struct OrderFile {
    symbol: SmolStr,
    partitions: i32,
    reference_price: i64,
    orders: Vec<Order>,
}

impl OrderFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it can't be read, is of another format, or a line makes no sense: a bad cell, a `seq` or time that falls
    /// back, an order id placed twice, a REDUCE or CANCEL of an order that is not there.
    pub fn read(path: &Path, options: &Options) -> Result<Self, ReadError> {
        Self::parse(Table::open(path, Format::Orders)?, options)
    }

    /// Reads the text of such a file from anywhere; `name` is for the errors.
    ///
    /// # Errors
    /// As [`OrderFile::read`].
    pub fn from_reader(name: &Path, text: impl BufRead, options: &Options) -> Result<Self, ReadError> {
        Self::parse(Table::new(name, text, Format::Orders)?, options)
    }

    fn parse<R: BufRead>(mut table: Table<R>, options: &Options) -> Result<Self, ReadError> {
        let mut reading = Reading::default();
        while let Some(row) = table.next_row()? {
            reading.take(&row, options)?;
        }
        let first_price = reading.orders.first().map_or(ONE, |order| order.price);
        Ok(Self {
            symbol: options.instrument.clone(),
            partitions: options.partitions,
            reference_price: reading.first_own_price.unwrap_or(first_price),
            orders: reading.orders,
        })
    }

    /// The commands in the file's order.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = Timed> + '_ {
        self.orders.iter().map(|order| Timed { at_ns: order.at_ns, command: self.command(order) })
    }

    fn command(&self, order: &Order) -> wire::Command {
        let kind = match order.action {
            Action::New | Action::Ioc => wire::CommandKind::Place,
            Action::Reduce => wire::CommandKind::Amend,
            Action::Cancel => wire::CommandKind::Cancel,
        };
        let id = client_order_id(order.order_id, order.seq);
        let mut command = wire::Command::blank(order.owner.name(self.partitions), id, kind);
        match order.action {
            Action::New | Action::Ioc => {
                let rests = order.action == Action::New;
                command.instrument = Some(self.symbol.clone());
                command.side = Some(order.side);
                command.order_type = Some(wire::OrderType::Limit);
                command.time_in_force = Some(if rests { wire::TimeInForce::Gtc } else { wire::TimeInForce::Ioc });
                command.quantity = Some(order.quantity);
                command.price = Some(order.price);
            }
            Action::Reduce | Action::Cancel => {
                command.target_client_order_id = Some(client_order_id(order.order_id, order.placed_seq));
                command.quantity = (order.action == Action::Reduce).then_some(order.quantity);
            }
        }
        command
    }

    /// All accounts of the file. Each gets what all its orders together cost at their limits with the taker fee,
    /// as if nothing were ever released, so that no order can fail for want of funds; likewise its open orders.
    /// An amount stops at the most that an account can hold (just below 10^10).
    pub fn accounts(&self) -> Vec<FundedAccount> {
        let (base, quote) = self.assets();
        let mut needs: BTreeMap<Owner, Needs> = BTreeMap::new();
        for order in self.orders.iter().filter(|order| matches!(order.action, Action::New | Action::Ioc)) {
            needs.entry(order.owner).or_default().add(order);
        }
        let funded = needs.into_iter().map(|(owner, needs)| {
            let funds = [(base.clone(), needs.base), (quote.clone(), needs.quote)];
            let funds = funds.into_iter().filter(|(_, amount)| *amount > 0);
            let funds = funds.map(|(asset, amount)| (asset, generous(amount))).collect();
            FundedAccount::new(owner.name(self.partitions), needs.orders.max(100), funds, SmolStr::default())
        });
        funded.collect()
    }

    /// The instrument that all prices and quantities of the file fit: tick 0.01 (or 0.0001 where the file needs
    /// it), lot 1, and a collar around the first price quoted in the file that holds its extreme prices.
    pub fn instrument(&self) -> wire::Instrument {
        let (base_asset, quote_asset) = self.assets();
        let reference = self.reference_price;
        let on_cents = self.orders.iter().all(|order| order.price % (ONE / 100) == 0);
        let widest = self.orders.iter().map(|order| order.price.abs_diff(reference)).max().unwrap_or(0);
        let collar_percent = (i128::from(widest) * 100 / i128::from(reference)).min(1_000_000) + 5;
        let largest = |least: i64, of: fn(&Order) -> i128| {
            let most = self.orders.iter().map(of).max().unwrap_or(0).clamp(0, i128::from(MAX_UNITS));
            least.max(most as i64)
        };
        wire::Instrument {
            symbol: self.symbol.clone(),
            base_asset,
            quote_asset,
            tick_size: if on_cents { ONE / 100 } else { ONE / PRICE_SCALE },
            lot_size: ONE,
            min_quantity: ONE,
            max_quantity: largest(100_000 * ONE, |order| i128::from(order.quantity)),
            min_notional: ONE / 100,
            max_notional: largest(100_000_000 * ONE, |order| {
                i128::from(order.price) * i128::from(order.quantity) / i128::from(ONE)
            }),
            reference_price: reference,
            collar_ppm: collar_percent as i64 * 10_000,
            maker_fee_ppm: MAKER_FEE_PPM,
            taker_fee_ppm: TAKER_FEE_PPM,
            status: wire::InstrumentStatus::Open,
            session_close_ms: SESSION_CLOSE_MS,
        }
    }

    /// Base and quote asset; a symbol without `-` is quoted in USD.
    fn assets(&self) -> (SmolStr, SmolStr) {
        let (base, quote) = self.symbol.split_once('-').unwrap_or((&self.symbol, "USD"));
        (base.into(), quote.into())
    }
}

/// What an account's orders cost, in units of 10^-8.
#[derive(Debug, Default)]
struct Needs {
    base: i128,
    quote: i128,
    orders: i64,
}

impl Needs {
    fn add(&mut self, order: &Order) {
        self.orders += 1;
        if order.side == wire::Side::Sell {
            self.base += i128::from(order.quantity);
            return;
        }
        let cost = i128::from(order.price) * i128::from(order.quantity) / i128::from(ONE) + 1;
        self.quote += cost + cost * i128::from(TAKER_FEE_PPM) / 1_000_000 + 1;
    }
}

/// Up to the next thousand whole units.
fn generous(amount: i128) -> i64 {
    let thousand = 1_000 * i128::from(ONE);
    let up = (amount + thousand - 1) / thousand * thousand;
    up.min(i128::from(MAX_UNITS)) as i64
}

/// What reading has to remember of the rows so far.
#[derive(Default)]
struct Reading {
    orders: Vec<Order>,
    /// Order id to index in `orders` of the row that placed it, and its total quantity now; 0 if cancelled.
    placed: HashMap<i64, (usize, i64)>,
    crossers: u32,
    first_ns: i64,
    last_ns: i64,
    last_seq: i64,
    first_own_price: Option<i64>,
}

impl Reading {
    fn take(&mut self, row: &Row<'_>, options: &Options) -> Result<(), ReadError> {
        let seq = row.whole(SEQ, 0..=i64::MAX)?;
        let ts_ns = row.whole(TS_NS, 0..=i64::MAX)?;
        if !self.orders.is_empty() && seq <= self.last_seq {
            return Err(row.wrong(SEQ, format!("more than {}, the row before", self.last_seq)));
        }
        if ts_ns < self.last_ns {
            return Err(row.wrong(TS_NS, format!("{} or later, as in the row before", self.last_ns)));
        }
        let action = row.word(
            ACTION,
            &[("NEW", Action::New), ("IOC", Action::Ioc), ("REDUCE", Action::Reduce), ("CANCEL", Action::Cancel)],
        )?;
        if self.orders.is_empty() {
            self.first_ns = ts_ns;
        }
        let order = Order {
            at_ns: ts_ns.abs_diff(self.first_ns),
            action,
            owner: Owner::Maker(1),
            side: side(row, SIDE)?,
            order_id: row.whole(ORDER_ID, 0..=i64::MAX)?,
            seq,
            placed_seq: seq,
            price: price(row, PRICE)?,
            quantity: quantity(row, QUANTITY)?,
        };
        let order = match action {
            Action::New | Action::Ioc => self.place(row, order, options)?,
            Action::Reduce | Action::Cancel => self.change(row, order)?,
        };
        (self.last_seq, self.last_ns) = (seq, ts_ns);
        self.orders.push(order);
        Ok(())
    }

    fn place(&mut self, row: &Row<'_>, mut order: Order, options: &Options) -> Result<Order, ReadError> {
        if self.placed.insert(order.order_id, (self.orders.len(), order.quantity)).is_some() {
            return Err(row.wrong(ORDER_ID, "an order id that no earlier row has placed"));
        }
        if row.text(TAG) != SEED_TAG {
            self.first_own_price.get_or_insert(order.price);
        }
        order.owner = if order.action == Action::Ioc {
            Owner::Taker(spread(order.order_id, options.takers))
        } else if row.text(TAG) == CROSSING_TAG {
            self.crossers += 1;
            Owner::Crosser(self.crossers)
        } else {
            Owner::Maker(spread(order.order_id, options.makers))
        };
        Ok(order)
    }

    fn change(&mut self, row: &Row<'_>, mut order: Order) -> Result<Order, ReadError> {
        let there = self.placed.get_mut(&order.order_id).filter(|(_, total)| *total > 0);
        let placed = there.and_then(|(index, total)| self.orders.get(*index).map(|placed| (placed, total)));
        let Some((placed, total)) = placed.filter(|(placed, _)| placed.action == Action::New) else {
            return Err(row.wrong(ORDER_ID, "the id of an earlier NEW that is not yet cancelled"));
        };
        if order.quantity > *total || (order.action == Action::Reduce && order.quantity == *total) {
            let most = *total / ONE;
            let less = if order.action == Action::Reduce { "less than" } else { "at most" };
            return Err(row.wrong(QUANTITY, format!("{less} {most}, the order's total")));
        }
        (order.owner, order.placed_seq) = (placed.owner, placed.seq);
        *total = if order.action == Action::Reduce { *total - order.quantity } else { 0 };
        if order.action == Action::Reduce {
            order.quantity = *total;
        }
        Ok(order)
    }
}

/// The same account, from 1 to `accounts`, for the same order id on every machine (the finalizer of SplitMix64).
fn spread(order_id: i64, accounts: u32) -> u32 {
    let mut hash = order_id.cast_unsigned();
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (hash % u64::from(accounts.max(1))) as u32 + 1
}

fn side(row: &Row<'_>, column: usize) -> Result<wire::Side, ReadError> {
    row.word(column, &[("B", wire::Side::Buy), ("S", wire::Side::Sell)])
}

fn price(row: &Row<'_>, column: usize) -> Result<i64, ReadError> {
    Ok(row.whole(column, 1..=MAX_UNITS / PRICE_SCALE)? * (ONE / PRICE_SCALE))
}

fn quantity(row: &Row<'_>, column: usize) -> Result<i64, ReadError> {
    Ok(row.whole(column, 1..=MAX_UNITS / ONE)? * ONE)
}

/// The client order id of the command in row `seq` about the order `order_id`.
pub fn client_order_id(order_id: i64, seq: i64) -> SmolStr {
    format_smolstr!("{order_id}-{seq}")
}

/// Order id and `seq` of the row that a client order id was made of.
pub fn file_ids(client_order_id: &str) -> Option<(i64, i64)> {
    let (order_id, seq) = client_order_id.split_once('-')?;
    Some((order_id.parse().ok()?, seq.parse().ok()?))
}

/// A fill that the orders must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Its place in the order of fills, from 1.
    pub fill_seq: i64,
    /// `seq` of the row whose order came in.
    pub aggressor_seq: i64,
    /// File's id of the order that rested.
    pub maker_order_id: i64,
    /// Side of the order that came in.
    pub aggressor_side: wire::Side,
    /// Units of 10^-8.
    pub price: i64,
    /// Units of 10^-8.
    pub quantity: i64,
}

/// Reads a file of [`Format::Fills`].
///
/// # Errors
/// If the file can't be read, is of another format or has a bad line.
pub fn fills(path: &Path) -> Result<Vec<Fill>, ReadError> {
    read_fills(Table::open(path, Format::Fills)?)
}

/// Reads the text of such a file from anywhere; `name` is for the errors.
///
/// # Errors
/// As [`fills`].
pub fn fills_from_reader(name: &Path, text: impl BufRead) -> Result<Vec<Fill>, ReadError> {
    read_fills(Table::new(name, text, Format::Fills)?)
}

fn read_fills<R: BufRead>(mut table: Table<R>) -> Result<Vec<Fill>, ReadError> {
    let mut fills = Vec::new();
    while let Some(row) = table.next_row()? {
        fills.push(Fill {
            fill_seq: row.whole(0, 0..=i64::MAX)?,
            aggressor_seq: row.whole(2, 0..=i64::MAX)?,
            maker_order_id: row.whole(3, 0..=i64::MAX)?,
            aggressor_side: side(&row, 4)?,
            price: price(&row, 5)?,
            quantity: quantity(&row, 6)?,
        });
    }
    Ok(fills)
}
