//! What surrounds each request and answer: headers, time-out, limits by address, counting, audit.

use super::answer::ProblemCode;
use super::notes::{Notes, PeerAddress};
use crate::audit::Refusal;
use crate::auth::now_ms;
use crate::gateway::Gateway;
use crate::problem::Problem;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Routes that monitoring asks: they count towards no limit.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Headers of all answers: what a page of ours may load, and that nobody may frame or sniff it.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Counts requests and answers, puts the limits' headers on, and tells the auditor of refusals.
pub async fn note_and_count(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
    let notes = Notes::of(address);
    request.extensions_mut().insert(notes.clone());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let began_at = Instant::now();
    let mut response = next.run(request).await;
    let noted = notes.read();
    let status = response.status().as_u16();
    gateway.metrics.answered(&method, &route, status, began_at.elapsed());
    if let Some(standing) = noted.standing {
        let headers = response.headers_mut();
        for (name, value) in [(RATE_LIMIT_POLICY, standing.policy_header()), (RATE_LIMIT, standing.limit_header())] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        if !standing.passes() {
            gateway.metrics.limited(standing.policy);
        }
    }
    if Refusal::is_one(status) && !noted.is_audited {
        let code = response.extensions().get::<ProblemCode>().map_or("", |code| code.0).into();
        let (user_id, key_id) = noted.user.map_or((None, None), |(user, key)| (Some(user), key));
        let route = format!("{method} {route}");
        gateway.audit.note(Refusal { at_ms: now_ms(), code, route, address, user_id, key_id }.record());
    }
    response
}

/// Puts the headers on that all answers have.
pub async fn add_headers(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let is_interface = request.uri().path().starts_with("/v1/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    if is_interface {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    if gateway.settings.tls.is_some() {
        let always = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(always);
    }
    response
}

/// Ends requests that take too long.
pub async fn limit_time(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let longest = gateway.settings.request_timeout;
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!(
                "there was no answer within {} s; a command may have been taken: send it again with the same id, \
                 it takes effect once",
                longest.as_secs()
            );
            Problem::new(503, "timeout", "It took too long", detail).retry_after(1).into_response()
        }
    }
}

/// Each request counts towards its address.
pub async fn limit_address(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let is_probe = PROBES.contains(&request.uri().path());
    let notes = request.extensions().get::<Notes>().cloned();
    if let Some(notes) = notes.filter(|_| !is_probe)
        && let Some(address) = notes.address()
    {
        let standing = gateway.limits.request(address);
        notes.set_standing(standing);
        if !standing.passes() {
            return standing.problem().into_response();
        }
    }
    next.run(request).await
}

/// A bug of ours ends one request, not the process.
pub fn panicked(what: Box<dyn Any + Send>) -> Response {
    let text = what.downcast_ref::<String>().map(String::as_str).or_else(|| what.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("?"), "a request panicked");
    let detail = "the gateway failed at this request; its log says why";
    Problem::new(500, "internal", "A bug", detail).into_response()
}
