//! The matching state as an image: the two sequences, each book's own few fields, how much of each book's depth was told,
//! and every order with its successor in the queue of its price level. All indices, levels and sums are built anew from these.

use super::book::Book;
use super::order::Order;
use super::store::{Chain, Slot};
use super::{FastMap, Matching};
use crate::execution::{OrderState, OrderStatus};
use crate::image::{Damaged, Field, Image, Source};
use crate::types::{Side, Units};
use smol_str::SmolStr;

/// What an entity is; numbers are for good.
const SEQUENCES: u8 = 0;
const BOOK: u8 = 1;
const ORDER: u8 = 2;
const DEPTH: u8 = 3;

/// Where an order stood when the image began, and where its successor in the queue did.
struct Stood {
    slot: Slot,
    successor: Option<Slot>,
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
        blocks.put(|out| {
            DEPTH.put(out);
            (self.next_told as u32).put(out);
            (self.books.len() as u32).put(out);
            self.books.iter().for_each(|book| book.depth_sequence().put(out));
        });
    }

    fn next_block(&mut self) -> Option<Vec<u8>> {
        self.orders.next_block()
    }

    fn entities(&self) -> usize {
        self.orders.len() + self.books.len()
    }

    fn read_image(&mut self, blocks: &[Vec<u8>]) -> Result<(), Damaged> {
        // By the slot in which an order is now: this state is new, and fills its slots one after the other.
        let (mut stood, mut orders) = (Vec::new(), Vec::new());
        let mut has_sequences = false;
        // Images of versions that told no depth have none: each book begins with a snapshot then.
        let mut depth_sequences = Vec::new();
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
                    DEPTH => {
                        self.next_told = u32::get(&mut from)? as usize;
                        let books = u32::get(&mut from)?;
                        depth_sequences = (0..books).map(|_| i64::get(&mut from)).collect::<Result<Vec<_>, _>>()?;
                    }
                    ORDER => {
                        stood.push(Stood { slot: Field::get(&mut from)?, successor: Field::get(&mut from)? });
                        orders.push(self.get_order(&mut from)?);
                    }
                    other => {
                        return Err(Damaged(format!("an entity of kind {other} has no place in a matching state")));
                    }
                }
            }
        }
        if !has_sequences {
            return Err(Damaged("the sequences of trades and entries are missing".into()));
        }
        self.orders.fill(orders).map_err(|order_id| Damaged(format!("order {order_id} stands in it twice")))?;
        self.adopt_places(&stood)?;
        if !depth_sequences.is_empty() && depth_sequences.len() != self.books.len() {
            let (told, books) = (depth_sequences.len(), self.books.len());
            return Err(Damaged(format!("the depth of {told} books was told, and there are {books}")));
        }
        for (number, book) in self.books.iter_mut().enumerate() {
            book.resume_depth(depth_sequences.get(number).copied().unwrap_or(0));
        }
        Ok(())
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

    /// Reads what [`put_order`] has written behind the place, in the order of its fields. Its book has been read before.
    fn get_order(&mut self, from: &mut Source<'_>) -> Result<Order, Damaged> {
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
        Ok(Order {
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
        })
    }

    /// Puts orders back into their queues, and stops among those that wait. Goes through the orders from the first to the last,
    /// not along the queues: each step along one would wait for the memory.
    fn adopt_places(&mut self, stood: &[Stood]) -> Result<(), Damaged> {
        let neighbours = Neighbours::among(stood, |slot| self.orders[slot].state.status != OrderStatus::Waiting)?;
        let places: Vec<_> = (0..stood.len() as Slot).map(|slot| place_of(&self.orders[slot])).collect();
        for slot in 0..stood.len() as Slot {
            let order = &self.orders[slot];
            if order.state.status == OrderStatus::Waiting {
                self.books[order.book as usize].wait(&self.orders, slot);
                continue;
            }
            let (previous, next) = neighbours.of(slot);
            let rests = matches!(order.state.status, OrderStatus::Open | OrderStatus::PartlyFilled);
            let place = places[slot as usize];
            let is_apart = next.is_some_and(|next| places[next as usize] != place);
            if !rests || !(1..=order.state.leaves).contains(&order.displayed) || is_apart {
                return Err(Damaged(format!("order {} can't stand in its queue", order.state.order_id)));
            }
            let (book, side, price) = place;
            let ladder = self.books[book as usize].ladder_mut(side);
            if !ladder.adopt(order, slot, previous.is_none(), next.is_none()) {
                return Err(Damaged(format!("the price {price} has two queues")));
            }
            self.orders.put_between(slot, previous, next);
        }
        Ok(())
    }
}

/// Book, side and price: what the orders of a queue share.
const fn place_of(order: &Order) -> (u32, Side, Units) {
    (order.book, order.state.side, order.state.price)
}

/// Who stands before and behind whom in the queues, by slots of now.
struct Neighbours {
    previous: Vec<Option<Slot>>,
    next: Vec<Option<Slot>>,
}

impl Neighbours {
    /// Finds them among orders that stood so; `rests` says of a slot whether its order is in a queue.
    fn among(stood: &[Stood], rests: impl Fn(Slot) -> bool) -> Result<Self, Damaged> {
        let mut now_at: FastMap<Slot, Slot> = FastMap::default();
        now_at.reserve(stood.len());
        for (now, Stood { slot, .. }) in (0..).zip(stood) {
            if rests(now) && now_at.insert(*slot, now).is_some() {
                return Err(Damaged(format!("two orders stood in slot {slot}")));
            }
        }
        let mut found = Self { previous: vec![None; stood.len()], next: vec![None; stood.len()] };
        for (now, Stood { successor, .. }) in (0..).zip(stood) {
            let Some(slot) = successor else { continue };
            let next = now_at.get(slot);
            let next = *next.ok_or_else(|| Damaged(format!("no order rests in slot {slot}, which a queue names")))?;
            found.next[now as usize] = Some(next);
            if found.previous[next as usize].replace(now).is_some() {
                return Err(Damaged(format!("two orders stood before slot {slot}")));
            }
        }
        let heads = (0..stood.len() as Slot).filter(|slot| rests(*slot) && found.of(*slot).0.is_none());
        let queued: usize = heads.map(|head| found.queue(head).count()).sum();
        // An order in a ring has a predecessor, and no head leads to it.
        if queued == now_at.len() {
            Ok(found)
        } else {
            Err(Damaged(format!("{queued} orders stand in queues, {} rest", now_at.len())))
        }
    }

    fn of(&self, slot: Slot) -> (Option<Slot>, Option<Slot>) {
        (self.previous[slot as usize], self.next[slot as usize])
    }

    /// A price level's queue from its head on.
    fn queue(&self, head: Slot) -> impl Iterator<Item = Slot> {
        std::iter::successors(Some(head), |slot| self.next[*slot as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the neighbours of orders that stood in slots with successors; the one in slot 9 waits.
    fn among(stood: &[(Slot, Option<Slot>)]) -> Result<Neighbours, String> {
        let stood: Vec<Stood> =
            stood.iter().map(|(slot, successor)| Stood { slot: *slot, successor: *successor }).collect();
        Neighbours::among(&stood, |now| stood[now as usize].slot != 9).map_err(|Damaged(why)| why)
    }

    #[test]
    fn queues_are_found_whatever_the_order_in_which_they_were_written() {
        let found = among(&[(7, None), (3, Some(7)), (9, None), (5, Some(3)), (4, None)]);
        let found = found.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(
            (0..5).map(|slot| found.of(slot)).collect::<Vec<_>>(),
            [(Some(1), None), (Some(3), Some(0)), (None, None), (None, Some(1)), (None, None),]
        );
    }

    #[test]
    fn what_can_be_no_queue_is_refused() {
        for (stood, why) in [
            (vec![(1, None), (1, None)], "two orders stood in slot 1"),
            (vec![(1, Some(3)), (2, Some(3)), (3, None)], "two orders stood before slot 3"),
            (vec![(1, Some(2))], "no order rests in slot 2, which a queue names"),
            (vec![(1, Some(9)), (9, None)], "no order rests in slot 9, which a queue names"),
            (vec![(1, None), (2, Some(3)), (3, Some(2))], "1 orders stand in queues, 3 rest"),
            (vec![(9, Some(1)), (1, None)], "0 orders stand in queues, 1 rest"),
        ] {
            assert_eq!(among(&stood).err().as_deref(), Some(why), "{stood:?}");
        }
    }
}
