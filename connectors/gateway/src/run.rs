//! A gateway put together: its parts connected to the servers, its router served.

use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::config::Settings;
use crate::console;
use crate::feed::hub::{EVENT_RING_BYTES, Hub};
use crate::feed::metrics::FeedMetrics;
use crate::feed::run::{Feed, Sources};
use crate::gateway::Gateway;
use crate::http;
use crate::identity::kafka::KafkaIdentity;
use crate::identity::log::IdentityLog;
use crate::identity::store::Store;
use crate::identity::{self, Identity, keeper};
use crate::limits::{Limits, Rates};
use crate::live::Live;
use crate::metrics::GatewayMetrics;
use crate::orders::kafka::KafkaCommands;
use crate::pipeline::{self, Watch};
use crate::position::watch::Positions;
use crate::reads::analytics::Analytics;
use crate::reads::views::Views;
use crate::seed;
use crate::server::Server;
use crate::ws::{self, Sessions};
use anyhow::Result;
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tapeline_kafka::app::App;
use tapeline_schemas::topic;
use tokio::runtime::Runtime;

/// Pause between two tries to reach Kafka and the registry.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// How long the last audit records may take at the end.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether to stop.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// A gateway that accepts connections.
pub struct Running {
    /// Where.
    pub address: SocketAddr,
    runtime: Runtime,
    served: tokio::task::JoinHandle<()>,
    feed: Feed,
    audit: Audit,
}

/// Starts a gateway whose users are those of the identity topics. As [`start`] otherwise.
///
/// # Errors
/// As [`start`].
pub fn start_with_users(app: &Arc<App>, settings: Settings) -> Result<Running> {
    start_as(app, settings, None, Router::new())
}

/// Starts a gateway that knows whoever `authenticator` knows; it ends when `app.stop` is set. Kafka and the registry may be away: it is not ready until they are
/// there. `more` are routes of other parts.
///
/// # Errors
/// If the address is taken, or an address of a server is none.
pub fn start(
    app: &Arc<App>,
    settings: Settings,
    authenticator: Arc<dyn Authenticator>,
    more: Router<Arc<Gateway>>,
) -> Result<Running> {
    start_as(app, settings, Some(authenticator), more)
}

fn start_as(
    app: &Arc<App>,
    settings: Settings,
    authenticator: Option<Arc<dyn Authenticator>>,
    more: Router<Arc<Gateway>>,
) -> Result<Running> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("gateway").build()?;
    let (address, served, feed, audit) = {
        let _entered = runtime.enter();
        let metrics = GatewayMetrics::new(app.metrics.clone())?;
        let server = runtime.block_on(Server::bind(settings.clone(), metrics.clone()))?;
        let address = server.address()?;
        let gateway = gateway(app, settings, authenticator, metrics)?;
        let (bootstrap, schemas) = (app.addresses.kafka.clone(), Arc::clone(&app.registry) as _);
        let feed = Feed::start(&Sources { bootstrap, schemas, hub: Arc::clone(&gateway.hub) })?;
        let rounds = Arc::clone(gateway.hub.rounds());
        tokio::spawn(async move { rounds.run().await });
        tokio::spawn(pipeline::show(Arc::clone(&gateway)));
        let partitions = app.topology.topic(topic::EXECUTED).map_or(0, |topic| topic.partitions);
        tokio::spawn(seed::run(Arc::clone(&gateway.hub), gateway.views.clone(), partitions));
        let sessions = Arc::new(Sessions::new(Arc::clone(&gateway.hub), Arc::new(Live(Arc::clone(&gateway)))));
        let more = more.merge(console::routes()).merge(ws::routes(Arc::clone(&sessions)));
        let stop = Arc::clone(&app.stop);
        let stopped = async move {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(STOP_LOOK).await;
            }
            sessions.close();
        };
        let audit = gateway.audit.clone();
        (address, runtime.spawn(server.serve(http::router(&gateway, more), stopped)), feed, audit)
    };
    tracing::info!(http = %address, "serving");
    Ok(Running { address, runtime, served, feed, audit })
}

impl Running {
    /// Waits until the gateway has ended, after `app.stop` was set.
    pub fn wait(self) {
        let Self { runtime, served, feed, audit, .. } = self;
        if let Err(error) = runtime.block_on(served) {
            tracing::error!(%error, "the server ended");
        }
        feed.stop();
        let kept = async {
            while !audit.is_idle() {
                tokio::time::sleep(STOP_LOOK).await;
            }
        };
        if runtime.block_on(async { tokio::time::timeout(AUDIT_PATIENCE, kept).await }).is_err() {
            tracing::error!("audit records were lost: Kafka did not take them before the end");
        }
        // Threads that read Kafka see the stop by themselves.
        runtime.shutdown_background();
    }
}

/// The shared state, and the tasks and threads that keep it; must be called within a runtime.
fn gateway(
    app: &Arc<App>,
    settings: Settings,
    authenticator: Option<Arc<dyn Authenticator>>,
    metrics: GatewayMetrics,
) -> Result<Arc<Gateway>> {
    let views = Views::open(&app.addresses.timescale_url)?;
    let (positions, watch) = Positions::new(&app.addresses.kafka, &app.topology, views.clone());
    tokio::spawn(watch);
    let (identity, audit) = identity(app, &settings, &metrics)?;
    let authenticator = authenticator.unwrap_or_else(|| Arc::clone(&identity) as Arc<dyn Authenticator>);
    let commands = Arc::new(KafkaCommands::new(metrics.clone()));
    connect(app, &commands)?;
    Ok(Arc::new(Gateway {
        analytics: Analytics::open(&app.addresses.clickhouse_url)?,
        limits: Limits::new(&Rates::default()),
        settings,
        authenticator,
        identity,
        commands,
        positions,
        views,
        pipeline: Watch::new(&app.topology, &app.addresses),
        hub: Arc::new(Hub::new(FeedMetrics::new(app.metrics.registry())?, EVENT_RING_BYTES)),
        audit,
        metrics,
    }))
}

/// Users and the audit trail, and the tasks and threads that keep them.
fn identity(app: &Arc<App>, settings: &Settings, metrics: &GatewayMetrics) -> Result<(Arc<Identity>, Audit)> {
    let topics = Arc::new(KafkaIdentity::new(&app.addresses.kafka));
    let log = Arc::clone(&topics) as Arc<dyn IdentityLog>;
    let store = Arc::new(Store::new(Arc::clone(&log)));
    let identity = Arc::new(Identity::new(settings, Arc::clone(&store))?);
    let (audit, records) = Audit::channel(metrics.clone());
    tokio::spawn(records.keep(log));
    identity::kafka::start(app, &topics, &store)?;
    tokio::spawn(keeper::keep_signer(Arc::clone(&store), app.metrics.lane("gateway.identity", 0)));
    tokio::spawn(keeper::keep_repaired(store));
    Ok((identity, audit))
}

/// Connects the log of commands on a thread of its own, however often it takes.
fn connect(app: &Arc<App>, commands: &Arc<KafkaCommands>) -> Result<()> {
    let (app, commands) = (Arc::clone(app), Arc::clone(commands));
    let metrics = app.metrics.lane("gateway.commands", 0);
    let connect = move || {
        persist("commands", CONNECT_PAUSE, &app.stop, || {
            commands.connect(&app).map_err(|error| format!("{error:#}"))?;
            metrics.set_ready(true);
            Ok(())
        });
    };
    std::thread::Builder::new().name("commands".into()).spawn(connect)?;
    Ok(())
}

/// Tries until it succeeds or the gateway stops; says each new reason once.
pub(crate) fn persist(what: &str, pause: Duration, stop: &AtomicBool, mut work: impl FnMut() -> Result<(), String>) {
    let mut last_said = String::new();
    while let Err(why) = work() {
        if why != last_said {
            tracing::warn!(what, why, "waiting for Kafka and the registry");
            last_said = why;
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(pause);
    }
}
