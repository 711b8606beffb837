//! The parts of Kafka's protocol that librdkafka has no calls for: groups under KIP-848 in full, transactions as their
//! coordinators and partitions see them. Messages are encoded by `kafka-protocol`; this module sends them.
//!
//! Blocking, with deadlines, one request at a time to each broker; for tools, for the start of a lane, and beneath
//! [`crate::producer`]. It speaks plain text only, as all of Tapeline's Kafka clients do in this version (no TLS, no SASL).

mod ahead;
mod groups;
mod offsets;
mod transactions;

pub use ahead::Ahead;
pub(crate) use ahead::{BEFORE_LENGTH_COUNTS, HEADER_BYTES, TRANSACTIONAL};
pub use groups::{Group, Member};
pub use offsets::{OffsetAndTime, OffsetOf};
pub use transactions::{Marker, OpenProducer, Transaction};

use bytes::{Buf, BytesMut};
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};
use tapeline_runtime::port::PortError;

/// How long a connection may take, and each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request is repeated while the broker says that it may be.
const RETRY_FOR: Duration = Duration::from_secs(20);
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// An answer that claims to be longer is none of Kafka's.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const FRAME_LENGTH_BYTES: usize = 4;
/// Versions that Kafka 4.0 and newer understand.
const METADATA_VERSION: i16 = 12;
const FIND_COORDINATOR_VERSION: i16 = 4;

/// Why Kafka did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// No broker, or no sensible answer.
    #[error("Kafka at {address}: {why}")]
    Away {
        /// The broker's address.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// The broker said no.
    #[error("{what}: {code:?}: {code}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its reason, see Kafka's protocol guide.
        code: ResponseError,
    },
}

impl ProtocolError {
    pub(crate) fn is(&self, wanted: ResponseError) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.is_retriable() || *code == ResponseError::ConcurrentTransactions)
    }
}

impl From<ProtocolError> for PortError {
    fn from(error: ProtocolError) -> Self {
        let refused_rights = matches!(
            error,
            ProtocolError::Refused {
                code: ResponseError::GroupAuthorizationFailed
                    | ResponseError::ClusterAuthorizationFailed
                    | ResponseError::TransactionalIdAuthorizationFailed
                    | ResponseError::TopicAuthorizationFailed,
                ..
            }
        );
        match refused_rights {
            true => Self::Fatal(format!("{error}: grant the rights on the broker")),
            false => Self::Away(error.to_string()),
        }
    }
}

fn away(address: &str, why: &anyhow::Error) -> ProtocolError {
    ProtocolError::Away { address: address.to_owned(), why: format!("{why:#}") }
}

/// Fails if `code` is not that of success.
pub(crate) fn accepted(what: impl Into<String>, code: i16) -> Result<(), ProtocolError> {
    code.err().map_or(Ok(()), |code| Err(ProtocolError::Refused { what: what.into(), code }))
}

/// A leader, or the refusal, which may pass, that says whose is missing.
pub(crate) fn present<T>(leader: Option<T>, topic: &str, partition: i32) -> Result<T, ProtocolError> {
    leader.ok_or_else(|| ProtocolError::Refused {
        what: format!("the leader of {topic}-{partition}"),
        code: ResponseError::LeaderNotAvailable,
    })
}

/// Repeats `request` while the broker's refusal is a passing one: a coordinator that loads, moves or is busy.
fn patiently<T>(mut request: impl FnMut() -> Result<T, ProtocolError>) -> Result<T, ProtocolError> {
    let deadline = Instant::now() + RETRY_FOR;
    loop {
        match request() {
            Err(error) if error.is_passing() && Instant::now() < deadline => std::thread::sleep(RETRY_PAUSE),
            done => return done,
        }
    }
}

/// Address of the leader of each partition.
type Leaders = BTreeMap<(String, i32), String>;

/// What coordinates what, as FindCoordinator counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coordinator {
    Group = 0,
    Transaction = 1,
}

/// Connections to the brokers of a cluster, made when they are needed.
pub struct Cluster {
    bootstrap: String,
    connections: HashMap<String, Connection>,
}

impl Cluster {
    /// The cluster that `bootstrap` (host:port, separated by commas) belongs to; connects later.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned(), connections: HashMap::new() }
    }

    /// Sends `request` to the broker at `address`; a connection that fails is made anew the next time.
    pub(crate) fn ask<R>(&mut self, address: &str, version: i16, request: &R) -> Result<R::Response, ProtocolError>
    where
        R: Request,
    {
        let connection = self.send(address, version, request)?;
        self.receive::<R>(address, version, connection)
    }

    /// Sends each request to its broker, all before the first answer is awaited.
    pub(crate) fn ask_all<R: Request>(
        &mut self,
        version: i16,
        requests: &[(String, R)],
    ) -> Vec<Result<R::Response, ProtocolError>> {
        let sent: Vec<_> = requests.iter().map(|(address, request)| self.send(address, version, request)).collect();
        let answers = requests.iter().zip(sent).map(|((address, _), sent)| self.receive::<R>(address, version, sent?));
        answers.collect()
    }

    fn send<R: Request>(&mut self, address: &str, version: i16, request: &R) -> Result<Connection, ProtocolError> {
        let mut connection = match self.connections.remove(address) {
            Some(connection) => connection,
            None => Connection::open(address).map_err(|why| away(address, &why))?,
        };
        connection.send(version, request).map_err(|why| away(address, &why))?;
        Ok(connection)
    }

    fn receive<R: Request>(
        &mut self,
        address: &str,
        version: i16,
        mut connection: Connection,
    ) -> Result<R::Response, ProtocolError> {
        let answer = connection.receive::<R>(version).map_err(|why| away(address, &why))?;
        self.connections.insert(address.to_owned(), connection);
        Ok(answer)
    }

    /// Asks the first bootstrap server that answers.
    fn ask_any<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, ProtocolError> {
        let addresses: Vec<String> = self.bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
        let mut last = Err(ProtocolError::Away { address: self.bootstrap.clone(), why: "no address".into() });
        for address in addresses {
            last = self.ask(&address, version, request);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Addresses of all brokers.
    fn brokers(&mut self) -> Result<Vec<String>, ProtocolError> {
        let answer = self.ask_any(METADATA_VERSION, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
        Ok(answer.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect())
    }

    /// Address of the leader of each partition of `topics`; topics that do not exist are left out, and partitions that no
    /// broker leads now.
    fn leaders(&mut self, topics: &[String]) -> Result<Leaders, ProtocolError> {
        let found = self.partition_leaders(topics)?;
        Ok(found.into_iter().filter_map(|(at, leader)| Some((at, leader?))).collect())
    }

    /// The same, but a topic or a leader that is missing is a refusal, which may pass.
    fn all_leaders(&mut self, topics: &[String]) -> Result<Leaders, ProtocolError> {
        let found = self.partition_leaders(topics)?;
        for topic in topics {
            if !found.keys().any(|(name, _)| name == topic) {
                let code = ResponseError::UnknownTopicOrPartition;
                return Err(ProtocolError::Refused { what: format!("partitions of {topic}"), code });
            }
        }
        let with_leader = found.into_iter().map(|((topic, partition), leader)| {
            let leader = present(leader, &topic, partition)?;
            Ok(((topic, partition), leader))
        });
        with_leader.collect()
    }

    fn leader_of(&mut self, topic: &str, partition: i32) -> Result<String, ProtocolError> {
        let mut found = self.partition_leaders(&[topic.to_owned()])?;
        present(found.remove(&(topic.to_owned(), partition)).flatten(), topic, partition)
    }

    /// Address of the leader of each partition of `topics`, as far as it has one; topics that do not exist are left out.
    pub(crate) fn partition_leaders(
        &mut self,
        topics: &[String],
    ) -> Result<BTreeMap<(String, i32), Option<String>>, ProtocolError> {
        let wanted = topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(topic_name(topic))));
        let request =
            MetadataRequest::default().with_topics(Some(wanted.collect())).with_allow_auto_topic_creation(false);
        let answer = self.ask_any(METADATA_VERSION, &request)?;
        let address_of = |id| {
            let broker = answer.brokers.iter().find(|broker| broker.node_id == id)?;
            Some(format!("{}:{}", broker.host, broker.port))
        };
        let mut leaders = BTreeMap::new();
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            let of_topic = topic.partitions.iter();
            leaders.extend(of_topic.map(|at| ((name.to_string(), at.partition_index), address_of(at.leader_id))));
        }
        Ok(leaders)
    }

    /// Address of the broker that coordinates `key`.
    pub(crate) fn coordinator(&mut self, kind: Coordinator, key: &str) -> Result<String, ProtocolError> {
        let request = FindCoordinatorRequest::default()
            .with_key_type(kind as i8)
            .with_coordinator_keys(vec![StrBytes::from(key.to_owned())]);
        let what = format!("the coordinator of {key}");
        patiently(|| {
            let answer = self.ask_any(FIND_COORDINATOR_VERSION, &request)?;
            let found = answer.coordinators.first().ok_or_else(|| ProtocolError::Refused {
                what: what.clone(),
                code: ResponseError::CoordinatorNotAvailable,
            })?;
            accepted(&what, found.error_code)?;
            Ok(format!("{}:{}", found.host, found.port))
        })
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from(name.to_owned()))
}

/// One connection, one request at a time.
struct Connection {
    stream: TcpStream,
    last_id: i32,
}

impl Connection {
    fn open(address: &str) -> anyhow::Result<Self> {
        let mut last = anyhow::anyhow!("the name has no address");
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, ANSWER_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                    return Ok(Self { stream, last_id: 0 });
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// A frame is its length in four bytes, a header with the request's number, and the message.
    fn send<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<()> {
        self.last_id = self.last_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.last_id)
            .with_client_id(Some(StrBytes::from_static_str("tapeline")));
        let mut frame = BytesMut::zeroed(FRAME_LENGTH_BYTES);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = u32::try_from(frame.len() - FRAME_LENGTH_BYTES)?;
        frame[..FRAME_LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        Ok(self.stream.write_all(&frame)?)
    }

    fn receive<R: Request>(&mut self, version: i16) -> anyhow::Result<R::Response> {
        let mut length = [0; FRAME_LENGTH_BYTES];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        anyhow::ensure!(length <= MAX_ANSWER_BYTES, "an answer of {length} bytes: is this a Kafka broker?");
        let mut answer = BytesMut::zeroed(length);
        self.stream.read_exact(&mut answer)?;
        let mut answer = answer.freeze();
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))?;
        anyhow::ensure!(header.correlation_id == self.last_id, "an answer to another request");
        let decoded = R::Response::decode(&mut answer, version)?;
        anyhow::ensure!(!answer.has_remaining(), "an answer with {} bytes too many", answer.remaining());
        Ok(decoded)
    }
}
