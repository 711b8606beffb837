//! All live orders of a partition: a slab of slots with intrusive doubly linked lists through it.
//!
//! Three lists go through each order: the queue of its price level (the book's), the open orders of its account in
//! its book, and the orders that expire at the same time. The last two have no order that anyone may rely on: who
//! reads them sorts.
//!
//! Whatever changes an order or the queue that it stands in goes through this module; so this is where an image at work
//! ([`crate::image`]) gets hold of an order as it was.

use super::hash::FastMap;
use super::image::put_order;
use super::order::Order;
use crate::image::{Blocks, Walk};
use crate::types::{OrderId, TimeMs};
use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

/// A place in the slab.
pub(super) type Slot = u32;

/// No slot.
const NONE: Slot = Slot::MAX;

/// Which of an order's lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chain {
    /// The queue of its price level.
    Queue,
    /// Open orders of the same account in the same book.
    Account,
    /// Orders with the same expiry time.
    Expiry,
}

/// An order's neighbours in one list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    previous: Slot,
    next: Slot,
}

impl Link {
    pub(super) const fn next(self) -> Option<Slot> {
        if self.next == NONE { None } else { Some(self.next) }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self { previous: NONE, next: NONE }
    }
}

/// The two ends of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    head: Slot,
    tail: Slot,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE }
    }
}

impl List {
    pub(super) const fn head(self) -> Option<Slot> {
        if self.head == NONE { None } else { Some(self.head) }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.head == NONE
    }

    pub(super) const fn set_head(&mut self, slot: Slot) {
        self.head = slot;
    }

    pub(super) const fn set_tail(&mut self, slot: Slot) {
        self.tail = slot;
    }
}

/// The slab and its indices.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// A free slot holds what the last order left there.
    slots: Vec<Order>,
    free: Vec<Slot>,
    by_id: FastMap<OrderId, Slot>,
    by_account: FastMap<(u32, u32), List>,
    by_expiry: BTreeMap<TimeMs, List>,
    walk: Walk,
    pub(super) blocks: Blocks,
}

impl Index<Slot> for Store {
    type Output = Order;

    fn index(&self, slot: Slot) -> &Order {
        &self.slots[slot as usize]
    }
}

impl IndexMut<Slot> for Store {
    fn index_mut(&mut self, slot: Slot) -> &mut Order {
        self.touch(slot);
        &mut self.slots[slot as usize]
    }
}

impl Store {
    /// The slot of a live order.
    pub(super) fn find(&self, order_id: OrderId) -> Option<Slot> {
        self.by_id.get(&order_id).copied()
    }

    /// Fills an empty store: orders go into its slots one after the other, and into its indices in a pass for each. Passes let
    /// the processor wait for many places of an index at once, which takes a third of the time.
    ///
    /// # Errors
    /// The identity of an order that is there twice.
    pub(super) fn fill(&mut self, orders: Vec<Order>) -> Result<(), OrderId> {
        self.slots = orders;
        let image = self.walk.image();
        self.by_id.reserve(self.slots.len());
        for (slot, order) in (0..).zip(&mut self.slots) {
            (order.is_stored, order.saved_in) = (true, image);
            if self.by_id.insert(order.state.order_id, slot).is_some() {
                return Err(order.state.order_id);
            }
        }
        self.by_account.reserve(self.slots.len());
        (0..self.slots.len() as Slot).for_each(|slot| self.enter_account(slot));
        (0..self.slots.len() as Slot).for_each(|slot| self.enter_expiry(slot));
        Ok(())
    }

    /// Stores an order and enters it in all indices. Its place in the book is the book's affair.
    pub(super) fn insert(&mut self, mut order: Order) -> Slot {
        (order.is_stored, order.saved_in) = (true, self.walk.image());
        let order_id = order.state.order_id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = order;
                slot
            }
            None => {
                self.slots.push(order);
                (self.slots.len() - 1) as Slot
            }
        };
        self.by_id.insert(order_id, slot);
        self.enter_account(slot);
        self.enter_expiry(slot);
        slot
    }

    fn enter_account(&mut self, slot: Slot) {
        let owner = owner(&self.slots[slot as usize]);
        push_back(&mut self.slots, self.by_account.entry(owner).or_default(), Chain::Account, slot);
    }

    fn enter_expiry(&mut self, slot: Slot) {
        if let Some(at_ms) = self.slots[slot as usize].expires_at_ms {
            push_back(&mut self.slots, self.by_expiry.entry(at_ms).or_default(), Chain::Expiry, slot);
        }
    }

    /// Gives an order of a store that is being filled its neighbours in the queue of its price level.
    pub(super) fn put_between(&mut self, slot: Slot, previous: Option<Slot>, next: Option<Slot>) {
        let link = Link { previous: previous.unwrap_or(NONE), next: next.unwrap_or(NONE) };
        self.slots[slot as usize].links[Chain::Queue as usize] = link;
    }

    /// Forgets an order that is in no book any more.
    pub(super) fn release(&mut self, slot: Slot) {
        let order = &mut self[slot];
        order.is_stored = false;
        let (order_id, owner, expires_at_ms) = (order.state.order_id, owner(order), order.expires_at_ms);
        self.by_id.remove(&order_id);
        if let Some(list) = self.by_account.get_mut(&owner) {
            unlink(&mut self.slots, list, Chain::Account, slot);
            if list.is_empty() {
                self.by_account.remove(&owner);
            }
        }
        if let Some(at_ms) = expires_at_ms
            && let Some(list) = self.by_expiry.get_mut(&at_ms)
        {
            unlink(&mut self.slots, list, Chain::Expiry, slot);
            if list.is_empty() {
                self.by_expiry.remove(&at_ms);
            }
        }
        self.free.push(slot);
    }

    /// Takes an order that is in no book any more into hand.
    pub(super) fn take(&mut self, slot: Slot) -> Order {
        let order = self[slot].clone();
        self.release(slot);
        order
    }

    /// Appends to the queue of a price level.
    pub(super) fn enqueue(&mut self, queue: &mut List, slot: Slot) {
        self.touch(queue.tail);
        self.touch(slot);
        push_back(&mut self.slots, queue, Chain::Queue, slot);
    }

    /// Removes from the queue of a price level.
    pub(super) fn dequeue(&mut self, queue: &mut List, slot: Slot) {
        // An image names successors only: the one behind does not change for it.
        self.touch(self[slot].links[Chain::Queue as usize].previous);
        self.touch(slot);
        unlink(&mut self.slots, queue, Chain::Queue, slot);
    }

    /// Begins an image of all orders that are stored now.
    pub(super) fn begin_image(&mut self, block_bytes: usize) {
        self.walk.begin(self.slots.len());
        self.blocks = Blocks::new(block_bytes);
    }

    /// The next block of the image.
    pub(super) fn next_block(&mut self) -> Option<Vec<u8>> {
        while !self.blocks.is_one_full()
            && let Some(slot) = self.walk.step()
        {
            self.save(slot);
        }
        self.blocks.take()
    }

    /// How many orders are stored.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// To be called before an order, or its place in a queue, changes.
    fn touch(&mut self, slot: Slot) {
        if self.walk.is_ahead(slot) {
            self.save(slot);
        }
    }

    /// Writes an order into the image at work, unless it is in it or was not there when the image began.
    fn save(&mut self, slot: Slot) {
        let order = &mut self.slots[slot as usize];
        if order.saved_in != self.walk.image() {
            order.saved_in = self.walk.image();
            if order.is_stored {
                self.blocks.put(|out| put_order(slot, order, out));
            }
        }
    }

    /// The slots of a list from its head on.
    pub(super) fn walk(&self, list: List, chain: Chain) -> impl Iterator<Item = Slot> {
        std::iter::successors(list.head(), move |slot| {
            let next = self[*slot].links[chain as usize].next;
            (next != NONE).then_some(next)
        })
    }

    /// Resting and waiting orders of an account in a book, by order id.
    pub(super) fn of_account(&self, account: u32, book: u32) -> Vec<Slot> {
        let list = self.by_account.get(&(account, book)).copied().unwrap_or_default();
        let mut slots: Vec<Slot> = self.walk(list, Chain::Account).collect();
        slots.sort_unstable_by_key(|slot| self[*slot].state.order_id);
        slots
    }

    /// Orders that expire at `now_ms` or before, by expiry time and order id.
    pub(super) fn expired(&self, now_ms: TimeMs) -> Vec<Slot> {
        let lists = self.by_expiry.range(..=now_ms).map(|(_, list)| *list);
        let mut slots: Vec<Slot> = lists.flat_map(|list| self.walk(list, Chain::Expiry)).collect();
        slots.sort_unstable_by_key(|slot| (self[*slot].expires_at_ms, self[*slot].state.order_id));
        slots
    }
}

/// Key of an order's account list.
const fn owner(order: &Order) -> (u32, u32) {
    (order.account, order.book)
}

fn push_back(slots: &mut [Order], list: &mut List, chain: Chain, slot: Slot) {
    slots[slot as usize].links[chain as usize] = Link { previous: list.tail, next: NONE };
    if list.tail == NONE {
        list.head = slot;
    } else {
        slots[list.tail as usize].links[chain as usize].next = slot;
    }
    list.tail = slot;
}

fn unlink(slots: &mut [Order], list: &mut List, chain: Chain, slot: Slot) {
    let Link { previous, next } = slots[slot as usize].links[chain as usize];
    if previous == NONE {
        list.head = next;
    } else {
        slots[previous as usize].links[chain as usize].next = next;
    }
    if next == NONE {
        list.tail = previous;
    } else {
        slots[next as usize].links[chain as usize].previous = previous;
    }
}
