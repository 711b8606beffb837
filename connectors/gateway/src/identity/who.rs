//! Who asks, from where, and what the auditor hears of it.

use super::now_ms;
use crate::auth::bearer;
use crate::gateway::Gateway;
use crate::http::notes::Notes;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tapeline_identity::audit::{Audit, Caller};
use tapeline_identity::{Principal, Refusal};

/// Why something is not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The rules refuse it: the auditor hears of it.
    Refused(Refusal),
    /// It could not be tried, or was refused before the rules were asked.
    Problem(Problem),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Problem(problem) => problem,
        }
    }
}

/// Where a request comes from: an extractor.
pub(super) struct Asker {
    caller: Caller,
    pub(super) notes: Notes,
}

impl FromRequestParts<Arc<Gateway>> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _gateway: &Arc<Gateway>) -> Result<Self, Infallible> {
        let notes = parts.extensions.get::<Notes>().cloned().unwrap_or_default();
        let address = notes.address().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self { caller: Caller { address, user_agent }, notes })
    }
}

impl Asker {
    pub(super) const fn address(&self) -> IpAddr {
        self.caller.address
    }

    /// Tells the auditor what was tried and what came of it.
    pub(super) fn tell<T>(&self, gateway: &Gateway, what: Audit<'_>, came_of_it: &Result<T, Failure>) {
        let refusal = match came_of_it {
            Ok(_) => None,
            Err(Failure::Refused(refusal)) => Some(refusal),
            Err(Failure::Problem(_)) => return,
        };
        gateway.audit.note(what.record(refusal, &self.caller, now_ms()));
        self.notes.set_audited();
    }
}

/// A user who asks about users, sessions, passkeys or keys: an extractor. It counts as a read.
pub(super) struct Member(pub(super) Principal);

impl FromRequestParts<Arc<Gateway>> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let (who, principal) = gateway.identity.recognise(bearer(&parts.headers)?, now_ms())?;
        let standing = gateway.limits.read(&principal);
        if let Some(notes) = parts.extensions.get::<Notes>() {
            notes.set_principal(&principal);
            notes.set_standing(standing);
        }
        if standing.passes() { Ok(Self(who)) } else { Err(standing.problem()) }
    }
}
