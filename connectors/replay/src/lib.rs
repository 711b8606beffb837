//! Streams of commands and market trades as an upstream exchange would publish them: read from files
//! ([`aapl`], [`market`]) or generated ([`generate`]), with the time at which each one is due ([`pace`]).
//!
//! What is absent: Kafka, threads and clocks. A caller publishes what these iterators give, and sleeps.

pub mod aapl;
mod funding;
pub mod generate;
pub mod market;
pub mod pace;
mod table;

pub use funding::FundedAccount;
pub use table::{Format, ReadError, detect};

use tapeline_schemas::wire;

/// A command and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Nanoseconds since the first record of the stream; never falls.
    pub at_ns: u64,
    /// What to publish, with the account as the record's key.
    pub command: wire::Command,
}
