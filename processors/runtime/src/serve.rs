//! The HTTP side of a component: `/metrics` (Prometheus), `/healthz` (the process works), `/readyz` (all its lanes have
//! joined and restored). Also log set-up.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::net::SocketAddr;

/// rdkafka's word that a consumer can't say goodbye twice (`QuicklyClosed` in the `kafka` crate); its module logs no other.
const NO_ERRORS: &str = "rdkafka::consumer::base_consumer=off";

/// Starts serving on a thread of its own. Port 0 takes any free one; the address that was taken is returned.
///
/// # Errors
/// If the address can't be bound.
pub fn serve(address: SocketAddr, metrics: Metrics) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(address)
        .map_err(|error| anyhow::anyhow!("TAPELINE_HTTP={address}: {error}: set it to a free address"))?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let router = Router::new()
        .route("/metrics", get(text))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(metrics);
    std::thread::Builder::new().name("http".into()).spawn(move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        if let Err(error) = served {
            tracing::error!(%error, "the HTTP side ended");
        }
    })?;
    Ok(bound)
}

async fn text(State(metrics): State<Metrics>) -> (StatusCode, String) {
    match metrics.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn ready(State(metrics): State<Metrics>) -> (StatusCode, String) {
    let waiting = metrics.not_ready();
    if waiting.is_empty() {
        (StatusCode::OK, "ready\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", waiting.join(", ")))
    }
}

/// Sets logs up: to standard error, filtered by `TAPELINE_LOG` (default `info`).
pub fn init_logs() {
    let wanted = std::env::var("TAPELINE_LOG").unwrap_or_else(|_| "info".into());
    let filter = tracing_subscriber::EnvFilter::try_new(format!("{wanted},{NO_ERRORS}")).unwrap_or_else(|error| {
        eprintln!("TAPELINE_LOG={wanted}: {error}; using `info`");
        tracing_subscriber::EnvFilter::new(format!("info,{NO_ERRORS}"))
    });
    // A second call (several components in one process) keeps the first set-up.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
