//! Commands that have passed the validator. An order that was not risk-checked can't be typed: the executor takes
//! nothing but [`Accepted`], and only the validator (or a decoded `orders.validated` record) makes one.

use crate::types::{CommandId, OrderId, OrderType, SelfTradePrevention, Side, TimeInForce, TimeMs, Units};
use smol_str::SmolStr;

/// A validated command with all that later stages need to know, so that they read no other topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Identity of the command; of the order too if it places one.
    pub command_id: CommandId,
    /// Who commands.
    pub account: SmolStr,
    /// The client's own identity of this command, unique within the account.
    pub client_order_id: SmolStr,
    /// Broker's append time of the command in `orders`.
    pub commanded_at_ms: TimeMs,
    /// What is to be done.
    pub action: Action,
}

/// What a validated command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Places an order.
    Place(OrderTerms),
    /// Changes quantity, price or both of an open order.
    Amend(Amendment),
    /// Cancels one open order.
    Cancel {
        /// In which book.
        instrument: SmolStr,
        /// Which order.
        target_order_id: OrderId,
    },
    /// Cancels all open orders of the account in one book.
    CancelAll {
        /// In which book.
        instrument: SmolStr,
    },
    /// Moves funds in (positive) from outside, or out (negative, taken from what was reserved).
    Transfer {
        /// Of which asset.
        asset: SmolStr,
        /// How much; never zero.
        amount: Units,
    },
}

/// The terms of an order, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTerms {
    /// In which book.
    pub instrument: SmolStr,
    /// What the instrument's base asset is.
    pub base_asset: SmolStr,
    /// What the instrument's quote asset is.
    pub quote_asset: SmolStr,
    /// Buy or sell.
    pub side: Side,
    /// Limit, market, stop or stop-limit.
    pub order_type: OrderType,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Total quantity.
    pub quantity: Units,
    /// The worst price it may trade at: the limit, or the collar's edge for market and stop orders.
    pub price: Units,
    /// Stop and stop-limit only: the last trade price that wakes it.
    pub stop_price: Option<Units>,
    /// Iceberg only: how much of it shows at most.
    pub display_quantity: Option<Units>,
    /// Refuses to take: it is cancelled rather than trade on entry.
    pub post_only: bool,
    /// When it ends by itself (DAY and GTD).
    pub expires_at_ms: Option<TimeMs>,
    /// What to do on meeting an order of the same account.
    pub self_trade_prevention: SelfTradePrevention,
    /// Fee rate when it is the maker, fixed at acceptance, parts per million of the notional.
    pub maker_fee_ppm: i64,
    /// Fee rate when it is the taker, fixed at acceptance, parts per million of the notional.
    pub taker_fee_ppm: i64,
    /// What was reserved for it: base asset for a sale, quote asset for a purchase.
    pub reserved: Units,
}

/// A change to an open order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// In which book.
    pub instrument: SmolStr,
    /// Which order.
    pub target_order_id: OrderId,
    /// New total quantity, what has been filled included (as FIX OrderQty), or unchanged.
    pub quantity: Option<Units>,
    /// New limit price, or unchanged.
    pub price: Option<Units>,
    /// Reserved on top for it; released again as far as it proves unnecessary.
    pub extra_reserved: Units,
    /// In which asset: the order's reserve asset.
    pub reserve_asset: SmolStr,
}
