//! Rows of `trades.executed`: every event, and once more each trade.

use super::{symbol, text};
use clickhouse::Row;
use serde::Serialize;
use tapeline_domain::money;
use tapeline_domain::types::position_id;
use tapeline_runtime::sink::SinkRecord;
use tapeline_schemas::wire::{Execution, ExecutionKind};

/// A row of `executions_raw`.
#[derive(Row, Serialize)]
pub(super) struct ExecutionRow<'a> {
    kafka_partition: i32,
    kafka_offset: i64,
    execution_id: i64,
    kind: &'a str,
    command_id: i64,
    commanded_at: i64,
    validated_at: i64,
    executed_at: i64,
    instrument: &'a str,
    account: &'a str,
    client_order_id: &'a str,
    order_id: Option<i64>,
    base_asset: &'a str,
    quote_asset: &'a str,
    side: &'a str,
    order_type: &'a str,
    time_in_force: &'a str,
    order_price: Option<i64>,
    order_stop_price: Option<i64>,
    order_quantity: Option<i64>,
    order_filled: Option<i64>,
    order_leaves: Option<i64>,
    order_status: &'a str,
    order_maker_fee_ppm: Option<i64>,
    order_taker_fee_ppm: Option<i64>,
    order_reserved_before: Option<i64>,
    order_reserved_after: Option<i64>,
    maker_order_id: Option<i64>,
    trade_id: Option<i64>,
    price: Option<i64>,
    quantity: Option<i64>,
    kept_place: Option<bool>,
    reason: &'a str,
    target_order_id: Option<i64>,
    asset: &'a str,
    amount: Option<i64>,
    bid_price: Option<i64>,
    bid_quantity: Option<i64>,
    ask_price: Option<i64>,
    ask_quantity: Option<i64>,
}

impl<'a> ExecutionRow<'a> {
    pub(super) fn of(at: &SinkRecord, execution: &'a Execution) -> Self {
        let order = execution.order.as_ref();
        Self {
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            execution_id: position_id(at.partition, at.offset),
            kind: execution.kind.symbol(),
            command_id: execution.command_id,
            commanded_at: execution.commanded_at_ms,
            validated_at: execution.validated_at_ms,
            executed_at: at.timestamp_ms,
            instrument: text(&execution.instrument),
            account: order.map_or(text(&execution.account), |order| &order.account),
            client_order_id: order.map_or(text(&execution.client_order_id), |order| &order.client_order_id),
            order_id: order.map(|order| order.order_id),
            base_asset: order.map_or("", |order| &order.base_asset),
            quote_asset: order.map_or("", |order| &order.quote_asset),
            side: order.map_or("", |order| order.side.symbol()),
            order_type: order.map_or("", |order| order.order_type.symbol()),
            time_in_force: order.map_or("", |order| order.time_in_force.symbol()),
            order_price: order.map(|order| order.price),
            order_stop_price: order.and_then(|order| order.stop_price),
            order_quantity: order.map(|order| order.quantity),
            order_filled: order.map(|order| order.filled),
            order_leaves: order.map(|order| order.leaves),
            order_status: order.map_or("", |order| order.status.symbol()),
            order_maker_fee_ppm: order.map(|order| order.maker_fee_ppm),
            order_taker_fee_ppm: order.map(|order| order.taker_fee_ppm),
            order_reserved_before: order.map(|order| order.reserved_before),
            order_reserved_after: order.map(|order| order.reserved_after),
            maker_order_id: execution.maker.as_ref().map(|maker| maker.order_id),
            trade_id: execution.trade_id,
            price: execution.price,
            quantity: execution.quantity,
            kept_place: execution.kept_place,
            // A record has at most one of them.
            reason: execution.cancel_reason.map_or(symbol!(execution.refuse_reason), |reason| reason.symbol()),
            target_order_id: execution.target_order_id,
            asset: text(&execution.asset),
            amount: execution.amount,
            bid_price: execution.bid_price,
            bid_quantity: execution.bid_quantity,
            ask_price: execution.ask_price,
            ask_quantity: execution.ask_quantity,
        }
    }
}

/// A row of `trades_raw`.
#[derive(Row, Serialize)]
pub(super) struct TradeRow<'a> {
    kafka_partition: i32,
    kafka_offset: i64,
    trade_id: i64,
    traded_at: i64,
    commanded_at: i64,
    executed_at: i64,
    instrument: &'a str,
    base_asset: &'a str,
    quote_asset: &'a str,
    price: i64,
    quantity: i64,
    notional: i64,
    command_id: i64,
    taker_side: &'a str,
    taker_order_id: i64,
    taker_account: &'a str,
    taker_client_order_id: &'a str,
    taker_filled: i64,
    taker_leaves: i64,
    taker_status: &'a str,
    maker_order_id: i64,
    maker_account: &'a str,
    maker_client_order_id: &'a str,
    maker_filled: i64,
    maker_leaves: i64,
    maker_status: &'a str,
}

impl<'a> TradeRow<'a> {
    /// The trade of a TRADED record. None for other records, and for a TRADED one that lacks a part of the trade or
    /// whose notional is out of range: the settler refuses such a record too, it stands in `executions` only.
    pub(super) fn of(at: &SinkRecord, execution: &'a Execution) -> Option<Self> {
        if execution.kind != ExecutionKind::Traded {
            return None;
        }
        let (taker, maker) = (execution.order.as_ref()?, execution.maker.as_ref()?);
        let (price, quantity) = (execution.price?, execution.quantity?);
        Some(Self {
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            trade_id: execution.trade_id?,
            traded_at: execution.validated_at_ms,
            commanded_at: execution.commanded_at_ms,
            executed_at: at.timestamp_ms,
            instrument: &taker.instrument,
            base_asset: &taker.base_asset,
            quote_asset: &taker.quote_asset,
            price,
            quantity,
            notional: money::notional(price, quantity).ok()?,
            command_id: execution.command_id,
            taker_side: taker.side.symbol(),
            taker_order_id: taker.order_id,
            taker_account: &taker.account,
            taker_client_order_id: &taker.client_order_id,
            taker_filled: taker.filled,
            taker_leaves: taker.leaves,
            taker_status: taker.status.symbol(),
            maker_order_id: maker.order_id,
            maker_account: &maker.account,
            maker_client_order_id: &maker.client_order_id,
            maker_filled: maker.filled,
            maker_leaves: maker.leaves,
            maker_status: maker.status.symbol(),
        })
    }
}
