//! Outside venues and the clock: `market.ticks`, `clock`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::command::Side;
use super::wire_enum;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A trade or a quote of an outside venue. Record key: the instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketTick {
    /// The venue, for example binance.
    pub venue: SmolStr,
    /// The venue's instrument; must equal the record's key.
    pub instrument: SmolStr,
    /// Trade or best quotes.
    pub kind: TickKind,
    /// The venue's time of the event, microseconds since the Unix epoch.
    pub at_us: i64,
    /// TRADE: the venue's identity of the trade, rising within the instrument.
    pub trade_id: Option<i64>,
    /// TRADE: price. In units of 10^-8.
    pub price: Option<i64>,
    /// TRADE: quantity of the base asset. In units of 10^-8.
    pub quantity: Option<i64>,
    /// TRADE: side of the incoming order, if the venue tells.
    pub taker_side: Option<Side>,
    /// QUOTE: best bid. In units of 10^-8.
    pub bid_price: Option<i64>,
    /// QUOTE: quantity at the best bid. In units of 10^-8.
    pub bid_quantity: Option<i64>,
    /// QUOTE: best ask. In units of 10^-8.
    pub ask_price: Option<i64>,
    /// QUOTE: quantity at the best ask. In units of 10^-8.
    pub ask_quantity: Option<i64>,
}

/// Time passes: drives expiry where no command comes. Written to each partition of `clock`. Its time is the
/// broker's append time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Counts the ticks of one run of the clock component; for people, no rule uses it.
    pub sequence: i64,
}

wire_enum! {
    /// Trade or best quotes. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    TickKind {
        Trade = "TRADE",
        Quote = "QUOTE",
    }
}
