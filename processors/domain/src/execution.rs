//! What the book did: the events of `trades.executed`.

use crate::types::{CommandId, OrderId, OrderType, Side, TimeInForce, TimeMs, TradeId, Units};
use smol_str::SmolStr;

/// One event of the executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The command that caused it; for an expiry the expired order's own.
    pub command_id: CommandId,
    /// Append time of that command in `orders` (for an expiry: of the tick).
    pub commanded_at_ms: TimeMs,
    /// Append time of the record that the executor acted on: the validated command, or the tick. The event's own time.
    pub validated_at_ms: TimeMs,
    /// What happened.
    pub body: ExecutionBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionBody {
    /// An order entered the book (or, if it is a stop, the waiting room). First event of each order.
    Accepted {
        /// Its state.
        order: OrderState,
    },
    /// Two orders traded at the maker's price.
    Traded(Box<Trade>),
    /// An order was changed by an amend or reduced by self-trade prevention.
    Amended {
        /// Its state afterwards.
        order: OrderState,
        /// Whether it kept its place in the queue.
        kept_place: bool,
    },
    /// A stop order's price was reached.
    Triggered {
        /// Its state.
        order: OrderState,
    },
    /// An order ended before it was filled.
    Cancelled {
        /// Its state at the end; `leaves` is what was not traded.
        order: OrderState,
        /// Why.
        reason: CancelReason,
    },
    /// An order's time ran out.
    Expired {
        /// Its state at the end; `leaves` is what was not traded.
        order: OrderState,
    },
    /// An amend or cancel found nothing to change.
    Refused {
        /// Who asked.
        account: SmolStr,
        /// The client's identity of the refused command.
        client_order_id: SmolStr,
        /// In which book.
        instrument: SmolStr,
        /// Which order it meant; none for a cancel-all.
        target_order_id: Option<OrderId>,
        /// Why.
        reason: RefuseReason,
        /// The asset of `released`, if an amend had reserved something.
        reserve_asset: Option<SmolStr>,
        /// What the command had reserved and now gives back.
        released: Units,
    },
    /// The best displayed quotes after a command, where they differ from before.
    Quoted {
        /// In which book.
        instrument: SmolStr,
        /// Best bid, if any.
        bid: Option<Level>,
        /// Best ask, if any.
        ask: Option<Level>,
    },
    /// A deposit or withdrawal on its way to settlement.
    Transferred {
        /// Whose.
        account: SmolStr,
        /// The client's identity of the command.
        client_order_id: SmolStr,
        /// Of which asset.
        asset: SmolStr,
        /// Positive in, negative out.
        amount: Units,
    },
}

/// A price and the displayed quantity at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Price.
    pub price: Units,
    /// Sum of displayed quantities.
    pub quantity: Units,
}

/// Two orders that met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Its identity.
    pub trade_id: TradeId,
    /// The maker's price.
    pub price: Units,
    /// How much.
    pub quantity: Units,
    /// The incoming order after the trade.
    pub taker: OrderState,
    /// The resting order after the trade.
    pub maker: OrderState,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// In the book or matching, nothing filled yet.
    Open,
    /// A stop that sleeps.
    Waiting,
    /// In the book or matching, partly filled.
    PartlyFilled,
    /// Filled in full. An end.
    Filled,
    /// Cancelled. An end.
    Cancelled,
    /// Expired. An end.
    Expired,
}

/// An order after an event, whole: one record can be read without any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderState {
    /// Its identity.
    pub order_id: OrderId,
    /// Whose.
    pub account: SmolStr,
    /// The client's identity of it.
    pub client_order_id: SmolStr,
    /// In which book.
    pub instrument: SmolStr,
    /// What the instrument's base asset is.
    pub base_asset: SmolStr,
    /// What the instrument's quote asset is.
    pub quote_asset: SmolStr,
    /// Buy or sell.
    pub side: Side,
    /// As placed (a triggered stop stays a stop here).
    pub order_type: OrderType,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Worst price.
    pub price: Units,
    /// For stops.
    pub stop_price: Option<Units>,
    /// Total quantity, filled part included.
    pub quantity: Units,
    /// Filled so far.
    pub filled: Units,
    /// Still open; for an ended order what was given up. `filled + leaves` can be below `quantity`
    /// after self-trade prevention took a part.
    pub leaves: Units,
    /// Where it stands after the event.
    pub status: OrderStatus,
    /// Maker fee rate, parts per million.
    pub maker_fee_ppm: i64,
    /// Taker fee rate, parts per million.
    pub taker_fee_ppm: i64,
    /// Reserved for it before the event (an amend's extra included). Base asset for a sale, quote for a purchase.
    pub reserved_before: Units,
    /// Reserved for it after the event; zero once it has ended. The difference is spent or released.
    pub reserved_after: Units,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// Its owner asked.
    Requested,
    /// Its owner cancelled all.
    CancelAll,
    /// Immediate-or-cancel remainder.
    ImmediateOrCancel,
    /// Fill-or-kill that could not be filled in full.
    FillOrKill,
    /// A market order's remainder: nothing left within the collar.
    NoLiquidity,
    /// Post-only that would have taken.
    PostOnly,
    /// Self-trade prevention.
    SelfTrade,
    /// Amended to no more than what was filled already.
    AmendedToFilled,
}

/// Why an amend, cancel or cancel-all did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefuseReason {
    /// The order is not open (any more).
    NotOpen,
    /// What is reserved does not cover the amended order (it was filled or amended in between).
    ReservationTooSmall,
    /// The amended display quantity, post-only or market terms would not make sense.
    NotAmendable,
    /// A cancel-all found no open order.
    NothingToCancel,
}
