//! Amend, cancel and cancel-all. Each returns the book that it may have changed.

use super::order::Order;
use super::store::Slot;
use super::{Events, Matching};
use crate::accepted::{Accepted, Amendment};
use crate::execution::{CancelReason, ExecutionBody, OrderStatus, RefuseReason};
use crate::types::{MAX_UNITS, OrderId, Units};
use smol_str::SmolStr;

/// What an order would become.
struct NewTerms {
    price: Units,
    quantity: Units,
    leaves: Units,
}

/// What is to be done about an amendment.
enum Ruling {
    Refuse(RefuseReason),
    CancelAsFilled,
    Change(NewTerms),
}

impl Matching {
    /// Quantity lowered (or unchanged) at the same price keeps the order's place; all else sends it to the back, and
    /// it takes if it crosses now. A waiting stop has no place to lose: it keeps the turn that it came in with.
    pub(super) fn amend(&mut self, command: &Accepted, amendment: &Amendment, events: &mut Events<'_>) -> Option<u32> {
        let Some(slot) = self.find_own(command, &amendment.instrument, amendment.target_order_id) else {
            refuse_amend(command, amendment, RefuseReason::NotOpen, events);
            return None;
        };
        let order = &self.orders[slot];
        let book = order.book;
        match rule(order, amendment) {
            Ruling::Refuse(reason) => refuse_amend(command, amendment, reason, events),
            Ruling::CancelAsFilled => {
                self.detach(slot);
                let order = &mut self.orders[slot];
                order.end_with_extra(OrderStatus::Cancelled, amendment.extra_reserved);
                events.cancelled(order, CancelReason::AmendedToFilled);
                self.orders.release(slot);
            }
            Ruling::Change(terms) => self.change(slot, &terms, amendment.extra_reserved, events),
        }
        Some(book)
    }

    fn change(&mut self, slot: Slot, terms: &NewTerms, extra: Units, events: &mut Events<'_>) {
        let state = &self.orders[slot].state;
        let waits = state.status == OrderStatus::Waiting;
        let kept_place = waits || (terms.price == state.price && terms.quantity <= state.quantity);
        if kept_place {
            let order = &mut self.orders[slot];
            order.amend(terms.price, terms.quantity, terms.leaves, extra);
            events.amended(order, true);
            if !waits {
                let (book, side) = (order.book as usize, order.state.side);
                self.books[book].ladder_mut(side).shrink(&mut self.orders, slot);
            }
        } else {
            self.detach(slot);
            let mut order = self.orders.take(slot);
            order.amend(terms.price, terms.quantity, terms.leaves, extra);
            events.amended(&order, false);
            self.enter(order, events);
        }
    }

    pub(super) fn cancel(
        &mut self,
        command: &Accepted,
        instrument: &SmolStr,
        target_order_id: OrderId,
        events: &mut Events<'_>,
    ) -> Option<u32> {
        let Some(slot) = self.find_own(command, instrument, target_order_id) else {
            events.push(refusal(command, instrument, Some(target_order_id), RefuseReason::NotOpen));
            return None;
        };
        let book = self.orders[slot].book;
        self.cancel_stored(slot, CancelReason::Requested, events);
        Some(book)
    }

    /// Cancels the account's resting and waiting orders in one book, in order of their ids.
    pub(super) fn cancel_all(
        &mut self,
        command: &Accepted,
        instrument: &SmolStr,
        events: &mut Events<'_>,
    ) -> Option<u32> {
        let account = self.account_by_name.get(&command.account);
        let book = self.book_by_symbol.get(instrument);
        let slots = match (account, book) {
            (Some(account), Some(book)) => self.orders.of_account(*account, *book),
            _ => Vec::new(),
        };
        if slots.is_empty() {
            events.push(refusal(command, instrument, None, RefuseReason::NothingToCancel));
            return None;
        }
        let book = book.copied();
        for slot in slots {
            self.cancel_stored(slot, CancelReason::CancelAll, events);
        }
        book
    }

    /// The commanding account's own open order in that book.
    fn find_own(&self, command: &Accepted, instrument: &SmolStr, order_id: OrderId) -> Option<Slot> {
        let slot = self.orders.find(order_id)?;
        let state = &self.orders[slot].state;
        (state.account == command.account && state.instrument == *instrument).then_some(slot)
    }
}

/// The ladder of an amendment. `leaves` moves by as much as the total quantity does, so that what self-trade
/// prevention took stays taken (the validator reckons in the same way).
fn rule(order: &Order, amendment: &Amendment) -> Ruling {
    let state = &order.state;
    if amendment.price.is_some() && order.is_market() {
        return Ruling::Refuse(RefuseReason::NotAmendable);
    }
    let price = amendment.price.unwrap_or(state.price);
    if !(1..=MAX_UNITS).contains(&price) {
        return Ruling::Refuse(RefuseReason::NotAmendable);
    }
    let quantity = amendment.quantity.unwrap_or(state.quantity);
    if quantity <= state.quantity - state.leaves {
        return Ruling::CancelAsFilled;
    }
    let leaves = quantity - (state.quantity - state.leaves);
    let covered = state.reserved_after.checked_add(amendment.extra_reserved);
    match (covered, order.needed(price, leaves)) {
        (Some(covered), Ok(needed)) if needed <= covered && quantity <= MAX_UNITS => {
            Ruling::Change(NewTerms { price, quantity, leaves })
        }
        _ => Ruling::Refuse(RefuseReason::ReservationTooSmall),
    }
}

/// Refuses an amend and gives back all that it had reserved.
fn refuse_amend(command: &Accepted, amendment: &Amendment, why: RefuseReason, events: &mut Events<'_>) {
    let mut body = refusal(command, &amendment.instrument, Some(amendment.target_order_id), why);
    if let ExecutionBody::Refused { reserve_asset, released, .. } = &mut body
        && amendment.extra_reserved > 0
    {
        *reserve_asset = Some(amendment.reserve_asset.clone());
        *released = amendment.extra_reserved;
    }
    events.push(body);
}

fn refusal(command: &Accepted, instrument: &SmolStr, target: Option<OrderId>, reason: RefuseReason) -> ExecutionBody {
    ExecutionBody::Refused {
        account: command.account.clone(),
        client_order_id: command.client_order_id.clone(),
        instrument: instrument.clone(),
        target_order_id: target,
        reason,
        reserve_asset: None,
        released: 0,
    }
}
