//! REST: the router, and what surrounds each request and answer.
//!
//! | module | what is in it |
//! |---|---|
//! | [`answer`] | problems as answers |
//! | [`input`] | bodies, queries, path segments |
//! | [`notes`] | what is learned of a request on its way |
//! | [`around`] | headers, time-out, limits by address, counting, audit |
//! | [`health`] | `/healthz`, `/readyz`, `/metrics` |
//! | [`openapi`] | the description of the interface |

pub mod answer;
pub mod around;
pub mod health;
pub mod input;
pub mod notes;
pub mod openapi;

use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::{identity, orders, pipeline, reads};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// How long a browser may remember what other origins may ask.
const PREFLIGHT_LASTS: Duration = Duration::from_secs(3_600);

/// All routes of the interface, and their description.
pub fn routes() -> (Router<Arc<Gateway>>, OpenApi) {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(identity::routes())
        .merge(orders::routes())
        .merge(reads::routes())
        .merge(pipeline::routes())
        .merge(openapi::routes())
        .split_for_parts()
}

/// The gateway as a service. Routes that others add (WebSocket, console) are merged in as `more`.
pub fn router(gateway: &Arc<Gateway>, more: Router<Arc<Gateway>>) -> Router {
    let (routes, _) = routes();
    let probes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    // The last layer is the outermost one.
    routes
        .merge(more)
        .merge(probes)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(gateway), around::limit_address))
        .layer(from_fn_with_state(Arc::clone(gateway), around::limit_time))
        .layer(CatchPanicLayer::custom(around::panicked))
        .layer(cors(gateway))
        .layer(from_fn_with_state(Arc::clone(gateway), around::add_headers))
        .layer(from_fn_with_state(Arc::clone(gateway), around::note_and_count))
        .with_state(Arc::clone(gateway))
}

async fn not_found(request: Request) -> Problem {
    let detail = format!("there is no `{}`: see /v1/openapi.json for what there is", request.uri().path());
    Problem::new(404, "not_found", "Not found", detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("`{}` can't be asked with {}: see /v1/openapi.json", request.uri().path(), request.method());
    Problem::new(405, "method_not_allowed", "Method not allowed", detail)
}

/// Pages of the listed origins may ask, and read the headers of limits; none other.
fn cors(gateway: &Gateway) -> CorsLayer {
    let exposed = ["ratelimit", "ratelimit-policy", "retry-after"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(gateway.settings.origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("x-tapeline-csrf")])
        .allow_credentials(true)
        .expose_headers(exposed)
        .max_age(PREFLIGHT_LASTS)
}
