//! Asks Kafka and the view how far they are, for all who wait for a position together, and only while somebody waits.

use super::CommandPosition;
use super::ladder::{Climb, Reach, Reached, Seen};
use crate::problem::Problem;
use crate::reads::views::Views;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::Duration;
use tapeline_kafka::protocol::Cluster;
use tapeline_runtime::topology::Topology;
use tapeline_schemas::topic;
use tokio::sync::{mpsc, oneshot};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(15);
/// How long somebody waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most who wait at a time.
const MAX_WAITING: usize = 10_000;

/// The topics that the view folds and that commands lead to.
const OF_VIEW: [&str; 4] = [topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED];
/// Processors whose outputs are waited for, and what they read.
const PROCESSORS: [(&str, &str); 2] = [("executor", topic::VALIDATED), ("settler", topic::EXECUTED)];
const VALIDATOR: &str = "validator";

/// Waits until the view includes what commands led to.
#[derive(Clone)]
pub struct Positions(mpsc::Sender<Waiter>);

struct Waiter {
    climb: Climb,
    done: oneshot::Sender<()>,
}

impl Positions {
    /// A handle, and the task that must run for it.
    pub fn new(kafka: &str, topology: &Topology, views: Views) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let partitions = |name: &str| (name.to_owned(), topology.topic(name).map_or(0, |topic| topic.partitions));
        let partitions = OF_VIEW.iter().chain(&[topic::ORDERS]).map(|name| partitions(name)).collect();
        let watch = Watch { kafka: kafka.to_owned(), partitions, views, cluster: None };
        (Self(sender), watch.run(receiver))
    }

    /// Waits until the view includes all that the command at `position` led to; not at all without a position.
    ///
    /// # Errors
    /// 422 if it is no position; 504 if the view is not there in time; 503 if too many wait.
    pub async fn wait(&self, position: Option<&str>) -> Result<(), Problem> {
        let Some(token) = position else { return Ok(()) };
        let (done, told) = oneshot::channel();
        let waiter = Waiter { climb: Climb::new(CommandPosition::of_token(token)?), done };
        self.0.try_send(waiter).map_err(|_| {
            Problem::new(503, "too_busy", "Too busy", "too many wait for a position: try again").retry_after(1)
        })?;
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(())) => Ok(()),
            _ => {
                let detail = format!(
                    "the view did not include that command's effects within {} s: try again, or without `position`",
                    PATIENCE.as_secs()
                );
                Err(Problem::new(504, "view_behind", "The view is behind", detail).retry_after(1))
            }
        }
    }
}

struct Watch {
    kafka: String,
    /// Number of partitions by topic.
    partitions: BTreeMap<String, i32>,
    views: Views,
    cluster: Option<Cluster>,
}

impl Watch {
    async fn run(mut self, mut asked: mpsc::Receiver<Waiter>) {
        let mut waiting: Vec<Waiter> = Vec::new();
        loop {
            if waiting.is_empty() {
                match asked.recv().await {
                    Some(waiter) => waiting.push(waiter),
                    None => return,
                }
            }
            while let Ok(waiter) = asked.try_recv() {
                waiting.push(waiter);
            }
            waiting.retain(|waiter| !waiter.done.is_closed());
            match self.look().await {
                Ok(seen) => {
                    let is_there = |waiter: &mut Waiter| waiter.climb.climb(&seen);
                    for there in waiting.extract_if(.., is_there) {
                        // Whoever has given up meanwhile need not hear it.
                        let _ = there.done.send(());
                    }
                }
                Err(error) => tracing::debug!("positions can't be looked at: {error:#}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Offsets first, then what lies ahead of them.
    async fn look(&mut self) -> Result<Seen> {
        let view = self.views.offsets().await?;
        let mut cluster = self.cluster.take().unwrap_or_else(|| Cluster::new(&self.kafka));
        let partitions = self.partitions.clone();
        // Its calls block.
        let looked = tokio::task::spawn_blocking(move || {
            let seen = look(&mut cluster, &partitions, &view);
            seen.map(|seen| (cluster, seen))
        });
        let (cluster, seen) = looked.await??;
        self.cluster = Some(cluster);
        Ok(seen)
    }
}

/// What a look at the groups and partitions shows.
fn look(
    cluster: &mut Cluster,
    partitions: &BTreeMap<String, i32>,
    view: &BTreeMap<(String, i32), i64>,
) -> Result<Seen> {
    let of = |topic: &str| -> Result<(String, i32)> {
        let count = partitions.get(topic).with_context(|| format!("the topology has no topic {topic}"))?;
        Ok((topic.to_owned(), *count))
    };
    let orders = cluster.committed(VALIDATOR, &[of(topic::ORDERS)?])?;
    let mut processors = BTreeMap::new();
    for (group, topic) in PROCESSORS {
        let committed = cluster.committed(group, &[of(topic)?])?;
        processors.extend(places(&[of(topic)?]).map(|place| {
            let next_offset = committed.get(&place).copied().unwrap_or(0);
            (place, next_offset)
        }));
    }
    let of_view = OF_VIEW.map(of).into_iter().collect::<Result<Vec<_>>>()?;
    let view = places(&of_view).map(|place| {
        let next_offset = view.get(&place).copied().unwrap_or(0);
        (place, next_offset)
    });
    Ok(Seen {
        validator: orders.into_iter().map(|((_, partition), next_offset)| (partition, next_offset)).collect(),
        processors: reached(cluster, &processors)?,
        view: reached(cluster, &view.collect())?,
    })
}

fn places(topics: &[(String, i32)]) -> impl Iterator<Item = (String, i32)> {
    topics.iter().flat_map(|(topic, count)| (0..*count).map(|partition| (topic.clone(), partition)))
}

fn reached(cluster: &mut Cluster, next_offsets: &BTreeMap<(String, i32), i64>) -> Result<Reached> {
    let ahead = cluster.ahead(next_offsets)?;
    let reach = ahead.into_iter().filter_map(|(place, ahead)| {
        let next_offset = *next_offsets.get(&place)?;
        Some((place, Reach { next_offset, ahead }))
    });
    Ok(reach.collect())
}
