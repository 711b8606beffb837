//! What the book did: `trades.executed`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::command::OrderType;
use super::command::Side;
use super::command::TimeInForce;
use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// An order after an event, whole.
    OrderState {
        /// Identity of the order (command_id of its PLACE).
        order_id: i64,
        /// Its owner.
        account: SmolStr,
        /// The client's own identity of the order.
        client_order_id: SmolStr,
        /// Its book.
        instrument: SmolStr,
        /// What is bought or sold.
        base_asset: SmolStr,
        /// What it is paid with.
        quote_asset: SmolStr,
        /// Buy or sell.
        side: Side,
        /// As placed.
        order_type: OrderType,
        /// How long it lives.
        time_in_force: TimeInForce,
        /// Worst price it may trade at. In units of 10^-8.
        price: i64,
        /// Last trade price that wakes it. In units of 10^-8.
        stop_price: Option<i64>,
        /// Total quantity, filled part included. In units of 10^-8.
        quantity: i64,
        /// Filled so far. In units of 10^-8.
        filled: i64,
        /// Still open; for an ended order what was given up. In units of 10^-8.
        leaves: i64,
        /// Where it stands after the event.
        status: OrderStatus,
        /// Maker fee, parts per million of the notional.
        maker_fee_ppm: i64,
        /// Taker fee, parts per million of the notional.
        taker_fee_ppm: i64,
        /// Reserved for it before the event, base asset for a sale, quote asset for a purchase. In units of 10^-8.
        reserved_before: i64,
        /// Reserved for it after the event; the difference is spent or released. In units of 10^-8.
        reserved_after: i64,
    }
}

wire_record! {
    /// What the book did. Record key: the instrument, for TRANSFERRED the account.
    Execution {
        /// What happened.
        kind: ExecutionKind,
        /// The command that caused it; for EXPIRED the order's own.
        command_id: i64,
        /// Broker's append time of that command in `orders` (for an expiry: of the tick), milliseconds since the Unix
        /// epoch.
        commanded_at_ms: i64,
        /// Broker's append time of the record that the executor acted on: the event's own time, milliseconds since the
        /// Unix epoch.
        validated_at_ms: i64,
        /// The book; absent for TRANSFERRED.
        instrument: Option<SmolStr>,
        /// ACCEPTED, AMENDED, TRIGGERED, CANCELLED, EXPIRED: the order. TRADED: the taker.
        order: Option<OrderState>,
        /// TRADED: the maker.
        maker: Option<OrderState>,
        /// TRADED: executor's partition times 2^44 plus its trade sequence.
        trade_id: Option<i64>,
        /// TRADED: price, the maker's. In units of 10^-8.
        price: Option<i64>,
        /// TRADED: quantity. In units of 10^-8.
        quantity: Option<i64>,
        /// AMENDED: whether the order kept its place in the queue.
        kept_place: Option<bool>,
        /// CANCELLED: why.
        cancel_reason: Option<CancelReason>,
        /// REFUSED: why.
        refuse_reason: Option<RefuseReason>,
        /// REFUSED, TRANSFERRED: who commanded.
        account: Option<SmolStr>,
        /// REFUSED, TRANSFERRED: the client's own identity of the command.
        client_order_id: Option<SmolStr>,
        /// REFUSED: the order that was meant, if one was.
        target_order_id: Option<i64>,
        /// REFUSED: asset of what is given back. TRANSFERRED: asset that moves.
        asset: Option<SmolStr>,
        /// REFUSED: what the command had reserved and gives back. TRANSFERRED: positive in, negative out. In units of
        /// 10^-8.
        amount: Option<i64>,
        /// QUOTED: best bid, absent if there is none. In units of 10^-8.
        bid_price: Option<i64>,
        /// QUOTED: displayed quantity at the best bid. In units of 10^-8.
        bid_quantity: Option<i64>,
        /// QUOTED: best ask, absent if there is none. In units of 10^-8.
        ask_price: Option<i64>,
        /// QUOTED: displayed quantity at the best ask. In units of 10^-8.
        ask_quantity: Option<i64>,
    }
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
