//! The description of the interface (OpenAPI 3.1), made from the handlers themselves, and the answers that they share.

use crate::gateway::Gateway;
use crate::problem::Problem;
use axum::Json;
use std::sync::{Arc, OnceLock};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tapeline gateway",
        description = "Orders, balances and market data over HTTP. Prices, quantities and amounts are decimal texts with \
                       up to 8 places; times are milliseconds since the Unix epoch; refusals are RFC 9457 problems.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    tags(
        (name = "identity", description = "Users, sessions, passkeys, API keys."),
        (name = "orders", description = "Commands: answered once Kafka has them. What became of them is read or streamed."),
        (name = "account", description = "What the account has."),
        (name = "market", description = "No log-in needed."),
        (name = "gateway", description = "About the gateway.")
    )
)]
struct Frame;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// The document without its paths.
pub fn frame() -> Document {
    Frame::openapi()
}

/// The route of the document itself.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(document))
}

/// The description of this interface (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "gateway",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = serde_json::Value), AnyProblem)
)]
async fn document() -> Json<&'static Document> {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    Json(DOCUMENT.get_or_init(|| super::routes().1))
}

/// Refusals that any route may answer.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it stands in the document only")]
pub enum AnyProblem {
    /// Too many requests: `too_many_requests`, `too_many_tries`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// A bug: `internal`.
    #[response(status = 500, content_type = "application/problem+json")]
    Bug(Problem),
    /// What is needed is away, or slow: `view_away`, `view_slow`, `kafka_away`, `outcome_unknown`, `behind`, `too_busy`,
    /// `starting`, `timeout`. Try again after `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Away(Problem),
}

/// Refusals of routes that need a log-in.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it stands in the document only")]
pub enum NeedsLogIn {
    /// No valid token or key: `no_token`, `invalid_token`, `expired`.
    #[response(status = 401, content_type = "application/problem+json")]
    NotAuthenticated(Problem),
    /// The token or key lacks the scope, or the request needs a log-in or a fresh passkey: `scope_missing`, `session_needed`,
    /// `second_factor_needed`, `second_factor_failed`.
    #[response(status = 403, content_type = "application/problem+json")]
    NotAllowed(Problem),
}

/// Refusals of routes that have a body.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it stands in the document only")]
pub enum HasBody {
    /// No JSON, or too deep: `malformed_json`, `too_deep`, `body_cut_off`.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// Over 16 KiB: `body_too_large`.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// Not `application/json`: `unsupported_media_type`.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
}

/// Refusals of routes with fields or parameters.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it stands in the document only")]
pub enum HasFields {
    /// A field or parameter is wrong: `invalid_field`, `missing_field`, `unknown_field`, `duplicate_field`, `invalid_body`.
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
}

/// Refusals of routes that read a view.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it stands in the document only")]
pub enum ReadsAt {
    /// The view did not reach `position` within 5 s: `view_behind`.
    #[response(status = 504, content_type = "application/problem+json")]
    Behind(Problem),
}
