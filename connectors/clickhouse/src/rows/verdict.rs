//! Rows of `orders.validated` and `orders.rejected`, which share a table.

use super::{symbol, text};
use clickhouse::Row;
use serde::Serialize;
use tapeline_runtime::sink::SinkRecord;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{Rejection, ValidatedCommand};

/// A row of `verdicts_raw`.
#[derive(Row, Serialize, Default)]
pub(super) struct VerdictRow<'a> {
    topic: &'a str,
    kafka_partition: i32,
    kafka_offset: i64,
    accepted: bool,
    command_id: i64,
    commanded_at: i64,
    decided_at: i64,
    account: &'a str,
    client_order_id: &'a str,
    kind: &'a str,
    instrument: &'a str,
    reason: &'a str,
    text: &'a str,
    original_command_id: Option<i64>,
    original_accepted: Option<bool>,
    original_reason: &'a str,
    target_order_id: Option<i64>,
    base_asset: &'a str,
    quote_asset: &'a str,
    side: &'a str,
    order_type: &'a str,
    time_in_force: &'a str,
    quantity: Option<i64>,
    price: Option<i64>,
    stop_price: Option<i64>,
    display_quantity: Option<i64>,
    post_only: bool,
    expires_at: Option<i64>,
    self_trade_prevention: &'a str,
    maker_fee_ppm: i64,
    taker_fee_ppm: i64,
    reserved_asset: &'a str,
    reserved_amount: i64,
    asset: &'a str,
    amount: Option<i64>,
}

impl<'a> VerdictRow<'a> {
    pub(super) fn validated(at: &SinkRecord, command: &'a ValidatedCommand) -> Self {
        Self {
            topic: topic::VALIDATED,
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            accepted: true,
            command_id: command.command_id,
            commanded_at: command.commanded_at_ms,
            decided_at: at.timestamp_ms,
            account: &command.account,
            client_order_id: &command.client_order_id,
            kind: command.kind.symbol(),
            instrument: text(&command.instrument),
            target_order_id: command.target_order_id,
            base_asset: text(&command.base_asset),
            quote_asset: text(&command.quote_asset),
            side: symbol!(command.side),
            order_type: symbol!(command.order_type),
            time_in_force: symbol!(command.time_in_force),
            quantity: command.quantity,
            price: command.price,
            stop_price: command.stop_price,
            display_quantity: command.display_quantity,
            post_only: command.post_only,
            expires_at: command.expires_at_ms,
            self_trade_prevention: symbol!(command.self_trade_prevention),
            maker_fee_ppm: command.maker_fee_ppm,
            taker_fee_ppm: command.taker_fee_ppm,
            reserved_asset: text(&command.reserved_asset),
            reserved_amount: command.reserved_amount,
            asset: text(&command.asset),
            amount: command.amount,
            ..Self::default()
        }
    }

    pub(super) fn rejected(at: &SinkRecord, rejection: &'a Rejection) -> Self {
        Self {
            topic: topic::REJECTED,
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            accepted: false,
            command_id: rejection.command_id,
            commanded_at: rejection.commanded_at_ms,
            decided_at: at.timestamp_ms,
            account: &rejection.account,
            client_order_id: &rejection.client_order_id,
            kind: rejection.kind.symbol(),
            instrument: text(&rejection.instrument),
            reason: rejection.reason.symbol(),
            text: &rejection.text,
            original_command_id: rejection.original_command_id,
            original_accepted: rejection.original_accepted,
            original_reason: symbol!(rejection.original_reason),
            ..Self::default()
        }
    }
}
