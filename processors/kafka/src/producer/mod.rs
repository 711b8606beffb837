//! A transactional producer that writes a transaction with the fewest requests that Kafka knows for it: one to each
//! broker that leads partitions of it, one for the group's offsets, one for its end (KIP-890's second transaction protocol,
//! in which the first request to a partition also adds it to the transaction).
//!
//! librdkafka 2.12 has the first protocol only, and asks for each partition by itself; the broker verifies each of them, one
//! after the other over the same connection. A transaction over four partitions took 15 ms, most of it in
//! these rounds. (Figures: docs/benchmarks.md. When librdkafka has both, this module can go.)
//!
//! Nothing is sent before the commit. What a transaction writes is numbered from zero on for each partition, in the epoch
//! that the end of the one before has given, so that a broker takes a request that is repeated after a lost connection once,
//! and one of a former transaction never. An error that is returned leaves the transaction's outcome open: whoever gets
//! one begins a new life with [`Producer::claim`], which ends what is open, and reads what was committed.
//!
//! What is absent: records outside transactions, several transactions at the same time, TLS and SASL (see
//! [`crate::protocol`]).

mod batch;

use crate::membership::Membership;
use crate::protocol::{Cluster, Coordinator, ProtocolError, accepted, present, topic_name};
use batch::{Batch, Identity};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_request::ApiVersionsRequest;
use kafka_protocol::messages::end_txn_request::EndTxnRequest;
use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tapeline_runtime::port::{OutView, PortError};
use tapeline_runtime::wall_clock::now_ms;
use tapeline_schemas::topic::partition_of;

/// How long a step of a transaction is repeated while brokers are away or busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an abort is: the coordinator does it by itself, but readers wait until then.
const PATIENCE_AT_ABORT: Duration = Duration::from_secs(5);
/// Pause before a step is repeated. A transaction that follows soon after another one is refused until the broker
/// has written that one's markers, a matter of a few milliseconds.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// After this time without an end the coordinator aborts a transaction.
const TRANSACTION_TIMEOUT_MS: i32 = 60_000;
/// How long a leader waits for its followers.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;
const ALL_IN_SYNC_REPLICAS: i16 = -1;
/// The feature of a cluster that this producer needs, and its level (KIP-890, KIP-1022).
const TRANSACTION_FEATURE: &str = "transaction.version";
const TRANSACTION_LEVEL: i16 = 2;
/// Versions of requests. From those of the last three the broker sees that the client knows the second protocol.
const API_VERSIONS_VERSION: i16 = 3;
const INIT_PRODUCER_ID_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 12;
const TXN_OFFSET_COMMIT_VERSION: i16 = 5;
const END_TXN_VERSION: i16 = 5;

/// Offsets of a consumer group that are committed with a transaction.
pub(crate) struct GroupOffsets<'a> {
    /// The group.
    pub(crate) group: &'a str,
    /// Its member's `group.instance.id`.
    pub(crate) instance: &'a str,
    /// The member itself: the coordinator refuses one that it has given up.
    pub(crate) member: &'a Membership,
    /// Topic, partition, and the next offset to be read.
    pub(crate) offsets: &'a [(&'a str, i32, i64)],
}

/// A producer that owns one transactional id.
pub(crate) struct Producer {
    transactional_id: String,
    cluster: Cluster,
    identity: Option<Identity>,
    topics: Vec<Topic>,
    /// Addresses of the coordinators, as last told.
    coordinator: Option<String>,
    group_coordinator: Option<String>,
    /// Whether a request of the present transaction has gone out.
    is_open: bool,
}

struct Topic {
    name: String,
    partitions: Vec<Partition>,
}

/// What is to be written to a partition, and what has been.
#[derive(Default)]
struct Partition {
    /// Address of its leader, as last told.
    leader: Option<String>,
    /// Not delivered yet, in their order.
    batches: VecDeque<Batch>,
    /// An empty one, for its memory.
    spare: Option<Batch>,
    /// Records that the present transaction has delivered.
    sequence: i32,
    /// The offset after the newest record that was delivered.
    next_offset: Option<i64>,
}

impl Partition {
    fn push(&mut self, record: &OutView<'_>) {
        if !self.batches.back().is_some_and(|last| last.has_room_for(record)) {
            self.batches.push_back(self.spare.take().unwrap_or_default());
        }
        if let Some(last) = self.batches.back_mut() {
            last.push(record);
        }
    }

    /// The broker has the first batch, from `base_offset` on.
    fn delivered(&mut self, base_offset: i64) {
        let Some(mut batch) = self.batches.pop_front() else { return };
        self.sequence += batch.count();
        // A broker that has forgotten where a repeated batch stands says −1.
        self.next_offset = (base_offset >= 0).then(|| base_offset + i64::from(batch.count())).or(self.next_offset);
        batch.clear();
        self.spare = Some(batch);
    }
}

impl Producer {
    /// A producer for the transactional id. It asks nobody yet.
    pub(crate) fn new(bootstrap: &str, transactional_id: &str) -> Self {
        Self {
            transactional_id: transactional_id.to_owned(),
            cluster: Cluster::new(bootstrap),
            identity: None,
            topics: Vec::new(),
            coordinator: None,
            group_coordinator: None,
            is_open: false,
        }
    }

    /// Takes the transactional id over: former owners are fenced, and when this returns, all that they committed can be read.
    ///
    /// # Errors
    /// [`PortError::Fatal`] if the cluster does not have the second transaction protocol.
    pub(crate) fn claim(&mut self) -> Result<(), PortError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.kafka_id()))
            .with_transaction_timeout_ms(TRANSACTION_TIMEOUT_MS)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let level = self.coordinated(PATIENCE, transaction_level)?;
        if level < TRANSACTION_LEVEL {
            return Err(PortError::Fatal(format!(
                "the cluster's feature {TRANSACTION_FEATURE} has level {level}, and {TRANSACTION_LEVEL} is needed: \
                 `kafka-features.sh --bootstrap-server … upgrade --feature {TRANSACTION_FEATURE}={TRANSACTION_LEVEL}`"
            )));
        }
        let answer = self.coordinated(PATIENCE, |cluster, address| {
            let answer = cluster.ask(address, INIT_PRODUCER_ID_VERSION, &request)?;
            accepted("taking over the transactional id", answer.error_code)?;
            Ok(answer)
        })?;
        self.identity = Some(Identity { producer_id: answer.producer_id.0, epoch: answer.producer_epoch });
        Ok(())
    }

    /// Keeps a record until the commit. A record without a partition goes where its key says, one without either to the first.
    ///
    /// # Errors
    /// [`PortError::Away`] if the topic's partitions can't be had.
    pub(crate) fn send(&mut self, out: &OutView<'_>) -> Result<(), PortError> {
        let place = self.place(out.topic)?;
        let partitions = &mut self.topics[place].partitions;
        let count = partitions.len();
        let index = out.partition.unwrap_or_else(|| out.key.map_or(0, |key| partition_of(key, count as i32)));
        let partition = usize::try_from(index).ok().and_then(|index| partitions.get_mut(index));
        let partition = partition.ok_or_else(|| {
            PortError::Fatal(format!("{} has {count} partitions: there is no partition {index}", out.topic))
        })?;
        partition.push(out);
        Ok(())
    }

    /// Writes what was kept, and the group's offsets if there are any, in one transaction.
    ///
    /// # Errors
    /// See [`PortError`]: then all of it or nothing is committed, and who wants to know claims the id again and reads.
    pub(crate) fn commit(&mut self, offsets: Option<&GroupOffsets<'_>>) -> Result<(), PortError> {
        self.deliver()?;
        if let Some(offsets) = offsets {
            self.commit_offsets(offsets)?;
        }
        if self.is_open {
            self.end(true, PATIENCE)?;
        }
        Ok(())
    }

    /// Drops what was kept, and ends a transaction that has begun.
    ///
    /// # Errors
    /// See [`PortError`]: the coordinator will then abort it when its time is over.
    pub(crate) fn abort(&mut self) -> Result<(), PortError> {
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.batches.clear();
        }
        if self.is_open { self.end(false, PATIENCE_AT_ABORT) } else { Ok(()) }
    }

    /// The offset after the newest record that this producer has delivered to a partition; `None` before the first.
    pub(crate) fn next_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = self.topics.iter().find(|known| known.name == topic)?;
        topic.partitions.get(usize::try_from(partition).ok()?)?.next_offset
    }

    fn kafka_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from(self.transactional_id.clone()))
    }

    fn identity(&self) -> Result<Identity, PortError> {
        self.identity.ok_or_else(|| PortError::Away(format!("{} is not taken over yet", self.transactional_id)))
    }

    /// Where `topic` stands in `self.topics`; it is asked for when it is met first.
    fn place(&mut self, topic: &str) -> Result<usize, PortError> {
        if let Some(place) = self.topics.iter().position(|known| known.name == topic) {
            return Ok(place);
        }
        let deadline = Instant::now() + PATIENCE;
        let leaders = loop {
            let found = self.cluster.partition_leaders(&[topic.to_owned()]);
            match found {
                Ok(found) => break found,
                Err(error) if may_be_repeated(&error) && Instant::now() < deadline => std::thread::sleep(RETRY_PAUSE),
                Err(error) => return Err(meaning(error)),
            }
        };
        if leaders.is_empty() {
            return Err(PortError::Away(format!("the topic {topic} does not exist: run `tapeline apply`")));
        }
        // The map is in the order of the partitions.
        let partitions = leaders.into_values().map(|leader| Partition { leader, ..Partition::default() });
        self.topics.push(Topic { name: topic.to_owned(), partitions: partitions.collect() });
        Ok(self.topics.len() - 1)
    }

    /// Writes all batches: the first one of each partition, then the second ones, ...
    fn deliver(&mut self) -> Result<(), PortError> {
        let identity = self.identity()?;
        let mut deadline = Instant::now() + PATIENCE;
        while self.topics.iter().flat_map(|topic| &topic.partitions).any(|partition| !partition.batches.is_empty()) {
            match self.deliver_first_batches(identity) {
                Ok(()) => deadline = Instant::now() + PATIENCE,
                Err(error) if may_be_repeated(&error) && Instant::now() < deadline => {
                    tracing::debug!(%error, "a transaction's records are sent again");
                    std::thread::sleep(RETRY_PAUSE);
                    self.find_leaders();
                }
                Err(error) => return Err(meaning(error)),
            }
        }
        Ok(())
    }

    /// # Errors
    /// The first failure; batches that were delivered are gone from their partitions in any case.
    fn deliver_first_batches(&mut self, identity: Identity) -> Result<(), ProtocolError> {
        let requests = self.requests(identity)?;
        self.is_open = true;
        let mut done = Ok(());
        for answer in self.cluster.ask_all(PRODUCE_VERSION, &requests) {
            let noted = answer.and_then(|answer| self.note_deliveries(&answer));
            done = done.and(noted);
        }
        done
    }

    /// One request for each leader, with the first batch of each of its partitions.
    fn requests(&self, identity: Identity) -> Result<Vec<(String, ProduceRequest)>, ProtocolError> {
        let now_ms = now_ms();
        let mut by_leader: BTreeMap<&str, Vec<TopicProduceData>> = BTreeMap::new();
        for topic in &self.topics {
            let mut of_topic: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
            for (index, partition) in topic.partitions.iter().enumerate() {
                let Some(batch) = partition.batches.front() else { continue };
                let leader = present(partition.leader.as_deref(), &topic.name, index as i32)?;
                let records = Bytes::from(batch.encode(identity, partition.sequence, now_ms));
                let data = PartitionProduceData::default().with_index(index as i32).with_records(Some(records));
                of_topic.entry(leader).or_default().push(data);
            }
            for (leader, partitions) in of_topic {
                let data =
                    TopicProduceData::default().with_name(topic_name(&topic.name)).with_partition_data(partitions);
                by_leader.entry(leader).or_default().push(data);
            }
        }
        let request = |topics| {
            ProduceRequest::default()
                .with_transactional_id(Some(self.kafka_id()))
                .with_acks(ALL_IN_SYNC_REPLICAS)
                .with_timeout_ms(PRODUCE_TIMEOUT_MS)
                .with_topic_data(topics)
        };
        Ok(by_leader.into_iter().map(|(leader, topics)| (leader.to_owned(), request(topics))).collect())
    }

    fn note_deliveries(&mut self, answer: &ProduceResponse) -> Result<(), ProtocolError> {
        let mut done = Ok(());
        for of_topic in &answer.responses {
            let Some(topic) = self.topics.iter_mut().find(|known| known.name == of_topic.name.as_str()) else {
                continue;
            };
            for answer in &of_topic.partition_responses {
                let partition = usize::try_from(answer.index).ok().and_then(|index| topic.partitions.get_mut(index));
                let Some(partition) = partition else { continue };
                match delivery(&topic.name, answer) {
                    Ok(()) => partition.delivered(answer.base_offset),
                    Err(error) => done = done.and(Err(error)),
                }
            }
        }
        done
    }

    /// Asks who leads the partitions that are written to. Who can't be found now is looked for again.
    fn find_leaders(&mut self) {
        let names: Vec<String> = self.topics.iter().map(|topic| topic.name.clone()).collect();
        let Ok(mut leaders) = self.cluster.partition_leaders(&names) else { return };
        for topic in &mut self.topics {
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                partition.leader = leaders.remove(&(topic.name.clone(), index as i32)).flatten();
            }
        }
    }

    fn commit_offsets(&mut self, offsets: &GroupOffsets<'_>) -> Result<(), PortError> {
        let identity = self.identity()?;
        let mut topics: BTreeMap<&str, Vec<TxnOffsetCommitRequestPartition>> = BTreeMap::new();
        for (topic, partition, offset) in offsets.offsets {
            let at = TxnOffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::from_static_str("")));
            topics.entry(topic).or_default().push(at);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        });
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.kafka_id())
            .with_group_id(GroupId(StrBytes::from(offsets.group.to_owned())))
            .with_producer_id(ProducerId(identity.producer_id))
            .with_producer_epoch(identity.epoch)
            .with_generation_id(offsets.member.epoch)
            .with_member_id(StrBytes::from(offsets.member.member_id.clone()))
            .with_group_instance_id(Some(StrBytes::from(offsets.instance.to_owned())))
            .with_topics(topics.collect());
        self.is_open = true;
        let Self { cluster, group_coordinator, .. } = self;
        let key = (Coordinator::Group, offsets.group);
        with_coordinator(cluster, group_coordinator, key, PATIENCE, |cluster, address| {
            let answer = cluster.ask(address, TXN_OFFSET_COMMIT_VERSION, &request)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.try_for_each(|at| accepted("adding offsets", at.error_code))
        })
    }

    /// Ends the transaction. The coordinator knows a repeated request again, and gives the next epoch with its answer.
    fn end(&mut self, commit: bool, patience: Duration) -> Result<(), PortError> {
        let identity = self.identity()?;
        let request = EndTxnRequest::default()
            .with_transactional_id(self.kafka_id())
            .with_producer_id(ProducerId(identity.producer_id))
            .with_producer_epoch(identity.epoch)
            .with_committed(commit);
        let answer = self.coordinated(patience, |cluster, address| {
            let answer = cluster.ask(address, END_TXN_VERSION, &request)?;
            accepted(if commit { "committing" } else { "aborting" }, answer.error_code)?;
            Ok(answer)
        })?;
        self.identity = Some(Identity { producer_id: answer.producer_id.0, epoch: answer.producer_epoch });
        self.is_open = false;
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.sequence = 0;
        }
        Ok(())
    }

    /// Asks the transactions' coordinator.
    fn coordinated<T>(
        &mut self,
        patience: Duration,
        request: impl FnMut(&mut Cluster, &str) -> Result<T, ProtocolError>,
    ) -> Result<T, PortError> {
        let Self { cluster, coordinator, transactional_id, .. } = self;
        with_coordinator(cluster, coordinator, (Coordinator::Transaction, transactional_id), patience, request)
    }
}

/// Repeats `request` at whoever is the coordinator of `key` by then, while brokers are away or refuse it for the moment.
fn with_coordinator<T>(
    cluster: &mut Cluster,
    known: &mut Option<String>,
    (kind, key): (Coordinator, &str),
    patience: Duration,
    mut request: impl FnMut(&mut Cluster, &str) -> Result<T, ProtocolError>,
) -> Result<T, PortError> {
    let deadline = Instant::now() + patience;
    loop {
        let address = match known.take() {
            Some(address) => Ok(address),
            None => cluster.coordinator(kind, key),
        };
        let done = address.and_then(|address| {
            let done = request(cluster, &address);
            let is_there = !matches!(&done, Err(error) if has_no_coordinator(error));
            *known = is_there.then_some(address);
            done
        });
        match done {
            Err(error) if may_be_repeated(&error) && Instant::now() < deadline => {
                tracing::debug!(%error, "a request of a transaction is sent again");
                std::thread::sleep(RETRY_PAUSE);
            }
            done => return done.map_err(meaning),
        }
    }
}

/// The level of the second transaction protocol's feature; 0 if the cluster has none.
fn transaction_level(cluster: &mut Cluster, address: &str) -> Result<i16, ProtocolError> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("tapeline"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let answer = cluster.ask(address, API_VERSIONS_VERSION, &request)?;
    accepted("asking for features", answer.error_code)?;
    let feature = answer.finalized_features.iter().find(|feature| feature.name.as_str() == TRANSACTION_FEATURE);
    Ok(feature.map_or(0, |feature| feature.max_version_level))
}

fn delivery(topic: &str, answer: &PartitionProduceResponse) -> Result<(), ProtocolError> {
    let done = accepted(format!("writing to {topic}, partition {}", answer.index), answer.error_code);
    match done {
        // The broker has it, from the request whose answer was lost.
        Err(error) if error.is(ResponseError::DuplicateSequenceNumber) => Ok(()),
        done => done,
    }
}

fn may_be_repeated(error: &ProtocolError) -> bool {
    matches!(error, ProtocolError::Away { .. }) || error.is_passing()
}

fn has_no_coordinator(error: &ProtocolError) -> bool {
    matches!(error, ProtocolError::Away { .. })
        || error.is(ResponseError::NotCoordinator)
        || error.is(ResponseError::CoordinatorNotAvailable)
}

/// What a failure means for the producer's owner.
fn meaning(error: ProtocolError) -> PortError {
    match &error {
        ProtocolError::Refused {
            code:
                ResponseError::ProducerFenced
                | ResponseError::InvalidProducerEpoch
                | ResponseError::InvalidProducerIdMapping
                | ResponseError::FencedInstanceId
                | ResponseError::FencedMemberEpoch
                | ResponseError::UnknownMemberId,
            ..
        } => PortError::Fenced(error.to_string()),
        _ => error.into(),
    }
}
