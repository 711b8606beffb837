//! The fold of the four `identity.*` topics: what every gateway knows, and the same on each of them.
//!
//! The rules do not depend on what compaction has already removed: a record that lost is followed by one that says so.
//! [`Directory::repairs`] lists the records that are still to be published for that; it is empty when the last record of
//! each key is what the directory holds.
//!
//! What is absent: the clock. Whether something has expired is asked with `now_ms`.

mod keys;
mod sessions;
mod users;

use crate::refusal::{Code, Refusal};
use crate::verifier::Verifier;
use smol_str::SmolStr;
use std::collections::{BTreeSet, HashMap};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{
    IdentityKey, IdentitySession, IdentitySigner, IdentityUser, IdentityUserStatus as Status,
};

/// A record of one of the four topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of `identity.users`.
    User(IdentityUser),
    /// Of `identity.sessions`.
    Session(IdentitySession),
    /// Of `identity.keys`.
    Key(IdentityKey),
    /// Of `identity.signers`.
    Signer(IdentitySigner),
}

impl Event {
    /// The topic that it belongs to.
    pub const fn topic(&self) -> &'static str {
        match self {
            Self::User(_) => topic::IDENTITY_USERS,
            Self::Session(_) => topic::IDENTITY_SESSIONS,
            Self::Key(_) => topic::IDENTITY_KEYS,
            Self::Signer(_) => topic::IDENTITY_SIGNERS,
        }
    }

    /// The record's key.
    pub const fn key(&self) -> &SmolStr {
        match self {
            Self::User(user) => &user.user_id,
            Self::Session(session) => &session.family_id,
            Self::Key(key) => &key.key_id,
            Self::Signer(signer) => &signer.kid,
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is the state now.
    Taken,
    /// It says what was known.
    Known,
    /// A user whose login another one holds: it is VOID.
    LoginTaken,
    /// A second record of a generation: the family is revoked.
    Conflict,
    /// A record of a family that had ended before.
    Ended,
    /// Another change came first, or it would change what never changes: nothing is done.
    Stale,
    /// It can't be true, such as a kid that is not its key's thumbprint: nothing is done.
    Impossible,
}

impl Applied {
    /// What to tell the one whose request led to the record.
    ///
    /// # Errors
    /// The refusal, if the record did not become the state.
    pub fn verdict(self) -> Result<(), Refusal> {
        match self {
            Self::Taken | Self::Known => Ok(()),
            Self::LoginTaken => Err(login_taken()),
            Self::Conflict => Err(Refusal::new(
                Code::TokenReused,
                "the refresh token was used twice at the same time; the session is ended, log in again",
            )),
            Self::Ended => Err(Refusal::session_over()),
            Self::Stale => Err(Refusal::new(
                Code::ChangedMeanwhile,
                "the same was changed by another request at the same time; look at it and try again",
            )),
            Self::Impossible => {
                Err(Refusal::internal("the gateway wrote a record that can't be true", "it was ignored"))
            }
        }
    }
}

pub(crate) fn login_taken() -> Refusal {
    Refusal::of_field(Code::LoginTaken, "login", "the login belongs to another user; choose another one")
}

/// All users, sessions, API keys and signing keys.
#[derive(Debug, Default)]
pub struct Directory {
    users: users::Users,
    sessions: sessions::Sessions,
    keys: keys::Keys,
    verifier: Verifier,
    /// Topic and key of what the log's last record does not say as it is.
    unsaid: BTreeSet<(&'static str, SmolStr)>,
}

impl Directory {
    /// Takes the next record of a topic. Records of one topic must come in the order of the log; topics may interleave.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let applied = match event {
            Event::User(user) => {
                let (applied, displaced) = self.users.apply(user);
                self.unsaid.extend(displaced.map(|loser| (topic::IDENTITY_USERS, loser)));
                applied
            }
            Event::Session(session) => self.sessions.apply(session),
            Event::Key(key) => self.keys.apply(key),
            Event::Signer(signer) => self.verifier.apply(signer),
        };
        let at = (event.topic(), event.key().clone());
        if self.state(at.0, &at.1).is_some_and(|state| !says(event, &state)) {
            self.unsaid.insert(at);
        } else {
            self.unsaid.remove(&at);
        }
        applied
    }

    /// Records to be published, so that compaction can't make a record that lost win later. The gateway asks when it has
    /// read all topics to their ends, and again after each record that was not [`Applied::Taken`] or [`Applied::Known`].
    /// Several gateways may publish the same: it does no harm.
    pub fn repairs(&self) -> Vec<Event> {
        self.unsaid.iter().filter_map(|(topic, key)| self.state(topic, key)).map(repair).collect()
    }

    fn state(&self, of: &str, key: &str) -> Option<Event> {
        match of {
            topic::IDENTITY_USERS => self.users.get(key).cloned().map(Event::User),
            topic::IDENTITY_SESSIONS => self.sessions.get(key).cloned().map(Event::Session),
            topic::IDENTITY_KEYS => self.keys.get(key).cloned().map(Event::Key),
            _ => self.verifier.get(key).cloned().map(Event::Signer),
        }
    }

    /// The user, whatever its status.
    pub fn user(&self, user_id: &str) -> Option<&IdentityUser> {
        self.users.get(user_id)
    }

    /// The user, if it is active.
    pub fn active_user(&self, user_id: &str) -> Option<&IdentityUser> {
        self.user(user_id).filter(|user| user.status == Status::Active)
    }

    /// The user that holds the login, active or disabled. Case does not matter.
    pub fn user_of_login(&self, login: &str) -> Option<&IdentityUser> {
        self.users.of_login(login)
    }

    /// The user whose trading account it is. An account belongs to one user for ever.
    pub fn user_of_account(&self, account: &str) -> Option<&IdentityUser> {
        self.users.of_account(account)
    }

    /// The session, ended or not.
    pub fn session(&self, family_id: &str) -> Option<&IdentitySession> {
        self.sessions.get(family_id)
    }

    /// The user's sessions that have not ended at `now_ms`.
    pub fn sessions_of(&self, user_id: &str, now_ms: i64) -> impl Iterator<Item = &IdentitySession> {
        self.sessions.of(user_id).filter(move |session| session.ended.is_none() && now_ms < session.expires_ms)
    }

    /// The API key, revoked and expired ones too.
    pub fn key(&self, key_id: &str) -> Option<&IdentityKey> {
        self.keys.get(key_id)
    }

    /// The user's API keys that are neither revoked nor expired at `now_ms`, oldest first.
    pub fn keys_of(&self, user_id: &str, now_ms: i64) -> Vec<&IdentityKey> {
        let mut keys: Vec<&IdentityKey> = self.keys.of(user_id).filter(|key| keys::counts(key, now_ms)).collect();
        keys.sort_by_key(|key| (key.created_ms, key.key_id.clone()));
        keys
    }

    /// The signing keys of all gateways.
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Takes sessions and signing keys out of the memory that have been over for a day: no rule needs them again, since a
    /// record of them that came now would be as expired.
    pub fn forget_ended(&mut self, now_ms: i64) {
        let before_ms = now_ms.saturating_sub(KEPT_AFTER_END_MS);
        self.sessions.forget_expired(before_ms);
        self.verifier.forget_expired(before_ms);
        let mut unsaid = std::mem::take(&mut self.unsaid);
        unsaid.retain(|(topic, key)| self.state(topic, key).is_some());
        self.unsaid = unsaid;
    }
}

/// Whether a reader that finds `last` alone comes to know what matters of `state`. Two ends are as good as each other: gateways
/// that had seen them in different orders would else write against one another without end.
fn says(last: &Event, state: &Event) -> bool {
    match (last, state) {
        (Event::User(last), Event::User(state)) if state.status == Status::Void => last.status == Status::Void,
        (Event::Session(last), Event::Session(state)) if state.ended.is_some() => last.ended.is_some(),
        (Event::Key(last), Event::Key(state)) if state.revoked_ms.is_some() => last.revoked_ms.is_some(),
        (last, state) => last == state,
    }
}

/// What is published of a state that the log's last record does not say. A user's gets the next revision: a gateway for which
/// compaction has left only the record that lost takes it too. All other states win by themselves.
fn repair(state: Event) -> Event {
    match state {
        Event::User(user) if user.status != Status::Void => {
            Event::User(IdentityUser { revision: user.revision.saturating_add(1), ..user })
        }
        state => state,
    }
}

/// How long what has expired is kept in memory: longer than clocks of gateways differ.
const KEPT_AFTER_END_MS: i64 = 86_400_000;

/// Keys of records by the user that they belong to.
#[derive(Debug, Default)]
struct ByUser(HashMap<SmolStr, BTreeSet<SmolStr>>);

impl ByUser {
    fn insert(&mut self, user_id: &SmolStr, key: &SmolStr) {
        self.0.entry(user_id.clone()).or_default().insert(key.clone());
    }

    fn remove(&mut self, user_id: &str, key: &str) {
        if let Some(keys) = self.0.get_mut(user_id) {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(user_id);
            }
        }
    }

    fn of(&self, user_id: &str) -> impl Iterator<Item = &SmolStr> {
        self.0.get(user_id).into_iter().flatten()
    }
}
