//! What a lane does before it writes in its component's name: its producer takes over the transactional id, and producers
//! whose member the group has given up are fenced. A paused process that wakes up after its partitions moved can't write
//! one record, and what a killed one left open is aborted at once, not after the transaction's time-out.
//!
//! Kafka can't be trusted to have aborted it: while no broker leads a partition (seen in 4.3.1 with a single broker that its
//! controller had fenced for a moment), the transaction's coordinator takes the partition for a deleted one and completes
//! the transaction without the marker there. The records then stand open, and the next commit of the same producer id
//! would commit them too. So the partitions are asked, and a marker that is missing is written.
//!
//! Not covered: a marker that is lost while its producer lives on. A commit that follows makes the first one whole; an
//! abort that follows means a new life of the lane, and both are aborted.

use crate::protocol::{Cluster, Group, Marker, OpenProducer, ProtocolError, Transaction};
use kafka_protocol::error::ResponseError;
use std::collections::BTreeMap;

/// How often a producer without a member is fenced that goes on in between, before the lane is built anew.
const FENCE_ATTEMPTS: usize = 10;

/// A lane that is about to write.
pub(crate) struct Successor<'a> {
    /// The processor.
    pub(crate) component: &'a str,
    /// Its transactional id.
    pub(crate) name: &'a str,
    /// All topics that transactions of the component touch.
    pub(crate) topics: &'a [String],
}

/// Ends all that former lives of `successor` and producers without a member have left open. The caller is a member of the
/// group by now; `transactions` is what there was before its producer took over the transactional id, which it has just
/// done if `claimed`.
///
/// Transactions are looked at first and members second: a process joins its group before it takes over its transactional
/// id, so a producer that is seen without a member has lost it. One that has changed hands in between is left alone.
pub(crate) fn end_what_is_left(
    cluster: &mut Cluster,
    successor: &Successor<'_>,
    transactions: &[Transaction],
    claimed: bool,
) -> Result<(), ProtocolError> {
    let own = transactions.iter().filter(|seen| claimed && seen.id == successor.name);
    let mut ended: BTreeMap<i64, Marker> = own.map(|seen| (seen.producer_id, end_of(seen))).collect();
    let group = cluster.group(successor.component)?;
    for seen in absent(successor.component, transactions, group.as_ref()) {
        if let Some(fenced) = fence_absent(cluster, successor.component, seen)? {
            tracing::info!(
                component = successor.component,
                transactional_id = fenced.id,
                "fenced: its member is not in the group"
            );
            ended.insert(fenced.producer_id, end_of(&fenced));
        }
    }
    write_missing_markers(cluster, successor.topics, &ended)
}

/// Fences a producer whose member is not in the group, and tells how it stood then; `None` if the transactional id has a member
/// again. Each transaction that it ends in between gives it another epoch, and to fence the former one does nothing: then it
/// is looked at once more. It does not go on for long, as the group refuses its offsets.
fn fence_absent(
    cluster: &mut Cluster,
    component: &str,
    seen: &Transaction,
) -> Result<Option<Transaction>, ProtocolError> {
    let mut seen = seen.clone();
    for _ in 0..FENCE_ATTEMPTS {
        if cluster.fence(&seen)? {
            return Ok(Some(seen));
        }
        let transactions = cluster.transactions()?;
        let group = cluster.group(component)?;
        let Some(now) = absent(component, &transactions, group.as_ref()).into_iter().find(|now| now.id == seen.id)
        else {
            return Ok(None);
        };
        seen = now.clone();
    }
    Err(ProtocolError::Refused { what: format!("fencing {}", seen.id), code: ResponseError::ConcurrentTransactions })
}

/// `ended`: producer ids that have no transaction any more as their coordinator sees it, and how their last one ended.
fn write_missing_markers(
    cluster: &mut Cluster,
    topics: &[String],
    ended: &BTreeMap<i64, Marker>,
) -> Result<(), ProtocolError> {
    if ended.is_empty() {
        return Ok(());
    }
    for open in cluster.all_open_producers(topics)? {
        let Some(marker) = ended.get(&open.producer_id) else { continue };
        let OpenProducer { topic, partition, producer_id, start_offset, .. } = &open;
        tracing::warn!(
            topic,
            partition,
            producer_id,
            start_offset,
            ?marker,
            "Kafka had left out the end of a transaction: written now"
        );
        cluster.write_marker(&open, *marker)?;
    }
    Ok(())
}

/// How the coordinator ended a transaction, or does when it is fenced in this state.
fn end_of(seen: &Transaction) -> Marker {
    match seen.state.as_str() {
        "PrepareCommit" | "CompleteCommit" => Marker::Commit,
        _ => Marker::Abort,
    }
}

fn absent<'a>(component: &str, transactions: &'a [Transaction], group: Option<&Group>) -> Vec<&'a Transaction> {
    let prefix = format!("{component}-");
    let has_member = |id: &str| {
        let mut members = group.into_iter().flat_map(|group| &group.members);
        members.any(|member| member.instance_id.as_deref() == Some(id))
    };
    transactions.iter().filter(|seen| seen.id.starts_with(&prefix) && !has_member(&seen.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::{absent, end_of};
    use crate::protocol::{Group, Marker, Member, Transaction};
    use std::collections::BTreeMap;

    fn transaction(id: &str) -> Transaction {
        let (state, partitions) = ("Empty".to_owned(), BTreeMap::new());
        let (producer_id, producer_epoch, started_at_ms, timeout_ms) = (1, 0, None, 60_000);
        Transaction { id: id.into(), state, producer_id, producer_epoch, started_at_ms, timeout_ms, partitions }
    }

    fn member(instance_id: Option<&str>) -> Member {
        Member {
            member_id: "m".into(),
            instance_id: instance_id.map(str::to_owned),
            client_id: "c".into(),
            host: "/127.0.0.1".into(),
            epoch: 1,
            partitions: BTreeMap::new(),
        }
    }

    #[test]
    fn only_own_producers_without_a_member_are_absent() {
        let transactions =
            ["executor-a-0", "executor-b-0", "executor-b-1", "executors-a-0", "settler-a-0"].map(transaction);
        let members = vec![member(Some("executor-b-0")), member(None)];
        let group = Group { state: "Stable".into(), epoch: 1, assignor: "range".into(), members };
        let ids = |group: Option<&Group>| -> Vec<String> {
            absent("executor", &transactions, group).iter().map(|seen| seen.id.clone()).collect()
        };
        assert_eq!(ids(Some(&group)), ["executor-a-0", "executor-b-1"]);
        assert_eq!(ids(None), ["executor-a-0", "executor-b-0", "executor-b-1"]);
    }

    #[test]
    fn only_what_the_coordinator_had_decided_to_commit_is_committed() {
        let ends = |state: &str| end_of(&Transaction { state: state.into(), ..transaction("executor-a-0") });
        assert_eq!(["PrepareCommit", "CompleteCommit"].map(ends), [Marker::Commit; 2]);
        let aborted = ["Ongoing", "PrepareAbort", "PrepareEpochFence", "CompleteAbort", "Empty", "Dead"];
        assert_eq!(aborted.map(ends), [Marker::Abort; 6]);
    }
}
