//! The records of each topic as an audit needs them: borrowed, every field of the schema in its order.
//!
//! The test holds them to the wire types: each example in `schemas/examples` is read by both and compared field by field.

use super::avro::{Cursor, FromAvro, Misfit, WithBytes, enums, records};
use tapeline_schemas::wire::{
    Bucket, CancelReason, CommandKind, ExecutionKind, Liquidity, OrderStatus, OrderType, RefuseReason, RejectReason,
    SelfTradePrevention, SettlementKind, Side, TickKind, TimeInForce,
};

enums! {
    Bucket, CancelReason, CommandKind, ExecutionKind, Liquidity, OrderStatus, OrderType, RefuseReason, RejectReason,
    SelfTradePrevention, SettlementKind, Side, TickKind, TimeInForce,
}

records! {
    /// Of `orders`.
    Command<'a> {
        account: &'a str,
        client_order_id: &'a str,
        kind: CommandKind,
        instrument: Option<&'a str>,
        side: Option<Side>,
        order_type: Option<OrderType>,
        time_in_force: Option<TimeInForce>,
        quantity: Option<i64>,
        price: Option<i64>,
        stop_price: Option<i64>,
        display_quantity: Option<i64>,
        post_only: bool,
        expires_at_ms: Option<i64>,
        self_trade_prevention: Option<SelfTradePrevention>,
        target_client_order_id: Option<&'a str>,
        asset: Option<&'a str>,
        amount: Option<i64>,
    }

    /// Of `orders.validated`.
    ValidatedCommand<'a> {
        command_id: i64,
        account: &'a str,
        client_order_id: &'a str,
        kind: CommandKind,
        commanded_at_ms: i64,
        instrument: Option<&'a str>,
        target_order_id: Option<i64>,
        base_asset: Option<&'a str>,
        quote_asset: Option<&'a str>,
        side: Option<Side>,
        order_type: Option<OrderType>,
        time_in_force: Option<TimeInForce>,
        quantity: Option<i64>,
        price: Option<i64>,
        stop_price: Option<i64>,
        display_quantity: Option<i64>,
        post_only: bool,
        expires_at_ms: Option<i64>,
        self_trade_prevention: Option<SelfTradePrevention>,
        maker_fee_ppm: i64,
        taker_fee_ppm: i64,
        reserved_asset: Option<&'a str>,
        reserved_amount: i64,
        amount: Option<i64>,
        asset: Option<&'a str>,
    }

    /// Of `orders.rejected`.
    Rejection<'a> {
        command_id: i64,
        account: &'a str,
        client_order_id: &'a str,
        kind: CommandKind,
        commanded_at_ms: i64,
        instrument: Option<&'a str>,
        reason: RejectReason,
        text: &'a str,
        original_command_id: Option<i64>,
        original_accepted: Option<bool>,
        original_reason: Option<RejectReason>,
    }

    /// An order after an event.
    OrderState<'a> {
        order_id: i64,
        account: &'a str,
        client_order_id: &'a str,
        instrument: &'a str,
        base_asset: &'a str,
        quote_asset: &'a str,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        price: i64,
        stop_price: Option<i64>,
        quantity: i64,
        filled: i64,
        leaves: i64,
        status: OrderStatus,
        maker_fee_ppm: i64,
        taker_fee_ppm: i64,
        reserved_before: i64,
        reserved_after: i64,
    }

    /// Of `trades.executed`.
    Execution<'a> {
        kind: ExecutionKind,
        command_id: i64,
        commanded_at_ms: i64,
        validated_at_ms: i64,
        instrument: Option<&'a str>,
        order: Option<WithBytes<'a, OrderState<'a>>>,
        maker: Option<WithBytes<'a, OrderState<'a>>>,
        trade_id: Option<i64>,
        price: Option<i64>,
        quantity: Option<i64>,
        kept_place: Option<bool>,
        cancel_reason: Option<CancelReason>,
        refuse_reason: Option<RefuseReason>,
        account: Option<&'a str>,
        client_order_id: Option<&'a str>,
        target_order_id: Option<i64>,
        asset: Option<&'a str>,
        amount: Option<i64>,
        bid_price: Option<i64>,
        bid_quantity: Option<i64>,
        ask_price: Option<i64>,
        ask_quantity: Option<i64>,
    }

    /// A line of the ledger.
    Posting<'a> {
        account: &'a str,
        asset: &'a str,
        bucket: Bucket,
        amount: i64,
    }

    /// Of `trades.settled`.
    Settlement<'a> {
        kind: SettlementKind,
        execution_id: i64,
        command_id: i64,
        account: &'a str,
        instrument: Option<&'a str>,
        order_id: Option<i64>,
        trade_id: Option<i64>,
        side: Option<Side>,
        liquidity: Option<Liquidity>,
        price: Option<i64>,
        quantity: Option<i64>,
        notional: Option<i64>,
        fee: Option<i64>,
        order: Option<OrderRest>,
        postings: Vec<Posting<'a>>,
        commanded_at_ms: i64,
        validated_at_ms: i64,
        executed_at_ms: i64,
    }

    /// Of `market.ticks`.
    MarketTick<'a> {
        venue: &'a str,
        instrument: &'a str,
        kind: TickKind,
        at_us: i64,
        trade_id: Option<i64>,
        price: Option<i64>,
        quantity: Option<i64>,
        taker_side: Option<Side>,
        bid_price: Option<i64>,
        bid_quantity: Option<i64>,
        ask_price: Option<i64>,
        ask_quantity: Option<i64>,
    }

    /// Consecutive records of one input partition.
    Run<'a> {
        topic: &'a str,
        partition: i32,
        count: i64,
        next_offset: i64,
    }

    /// Of a journal.
    JournalEntry<'a> {
        runs: Vec<Run<'a>>,
        outputs: i64,
        output_hash: i64,
        version: &'a str,
    }
}

/// What is left of an order.
#[derive(Debug, Clone)]
pub(super) struct OrderRest {
    pub(super) price: i64,
    pub(super) quantity: i64,
    pub(super) leaves: i64,
    pub(super) reserved: i64,
    pub(super) done: bool,
}

impl FromAvro<'_> for OrderRest {
    fn from_avro(cursor: &mut Cursor<'_>) -> Result<Self, Misfit> {
        Ok(Self {
            price: FromAvro::from_avro(cursor)?,
            quantity: FromAvro::from_avro(cursor)?,
            leaves: FromAvro::from_avro(cursor)?,
            reserved: FromAvro::from_avro(cursor)?,
            done: FromAvro::from_avro(cursor)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::super::avro::read;
    use super::*;
    use std::fmt::Debug;
    use std::path::PathBuf;
    use tapeline_schemas::codec::{Encoder, HEADER_BYTES, Wire};
    use tapeline_schemas::wire;

    /// Each example, written by the codec and read here, says what the wire type says. Both types have the same names
    /// and fields, so that their debugging texts are equal.
    fn agree<T: Wire + Debug>(stem: &str, borrowed: impl Fn(&[u8]) -> String) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(stem);
        let encoder = Encoder::<T>::new(1);
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let value: T = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let mut bytes = Vec::new();
            encoder.encode(&value, &mut bytes);
            assert_eq!(borrowed(&bytes[HEADER_BYTES..]), format!("{value:?}"), "{}", path.display());
            for cut in HEADER_BYTES..bytes.len() {
                assert_eq!(borrowed(&bytes[HEADER_BYTES..cut]), "Misfit", "{} cut to {cut} bytes", path.display());
            }
            count += 1;
        }
        assert!(count > 0, "{stem} has no examples");
    }

    fn said<T: Debug>(read: Result<T, Misfit>) -> String {
        read.map_or_else(|misfit| format!("{misfit:?}"), |value| format!("{value:?}"))
    }

    #[test]
    fn every_example_reads_as_its_wire_type() {
        agree::<wire::Command>("orders", |body| said(read::<Command<'_>>(body)));
        agree::<wire::ValidatedCommand>("orders.validated", |body| said(read::<ValidatedCommand<'_>>(body)));
        agree::<wire::Rejection>("orders.rejected", |body| said(read::<Rejection<'_>>(body)));
        agree::<wire::Execution>("trades.executed", |body| said(read::<Execution<'_>>(body)));
        agree::<wire::Settlement>("trades.settled", |body| said(read::<Settlement<'_>>(body)));
        agree::<wire::MarketTick>("market.ticks", |body| said(read::<MarketTick<'_>>(body)));
        agree::<wire::JournalEntry>("journal", |body| said(read::<JournalEntry<'_>>(body)));
    }
}
