//! A gateway whose commands go to a log in memory, whose users are those of the test, and whose databases are away.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tapeline_gateway::audit::{Audit, Records};
use tapeline_gateway::auth::Authenticator;
use tapeline_gateway::config::Settings;
use tapeline_gateway::feed::hub::Hub;
use tapeline_gateway::feed::metrics::FeedMetrics;
use tapeline_gateway::gateway::Gateway;
use tapeline_gateway::http;
use tapeline_gateway::http::notes::PeerAddress;
use tapeline_gateway::identity::Identity;
use tapeline_gateway::identity::log::{Answering, Entry, IdentityLog};
use tapeline_gateway::identity::store::{Store, TOPICS};
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
use tapeline_kafka::app::load_topology;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::metrics::Metrics;
use tapeline_schemas::wire::{Account, Command};
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

/// The identity topics, and who follows them: what is appended is read by all of them before it is acknowledged, unless they
/// are told to lag.
#[derive(Default)]
pub(crate) struct MemoryIdentity(Mutex<Topics>);

#[derive(Default)]
struct Topics {
    events: Vec<tapeline_identity::Event>,
    accounts: Vec<Account>,
    followers: Vec<Follower>,
    is_away: bool,
}

struct Follower {
    store: Arc<Store>,
    /// How many of all events it has read.
    read: usize,
    lags: bool,
}

impl Topics {
    fn offset(&self, index: usize) -> i64 {
        let topic = self.events[index].topic();
        self.events[..index].iter().filter(|event| event.topic() == topic).count() as i64
    }

    fn deliver(&mut self) {
        let offsets: Vec<i64> = (0..self.events.len()).map(|index| self.offset(index)).collect();
        for follower in self.followers.iter_mut().filter(|follower| !follower.lags) {
            for (event, offset) in self.events.iter().zip(&offsets).skip(follower.read) {
                follower.store.take(event.topic(), *offset, event);
            }
            follower.read = offsets.len();
        }
    }
}

impl MemoryIdentity {
    /// A store that follows the topics, from their beginnings.
    pub(crate) fn follow(self: &Arc<Self>) -> Arc<Store> {
        let store = Arc::new(Store::new(Arc::clone(self) as Arc<dyn IdentityLog>));
        let mut topics = self.0.lock().unwrap();
        topics.followers.push(Follower { store: Arc::clone(&store), read: 0, lags: false });
        topics.deliver();
        TOPICS.iter().for_each(|topic| store.set_complete(topic));
        store
    }

    /// Whether the follower with this number reads nothing for now.
    pub(crate) fn set_lagging(&self, number: usize, lags: bool) {
        let mut topics = self.0.lock().unwrap();
        topics.followers[number].lags = lags;
        topics.deliver();
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.0.lock().unwrap().is_away = is_away;
    }

    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.0.lock().unwrap().accounts.clone()
    }

    pub(crate) fn events(&self) -> Vec<tapeline_identity::Event> {
        self.0.lock().unwrap().events.clone()
    }
}

impl IdentityLog for MemoryIdentity {
    fn append(&self, entry: Entry) -> Answering<'_, i64> {
        Box::pin(async move {
            let mut topics = self.0.lock().unwrap();
            if topics.is_away {
                return Err(Problem::new(503, "kafka_away", "Kafka is away", "nothing was changed").retry_after(1));
            }
            match entry {
                Entry::Identity(event) => {
                    topics.events.push(event);
                    let offset = topics.offset(topics.events.len() - 1);
                    topics.deliver();
                    Ok(offset)
                }
                Entry::Account(account) => {
                    topics.accounts.push(account);
                    Ok(topics.accounts.len() as i64 - 1)
                }
                Entry::Audit(_) => Ok(0),
            }
        })
    }

    fn end_of(&self, topic: &'static str) -> Answering<'_, i64> {
        Box::pin(async move {
            let topics = self.0.lock().unwrap();
            Ok(topics.events.iter().filter(|event| event.topic() == topic).count() as i64)
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
    pub(crate) audit: Records,
    pub(crate) identity: Arc<Identity>,
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
        Self::make(rates, settle, more, &Arc::default(), false)
    }

    /// A gateway whose users are those of `topics`, with a signing key.
    pub(crate) async fn with_users(topics: &Arc<MemoryIdentity>, settle: impl Fn(&mut Settings)) -> Self {
        let fixture = Self::make(Rates::default(), settle, Router::new(), topics, true);
        fixture.identity.store.renew_signer(Duration::from_secs(3_600)).await.unwrap();
        fixture
    }

    fn make(
        rates: Rates,
        settle: impl Fn(&mut Settings),
        more: Router<Arc<Gateway>>,
        topics: &Arc<MemoryIdentity>,
        has_users: bool,
    ) -> Self {
        let mut settings = Settings::at(([127, 0, 0, 1], 0).into());
        settle(&mut settings);
        let metrics = Metrics::new().unwrap();
        let views = Views::open("postgres://nobody@127.0.0.1:9/none").unwrap();
        // The task is not run: whoever waits for a position would wait for ever, and no test here does.
        let (positions, _watch) = Positions::new(AWAY, &load_topology().unwrap(), views.clone());
        let gateway_metrics = GatewayMetrics::new(metrics.clone()).unwrap();
        let (audit, records) = Audit::channel(gateway_metrics.clone());
        let identity = Arc::new(Identity::new(&settings, topics.follow()).unwrap());
        let authenticator: Arc<dyn Authenticator> =
            if has_users { Arc::clone(&identity) as _ } else { Arc::new(TokensOfTheTest) };
        let log = Arc::new(MemoryLog::default());
        let feed = FeedMetrics::new(metrics.registry()).unwrap();
        let gateway = Arc::new(Gateway {
            settings,
            authenticator,
            identity: Arc::clone(&identity),
            commands: Arc::clone(&log) as Arc<dyn CommandLog>,
            positions,
            views,
            analytics: Analytics::open("http://127.0.0.1:9").unwrap(),
            hub: Arc::new(Hub::new(feed.clone(), 1 << 20)),
            pipeline: Watch::new(&load_topology().unwrap(), &Addresses::local(0, 1)),
            limits: Limits::with_clock(&rates, Arc::new(|| 0)),
            audit,
            metrics: gateway_metrics,
        });
        Self { log, audit: records, identity, metrics, feed, router: http::router(&gateway, more) }
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
