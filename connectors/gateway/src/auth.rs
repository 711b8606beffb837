//! Who asks: the bearer token of a request, the scope that it needs, and the limit that it counts towards.
//!
//! What is absent: tokens, keys and users; an [`Authenticator`] knows them.

use crate::gateway::Gateway;
use crate::http::notes::Notes;
use crate::limits::{Limits, Standing};
use crate::principal::{Principal, Scope};
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use std::marker::PhantomData;
use std::sync::Arc;
pub use tapeline_runtime::wall_clock::now_ms;

/// Knows access tokens and API keys.
pub trait Authenticator: Send + Sync {
    /// Who shows this token or key; `now_ms` is the time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Problems of status 401: not valid, expired or revoked. 503 if it can't be known now.
    fn authenticate(&self, bearer: &str, now_ms: i64) -> Result<Principal, Problem>;
}

/// The token of an `Authorization` header.
///
/// # Errors
/// 401 if there is none of the scheme Bearer.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()).ok_or_else(|| {
        let detail = "send the header `Authorization: Bearer` with an access token or an API key";
        Problem::new(401, "no_token", "Not logged in", detail)
    })
}

/// Fails unless `principal` has `scope`.
///
/// # Errors
/// 403 `scope_missing`.
pub fn require(principal: &Principal, scope: Scope) -> Result<(), Problem> {
    if principal.may(scope) {
        return Ok(());
    }
    let name = scope.name();
    let detail = format!("the token or API key lacks the scope `{name}`: use one that has it");
    Err(Problem::new(403, "scope_missing", "Not allowed", detail))
}

/// What a route needs of whoever asks.
pub trait Needs: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;

    /// Takes one request out of the limit that it counts towards.
    fn limit(limits: &Limits, principal: &Principal) -> Standing;
}

/// Routes that read the account.
pub struct ToRead;
/// Routes that place, amend and cancel.
pub struct ToTrade;
/// Routes that withdraw.
pub struct ToWithdraw;

/// Routes of operators.
pub struct ToOperate;

impl Needs for ToOperate {
    const SCOPE: Scope = Scope::Operate;

    fn limit(limits: &Limits, principal: &Principal) -> Standing {
        limits.read(principal)
    }
}

impl Needs for ToRead {
    const SCOPE: Scope = Scope::Read;

    fn limit(limits: &Limits, principal: &Principal) -> Standing {
        limits.read(principal)
    }
}

impl Needs for ToTrade {
    const SCOPE: Scope = Scope::Trade;

    fn limit(limits: &Limits, principal: &Principal) -> Standing {
        limits.order(principal)
    }
}

impl Needs for ToWithdraw {
    const SCOPE: Scope = Scope::Withdraw;

    fn limit(limits: &Limits, principal: &Principal) -> Standing {
        limits.order(principal)
    }
}

/// Whoever asks, with all that the route needs: an extractor.
pub struct Allowed<N: Needs>(pub Principal, pub PhantomData<N>);

impl<N: Needs> FromRequestParts<Arc<Gateway>> for Allowed<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let principal = gateway.authenticator.authenticate(bearer(&parts.headers)?, now_ms())?;
        let notes = parts.extensions.get::<Notes>();
        if let Some(notes) = notes {
            notes.set_principal(&principal);
        }
        let standing = N::limit(&gateway.limits, &principal);
        if let Some(notes) = notes {
            notes.set_standing(standing);
        }
        if !standing.passes() {
            return Err(standing.problem());
        }
        require(&principal, N::SCOPE)?;
        Ok(Self(principal, PhantomData))
    }
}

/// Routes that need no log-in: they count towards the address.
pub struct Anyone;

impl FromRequestParts<Arc<Gateway>> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let Some(notes) = parts.extensions.get::<Notes>() else { return Ok(Self) };
        let Some(address) = notes.address() else { return Ok(Self) };
        let standing = gateway.limits.public_read(address);
        notes.set_standing(standing);
        if standing.passes() { Ok(Self) } else { Err(standing.problem()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_is_read_from_its_header_only() {
        for (header, expected) in [
            (Some("Bearer abc"), Some("abc")),
            (Some("bearer  abc "), Some("abc")),
            (Some("Bearer "), None),
            (Some("Bearer"), None),
            (Some("Basic abc"), None),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert(AUTHORIZATION, value.parse().unwrap());
            }
            let read = bearer(&headers);
            assert_eq!(read.as_ref().ok().copied(), expected, "{header:?}");
            assert!(read.is_ok() || read.is_err_and(|problem| problem.status == 401));
        }
    }
}
