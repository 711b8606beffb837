//! Outside venues and the clock: `market.ticks`, `clock`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::command::Side;
use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// A trade or a quote of an outside venue. Record key: the instrument.
    MarketTick {
        /// The venue, for example binance.
        venue: SmolStr,
        /// The venue's instrument; must equal the record's key.
        instrument: SmolStr,
        /// Trade or best quotes.
        kind: TickKind,
        /// The venue's time of the event, microseconds since the Unix epoch.
        at_us: i64,
        /// TRADE: the venue's identity of the trade, rising within the instrument.
        trade_id: Option<i64>,
        /// TRADE: price. In units of 10^-8.
        price: Option<i64>,
        /// TRADE: quantity of the base asset. In units of 10^-8.
        quantity: Option<i64>,
        /// TRADE: side of the incoming order, if the venue tells.
        taker_side: Option<Side>,
        /// QUOTE: best bid. In units of 10^-8.
        bid_price: Option<i64>,
        /// QUOTE: quantity at the best bid. In units of 10^-8.
        bid_quantity: Option<i64>,
        /// QUOTE: best ask. In units of 10^-8.
        ask_price: Option<i64>,
        /// QUOTE: quantity at the best ask. In units of 10^-8.
        ask_quantity: Option<i64>,
    }
}

wire_record! {
    /// Time passes: drives expiry where no command comes. Written to each partition of `clock`. Its time is the
    /// broker's append time.
    Tick {
        /// Counts the ticks of one run of the clock component; for people, no rule uses it.
        sequence: i64,
    }
}

wire_enum! {
    /// Trade or best quotes. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    TickKind {
        Trade = "TRADE",
        Quote = "QUOTE",
    }
}
