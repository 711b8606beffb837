//! What Prometheus sees of lanes and sinks. Names and labels are documented in `docs/operations.md`.

use crate::lane::LaneSpec;
use crate::port::InputPartition;
use crate::processor::Label;
use crate::task::Outcome;
use prometheus::proto::Metric;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, exponential_buckets,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// All metrics of a process.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    outputs: IntCounterVec,
    batch_records: HistogramVec,
    commit_seconds: HistogramVec,
    latency_seconds: HistogramVec,
    lag_records: IntGaugeVec,
    restarts: IntCounterVec,
    ready: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// If a name is taken or malformed: a start-up error.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let histogram = |name: &str, help: &str, start: f64, count: usize| {
            let buckets = exponential_buckets(start, 2.0, count)?;
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["component"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let records = counter(
            "tapeline_records_total",
            "Records taken, by what became of them: done, ignored, or the reason code of a dead letter.",
            &["component", "topic", "outcome"],
        )?;
        let outputs = counter(
            "tapeline_outputs_total",
            "Events written, by kind and reason (verdicts, executions, settlements).",
            &["component", "kind", "reason"],
        )?;
        let restarts =
            counter("tapeline_restarts_total", "Times that a lane was built anew after a failure.", &["component"])?;
        let batch_records = histogram("tapeline_batch_records", "Records in a committed batch.", 1.0, 16)?;
        let commit_seconds = histogram("tapeline_commit_seconds", "Time of a commit.", 0.000_5, 16)?;
        let latency_seconds = histogram(
            "tapeline_latency_seconds",
            "From the broker's append time of the command to the commit of what it led to, by the wall clock.",
            0.001,
            18,
        )?;
        let lag_records = IntGaugeVec::new(
            Opts::new("tapeline_lag_records", "Records not yet read, by input partition."),
            &["component", "topic", "partition"],
        )?;
        registry.register(Box::new(lag_records.clone()))?;
        let ready = Arc::default();
        Ok(Self {
            registry,
            records,
            outputs,
            batch_records,
            commit_seconds,
            latency_seconds,
            lag_records,
            restarts,
            ready,
        })
    }

    /// The handle for one lane of a component; `lane` tells lanes of a process apart.
    pub fn lane(&self, component: &str, lane: usize) -> LaneMetrics {
        let key = format!("{component}/{lane}");
        set(&self.ready, &key, false);
        LaneMetrics { all: self.clone(), component: component.to_owned(), key }
    }

    /// The text that `/metrics` serves.
    ///
    /// # Errors
    /// If a metric can't be written.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }

    /// Lanes that are not ready, by name.
    pub fn not_ready(&self) -> Vec<String> {
        let Ok(ready) = self.ready.lock() else { return vec!["metrics".into()] };
        ready.iter().filter(|(_, ready)| !**ready).map(|(key, _)| key.clone()).collect()
    }

    /// Sum of all input lags of a component, in records.
    pub fn total_lag(&self, component: &str) -> i64 {
        self.sum("tapeline_lag_records", component, None, |metric| metric.get_gauge().get_value()) as i64
    }

    /// Number of records that a component has written, of one kind or of all.
    pub fn outputs(&self, component: &str, kind: Option<&str>) -> u64 {
        self.sum("tapeline_outputs_total", component, kind, |metric| metric.get_counter().get_value()) as u64
    }

    fn sum(&self, name: &str, component: &str, kind: Option<&str>, value: impl Fn(&Metric) -> f64) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let labelled = |metric: &&Metric, name: &str, value: &str| {
            metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
        };
        let metrics = family.into_iter().flat_map(|family| family.get_metric());
        let chosen = metrics.filter(|metric| {
            labelled(metric, "component", component) && kind.is_none_or(|kind| labelled(metric, "kind", kind))
        });
        chosen.map(value).sum()
    }
}

fn set(ready: &Mutex<BTreeMap<String, bool>>, key: &str, value: bool) {
    if let Ok(mut ready) = ready.lock() {
        ready.insert(key.to_owned(), value);
    }
}

/// Metrics of one lane.
#[derive(Clone)]
pub struct LaneMetrics {
    all: Metrics,
    component: String,
    key: String,
}

impl LaneMetrics {
    pub(crate) fn record(&self, topic: &str, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Ignored(_) => "ignored",
            Outcome::Poison { code, .. } => code,
        };
        self.count(topic, outcome, 1);
    }

    pub(crate) fn count(&self, topic: &str, outcome: &str, records: u64) {
        self.all.records.with_label_values(&[self.component.as_str(), topic, outcome]).inc_by(records);
    }

    pub(crate) fn output(&self, label: Label) {
        self.all.outputs.with_label_values(&[self.component.as_str(), label.kind, label.reason]).inc();
    }

    pub(crate) fn committed(&self, records: usize, took: Duration, commanded_at_ms: &[i64]) {
        let component = [self.component.as_str()];
        self.all.batch_records.with_label_values(&component).observe(records as f64);
        self.all.commit_seconds.with_label_values(&component).observe(took.as_secs_f64());
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let latency = self.all.latency_seconds.with_label_values(&component);
        for at_ms in commanded_at_ms {
            latency.observe((now_ms - at_ms).max(0) as f64 / 1_000.0);
        }
    }

    pub(crate) fn set_lag(&self, spec: &LaneSpec, lag: &[(InputPartition, i64)]) {
        for ((input, partition), records) in lag {
            self.set_topic_lag(&spec.inputs[*input].topic, *partition, *records);
        }
    }

    pub(crate) fn set_topic_lag(&self, topic: &str, partition: i32, records: i64) {
        let partition = partition.to_string();
        self.all.lag_records.with_label_values(&[self.component.as_str(), topic, &partition]).set(records);
    }

    /// Says whether the lane has joined, restored and works.
    pub fn set_ready(&self, ready: bool) {
        set(&self.all.ready, &self.key, ready);
    }

    /// Counts a restart of the lane.
    pub fn restarted(&self) {
        self.all.restarts.with_label_values(&[self.component.as_str()]).inc();
    }
}
