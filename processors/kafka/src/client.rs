//! Client settings shared by all consumers and producers, group events and lag, and what errors mean.

use crate::stranded::{STATISTICS_INTERVAL_MS, Stranded};
use rdkafka::Message;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Headers};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tapeline_runtime::port::{InputPartition, Polled, PortError, Record};

/// Pause between two looks whether a consumer has said goodbye.
const CLOSE_STEP: Duration = Duration::from_millis(5);

/// Name of this process among those of its component: `TAPELINE_INSTANCE`, else the host's name.
///
/// A process that starts under the name of a running one takes over from it; the other one ends as fenced.
pub fn instance() -> String {
    let host = || std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned());
    let name = std::env::var("TAPELINE_INSTANCE").ok().or_else(host);
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "0".into())
}

/// Settings that all clients share.
pub(crate) fn base_config(bootstrap: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("client.id", client_id)
        .set("reconnect.backoff.ms", "100")
        // The client asks who has taken a dead broker's place when a connection changes its state: it is the attempts at the
        // dead one that wake it. With 5 s between them lanes stood still for as long.
        .set("reconnect.backoff.max.ms", "500")
        // Whoever missed a change of leaders hears of it now, and not after the client's default of five minutes.
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Settings of a consumer that reads committed records only and waits for none to pile up.
pub(crate) fn consumer_config(bootstrap: &str, client_id: &str) -> ClientConfig {
    let mut config = base_config(bootstrap, client_id);
    config
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", "65536")
        .set("fetch.message.max.bytes", "1048576");
    config
}

/// Name of a lane among all members of its component's group, the same in each life: its `group.instance.id`, and the
/// transactional id of its producer.
pub(crate) fn member_name(component: &str, instance: &str, lane: usize) -> String {
    format!("{component}-{instance}-{lane}")
}

/// A member's client id: the group's name and, after `@`, where its process serves HTTP, for tools that see members.
pub(crate) fn client_id(group: &str, http: Option<SocketAddr>) -> String {
    http.map_or_else(|| group.to_owned(), |http| format!("{group}@{http}"))
}

/// Where the process of a member serves HTTP, as its client id says; an address of no host in particular is that of
/// `host`, from which the member connects (Kafka writes it with a `/` before it).
pub fn http_of(client_id: &str, host: &str) -> Option<SocketAddr> {
    let http: SocketAddr = client_id.rsplit_once('@')?.1.parse().ok()?;
    match http.ip().is_unspecified() {
        true => Some(SocketAddr::new(host.trim_start_matches('/').parse().ok()?, http.port())),
        false => Some(http),
    }
}

/// Settings of a static member of the group `group`, under the KIP-848 protocol.
pub(crate) fn member_config(bootstrap: &str, group: &str, instance_id: &str, client_id: &str) -> ClientConfig {
    let mut config = consumer_config(bootstrap, client_id);
    config
        .set("group.id", group)
        .set("group.instance.id", instance_id)
        .set("group.protocol", "consumer")
        .set("group.remote.assignor", "range")
        // A restore happens within one poll: it must not cost the membership.
        .set("max.poll.interval.ms", "3600000")
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string());
    config
}

/// Settings of a producer that loses and doubles nothing and partitions as Java clients do.
pub(crate) fn producer_config(bootstrap: &str, client_id: &str) -> ClientConfig {
    let mut config = base_config(bootstrap, client_id);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "lz4")
        .set("linger.ms", "2")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "524288")
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS.to_string())
        // The topics' own limits count, which the broker applies to compressed batches. The client's default, 1,000,000
        // bytes, is less: the dead letter of a larger record could never be written, and its lane would never go on.
        .set("message.max.bytes", "1000000000");
    config
}

/// For clients outside groups: what they meet is in what their calls return, so their logs are for debugging only.
pub(crate) struct QuietContext;

impl ClientContext for QuietContext {
    fn stats(&self, _statistics: Statistics) {}

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "kafka client");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for QuietContext {}

impl ProducerContext for QuietContext {
    type DeliveryOpaque = ();

    /// A record that was not delivered fails its transaction.
    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

/// For clients outside groups that live as long as their process, with what a producer notes of its deliveries.
pub(crate) struct LastingContext<N = ()> {
    pub(crate) stranded: Stranded,
    pub(crate) notes: N,
}

impl<N> LastingContext<N> {
    pub(crate) fn new(bootstrap: &str, notes: N) -> Self {
        Self { stranded: Stranded::new(bootstrap), notes }
    }
}

impl<N: Send + Sync + 'static> ClientContext for LastingContext<N> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        QuietContext.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.stranded.note(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        QuietContext.error(error, reason);
    }
}

impl ConsumerContext for LastingContext {}

/// Tells where assigned partitions begin; `None` leaves it to the group's offsets.
pub(crate) type StartAt = Box<dyn Fn(&[(SmolStr, i32)]) -> Result<Vec<i64>, String> + Send + Sync>;

/// What the client's statistics say of an assigned partition.
#[derive(Clone, Copy)]
struct Reported {
    start: i64,
    lag: i64,
}

/// Collects what a group consumer's callbacks say, for the thread that polls it.
pub(crate) struct GroupContext {
    pub(crate) stranded: Stranded,
    topics: Vec<String>,
    start_at: Option<StartAt>,
    events: Mutex<VecDeque<Result<Polled, PortError>>>,
    reported: Mutex<Vec<(InputPartition, Reported)>>,
    /// Whether it was said that Kafka is away: one line for each change.
    away: AtomicBool,
}

impl GroupContext {
    /// `topics` in the order of the component's inputs.
    pub(crate) fn new(bootstrap: &str, topics: Vec<String>, start_at: Option<StartAt>) -> Self {
        Self {
            stranded: Stranded::new(bootstrap),
            topics,
            start_at,
            events: Mutex::default(),
            reported: Mutex::default(),
            away: AtomicBool::new(false),
        }
    }

    pub(crate) fn next_event(&self) -> Option<Result<Polled, PortError>> {
        self.events.lock().ok()?.pop_front()
    }

    pub(crate) fn lag(&self) -> Vec<(InputPartition, i64)> {
        self.reported(|at| at.lag)
    }

    /// Where each assigned partition begins.
    pub(crate) fn starts(&self) -> Vec<(InputPartition, i64)> {
        self.reported(|at| at.start)
    }

    fn reported(&self, what: impl Fn(&Reported) -> i64) -> Vec<(InputPartition, i64)> {
        let all = self.reported.lock();
        all.map(|all| all.iter().map(|(partition, at)| (*partition, what(at))).collect()).unwrap_or_default()
    }

    pub(crate) fn input(&self, topic: &str) -> Option<usize> {
        self.topics.iter().position(|name| name == topic)
    }

    fn say(&self, event: Result<Polled, PortError>) {
        if let Ok(mut events) = self.events.lock() {
            events.push_back(event);
        }
    }

    /// What it means that the membership is gone: the coordinator said so, or none was there to say anything.
    fn lost(&self) -> PortError {
        match self.away.load(Ordering::Relaxed) {
            true => PortError::Away("Kafka was away for longer than a member's session lasts".into()),
            false => PortError::Fenced(
                "the group has given this process up: it stood still for too long, or another one took its name".into(),
            ),
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<InputPartition> {
        let of = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            self.input(element.topic()).map(|input| (input, element.partition()))
        };
        list.elements().iter().filter_map(of).collect()
    }

    /// The same partitions, beginning where `start_at` says.
    fn with_offsets(&self, list: &TopicPartitionList) -> Result<TopicPartitionList, String> {
        let Some(start_at) = &self.start_at else { return Ok(list.clone()) };
        let elements = list.elements();
        let names: Vec<_> = elements.iter().map(|at| (SmolStr::new(at.topic()), at.partition())).collect();
        let mut placed = TopicPartitionList::new();
        for ((topic, partition), offset) in names.iter().zip(start_at(&names)?) {
            placed
                .add_partition_offset(topic, *partition, Offset::Offset(offset))
                .map_err(|error| error.to_string())?;
        }
        Ok(placed)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "kafka client");
    }

    fn stats(&self, statistics: Statistics) {
        self.stranded.note(&statistics);
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        if up && self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka is back");
        }
        let mut reported = Vec::new();
        for (topic, of_topic) in &statistics.topics {
            let Some(input) = self.input(topic) else { continue };
            for (partition, at) in of_topic.partitions.iter().filter(|(_, at)| at.ls_offset >= 0 && at.next_offset >= 0)
            {
                let lag = (at.ls_offset - at.next_offset).max(0) + at.fetchq_cnt;
                reported.push(((input, *partition), Reported { start: at.lo_offset.max(0), lag }));
            }
        }
        if let Ok(mut current) = self.reported.lock() {
            *current = reported;
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        let all_down = matches!(error, KafkaError::Global(RDKafkaErrorCode::AllBrokersDown));
        if all_down && !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!("Kafka is away: waiting for it");
        }
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.with_offsets(list).and_then(|placed| {
                consumer.incremental_assign(&placed).map_err(|error| error.to_string())?;
                self.say(Ok(Polled::Assigned(self.partitions(&placed))));
                Ok(())
            }),
            _ if consumer.assignment_lost() => {
                self.say(Err(self.lost()));
                // The client would join again by itself, and take partitions that nobody here will work on.
                consumer.unsubscribe();
                consumer.incremental_unassign(list).map_err(|error| error.to_string())
            }
            _ => {
                self.say(Ok(Polled::Revoked(self.partitions(list))));
                consumer.incremental_unassign(list).map_err(|error| error.to_string())
            }
        };
        if let Err(why) = done {
            self.say(Err(PortError::Away(format!("the assignment could not be taken: {why}"))));
        }
    }

    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {}
}

/// A consumer that says goodbye quickly when it is dropped: rdkafka looks only each 100 ms whether that is done, and whoever
/// is started next in a restart waits for it. (rdkafka then finds it closed already and logs that as an error; the log's
/// filter in [`tapeline_runtime::serve`] leaves that out.)
pub(crate) struct QuicklyClosed<C: ConsumerContext>(BaseConsumer<C>);

/// Makes a consumer. All of them are made here.
pub(crate) fn consumer<C: ConsumerContext>(config: &ClientConfig, context: C) -> Result<QuicklyClosed<C>, KafkaError> {
    config.create_with_context(context).map(QuicklyClosed)
}

impl<C: ConsumerContext> Deref for QuicklyClosed<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.0
    }
}

impl<C: ConsumerContext> Drop for QuicklyClosed<C> {
    fn drop(&mut self) {
        if self.close_queue().is_ok() {
            while !self.closed() {
                self.poll(CLOSE_STEP);
            }
        }
    }
}

/// Lets a client find a topic's leaders. It looks for those of a topic that is new to it once a second only, which made the
/// first restore after a start take three seconds.
pub(crate) fn know<C: ClientContext>(client: &Client<C>, topic: &str, patience: Duration) -> KafkaResult<()> {
    client.fetch_metadata(Some(topic), patience).map(|_| ())
}

/// Waits up to `wait` for a record of a group's member. What the group says meanwhile is in its context's events; they end the
/// client's poll.
pub(crate) fn poll_member(group: &BaseConsumer<GroupContext>, wait: Duration) -> Result<Option<Record>, PortError> {
    match group.poll(wait) {
        Some(Ok(message)) => {
            let input = group.context().input(message.topic()).ok_or_else(|| {
                PortError::Fatal(format!("a record of {}, which was not subscribed to", message.topic()))
            })?;
            Ok(Some(record(input, &message)))
        }
        Some(Err(error)) => consumer_error(&error, group.client().fatal_error()).map_or(Ok(None), Err),
        None => Ok(None),
    }
}

/// What a consumer's error means for its owner; `None` if the client mends it by itself. A fatal error says only that it
/// is one; `fatal` is its reason.
pub(crate) fn consumer_error(error: &KafkaError, fatal: Option<(RDKafkaErrorCode, String)>) -> Option<PortError> {
    if let Some((code, text)) = fatal {
        return Some(fatal_consumer_error(code, &text));
    }
    match error {
        KafkaError::PartitionEOF(_) => None,
        KafkaError::MessageConsumptionFatal(code) => Some(PortError::Fatal(format!("consumer: {code}"))),
        KafkaError::MessageConsumption(code) => match code {
            RDKafkaErrorCode::PollExceeded => {
                Some(PortError::Fenced("the process stood still for longer than its group waits".into()))
            }
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                Some(PortError::Away("an input topic does not exist: run `tapeline apply`".into()))
            }
            RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed => {
                Some(PortError::Fatal(format!("consumer: {code}: grant the rights on the broker")))
            }
            _ => None,
        },
        other => Some(PortError::Away(format!("consumer: {other}"))),
    }
}

fn fatal_consumer_error(code: RDKafkaErrorCode, text: &str) -> PortError {
    let text = format!("consumer: {text}");
    match code {
        // Whoever held the name came back after it was released: released again, it is free.
        RDKafkaErrorCode::UnreleasedInstanceId => PortError::Away(text),
        RDKafkaErrorCode::FencedInstanceId
        | RDKafkaErrorCode::FencedMemberEpoch
        | RDKafkaErrorCode::UnknownMemberId => PortError::Fenced(text),
        _ => PortError::Fatal(text),
    }
}

/// What the error of a producer without transactions means. After a fatal one all calls fail alike; `fatal` is its reason.
pub(crate) fn producer_error(doing: &str, error: &KafkaError, fatal: Option<(RDKafkaErrorCode, String)>) -> PortError {
    let (code, text) = match (fatal, error) {
        (Some((code, text)), _) => (Some(code), format!("{doing}: {error}: {text}")),
        (None, KafkaError::MessageProduction(code)) => (Some(*code), format!("{doing}: {error}")),
        (None, _) => (None, format!("{doing}: {error}")),
    };
    match code {
        Some(
            RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
            | RDKafkaErrorCode::InvalidProducerIdMapping
            | RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::FencedMemberEpoch
            | RDKafkaErrorCode::UnknownMemberId,
        ) => PortError::Fenced(text),
        Some(
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed,
        ) => PortError::Fatal(text),
        _ => PortError::Away(text),
    }
}

/// An owned copy of a message.
pub(crate) fn record(input: usize, message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, owned_headers);
    Record {
        input,
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

/// Stands for a header whose name is not UTF-8.
const UNREADABLE_HEADER: &str = "tapeline.unreadable.header";

/// An owned copy of a record's headers.
///
/// rdkafka 0.39 panics at a header whose name is not UTF-8, which any client may send: that must not end a lane. Name and
/// value of such a header can't be had; [`UNREADABLE_HEADER`] takes its place.
fn owned_headers(headers: &impl Headers) -> Vec<(String, Vec<u8>)> {
    let owned = |index| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let header = headers.try_get(index)?;
            Some((header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        }))
        .unwrap_or_else(|_| Some((UNREADABLE_HEADER.to_owned(), Vec::new())))
    };
    (0..headers.count()).filter_map(owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "stands for what rdkafka does")]

    use super::*;
    use rdkafka::message::Header;

    /// Three headers, the second with a name that is not UTF-8.
    struct BadName;

    impl Headers for BadName {
        fn count(&self) -> usize {
            3
        }

        fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
            match index {
                0 => Some(Header { key: "first", value: Some(b"1") }),
                1 => panic!("called `Result::unwrap()` on an `Err` value: Utf8Error"),
                _ => Some(Header { key: "last", value: None }),
            }
        }
    }

    #[test]
    fn a_client_id_tells_where_its_process_serves_http() {
        let local = "127.0.0.1:9464".parse().ok();
        assert_eq!(http_of(&client_id("validator", local), "/10.0.0.7"), local);
        let everywhere = client_id("validator", "0.0.0.0:9464".parse().ok());
        assert_eq!(http_of(&everywhere, "/10.0.0.7"), "10.0.0.7:9464".parse().ok());
        assert_eq!(http_of(&client_id("validator", None), "/10.0.0.7"), None);
    }

    #[test]
    fn a_header_name_that_is_not_utf_8_costs_that_header_and_nothing_else() {
        let expected = [("first", "1"), (UNREADABLE_HEADER, ""), ("last", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(owned_headers(&BadName), expected);
    }
}
