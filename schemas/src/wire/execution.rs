//! What the book did: `trades.executed`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::command::OrderType;
use super::command::Side;
use super::command::TimeInForce;
use super::wire_enum;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// An order after an event, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// Identity of the order (command_id of its PLACE).
    pub order_id: i64,
    /// Its owner.
    pub account: SmolStr,
    /// The client's own identity of the order.
    pub client_order_id: SmolStr,
    /// Its book.
    pub instrument: SmolStr,
    /// What is bought or sold.
    pub base_asset: SmolStr,
    /// What it is paid with.
    pub quote_asset: SmolStr,
    /// Buy or sell.
    pub side: Side,
    /// As placed.
    pub order_type: OrderType,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Worst price it may trade at. In units of 10^-8.
    pub price: i64,
    /// Last trade price that wakes it. In units of 10^-8.
    pub stop_price: Option<i64>,
    /// Total quantity, filled part included. In units of 10^-8.
    pub quantity: i64,
    /// Filled so far. In units of 10^-8.
    pub filled: i64,
    /// Still open; for an ended order what was given up. In units of 10^-8.
    pub leaves: i64,
    /// Where it stands after the event.
    pub status: OrderStatus,
    /// Maker fee, parts per million of the notional.
    pub maker_fee_ppm: i64,
    /// Taker fee, parts per million of the notional.
    pub taker_fee_ppm: i64,
    /// Reserved for it before the event, base asset for a sale, quote asset for a purchase. In units of 10^-8.
    pub reserved_before: i64,
    /// Reserved for it after the event; the difference is spent or released. In units of 10^-8.
    pub reserved_after: i64,
}

/// What the book did. Record key: the instrument, for TRANSFERRED the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// What happened.
    pub kind: ExecutionKind,
    /// The command that caused it; for EXPIRED the order's own.
    pub command_id: i64,
    /// Broker's append time of that command in `orders` (for an expiry: of the tick), milliseconds since the Unix
    /// epoch.
    pub commanded_at_ms: i64,
    /// Broker's append time of the record that the executor acted on: the event's own time, milliseconds since the
    /// Unix epoch.
    pub validated_at_ms: i64,
    /// The book; absent for TRANSFERRED.
    pub instrument: Option<SmolStr>,
    /// ACCEPTED, AMENDED, TRIGGERED, CANCELLED, EXPIRED: the order. TRADED: the taker.
    pub order: Option<OrderState>,
    /// TRADED: the maker.
    pub maker: Option<OrderState>,
    /// TRADED: executor's partition times 2^44 plus its trade sequence.
    pub trade_id: Option<i64>,
    /// TRADED: price, the maker's. In units of 10^-8.
    pub price: Option<i64>,
    /// TRADED: quantity. In units of 10^-8.
    pub quantity: Option<i64>,
    /// AMENDED: whether the order kept its place in the queue.
    pub kept_place: Option<bool>,
    /// CANCELLED: why.
    pub cancel_reason: Option<CancelReason>,
    /// REFUSED: why.
    pub refuse_reason: Option<RefuseReason>,
    /// REFUSED, TRANSFERRED: who commanded.
    pub account: Option<SmolStr>,
    /// REFUSED, TRANSFERRED: the client's own identity of the command.
    pub client_order_id: Option<SmolStr>,
    /// REFUSED: the order that was meant, if one was.
    pub target_order_id: Option<i64>,
    /// REFUSED: asset of what is given back. TRANSFERRED: asset that moves.
    pub asset: Option<SmolStr>,
    /// REFUSED: what the command had reserved and gives back. TRANSFERRED: positive in, negative out. In units of
    /// 10^-8.
    pub amount: Option<i64>,
    /// QUOTED: best bid, absent if there is none. In units of 10^-8.
    pub bid_price: Option<i64>,
    /// QUOTED: displayed quantity at the best bid. In units of 10^-8.
    pub bid_quantity: Option<i64>,
    /// QUOTED: best ask, absent if there is none. In units of 10^-8.
    pub ask_price: Option<i64>,
    /// QUOTED: displayed quantity at the best ask. In units of 10^-8.
    pub ask_quantity: Option<i64>,
}

wire_enum! {
    /// What happened. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    ExecutionKind {
        Accepted = "ACCEPTED",
        Traded = "TRADED",
        Amended = "AMENDED",
        Triggered = "TRIGGERED",
        Cancelled = "CANCELLED",
        Expired = "EXPIRED",
        Refused = "REFUSED",
        Quoted = "QUOTED",
        Transferred = "TRANSFERRED",
    }
}

wire_enum! {
    /// Where an order stands. FILLED, CANCELLED and EXPIRED are ends. UNKNOWN is never written; a reader sees it for
    /// a symbol newer than its schema.
    OrderStatus {
        Open = "OPEN",
        Waiting = "WAITING",
        PartlyFilled = "PARTLY_FILLED",
        Filled = "FILLED",
        Cancelled = "CANCELLED",
        Expired = "EXPIRED",
    }
}

wire_enum! {
    /// Why an order was cancelled. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    CancelReason {
        Requested = "REQUESTED",
        CancelAll = "CANCEL_ALL",
        ImmediateOrCancel = "IMMEDIATE_OR_CANCEL",
        FillOrKill = "FILL_OR_KILL",
        NoLiquidity = "NO_LIQUIDITY",
        PostOnly = "POST_ONLY",
        SelfTrade = "SELF_TRADE",
        AmendedToFilled = "AMENDED_TO_FILLED",
    }
}

wire_enum! {
    /// Why an amend or cancel did nothing. UNKNOWN is never written; a reader sees it for a symbol newer than its
    /// schema.
    RefuseReason {
        NotOpen = "NOT_OPEN",
        ReservationTooSmall = "RESERVATION_TOO_SMALL",
        NotAmendable = "NOT_AMENDABLE",
        NothingToCancel = "NOTHING_TO_CANCEL",
    }
}
