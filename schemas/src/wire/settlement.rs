//! Ledger postings: `trades.settled`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::command::Side;
use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// What is left of the order after the event.
    OrderRest {
        /// Worst price. In units of 10^-8.
        price: i64,
        /// Total quantity, filled part included. In units of 10^-8.
        quantity: i64,
        /// Still open. In units of 10^-8.
        leaves: i64,
        /// Still reserved. In units of 10^-8.
        reserved: i64,
        /// Whether the order has ended.
        done: bool,
    }
}

wire_record! {
    /// One line of the ledger.
    Posting {
        /// Account, or @fees, @clearing, @outside.
        account: SmolStr,
        /// Asset.
        asset: SmolStr,
        /// Which part of the balance.
        bucket: Bucket,
        /// Signed amount. In units of 10^-8.
        amount: i64,
    }
}

wire_record! {
    /// Balanced ledger postings of one account: one side of a trade, a release, a transfer. Record key: the account.
    /// The postings of each record sum to zero for each asset.
    Settlement {
        /// What was settled.
        kind: SettlementKind,
        /// Partition of its record in `trades.executed` times 2^44 plus its offset.
        execution_id: i64,
        /// The command that caused it.
        command_id: i64,
        /// Account, the record's key (UTF-8).
        account: SmolStr,
        /// The instrument; absent for transfers.
        instrument: Option<SmolStr>,
        /// The order; absent for transfers and a refused cancel-all.
        order_id: Option<i64>,
        /// TRADE: the trade.
        trade_id: Option<i64>,
        /// TRADE: the account's side.
        side: Option<Side>,
        /// TRADE: the account's role.
        liquidity: Option<Liquidity>,
        /// TRADE: price. In units of 10^-8.
        price: Option<i64>,
        /// TRADE: quantity of the base asset. In units of 10^-8.
        quantity: Option<i64>,
        /// TRADE: price times quantity in the quote asset, rounded down. In units of 10^-8.
        notional: Option<i64>,
        /// TRADE: fee in the quote asset, rounded down. In units of 10^-8.
        fee: Option<i64>,
        /// The order after the event; absent for transfers and REFUSED.
        order: Option<OrderRest>,
        /// Ledger lines; sum to zero for each asset.
        postings: Vec<Posting>,
        /// Broker's append time of the command in `orders`, milliseconds since the Unix epoch.
        commanded_at_ms: i64,
        /// Broker's append time of the record that the executor acted on, milliseconds since the Unix epoch.
        validated_at_ms: i64,
        /// Broker's append time of the record in `trades.executed`, milliseconds since the Unix epoch.
        executed_at_ms: i64,
    }
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
