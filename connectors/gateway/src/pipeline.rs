//! The pipeline as operators see it: each topic with its rate, each component with its lag, members, restores and the age of its
//! snapshots, and the dead letters. Read from Kafka, so it says the same on every gateway.
//!
//! It is looked at only while somebody wants to see it, and once for all of them.

use crate::auth::{Allowed, ToOperate, now_ms};
use crate::gateway::Gateway;
use crate::http::openapi::{AnyProblem, NeedsLogIn};
use crate::problem::Problem;
use anyhow::Result;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tapeline_kafka::groups::{GroupStatus, groups};
use tapeline_kafka::protocol::{Cluster, OffsetOf};
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::topology::{Component, Topic, Topology};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Between two looks while somebody watches.
const LOOK: Duration = Duration::from_secs(2);
/// A look that is younger is shown again.
const FRESH: Duration = Duration::from_secs(1);

/// The route.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(pipeline))
}

/// The pipeline at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Pipeline {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// All topics but dead letters.
    pub topics: Vec<TopicState>,
    /// Processors, sinks and connectors.
    pub components: Vec<ComponentState>,
    /// Topics of dead letters that have any.
    pub dead_letters: Vec<DeadLetters>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TopicState {
    /// Name.
    pub name: String,
    /// Offsets from its first record to its end; transactions' markers count.
    pub records: i64,
    /// Of these, how many came in a second since the look before.
    pub rate: f64,
    /// Who writes it.
    pub writers: Vec<String>,
    /// Who reads it.
    pub readers: Vec<String>,
}

/// A component.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ComponentState {
    /// Name.
    pub name: String,
    /// `processor`, `sink` or `connector`.
    pub kind: &'static str,
    /// Topics that it reads.
    pub inputs: Vec<String>,
    /// Topics that it writes.
    pub outputs: Vec<String>,
    /// Offsets that it has not taken; null of connectors, which have no group.
    pub lag: Option<i64>,
    /// How many it took in a second since the look before.
    pub rate: Option<f64>,
    /// Members of its group that hold partitions.
    pub lanes: Option<usize>,
    /// Members of its group.
    pub members: Option<usize>,
    /// Age of its newest snapshot, of the partition where that is oldest, seconds.
    pub snapshot_age_s: Option<i64>,
    /// Whether a partition is being restored.
    pub restoring: Option<bool>,
}

/// Dead letters of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeadLetters {
    /// The topic of dead letters.
    pub topic: String,
    /// How many there are.
    pub records: i64,
}

/// How far everything was at the look before.
struct Before {
    at: Instant,
    ends: BTreeMap<String, i64>,
    taken: BTreeMap<String, i64>,
}

/// Looks at the pipeline.
pub struct Watch {
    topology: Topology,
    addresses: Addresses,
    last: Mutex<(Option<Before>, Option<Pipeline>)>,
}

impl Watch {
    /// Of the pipeline of this topology.
    pub fn new(topology: &Topology, addresses: &Addresses) -> Self {
        Self { topology: topology.clone(), addresses: addresses.clone(), last: Mutex::default() }
    }

    /// The pipeline as it is now, or was a second ago; asks Kafka, and so blocks.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn look(&self) -> Result<Pipeline> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(before), Some(seen)) = &*last
            && before.at.elapsed() < FRESH
        {
            return Ok(seen.clone());
        }
        let mut cluster = Cluster::new(&self.addresses.kafka);
        let names: Vec<String> = cluster.topics()?.into_keys().collect();
        let (first, ends) = (cluster.offsets(&names, OffsetOf::Earliest)?, cluster.offsets(&names, OffsetOf::End)?);
        let sum = |offsets: &BTreeMap<(String, i32), tapeline_kafka::protocol::OffsetAndTime>| {
            let mut sums: BTreeMap<String, i64> = BTreeMap::new();
            for ((topic, _), at) in offsets {
                *sums.entry(topic.clone()).or_default() += at.offset;
            }
            sums
        };
        let found = Found {
            first: sum(&first),
            ends: sum(&ends),
            groups: groups(&mut cluster, &self.topology, &self.addresses)?,
        };
        let seen = found.pipeline(&self.topology, last.0.as_ref());
        *last = (Some(Before { at: Instant::now(), taken: found.taken(), ends: found.ends }), Some(seen.clone()));
        Ok(seen)
    }
}

/// What a look found.
struct Found {
    /// Sums of offsets, by topic.
    first: BTreeMap<String, i64>,
    ends: BTreeMap<String, i64>,
    groups: Vec<GroupStatus>,
}

impl Found {
    /// Sum of the offsets that each group has taken.
    fn taken(&self) -> BTreeMap<String, i64> {
        let of = |group: &GroupStatus| {
            let offsets = group.partitions.iter().map(|partition| partition.end_offset - partition.lag_records);
            (group.group.clone(), offsets.sum())
        };
        self.groups.iter().map(of).collect()
    }

    fn pipeline(&self, topology: &Topology, before: Option<&Before>) -> Pipeline {
        let rate = |now: i64, then: Option<i64>| {
            let seconds = before.map_or(0.0, |before| before.at.elapsed().as_secs_f64());
            then.filter(|_| seconds > 0.0).map_or(0.0, |then| ((now - then) as f64 / seconds).max(0.0))
        };
        let at = |sums: &BTreeMap<String, i64>, topic: &str| sums.get(topic).copied().unwrap_or(0);
        let records = |topic: &str| at(&self.ends, topic) - at(&self.first, topic);
        let all = topology.components();
        let of = |topic: &str, named: fn(&Component<'_>) -> Vec<String>| {
            let names = all.iter().filter(|component| named(component).iter().any(|name| name == topic));
            names.map(|component| component.name.to_owned()).collect()
        };
        let topic = |topic: &Topic| TopicState {
            name: topic.name.clone(),
            records: records(&topic.name),
            rate: rate(at(&self.ends, &topic.name), before.and_then(|before| before.ends.get(&topic.name)).copied()),
            writers: of(&topic.name, |component| topics(&component.writes)),
            readers: of(&topic.name, |component| topics(&component.reads)),
        };
        let taken = self.taken();
        let components = all.iter().map(|component| {
            let name = component.name;
            let group = self.groups.iter().find(|group| group.group == name);
            let then = before.and_then(|before| before.taken.get(name)).copied();
            let is_restoring = |group: &GroupStatus| {
                group.members.iter().any(|member| member.restoring_percent.as_ref().is_some_and(|of| !of.is_empty()))
            };
            let holds =
                |group: &GroupStatus| group.members.iter().filter(|member| !member.partitions.is_empty()).count();
            ComponentState {
                name: name.to_owned(),
                // One of the plural that the topology has.
                kind: component.kind.trim_end_matches('s'),
                inputs: topics(&component.reads),
                outputs: topics(&component.writes),
                lag: group.map(|group| group.lag_records),
                rate: group.map(|_| rate(at(&taken, name), then)),
                lanes: group.map(holds),
                members: group.map(|group| group.members.len()),
                snapshot_age_s: group.and_then(|group| group.snapshot_age_ms).map(|age_ms| age_ms / 1_000),
                restoring: group.map(is_restoring),
            }
        });
        let letters = topology.topics.iter().filter_map(Topic::dead_letter_topic);
        let dead_letters = letters.map(|topic| DeadLetters { records: records(&topic), topic });
        Pipeline {
            at_ms: now_ms(),
            topics: topology.topics.iter().map(topic).collect(),
            components: components.collect(),
            dead_letters: dead_letters.filter(|letters| letters.records > 0).collect(),
        }
    }
}

/// The topics of what a component reads or writes.
fn topics(named: &[(&str, &str)]) -> Vec<String> {
    named.iter().map(|(_, topic)| (*topic).to_owned()).collect()
}

/// The pipeline: topics, components, dead letters.
#[utoipa::path(
    get,
    path = "/v1/pipeline",
    tag = "gateway",
    security(("bearer" = [])),
    responses((status = 200, description = "As it is now.", body = Pipeline), NeedsLogIn, AnyProblem)
)]
async fn pipeline(State(gateway): State<Arc<Gateway>>, _: Allowed<ToOperate>) -> Result<Json<Pipeline>, Problem> {
    seen(&gateway).await.map(Json)
}

async fn seen(gateway: &Arc<Gateway>) -> Result<Pipeline, Problem> {
    let asked = Arc::clone(gateway);
    let looked = tokio::task::spawn_blocking(move || asked.pipeline.look()).await;
    let why = match looked {
        Ok(Ok(seen)) => return Ok(seen),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => error.to_string(),
    };
    Err(Problem::new(503, "kafka_away", "Kafka is away", format!("the pipeline can't be seen: {why}")).retry_after(1))
}

/// Shows the pipeline to sessions, while any of them watches.
pub async fn show(gateway: Arc<Gateway>) {
    #[derive(Serialize)]
    struct Message {
        r#type: &'static str,
        #[serde(flatten)]
        pipeline: Pipeline,
    }
    loop {
        tokio::time::sleep(LOOK).await;
        if gateway.hub.pipeline.subscribers().is_empty() {
            continue;
        }
        if let Ok(pipeline) = seen(&gateway).await
            && let Ok(text) = serde_json::to_string(&Message { r#type: "pipeline", pipeline })
        {
            gateway.hub.show_pipeline(text.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapeline_kafka::app::load_topology;
    use tapeline_kafka::groups::PartitionStatus;

    fn group(name: &str, end_offset: i64, lag_records: i64) -> GroupStatus {
        let partition = PartitionStatus {
            topic: "orders".into(),
            partition: 0,
            held_by: None,
            committed_offset: None,
            end_offset,
            lag_records,
            oldest_unread_age_ms: None,
        };
        GroupStatus {
            group: name.into(),
            state: "Stable".into(),
            epoch: Some(1),
            members: Vec::new(),
            partitions: vec![partition],
            lag_records,
            oldest_unread_age_ms: None,
            snapshot_age_ms: Some(61_500),
        }
    }

    #[test]
    fn rates_come_from_two_looks_and_records_from_one() {
        let sums = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, sum)| ((*name).to_owned(), *sum)).collect();
        let found = Found {
            first: sums(&[("orders", 100)]),
            ends: sums(&[("orders", 500), ("orders.dlq", 3)]),
            groups: vec![group("validator", 500, 50)],
        };
        let topology = load_topology().expect("the topology");
        let orders =
            |seen: &Pipeline| seen.topics.iter().find(|topic| topic.name == "orders").cloned().expect("orders");
        let first = found.pipeline(&topology, None);
        assert_eq!((orders(&first).records, orders(&first).rate), (400, 0.0));
        assert_eq!(orders(&first).readers, ["validator", "clickhouse"]);
        assert_eq!(first.dead_letters, [DeadLetters { topic: "orders.dlq".into(), records: 3 }]);
        let earlier = Instant::now().checked_sub(Duration::from_secs(10)).expect("the clock runs for longer");
        let before = Before { at: earlier, ends: sums(&[("orders", 400)]), taken: sums(&[("validator", 350)]) };
        let second = found.pipeline(&topology, Some(&before));
        assert!((orders(&second).rate - 10.0).abs() < 0.5, "{}", orders(&second).rate);
        let validator = second.components.iter().find(|of| of.name == "validator").expect("the validator");
        assert_eq!((validator.lag, validator.snapshot_age_s, validator.kind), (Some(50), Some(61), "processor"));
        assert!(validator.rate.is_some_and(|rate| (rate - 10.0).abs() < 0.5), "{validator:?}");
    }
}
