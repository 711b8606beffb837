//! Sign-up, and what a user is told about itself.

use super::log::Entry;
use super::who::{Asker, Failure};
use super::{Identity, now_ms, rng};
use crate::auth::{Allowed, Anyone, ToRead};
use crate::gateway::Gateway;
use crate::http::input::Json;
use crate::http::openapi::{AnyProblem, HasBody, HasFields, NeedsLogIn};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tapeline_identity::audit::Audit;
use tapeline_identity::sign_up::{self, SignUp};
use tapeline_identity::{Applied, Code, Event, users};
use tapeline_schemas::wire::{Account, AccountStatus, IdentityPasskey, IdentityRole, IdentityUser};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Open orders of a new account, at most.
const MAX_OPEN_ORDERS: i64 = 200;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(add_user)).routes(routes!(me))
}

/// A request for a new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"login": "ada", "password": "correct horse battery", "display_name": "Ada"}))]
pub struct NewUser {
    /// The name to log in with: 3 to 64 characters of ASCII letters, digits and `._-@+`. Case does not matter.
    login: String,
    /// At least 10 characters, and not containing the login.
    password: String,
    /// How the user wants to be called, up to 64 characters; the login if absent.
    display_name: Option<String>,
}

/// A new user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"user_id": "AAECAwQFBgcICQoLDA0ODw", "account": "u-8fk2m0pqrs7d", "login": "ada"}))]
pub struct UserAdded {
    /// Identity of the user.
    pub user_id: String,
    /// The trading account: all that the exchange knows of the user.
    pub account: String,
    /// The login.
    pub login: String,
}

/// A user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct User {
    /// Identity of the user.
    pub user_id: String,
    /// The trading account.
    pub account: String,
    /// The login.
    pub login: String,
    /// How the user wants to be called.
    pub display_name: String,
    /// What the user may do beyond trading: `operator`.
    pub roles: Vec<String>,
}

impl From<&IdentityUser> for User {
    fn from(of: &IdentityUser) -> Self {
        let roles = of.roles.iter().filter(|role| **role != IdentityRole::Unknown);
        Self {
            user_id: of.user_id.to_string(),
            account: of.account.to_string(),
            login: of.login.to_string(),
            display_name: of.display_name.to_string(),
            roles: roles.map(|role| role.symbol().to_lowercase()).collect(),
        }
    }
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
pub struct Passkey {
    /// The authenticator's id of it, URL-safe base64.
    pub id: String,
    /// The user's name for it.
    pub label: String,
    /// When it was registered, milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl From<&IdentityPasskey> for Passkey {
    fn from(of: &IdentityPasskey) -> Self {
        Self { id: of.credential_id.to_string(), label: of.label.to_string(), created_ms: of.created_ms }
    }
}

/// Whoever asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The user's passkeys.
    pub passkeys: Vec<Passkey>,
    /// Seconds since a passkey was shown, if one was in this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_factor_age_s: Option<i64>,
}

/// Sign up. It opens the user's trading account.
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "identity",
    request_body = NewUser,
    responses(
        (status = 201, description = "The user may log in.", body = UserAdded),
        (
            status = 409,
            description = "`login_taken`: the login belongs to another user.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn add_user(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
    asker: Asker,
    Json(request): Json<NewUser>,
) -> Result<(StatusCode, axum::Json<UserAdded>), Problem> {
    let login = request.login.clone();
    let added = sign_up(&gateway, &asker, request).await;
    let user_id = added.as_ref().ok().map(|user| user.user_id.as_str());
    asker.tell(&gateway, Audit::SignUp { login: &login, user_id }, &added);
    let user = gateway.identity.with_due_roles(&gateway, &asker, added?).await?;
    let added = UserAdded {
        user_id: user.user_id.to_string(),
        account: user.account.to_string(),
        login: user.login.to_string(),
    };
    Ok((StatusCode::CREATED, axum::Json(added)))
}

async fn sign_up(gateway: &Gateway, asker: &Asker, request: NewUser) -> Result<IdentityUser, Failure> {
    let (store, mut rng) = (&gateway.identity.store, rng()?);
    store.signer()?;
    let NewUser { login, password, display_name } = request;
    let request = SignUp { login, password, display_name };
    let checked = store.read(|directory| sign_up::check(directory, request, &mut rng));
    // Whoever can't decide on a password is not to wait for an hour; whoever tries out which logins there are is.
    if checked.as_ref().err().is_none_or(|refusal| refusal.code == Code::LoginTaken) {
        let standing = gateway.limits.sign_up(asker.address());
        asker.notes.set_standing(standing);
        if !standing.passes() {
            return Err(standing.problem().into());
        }
    }
    let checked = checked?;
    let user = gateway.identity.passwords.run(move || checked.into_user(now_ms(), &mut rng)).await??;
    // First the account: so there is none who can log in and not trade. Of an account whose user lost a race for the login
    // nobody ever hears.
    let account =
        Account { account: user.account.clone(), status: AccountStatus::Active, max_open_orders: MAX_OPEN_ORDERS };
    store.log().append(Entry::Account(account)).await?;
    store.commit(Event::User(user.clone())).await?.verdict()?;
    Ok(user)
}

impl Identity {
    /// The user with the roles that this gateway's settings give it; published if they differ.
    pub(super) async fn with_due_roles(
        &self,
        gateway: &Gateway,
        asker: &Asker,
        user: IdentityUser,
    ) -> Result<IdentityUser, Failure> {
        let is_operator = self.operators.contains(user.login_key.as_str());
        let mut roles = user.roles.clone();
        roles.retain(|role| *role != IdentityRole::Operator);
        roles.extend(is_operator.then_some(IdentityRole::Operator));
        if roles == user.roles {
            return Ok(user);
        }
        let changed = users::with_roles(&user, &roles, now_ms());
        let applied = self.store.commit(Event::User(changed)).await?;
        // The same log-in at another gateway may have been quicker to write the same.
        let now = self.store.read(|directory| directory.active_user(&user.user_id).cloned());
        let same = now.filter(|now| applied == Applied::Taken || now.roles == roles);
        let done = same.map_or_else(|| applied.verdict().map(|()| user.clone()).map_err(Failure::from), Ok);
        let what = if is_operator { "role operator given by the gateway's settings" } else { "role operator taken" };
        asker.tell(gateway, Audit::UserChanged { user_id: &user.user_id, what }, &done);
        done
    }
}

/// Who you are.
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "identity",
    security(("bearer" = [])),
    responses((status = 200, description = "The user, passkeys included.", body = Me), NeedsLogIn, AnyProblem)
)]
async fn me(State(gateway): State<Arc<Gateway>>, Allowed(who, _): Allowed<ToRead>) -> Result<axum::Json<Me>, Problem> {
    let age_s = |at_ms: i64| now_ms().saturating_sub(at_ms).max(0) / 1_000;
    let found = gateway.identity.store.read(|directory| {
        directory.active_user(&who.user_id).map(|user| Me {
            user: user.into(),
            passkeys: user.passkeys.iter().map(Into::into).collect(),
            second_factor_age_s: who.second_factor_ms.map(age_s),
        })
    });
    // The token counts, so there is such a user: it signed up at another gateway a moment ago.
    let detail = "this gateway has not read of your sign-up yet: try again";
    found.map(axum::Json).ok_or_else(|| Problem::new(503, "behind", "The gateway is behind", detail).retry_after(1))
}
