//! What Prometheus sees of the gateway. Names and labels are documented in `docs/gateway.md`.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Result, exponential_buckets};
use std::time::Duration;
use tapeline_runtime::metrics::Metrics;

/// The gateway's own metrics, within those of the process.
#[derive(Clone)]
pub struct GatewayMetrics {
    /// All metrics of the process, as `/metrics` serves them.
    pub process: Metrics,
    requests: IntCounterVec,
    seconds: HistogramVec,
    limited: IntCounterVec,
    commands: IntCounterVec,
    acknowledgement_seconds: HistogramVec,
    audit_lost: IntCounter,
    /// Open connections.
    pub connections: IntGauge,
}

impl GatewayMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If a name is taken: a start-up error.
    pub fn new(process: Metrics) -> Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            process.register(metric.clone())?;
            Ok::<_, prometheus::Error>(metric)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(exponential_buckets(0.000_5, 2.0, 15)?);
            let metric = HistogramVec::new(options, labels)?;
            process.register(metric.clone())?;
            Ok::<_, prometheus::Error>(metric)
        };
        let requests = counter(
            "tapeline_gateway_requests_total",
            "Requests by route and status.",
            &["method", "route", "status"],
        )?;
        let limited = counter("tapeline_gateway_limited_total", "Requests refused by a limit.", &["policy"])?;
        let commands = counter(
            "tapeline_gateway_commands_total",
            "Commands by kind and by what became of them: acknowledged, unknown, not_sent, full.",
            &["kind", "outcome"],
        )?;
        let seconds = histogram("tapeline_gateway_request_seconds", "Time to the answer, by route.", &["route"])?;
        let acknowledgement_seconds = histogram(
            "tapeline_gateway_acknowledgement_seconds",
            "From a command's publishing to Kafka's acknowledgement.",
            &["topic"],
        )?;
        let audit_lost =
            IntCounter::new("tapeline_gateway_audit_lost_total", "Audit events for which there was no room.")?;
        process.register(audit_lost.clone())?;
        let connections = IntGauge::new("tapeline_gateway_connections", "Open connections.")?;
        process.register(connections.clone())?;
        Ok(Self { process, requests, seconds, limited, commands, acknowledgement_seconds, audit_lost, connections })
    }

    /// A request was answered.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A limit refused a request.
    pub fn limited(&self, policy: &str) {
        self.limited.with_label_values(&[policy]).inc();
    }

    /// What became of a command.
    pub fn command(&self, kind: &str, outcome: &str) {
        self.commands.with_label_values(&[&kind.to_ascii_lowercase(), outcome]).inc();
    }

    /// Kafka has acknowledged a record of a topic.
    pub fn acknowledged(&self, topic: &str, took: Duration) {
        self.acknowledgement_seconds.with_label_values(&[topic]).observe(took.as_secs_f64());
    }

    /// An audit event was lost.
    pub fn audit_lost(&self) {
        self.audit_lost.inc();
    }

    /// How many audit events were lost.
    pub fn audit_lost_total(&self) -> u64 {
        self.audit_lost.get()
    }
}
