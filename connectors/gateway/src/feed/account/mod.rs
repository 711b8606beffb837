//! What becomes of accounts: orders, fills and balances, as messages for those who listen, and where a client can go on.
//!
//! All events of all accounts lie in one ring, in the order in which they came to this gateway, so that a client which comes
//! back finds what it missed. Only for accounts that somebody listens to are events written as messages and balances kept.
//!
//! **Where the view ends and the stream begins.** A client begins with what the view says of its account: open orders and
//! balances, together with the offsets up to which the view has folded the topics. What is at or after these offsets comes from
//! the ring and then live; what is before them is in the view. No event is missing if the ring still has everything from
//! those offsets on, and none is told twice if this gateway has seen everything before them. Both are checked under one lock;
//! if one does not hold, the client waits until it does. Balances are sums, so that they do not depend on the order in which
//! records of different topics came: the view's amounts plus the changes at or after its offsets are exact once the
//! records are in. A balance is told after each batch of records, not within it, for the order of topics within a batch
//! is chance.
//!
//! **A fill comes after its trade.** A settlement names the record that it settles; it waits here until that one has come.
//!
//! **Going on.** A position holds the next offset of each partition. A client that comes with one gets what is at or after it in
//! the ring; if the ring does not reach back to it, it begins anew.

pub mod event;
pub mod position;
mod state;

pub use event::{Event, Message, Record};
pub use position::{Position, Source, TOPICS};
use smol_str::SmolStr;
pub use state::{AccountChannel, Accounts};

/// What the view says of an account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountSnapshot {
    /// Its open orders, as the interface shows them.
    pub orders: Vec<serde_json::Value>,
    /// Its balances.
    pub balances: Vec<Balance>,
    /// Up to which offsets the view has folded the topics, in the same database transaction.
    pub offsets: Position,
}

/// A balance, in units of 10^-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Asset.
    pub asset: SmolStr,
    /// What can be used.
    pub available: i128,
    /// What is set aside for open orders and withdrawals.
    pub reserved: i128,
}

/// What a client begins with.
#[derive(Debug)]
pub struct Joined {
    /// The account as the view has it, as a message without a number of its own; none if the client goes on from `after`.
    pub account: Option<String>,
    /// What came since.
    pub since: Vec<Message>,
    /// The client's place in the channel.
    pub cursor: u64,
}

/// Why a client can't begin yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// This gateway has not seen all that the client, or the view, has.
    #[error("this gateway is behind: it has not seen all that the position holds")]
    GatewayBehind,
    /// The view has not folded what this gateway has dropped already.
    #[error("the view is behind: it lacks records that this gateway does not keep any more")]
    ViewBehind,
    /// The position is too old, or nobody listens to the account yet: the view must be asked.
    #[error("the view must be asked")]
    NeedsView,
}

#[cfg(test)]
mod tests;
