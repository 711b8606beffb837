//! The matching core: strict price-time priority for all books of one executor partition.
//!
//! It turns validated commands into the events of `trades.executed`. What a command did is in the events alone;
//! [`Matching`] is the state, a fold of the commands and ticks it has been given.
//!
//! What is absent: clocks, random numbers, floating point, Kafka, serde, and every check that the validator has done
//! (funds, ticks, lots, collars, limits, duplicates). Nothing here iterates over a hash map. A redelivered command is
//! not recognised: the lane that feeds it delivers exactly once.
//!
//! Events of a command, in order: `Accepted` first if it places an order, then what happened, one by one as it
//! happened, then what the stop orders did that it elected, and at the end at most one `Quoted`.
//!
//! | file | what is in it |
//! |---|---|
//! | `order.rs` | one order: how its quantities and its reservation move |
//! | `store.rs` | all live orders: a slab with intrusive lists, found by id, by account and by expiry |
//! | `book.rs` | one instrument: price levels, queues, waiting stops, best quotes |
//! | `take.rs` | an order enters: crossing, fill-or-kill, self-trade prevention, resting |
//! | `depth.rs` | what the books show, told as a stream |
//! | `stops.rs` | stop orders wait, are elected and run |
//! | `amend.rs` | amend, cancel, cancel-all |
//! | `expiry.rs` | ticks end DAY and GTD orders |
//! | `image.rs` | the state as an image, and back |

mod amend;
mod book;
mod depth;
mod expiry;
mod hash;
mod image;
mod order;
mod stops;
mod store;
mod take;

pub use book::Book;
pub use depth::SNAPSHOT_TICKS;

use crate::accepted::{Accepted, Action, OrderTerms};
use crate::depth::DepthUpdate;
use crate::execution::{CancelReason, Execution, ExecutionBody, OrderStatus};
use crate::types::{CommandId, TimeMs, TradeId, position_id};
use hash::FastMap;
use order::Order;
use smol_str::SmolStr;
use std::collections::VecDeque;
use store::{Slot, Store};

/// The books of one executor partition, created on first use, and their orders.
#[derive(Debug)]
pub struct Matching {
    partition: i32,
    /// Sequence of the next trade; with the partition it is the trade's identity.
    next_trade: i64,
    /// Sequence of the next order to come in; elected stops run in this order.
    next_entry: u64,
    books: Vec<Book>,
    book_by_symbol: FastMap<SmolStr, u32>,
    account_by_name: FastMap<SmolStr, u32>,
    orders: Store,
    /// Stops that are elected and have not run yet. Empty between commands.
    elected: VecDeque<Slot>,
    /// What the last command or tick made of what the books show.
    depth: Vec<DepthUpdate>,
    /// The book that the next tick tells whole.
    next_told: usize,
}

impl Matching {
    /// No books, no orders. Trade ids are made of `partition` and a sequence that starts at 1.
    pub fn new(partition: i32) -> Self {
        Self {
            partition,
            next_trade: 1,
            next_entry: 1,
            books: Vec::new(),
            book_by_symbol: FastMap::default(),
            account_by_name: FastMap::default(),
            orders: Store::default(),
            elected: VecDeque::new(),
            depth: Vec::new(),
            next_told: 0,
        }
    }

    /// Carries out one command and appends what happened to `out`. `validated_at_ms` is the append time of the
    /// command's record in `orders.validated`.
    pub fn apply(&mut self, validated_at_ms: TimeMs, command: &Accepted, out: &mut Vec<Execution>) {
        let (command_id, commanded_at_ms) = (command.command_id, command.commanded_at_ms);
        let mut events = Events { command_id, commanded_at_ms, validated_at_ms, out };
        self.depth.clear();
        let book = match &command.action {
            Action::Place(terms) => Some(self.place(command, terms, &mut events)),
            Action::Amend(amendment) => self.amend(command, amendment, &mut events),
            Action::Cancel { instrument, target_order_id } => {
                self.cancel(command, instrument, *target_order_id, &mut events)
            }
            Action::CancelAll { instrument } => self.cancel_all(command, instrument, &mut events),
            Action::Transfer { asset, amount } => {
                events.push(ExecutionBody::Transferred {
                    account: command.account.clone(),
                    client_order_id: command.client_order_id.clone(),
                    asset: asset.clone(),
                    amount: *amount,
                });
                None
            }
        };
        if let Some(book) = book {
            self.run_stops(book, &mut events);
            self.quote(book, &mut events);
            self.tell_depth(book, &events);
        }
    }

    /// The book of `instrument`, if an order has ever been placed in it.
    pub fn book(&self, instrument: &str) -> Option<&Book> {
        self.book_by_symbol.get(instrument).map(|book| &self.books[*book as usize])
    }

    fn place(&mut self, command: &Accepted, terms: &OrderTerms, events: &mut Events<'_>) -> u32 {
        let book = self.book_index(&terms.instrument);
        let account = self.account_index(&command.account);
        let mut order = Order::new(command, terms, account, book, self.next_entry);
        self.next_entry += 1;
        events.push(ExecutionBody::Accepted { order: order.state.clone() });
        if !order.is_sound() {
            // Never true for what the validator lets through. It still reaches its one end, and its funds are freed.
            order.end(OrderStatus::Cancelled);
            events.cancelled(&order, CancelReason::NoLiquidity);
        } else if order.state.status == OrderStatus::Waiting {
            self.wait_or_trigger(order, events);
        } else {
            self.enter(order, events);
        }
        book
    }

    fn book_index(&mut self, symbol: &SmolStr) -> u32 {
        if let Some(book) = self.book_by_symbol.get(symbol) {
            return *book;
        }
        let book = self.books.len() as u32;
        self.books.push(Book::new(symbol.clone()));
        self.book_by_symbol.insert(symbol.clone(), book);
        book
    }

    fn account_index(&mut self, name: &SmolStr) -> u32 {
        if let Some(account) = self.account_by_name.get(name) {
            return *account;
        }
        let account = self.account_by_name.len() as u32;
        self.account_by_name.insert(name.clone(), account);
        account
    }

    fn take_trade_id(&mut self) -> TradeId {
        let trade_id = position_id(self.partition, self.next_trade);
        self.next_trade += 1;
        trade_id
    }

    /// Tells the best quotes if they differ from those told last.
    fn quote(&mut self, book: u32, events: &mut Events<'_>) {
        let book = &mut self.books[book as usize];
        if let Some((bid, ask)) = book.changed_quotes() {
            events.push(ExecutionBody::Quoted { instrument: book.symbol().clone(), bid, ask });
        }
    }

    /// Takes a resting or waiting order out of its book; it stays in the store.
    fn detach(&mut self, slot: Slot) {
        let book = self.orders[slot].book as usize;
        self.books[book].detach(&mut self.orders, slot);
    }

    /// Cancels a resting or waiting order.
    fn cancel_stored(&mut self, slot: Slot, reason: CancelReason, events: &mut Events<'_>) {
        self.detach(slot);
        let order = &mut self.orders[slot];
        order.end(OrderStatus::Cancelled);
        events.cancelled(order, reason);
        self.orders.release(slot);
    }
}

/// Where the events of one command go, with what all of them carry.
struct Events<'a> {
    command_id: CommandId,
    commanded_at_ms: TimeMs,
    validated_at_ms: TimeMs,
    out: &'a mut Vec<Execution>,
}

impl Events<'_> {
    fn push(&mut self, body: ExecutionBody) {
        self.out.push(Execution {
            command_id: self.command_id,
            commanded_at_ms: self.commanded_at_ms,
            validated_at_ms: self.validated_at_ms,
            body,
        });
    }

    fn cancelled(&mut self, order: &Order, reason: CancelReason) {
        self.push(ExecutionBody::Cancelled { order: order.state.clone(), reason });
    }

    fn amended(&mut self, order: &Order, kept_place: bool) {
        self.push(ExecutionBody::Amended { order: order.state.clone(), kept_place });
    }
}
