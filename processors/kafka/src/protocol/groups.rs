//! Consumer groups under KIP-848: who is in them and what they hold, and releasing the place of a static member.

use super::{Cluster, Coordinator, ProtocolError, accepted, patiently};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::consumer_group_describe_response::{DescribedGroup, Member as DescribedMember};
use kafka_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

const DESCRIBE_VERSION: i16 = 0;
const HEARTBEAT_VERSION: i16 = 1;
const OFFSET_FETCH_VERSION: i16 = 8;
/// The epoch by which a static member leaves for a while: it keeps its partitions until its session ends (KIP-848).
const STATIC_MEMBER_LEAVES: i32 = -2;

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `Stable`, `Reconciling`, `Assigning` or `Empty`.
    pub state: String,
    /// Counts the changes of members and topics.
    pub epoch: i32,
    /// Server-side assignor.
    pub assignor: String,
    /// Members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its own name for itself, new for each life of a process.
    pub member_id: String,
    /// `group.instance.id`, the same over restarts.
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Epoch of the assignment that it has taken; -2 if it has left for a while.
    pub epoch: i32,
    /// Partitions that it holds, by topic.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

impl Cluster {
    /// A group; `None` if there is none of this name, or it does not speak the KIP-848 protocol.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn group(&mut self, name: &str) -> Result<Option<Group>, ProtocolError> {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group_id(name)]);
        let described = patiently(|| {
            let coordinator = self.coordinator(Coordinator::Group, name)?;
            let answer = self.ask(&coordinator, DESCRIBE_VERSION, &request)?;
            let Some(group) = answer.groups.into_iter().next() else { return Ok(None) };
            accepted(format!("describing the group {name}"), group.error_code)?;
            Ok(Some(group))
        });
        match described {
            Err(error) if error.is(ResponseError::GroupIdNotFound) => Ok(None),
            described => Ok(described?.map(group)),
        }
    }

    /// Ends the membership that a former life under `instance_id` left, so that the next one gets its partitions at
    /// once and not after the session's time-out. If that life still goes on, it is fenced by this. Tells whether there
    /// was one.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn release_instance(&mut self, group_name: &str, instance_id: &str) -> Result<bool, ProtocolError> {
        let group = self.group(group_name)?;
        let mut members = group.into_iter().flat_map(|group| group.members);
        let holder = members.find(|member| member.instance_id.as_deref() == Some(instance_id));
        let Some(holder) = holder.filter(|member| member.epoch != STATIC_MEMBER_LEAVES) else { return Ok(false) };
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group_id(group_name))
            .with_member_id(StrBytes::from(holder.member_id))
            .with_member_epoch(STATIC_MEMBER_LEAVES)
            .with_instance_id(Some(StrBytes::from(instance_id.to_owned())))
            .with_rebalance_timeout_ms(-1)
            .with_topic_partitions(None)
            .with_subscribed_topic_names(None);
        let released = patiently(|| {
            let coordinator = self.coordinator(Coordinator::Group, group_name)?;
            let answer = self.ask(&coordinator, HEARTBEAT_VERSION, &request)?;
            accepted(format!("releasing {instance_id} in the group {group_name}"), answer.error_code)
        });
        match released {
            // Its session has ended in between.
            Err(error) if error.is(ResponseError::UnknownMemberId) => Ok(false),
            released => released.map(|()| true),
        }
    }

    /// Committed offsets of a group in `topics` (name and number of partitions); a partition without one is left out.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn committed(
        &mut self,
        group_name: &str,
        topics: &[(String, i32)],
    ) -> Result<BTreeMap<(String, i32), i64>, ProtocolError> {
        let wanted = topics.iter().map(|(name, partitions)| {
            OffsetFetchRequestTopics::default()
                .with_name(super::topic_name(name))
                .with_partition_indexes((0..*partitions).collect())
        });
        let of_group =
            OffsetFetchRequestGroup::default().with_group_id(group_id(group_name)).with_topics(Some(wanted.collect()));
        let request = OffsetFetchRequest::default().with_groups(vec![of_group]);
        let what = format!("offsets of the group {group_name}");
        patiently(|| {
            let coordinator = self.coordinator(Coordinator::Group, group_name)?;
            let answer = self.ask(&coordinator, OFFSET_FETCH_VERSION, &request)?;
            let mut offsets = BTreeMap::new();
            for group in &answer.groups {
                accepted(&what, group.error_code)?;
                for topic in &group.topics {
                    for partition in &topic.partitions {
                        accepted(&what, partition.error_code)?;
                        if partition.committed_offset >= 0 {
                            let at = (topic.name.to_string(), partition.partition_index);
                            offsets.insert(at, partition.committed_offset);
                        }
                    }
                }
            }
            Ok(offsets)
        })
    }
}

fn group_id(name: &str) -> GroupId {
    GroupId(StrBytes::from(name.to_owned()))
}

fn group(described: DescribedGroup) -> Group {
    Group {
        state: described.group_state.to_string(),
        epoch: described.group_epoch,
        assignor: described.assignor_name.to_string(),
        members: described.members.iter().map(member).collect(),
    }
}

fn member(described: &DescribedMember) -> Member {
    let partitions = described.assignment.topic_partitions.iter();
    Member {
        member_id: described.member_id.to_string(),
        instance_id: described.instance_id.as_ref().map(ToString::to_string),
        client_id: described.client_id.to_string(),
        host: described.client_host.to_string(),
        epoch: described.member_epoch,
        partitions: partitions.map(|topic| (topic.topic_name.to_string(), topic.partitions.clone())).collect(),
    }
}
