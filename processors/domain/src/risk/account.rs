//! One account: its balances and its open orders. Holds no rule.

use super::{FastMap, Hold};
use crate::image::{Damaged, Field, Source, field_struct};
use crate::settlement::OrderRest;
use crate::types::{Account, OrderId, OrderType, Side, Units};
use smol_str::SmolStr;

/// A balance in one asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Free to use.
    pub available: Units,
    /// Held for open orders and withdrawals.
    pub reserved: Units,
}

/// An order that the validator has accepted and not yet seen end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// The client's own identity of it.
    pub client_order_id: SmolStr,
    /// Its book.
    pub instrument: SmolStr,
    /// Buy or sell.
    pub side: Side,
    /// As placed.
    pub order_type: OrderType,
    /// Worst price.
    pub price: Units,
    /// Total quantity.
    pub quantity: Units,
    /// Still open, as far as settlements have told.
    pub leaves: Units,
    /// Still reserved, as far as settlements have told.
    pub reserved: Units,
    /// Asset of `reserved`.
    pub reserve_asset: SmolStr,
    /// Taker fee fixed at acceptance, parts per million.
    pub taker_fee_ppm: i64,
}

#[derive(Debug, Default)]
pub(super) struct AccountState {
    name: SmolStr,
    pub(super) reference: Option<Account>,
    /// Few assets an account: a short list is faster than a map and has an order.
    balances: Vec<(SmolStr, Balance)>,
    orders: FastMap<OrderId, OpenOrder>,
    order_ids: FastMap<SmolStr, OrderId>,
    /// The image that it was written into last.
    pub(super) saved_in: u32,
}

/// Most balances, and most open orders, in a piece.
const MOST_IN_PIECE: usize = 128;

/// A part of an account, as an image holds it.
pub(super) struct Piece<'a> {
    account: &'a AccountState,
    /// Whether name and reference data stand in it.
    pub(super) is_first: bool,
    balances: &'a [(SmolStr, Balance)],
    order_ids: &'a [OrderId],
}

impl Piece<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        if self.is_first {
            self.account.name.put(out);
            self.account.reference.put(out);
        }
        (self.balances.len() as u64).put(out);
        self.balances.iter().for_each(|balance| balance.put(out));
        (self.order_ids.len() as u64).put(out);
        for order_id in self.order_ids {
            order_id.put(out);
            self.account.orders[order_id].put(out);
        }
    }
}

field_struct! {
    Balance { available, reserved }
    OpenOrder {
        client_order_id,
        instrument,
        side,
        order_type,
        price,
        quantity,
        leaves,
        reserved,
        reserve_asset,
        taker_fee_ppm,
    }
}

impl AccountState {
    /// An account with nothing in it.
    pub(super) fn new(name: SmolStr) -> Self {
        Self { name, ..Self::default() }
    }

    pub(super) const fn name(&self) -> &SmolStr {
        &self.name
    }

    /// Gives all of it to `write`, in pieces: what an image takes at once is
    /// never cut, and an account may have more open orders than fit into a record. [`Self::get`] reads the first piece,
    /// [`Self::get_more`] each further one.
    pub(super) fn each_piece(&self, mut write: impl FnMut(Piece<'_>)) {
        // By identity, so that the same state gives the same bytes.
        let mut order_ids: Vec<OrderId> = self.orders.keys().copied().collect();
        order_ids.sort_unstable();
        let (mut balances, mut orders) = (self.balances.chunks(MOST_IN_PIECE), order_ids.chunks(MOST_IN_PIECE));
        let mut is_first = true;
        loop {
            let (balances, order_ids) = (balances.next(), orders.next());
            if !is_first && balances.is_none() && order_ids.is_none() {
                return;
            }
            let (balances, order_ids) = (balances.unwrap_or_default(), order_ids.unwrap_or_default());
            write(Piece { account: self, is_first, balances, order_ids });
            is_first = false;
        }
    }

    pub(super) fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let mut account = Self::new(Field::get(from)?);
        account.reference = Field::get(from)?;
        account.get_more(from)?;
        Ok(account)
    }

    /// Takes balances and orders of a further piece.
    pub(super) fn get_more(&mut self, from: &mut Source<'_>) -> Result<(), Damaged> {
        self.balances.extend(Vec::<(SmolStr, Balance)>::get(from)?);
        let orders = u32::get(from)? as usize;
        // A damaged number costs no memory.
        let room = orders.min(MOST_IN_PIECE);
        self.orders.reserve(room);
        self.order_ids.reserve(room);
        for _ in 0..orders {
            self.open_order(Field::get(from)?, Field::get(from)?);
        }
        if self.orders.len() == self.order_ids.len() {
            Ok(())
        } else {
            Err(Damaged(format!("two open orders of {} share an identity", self.name)))
        }
    }

    pub(super) fn balance(&self, asset: &str) -> Balance {
        self.balances.iter().find(|(name, _)| name == asset).map(|(_, balance)| *balance).unwrap_or_default()
    }

    pub(super) fn set_balance(&mut self, asset: &SmolStr, balance: Balance) {
        match self.balances.iter_mut().find(|(name, _)| name == asset) {
            Some((_, current)) => *current = balance,
            None => self.balances.push((asset.clone(), balance)),
        }
    }

    /// Moves `hold` from available to reserved; the ladder has checked that it is there.
    pub(super) fn reserve(&mut self, hold: &Hold) {
        let mut balance = self.balance(&hold.asset);
        balance.available -= hold.amount;
        balance.reserved += hold.amount;
        self.set_balance(&hold.asset, balance);
    }

    pub(super) fn open_orders(&self) -> usize {
        self.orders.len()
    }

    pub(super) fn open_order(&mut self, order_id: OrderId, order: OpenOrder) {
        self.order_ids.insert(order.client_order_id.clone(), order_id);
        self.orders.insert(order_id, order);
    }

    pub(super) fn order_of(&self, client_order_id: &str) -> Option<(OrderId, &OpenOrder)> {
        let order_id = *self.order_ids.get(client_order_id)?;
        Some((order_id, self.orders.get(&order_id)?))
    }

    pub(super) fn follow_order(&mut self, order_id: OrderId, rest: OrderRest) {
        if rest.done {
            if let Some(order) = self.orders.remove(&order_id) {
                self.order_ids.remove(&order.client_order_id);
            }
        } else if let Some(order) = self.orders.get_mut(&order_id) {
            order.price = rest.price;
            order.quantity = rest.quantity;
            order.leaves = rest.leaves;
            order.reserved = rest.reserved;
        }
    }
}
