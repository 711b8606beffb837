//! Users, sessions, passkeys and API keys: the rules of `tapeline-identity` over Kafka and HTTP (`docs/identity.md`).
//!
//! | module | what is in it |
//! |---|---|
//! | [`log`], [`kafka`] | where records go, and the topics as that |
//! | [`store`] | the directory: records are appended, read back and judged |
//! | [`keeper`] | signing keys in time, repairs |
//! | [`pool`] | hashing of passwords, bounded |
//! | [`who`] | who asks, from where, and what the auditor hears of it |
//! | [`refusals`] | the rules' refusals as problems |
//! | [`users`], [`sessions`], [`passkeys`], [`keys`] | the routes |
//!
//! What is absent: the rules themselves, and limits that gateways share.

pub mod kafka;
pub mod keeper;
pub mod keys;
pub mod log;
pub mod passkeys;
pub mod pool;
pub mod refusals;
pub mod sessions;
pub mod store;
pub mod users;
pub mod who;

use crate::auth::{Authenticator, now_ms};
use crate::config::Settings;
use crate::gateway::Gateway;
use crate::principal::{Principal, Scope};
use crate::problem::Problem;
use anyhow::{Context, Result};
use pool::Pool;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use tapeline_identity::guard::LoginGuard;
use tapeline_identity::passkeys::RelyingParty;
use tapeline_identity::principal::Via;
use tapeline_identity::{Directory, authenticate};
use tapeline_schemas::wire::{IdentityRole, IdentityScope};
use utoipa_axum::router::OpenApiRouter;

/// The routes of users, sessions, passkeys and keys.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(passkeys::routes())
        .merge(keys::routes())
}

/// Who may use this gateway.
pub struct Identity {
    /// What is known, and how it is changed.
    pub store: Arc<Store>,
    relying_party: RelyingParty,
    guard: Mutex<LoginGuard>,
    passwords: Pool,
    /// Logins in lower case.
    operators: BTreeSet<String>,
    has_secure_cookies: bool,
}

impl Identity {
    /// Over `store`, as `settings` say.
    ///
    /// # Errors
    /// If passkeys can't be for the origin that the settings name.
    pub fn new(settings: &Settings, store: Arc<Store>) -> Result<Self> {
        let origin = settings.relying_party.as_str();
        let wrong = || format!("TAPELINE_GATEWAY_RP is `{origin}`: set it to an origin such as https://desk.example");
        let url = url::Url::parse(origin).with_context(wrong)?;
        let host = url.host_str().with_context(wrong)?;
        let relying_party = RelyingParty::new(host, vec![origin.to_owned()]);
        Ok(Self {
            store,
            relying_party: relying_party.map_err(anyhow::Error::msg).with_context(wrong)?,
            guard: Mutex::default(),
            passwords: Pool::default(),
            operators: settings.operators.iter().map(|login| login.to_ascii_lowercase()).collect(),
            // Behind a proxy that speaks TLS the origin tells.
            has_secure_cookies: settings.tls.is_some() || url.scheme() == "https",
        })
    }

    fn guard(&self) -> MutexGuard<'_, LoginGuard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever shows `bearer`, as the rules see it.
    fn recognise(&self, bearer: &str, now_ms: i64) -> Result<(tapeline_identity::Principal, Principal), Problem> {
        if !self.store.is_complete() {
            return Err(store::starting());
        }
        self.store.read(|directory| {
            let who = authenticate(directory, bearer, now_ms)?;
            let principal = principal(directory, &who);
            Ok((who, principal))
        })
    }
}

impl Authenticator for Identity {
    fn authenticate(&self, bearer: &str, now_ms: i64) -> Result<Principal, Problem> {
        self.recognise(bearer, now_ms).map(|(_, principal)| principal)
    }
}

/// The same as the gateway's other parts see it.
fn principal(directory: &Directory, who: &tapeline_identity::Principal) -> Principal {
    let scope = |scope: &IdentityScope| match scope {
        IdentityScope::Read => Some(Scope::Read),
        IdentityScope::Trade => Some(Scope::Trade),
        IdentityScope::Withdraw => Some(Scope::Withdraw),
        IdentityScope::Unknown => None,
    };
    let operate = who.roles.contains(&IdentityRole::Operator).then_some(Scope::Operate);
    // A key with the scope `withdraw` was made with a second factor, and can't show one later.
    let (key_id, may_have_factor) = match &who.via {
        Via::Session(_) => (None, true),
        Via::Key(key_id) => (Some(key_id.clone()), false),
    };
    let has_passkeys = || directory.user(&who.user_id).is_some_and(|user| !user.passkeys.is_empty());
    Principal {
        user_id: who.user_id.clone(),
        account: who.account.clone(),
        scopes: who.scopes.iter().filter_map(scope).chain(operate).collect(),
        key_id,
        expires_ms: who.expires_ms,
        second_factor_ms: who.second_factor_ms,
        has_second_factor: may_have_factor && has_passkeys(),
    }
}

/// A generator, seeded by the system.
fn rng() -> Result<StdRng, Problem> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        Problem::new(500, "internal", "A bug", format!("the system gives no random bytes: {error}"))
    })?;
    Ok(StdRng::from_seed(seed))
}
