//! What operations ask: whether the process works, whether it is ready, its metrics.

use crate::gateway::Gateway;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

/// 200 while the process runs.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 if all parts of the gateway work, else 503 with their names.
pub async fn readyz(State(gateway): State<Arc<Gateway>>) -> (StatusCode, String) {
    let mut waiting = gateway.metrics.process.not_ready();
    waiting.extend(gateway.hub.metrics.not_ready());
    if waiting.is_empty() {
        (StatusCode::OK, "ready\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", waiting.join(", ")))
    }
}

/// Prometheus text.
pub async fn metrics(State(gateway): State<Arc<Gateway>>) -> (StatusCode, String) {
    match gateway.metrics.process.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
