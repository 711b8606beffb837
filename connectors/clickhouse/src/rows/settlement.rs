//! Rows of `trades.settled`: one for the record, one for each posting.

use super::{symbol, text};
use clickhouse::Row;
use serde::Serialize;
use tapeline_runtime::sink::{SinkError, SinkRecord};
use tapeline_schemas::wire::Settlement;

/// A row of `settlements_raw`.
#[derive(Row, Serialize)]
pub(super) struct SettlementRow<'a> {
    kafka_partition: i32,
    kafka_offset: i64,
    kind: &'a str,
    execution_id: i64,
    command_id: i64,
    account: &'a str,
    instrument: &'a str,
    order_id: Option<i64>,
    trade_id: Option<i64>,
    side: &'a str,
    liquidity: &'a str,
    price: Option<i64>,
    quantity: Option<i64>,
    notional: i64,
    fee: i64,
    order_price: Option<i64>,
    order_quantity: Option<i64>,
    order_leaves: Option<i64>,
    order_reserved: Option<i64>,
    order_done: Option<bool>,
    postings: u16,
    commanded_at: i64,
    validated_at: i64,
    executed_at: i64,
    settled_at: i64,
}

impl<'a> SettlementRow<'a> {
    pub(super) fn of(at: &SinkRecord, settlement: &'a Settlement) -> Result<Self, SinkError> {
        let order = settlement.order.as_ref();
        let postings = u16::try_from(settlement.postings.len()).map_err(|_| {
            SinkError::Fatal(format!(
                "settlements_raw: the record of trades.settled partition {} offset {} has {} postings, no settler writes \
                 more than {}: find out what wrote it",
                at.partition,
                at.offset,
                settlement.postings.len(),
                u16::MAX
            ))
        })?;
        Ok(Self {
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            kind: settlement.kind.symbol(),
            execution_id: settlement.execution_id,
            command_id: settlement.command_id,
            account: &settlement.account,
            instrument: text(&settlement.instrument),
            order_id: settlement.order_id,
            trade_id: settlement.trade_id,
            side: symbol!(settlement.side),
            liquidity: symbol!(settlement.liquidity),
            price: settlement.price,
            quantity: settlement.quantity,
            notional: settlement.notional.unwrap_or(0),
            fee: settlement.fee.unwrap_or(0),
            order_price: order.map(|order| order.price),
            order_quantity: order.map(|order| order.quantity),
            order_leaves: order.map(|order| order.leaves),
            order_reserved: order.map(|order| order.reserved),
            order_done: order.map(|order| order.done),
            postings,
            commanded_at: settlement.commanded_at_ms,
            validated_at: settlement.validated_at_ms,
            executed_at: settlement.executed_at_ms,
            settled_at: at.timestamp_ms,
        })
    }
}

/// A row of `postings_raw`. Notional and fee stay in `settlements`: on each line they would be counted several times.
#[derive(Row, Serialize)]
pub(super) struct PostingRow<'a> {
    kafka_partition: i32,
    kafka_offset: i64,
    line: u16,
    account: &'a str,
    asset: &'a str,
    bucket: &'a str,
    amount: i64,
    kind: &'a str,
    execution_id: i64,
    command_id: i64,
    instrument: &'a str,
    order_id: Option<i64>,
    trade_id: Option<i64>,
    side: &'a str,
    liquidity: &'a str,
    settled_at: i64,
}

impl<'a> PostingRow<'a> {
    /// Appends a row for each posting of a record, which has no more than [`SettlementRow::of`] lets through.
    pub(super) fn each(at: &SinkRecord, settlement: &'a Settlement, rows: &mut Vec<Self>) {
        rows.extend((0..).zip(&settlement.postings).map(|(line, posting)| Self {
            kafka_partition: at.partition,
            kafka_offset: at.offset,
            line,
            account: &posting.account,
            asset: &posting.asset,
            bucket: posting.bucket.symbol(),
            amount: posting.amount,
            kind: settlement.kind.symbol(),
            execution_id: settlement.execution_id,
            command_id: settlement.command_id,
            instrument: text(&settlement.instrument),
            order_id: settlement.order_id,
            trade_id: settlement.trade_id,
            side: symbol!(settlement.side),
            liquidity: symbol!(settlement.liquidity),
            settled_at: at.timestamp_ms,
        }));
    }
}
