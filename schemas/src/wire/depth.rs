//! The displayed books as a stream: `book.depth`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// How the displayed book of an instrument changed, or all of it. Record key: the instrument.
    BookDepth {
        /// A change or the whole.
        kind: DepthKind,
        /// The book; must equal the record's key.
        instrument: SmolStr,
        /// DELTA: counts the changes of this book from 1 without a gap. SNAPSHOT: the last change that is in it.
        sequence: i64,
        /// SNAPSHOT: which part this is, from 0. DELTA: 0.
        part: i32,
        /// SNAPSHOT: how many parts there are. DELTA: 1.
        parts: i32,
        /// DELTA: levels that changed, SNAPSHOT: levels of this part; best first.
        bids: Vec<DepthLevel>,
        /// As `bids`, of the other side.
        asks: Vec<DepthLevel>,
        /// Of the whole book after this record, see `tapeline_domain::depth::level_checksum`. 0 for an empty book.
        checksum: i64,
        /// DELTA: the command that caused it; for an expiry the last expired order's own.
        command_id: Option<i64>,
        /// DELTA: append time of that command in `orders` (expiry: of the tick), milliseconds since the Unix epoch.
        commanded_at_ms: Option<i64>,
        /// Append time of the record that the executor acted on, milliseconds since the Unix epoch.
        validated_at_ms: i64,
    }
}

wire_record! {
    /// A price and what shows at it.
    DepthLevel {
        /// Price. In units of 10^-8.
        price: i64,
        /// Sum of the displayed quantities; DELTA: 0 if the level is gone. In units of 10^-8.
        quantity: i64,
    }
}

wire_enum! {
    /// A change or the whole. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    DepthKind {
        Delta = "DELTA",
        Snapshot = "SNAPSHOT",
    }
}
