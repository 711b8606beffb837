//! Ledger postings: `trades.settled`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::command::Side;
use super::wire_enum;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What is left of the order after the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRest {
    /// Worst price. In units of 10^-8.
    pub price: i64,
    /// Total quantity, filled part included. In units of 10^-8.
    pub quantity: i64,
    /// Still open. In units of 10^-8.
    pub leaves: i64,
    /// Still reserved. In units of 10^-8.
    pub reserved: i64,
    /// Whether the order has ended.
    pub done: bool,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Account, or @fees, @clearing, @outside.
    pub account: SmolStr,
    /// Asset.
    pub asset: SmolStr,
    /// Which part of the balance.
    pub bucket: Bucket,
    /// Signed amount. In units of 10^-8.
    pub amount: i64,
}

/// Balanced ledger postings of one account: one side of a trade, a release, a transfer. Record key: the account.
/// The postings of each record sum to zero for each asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// What was settled.
    pub kind: SettlementKind,
    /// Partition of its record in `trades.executed` times 2^44 plus its offset.
    pub execution_id: i64,
    /// The command that caused it.
    pub command_id: i64,
    /// Account, the record's key (UTF-8).
    pub account: SmolStr,
    /// The instrument; absent for transfers.
    pub instrument: Option<SmolStr>,
    /// The order; absent for transfers and a refused cancel-all.
    pub order_id: Option<i64>,
    /// TRADE: the trade.
    pub trade_id: Option<i64>,
    /// TRADE: the account's side.
    pub side: Option<Side>,
    /// TRADE: the account's role.
    pub liquidity: Option<Liquidity>,
    /// TRADE: price. In units of 10^-8.
    pub price: Option<i64>,
    /// TRADE: quantity of the base asset. In units of 10^-8.
    pub quantity: Option<i64>,
    /// TRADE: price times quantity in the quote asset, rounded down. In units of 10^-8.
    pub notional: Option<i64>,
    /// TRADE: fee in the quote asset, rounded down. In units of 10^-8.
    pub fee: Option<i64>,
    /// The order after the event; absent for transfers and REFUSED.
    pub order: Option<OrderRest>,
    /// Ledger lines; sum to zero for each asset.
    pub postings: Vec<Posting>,
    /// Broker's append time of the command in `orders`, milliseconds since the Unix epoch.
    pub commanded_at_ms: i64,
    /// Broker's append time of the record that the executor acted on, milliseconds since the Unix epoch.
    pub validated_at_ms: i64,
    /// Broker's append time of the record in `trades.executed`, milliseconds since the Unix epoch.
    pub executed_at_ms: i64,
}

wire_enum! {
    /// What was settled. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    SettlementKind {
        Trade = "TRADE",
        Amended = "AMENDED",
        Cancelled = "CANCELLED",
        Expired = "EXPIRED",
        Refused = "REFUSED",
        Deposit = "DEPOSIT",
        Withdrawal = "WITHDRAWAL",
    }
}

wire_enum! {
    /// Whether the order rested or came in. UNKNOWN is never written; a reader sees it for a symbol newer than its
    /// schema.
    Liquidity {
        Maker = "MAKER",
        Taker = "TAKER",
    }
}

wire_enum! {
    /// Which part of the balance. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    Bucket {
        Available = "AVAILABLE",
        Reserved = "RESERVED",
    }
}
