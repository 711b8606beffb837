//! Folds topics into TimescaleDB: trades, candles, best quotes, orders by current state, balances.
//!
//! The tables are in `sql/`, described in `docs/timescale.md`. [`plan`] says which of them are missing and [`apply`]
//! creates them; [`TimescaleSink`] fills them. Rows and offsets move in one database transaction, so that a batch that
//! is late, repeated or tried again changes nothing.
//!
//! What is absent: a Kafka client, retention, and any query that people ask; no code here drops or alters a table.

mod candle;
mod columns;
mod component;
mod errors;
mod fold;
mod link;
mod migrate;
mod query;
mod rows;
mod sink;

pub use component::{NAME, spawn};
pub use migrate::{Migration, apply, plan};
pub use query::{Session, query};
pub use sink::TimescaleSink;

use tapeline_schemas::topic;

/// Topics that the view folds.
pub const TOPICS: &[&str] = &[topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED, topic::MARKET_TICKS];

/// Venue of own trades and quotes in `candles` and `best_quotes`. No outside venue may have this name.
pub const OWN_VENUE: &str = "tapeline";
