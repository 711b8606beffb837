//! What Prometheus sees of the live side.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counters of the feed and of the sessions.
#[derive(Debug, Clone)]
pub struct FeedMetrics {
    /// Records taken, by topic.
    pub records: IntCounterVec,
    /// Records passed over because they can't be read, by topic.
    pub unreadable: IntCounterVec,
    /// Books that became unknown, by reason: `gap` or `checksum`.
    pub books_lost: IntCounterVec,
    /// WebSocket connections.
    pub clients: IntGauge,
    /// Messages written to sockets.
    pub frames: IntCounter,
    /// Times that a slow client got a whole book instead of changes.
    pub conflations: IntCounter,
    /// Connections that the gateway ended, by close code.
    pub cuts: IntCounterVec,
    ready: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl FeedMetrics {
    /// Registers all of them.
    ///
    /// # Errors
    /// If a name is taken: a start-up error.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by = |name: &str, help: &str, label: &str| {
            let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let counter = |name: &str, help: &str| {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let clients = IntGauge::new("tapeline_gateway_clients", "WebSocket connections.")?;
        registry.register(Box::new(clients.clone()))?;
        Ok(Self {
            records: by("tapeline_gateway_records_total", "Records taken by the feed, by topic.", "topic")?,
            unreadable: by(
                "tapeline_gateway_unreadable_total",
                "Records that the feed passed over because they can't be read, by topic.",
                "topic",
            )?,
            books_lost: by(
                "tapeline_gateway_books_lost_total",
                "Times that a book became unknown until its next snapshot: after a gap, or by its checksum.",
                "reason",
            )?,
            clients,
            frames: counter("tapeline_gateway_frames_total", "Messages written to sockets.")?,
            conflations: counter(
                "tapeline_gateway_conflations_total",
                "Times that a slow client got a whole book instead of the changes that it had missed.",
            )?,
            cuts: by("tapeline_gateway_cuts_total", "Connections that the gateway ended, by close code.", "code")?,
            ready: Arc::default(),
        })
    }

    /// Says whether a topic has been read up to where it ended at the start.
    pub fn set_ready(&self, topic: &str, ready: bool) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), ready);
    }

    /// Whether a topic has been read up to where it ended at the start.
    pub fn is_ready(&self, topic: &str) -> bool {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied().unwrap_or(false)
    }

    /// Topics that have not been read up to where they ended at the start; a feed that has not begun is not ready either.
    pub fn not_ready(&self) -> Vec<String> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return vec!["its first topic".into()];
        }
        ready.iter().filter(|(_, ready)| !**ready).map(|(topic, _)| topic.clone()).collect()
    }
}
