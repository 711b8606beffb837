//! The identity topics in Kafka: appending to them, and following them on a thread each.

use super::log::{Answering, Entry, IdentityLog};
use super::store::{Store, TOPICS};
use crate::problem::Problem;
use crate::run::persist;
use anyhow::{Context, Result, ensure};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tapeline_identity::Event;
use tapeline_kafka::acknowledged::{AcknowledgedPublisher, Sending, Undelivered};
use tapeline_kafka::app::App;
use tapeline_kafka::protocol::{Cluster, OffsetOf};
use tapeline_kafka::tail::{Start, Tail};
use tapeline_runtime::event_decoder::{check_key, decoder};
use tapeline_runtime::port::PortError;
use tapeline_runtime::processor::Undecodable;
use tapeline_schemas::codec::{DecodeError, Encoder, SchemaIds, Wire};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{Account, GatewayAudit, IdentityKey, IdentitySession, IdentitySigner, IdentityUser};

/// How records are sent. They are few, and people wait for them.
const SENDING: Sending =
    Sending { patience: Duration::from_secs(5), linger: Duration::from_millis(1), max_in_flight: 5_000 };
/// How long a tail waits for a record before it looks whether to stop.
const TAIL_WAIT: Duration = Duration::from_millis(200);
/// Pause before a topic is read on after an error.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The topics as a log; not connected until [`Self::connect`] has succeeded.
pub struct KafkaIdentity {
    kafka: String,
    connected: OnceLock<Connected>,
    /// Asks for ends, one question after the other: strangers can make us ask.
    cluster: tokio::sync::Mutex<Option<Cluster>>,
}

struct Connected {
    publisher: AcknowledgedPublisher,
    users: Encoder<IdentityUser>,
    sessions: Encoder<IdentitySession>,
    keys: Encoder<IdentityKey>,
    signers: Encoder<IdentitySigner>,
    accounts: Encoder<Account>,
    audit: Encoder<GatewayAudit>,
    account_partitions: i32,
}

impl KafkaIdentity {
    /// Not yet connected to the brokers at `kafka`.
    pub fn new(kafka: &str) -> Self {
        Self { kafka: kafka.to_owned(), connected: OnceLock::new(), cluster: tokio::sync::Mutex::default() }
    }

    /// Connects; blocks. Call it again after an error.
    ///
    /// # Errors
    /// If Kafka or the registry is away, a schema is not registered, or a topic has another number of partitions than the
    /// topology says.
    pub fn connect(&self, app: &App) -> Result<()> {
        if self.connected.get().is_some() {
            return Ok(());
        }
        let on_broker = Cluster::new(&self.kafka).topics()?;
        for name in TOPICS.into_iter().chain([topic::GATEWAY_AUDIT, topic::ACCOUNTS]) {
            let declared =
                app.topology.topic(name).with_context(|| format!("the topology has no topic `{name}`: add it"))?;
            let found = on_broker
                .get(name)
                .with_context(|| format!("the topic {name} does not exist: run `tapeline apply`"))?;
            let file = &app.topology.file_name;
            ensure!(
                *found == declared.partitions,
                "{file}: topics.\"{name}\".partitions is {}, the broker has {found}: set it to {found}",
                declared.partitions
            );
        }
        let connected = Connected {
            publisher: AcknowledgedPublisher::open(&self.kafka, "gateway-identity", SENDING)?,
            users: encoder(app, topic::IDENTITY_USERS)?,
            sessions: encoder(app, topic::IDENTITY_SESSIONS)?,
            keys: encoder(app, topic::IDENTITY_KEYS)?,
            signers: encoder(app, topic::IDENTITY_SIGNERS)?,
            accounts: encoder(app, topic::ACCOUNTS)?,
            audit: encoder(app, topic::GATEWAY_AUDIT)?,
            account_partitions: on_broker.get(topic::ACCOUNTS).copied().unwrap_or(1),
        };
        // Another thread may have been quicker; its connection is as good.
        let _ = self.connected.set(connected);
        Ok(())
    }
}

fn encoder<T: Wire>(app: &App, topic: &str) -> Result<Encoder<T>> {
    app.registry.registered_id(topic, T::SCHEMA_JSON).map(Encoder::new).map_err(anyhow::Error::msg)
}

impl Connected {
    fn payload(&self, entry: &Entry) -> Vec<u8> {
        let mut payload = Vec::with_capacity(256);
        match entry {
            Entry::Identity(Event::User(user)) => self.users.encode(user, &mut payload),
            Entry::Identity(Event::Session(session)) => self.sessions.encode(session, &mut payload),
            Entry::Identity(Event::Key(key)) => self.keys.encode(key, &mut payload),
            Entry::Identity(Event::Signer(signer)) => self.signers.encode(signer, &mut payload),
            Entry::Account(account) => self.accounts.encode(account, &mut payload),
            Entry::Audit(record) => self.audit.encode(record, &mut payload),
        }
        payload
    }
}

impl IdentityLog for KafkaIdentity {
    fn append(&self, entry: Entry) -> Answering<'_, i64> {
        Box::pin(async move {
            let connected = self.connected.get().ok_or_else(super::store::starting)?;
            let key = entry.key().as_bytes();
            let partition = match &entry {
                Entry::Account(_) => topic::partition_of(key, connected.account_partitions),
                Entry::Identity(_) | Entry::Audit(_) => 0,
            };
            let sent = connected.publisher.send(entry.topic(), partition, key, connected.payload(&entry)).await;
            sent.map(|delivered| delivered.offset).map_err(|error| undelivered(&error))
        })
    }

    fn end_of(&self, topic: &'static str) -> Answering<'_, i64> {
        Box::pin(async move {
            let mut kept = self.cluster.lock().await;
            let mut cluster = kept.take().unwrap_or_else(|| Cluster::new(&self.kafka));
            // The call blocks.
            let asked = move || cluster.offsets(&[topic.to_owned()], OffsetOf::End).map(|ends| (cluster, ends));
            let answered = tokio::task::spawn_blocking(asked).await.map_err(|error| away(&error))?;
            let (cluster, ends) = answered.map_err(|error| away(&error))?;
            *kept = Some(cluster);
            let end = ends.get(&(topic.to_owned(), 0)).map(|end| end.offset);
            end.ok_or_else(|| away(&format!("the topic {topic} does not exist")))
        })
    }
}

fn away(error: &dyn std::fmt::Display) -> Problem {
    let detail = format!("Kafka is away ({error}): try again");
    Problem::new(503, "kafka_away", "Kafka is away", detail).retry_after(1)
}

/// What it means for whoever asked for a change.
fn undelivered(error: &Undelivered) -> Problem {
    match error {
        Undelivered::Full(_) => {
            Problem::new(503, "too_busy", "Too busy", format!("{error}: nothing was changed; try again"))
        }
        Undelivered::NotSent(_) => {
            let detail = format!("Kafka is away ({error}): nothing was changed; try again");
            Problem::new(503, "kafka_away", "Kafka is away", detail)
        }
        Undelivered::Unknown(_) => {
            let detail = format!("it is not known whether it was done ({error}): look, then try again");
            Problem::new(503, "outcome_unknown", "Not known whether done", detail)
        }
    }
    .retry_after(1)
}

/// Connects the log, and follows each topic, on threads of their own.
///
/// # Errors
/// If no thread can be started.
pub fn start(app: &Arc<App>, log: &Arc<KafkaIdentity>, store: &Arc<Store>) -> Result<()> {
    let (of_log, connecting) = (Arc::clone(app), Arc::clone(log));
    let connect = move || {
        persist("identity", RETRY_PAUSE, &of_log.stop, || {
            connecting.connect(&of_log).map_err(|error| format!("{error:#}"))
        })
    };
    std::thread::Builder::new().name("identity".into()).spawn(connect)?;
    for topic in TOPICS {
        let (app, store) = (Arc::clone(app), Arc::clone(store));
        let follow = move || persist(topic, RETRY_PAUSE, &app.stop, || follow(&app, topic, &store));
        std::thread::Builder::new().name(topic.into()).spawn(follow)?;
    }
    Ok(())
}

/// Reads a topic on from where the store is, until the gateway stops. Never from its beginning again: an older generation
/// of a session that is read twice looks like theft.
fn follow(app: &App, topic: &'static str, store: &Store) -> Result<(), String> {
    let away = |error: PortError| error.to_string();
    let ids: Arc<dyn SchemaIds> = Arc::clone(&app.registry) as Arc<dyn SchemaIds>;
    let mut decode = decoder_of(topic, &ids)?;
    let mut tail = Tail::open_at(&app.addresses.kafka, topic, Start::At(&[store.next_offset(topic)])).map_err(away)?;
    let mut is_complete = false;
    while !app.stop.load(Ordering::Relaxed) {
        let mut taken = Ok(());
        let visit = |record: &tapeline_kafka::scan::RecordView<'_>| {
            taken = take(store, topic, &mut decode, record.offset, record.key, record.payload);
        };
        tail.poll(TAIL_WAIT, visit).map_err(away)?;
        taken?;
        if !is_complete && tail.caught_up() {
            is_complete = true;
            store.set_complete(topic);
        }
    }
    Ok(())
}

/// Takes a record. One that can't be read is passed over, as on every gateway.
fn take(
    store: &Store,
    topic: &'static str,
    decode: &mut Decode,
    offset: i64,
    key: Option<&[u8]>,
    payload: Option<&[u8]>,
) -> Result<(), String> {
    let unreadable = match decode(payload) {
        Ok(event) => match check_key(key, event.key()) {
            Ok(()) => {
                store.take(topic, offset, &event);
                return Ok(());
            }
            Err(Undecodable::Away(why)) => return Err(why),
            Err(Undecodable::Poison { text, .. }) => text,
        },
        Err(DecodeError::SourceAway(why)) => return Err(why),
        Err(error) => error.to_string(),
    };
    tracing::error!(topic, offset, why = unreadable, "a record can't be read and is passed over");
    store.pass_over(topic, offset);
    Ok(())
}

type Decode = Box<dyn FnMut(Option<&[u8]>) -> Result<Event, DecodeError>>;

fn decoder_of(topic: &'static str, ids: &Arc<dyn SchemaIds>) -> Result<Decode, String> {
    fn of<T: Wire + 'static>(topic: &str, ids: &Arc<dyn SchemaIds>, event: fn(T) -> Event) -> Result<Decode, String> {
        let mut decoder = decoder::<T>(topic, ids)?;
        Ok(Box::new(move |payload| decoder.decode(payload).map(event)))
    }
    match topic {
        topic::IDENTITY_USERS => of(topic, ids, Event::User),
        topic::IDENTITY_SESSIONS => of(topic, ids, Event::Session),
        topic::IDENTITY_KEYS => of(topic, ids, Event::Key),
        _ => of(topic, ids, Event::Signer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_that_may_have_left_is_said_to_be_of_unknown_outcome() {
        for (error, code, says) in [
            (Undelivered::Full(7), "too_busy", "nothing was changed"),
            (Undelivered::NotSent("x".into()), "kafka_away", "nothing was changed"),
            (Undelivered::Unknown("x".into()), "outcome_unknown", "not known"),
        ] {
            let problem = undelivered(&error);
            assert_eq!((problem.status, problem.code, problem.retry_after_s), (503, code, Some(1)));
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
    }
}
