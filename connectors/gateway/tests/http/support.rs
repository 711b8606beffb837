//! A gateway whose commands go to a log in memory, whose users are those of the test, and whose databases are away.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tapeline_gateway::audit::{Audit, Refusal};
use tapeline_gateway::auth::Authenticator;
use tapeline_gateway::config::Settings;
use tapeline_gateway::feed::hub::Hub;
use tapeline_gateway::feed::metrics::FeedMetrics;
use tapeline_gateway::gateway::Gateway;
use tapeline_gateway::http;
use tapeline_gateway::http::notes::PeerAddress;
use tapeline_gateway::limits::{Limits, Rates};
use tapeline_gateway::metrics::GatewayMetrics;
use tapeline_gateway::orders::log::{Appending, CommandLog};
use tapeline_gateway::pipeline::Watch;
use tapeline_gateway::position::CommandPosition;
use tapeline_gateway::position::watch::Positions;
use tapeline_gateway::principal::{Principal, Scope};
use tapeline_gateway::problem::Problem;
use tapeline_gateway::reads::analytics::Analytics;
use tapeline_gateway::reads::views::Views;
use tapeline_gateway::reference::Instruments;
use tapeline_kafka::app::load_topology;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::metrics::Metrics;
use tapeline_schemas::wire::Command;
use tokio::sync::mpsc::Receiver;
use tower::ServiceExt as _;

/// Nobody listens there.
const AWAY: &str = "127.0.0.1:9";

/// Commands in memory; or a problem instead.
#[derive(Default)]
pub(crate) struct MemoryLog {
    pub(crate) commands: Mutex<Vec<Command>>,
    pub(crate) problem: Mutex<Option<Problem>>,
}

impl CommandLog for MemoryLog {
    fn append(&self, command: Command) -> Appending<'_> {
        Box::pin(async move {
            if let Some(problem) = self.problem.lock().unwrap().clone() {
                return Err(problem);
            }
            let mut commands = self.commands.lock().unwrap();
            commands.push(command);
            Ok(CommandPosition { partition: 1, offset: commands.len() as i64 - 1 })
        })
    }
}

/// Tokens are `<account>:<scopes>`, for example `ann:read,trade`.
struct TokensOfTheTest;

impl Authenticator for TokensOfTheTest {
    fn authenticate(&self, bearer: &str, _now_ms: i64) -> Result<Principal, Problem> {
        let (account, scopes) = bearer
            .split_once(':')
            .ok_or_else(|| Problem::new(401, "wrong_credentials", "Not logged in", "no token of this test"))?;
        let scope = |name| match name {
            "trade" => Scope::Trade,
            "withdraw" => Scope::Withdraw,
            _ => Scope::Read,
        };
        Ok(Principal {
            user_id: format!("user-{account}").into(),
            account: account.into(),
            scopes: scopes.split(',').map(scope).collect(),
            key_id: None,
            expires_ms: i64::MAX,
            second_factor_ms: None,
            has_second_factor: account == "careful",
        })
    }
}

pub(crate) struct Fixture {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) refusals: Receiver<Refusal>,
    pub(crate) instruments: Instruments,
    pub(crate) metrics: Metrics,
    pub(crate) feed: FeedMetrics,
    router: Router,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that it is a problem of this status and code, complete, and gives its field.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Option<String> {
        let json = self.json();
        assert_eq!((self.status, json["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(json["status"], status);
        assert_eq!(json["type"], format!("https://tapeline.dev/problems/{code}"));
        assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert!(json["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", self.text);
        assert_eq!(
            json["retry_after_s"].as_u64().map(|s| s.to_string()).unwrap_or_default(),
            self.header("retry-after")
        );
        json["field"].as_str().map(str::to_owned)
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Rates::default(), |_| {}, Router::new())
    }

    pub(crate) fn with(rates: Rates, settle: impl Fn(&mut Settings), more: Router<Arc<Gateway>>) -> Self {
        let mut settings = Settings::at(([127, 0, 0, 1], 0).into());
        settle(&mut settings);
        let metrics = Metrics::new().unwrap();
        let views = Views::open("postgres://nobody@127.0.0.1:9/none").unwrap();
        // The task is not run: whoever waits for a position would wait for ever, and no test here does.
        let (positions, _watch) = Positions::new(AWAY, &load_topology().unwrap(), views.clone());
        let (audit, refusals) = Audit::channel();
        let (log, instruments) = (Arc::new(MemoryLog::default()), Instruments::default());
        let feed = FeedMetrics::new(metrics.registry()).unwrap();
        let gateway = Arc::new(Gateway {
            settings,
            authenticator: Arc::new(TokensOfTheTest),
            commands: Arc::clone(&log) as Arc<dyn CommandLog>,
            positions,
            views,
            analytics: Analytics::open("http://127.0.0.1:9").unwrap(),
            instruments: instruments.clone(),
            hub: Arc::new(Hub::new(feed.clone(), 1 << 20)),
            pipeline: Watch::new(&load_topology().unwrap(), &Addresses::local(0, 1)),
            limits: Limits::with_clock(&rates, Arc::new(|| 0)),
            audit,
            metrics: GatewayMetrics::new(metrics.clone()).unwrap(),
        });
        Self { log, refusals, instruments, metrics, feed, router: http::router(&gateway, more) }
    }

    /// Sends a request from 10.0.0.1.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(PeerAddress(IpAddr::from([10, 0, 0, 1])));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Asks without a body; an empty `token` sends none.
    pub(crate) async fn ask(&self, method: &str, path: &str, token: &str) -> Answer {
        self.send(request(method, path, token).body(Body::empty()).unwrap()).await
    }

    /// Sends a JSON body.
    pub(crate) async fn post(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let request = request(method, path, token).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

pub(crate) fn request(method: &str, path: &str, token: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) }
}
