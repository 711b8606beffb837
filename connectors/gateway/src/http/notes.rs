//! What is learned of a request on its way, for the headers, metrics and audit of its answer.

use crate::limits::Standing;
use crate::principal::Principal;
use smol_str::SmolStr;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a connection comes from; the server puts it into each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Notes of one request: an extension of it.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Noted>>);

/// What was noted.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// How the limit stands that it counted towards; the narrowest.
    pub standing: Option<Standing>,
    /// Who asked: user and API key.
    pub user: Option<(SmolStr, Option<SmolStr>)>,
    /// Whether the auditor has been told already, by whoever knows more than the status.
    pub is_audited: bool,
}

impl Notes {
    /// Notes of a request from `address`.
    pub fn of(address: Option<IpAddr>) -> Self {
        Self(Arc::new(Mutex::new(Noted { address, ..Noted::default() })))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the request came from.
    pub fn address(&self) -> Option<IpAddr> {
        self.noted().address
    }

    /// Notes who asks.
    pub fn set_principal(&self, principal: &Principal) {
        self.noted().user = Some((principal.user_id.clone(), principal.key_id.clone()));
    }

    /// Notes how a limit stands; it takes the place of a wider one.
    pub fn set_standing(&self, standing: Standing) {
        self.noted().standing = Some(standing);
    }

    /// Notes that the auditor has been told.
    pub fn set_audited(&self) {
        self.noted().is_audited = true;
    }

    /// All of it.
    pub fn read(&self) -> Noted {
        self.noted().clone()
    }
}
