//! All users, sessions, keys and signers as this gateway has read them, and the one way to change them: a record is
//! appended, read back, and answered by what the fold made of it. So the log decides races between gateways.
//!
//! What is absent: Kafka; [`IdentityLog`] takes what is appended, and whoever follows the topics calls [`Store::take`].

use super::log::{Entry, IdentityLog};
use super::now_ms;
use crate::problem::Problem;
use smol_str::SmolStr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tapeline_identity::{Applied, Directory, Event, Signer};
use tapeline_schemas::topic;
use tokio::sync::{Notify, watch};

/// The topics that are folded.
pub const TOPICS: [&str; 4] =
    [topic::IDENTITY_USERS, topic::IDENTITY_SESSIONS, topic::IDENTITY_KEYS, topic::IDENTITY_SIGNERS];

/// How long a record of our own may take on its way back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Verdicts of each topic that are kept for those who wait: far more than records come within [`PATIENCE`].
const MAX_VERDICTS: usize = 10_000;

/// Where a record lies in its topic's one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: &'static str,
    /// The offset.
    pub offset: i64,
}

/// How far a topic has been read.
#[derive(Debug, Default)]
struct Progress {
    next_offset: i64,
    is_complete: bool,
    verdicts: VecDeque<(i64, Applied)>,
}

/// The directory, the log that it is a fold of, and the key with which this gateway signs.
pub struct Store {
    log: Arc<dyn IdentityLog>,
    directory: RwLock<Directory>,
    progress: Mutex<BTreeMap<&'static str, Progress>>,
    /// Told after each record.
    moved: watch::Sender<()>,
    signer: RwLock<Option<Arc<Signer>>>,
    /// Told when there may be something to repair.
    pub(super) to_repair: Notify,
}

impl Store {
    /// Nothing is read yet.
    pub fn new(log: Arc<dyn IdentityLog>) -> Self {
        Self {
            log,
            directory: RwLock::default(),
            progress: Mutex::new(TOPICS.map(|topic| (topic, Progress::default())).into()),
            moved: watch::Sender::new(()),
            signer: RwLock::default(),
            to_repair: Notify::new(),
        }
    }

    /// Where entries go.
    pub fn log(&self) -> &Arc<dyn IdentityLog> {
        &self.log
    }

    /// Looks at the directory. `look` must be quick: all requests and the log wait meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Directory) -> T) -> T {
        look(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn progress(&self) -> MutexGuard<'_, BTreeMap<&'static str, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the record at `offset`; records of a topic come in the order of the log.
    pub fn take(&self, topic: &'static str, offset: i64, event: &Event) -> Applied {
        let applied = self.directory.write().unwrap_or_else(PoisonError::into_inner).apply(event);
        if let Some(progress) = self.progress().get_mut(topic) {
            progress.next_offset = offset + 1;
            if progress.verdicts.len() >= MAX_VERDICTS {
                progress.verdicts.pop_front();
            }
            progress.verdicts.push_back((offset, applied));
        }
        self.moved.send_replace(());
        if !matches!(applied, Applied::Taken | Applied::Known) {
            tracing::info!(topic, offset, key = %event.key(), ?applied, "a record did not count");
            self.to_repair.notify_one();
        }
        applied
    }

    /// A record at `offset` that can't be read is passed over.
    pub fn pass_over(&self, topic: &'static str, offset: i64) {
        if let Some(progress) = self.progress().get_mut(topic) {
            progress.next_offset = offset + 1;
        }
        self.moved.send_replace(());
    }

    /// The topic has been read to its end once.
    pub fn set_complete(&self, topic: &'static str) {
        if let Some(progress) = self.progress().get_mut(topic) {
            progress.is_complete = true;
        }
        self.moved.send_replace(());
        self.to_repair.notify_one();
    }

    /// The offset of the next record of a topic.
    pub fn next_offset(&self, topic: &str) -> i64 {
        self.progress().get(topic).map_or(0, |progress| progress.next_offset)
    }

    /// Whether all topics have been read to their ends once.
    pub fn is_complete(&self) -> bool {
        self.progress().values().all(|progress| progress.is_complete)
    }

    /// Waits for as long as it takes until all topics have been read to their ends once.
    pub async fn completed(&self) {
        self.wait_until(|| self.is_complete().then_some(())).await;
    }

    async fn wait_until<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let mut moved = self.moved.subscribe();
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            // It ends with the store only, which is borrowed here.
            moved.changed().await.ok()?;
        }
    }

    /// Appends a record; it counts once [`Self::settled`] says so.
    ///
    /// # Errors
    /// 503: not taken, or not known whether.
    pub async fn publish(&self, event: Event) -> Result<Position, Problem> {
        let topic = event.topic();
        let offset = self.log.append(Entry::Identity(event)).await?;
        Ok(Position { topic, offset })
    }

    /// What became of the record at `position`, once this gateway has read it.
    ///
    /// # Errors
    /// 503 if it has not been read within 5 s.
    pub async fn settled(&self, position: Position) -> Result<Applied, Problem> {
        let Position { topic, offset } = position;
        let verdict = || {
            let progress = self.progress();
            let of_topic = progress.get(topic)?;
            if of_topic.next_offset <= offset {
                return None;
            }
            let found = of_topic.verdicts.binary_search_by_key(&offset, |(offset, _)| *offset);
            Some(found.ok().and_then(|index| of_topic.verdicts.get(index)).map(|(_, applied)| *applied))
        };
        match tokio::time::timeout(PATIENCE, self.wait_until(verdict)).await {
            Ok(Some(Some(applied))) => Ok(applied),
            _ => {
                let detail =
                    "the change lies in the log, but the gateway has not read it back: look whether it was made";
                Err(Problem::new(503, "outcome_unknown", "Not known whether done", detail).retry_after(1))
            }
        }
    }

    /// Appends a record and gives what became of it.
    ///
    /// # Errors
    /// As [`Self::publish`] and [`Self::settled`].
    pub async fn commit(&self, event: Event) -> Result<Applied, Problem> {
        let position = self.publish(event).await?;
        self.settled(position).await
    }

    /// Waits until the topic's present end has been read.
    ///
    /// # Errors
    /// 503 if Kafka is away, or it has not been read within 5 s.
    pub async fn read_to_end(&self, topic: &'static str) -> Result<(), Problem> {
        let end = self.log.end_of(topic).await?;
        let is_there = || (self.next_offset(topic) >= end).then_some(());
        let read = tokio::time::timeout(PATIENCE, self.wait_until(is_there)).await;
        read.ok().flatten().ok_or_else(|| {
            let detail = "the gateway has not read the newest sessions yet: try again with the same token";
            Problem::new(503, "behind", "The gateway is behind", detail).retry_after(1)
        })
    }

    /// The key to sign with.
    ///
    /// # Errors
    /// 503 before [`Self::renew_signer`] has succeeded.
    pub fn signer(&self) -> Result<Arc<Signer>, Problem> {
        self.signer.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(starting)
    }

    /// Makes a key that signs for `rotate_after`, and uses it once the log has its public half.
    ///
    /// # Errors
    /// As [`Self::commit`]; the key before stays in use.
    pub async fn renew_signer(&self, rotate_after: Duration) -> Result<(), Problem> {
        let rotate_after_ms = i64::try_from(rotate_after.as_millis()).unwrap_or(i64::MAX);
        let signer = Signer::generate(now_ms(), rotate_after_ms, &mut super::rng()?)?;
        self.commit(Event::Signer(signer.record().clone())).await?.verdict()?;
        tracing::info!(kid = %signer.record().kid, "a new signing key");
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(signer));
        Ok(())
    }

    /// Whether a new key is needed: there is none, it is old, or it was retired because it may have leaked.
    pub fn needs_signer(&self) -> bool {
        let Ok(signer) = self.signer() else { return true };
        let kid: &SmolStr = &signer.record().kid;
        let jwks = self.read(|directory| directory.verifier().jwks(now_ms()));
        let is_current = jwks["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["kid"] == kid.as_str()));
        signer.is_due(now_ms()) || !is_current
    }

    /// Publishes what the log's last records do not say.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn repair(&self) -> Result<(), Problem> {
        if !self.is_complete() {
            return Ok(());
        }
        for event in self.read(Directory::repairs) {
            tracing::info!(topic = event.topic(), key = %event.key(), "publishing again what a lost race has covered");
            // Whatever it says: another gateway may have been quicker.
            self.commit(event).await?;
        }
        Ok(())
    }

    /// Takes out of the memory what has ended.
    pub fn forget_ended(&self) {
        self.directory.write().unwrap_or_else(PoisonError::into_inner).forget_ended(now_ms());
    }
}

/// The gateway has not read its users yet.
pub(super) fn starting() -> Problem {
    let detail = "the gateway has not read its users yet: try again";
    Problem::new(503, "starting", "Not ready", detail).retry_after(1)
}
