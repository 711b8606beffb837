//! The log of users, sessions, keys and signers: what is appended to it is decided by its order.

use crate::problem::Problem;
use smol_str::SmolStr;
use std::future::Future;
use std::pin::Pin;
use tapeline_identity::{Event, audit};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{Account, GatewayAudit};

/// What the gateway writes about people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A user, session, key or signer.
    Identity(Event),
    /// The trading account of a new user.
    Account(Account),
    /// What was done or tried.
    Audit(GatewayAudit),
}

impl Entry {
    /// The topic that it belongs to.
    pub const fn topic(&self) -> &'static str {
        match self {
            Self::Identity(event) => event.topic(),
            Self::Account(_) => topic::ACCOUNTS,
            Self::Audit(_) => topic::GATEWAY_AUDIT,
        }
    }

    /// The record's key.
    pub fn key(&self) -> &SmolStr {
        match self {
            Self::Identity(event) => event.key(),
            Self::Account(account) => &account.account,
            Self::Audit(record) => audit::key(record),
        }
    }
}

/// An answer that takes its time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// Where entries go.
pub trait IdentityLog: Send + Sync {
    /// Appends an entry and waits until it is known to be there; gives its offset.
    ///
    /// # Errors
    /// 503: not taken, or not known whether.
    fn append(&self, entry: Entry) -> Answering<'_, i64>;

    /// The offset after the present last record of one of the identity topics.
    ///
    /// # Errors
    /// 503 if Kafka is away.
    fn end_of(&self, topic: &'static str) -> Answering<'_, i64>;
}
