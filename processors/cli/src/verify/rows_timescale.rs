//! The rows that TimescaleDB must hold, written from `docs/timescale.md`: names in lower case, times in microseconds.

use super::records::{OrderState, Rejection};
use super::rows_clickhouse::Trade;
use super::writer::RowWriter;
use std::borrow::Cow;
use tapeline_domain::types::MAX_UNITS;
use tapeline_schemas::wire::OrderStatus;

/// Texts of refused commands, whose length nobody has checked, are cut to this many bytes.
const MAX_UNCHECKED_BYTES: usize = 256;
/// End of the year 9999: a record with a later time changes nothing.
const MAX_AT_US: i64 = 253_402_300_799_999_999;

/// A time that the view takes, microseconds since the Unix epoch.
pub(super) fn checked_us(at_us: Option<i64>) -> Option<i64> {
    at_us.filter(|at_us| (0..=MAX_AT_US).contains(at_us))
}

/// The same of milliseconds.
pub(super) fn checked_ms(at_ms: i64) -> Option<i64> {
    checked_us(at_ms.checked_mul(1_000))
}

/// PostgreSQL's text can't hold a NUL character: it becomes U+FFFD.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

fn cut(text: &str) -> Cow<'_, str> {
    clean(&text[..text.floor_char_boundary(MAX_UNCHECKED_BYTES)])
}

/// Where the record of a row is and when it happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) at_us: i64,
}

impl Moment {
    fn position(&self, row: &mut RowWriter) {
        row.int(self.partition.into());
        row.int(self.offset);
    }
}

/// Parts per million of the notional, rounded down; none if no amount is so large, or it is below zero.
fn fee(notional: i64, rate_ppm: i64) -> i128 {
    let fee = i128::from(notional) * i128::from(rate_ppm) / 1_000_000;
    if (0..=i128::from(MAX_UNITS)).contains(&fee) { fee } else { 0 }
}

pub(super) fn trade(row: &mut RowWriter, at: &Moment, trade: &Trade<'_, '_>) {
    row.int(trade.trade_id);
    row.time_us(at.at_us);
    row.text(&clean(trade.taker.instrument));
    row.amount(trade.price.into());
    row.amount(trade.quantity.into());
    row.amount(trade.notional.into());
    row.symbol(trade.taker.side.symbol());
    row.int(trade.taker.order_id);
    row.text(&clean(trade.taker.account));
    row.amount(fee(trade.notional, trade.taker.taker_fee_ppm));
    row.int(trade.maker.order_id);
    row.text(&clean(trade.maker.account));
    row.amount(fee(trade.notional, trade.maker.maker_fee_ppm));
    at.position(row);
}

pub(super) fn order(row: &mut RowWriter, at: &Moment, order: &OrderState<'_>, reason: Option<&'static str>) {
    row.int(order.order_id);
    row.text(&clean(order.account));
    row.text(&clean(order.client_order_id));
    row.opt_text(Some(&clean(order.instrument)));
    row.opt_symbol(Some(order.side.symbol()));
    row.opt_symbol(Some(order.order_type.symbol()));
    row.opt_symbol(Some(order.time_in_force.symbol()));
    row.opt_amount(Some(order.price));
    row.opt_amount(order.stop_price);
    row.opt_amount(Some(order.quantity));
    row.amount(order.filled.into());
    row.amount(order.leaves.into());
    row.symbol(order.status.symbol());
    row.opt_symbol(reason);
    row.time_us(at.at_us);
    at.position(row);
}

/// Whether the view `open_orders` shows an order.
pub(super) const fn is_open(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Open | OrderStatus::Waiting | OrderStatus::PartlyFilled)
}

pub(super) fn open_order(row: &mut RowWriter, at: &Moment, order: &OrderState<'_>) {
    row.int(order.order_id);
    row.text(&clean(order.account));
    row.text(&clean(order.client_order_id));
    row.opt_text(Some(&clean(order.instrument)));
    row.opt_symbol(Some(order.side.symbol()));
    row.opt_symbol(Some(order.order_type.symbol()));
    row.opt_symbol(Some(order.time_in_force.symbol()));
    row.opt_amount(Some(order.price));
    row.opt_amount(order.stop_price);
    row.opt_amount(Some(order.quantity));
    row.amount(order.filled.into());
    row.amount(order.leaves.into());
    row.symbol(order.status.symbol());
    row.time_us(at.at_us);
}

/// An order that was refused: its terms are not in the record.
pub(super) fn rejected(row: &mut RowWriter, at: &Moment, rejection: &Rejection<'_>) {
    row.int(rejection.command_id);
    row.text(&cut(rejection.account));
    row.text(&cut(rejection.client_order_id));
    row.opt_text(rejection.instrument.map(cut).as_deref());
    // side, order_type, time_in_force
    (0..3).for_each(|_| row.opt_text(None));
    // price, stop_price, quantity
    (0..3).for_each(|_| row.opt_amount(None));
    // filled, leaves
    (0..2).for_each(|_| row.amount(0));
    row.text("rejected");
    row.opt_symbol(Some(rejection.reason.symbol()));
    row.time_us(at.at_us);
    at.position(row);
}
