//! The consumer group of each processor and sink: members, what they hold, and lag in records and in time.

use crate::protocol::{Cluster, Group, OffsetAndTime, OffsetOf};
use crate::{append_times, http_of};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::metrics::{RESTORE_PROGRESS, samples};
use tapeline_runtime::topology::Topology;
use tapeline_runtime::wall_clock::now_ms;

/// A group's state where there is none: its component never ran.
const NEVER_JOINED: &str = "None";
/// How long a process may take to say how far its restores are: it may stand still, or be out of reach from here.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// Its name, which is the component's.
    pub group: String,
    /// `Stable`, `Reconciling`, `Assigning` or `Empty`, as Kafka has it; `None` if the component never ran.
    pub state: String,
    /// Counts the changes of members and topics.
    pub epoch: Option<i32>,
    /// Members.
    pub members: Vec<MemberStatus>,
    /// All partitions of the component's inputs, but for those that every task reads.
    pub partitions: Vec<PartitionStatus>,
    /// Sum of the partitions' lags.
    pub lag_records: i64,
    /// Age of the oldest unread record, by this machine's clock; `None` if there is none.
    pub oldest_unread_age_ms: Option<i64>,
    /// Age of the newest record in `<component>.snapshots`, of the partition where it is oldest; `None` without one.
    pub snapshot_age_ms: Option<i64>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    /// `group.instance.id`: `<component>-<TAPELINE_INSTANCE>-<lane>`.
    pub instance_id: Option<String>,
    /// Kafka's name for this life of it.
    pub member_id: String,
    /// Where it connects from.
    pub host: String,
    /// Epoch of the assignment that it has taken; -2 if it has left and its place is kept for it.
    pub epoch: i32,
    /// Partitions that it holds, by topic.
    pub partitions: BTreeMap<String, Vec<i32>>,
    /// Partitions that it is restoring, with how much of that is done, as its process says; `None` if it was not reached or
    /// is a sink's.
    pub restoring_percent: Option<BTreeMap<i32, u8>>,
}

/// A partition of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The member that holds it, by its instance id (else its member id).
    pub held_by: Option<String>,
    /// The group's committed offset.
    pub committed_offset: Option<i64>,
    /// Offset after the last record or marker.
    pub end_offset: i64,
    /// Offsets not yet taken, as Kafka's tools count them: a transaction's marker is one.
    pub lag_records: i64,
    /// Age of the first record that was not taken; `None` if only markers are left.
    pub oldest_unread_age_ms: Option<i64>,
}

/// The groups in the order of the topology.
///
/// # Errors
/// If Kafka does not answer.
pub fn groups(cluster: &mut Cluster, topology: &Topology, addresses: &Addresses) -> Result<Vec<GroupStatus>> {
    let processors = topology.processors.iter().map(|processor| (&processor.name, &processor.inputs));
    let sinks = topology.sinks.iter().map(|sink| (&sink.name, &sink.inputs));
    let on_broker = cluster.topics()?;
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
    let mut all = Vec::new();
    for (name, inputs) in processors.chain(sinks) {
        let existing: Vec<String> = inputs.iter().filter(|input| on_broker.contains_key(*input)).cloned().collect();
        let ends = cluster.offsets(&existing, OffsetOf::End)?;
        let first = cluster.offsets(&existing, OffsetOf::Earliest)?;
        let group = cluster.group(name)?;
        let counted: Vec<(String, i32)> = existing.iter().map(|topic| (topic.clone(), on_broker[topic])).collect();
        let committed = if group.is_some() { cluster.committed(name, &counted)? } else { BTreeMap::new() };
        let mut partitions = partitions(group.as_ref(), &committed, &first, &ends);
        set_ages(&mut partitions, addresses)?;
        let snapshots = format!("{name}.snapshots");
        let snapshots = cluster.offsets(&[snapshots], OffsetOf::NewestTimestamp)?;
        let mut members: Vec<MemberStatus> = group.iter().flat_map(members).collect();
        set_restores(&client, name, group.as_ref(), &mut members);
        all.push(GroupStatus {
            group: name.clone(),
            state: group.as_ref().map_or_else(|| NEVER_JOINED.to_owned(), |group| group.state.clone()),
            epoch: group.as_ref().map(|group| group.epoch),
            members,
            lag_records: partitions.iter().map(|partition| partition.lag_records).sum(),
            oldest_unread_age_ms: partitions.iter().filter_map(|partition| partition.oldest_unread_age_ms).max(),
            snapshot_age_ms: newest(&snapshots).map(|newest_ms| (now_ms() - newest_ms).max(0)),
            partitions,
        });
    }
    Ok(all)
}

/// The newest record's time, of the partition where that is oldest; partitions without a record do not count.
fn newest(times: &BTreeMap<(String, i32), OffsetAndTime>) -> Option<i64> {
    times.values().map(|newest| newest.timestamp_ms).filter(|timestamp_ms| *timestamp_ms >= 0).min()
}

/// Asks the members' processes how far their restores are. Client ids tell where they serve HTTP.
fn set_restores(
    client: &reqwest::blocking::Client,
    component: &str,
    group: Option<&Group>,
    members: &mut [MemberStatus],
) {
    for known in group.into_iter().flat_map(|group| &group.members) {
        let Some(http) = http_of(&known.client_id, &known.host) else { continue };
        let answer = client.get(format!("http://{http}/metrics")).send().and_then(reqwest::blocking::Response::text);
        let member = members.iter_mut().find(|member| member.member_id == known.member_id);
        if let (Some(member), Ok(metrics)) = (member, answer) {
            member.restoring_percent = Some(restoring(component, &metrics));
        }
    }
}

/// Partitions whose restore is not done, from a process's metrics.
fn restoring(component: &str, metrics: &str) -> BTreeMap<i32, u8> {
    let of_component = samples(metrics, RESTORE_PROGRESS).filter(|sample| sample.label("component") == Some(component));
    let in_progress = of_component.filter(|sample| sample.value < 1.0);
    in_progress
        .filter_map(|sample| Some((sample.label("partition")?.parse().ok()?, (sample.value * 100.0) as u8)))
        .collect()
}

fn members(group: &Group) -> Vec<MemberStatus> {
    let member = |member: &crate::protocol::Member| MemberStatus {
        instance_id: member.instance_id.clone(),
        member_id: member.member_id.clone(),
        host: member.host.clone(),
        epoch: member.epoch,
        partitions: member.partitions.clone(),
        restoring_percent: None,
    };
    let mut members: Vec<MemberStatus> = group.members.iter().map(member).collect();
    members.sort_by(|one, other| one.instance_id.cmp(&other.instance_id));
    members
}

fn partitions(
    group: Option<&Group>,
    committed: &BTreeMap<(String, i32), i64>,
    first: &BTreeMap<(String, i32), OffsetAndTime>,
    ends: &BTreeMap<(String, i32), OffsetAndTime>,
) -> Vec<PartitionStatus> {
    let holder = |topic: &str, partition: i32| {
        let mut members = group.into_iter().flat_map(|group| &group.members);
        let holds = |partitions: &Vec<i32>| partitions.contains(&partition);
        let holder = members.find(|member| member.partitions.get(topic).is_some_and(holds))?;
        Some(holder.instance_id.clone().unwrap_or_else(|| holder.member_id.clone()))
    };
    let status = |(at, end): (&(String, i32), &OffsetAndTime)| {
        let committed_offset = committed.get(at).copied();
        let first_offset = first.get(at).map_or(0, |first| first.offset);
        PartitionStatus {
            topic: at.0.clone(),
            partition: at.1,
            held_by: holder(&at.0, at.1),
            committed_offset,
            end_offset: end.offset,
            lag_records: (end.offset - committed_offset.unwrap_or(first_offset).max(first_offset)).max(0),
            oldest_unread_age_ms: None,
        }
    };
    ends.iter().map(status).collect()
}

fn set_ages(partitions: &mut [PartitionStatus], addresses: &Addresses) -> Result<()> {
    let lagging: Vec<(String, i32, i64)> = partitions
        .iter()
        .filter(|partition| partition.lag_records > 0)
        .map(|partition| (partition.topic.clone(), partition.partition, partition.end_offset - partition.lag_records))
        .collect();
    let times = append_times(&addresses.kafka, &lagging)?;
    // Looked at now, and not before: most of them were appended in between.
    let now_ms = now_ms();
    for partition in partitions {
        let time_ms = times.get(&(partition.topic.clone(), partition.partition));
        partition.oldest_unread_age_ms = time_ms.map(|time_ms| (now_ms - time_ms).max(0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Member;

    fn at(offset: i64) -> OffsetAndTime {
        OffsetAndTime { offset, timestamp_ms: -1 }
    }

    #[test]
    fn lag_counts_from_the_committed_offset_or_from_the_first_that_is_left() {
        let key = |partition| ("orders".to_owned(), partition);
        let ends = BTreeMap::from([(key(0), at(100)), (key(1), at(50)), (key(2), at(70)), (key(3), at(9))]);
        let first = BTreeMap::from([(key(0), at(0)), (key(1), at(20)), (key(2), at(60)), (key(3), at(0))]);
        let committed = BTreeMap::from([(key(0), 90), (key(2), 10), (key(3), 9)]);
        let member = Member {
            member_id: "m".into(),
            instance_id: Some("validator-a-0".into()),
            client_id: "validator".into(),
            host: "/127.0.0.1".into(),
            epoch: 2,
            partitions: BTreeMap::from([("orders".to_owned(), vec![0, 3])]),
        };
        let group = Group { state: "Stable".into(), epoch: 2, assignor: "range".into(), members: vec![member] };
        let found: Vec<(i64, Option<String>)> = partitions(Some(&group), &committed, &first, &ends)
            .into_iter()
            .map(|partition| (partition.lag_records, partition.held_by))
            .collect();
        let held = Some("validator-a-0".to_owned());
        assert_eq!(found, [(10, held.clone()), (30, None), (10, None), (0, held)]);
    }

    #[test]
    fn restores_that_are_not_done_are_read_from_metrics() {
        let metrics = "tapeline_restore_progress_ratio{component=\"validator\",partition=\"0\"} 1\n\
                       tapeline_restore_progress_ratio{component=\"validator\",partition=\"2\"} 0.25\n\
                       tapeline_restore_progress_ratio{component=\"executor\",partition=\"3\"} 0\n";
        assert_eq!(restoring("validator", metrics), BTreeMap::from([(2, 25)]));
        assert_eq!(restoring("executor", metrics), BTreeMap::from([(3, 0)]));
        assert_eq!(restoring("settler", metrics), BTreeMap::new());
    }

    #[test]
    fn the_snapshot_age_is_that_of_the_partition_furthest_behind() {
        let time = |timestamp_ms| OffsetAndTime { offset: 5, timestamp_ms };
        let key = |partition| ("validator.snapshots".to_owned(), partition);
        let times = BTreeMap::from([(key(0), time(900)), (key(1), time(700)), (key(2), time(-1))]);
        assert_eq!(newest(&times), Some(700));
        assert_eq!(newest(&BTreeMap::new()), None);
    }
}
