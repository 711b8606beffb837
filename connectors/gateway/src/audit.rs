//! What an auditor wants to know of requests that were refused: by whom, from where, why.
//!
//! Events go through a bounded channel to whoever keeps them. A gateway that is flooded loses some of them rather than
//! answer late; how many, it counts.

use smol_str::SmolStr;
use std::net::IpAddr;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Most events that wait to be kept.
const MAX_WAITING: usize = 4_096;

/// A request that was refused for who asked or how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it was.
    pub kind: RefusalKind,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Code of the problem.
    pub code: SmolStr,
    /// Method and path as the router has it, for example `POST /v1/orders`.
    pub route: String,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The user, if a valid token or key was shown.
    pub user_id: Option<SmolStr>,
    /// The API key, if it was one.
    pub key_id: Option<SmolStr>,
}

/// Kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// 401: no valid token.
    NotAuthenticated,
    /// 403: not allowed.
    NotAllowed,
    /// 429: too many.
    TooMany,
}

impl RefusalKind {
    /// The kind that an HTTP status stands for; `None` of statuses that concern no auditor.
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::NotAuthenticated),
            403 => Some(Self::NotAllowed),
            429 => Some(Self::TooMany),
            _ => None,
        }
    }
}

/// Takes events; never waits.
#[derive(Clone)]
pub struct Audit(Sender<Refusal>);

impl Audit {
    /// A channel of events.
    pub fn channel() -> (Self, Receiver<Refusal>) {
        let (sender, receiver) = channel(MAX_WAITING);
        (Self(sender), receiver)
    }

    /// Notes an event; whether there was room for it.
    pub fn note(&self, event: Refusal) -> bool {
        self.0.try_send(event).is_ok()
    }
}

/// Keeps events in the log, until there is a better place.
pub async fn log(mut events: Receiver<Refusal>) {
    while let Some(event) = events.recv().await {
        tracing::info!(
            target: "tapeline_gateway::audit",
            kind = ?event.kind,
            code = %event.code,
            route = event.route,
            address = ?event.address,
            user_id = event.user_id.as_deref().unwrap_or("-"),
            key_id = event.key_id.as_deref().unwrap_or("-"),
            "refused"
        );
    }
}
