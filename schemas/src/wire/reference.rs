//! Reference data: `reference.instruments`, `reference.accounts`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// Reference data of an instrument. Record key: the symbol. Compacted.
    Instrument {
        /// Name of the instrument, for example AAPL-USD; must equal the record's key.
        symbol: SmolStr,
        /// What is bought and sold.
        base_asset: SmolStr,
        /// What it is paid with; not the base asset.
        quote_asset: SmolStr,
        /// Prices are whole multiples of this. In units of 10^-8.
        tick_size: i64,
        /// Quantities are whole multiples of this. In units of 10^-8.
        lot_size: i64,
        /// Smallest quantity of an order. In units of 10^-8.
        min_quantity: i64,
        /// Largest quantity of an order. In units of 10^-8.
        max_quantity: i64,
        /// Smallest price times quantity. In units of 10^-8.
        min_notional: i64,
        /// Largest price times quantity. In units of 10^-8.
        max_notional: i64,
        /// Price that the collar is laid around. In units of 10^-8.
        reference_price: i64,
        /// How far from the reference price a price may lie, parts per million of it.
        collar_ppm: i64,
        /// Maker fee, parts per million of the notional, 0 or more.
        maker_fee_ppm: i64,
        /// Taker fee, parts per million of the notional, not below the maker fee.
        taker_fee_ppm: i64,
        /// Whether it takes orders.
        status: InstrumentStatus,
        /// When DAY orders end, milliseconds after midnight UTC, 0 to 86,399,999.
        session_close_ms: i64,
    }
}

wire_record! {
    /// Reference data of an account. Record key: the account. Compacted. No personal data.
    Account {
        /// Name of the account; must equal the record's key.
        account: SmolStr,
        /// Whether it may trade.
        status: AccountStatus,
        /// How many orders it may have open at once.
        max_open_orders: i64,
    }
}

wire_enum! {
    /// OPEN takes all commands, HALTED and CLOSED cancels only. UNKNOWN is never written; a reader sees it for a
    /// symbol newer than its schema.
    InstrumentStatus {
        Open = "OPEN",
        Halted = "HALTED",
        Closed = "CLOSED",
    }
}

wire_enum! {
    /// ACTIVE may do everything, SUSPENDED and CLOSED may cancel only. UNKNOWN is never written; a reader sees it for
    /// a symbol newer than its schema.
    AccountStatus {
        Active = "ACTIVE",
        Suspended = "SUSPENDED",
        Closed = "CLOSED",
    }
}
