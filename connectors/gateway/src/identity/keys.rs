//! API keys, for programs.

use super::who::{Asker, Failure, Member};
use super::{now_ms, rng};
use crate::gateway::Gateway;
use crate::http::input::{Json, Segment};
use crate::http::openapi::{AnyProblem, HasBody, HasFields, NeedsLogIn};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tapeline_identity::api_keys::{self, Created};
use tapeline_identity::audit::Audit;
use tapeline_identity::{Event, Principal};
use tapeline_schemas::wire::{IdentityKey, IdentityScope};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Read the account's orders, fills and balances.
    Read,
    /// Place, amend and cancel orders.
    Trade,
    /// Withdraw; to make such a key, a user with passkeys shows one first.
    Withdraw,
}

impl From<KeyScope> for IdentityScope {
    fn from(of: KeyScope) -> Self {
        match of {
            KeyScope::Read => Self::Read,
            KeyScope::Trade => Self::Trade,
            KeyScope::Withdraw => Self::Withdraw,
        }
    }
}

/// A request for a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "market maker", "scopes": ["read", "trade"], "expires_in_days": 90}))]
pub struct NewApiKey {
    /// The user's name for it, up to 64 characters.
    label: String,
    /// What it may do.
    scopes: Vec<KeyScope>,
    /// After how many days it ends, 1 to 365.
    expires_in_days: i64,
}

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKey {
    /// Identity of the key: the part of it between `tlk_` and the next `_`.
    pub key_id: String,
    /// The user's name for it.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it ends, milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

impl From<&IdentityKey> for ApiKey {
    fn from(of: &IdentityKey) -> Self {
        Self {
            key_id: of.key_id.to_string(),
            label: of.label.to_string(),
            scopes: of.scopes.iter().map(|scope| scope.symbol().to_lowercase()).collect(),
            created_ms: of.created_ms,
            expires_ms: of.expires_ms,
        }
    }
}

/// A new API key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyMade {
    /// The key itself, for the header `Authorization: Bearer`. It is shown this once.
    pub api_key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub key: ApiKey,
}

/// A user's API keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeys {
    /// Those that are neither revoked nor expired, oldest first.
    pub api_keys: Vec<ApiKey>,
}

/// Make an API key.
#[utoipa::path(
    post,
    path = "/v1/api-keys",
    tag = "identity",
    security(("bearer" = [])),
    request_body = NewApiKey,
    responses(
        (status = 201, description = "The key, shown this once.", body = ApiKeyMade),
        (
            status = 409,
            description = "`too_many_api_keys`: a user has at most 50.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        NeedsLogIn,
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn create(
    State(gateway): State<Arc<Gateway>>,
    asker: Asker,
    Member(who): Member,
    Json(request): Json<NewApiKey>,
) -> Result<(StatusCode, axum::Json<ApiKeyMade>), Problem> {
    let made = make(&gateway, &who, request).await;
    let key_id = made.as_ref().map_or("", |made| made.record.key_id.as_str());
    asker.tell(&gateway, Audit::KeyCreated { user_id: &who.user_id, key_id }, &made);
    let Created { record, api_key } = made?;
    Ok((StatusCode::CREATED, axum::Json(ApiKeyMade { api_key, key: (&record).into() })))
}

async fn make(gateway: &Gateway, who: &Principal, request: NewApiKey) -> Result<Created, Failure> {
    let (store, mut rng) = (&gateway.identity.store, rng()?);
    let scopes = request.scopes.into_iter().map(Into::into).collect();
    let request = api_keys::NewKey { label: request.label, scopes, expires_in_days: request.expires_in_days };
    let made = store.read(|directory| api_keys::create(directory, who, &request, now_ms(), &mut rng))?;
    store.commit(Event::Key(made.record.clone())).await?.verdict()?;
    Ok(made)
}

/// List your API keys.
#[utoipa::path(
    get,
    path = "/v1/api-keys",
    tag = "identity",
    security(("bearer" = [])),
    responses((status = 200, description = "Without their secrets.", body = ApiKeys), NeedsLogIn, AnyProblem)
)]
async fn list(State(gateway): State<Arc<Gateway>>, Member(who): Member) -> Result<axum::Json<ApiKeys>, Problem> {
    who.session()?;
    let api_keys = gateway
        .identity
        .store
        .read(|directory| directory.keys_of(&who.user_id, now_ms()).into_iter().map(ApiKey::from).collect());
    Ok(axum::Json(ApiKeys { api_keys }))
}

/// Revoke an API key. It ends at once, on all gateways.
#[utoipa::path(
    delete,
    path = "/v1/api-keys/{id}",
    tag = "identity",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The key's `key_id`.")),
    responses(
        (status = 204, description = "It is revoked."),
        (status = 404, description = "`unknown_api_key`.", body = Problem, content_type = "application/problem+json"),
        NeedsLogIn,
        HasFields,
        AnyProblem
    )
)]
async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    asker: Asker,
    Member(who): Member,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let revoked = take_back(&gateway, &who, &id).await;
    asker.tell(&gateway, Audit::KeyRevoked { user_id: &who.user_id, key_id: &id }, &revoked);
    Ok(revoked.map(|()| StatusCode::NO_CONTENT)?)
}

async fn take_back(gateway: &Gateway, who: &Principal, id: &str) -> Result<(), Failure> {
    let store = &gateway.identity.store;
    let revoked = store.read(|directory| api_keys::revoke(directory, who, id, now_ms()))?;
    // Another request that has revoked it meanwhile did the same.
    store.commit(Event::Key(revoked)).await?;
    Ok(())
}
