//! Commands as they come in, not yet checked, and the refusals that the validator gives.

use crate::types::{CommandId, OrderType, SelfTradePrevention, Side, TimeInForce, TimeMs, Units};
use smol_str::SmolStr;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// Places an order.
    Place,
    /// Changes an open order.
    Amend,
    /// Cancels an open order.
    Cancel,
    /// Cancels all open orders of the account in one instrument.
    CancelAll,
    /// Brings funds in.
    Deposit,
    /// Takes funds out.
    Withdraw,
}

/// A command as its account sent it: any field may be missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is documented in schemas/orders.avsc, which it mirrors")]
pub struct Command {
    pub account: SmolStr,
    pub client_order_id: SmolStr,
    pub kind: CommandKind,
    pub instrument: Option<SmolStr>,
    pub side: Option<Side>,
    pub order_type: Option<OrderType>,
    pub time_in_force: Option<TimeInForce>,
    pub quantity: Option<Units>,
    pub price: Option<Units>,
    pub stop_price: Option<Units>,
    pub display_quantity: Option<Units>,
    pub post_only: bool,
    pub expires_at_ms: Option<TimeMs>,
    pub self_trade_prevention: Option<SelfTradePrevention>,
    pub target_client_order_id: Option<SmolStr>,
    pub asset: Option<SmolStr>,
    pub amount: Option<Units>,
}

/// The rungs of the validation ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each rung is explained where it stands in `risk`")]
pub enum RejectReason {
    WrongPartition,
    Malformed,
    DuplicateClientOrderId,
    UnknownInstrument,
    InstrumentNotOpen,
    UnknownAccount,
    AccountNotActive,
    UnknownOrder,
    InvalidSide,
    InvalidOrderType,
    InvalidTimeInForce,
    InvalidTerms,
    InvalidPrice,
    InvalidTick,
    InvalidQuantity,
    InvalidLot,
    QuantityTooSmall,
    QuantityTooLarge,
    NotionalTooSmall,
    NotionalTooLarge,
    OutsideCollar,
    TooManyOpenOrders,
    InsufficientFunds,
    InvalidAmount,
}

/// A refused command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Identity of the command.
    pub command_id: CommandId,
    /// Whose.
    pub account: SmolStr,
    /// The client's own identity of it.
    pub client_order_id: SmolStr,
    /// What it was to do.
    pub kind: CommandKind,
    /// Broker's append time of the command.
    pub commanded_at_ms: TimeMs,
    /// The instrument, where it names one.
    pub instrument: Option<SmolStr>,
    /// Why.
    pub reason: RejectReason,
    /// Why, as a sentence for a person.
    pub text: String,
    /// For a duplicate: the verdict that its client order id got first.
    pub original: Option<FirstVerdict>,
}

/// The verdict that a client order id got when it was first used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstVerdict {
    /// The command that used it.
    pub command_id: CommandId,
    /// Why it was refused; `None` if it was accepted.
    pub rejected: Option<RejectReason>,
}
