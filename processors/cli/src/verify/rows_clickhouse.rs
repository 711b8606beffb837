//! The rows that a record must have in ClickHouse, written from `docs/clickhouse.md`: absent text is empty, an absent
//! number NULL. The order of values is that of the columns in [`super::tables`].

use super::records::{Command, Execution, OrderState, Posting, Rejection, Settlement, ValidatedCommand};
use super::writer::RowWriter;
use tapeline_domain::types::{ONE, position_id};
use tapeline_kafka::scan::RecordView;
use tapeline_schemas::topic;
use tapeline_schemas::wire::ExecutionKind;

/// The symbol of an optional enum; empty if absent.
macro_rules! symbol {
    ($value:expr) => {
        $value.map_or("", |value| value.symbol())
    };
}

fn position(row: &mut RowWriter, at: &RecordView<'_>) {
    row.int32(at.partition);
    row.int(at.offset);
}

pub(super) fn command(row: &mut RowWriter, at: &RecordView<'_>, command: &Command<'_>) {
    position(row, at);
    row.int(position_id(at.partition, at.offset));
    row.time_ms(at.timestamp_ms);
    row.text(command.account);
    row.text(command.client_order_id);
    row.text(command.kind.symbol());
    row.text(command.instrument.unwrap_or_default());
    row.text(symbol!(command.side));
    row.text(symbol!(command.order_type));
    row.text(symbol!(command.time_in_force));
    row.opt_amount(command.quantity);
    row.opt_amount(command.price);
    row.opt_amount(command.stop_price);
    row.opt_amount(command.display_quantity);
    row.flag(command.post_only);
    row.opt_time_ms(command.expires_at_ms);
    row.text(symbol!(command.self_trade_prevention));
    row.text(command.target_client_order_id.unwrap_or_default());
    row.text(command.asset.unwrap_or_default());
    row.opt_amount(command.amount);
}

pub(super) fn accepted(row: &mut RowWriter, at: &RecordView<'_>, command: &ValidatedCommand<'_>) {
    row.text(topic::VALIDATED);
    position(row, at);
    row.flag(true);
    row.int(command.command_id);
    row.time_ms(command.commanded_at_ms);
    row.time_ms(at.timestamp_ms);
    row.text(command.account);
    row.text(command.client_order_id);
    row.text(command.kind.symbol());
    row.text(command.instrument.unwrap_or_default());
    row.text("");
    row.text("");
    row.opt_int(None);
    row.opt_flag(None);
    row.text("");
    row.opt_int(command.target_order_id);
    row.text(command.base_asset.unwrap_or_default());
    row.text(command.quote_asset.unwrap_or_default());
    row.text(symbol!(command.side));
    row.text(symbol!(command.order_type));
    row.text(symbol!(command.time_in_force));
    row.opt_amount(command.quantity);
    row.opt_amount(command.price);
    row.opt_amount(command.stop_price);
    row.opt_amount(command.display_quantity);
    row.flag(command.post_only);
    row.opt_time_ms(command.expires_at_ms);
    row.text(symbol!(command.self_trade_prevention));
    row.int(command.maker_fee_ppm);
    row.int(command.taker_fee_ppm);
    row.text(command.reserved_asset.unwrap_or_default());
    row.amount(command.reserved_amount.into());
    row.text(command.asset.unwrap_or_default());
    row.opt_amount(command.amount);
}

pub(super) fn rejected(row: &mut RowWriter, at: &RecordView<'_>, rejection: &Rejection<'_>) {
    row.text(topic::REJECTED);
    position(row, at);
    row.flag(false);
    row.int(rejection.command_id);
    row.time_ms(rejection.commanded_at_ms);
    row.time_ms(at.timestamp_ms);
    row.text(rejection.account);
    row.text(rejection.client_order_id);
    row.text(rejection.kind.symbol());
    row.text(rejection.instrument.unwrap_or_default());
    row.text(rejection.reason.symbol());
    row.text(rejection.text);
    row.opt_int(rejection.original_command_id);
    row.opt_flag(rejection.original_accepted);
    row.text(symbol!(rejection.original_reason));
    row.opt_int(None);
    // base_asset, quote_asset, side, order_type, time_in_force
    (0..5).for_each(|_| row.text(""));
    // quantity, price, stop_price, display_quantity
    (0..4).for_each(|_| row.opt_amount(None));
    row.flag(false);
    row.opt_time_ms(None);
    row.text("");
    // maker_fee_ppm, taker_fee_ppm
    (0..2).for_each(|_| row.int(0));
    row.text("");
    row.amount(0);
    row.text("");
    row.opt_amount(None);
}

pub(super) fn execution(row: &mut RowWriter, at: &RecordView<'_>, execution: &Execution<'_>) {
    let order = execution.order.as_ref().map(|order| &order.value);
    let text = |of: fn(&OrderState<'_>) -> &'static str| order.map_or("", of);
    position(row, at);
    row.int(position_id(at.partition, at.offset));
    row.text(execution.kind.symbol());
    row.int(execution.command_id);
    row.time_ms(execution.commanded_at_ms);
    row.time_ms(execution.validated_at_ms);
    row.time_ms(at.timestamp_ms);
    row.text(execution.instrument.unwrap_or_default());
    row.text(order.map_or(execution.account.unwrap_or_default(), |order| order.account));
    row.text(order.map_or(execution.client_order_id.unwrap_or_default(), |order| order.client_order_id));
    row.opt_int(order.map(|order| order.order_id));
    row.text(order.map_or("", |order| order.base_asset));
    row.text(order.map_or("", |order| order.quote_asset));
    row.text(text(|order| order.side.symbol()));
    row.text(text(|order| order.order_type.symbol()));
    row.text(text(|order| order.time_in_force.symbol()));
    row.opt_amount(order.map(|order| order.price));
    row.opt_amount(order.and_then(|order| order.stop_price));
    row.opt_amount(order.map(|order| order.quantity));
    row.opt_amount(order.map(|order| order.filled));
    row.opt_amount(order.map(|order| order.leaves));
    row.text(text(|order| order.status.symbol()));
    row.opt_int(order.map(|order| order.maker_fee_ppm));
    row.opt_int(order.map(|order| order.taker_fee_ppm));
    row.opt_amount(order.map(|order| order.reserved_before));
    row.opt_amount(order.map(|order| order.reserved_after));
    row.opt_int(execution.maker.as_ref().map(|maker| maker.value.order_id));
    row.opt_int(execution.trade_id);
    row.opt_amount(execution.price);
    row.opt_amount(execution.quantity);
    row.opt_flag(execution.kept_place);
    // A record has at most one of them.
    row.text(execution.cancel_reason.map_or(symbol!(execution.refuse_reason), |reason| reason.symbol()));
    row.opt_int(execution.target_order_id);
    row.text(execution.asset.unwrap_or_default());
    row.opt_amount(execution.amount);
    row.opt_amount(execution.bid_price);
    row.opt_amount(execution.bid_quantity);
    row.opt_amount(execution.ask_price);
    row.opt_amount(execution.ask_quantity);
}

/// A trade whose record has all parts of one.
pub(super) struct Trade<'r, 'a> {
    pub(super) trade_id: i64,
    pub(super) price: i64,
    pub(super) quantity: i64,
    /// Price times quantity, rounded down.
    pub(super) notional: i64,
    pub(super) taker: &'r OrderState<'a>,
    pub(super) maker: &'r OrderState<'a>,
}

/// The trade of a TRADED record; `None` if a part is missing or the notional is out of range: such a record is no trade
/// in either view.
pub(super) fn trade_of<'r, 'a>(execution: &'r Execution<'a>) -> Option<Trade<'r, 'a>> {
    if execution.kind != ExecutionKind::Traded {
        return None;
    }
    let (price, quantity) = (execution.price?, execution.quantity?);
    let notional = i128::from(price) * i128::from(quantity) / i128::from(ONE);
    Some(Trade {
        trade_id: execution.trade_id?,
        price,
        quantity,
        notional: i64::try_from(notional)
            .ok()
            .filter(|notional| (0..=tapeline_domain::types::MAX_UNITS).contains(notional))?,
        taker: &execution.order.as_ref()?.value,
        maker: &execution.maker.as_ref()?.value,
    })
}

pub(super) fn trade(row: &mut RowWriter, at: &RecordView<'_>, execution: &Execution<'_>, trade: &Trade<'_, '_>) {
    let (taker, maker) = (trade.taker, trade.maker);
    position(row, at);
    row.int(trade.trade_id);
    row.time_ms(execution.validated_at_ms);
    row.time_ms(execution.commanded_at_ms);
    row.time_ms(at.timestamp_ms);
    row.text(taker.instrument);
    row.text(taker.base_asset);
    row.text(taker.quote_asset);
    row.amount(trade.price.into());
    row.amount(trade.quantity.into());
    row.amount(trade.notional.into());
    row.int(execution.command_id);
    row.text(taker.side.symbol());
    for order in [taker, maker] {
        row.int(order.order_id);
        row.text(order.account);
        row.text(order.client_order_id);
        row.amount(order.filled.into());
        row.amount(order.leaves.into());
        row.text(order.status.symbol());
    }
}

pub(super) fn settlement(row: &mut RowWriter, at: &RecordView<'_>, settlement: &Settlement<'_>) {
    let order = settlement.order.as_ref();
    position(row, at);
    row.text(settlement.kind.symbol());
    row.int(settlement.execution_id);
    row.int(settlement.command_id);
    row.text(settlement.account);
    row.text(settlement.instrument.unwrap_or_default());
    row.opt_int(settlement.order_id);
    row.opt_int(settlement.trade_id);
    row.text(symbol!(settlement.side));
    row.text(symbol!(settlement.liquidity));
    row.opt_amount(settlement.price);
    row.opt_amount(settlement.quantity);
    row.amount(settlement.notional.unwrap_or(0).into());
    row.amount(settlement.fee.unwrap_or(0).into());
    row.opt_amount(order.map(|order| order.price));
    row.opt_amount(order.map(|order| order.quantity));
    row.opt_amount(order.map(|order| order.leaves));
    row.opt_amount(order.map(|order| order.reserved));
    row.opt_flag(order.map(|order| order.done));
    row.int16(settlement.postings.len() as u16);
    row.time_ms(settlement.commanded_at_ms);
    row.time_ms(settlement.validated_at_ms);
    row.time_ms(settlement.executed_at_ms);
    row.time_ms(at.timestamp_ms);
}

pub(super) fn posting(
    row: &mut RowWriter,
    at: &RecordView<'_>,
    settlement: &Settlement<'_>,
    line: u16,
    posting: &Posting<'_>,
) {
    position(row, at);
    row.int16(line);
    row.text(posting.account);
    row.text(posting.asset);
    row.text(posting.bucket.symbol());
    row.amount(posting.amount.into());
    row.text(settlement.kind.symbol());
    row.int(settlement.execution_id);
    row.int(settlement.command_id);
    row.text(settlement.instrument.unwrap_or_default());
    row.opt_int(settlement.order_id);
    row.opt_int(settlement.trade_id);
    row.text(symbol!(settlement.side));
    row.text(symbol!(settlement.liquidity));
    row.time_ms(at.timestamp_ms);
}
