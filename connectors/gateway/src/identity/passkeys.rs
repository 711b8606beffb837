//! Passkeys: registering, removing, and showing one again for what needs a fresh second factor.

use super::sessions::{LoggedIn, Question, session_over};
use super::users::Passkey;
use super::who::{Asker, Failure, Member};
use super::{now_ms, rng};
use crate::gateway::Gateway;
use crate::http::input::{Json, Segment};
use crate::http::openapi::{AnyProblem, HasBody, HasFields, NeedsLogIn};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use tapeline_identity::audit::Audit;
use tapeline_identity::passkeys::{Answer, RelyingParty};
use tapeline_identity::{Event, Principal, access};
use tapeline_schemas::wire::IdentityUser;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(ask_for_new))
        .routes(routes!(add))
        .routes(routes!(remove))
        .routes(routes!(ask_for_fresh))
        .routes(routes!(show_fresh))
}

/// A browser's answer to a question for a new passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// The question's `challenge`.
    challenge: String,
    /// `RegistrationResponseJSON` of WebAuthn level 3.
    credential: serde_json::Value,
    /// The user's name for it, up to 64 characters.
    label: String,
}

/// A browser's answer to a question for one of the user's passkeys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreshPasskey {
    /// The question's `challenge`.
    challenge: String,
    /// `AuthenticationResponseJSON` of WebAuthn level 3.
    credential: serde_json::Value,
}

/// Ask for the options of a new passkey.
///
/// A user who has one must have shown it in the last five minutes.
#[utoipa::path(
    post,
    path = "/v1/passkeys/options",
    tag = "identity",
    security(("bearer" = [])),
    responses((status = 200, description = "For `navigator.credentials.create`.", body = Question), NeedsLogIn, AnyProblem)
)]
async fn ask_for_new(
    State(gateway): State<Arc<Gateway>>,
    Member(who): Member,
) -> Result<axum::Json<Question>, Problem> {
    let (identity, mut rng) = (&gateway.identity, rng()?);
    let signer = identity.store.signer()?;
    let options = identity
        .store
        .read(|directory| identity.relying_party.begin_registration(directory, &who, &signer, now_ms(), &mut rng))?;
    Ok(axum::Json(options.into()))
}

/// Register a passkey. From now on log-ins and withdrawals need one.
#[utoipa::path(
    post,
    path = "/v1/passkeys",
    tag = "identity",
    security(("bearer" = [])),
    request_body = NewPasskey,
    responses(
        (status = 201, description = "It is registered.", body = Passkey),
        (
            status = 409,
            description = "`passkey_known`, `too_many_passkeys`, or `changed_meanwhile`.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        NeedsLogIn,
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn add(
    State(gateway): State<Arc<Gateway>>,
    asker: Asker,
    Member(who): Member,
    Json(new): Json<NewPasskey>,
) -> Result<(StatusCode, axum::Json<Passkey>), Problem> {
    let added = register(&gateway, &who, &new).await;
    asker.tell(&gateway, Audit::PasskeyAdded { user_id: &who.user_id, label: &new.label }, &added);
    // The new one is the last.
    let added = added?.passkeys.last().map(Passkey::from);
    let added =
        added.ok_or_else(|| Problem::new(500, "internal", "A bug", "the passkey is not in the user's record"))?;
    Ok((StatusCode::CREATED, axum::Json(added)))
}

async fn register(gateway: &Gateway, who: &Principal, new: &NewPasskey) -> Result<IdentityUser, Failure> {
    let identity = &gateway.identity;
    let answer = Answer { challenge: &new.challenge, credential: &new.credential };
    let user = identity
        .store
        .read(|directory| identity.relying_party.finish_registration(directory, who, &answer, &new.label, now_ms()))?;
    identity.store.commit(Event::User(user.clone())).await?.verdict()?;
    Ok(user)
}

/// Remove a passkey. It, or another one, must have been shown in the last five minutes.
#[utoipa::path(
    delete,
    path = "/v1/passkeys/{id}",
    tag = "identity",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The passkey's `id`.")),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "`unknown_passkey`.", body = Problem, content_type = "application/problem+json"),
        NeedsLogIn,
        HasFields,
        AnyProblem
    )
)]
async fn remove(
    State(gateway): State<Arc<Gateway>>,
    asker: Asker,
    Member(who): Member,
    Segment(id): Segment,
) -> Result<StatusCode, Problem> {
    let removed = take_away(&gateway, &who, &id).await;
    asker.tell(&gateway, Audit::PasskeyRemoved { user_id: &who.user_id, credential_id: &id }, &removed);
    Ok(removed.map(|()| StatusCode::NO_CONTENT)?)
}

async fn take_away(gateway: &Gateway, who: &Principal, id: &str) -> Result<(), Failure> {
    let store = &gateway.identity.store;
    let user = store.read(|directory| RelyingParty::remove(directory, who, id, now_ms()))?;
    Ok(store.commit(Event::User(user)).await?.verdict()?)
}

/// Ask for a passkey again, for what needs a fresh second factor.
#[utoipa::path(
    post,
    path = "/v1/second-factor/options",
    tag = "identity",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "For `navigator.credentials.get`.", body = Question),
        (
            status = 404,
            description = "`unknown_passkey`: the user has none.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        NeedsLogIn,
        AnyProblem
    )
)]
async fn ask_for_fresh(
    State(gateway): State<Arc<Gateway>>,
    Member(who): Member,
) -> Result<axum::Json<Question>, Problem> {
    let (identity, mut rng) = (&gateway.identity, rng()?);
    let signer = identity.store.signer()?;
    let options = identity
        .store
        .read(|directory| identity.relying_party.begin_fresh(directory, &who, &signer, now_ms(), &mut rng))?;
    Ok(axum::Json(options.into()))
}

/// Show a passkey again. The new access token may withdraw for five minutes from when the question was asked.
#[utoipa::path(
    post,
    path = "/v1/second-factor",
    tag = "identity",
    security(("bearer" = [])),
    request_body = FreshPasskey,
    responses(
        (status = 200, description = "An access token that says so.", body = LoggedIn),
        (
            status = 409,
            description = "`changed_meanwhile`: try again.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        NeedsLogIn,
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn show_fresh(
    State(gateway): State<Arc<Gateway>>,
    asker: Asker,
    Member(who): Member,
    Json(shown): Json<FreshPasskey>,
) -> Result<axum::Json<LoggedIn>, Problem> {
    let issued = issue_fresh(&gateway, &who, &shown).await;
    asker.tell(&gateway, Audit::SecondFactor { user_id: Some(&who.user_id) }, &issued);
    Ok(axum::Json(issued?))
}

async fn issue_fresh(gateway: &Gateway, who: &Principal, shown: &FreshPasskey) -> Result<LoggedIn, Failure> {
    let identity = &gateway.identity;
    let signer = identity.store.signer()?;
    let answer = Answer { challenge: &shown.challenge, credential: &shown.credential };
    let shown =
        identity.store.read(|directory| identity.relying_party.finish_fresh(directory, who, &answer, now_ms()))?;
    if let Some(user) = shown.user {
        identity.store.commit(Event::User(user)).await?.verdict()?;
    }
    identity.store.read(|directory| {
        let user = directory.active_user(&shown.user_id).ok_or_else(session_over)?;
        let session = directory.session(&shown.family_id).ok_or_else(session_over)?;
        let token = access::issue(&signer, user, session, Some(shown.second_factor_ms), now_ms())?;
        Ok(LoggedIn::of(token, user))
    })
}
