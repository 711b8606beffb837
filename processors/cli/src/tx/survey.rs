//! All open transactions: what the coordinators know, joined with what the partitions hold.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tapeline_kafka::protocol::{Cluster, OpenProducer, ProtocolError, Transaction};

/// A coordinator looks for transactions past their time-out every 10 s; one that is older than that by more is stuck.
const COORDINATOR_GRACE_MS: i64 = 30_000;
/// The coordinators' own topic holds no transactions' records.
const COORDINATORS_TOPIC: &str = "__transaction_state";

/// A transaction whose records wait for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenTransaction {
    /// Transactional id; `None` if no coordinator knows the producer.
    pub transactional_id: Option<String>,
    /// The coordinator's word for its state, or `Unknown` if no coordinator knows of it.
    pub state: String,
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// How long it is open (for one without coordinator: since its last record), by this machine's clock.
    pub age_ms: Option<i64>,
    /// After this time the coordinator aborts it.
    pub timeout_ms: Option<i32>,
    /// Where it has written.
    pub partitions: Vec<OpenPartition>,
    /// Why nobody will end it, if that is so.
    pub hanging: Option<String>,
    /// What to end it by.
    #[serde(skip)]
    pub(super) origin: Origin,
}

/// Whose word there is for a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Coordinator(Transaction),
    Partition(OpenProducer),
}

/// A partition with records of an open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset of its first record there; `None` if it has only announced itself.
    pub start_offset: Option<i64>,
}

impl fmt::Display for OpenPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start_offset {
            Some(offset) => write!(f, "{}-{}:{offset}", self.topic, self.partition),
            None => write!(f, "{}-{}", self.topic, self.partition),
        }
    }
}

/// Open transactions, the oldest first.
///
/// # Errors
/// If Kafka is away or refuses.
pub fn survey(cluster: &mut Cluster) -> Result<Vec<OpenTransaction>, ProtocolError> {
    let mut topics: Vec<String> = cluster.topics()?.into_keys().collect();
    topics.retain(|topic| topic != COORDINATORS_TOPIC);
    let before = cluster.open_producers(&topics)?;
    let known = cluster.transactions()?;
    // Looked at again: one that was ended in between looks as if no coordinator knew of it.
    let suspects: BTreeSet<String> =
        before.iter().filter(|open| owner(&known, open).is_none()).map(|open| open.topic.clone()).collect();
    let suspects: Vec<String> = suspects.into_iter().collect();
    let after = if suspects.is_empty() { Vec::new() } else { cluster.open_producers(&suspects)? };
    let is_left = |open: &OpenProducer| owner(&known, open).is_some() || after.iter().any(|left| same(open, left));
    let open: Vec<OpenProducer> = before.into_iter().filter(is_left).collect();
    Ok(join(&known, &open, crate::demo::now_ms()))
}

fn same(one: &OpenProducer, other: &OpenProducer) -> bool {
    let key = |open: &OpenProducer| (open.producer_id, open.topic.clone(), open.partition, open.start_offset);
    key(one) == key(other)
}

/// The open transaction that these records belong to.
fn owner<'a>(known: &'a [Transaction], open: &OpenProducer) -> Option<&'a Transaction> {
    known.iter().find(|one| {
        let holds = one.partitions.get(&open.topic).is_some_and(|partitions| partitions.contains(&open.partition));
        one.is_open() && one.producer_id == open.producer_id && holds
    })
}

fn join(known: &[Transaction], open: &[OpenProducer], now_ms: i64) -> Vec<OpenTransaction> {
    let starts: BTreeMap<(i64, &str, i32), i64> =
        open.iter().map(|open| ((open.producer_id, open.topic.as_str(), open.partition), open.start_offset)).collect();
    let mut all: Vec<OpenTransaction> =
        known.iter().filter(|one| one.is_open()).map(|one| coordinated(one, &starts, now_ms)).collect();
    all.extend(open.iter().filter(|open| owner(known, open).is_none()).map(|open| orphan(open, known, now_ms)));
    all.sort_by_key(|one| std::cmp::Reverse(one.age_ms));
    all
}

fn coordinated(one: &Transaction, starts: &BTreeMap<(i64, &str, i32), i64>, now_ms: i64) -> OpenTransaction {
    let age_ms = one.started_at_ms.map(|start_ms| (now_ms - start_ms).max(0));
    let overdue = age_ms.is_some_and(|age_ms| age_ms > i64::from(one.timeout_ms) + COORDINATOR_GRACE_MS);
    let partitions = one.partitions.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(|partition| OpenPartition {
            topic: topic.clone(),
            partition: *partition,
            start_offset: starts.get(&(one.producer_id, topic.as_str(), *partition)).copied(),
        })
    });
    OpenTransaction {
        transactional_id: Some(one.id.clone()),
        state: one.state.clone(),
        producer_id: one.producer_id,
        producer_epoch: one.producer_epoch,
        age_ms,
        timeout_ms: Some(one.timeout_ms),
        partitions: partitions.collect(),
        hanging: overdue.then(|| "older than its time-out".to_owned()),
        origin: Origin::Coordinator(one.clone()),
    }
}

/// Records of a transaction that no coordinator will end.
fn orphan(open: &OpenProducer, known: &[Transaction], now_ms: i64) -> OpenTransaction {
    let producer = known.iter().find(|one| one.producer_id == open.producer_id);
    OpenTransaction {
        transactional_id: producer.map(|one| one.id.clone()),
        state: "Unknown".into(),
        producer_id: open.producer_id,
        producer_epoch: open.producer_epoch,
        age_ms: Some((now_ms - open.last_timestamp_ms).max(0)),
        timeout_ms: None,
        partitions: vec![OpenPartition {
            topic: open.topic.clone(),
            partition: open.partition,
            start_offset: Some(open.start_offset),
        }],
        hanging: Some("no coordinator knows of it".into()),
        origin: Origin::Partition(open.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn known(id: &str, state: &str, producer_id: i64, started_ago_ms: i64, partitions: &[i32]) -> Transaction {
        Transaction {
            id: id.into(),
            state: state.into(),
            producer_id,
            producer_epoch: 3,
            started_at_ms: Some(NOW_MS - started_ago_ms),
            timeout_ms: 60_000,
            partitions: BTreeMap::from([("orders".to_owned(), partitions.to_vec())]),
        }
    }

    fn open(producer_id: i64, partition: i32, start_offset: i64) -> OpenProducer {
        OpenProducer {
            topic: "orders".into(),
            partition,
            producer_id,
            producer_epoch: 3,
            coordinator_epoch: 0,
            start_offset,
            last_timestamp_ms: NOW_MS - 500,
        }
    }

    #[test]
    fn what_the_coordinators_and_the_partitions_say_is_joined() {
        let transactions = [
            known("fresh", "Ongoing", 1, 1_000, &[0, 1]),
            known("overdue", "Ongoing", 2, 90_001, &[2]),
            known("ended", "CompleteAbort", 3, 5_000, &[]),
            known("elsewhere", "Ongoing", 4, 2_000, &[0]),
        ];
        let producers = [open(1, 0, 17), open(2, 2, 40), open(3, 3, 50), open(4, 1, 60), open(9, 1, 70)];
        let rows: Vec<String> = join(&transactions, &producers, NOW_MS)
            .iter()
            .map(|one| {
                let partitions: Vec<String> = one.partitions.iter().map(ToString::to_string).collect();
                let (id, hanging) = (one.transactional_id.as_deref(), one.hanging.as_deref());
                let (id, hanging) = (id.unwrap_or("-"), hanging.unwrap_or("-"));
                format!("{id} {} {} {} {hanging}", one.state, one.age_ms.unwrap_or(-1), partitions.join(","))
            })
            .collect();
        let expected = [
            "overdue Ongoing 90001 orders-2:40 older than its time-out",
            "elsewhere Ongoing 2000 orders-0 -",
            "fresh Ongoing 1000 orders-0:17,orders-1 -",
            "ended Unknown 500 orders-3:50 no coordinator knows of it",
            "elsewhere Unknown 500 orders-1:60 no coordinator knows of it",
            "- Unknown 500 orders-1:70 no coordinator knows of it",
        ];
        assert_eq!(rows, expected);
    }
}
