//! The matching state as an image: the two sequences, each book's own few fields, and every order with its successor in
//! the queue of its price level. All indices, levels and sums are built anew from these.

use super::book::Book;
use super::order::Order;
use super::store::{Chain, Slot};
use super::{FastMap, Matching};
use crate::execution::{OrderState, OrderStatus};
use crate::image::{Damaged, Field, Image, Source};
use smol_str::SmolStr;

/// What an entity is; numbers are for good.
const SEQUENCES: u8 = 0;
const BOOK: u8 = 1;
const ORDER: u8 = 2;

/// An order as it was read: where it stood, where its successor stood, and itself.
struct Stood {
    slot: Slot,
    successor: Option<Slot>,
    order: Order,
}

impl Image for Matching {
    fn begin_image(&mut self, block_bytes: usize) {
        self.orders.begin_image(block_bytes);
        let blocks = &mut self.orders.blocks;
        blocks.put(|out| {
            SEQUENCES.put(out);
            self.next_trade.put(out);
            self.next_entry.put(out);
        });
        for book in &self.books {
            blocks.put(|out| {
                BOOK.put(out);
                book.put(out);
            });
        }
    }

    fn next_block(&mut self) -> Option<Vec<u8>> {
        self.orders.next_block()
    }

    fn entities(&self) -> usize {
        self.orders.len() + self.books.len()
    }

    fn read_image(&mut self, blocks: &[Vec<u8>]) -> Result<(), Damaged> {
        let mut stood = Vec::new();
        let mut has_sequences = false;
        for block in blocks {
            let mut from = Source::new(block);
            while !from.is_empty() {
                match u8::get(&mut from)? {
                    SEQUENCES => {
                        self.next_trade = Field::get(&mut from)?;
                        self.next_entry = Field::get(&mut from)?;
                        has_sequences = true;
                    }
                    BOOK => self.adopt_book(Book::get(&mut from)?)?,
                    ORDER => stood.push(self.get_order(&mut from)?),
                    other => {
                        return Err(Damaged(format!("an entity of kind {other} has no place in a matching state")));
                    }
                }
            }
        }
        if !has_sequences {
            return Err(Damaged("the sequences of trades and entries are missing".into()));
        }
        self.adopt_orders(stood)
    }
}

/// Writes an order with its place.
pub(super) fn put_order(slot: Slot, order: &Order, out: &mut Vec<u8>) {
    let state = &order.state;
    ORDER.put(out);
    slot.put(out);
    order.links[Chain::Queue as usize].next().put(out);
    order.book.put(out);
    order.entry.put(out);
    order.displayed.put(out);
    order.display_quantity.put(out);
    order.expires_at_ms.put(out);
    order.post_only.put(out);
    order.self_trade_prevention.put(out);
    state.order_id.put(out);
    state.account.put(out);
    state.client_order_id.put(out);
    state.base_asset.put(out);
    state.quote_asset.put(out);
    state.side.put(out);
    state.order_type.put(out);
    state.time_in_force.put(out);
    state.price.put(out);
    state.stop_price.put(out);
    state.quantity.put(out);
    state.filled.put(out);
    state.leaves.put(out);
    state.status.put(out);
    state.maker_fee_ppm.put(out);
    state.taker_fee_ppm.put(out);
    state.reserved_before.put(out);
    state.reserved_after.put(out);
}

impl Matching {
    fn adopt_book(&mut self, book: Book) -> Result<(), Damaged> {
        let number = self.books.len() as u32;
        if self.book_by_symbol.insert(book.symbol().clone(), number).is_some() {
            return Err(Damaged(format!("there are two books of {}", book.symbol())));
        }
        self.books.push(book);
        Ok(())
    }

    /// Reads what [`put_order`] has written, in the order of its fields. Its book has been read before.
    fn get_order(&mut self, from: &mut Source<'_>) -> Result<Stood, Damaged> {
        let (slot, successor) = (Field::get(from)?, Field::get(from)?);
        let book = u32::get(from)?;
        let instrument = match self.books.get(book as usize) {
            Some(found) => found.symbol().clone(),
            None => return Err(Damaged(format!("an order stands in book number {book}, of {}", self.books.len()))),
        };
        let entry = Field::get(from)?;
        let displayed = Field::get(from)?;
        let display_quantity = Field::get(from)?;
        let expires_at_ms = Field::get(from)?;
        let post_only = Field::get(from)?;
        let self_trade_prevention = Field::get(from)?;
        let order_id = Field::get(from)?;
        let account: SmolStr = Field::get(from)?;
        let state = OrderState {
            order_id,
            account: account.clone(),
            client_order_id: Field::get(from)?,
            instrument,
            base_asset: Field::get(from)?,
            quote_asset: Field::get(from)?,
            side: Field::get(from)?,
            order_type: Field::get(from)?,
            time_in_force: Field::get(from)?,
            price: Field::get(from)?,
            stop_price: Field::get(from)?,
            quantity: Field::get(from)?,
            filled: Field::get(from)?,
            leaves: Field::get(from)?,
            status: Field::get(from)?,
            maker_fee_ppm: Field::get(from)?,
            taker_fee_ppm: Field::get(from)?,
            reserved_before: Field::get(from)?,
            reserved_after: Field::get(from)?,
        };
        let order = Order {
            account: self.account_index(&account),
            state,
            book,
            entry,
            displayed,
            display_quantity,
            expires_at_ms,
            post_only,
            self_trade_prevention,
            links: Default::default(),
            is_stored: false,
            saved_in: 0,
        };
        Ok(Stood { slot, successor, order })
    }

    /// Stores the orders, stops among those that wait, the others in their queues.
    fn adopt_orders(&mut self, stood: Vec<Stood>) -> Result<(), Damaged> {
        let mut now_at: FastMap<Slot, (Slot, Option<Slot>)> = FastMap::default();
        now_at.reserve(stood.len());
        let mut has_predecessor = FastMap::default();
        let mut heads = Vec::new();
        for Stood { slot, successor, order } in stood {
            if self.orders.find(order.state.order_id).is_some() {
                return Err(Damaged(format!("order {} stands in it twice", order.state.order_id)));
            }
            let waits = order.state.status == OrderStatus::Waiting;
            let book = order.book as usize;
            let now = self.orders.insert(order);
            if waits {
                self.books[book].wait(&self.orders, now);
            } else if now_at.insert(slot, (now, successor)).is_some() {
                return Err(Damaged(format!("two orders stood in slot {slot}")));
            } else {
                heads.push(slot);
            }
            if let Some(successor) = successor
                && has_predecessor.insert(successor, ()).is_some()
            {
                return Err(Damaged(format!("two orders stood before slot {successor}")));
            }
        }
        heads.retain(|slot| !has_predecessor.contains_key(slot));
        let mut queued = 0;
        for head in heads {
            queued += self.adopt_queue(head, &now_at)?;
        }
        // An order in a ring has a predecessor, and no head leads to it.
        if queued == now_at.len() {
            Ok(())
        } else {
            Err(Damaged(format!("{queued} orders stand in queues, {} rest", now_at.len())))
        }
    }

    /// Follows a price level's queue from its head.
    fn adopt_queue(&mut self, head: Slot, now_at: &FastMap<Slot, (Slot, Option<Slot>)>) -> Result<usize, Damaged> {
        let (mut queued, mut next) = (0, Some(head));
        let mut place = None;
        while let Some(slot) = next {
            let (now, successor) = *now_at
                .get(&slot)
                .ok_or_else(|| Damaged(format!("no order rests in slot {slot}, which a queue names")))?;
            let order = &self.orders[now];
            let found = (order.book, order.state.side, order.state.price);
            let rests = matches!(order.state.status, OrderStatus::Open | OrderStatus::PartlyFilled);
            if !rests || !(1..=order.state.leaves).contains(&order.displayed) || *place.get_or_insert(found) != found {
                return Err(Damaged(format!("order {} can't stand in its queue", order.state.order_id)));
            }
            let ladder = self.books[found.0 as usize].ladder_mut(found.1);
            if queued == 0 && ladder.has_level(found.2) {
                return Err(Damaged(format!("the price {} has two queues", found.2)));
            }
            ladder.put_back(&mut self.orders, now);
            (queued, next) = (queued + 1, successor);
        }
        Ok(queued)
    }
}
