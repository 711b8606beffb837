//! Every table that is compared: its columns, its key, and how it is cut into ranges. SQL is made from these lists alone.
//!
//! A table whose columns in the database are others than here is refused, so that no column goes unchecked.

use smol_str::SmolStr;
use std::fmt;

/// A range is this many offsets (2^17 = 131,072) of one partition.
pub(super) const RANGE_BITS: u32 = 17;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Database {
    Timescale,
    Clickhouse,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timescale => "TimescaleDB",
            Self::Clickhouse => "ClickHouse",
        })
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int16,
    Int32,
    Int,
    Text,
    /// Units of 10^-8, in the database a decimal with eight places.
    Amount,
    Time,
    Flag,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
}

/// How a table is cut, in SQL.
#[derive(Debug, Clone, Copy)]
pub(super) enum Range {
    /// By offsets of one partition.
    Offsets { topic: &'static str, partition: &'static str, offset: &'static str },
    /// By the value of an expression of text.
    Named(&'static str),
}

/// A table or a view.
#[derive(Debug)]
pub(super) struct Table {
    /// Database and name.
    pub(super) id: &'static str,
    pub(super) database: Database,
    /// What is read.
    pub(super) name: &'static str,
    /// What a repair writes to; `None` for a view, which follows its table.
    pub(super) stored_in: Option<&'static str>,
    /// How many columns, from the first on, make the key.
    pub(super) key_columns: usize,
    pub(super) range: Range,
    pub(super) columns: &'static [Column],
}

/// One range of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RangeKey {
    /// The `index`-th range of a partition's offsets.
    Offsets { topic: SmolStr, partition: i64, index: i64 },
    /// By name.
    Named(String),
}

impl RangeKey {
    /// The range of `topic` that `offset` lies in.
    pub(super) const fn of(topic: &'static str, partition: i32, offset: i64) -> Self {
        Self::Offsets { topic: SmolStr::new_static(topic), partition: partition as i64, index: offset >> RANGE_BITS }
    }
}

impl fmt::Display for RangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offsets { topic, partition, index } => {
                let (from, to) = (index << RANGE_BITS, ((index + 1) << RANGE_BITS) - 1);
                write!(f, "{topic}, partition {partition}, offsets {from} to {to}")
            }
            Self::Named(name) => f.write_str(name),
        }
    }
}

const fn col(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

const fn opt(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true }
}

/// All of them, in the order in which differences are told.
pub(super) static TABLES: [&Table; 14] = [
    &CH_COMMANDS,
    &CH_VERDICTS,
    &CH_EXECUTIONS,
    &CH_TRADES,
    &CH_SETTLEMENTS,
    &CH_POSTINGS,
    &TS_TRADES,
    &TS_ORDERS,
    &TS_OPEN_ORDERS,
    &TS_CANDLES,
    &TS_BEST_QUOTES,
    &TS_BALANCES,
    &TS_BALANCE_TOTALS,
    &TS_ASSET_TOTALS,
];

/// Rows of `orders`.
pub(super) static CH_COMMANDS: Table = Table {
    id: "ClickHouse commands",
    database: Database::Clickhouse,
    name: "commands",
    stored_in: Some("commands_raw"),
    key_columns: 2,
    range: Range::Offsets { topic: "'orders'", partition: "kafka_partition", offset: "kafka_offset" },
    columns: &[
        col("kafka_partition", Kind::Int32),
        col("kafka_offset", Kind::Int),
        col("command_id", Kind::Int),
        col("commanded_at", Kind::Time),
        col("account", Kind::Text),
        col("client_order_id", Kind::Text),
        col("kind", Kind::Text),
        col("instrument", Kind::Text),
        col("side", Kind::Text),
        col("order_type", Kind::Text),
        col("time_in_force", Kind::Text),
        opt("quantity", Kind::Amount),
        opt("price", Kind::Amount),
        opt("stop_price", Kind::Amount),
        opt("display_quantity", Kind::Amount),
        col("post_only", Kind::Flag),
        opt("expires_at", Kind::Time),
        col("self_trade_prevention", Kind::Text),
        col("target_client_order_id", Kind::Text),
        col("asset", Kind::Text),
        opt("amount", Kind::Amount),
    ],
};

/// Rows of `trades.executed`.
pub(super) static CH_EXECUTIONS: Table = Table {
    id: "ClickHouse executions",
    database: Database::Clickhouse,
    name: "executions",
    stored_in: Some("executions_raw"),
    key_columns: 2,
    range: Range::Offsets { topic: "'trades.executed'", partition: "kafka_partition", offset: "kafka_offset" },
    columns: &[
        col("kafka_partition", Kind::Int32),
        col("kafka_offset", Kind::Int),
        col("execution_id", Kind::Int),
        col("kind", Kind::Text),
        col("command_id", Kind::Int),
        col("commanded_at", Kind::Time),
        col("validated_at", Kind::Time),
        col("executed_at", Kind::Time),
        col("instrument", Kind::Text),
        col("account", Kind::Text),
        col("client_order_id", Kind::Text),
        opt("order_id", Kind::Int),
        col("base_asset", Kind::Text),
        col("quote_asset", Kind::Text),
        col("side", Kind::Text),
        col("order_type", Kind::Text),
        col("time_in_force", Kind::Text),
        opt("order_price", Kind::Amount),
        opt("order_stop_price", Kind::Amount),
        opt("order_quantity", Kind::Amount),
        opt("order_filled", Kind::Amount),
        opt("order_leaves", Kind::Amount),
        col("order_status", Kind::Text),
        opt("order_maker_fee_ppm", Kind::Int),
        opt("order_taker_fee_ppm", Kind::Int),
        opt("order_reserved_before", Kind::Amount),
        opt("order_reserved_after", Kind::Amount),
        opt("maker_order_id", Kind::Int),
        opt("trade_id", Kind::Int),
        opt("price", Kind::Amount),
        opt("quantity", Kind::Amount),
        opt("kept_place", Kind::Flag),
        col("reason", Kind::Text),
        opt("target_order_id", Kind::Int),
        col("asset", Kind::Text),
        opt("amount", Kind::Amount),
        opt("bid_price", Kind::Amount),
        opt("bid_quantity", Kind::Amount),
        opt("ask_price", Kind::Amount),
        opt("ask_quantity", Kind::Amount),
    ],
};

/// Rows of `trades.executed`.
pub(super) static CH_TRADES: Table = Table {
    id: "ClickHouse trades",
    database: Database::Clickhouse,
    name: "trades",
    stored_in: Some("trades_raw"),
    key_columns: 2,
    range: Range::Offsets { topic: "'trades.executed'", partition: "kafka_partition", offset: "kafka_offset" },
    columns: &[
        col("kafka_partition", Kind::Int32),
        col("kafka_offset", Kind::Int),
        col("trade_id", Kind::Int),
        col("traded_at", Kind::Time),
        col("commanded_at", Kind::Time),
        col("executed_at", Kind::Time),
        col("instrument", Kind::Text),
        col("base_asset", Kind::Text),
        col("quote_asset", Kind::Text),
        col("price", Kind::Amount),
        col("quantity", Kind::Amount),
        col("notional", Kind::Amount),
        col("command_id", Kind::Int),
        col("taker_side", Kind::Text),
        col("taker_order_id", Kind::Int),
        col("taker_account", Kind::Text),
        col("taker_client_order_id", Kind::Text),
        col("taker_filled", Kind::Amount),
        col("taker_leaves", Kind::Amount),
        col("taker_status", Kind::Text),
        col("maker_order_id", Kind::Int),
        col("maker_account", Kind::Text),
        col("maker_client_order_id", Kind::Text),
        col("maker_filled", Kind::Amount),
        col("maker_leaves", Kind::Amount),
        col("maker_status", Kind::Text),
    ],
};

/// Rows of `trades.settled`.
pub(super) static CH_SETTLEMENTS: Table = Table {
    id: "ClickHouse settlements",
    database: Database::Clickhouse,
    name: "settlements",
    stored_in: Some("settlements_raw"),
    key_columns: 2,
    range: Range::Offsets { topic: "'trades.settled'", partition: "kafka_partition", offset: "kafka_offset" },
    columns: &[
        col("kafka_partition", Kind::Int32),
        col("kafka_offset", Kind::Int),
        col("kind", Kind::Text),
        col("execution_id", Kind::Int),
        col("command_id", Kind::Int),
        col("account", Kind::Text),
        col("instrument", Kind::Text),
        opt("order_id", Kind::Int),
        opt("trade_id", Kind::Int),
        col("side", Kind::Text),
        col("liquidity", Kind::Text),
        opt("price", Kind::Amount),
        opt("quantity", Kind::Amount),
        col("notional", Kind::Amount),
        col("fee", Kind::Amount),
        opt("order_price", Kind::Amount),
        opt("order_quantity", Kind::Amount),
        opt("order_leaves", Kind::Amount),
        opt("order_reserved", Kind::Amount),
        opt("order_done", Kind::Flag),
        col("postings", Kind::Int16),
        col("commanded_at", Kind::Time),
        col("validated_at", Kind::Time),
        col("executed_at", Kind::Time),
        col("settled_at", Kind::Time),
    ],
};

/// Rows of `trades.settled`.
pub(super) static CH_POSTINGS: Table = Table {
    id: "ClickHouse postings",
    database: Database::Clickhouse,
    name: "postings",
    stored_in: Some("postings_raw"),
    key_columns: 3,
    range: Range::Offsets { topic: "'trades.settled'", partition: "kafka_partition", offset: "kafka_offset" },
    columns: &[
        col("kafka_partition", Kind::Int32),
        col("kafka_offset", Kind::Int),
        col("line", Kind::Int16),
        col("account", Kind::Text),
        col("asset", Kind::Text),
        col("bucket", Kind::Text),
        col("amount", Kind::Amount),
        col("kind", Kind::Text),
        col("execution_id", Kind::Int),
        col("command_id", Kind::Int),
        col("instrument", Kind::Text),
        opt("order_id", Kind::Int),
        opt("trade_id", Kind::Int),
        col("side", Kind::Text),
        col("liquidity", Kind::Text),
        col("settled_at", Kind::Time),
    ],
};

/// Rows of `orders.validated` and `orders.rejected`.
pub(super) static CH_VERDICTS: Table = Table {
    id: "ClickHouse verdicts",
    database: Database::Clickhouse,
    name: "verdicts",
    stored_in: Some("verdicts_raw"),
    key_columns: 3,
    range: Range::Offsets { topic: "topic", partition: "kafka_partition", offset: "kafka_offset" },
    columns: &[
        col("topic", Kind::Text),
        col("kafka_partition", Kind::Int32),
        col("kafka_offset", Kind::Int),
        col("accepted", Kind::Flag),
        col("command_id", Kind::Int),
        col("commanded_at", Kind::Time),
        col("decided_at", Kind::Time),
        col("account", Kind::Text),
        col("client_order_id", Kind::Text),
        col("kind", Kind::Text),
        col("instrument", Kind::Text),
        col("reason", Kind::Text),
        col("text", Kind::Text),
        opt("original_command_id", Kind::Int),
        opt("original_accepted", Kind::Flag),
        col("original_reason", Kind::Text),
        opt("target_order_id", Kind::Int),
        col("base_asset", Kind::Text),
        col("quote_asset", Kind::Text),
        col("side", Kind::Text),
        col("order_type", Kind::Text),
        col("time_in_force", Kind::Text),
        opt("quantity", Kind::Amount),
        opt("price", Kind::Amount),
        opt("stop_price", Kind::Amount),
        opt("display_quantity", Kind::Amount),
        col("post_only", Kind::Flag),
        opt("expires_at", Kind::Time),
        col("self_trade_prevention", Kind::Text),
        col("maker_fee_ppm", Kind::Int),
        col("taker_fee_ppm", Kind::Int),
        col("reserved_asset", Kind::Text),
        col("reserved_amount", Kind::Amount),
        col("asset", Kind::Text),
        opt("amount", Kind::Amount),
    ],
};

/// Trades of the own books.
pub(super) static TS_TRADES: Table = Table {
    id: "TimescaleDB trades",
    database: Database::Timescale,
    name: "trades",
    stored_in: Some("trades"),
    key_columns: 2,
    range: Range::Offsets { topic: "'trades.executed'", partition: "position_partition", offset: "position_offset" },
    columns: &[
        col("trade_id", Kind::Int),
        col("traded_at", Kind::Time),
        col("instrument", Kind::Text),
        col("price", Kind::Amount),
        col("quantity", Kind::Amount),
        col("notional", Kind::Amount),
        col("taker_side", Kind::Text),
        col("taker_order_id", Kind::Int),
        col("taker_account", Kind::Text),
        col("taker_fee", Kind::Amount),
        col("maker_order_id", Kind::Int),
        col("maker_account", Kind::Text),
        col("maker_fee", Kind::Amount),
        col("position_partition", Kind::Int),
        col("position_offset", Kind::Int),
    ],
};

/// Orders by current state; a range holds the orders whose PLACE lies in a range of `orders`.
pub(super) static TS_ORDERS: Table = Table {
    id: "TimescaleDB orders",
    database: Database::Timescale,
    name: "orders",
    stored_in: Some("orders"),
    key_columns: 1,
    range: Range::Offsets { topic: "'orders'", partition: "(order_id >> 44)", offset: "(order_id & 17592186044415)" },
    columns: &[
        col("order_id", Kind::Int),
        col("account", Kind::Text),
        col("client_order_id", Kind::Text),
        opt("instrument", Kind::Text),
        opt("side", Kind::Text),
        opt("order_type", Kind::Text),
        opt("time_in_force", Kind::Text),
        opt("price", Kind::Amount),
        opt("stop_price", Kind::Amount),
        opt("quantity", Kind::Amount),
        col("filled", Kind::Amount),
        col("leaves", Kind::Amount),
        col("status", Kind::Text),
        opt("reason", Kind::Text),
        col("updated_at", Kind::Time),
        col("position_partition", Kind::Int),
        col("position_offset", Kind::Int),
    ],
};

/// The view of orders that have not ended.
pub(super) static TS_OPEN_ORDERS: Table = Table {
    id: "TimescaleDB open_orders",
    database: Database::Timescale,
    name: "open_orders",
    stored_in: None,
    key_columns: 1,
    range: Range::Offsets { topic: "'orders'", partition: "(order_id >> 44)", offset: "(order_id & 17592186044415)" },
    columns: &[
        col("order_id", Kind::Int),
        col("account", Kind::Text),
        col("client_order_id", Kind::Text),
        opt("instrument", Kind::Text),
        opt("side", Kind::Text),
        opt("order_type", Kind::Text),
        opt("time_in_force", Kind::Text),
        opt("price", Kind::Amount),
        opt("stop_price", Kind::Amount),
        opt("quantity", Kind::Amount),
        col("filled", Kind::Amount),
        col("leaves", Kind::Amount),
        col("status", Kind::Text),
        col("updated_at", Kind::Time),
    ],
};

/// Candles; a range is one interval of one book.
pub(super) static TS_CANDLES: Table = Table {
    id: "TimescaleDB candles",
    database: Database::Timescale,
    name: "candles",
    stored_in: Some("candles"),
    key_columns: 4,
    range: Range::Named("venue || ' ' || instrument || ' ' || \"interval\""),
    columns: &[
        col("venue", Kind::Text),
        col("instrument", Kind::Text),
        col("interval", Kind::Text),
        col("bucket", Kind::Time),
        col("open", Kind::Amount),
        col("high", Kind::Amount),
        col("low", Kind::Amount),
        col("close", Kind::Amount),
        col("volume", Kind::Amount),
        col("trades", Kind::Int),
        col("first_at", Kind::Time),
        col("first_seq", Kind::Int),
        col("last_at", Kind::Time),
        col("last_seq", Kind::Int),
    ],
};

/// Best quotes; a range is a venue.
pub(super) static TS_BEST_QUOTES: Table = Table {
    id: "TimescaleDB best_quotes",
    database: Database::Timescale,
    name: "best_quotes",
    stored_in: Some("best_quotes"),
    key_columns: 2,
    range: Range::Named("venue"),
    columns: &[
        col("venue", Kind::Text),
        col("instrument", Kind::Text),
        opt("bid_price", Kind::Amount),
        opt("bid_quantity", Kind::Amount),
        opt("ask_price", Kind::Amount),
        opt("ask_quantity", Kind::Amount),
        col("quoted_at", Kind::Time),
        col("position_partition", Kind::Int),
        col("position_offset", Kind::Int),
    ],
};

/// Balances; a range is an asset.
pub(super) static TS_BALANCES: Table = Table {
    id: "TimescaleDB balances",
    database: Database::Timescale,
    name: "balances",
    stored_in: Some("balances"),
    key_columns: 2,
    range: Range::Named("asset"),
    columns: &[
        col("account", Kind::Text),
        col("asset", Kind::Text),
        col("available", Kind::Amount),
        col("reserved", Kind::Amount),
    ],
};

/// The view of balances of traders.
pub(super) static TS_BALANCE_TOTALS: Table = Table {
    id: "TimescaleDB balance_totals",
    database: Database::Timescale,
    name: "balance_totals",
    stored_in: None,
    key_columns: 2,
    range: Range::Named("asset"),
    columns: &[
        col("account", Kind::Text),
        col("asset", Kind::Text),
        col("available", Kind::Amount),
        col("reserved", Kind::Amount),
        col("total", Kind::Amount),
    ],
};

/// The view of where each asset is.
pub(super) static TS_ASSET_TOTALS: Table = Table {
    id: "TimescaleDB asset_totals",
    database: Database::Timescale,
    name: "asset_totals",
    stored_in: None,
    key_columns: 1,
    range: Range::Named("asset"),
    columns: &[
        col("asset", Kind::Text),
        col("held", Kind::Amount),
        col("fees", Kind::Amount),
        col("clearing", Kind::Amount),
        col("outside", Kind::Amount),
        col("imbalance", Kind::Amount),
    ],
};
