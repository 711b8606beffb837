//! Offsets and times of many partitions at once, one request to each leader.

use super::{Cluster, ProtocolError, accepted, topic_name};
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequest;
use std::collections::BTreeMap;

const LIST_OFFSETS_VERSION: i16 = 7;
/// A request of a client, not of a replica.
const CLIENT: BrokerId = BrokerId(-1);

/// Which offset of a partition is asked for; the numbers are the protocol's (ListOffsets, `timestamp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetOf {
    /// The first that is still there.
    Earliest = -2,
    /// The one after the last record or marker, those of open transactions included.
    End = -1,
    /// The record with the newest timestamp.
    NewestTimestamp = -3,
}

/// An offset and, where it is that of a record, its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAndTime {
    /// Offset; -1 if the partition holds no record.
    pub offset: i64,
    /// Milliseconds since the Unix epoch; -1 if the answer has none.
    pub timestamp_ms: i64,
}

impl Cluster {
    /// All topics with their number of partitions, Kafka's own included.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn topics(&mut self) -> Result<BTreeMap<String, i32>, ProtocolError> {
        let answer = self.ask_any(super::METADATA_VERSION, &MetadataRequest::default().with_topics(None))?;
        let counted = answer.topics.iter().filter_map(|topic| {
            let name = topic.name.as_ref()?;
            Some((name.to_string(), topic.partitions.len() as i32))
        });
        Ok(counted.collect())
    }

    /// An offset of each partition of `topics`; topics that do not exist are left out.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn offsets(
        &mut self,
        topics: &[String],
        which: OffsetOf,
    ) -> Result<BTreeMap<(String, i32), OffsetAndTime>, ProtocolError> {
        let mut by_leader: BTreeMap<String, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
        for ((topic, partition), leader) in self.leaders(topics)? {
            by_leader.entry(leader).or_default().entry(topic).or_default().push(partition);
        }
        let mut offsets = BTreeMap::new();
        for (leader, topics) in by_leader {
            let wanted = topics.into_iter().map(|(topic, partitions)| {
                let partition = |index| {
                    let wanted = ListOffsetsPartition::default().with_partition_index(index);
                    wanted.with_current_leader_epoch(-1).with_timestamp(which as i64)
                };
                ListOffsetsTopic::default()
                    .with_name(topic_name(&topic))
                    .with_partitions(partitions.into_iter().map(partition).collect())
            });
            let request = ListOffsetsRequest::default().with_replica_id(CLIENT).with_topics(wanted.collect());
            for topic in self.ask(&leader, LIST_OFFSETS_VERSION, &request)?.topics {
                for found in topic.partitions {
                    accepted(
                        format!("offsets of {}-{}", topic.name.as_str(), found.partition_index),
                        found.error_code,
                    )?;
                    let at = (topic.name.to_string(), found.partition_index);
                    offsets.insert(at, OffsetAndTime { offset: found.offset, timestamp_ms: found.timestamp });
                }
            }
        }
        Ok(offsets)
    }
}
