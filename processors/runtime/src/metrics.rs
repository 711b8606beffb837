//! What Prometheus sees of lanes and sinks. Names and labels are documented in `docs/operations.md`.

use crate::lane::LaneSpec;
use crate::port::InputPartition;
use crate::processor::Label;
use crate::task::Outcome;
use prometheus::proto::Metric;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
    exponential_buckets,
};
use smol_str::SmolStr;
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
    snapshots: SnapshotMetrics,
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
        let snapshots = SnapshotMetrics::new(&registry)?;
        let ready = Arc::default();
        Ok(Self {
            registry,
            records,
            outputs,
            batch_records,
            commit_seconds,
            latency_seconds,
            lag_records,
            snapshots,
            restarts,
            ready,
        })
    }

    /// Adds a metric of a component that is no lane.
    ///
    /// # Errors
    /// If its name is taken or malformed: a start-up error.
    pub fn register(&self, metric: impl prometheus::core::Collector + 'static) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(metric))
    }

    /// Where other parts of the process register theirs.
    pub const fn registry(&self) -> &Registry {
        &self.registry
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

    /// Lanes that are not ready, by name; a process which serves HTTP before it has a lane is not ready either.
    pub fn not_ready(&self) -> Vec<String> {
        let Ok(ready) = self.ready.lock() else { return vec!["metrics".into()] };
        if ready.is_empty() {
            return vec!["its first lane".into()];
        }
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

/// Name of the metric that tells how far restores are; `tapeline status` reads it.
pub const RESTORE_PROGRESS: &str = "tapeline_restore_progress_ratio";

/// What is told of snapshots and of what they need of the log.
#[derive(Clone)]
struct SnapshotMetrics {
    pause_seconds: HistogramVec,
    written_at_seconds: GaugeVec,
    image_bytes: IntGaugeVec,
    damaged: IntCounterVec,
    margin_records: IntGaugeVec,
    restore_seconds: GaugeVec,
    replayed_records: IntGaugeVec,
    restore_progress: GaugeVec,
}

impl SnapshotMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_partition = ["component", "partition"];
        let of_input = ["component", "topic", "partition"];
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let seconds = |name: &str, help: &str| {
            let metric = GaugeVec::new(Opts::new(name, help), &by_partition)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let pause =
            HistogramOpts::new("tapeline_snapshot_pause_seconds", "How long records waited for a part of a snapshot.");
        let pause_seconds =
            HistogramVec::new(pause.buckets(exponential_buckets(0.000_156_25, 2.0, 13)?), &["component"])?;
        registry.register(Box::new(pause_seconds.clone()))?;
        let damaged = IntCounterVec::new(
            Opts::new("tapeline_snapshots_damaged_total", "Snapshots that a restart had to pass over."),
            &["component"],
        )?;
        registry.register(Box::new(damaged.clone()))?;
        let ratio = GaugeVec::new(
            Opts::new(
                RESTORE_PROGRESS,
                "How much of the last restore of the partition is done: 0 until its snapshot is read, 1 when it works.",
            ),
            &by_partition,
        )?;
        registry.register(Box::new(ratio.clone()))?;
        Ok(Self {
            pause_seconds,
            written_at_seconds: seconds(
                "tapeline_snapshot_written_at_seconds",
                "When the last snapshot was finished, Unix time by the wall clock.",
            )?,
            image_bytes: gauge("tapeline_snapshot_bytes", "Size of the last snapshot.", &by_partition)?,
            damaged,
            margin_records: gauge(
                "tapeline_snapshot_margin_records",
                "Records that an input still has before the position of the newest snapshot but one; below 0 a restart \
                 from it is impossible.",
                &of_input,
            )?,
            restore_seconds: seconds("tapeline_restore_seconds", "How long the last restore of the partition took.")?,
            restore_progress: ratio,
            replayed_records: gauge(
                "tapeline_replayed_records",
                "Records replayed by the last restore of the partition, so far.",
                &by_partition,
            )?,
        })
    }
}

fn set(ready: &Mutex<BTreeMap<String, bool>>, key: &str, value: bool) {
    if let Ok(mut ready) = ready.lock() {
        ready.insert(key.to_owned(), value);
    }
}

/// How often each of a few values came.
pub(crate) type Counts<T> = Vec<(T, usize)>;

/// Counts a value; the newest stands last, where it is looked for first.
pub(crate) fn count<T: PartialEq>(counts: &mut Counts<T>, value: T) {
    match counts.iter_mut().rev().find(|(known, _)| *known == value) {
        Some((_, count)) => *count += 1,
        None => counts.push((value, 1)),
    }
}

/// What the transaction at hand has taken and written. It is told to the metrics in one go: to find a counter by its
/// labels takes longer than to match an order.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By input and outcome.
    records: Counts<(usize, &'static str)>,
    /// By kind and reason.
    outputs: Counts<(&'static str, &'static str)>,
    /// Times of the commands that outputs go back to, milliseconds.
    commanded_at_ms: Counts<i64>,
}

impl Tally {
    pub(crate) fn record(&mut self, input: usize, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Ignored(_) => "ignored",
            Outcome::Poison { code, .. } => code,
        };
        count(&mut self.records, (input, outcome));
    }

    pub(crate) fn output(&mut self, label: Label) {
        count(&mut self.outputs, (label.kind, label.reason));
        // Neighbours came at the same time, mostly.
        match self.commanded_at_ms.last_mut() {
            Some((at_ms, count)) if *at_ms == label.commanded_at_ms => *count += 1,
            _ => self.commanded_at_ms.push((label.commanded_at_ms, 1)),
        }
    }

    /// Number of records taken.
    pub(crate) fn taken(&self) -> usize {
        self.records.iter().map(|(_, count)| count).sum()
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
    pub(crate) fn count(&self, topic: &str, outcome: &str, records: u64) {
        self.all.records.with_label_values(&[self.component.as_str(), topic, outcome]).inc_by(records);
    }

    /// A transaction of a lane is committed.
    pub(crate) fn committed(&self, spec: &LaneSpec, tally: &Tally, took: Duration) {
        for ((input, outcome), records) in &tally.records {
            self.count(&spec.inputs[*input].topic, outcome, *records as u64);
        }
        for ((kind, reason), records) in &tally.outputs {
            let labels = [self.component.as_str(), kind, reason];
            self.all.outputs.with_label_values(&labels).inc_by(*records as u64);
        }
        self.batch(tally.taken(), took, &tally.commanded_at_ms);
    }

    /// A batch is written; how many of its records go back to commands of which time.
    pub(crate) fn batch(&self, records: usize, took: Duration, commanded_at_ms: &Counts<i64>) {
        let component = [self.component.as_str()];
        self.all.batch_records.with_label_values(&component).observe(records as f64);
        self.all.commit_seconds.with_label_values(&component).observe(took.as_secs_f64());
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let latency = self.all.latency_seconds.with_label_values(&component).local();
        for (at_ms, records) in commanded_at_ms {
            let seconds = (now_ms - at_ms).max(0) as f64 / 1_000.0;
            (0..*records).for_each(|_| latency.observe(seconds));
        }
        latency.flush();
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

    pub(crate) fn snapshot_pause(&self, took: Duration) {
        let pause = self.all.snapshots.pause_seconds.with_label_values(&[self.component.as_str()]);
        pause.observe(took.as_secs_f64());
    }

    pub(crate) fn snapshot_finished(&self, partition: i32, image_bytes: i64) {
        let labels = [self.component.as_str(), &partition.to_string()];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.all.snapshots.written_at_seconds.with_label_values(&labels).set(now);
        self.all.snapshots.image_bytes.with_label_values(&labels).set(image_bytes);
    }

    pub(crate) fn snapshot_damaged(&self) {
        self.all.snapshots.damaged.with_label_values(&[self.component.as_str()]).inc();
    }

    pub(crate) fn set_margins(&self, partition: i32, margins: &[(SmolStr, i64)]) {
        for (topic, records) in margins {
            let labels = [self.component.as_str(), topic.as_str(), &partition.to_string()];
            self.all.snapshots.margin_records.with_label_values(&labels).set(*records);
        }
    }

    pub(crate) fn replayed(&self, partition: i32, records: u64) {
        let labels = [self.component.as_str(), &partition.to_string()];
        self.all.snapshots.replayed_records.with_label_values(&labels).set(records as i64);
    }

    pub(crate) fn restoring(&self, partition: i32, done: f64) {
        let labels = [self.component.as_str(), &partition.to_string()];
        self.all.snapshots.restore_progress.with_label_values(&labels).set(done);
    }

    pub(crate) fn restored(&self, partition: i32, took: Duration) {
        self.restoring(partition, 1.0);
        let labels = [self.component.as_str(), &partition.to_string()];
        self.all.snapshots.restore_seconds.with_label_values(&labels).set(took.as_secs_f64());
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

/// A metric's value in the text that [`Metrics::text`] gives, with its labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    labels: &'a str,
    /// The value.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The value of a label, as it stands there.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        let of = |label: &'a str| label.strip_prefix(name)?.strip_prefix("=\"");
        self.labels.split("\",").find_map(of).map(|value| value.trim_end_matches('"'))
    }
}

/// All values of the metric `name` in a process's metrics.
pub fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Sample<'a>> {
    text.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some(Sample { labels, value: value.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_once_it_has_lanes_and_all_of_them_are() {
        let metrics = Metrics::new().expect("metrics");
        assert_eq!(metrics.not_ready(), ["its first lane"]);
        let lanes = [metrics.lane("validator", 0), metrics.lane("validator", 1)];
        assert_eq!(metrics.not_ready(), ["validator/0", "validator/1"]);
        lanes[0].set_ready(true);
        assert_eq!(metrics.not_ready(), ["validator/1"]);
        lanes[1].set_ready(true);
        assert!(metrics.not_ready().is_empty());
        lanes[0].set_ready(false);
        assert_eq!(metrics.not_ready(), ["validator/0"]);
    }

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP a_total all\na_total{part=\"7\",topic=\"x\"} 12\na_total_sum{part=\"7\"} 3\na_total{part=\"8\"} 0.5\n";
        let read: Vec<_> = samples(text, "a_total").map(|at| (at.label("part"), at.label("topic"), at.value)).collect();
        assert_eq!(read, [(Some("7"), Some("x"), 12.0), (Some("8"), None, 0.5)]);
    }
}
