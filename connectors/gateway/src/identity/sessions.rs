//! Log-in, refresh, log-out, and the public keys.
//!
//! Browsers keep the refresh token in a cookie that no script can read, and send a header of their own with a refresh, which
//! pages of other origins can't. Programs ask for the token in the body.

use super::users::User;
use super::who::{Asker, Failure, Member};
use super::{Identity, now_ms, rng};
use crate::auth::Anyone;
use crate::gateway::Gateway;
use crate::http::input::Json;
use crate::http::openapi::{AnyProblem, HasBody, HasFields, NeedsLogIn};
use crate::problem::Problem;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tapeline_identity::audit::Audit;
use tapeline_identity::log_in::{self, Candidate, LogIn};
use tapeline_identity::passkeys::{Answer, Options};
use tapeline_identity::sessions::{self, Opened, Refresh};
use tapeline_identity::{Code, Event, Refusal, access};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{IdentitySession, IdentityUser, SessionEnd};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const COOKIE_NAME: &str = "tapeline_refresh";
/// The header without which the cookie does not count. A page of another origin can't send it unless it is listed.
const CSRF_HEADER: &str = "x-tapeline-csrf";

pub(super) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(log_in_with_passkey))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(jwks))
}

/// Where a refresh token goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// Into a cookie that no script can read: for browsers.
    #[default]
    Cookie,
    /// Into the answer: for programs.
    Body,
}

/// A log-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"login": "ada", "password": "correct horse battery"}))]
pub struct Credentials {
    /// The login.
    login: String,
    /// The password.
    password: String,
    /// Where the refresh token goes.
    #[serde(default)]
    deliver: Deliver,
}

/// A browser's answer to a question for a passkey at a log-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyShown {
    /// The question's `challenge`.
    challenge: String,
    /// `AuthenticationResponseJSON` of WebAuthn level 3.
    credential: serde_json::Value,
    /// Where the refresh token goes.
    #[serde(default)]
    deliver: Deliver,
}

/// A refresh token; browsers send their cookie instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// The refresh token.
    refresh_token: Option<String>,
}

/// An open session.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedIn {
    /// For the header `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds for which the access token counts.
    pub expires_in_s: i64,
    /// For the next refresh, if it was asked for in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The user.
    pub user: User,
}

/// A question for a browser's passkeys.
#[derive(Debug, Serialize, ToSchema)]
pub struct Question {
    /// Opaque: send it back with the answer.
    pub challenge: String,
    /// For `navigator.credentials`, binary fields in URL-safe base64.
    pub public_key: serde_json::Value,
}

impl From<Options> for Question {
    fn from(of: Options) -> Self {
        Self { challenge: of.challenge, public_key: of.public_key }
    }
}

/// The password was right, and the user has passkeys: show one.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecondFactorAsked {
    /// The question.
    pub second_factor: Question,
}

/// What a right password leads to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum LogInAnswer {
    /// A session.
    Session(LoggedIn),
    /// The question for a passkey.
    SecondFactor(SecondFactorAsked),
}

/// Log in.
///
/// Users with passkeys get a question for one, and no session yet. A wrong login and a wrong password are told alike.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    tag = "identity",
    request_body = Credentials,
    responses(
        (status = 200, description = "A session, or the question for a passkey.", body = LogInAnswer),
        (
            status = 401,
            description = "`wrong_credentials`.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (status = 403, description = "`user_disabled`.", body = Problem, content_type = "application/problem+json"),
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn log_in(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
    asker: Asker,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    let Credentials { login, password, deliver } = credentials;
    let proceeded = with_password(&gateway, &asker, &login, password).await;
    let opened = match proceeded {
        Ok(LogIn::SecondFactor(options)) => {
            // The log-in is done, and told, when the passkey is shown.
            let asked = SecondFactorAsked { second_factor: options.into() };
            return Ok(axum::Json(LogInAnswer::SecondFactor(asked)).into_response());
        }
        Ok(LogIn::Session(opened)) => enter(&gateway, &asker, opened).await,
        Err(failure) => Err(failure),
    };
    let user_id = opened.as_ref().ok().map(|entered| entered.user.user_id.as_str());
    asker.tell(&gateway, Audit::LogIn { login: &login, user_id }, &opened);
    let Entered { opened, user } = opened?;
    gateway.identity.answer(&opened, &user, deliver)
}

async fn with_password(gateway: &Gateway, asker: &Asker, login: &str, password: String) -> Result<LogIn, Failure> {
    let identity = &gateway.identity;
    let signer = identity.store.signer()?;
    identity.guard().try_log_in(login, asker.address(), now_ms())?;
    let candidate = identity.store.read(|directory| Candidate::of(directory, login));
    let proven = identity.passwords.run(move || candidate.verify(&password)).await??;
    // Whatever comes now: it was no guess.
    identity.guard().succeeded(login);
    let mut rng = rng()?;
    let relying_party = &identity.relying_party;
    let proceed = |directory: &_| log_in::proceed(directory, &proven, relying_party, &signer, now_ms(), &mut rng);
    Ok(identity.store.read(proceed)?)
}

/// A session that the log has.
struct Entered {
    opened: Opened,
    user: IdentityUser,
}

/// Publishes a log-in's session; its user gets the roles that are due.
async fn enter(gateway: &Gateway, asker: &Asker, opened: Opened) -> Result<Entered, Failure> {
    let identity = &gateway.identity;
    let user = identity.active_user(&opened.record.user_id)?;
    let user = identity.with_due_roles(gateway, asker, user).await?;
    identity.store.commit(Event::Session(opened.record.clone())).await?.verdict()?;
    Ok(Entered { opened, user })
}

/// Show a passkey to complete a log-in.
#[utoipa::path(
    post,
    path = "/v1/sessions/second-factor",
    tag = "identity",
    request_body = PasskeyShown,
    responses(
        (status = 200, description = "A session.", body = LoggedIn),
        (
            status = 401,
            description = "`expired`: the user was disabled meanwhile.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (
            status = 403,
            description = "`second_factor_failed`: the passkey was not accepted.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (
            status = 409,
            description = "`changed_meanwhile`: try again.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn log_in_with_passkey(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
    asker: Asker,
    Json(shown): Json<PasskeyShown>,
) -> Result<Response, Problem> {
    let entered = enter_with_passkey(&gateway, &asker, &shown).await;
    let user_id = entered.as_ref().ok().map(|entered| entered.user.user_id.as_str());
    asker.tell(&gateway, Audit::SecondFactor { user_id }, &entered);
    if let Ok(Entered { user, .. }) = &entered {
        asker.tell(&gateway, Audit::LogIn { login: &user.login, user_id }, &entered);
    }
    let Entered { opened, user } = entered?;
    gateway.identity.answer(&opened, &user, shown.deliver)
}

async fn enter_with_passkey(gateway: &Gateway, asker: &Asker, shown: &PasskeyShown) -> Result<Entered, Failure> {
    let identity = &gateway.identity;
    let answer = Answer { challenge: &shown.challenge, credential: &shown.credential };
    identity.store.signer()?;
    let shown = identity.store.read(|directory| identity.relying_party.finish_log_in(directory, &answer, now_ms()))?;
    if let Some(user) = shown.user {
        identity.store.commit(Event::User(user)).await?.verdict()?;
    }
    let second_factor_ms = Some(shown.second_factor_ms);
    let opened = sessions::open(&shown.user_id, &shown.family_id, second_factor_ms, now_ms(), &mut rng()?)?;
    enter(gateway, asker, opened).await
}

impl Identity {
    fn active_user(&self, user_id: &str) -> Result<IdentityUser, Failure> {
        let user = self.store.read(|directory| directory.active_user(user_id).cloned());
        user.ok_or_else(|| Failure::Refused(session_over()))
    }

    /// An access token, and the refresh token where it is wanted.
    fn answer(&self, opened: &Opened, user: &IdentityUser, deliver: Deliver) -> Result<Response, Problem> {
        let access_token = access::issue(&*self.store.signer()?, user, &opened.record, None, now_ms())?;
        let mut answer = LoggedIn::of(access_token, user);
        if deliver == Deliver::Body {
            answer.refresh_token = Some(opened.refresh_token.clone());
            return Ok(axum::Json(answer).into_response());
        }
        let lasts_s = opened.record.expires_ms.saturating_sub(opened.record.rotated_ms).max(0) / 1_000;
        let cookie = self.cookie(&opened.refresh_token, lasts_s)?;
        Ok(([(SET_COOKIE, cookie)], axum::Json(answer)).into_response())
    }

    /// The cookie of a browser's session; an empty one that lasts for 0 s takes it away.
    fn cookie(&self, token: &str, lasts_s: i64) -> Result<HeaderValue, Problem> {
        let secure = if self.has_secure_cookies { "; Secure" } else { "" };
        let text =
            format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/v1/sessions; Max-Age={lasts_s}{secure}");
        HeaderValue::try_from(text)
            .map_err(|error| Problem::new(500, "internal", "A bug", format!("no cookie can be made: {error}")))
    }
}

impl LoggedIn {
    pub(super) fn of(access_token: String, user: &IdentityUser) -> Self {
        let expires_in_s = access::LIFE_S;
        Self { access_token, token_type: "Bearer", expires_in_s, refresh_token: None, user: user.into() }
    }
}

pub(super) fn session_over() -> Refusal {
    let text = "the session has ended; log in again".into();
    Refusal { code: Code::Expired, text, field: None, retry_after_s: None }
}

/// Exchange a refresh token for an access token and the next refresh token.
///
/// Browsers send their cookie and the header `X-Tapeline-Csrf: 1`; programs send the token in the body, and get the next one
/// there. A token that was exchanged before ends the session, for its owner or a thief holds a newer one.
#[utoipa::path(
    post,
    path = "/v1/sessions/refresh",
    tag = "identity",
    params((
        "X-Tapeline-Csrf" = Option<String>, Header, description = "`1`; needed with the cookie."
    )),
    request_body(content = Option<RefreshToken>, content_type = "application/json"),
    responses(
        (status = 200, description = "The session goes on.", body = LoggedIn),
        (status = 204, description = "A page asked (it sent the header), and its browser has no session."),
        (
            status = 401,
            description = "`token_reused`, `expired`, `invalid_token`, or `no_token`: log in again.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (
            status = 403,
            description = "`csrf_header_missing`: the cookie came without the header.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn refresh(State(gateway): State<Arc<Gateway>>, _: Anyone, asker: Asker, request: Request) -> Response {
    if is_page_without_session(request.headers()) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (token, deliver) = match shown_token(request).await {
        Ok(shown) => shown,
        Err(problem) => return problem.into_response(),
    };
    let rotated = rotate(&gateway.identity, &token).await;
    if rotated.is_err() {
        // Refreshes that went well are no news: there is one for each session every five minutes.
        asker.tell(&gateway, Audit::Refresh { user_id: None }, &rotated);
    }
    let answered =
        rotated.map_err(Problem::from).and_then(|(opened, user)| gateway.identity.answer(&opened, &user, deliver));
    answered.unwrap_or_else(|problem| {
        let is_over = problem.status == 401;
        let mut response = problem.into_response();
        if let Ok(cookie) = gateway.identity.cookie("", 0)
            && is_over
            && deliver == Deliver::Cookie
        {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    })
}

/// A page asks at its start whether its browser has a session. That it has none is an answer, and no error in its console.
fn is_page_without_session(headers: &HeaderMap) -> bool {
    headers.contains_key(CSRF_HEADER) && !headers.contains_key(CONTENT_TYPE) && cookie_of(headers).is_none()
}

/// The token of the body, or else of the cookie.
async fn shown_token(request: Request) -> Result<(String, Deliver), Problem> {
    let headers = request.headers().clone();
    if headers.contains_key(CONTENT_TYPE) {
        let Json(RefreshToken { refresh_token }) = Json::from_request(request, &()).await?;
        if let Some(token) = refresh_token {
            return Ok((token, Deliver::Body));
        }
    }
    let Some(token) = cookie_of(&headers) else {
        let detail = "send the cookie of your log-in, or the body {\"refresh_token\": …}";
        return Err(Problem::new(401, "no_token", "Not logged in", detail));
    };
    if headers.get(CSRF_HEADER).is_none_or(|value| value != "1") {
        let detail = "with the cookie, send the header `X-Tapeline-Csrf: 1`";
        return Err(Problem::new(403, "csrf_header_missing", "A header is missing", detail));
    }
    Ok((token, Deliver::Cookie))
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| token.to_owned()).filter(|token| !token.is_empty())
}

async fn rotate(identity: &Identity, token: &str) -> Result<(Opened, IdentityUser), Failure> {
    identity.store.signer()?;
    let mut rng = rng()?;
    let mut ask = || identity.store.read(|directory| sessions::refresh(directory, token, now_ms(), &mut rng));
    let mut refreshed = ask();
    if refreshed.as_ref().is_err_and(|refusal| refusal.code == Code::Behind) {
        identity.store.read_to_end(topic::IDENTITY_SESSIONS).await?;
        // What is unknown after all that there is was made up.
        refreshed = ask().map_err(|refusal| match refusal.code {
            Code::Behind => {
                let text = "the refresh token is not valid; log in again".into();
                Refusal { code: Code::InvalidToken, text, retry_after_s: None, ..refusal }
            }
            _ => refusal,
        });
    }
    let opened = match refreshed? {
        Refresh::Rotated(opened) => opened,
        Refresh::Reused(ended, refusal) => {
            // It ends whatever the fold says of this record: another gateway may have been quicker.
            identity.store.commit(Event::Session(ended)).await?;
            return Err(refusal.into());
        }
    };
    identity.store.commit(Event::Session(opened.record.clone())).await?.verdict()?;
    let user = identity.active_user(&opened.record.user_id)?;
    Ok((opened, user))
}

/// Log out: the session of the access token ends, its refresh tokens too.
#[utoipa::path(
    delete,
    path = "/v1/sessions/current",
    tag = "identity",
    security(("bearer" = [])),
    responses((status = 204, description = "The session has ended."), NeedsLogIn, AnyProblem)
)]
async fn log_out(
    State(gateway): State<Arc<Gateway>>,
    asker: Asker,
    Member(who): Member,
) -> Result<(StatusCode, [(axum::http::HeaderName, HeaderValue); 1]), Problem> {
    let ended = end(&gateway.identity, &who).await;
    asker.tell(&gateway, Audit::LogOut { user_id: &who.user_id }, &ended);
    ended?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gateway.identity.cookie("", 0)?)]))
}

async fn end(identity: &Identity, who: &tapeline_identity::Principal) -> Result<(), Failure> {
    let family_id = who.session()?;
    let find = || identity.store.read(|directory| directory.session(family_id).cloned());
    let mut session: Option<IdentitySession> = find();
    if session.is_none() {
        // It was opened at another gateway a moment ago.
        identity.store.read_to_end(topic::IDENTITY_SESSIONS).await?;
        session = find();
    }
    let session = session.ok_or_else(session_over)?;
    // A session that another request has ended meanwhile has ended.
    identity.store.commit(Event::Session(sessions::ended(&session, SessionEnd::LoggedOut))).await?;
    Ok(())
}

/// The public keys with which access tokens are checked (JWK set, RFC 7517).
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "identity",
    responses((status = 200, description = "A JWK set.", body = serde_json::Value), AnyProblem)
)]
async fn jwks(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
) -> ([(axum::http::HeaderName, &'static str); 1], axum::Json<serde_json::Value>) {
    let keys = gateway.identity.store.read(|directory| directory.verifier().jwks(now_ms()));
    ([(CACHE_CONTROL, "public, max-age=60")], axum::Json(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        for (sent, found) in [
            (vec!["tapeline_refresh=abc"], Some("abc")),
            (vec!["a=b; tapeline_refresh=abc; c=d"], Some("abc")),
            (vec!["a=b", "tapeline_refresh=abc"], Some("abc")),
            (vec!["xtapeline_refresh=abc"], None),
            (vec!["tapeline_refresh="], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            assert_eq!(cookie_of(&headers).as_deref(), found);
        }
    }
}
