//! Fencing of producers whose member the group has given up: a paused process that wakes up after its partitions moved
//! can't write one record, and what a killed one left open is aborted at once, not after the transaction's time-out.

use crate::protocol::{Cluster, Group, ProtocolError, Transaction};

/// Fences all producers of `component` that belong to no member of its group. The caller is a member itself.
///
/// Transactions are looked at first and members second: a process joins its group before it takes over its transactional
/// id, so a producer that is seen without a member has lost it. One that has changed hands in between is left alone.
pub(crate) fn fence_the_absent(cluster: &mut Cluster, component: &str) -> Result<(), ProtocolError> {
    let transactions = cluster.transactions()?;
    let group = cluster.group(component)?;
    for seen in absent(component, &transactions, group.as_ref()) {
        if cluster.fence(seen)? {
            tracing::info!(component, transactional_id = seen.id, "fenced: its member is not in the group");
        }
    }
    Ok(())
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
    use super::absent;
    use crate::protocol::{Group, Member, Transaction};
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
}
