//! Rows of `orders`.

use super::{symbol, text};
use clickhouse::Row;
use serde::Serialize;
use tapeline_domain::types::position_id;
use tapeline_runtime::sink::SinkRecord;
use tapeline_schemas::wire::Command;

/// A row of `commands_raw`.
#[derive(Row, Serialize)]
pub(super) struct CommandRow<'a> {
    kafka_partition: i32,
    kafka_offset: i64,
    command_id: i64,
    commanded_at: i64,
    account: &'a str,
    client_order_id: &'a str,
    kind: &'a str,
    instrument: &'a str,
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
    target_client_order_id: &'a str,
    asset: &'a str,
    amount: Option<i64>,
}

impl<'a> CommandRow<'a> {
    pub(super) fn of(at: &SinkRecord, command: &'a Command) -> Self {
        Self {
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            command_id: position_id(at.partition, at.offset),
            commanded_at: at.timestamp_ms,
            account: &command.account,
            client_order_id: &command.client_order_id,
            kind: command.kind.symbol(),
            instrument: text(&command.instrument),
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
            target_client_order_id: text(&command.target_client_order_id),
            asset: text(&command.asset),
            amount: command.amount,
        }
    }
}
