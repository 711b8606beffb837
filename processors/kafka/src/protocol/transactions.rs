//! Transactions as their coordinators and the partitions' leaders see them; fencing a producer; ending by force what no
//! coordinator will end.

use super::{Cluster, Coordinator, Leaders, ProtocolError, accepted, patiently, topic_name};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use kafka_protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::list_transactions_request::ListTransactionsRequest;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use kafka_protocol::messages::{ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

const LIST_VERSION: i16 = 0;
const DESCRIBE_VERSION: i16 = 0;
const DESCRIBE_PRODUCERS_VERSION: i16 = 0;
const INIT_PRODUCER_ID_VERSION: i16 = 4;
const WRITE_MARKERS_VERSION: i16 = 1;
/// The coordinator's epoch where the partition has none on record, as Kafka's own tool has it.
const NO_COORDINATOR_YET: i32 = 0;

/// How a transaction ends on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// A transactional id and its newest transaction, as its coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Transactional id.
    pub id: String,
    /// `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort`, ...
    pub state: String,
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// When it began, milliseconds since the Unix epoch by the broker's clock; `None` if none is open.
    pub started_at_ms: Option<i64>,
    /// After this time, in milliseconds, the coordinator aborts it.
    pub timeout_ms: i32,
    /// Partitions that it has written to, by topic.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

impl Transaction {
    /// Whether records of it wait for their end.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "Ongoing" | "PrepareCommit" | "PrepareAbort")
    }
}

/// A producer with an open transaction on a partition, as the partition's leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenProducer {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Epoch of the coordinator that wrote the producer's last marker here.
    pub coordinator_epoch: i32,
    /// Offset of the transaction's first record here: a reader of committed records gets no further.
    pub start_offset: i64,
    /// Append or publish time of its last batch, milliseconds since the Unix epoch.
    pub last_timestamp_ms: i64,
}

impl Cluster {
    /// All transactional ids that the coordinators remember.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn transactions(&mut self) -> Result<Vec<Transaction>, ProtocolError> {
        let mut found = Vec::new();
        for broker in self.brokers()? {
            let listed = patiently(|| {
                let answer = self.ask(&broker, LIST_VERSION, &ListTransactionsRequest::default())?;
                accepted("listing transactions", answer.error_code)?;
                Ok(answer.transaction_states)
            })?;
            let ids: Vec<TransactionalId> = listed.into_iter().map(|state| state.transactional_id).collect();
            if ids.is_empty() {
                continue;
            }
            let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
            let answer = self.ask(&broker, DESCRIBE_VERSION, &request)?;
            // One that has moved or vanished in between is none of this broker's any more.
            found.extend(answer.transaction_states.iter().filter(|state| state.error_code == 0).map(transaction));
        }
        found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(found)
    }

    /// Fences the producer that `seen` shows and aborts its open transaction: the broker takes no record of it any more.
    /// Does nothing, and says `false`, if the transactional id has gone to another producer since.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn fence(&mut self, seen: &Transaction) -> Result<bool, ProtocolError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(StrBytes::from(seen.id.clone()))))
            .with_transaction_timeout_ms(seen.timeout_ms)
            .with_producer_id(ProducerId(seen.producer_id))
            .with_producer_epoch(seen.producer_epoch);
        // While it aborts an open transaction, the coordinator answers CONCURRENT_TRANSACTIONS.
        let fenced = patiently(|| {
            let coordinator = self.coordinator(Coordinator::Transaction, &seen.id)?;
            let answer = self.ask(&coordinator, INIT_PRODUCER_ID_VERSION, &request)?;
            accepted(format!("fencing {}", seen.id), answer.error_code)
        });
        match fenced {
            Err(error) if error.is(ResponseError::ProducerFenced) || error.is(ResponseError::InvalidProducerEpoch) => {
                Ok(false)
            }
            fenced => fenced.map(|()| true),
        }
    }

    /// Producers with an open transaction on a partition of `topics`; partitions that no broker leads now are left out.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn open_producers(&mut self, topics: &[String]) -> Result<Vec<OpenProducer>, ProtocolError> {
        let leaders = self.leaders(topics)?;
        self.open_at(leaders)
    }

    /// The same, but sees all partitions of `topics` or fails.
    ///
    /// # Errors
    /// See [`ProtocolError`].
    pub fn all_open_producers(&mut self, topics: &[String]) -> Result<Vec<OpenProducer>, ProtocolError> {
        patiently(|| {
            let leaders = self.all_leaders(topics)?;
            self.open_at(leaders)
        })
    }

    fn open_at(&mut self, leaders: Leaders) -> Result<Vec<OpenProducer>, ProtocolError> {
        let mut by_leader: BTreeMap<String, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
        for ((topic, partition), leader) in leaders {
            by_leader.entry(leader).or_default().entry(topic).or_default().push(partition);
        }
        let mut open = Vec::new();
        for (leader, topics) in by_leader {
            let wanted = topics.into_iter().map(|(topic, partitions)| {
                TopicRequest::default().with_name(topic_name(&topic)).with_partition_indexes(partitions)
            });
            let request = DescribeProducersRequest::default().with_topics(wanted.collect());
            let answer = self.ask(&leader, DESCRIBE_PRODUCERS_VERSION, &request)?;
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let what = format!("producers of {}-{}", topic.name.as_str(), partition.partition_index);
                    accepted(what, partition.error_code)?;
                    let open_here =
                        partition.active_producers.iter().filter(|producer| producer.current_txn_start_offset >= 0);
                    open.extend(open_here.map(|producer| OpenProducer {
                        topic: topic.name.to_string(),
                        partition: partition.partition_index,
                        producer_id: producer.producer_id.0,
                        producer_epoch: producer.producer_epoch as i16,
                        coordinator_epoch: producer.coordinator_epoch,
                        start_offset: producer.current_txn_start_offset,
                        last_timestamp_ms: producer.last_timestamp,
                    }));
                }
            }
        }
        open.sort_by_key(|producer| (producer.topic.clone(), producer.partition, producer.start_offset));
        Ok(open)
    }

    /// Writes the marker that no coordinator will write, as `kafka-transactions.sh abort` does.
    ///
    /// # Errors
    /// See [`ProtocolError`]; `InvalidProducerEpoch` if the producer has gone on in between.
    pub fn write_marker(&mut self, open: &OpenProducer, marker: Marker) -> Result<(), ProtocolError> {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic_name(&open.topic))
            .with_partition_indexes(vec![open.partition]);
        let writable = WritableTxnMarker::default()
            .with_producer_id(ProducerId(open.producer_id))
            .with_producer_epoch(open.producer_epoch)
            .with_transaction_result(marker == Marker::Commit)
            .with_coordinator_epoch(open.coordinator_epoch.max(NO_COORDINATOR_YET))
            .with_topics(vec![topic]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![writable]);
        let what = format!("the end marker of {}-{}", open.topic, open.partition);
        patiently(|| {
            let leader = self.leader_of(&open.topic, open.partition)?;
            let answer = self.ask(&leader, WRITE_MARKERS_VERSION, &request)?;
            let topics = answer.markers.iter().flat_map(|marker| &marker.topics);
            let mut results = topics.flat_map(|topic| &topic.partitions);
            results.try_for_each(|result| accepted(&what, result.error_code))
        })
    }
}

fn transaction(described: &TransactionState) -> Transaction {
    let topics = described.topics.iter().map(|topic| (topic.topic.to_string(), topic.partitions.clone()));
    Transaction {
        id: described.transactional_id.to_string(),
        state: described.transaction_state.to_string(),
        producer_id: described.producer_id.0,
        producer_epoch: described.producer_epoch,
        started_at_ms: Some(described.transaction_start_time_ms).filter(|start_ms| *start_ms >= 0),
        timeout_ms: described.transaction_timeout_ms,
        partitions: topics.collect(),
    }
}
