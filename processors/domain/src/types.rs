//! The vocabulary of the domain: identities, sides, order kinds, reference data.
//!
//! Prices, quantities and amounts are [`Units`]: integers in units of 10^-8. This module holds no rule.

use smol_str::SmolStr;

/// A price, quantity or amount in units of 10^-8 (so `100_000_000` is 1).
pub type Units = i64;

/// One, in [`Units`].
pub const ONE: Units = 100_000_000;

/// Largest price, quantity or amount that any topic may carry: just below 10^10, so that it fits a
/// `Decimal(18, 8)` column and so that the sum of a few of them can't overflow 64 bits.
pub const MAX_UNITS: Units = 999_999_999_999_999_999;

/// Milliseconds since the Unix epoch, always taken from a record, never from a wall clock.
pub type TimeMs = i64;

/// The bits of an identity that hold the offset or sequence; the partition stands above them.
pub const SEQUENCE_BITS: u32 = 44;

/// Builds an identity from a partition and the offset (or sequence) in it, so that a replay gives the same one.
pub const fn position_id(partition: i32, sequence: i64) -> i64 {
    ((partition as i64) << SEQUENCE_BITS) | sequence
}

/// The partition that an identity was made in.
pub const fn id_partition(id: i64) -> i32 {
    (id >> SEQUENCE_BITS) as i32
}

/// The offset or sequence within [`id_partition`].
pub const fn id_sequence(id: i64) -> i64 {
    id & ((1 << SEQUENCE_BITS) - 1)
}

/// Identity of a command, from the position of its record; for a placed order it is the order's identity too.
pub type CommandId = i64;
/// Identity of an order: the [`CommandId`] of the command that placed it.
pub type OrderId = i64;
/// Identity of a trade: the executor's partition and its trade sequence.
pub type TradeId = i64;

/// Accounts with this first letter belong to the system; nobody can trade from them.
pub const SYSTEM_ACCOUNT_PREFIX: char = '@';
/// Collects maker and taker fees.
pub const FEES_ACCOUNT: &str = "@fees";
/// Stands between buyer and seller: zero again after both sides of a trade are settled.
pub const CLEARING_ACCOUNT: &str = "@clearing";
/// The world outside: negative by what has been deposited and not withdrawn.
pub const OUTSIDE_ACCOUNT: &str = "@outside";

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Buys the base asset with the quote asset.
    Buy,
    /// Sells the base asset for the quote asset.
    Sell,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// How an order's price is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderType {
    /// At the limit price or better.
    Limit,
    /// At once against the book, bounded by the instrument's price collar; never rests.
    Market,
    /// Sleeps until the last trade price reaches the stop price, then becomes a market order.
    Stop,
    /// Sleeps until the last trade price reaches the stop price, then becomes a limit order.
    StopLimit,
}

impl OrderType {
    /// Whether the order sleeps until a stop price is reached.
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopLimit)
    }
}

/// How long an order lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeInForce {
    /// Good till cancelled.
    Gtc,
    /// Until the instrument's next session close.
    Day,
    /// Good till date: until the order's own expiry time.
    Gtd,
    /// Immediate or cancel: what can't trade at once is cancelled.
    Ioc,
    /// Fill or kill: trades in full at once or not at all.
    Fok,
}

impl TimeInForce {
    /// Whether what is left after matching may rest in the book.
    pub const fn may_rest(self) -> bool {
        !matches!(self, Self::Ioc | Self::Fok)
    }
}

/// What happens when an order would trade with another one of the same account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelfTradePrevention {
    /// The incoming order's remainder is cancelled.
    CancelNewest,
    /// The resting order is cancelled, the incoming one goes on.
    CancelOldest,
    /// Both are cancelled.
    CancelBoth,
    /// Both are reduced by the smaller of the two quantities; what reaches zero is cancelled.
    DecrementAndCancel,
}

/// Whether an instrument takes orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstrumentStatus {
    /// Takes all commands.
    Open,
    /// Takes cancels only, for now.
    Halted,
    /// Takes cancels only, for good.
    Closed,
}

/// Reference data of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Its name, the key in all topics, for example `AAPL-USD`.
    pub symbol: SmolStr,
    /// What is bought and sold.
    pub base_asset: SmolStr,
    /// What it is paid with.
    pub quote_asset: SmolStr,
    /// Prices are whole multiples of this.
    pub tick_size: Units,
    /// Quantities are whole multiples of this.
    pub lot_size: Units,
    /// Smallest quantity of an order.
    pub min_quantity: Units,
    /// Largest quantity of an order.
    pub max_quantity: Units,
    /// Smallest price times quantity, in the quote asset.
    pub min_notional: Units,
    /// Largest price times quantity, in the quote asset.
    pub max_notional: Units,
    /// The price that the collar is laid around.
    pub reference_price: Units,
    /// How far from the reference price an order's price may lie, in parts per million of it.
    pub collar_ppm: i64,
    /// Maker fee in parts per million of the notional.
    pub maker_fee_ppm: i64,
    /// Taker fee in parts per million of the notional; not below the maker fee.
    pub taker_fee_ppm: i64,
    /// Whether it takes orders.
    pub status: InstrumentStatus,
    /// When DAY orders end: milliseconds after midnight UTC.
    pub session_close_ms: i64,
}

/// Whether an account may trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// May do everything.
    Active,
    /// May cancel only.
    Suspended,
    /// May cancel only, for good.
    Closed,
}

/// Reference data of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, the key in all topics.
    pub id: SmolStr,
    /// Whether it may trade.
    pub status: AccountStatus,
    /// How many orders it may have open at once.
    pub max_open_orders: i64,
}
