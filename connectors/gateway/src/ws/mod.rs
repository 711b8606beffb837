//! The WebSocket: `GET /v1/ws`, subprotocol `tapeline.v1`.
//!
//! | module | what is in it |
//! |---|---|
//! | [`backend`] | what sessions need of the rest of the gateway: log-ins, commands, the view |
//! | [`message`] | what clients say |
//! | [`subscriptions`] | a client's places in the channels |
//! | `limits` | how much a client may say, and when it is asked whether it is there |
//! | `session` | a connection, from upgrade to close |
//!
//! What is absent: compression. permessage-deflate is not in the library (tungstenite, issue 2, open since 2017), and it would
//! have to be done for each client anew where contexts are kept, or gains little where they are not; `docs/market-data.md`
//! has the figures.

#![allow(clippy::result_large_err, reason = "a problem is made for a refused message only, and moved once or twice")]

pub mod backend;
mod limits;
pub mod message;
mod session;
pub mod subscriptions;

use crate::feed::hub::Hub;
use crate::feed::wake::Subscribers;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use backend::Backend;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Name of the protocol, by which clients and servers of later forms can tell each other apart.
pub const SUBPROTOCOL: &str = "tapeline.v1";
/// Memory for what a client sends; the library's own 128 KiB would be over 1 GB for 10,000 clients.
const READ_BUFFER_BYTES: usize = 1 << 10;
/// What is gathered before a system call. The buffer takes memory only as it is used.
const WRITE_BUFFER_BYTES: usize = 8 << 10;
/// What the library takes in; larger messages end the connection there, those above the interface's own limit here.
const MESSAGE_BYTES: usize = 64 << 10;

/// What all sessions share.
pub struct Sessions {
    pub(crate) hub: Arc<Hub>,
    pub(crate) backend: Arc<dyn Backend>,
    /// All clients.
    everyone: Arc<Subscribers>,
    closing: AtomicBool,
}

impl Sessions {
    /// Sessions over `hub` and `backend`. [`crate::feed::wake::Rounds::run`] of the hub has to be awaited by somebody.
    pub fn new(hub: Arc<Hub>, backend: Arc<dyn Backend>) -> Self {
        Self { hub, backend, everyone: Arc::default(), closing: AtomicBool::new(false) }
    }

    /// Tells all clients to go to another gateway (close code 1012), and takes no new ones.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.hub.rounds().mark(&self.everyone);
        self.hub.rounds().ring();
    }

    /// Whether all clients have gone.
    pub fn is_empty(&self) -> bool {
        self.everyone.is_empty()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

/// The route of the WebSocket, for a router of any state.
pub fn routes<S: Clone + Send + Sync + 'static>(sessions: Arc<Sessions>) -> Router<S> {
    Router::new().route("/v1/ws", get(upgrade)).with_state(sessions)
}

async fn upgrade(State(sessions): State<Arc<Sessions>>, upgrade: WebSocketUpgrade) -> Response {
    if sessions.is_closing() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .on_upgrade(move |socket| session::run(sessions, socket))
}
