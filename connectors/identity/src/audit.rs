//! The audit trail: what was done, or tried, with users, sessions and keys, and from where. No secrets stand in it.
//!
//! What is absent: refreshes that went well; there would be one for each session every five minutes.

use crate::refusal::Refusal;
use smol_str::{SmolStr, ToSmolStr};
use std::net::IpAddr;
use tapeline_schemas::wire::{AuditKind as Kind, AuditOutcome as Outcome, GatewayAudit};

const MAX_AGENT_CHARS: usize = 256;
/// No login is longer; what was typed instead of one is cut.
const MAX_LOGIN_CHARS: usize = 64;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The client's address, behind proxies that the gateway trusts.
    pub address: IpAddr,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the schema gateway.audit explains the kinds")]
pub enum Audit<'a> {
    SignUp {
        login: &'a str,
        user_id: Option<&'a str>,
    },
    LogIn {
        login: &'a str,
        user_id: Option<&'a str>,
    },
    SecondFactor {
        user_id: Option<&'a str>,
    },
    Refresh {
        user_id: Option<&'a str>,
    },
    LogOut {
        user_id: &'a str,
    },
    PasskeyAdded {
        user_id: &'a str,
        label: &'a str,
    },
    PasskeyRemoved {
        user_id: &'a str,
        credential_id: &'a str,
    },
    KeyCreated {
        user_id: &'a str,
        key_id: &'a str,
    },
    KeyRevoked {
        user_id: &'a str,
        key_id: &'a str,
    },
    UserChanged {
        user_id: &'a str,
        what: &'a str,
    },
    /// Any other request, which was refused: `what` says the code and which request.
    Request {
        user_id: Option<&'a str>,
        what: &'a str,
    },
}

impl Audit<'_> {
    /// Its record; `refusal` if it was not done.
    pub fn record(self, refusal: Option<&Refusal>, caller: &Caller, now_ms: i64) -> GatewayAudit {
        let (kind, user_id, login, done) = self.parts();
        let is_refused = refusal.is_some() || kind == Kind::Request;
        GatewayAudit {
            at_ms: now_ms,
            kind,
            outcome: if is_refused { Outcome::Refused } else { Outcome::Done },
            user_id: user_id.map(SmolStr::from),
            login: login.map(|login| readable(login, MAX_LOGIN_CHARS)),
            address: caller.address.to_canonical().to_smolstr(),
            user_agent: caller.user_agent.as_deref().map(|agent| readable(agent, MAX_AGENT_CHARS)),
            text: refusal.map_or_else(|| done.into(), ToSmolStr::to_smolstr),
        }
    }

    fn parts(&self) -> (Kind, Option<&str>, Option<&str>, String) {
        match self {
            Self::SignUp { login, user_id } => (Kind::SignUp, *user_id, Some(login), "signed up".into()),
            Self::LogIn { login, user_id } => (Kind::LogIn, *user_id, Some(login), "logged in".into()),
            Self::SecondFactor { user_id } => (Kind::SecondFactor, *user_id, None, "showed a passkey".into()),
            Self::Refresh { user_id } => (Kind::Refresh, *user_id, None, "refreshed".into()),
            Self::LogOut { user_id } => (Kind::LogOut, Some(user_id), None, "logged out".into()),
            Self::PasskeyAdded { user_id, label } => {
                (Kind::PasskeyAdded, Some(user_id), None, format!("passkey {label}"))
            }
            Self::PasskeyRemoved { user_id, credential_id } => {
                (Kind::PasskeyRemoved, Some(user_id), None, format!("passkey {credential_id}"))
            }
            Self::KeyCreated { user_id, key_id } => {
                (Kind::KeyCreated, Some(user_id), None, format!("API key {key_id}"))
            }
            Self::KeyRevoked { user_id, key_id } => {
                (Kind::KeyRevoked, Some(user_id), None, format!("API key {key_id}"))
            }
            Self::UserChanged { user_id, what } => (Kind::UserChanged, Some(user_id), None, (*what).into()),
            Self::Request { user_id, what } => (Kind::Request, *user_id, None, (*what).into()),
        }
    }
}

/// The key of an audit record: the user id, or the address where no user is known.
pub fn key(record: &GatewayAudit) -> &SmolStr {
    record.user_id.as_ref().unwrap_or(&record.address)
}

/// What a stranger wrote, on one line and not too long.
fn readable(text: &str, max_chars: usize) -> SmolStr {
    text.chars().filter(|char| !char.is_control()).take(max_chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Code;

    #[test]
    fn a_record_says_who_what_and_from_where_on_one_line() {
        let caller = Caller { address: "::ffff:192.0.2.7".parse().unwrap(), user_agent: Some("a\nb".repeat(200)) };
        let done = Audit::LogIn { login: "ada", user_id: Some("U1") }.record(None, &caller, 7);
        assert_eq!((done.kind, done.outcome, key(&done).as_str()), (Kind::LogIn, Outcome::Done, "U1"));
        assert_eq!((done.at_ms, done.address.as_str(), done.text.as_str()), (7, "192.0.2.7", "logged in"));
        assert_eq!(done.user_agent.as_deref(), Some("ab".repeat(128).as_str()));
        let refusal = Refusal::new(Code::WrongCredentials, "wrong");
        let refused = Audit::LogIn { login: "x\ty", user_id: None }.record(Some(&refusal), &caller, 7);
        assert_eq!((refused.outcome, key(&refused).as_str()), (Outcome::Refused, "192.0.2.7"));
        assert_eq!((refused.login.as_deref(), refused.text.as_str()), (Some("xy"), "wrong_credentials: wrong"));
    }

    #[test]
    fn every_kind_has_its_record() {
        let caller = Caller { address: "2001:db8::1".parse().unwrap(), user_agent: None };
        let user_id = "U1";
        let all = [
            Audit::SignUp { login: "a", user_id: Some(user_id) },
            Audit::LogIn { login: "a", user_id: Some(user_id) },
            Audit::SecondFactor { user_id: Some(user_id) },
            Audit::Refresh { user_id: Some(user_id) },
            Audit::LogOut { user_id },
            Audit::PasskeyAdded { user_id, label: "l" },
            Audit::PasskeyRemoved { user_id, credential_id: "c" },
            Audit::KeyCreated { user_id, key_id: "k" },
            Audit::KeyRevoked { user_id, key_id: "k" },
            Audit::UserChanged { user_id, what: "w" },
            Audit::Request { user_id: Some(user_id), what: "w" },
        ];
        let records: Vec<GatewayAudit> = all.iter().map(|audit| audit.record(None, &caller, 0)).collect();
        let kinds: Vec<Kind> = records.iter().map(|record| record.kind).collect();
        let refused = records.iter().filter(|record| record.outcome == Outcome::Refused);
        assert!(refused.map(|record| record.kind).eq([Kind::Request]), "such a record is written of refusals only");
        assert_eq!(kinds, Kind::ALL[1..]);
    }
}
