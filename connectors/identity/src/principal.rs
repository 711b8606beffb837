//! Who makes a request, by its `Authorization` header, and what it may do.

use crate::api_keys;
use crate::directory::Directory;
use crate::refusal::{Code, Refusal};
use smol_str::SmolStr;
use tapeline_schemas::wire::{IdentityRole as Role, IdentityScope as Scope, IdentityUserStatus as Status};

/// How old a second factor may be for what needs a fresh one.
pub const SECOND_FACTOR_MS: i64 = 300_000;

/// How the request was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// By an access token of the session with this family id.
    Session(SmolStr),
    /// By the API key with this id.
    Key(SmolStr),
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: SmolStr,
    /// The trading account.
    pub account: SmolStr,
    /// What the user may do beyond trading; an API key has no roles.
    pub roles: Vec<Role>,
    /// What the request may do.
    pub scopes: Vec<Scope>,
    /// How it was authenticated.
    pub via: Via,
    /// When a passkey was shown last, milliseconds since the Unix epoch.
    pub second_factor_ms: Option<i64>,
    /// When a connection that was authenticated by it must show a newer one, milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// Who shows `bearer`, an access token or an API key.
///
/// A session that is revoked, or a user that is disabled, ends here at once, not only when the token expires. What this
/// gateway has not read yet (the user has just signed up at another one) does no harm: the signature counts.
///
/// # Errors
/// [`Code::InvalidToken`], [`Code::Expired`].
pub fn authenticate(directory: &Directory, bearer: &str, now_ms: i64) -> Result<Principal, Refusal> {
    if bearer.starts_with(api_keys::PREFIX) {
        return by_key(directory, bearer, now_ms);
    }
    let claims = directory.verifier().verify(bearer, now_ms);
    let claims =
        claims.map_err(|error| Refusal::new(Code::InvalidToken, format!("{error}; refresh it or log in again")))?;
    if directory.session(&claims.sid).is_some_and(|session| session.ended.is_some()) {
        return Err(Refusal::session_over());
    }
    if directory.user(&claims.sub).is_some_and(|user| user.status != Status::Active) {
        return Err(Refusal::session_over());
    }
    let named = |all: &[Role], name: &String| all.iter().copied().find(|role| role.symbol().eq_ignore_ascii_case(name));
    let scoped =
        |all: &[Scope], name: &String| all.iter().copied().find(|scope| scope.symbol().eq_ignore_ascii_case(name));
    Ok(Principal {
        user_id: claims.sub.into(),
        account: claims.account.into(),
        roles: claims.roles.iter().filter_map(|name| named(Role::ALL, name)).collect(),
        scopes: claims.scopes.iter().filter_map(|name| scoped(Scope::ALL, name)).collect(),
        via: Via::Session(claims.sid.into()),
        second_factor_ms: claims.mfa_ms,
        expires_ms: claims.exp.saturating_mul(1_000),
    })
}

fn by_key(directory: &Directory, api_key: &str, now_ms: i64) -> Result<Principal, Refusal> {
    let key = api_keys::find(directory, api_key, now_ms);
    let key = key
        .ok_or_else(|| Refusal::new(Code::InvalidToken, "the API key is wrong, expired or revoked; make a new one"))?;
    Ok(Principal {
        user_id: key.user_id.clone(),
        account: key.account.clone(),
        roles: Vec::new(),
        scopes: key.scopes.clone(),
        via: Via::Key(key.key_id.clone()),
        second_factor_ms: None,
        expires_ms: key.expires_ms,
    })
}

impl Principal {
    /// # Errors
    /// [`Code::MissingScope`].
    pub fn require(&self, scope: Scope) -> Result<(), Refusal> {
        let text = || format!("this needs the scope {}; make an API key that has it", scope.symbol().to_lowercase());
        self.scopes.contains(&scope).then_some(()).ok_or_else(|| Refusal::new(Code::MissingScope, text()))
    }

    /// # Errors
    /// [`Code::MissingRole`].
    pub fn require_role(&self, role: Role) -> Result<(), Refusal> {
        let text = || format!("this needs the role {}; ask operations for it", role.symbol().to_lowercase());
        self.roles.contains(&role).then_some(()).ok_or_else(|| Refusal::new(Code::MissingRole, text()))
    }

    /// The family id of the session. Keys and passkeys are managed by a logged-in person only.
    ///
    /// # Errors
    /// [`Code::SessionNeeded`] if it is an API key.
    pub fn session(&self) -> Result<&SmolStr, Refusal> {
        match &self.via {
            Via::Session(family_id) => Ok(family_id),
            Via::Key(_) => Err(Refusal::new(Code::SessionNeeded, "an API key can't do this; log in with a password")),
        }
    }

    /// Whether a passkey was shown in the last five minutes; a user without passkeys need not.
    ///
    /// # Errors
    /// [`Code::SecondFactorNeeded`].
    pub fn fresh_second_factor(&self, directory: &Directory, now_ms: i64) -> Result<(), Refusal> {
        let fresh = self.second_factor_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) <= SECOND_FACTOR_MS);
        let has_passkeys = directory.user(&self.user_id).is_some_and(|user| !user.passkeys.is_empty());
        if fresh || !has_passkeys {
            return Ok(());
        }
        Err(Refusal::new(
            Code::SecondFactorNeeded,
            "show a passkey again: POST /v1/second-factor/options, then repeat this",
        ))
    }

    /// Whether it may withdraw: the scope, and for a session of a user with passkeys a fresh second factor. An API key with the
    /// scope was made with one.
    ///
    /// # Errors
    /// [`Code::MissingScope`], [`Code::SecondFactorNeeded`].
    pub fn may_withdraw(&self, directory: &Directory, now_ms: i64) -> Result<(), Refusal> {
        self.require(Scope::Withdraw)?;
        match self.via {
            Via::Session(_) => self.fresh_second_factor(directory, now_ms),
            Via::Key(_) => Ok(()),
        }
    }
}
