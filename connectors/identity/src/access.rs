//! Access tokens: what a browser or program shows with each request, for five minutes, as a JWT signed by EdDSA.

use crate::refusal::Refusal;
use crate::signer::Signer;
use crate::verifier::{ISSUER, Kind, Stamped};
use serde::{Deserialize, Serialize};
use tapeline_schemas::wire::{IdentityRole as Role, IdentityScope as Scope, IdentitySession, IdentityUser};

/// How long an access token counts, seconds.
pub const LIFE_S: i64 = 300;

/// RFC 9068 gives access tokens a `typ` of their own, so that no other JWT passes for one.
pub(crate) const KIND: Kind = Kind { typ: "at+jwt", audience: "tapeline-gateway", life_s: LIFE_S };

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: always `tapeline`.
    pub iss: String,
    /// Audience: always `tapeline-gateway`.
    pub aud: String,
    /// The user id.
    pub sub: String,
    /// The trading account.
    pub account: String,
    /// Roles, lower case.
    pub roles: Vec<String>,
    /// Scopes, lower case.
    pub scopes: Vec<String>,
    /// The session: its family id.
    pub sid: String,
    /// Signed at, seconds since the Unix epoch.
    pub iat: i64,
    /// Counts until, seconds since the Unix epoch.
    pub exp: i64,
    /// Counts from, seconds since the Unix epoch; gateways write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When a passkey was shown last, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_ms: Option<i64>,
}

impl Stamped for Claims {
    fn issued_s(&self) -> i64 {
        self.iat
    }

    fn expires_s(&self) -> i64 {
        self.exp
    }

    fn not_before_s(&self) -> Option<i64> {
        self.nbf
    }
}

/// An access token for a session. `second_factor_ms`: when a passkey was shown after the log-in; the log-in's own stands in
/// the session.
///
/// # Errors
/// [`Code::Expired`](crate::Code::Expired) if the session has ended, [`Code::Internal`](crate::Code::Internal) if it can't be
/// signed.
pub fn issue(
    signer: &Signer,
    user: &IdentityUser,
    session: &IdentitySession,
    second_factor_ms: Option<i64>,
    now_ms: i64,
) -> Result<String, Refusal> {
    if session.ended.is_some() || session.user_id != user.user_id || now_ms >= session.expires_ms {
        return Err(Refusal::session_over());
    }
    let iat = now_ms.div_euclid(1_000);
    let roles = user.roles.iter().filter(|role| **role != Role::Unknown);
    let claims = Claims {
        iss: ISSUER.into(),
        aud: KIND.audience.into(),
        sub: user.user_id.to_string(),
        account: user.account.to_string(),
        roles: roles.map(|role| role.symbol().to_lowercase()).collect(),
        scopes: ALL_SCOPES.iter().map(|scope| scope.symbol().to_lowercase()).collect(),
        sid: session.family_id.to_string(),
        iat,
        exp: iat.saturating_add(LIFE_S),
        nbf: None,
        mfa_ms: second_factor_ms.max(session.second_factor_ms),
    };
    signer.sign(KIND.typ, &claims)
}

/// What a session may do: all that the user may.
const ALL_SCOPES: [Scope; 3] = [Scope::Read, Scope::Trade, Scope::Withdraw];
