//! The fold: which record counts, that the log's order decides, and that compaction changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, HashSet};
use support::user;
use tapeline_identity::{Applied, Code, Directory, Event, sessions, users};
use tapeline_schemas::wire::{
    IdentityKey, IdentityRole, IdentitySession, IdentityUser, IdentityUserStatus as Status, SessionEnd,
};

fn applied(directory: &mut Directory, user: &IdentityUser) -> Applied {
    directory.apply(&Event::User(user.clone()))
}

fn session(family_id: &str, generation: i64, hash: u8) -> IdentitySession {
    IdentitySession {
        family_id: family_id.into(),
        user_id: "U1".into(),
        generation,
        token_hash: ByteBuf::from(vec![hash; 32]),
        previous_hash: (generation > 1).then(|| ByteBuf::from(vec![hash.wrapping_sub(1); 32])),
        created_ms: 0,
        rotated_ms: generation,
        expires_ms: 1_000,
        second_factor_ms: None,
        ended: None,
    }
}

fn key(key_id: &str) -> IdentityKey {
    IdentityKey {
        key_id: key_id.into(),
        user_id: "U1".into(),
        account: "u-U1".into(),
        secret_hash: ByteBuf::from(vec![1; 32]),
        label: "l".into(),
        scopes: Vec::new(),
        created_ms: 0,
        expires_ms: 1_000,
        revoked_ms: None,
    }
}

#[test]
fn the_first_sign_up_in_the_log_has_the_login_and_the_second_is_void() {
    let mut directory = Directory::default();
    let (winner, loser) = (user("U1", "Ada"), user("U2", "ADA"));
    assert_eq!(applied(&mut directory, &winner), Applied::Taken);
    assert_eq!(applied(&mut directory, &loser), Applied::LoginTaken);
    let refusal = Applied::LoginTaken.verdict().unwrap_err();
    assert_eq!((refusal.code, refusal.field), (Code::LoginTaken, Some("login")));
    assert_eq!(directory.user_of_login("aDa"), Some(&winner));
    assert_eq!(directory.user_of_account("u-U2"), None);
    // Nothing that could be used is left of the loser, and that is what must be published.
    let void = directory.user("U2").unwrap().clone();
    assert_eq!((void.status, void.password_hash.as_str(), void.revision), (Status::Void, "", 1));
    assert_eq!(directory.repairs(), [Event::User(void.clone())]);
    assert_eq!(applied(&mut directory, &void), Applied::Known);
    assert!(directory.repairs().is_empty());
    // It stays void.
    let back = IdentityUser { revision: 9, status: Status::Active, ..loser };
    assert_eq!(applied(&mut directory, &back), Applied::Stale);
    assert_eq!(directory.active_user("U2"), None);
    assert_eq!(directory.repairs(), [Event::User(void)]);
}

#[test]
fn a_login_of_a_void_user_is_free_again() {
    let mut directory = Directory::default();
    let first = user("U1", "ada");
    applied(&mut directory, &first);
    let void = IdentityUser { revision: 1, status: Status::Void, ..first };
    assert_eq!(applied(&mut directory, &void), Applied::Taken);
    assert_eq!(directory.user_of_login("ada"), None);
    assert_eq!(applied(&mut directory, &user("U2", "ada")), Applied::Taken);
}

#[test]
fn a_winner_whose_first_record_was_compacted_away_keeps_its_login() {
    let winner = users::with_roles(&user("U1", "ada"), &[IdentityRole::Operator], 5);
    let mut directory = Directory::default();
    assert_eq!(applied(&mut directory, &user("U2", "ada")), Applied::Taken, "the loser stands first now");
    assert_eq!(applied(&mut directory, &winner), Applied::Taken);
    assert_eq!(directory.user_of_login("ada"), Some(&winner));
    assert_eq!(directory.user("U2").unwrap().status, Status::Void);
    assert_eq!(directory.repairs().len(), 1);
    let void = IdentityUser { revision: 1, status: Status::Void, ..user("U2", "ada") };
    assert_eq!(applied(&mut directory, &void), Applied::Stale, "void is void, whatever else it says");
    assert!(directory.repairs().is_empty());
}

#[test]
fn of_two_changes_of_a_user_the_first_counts_and_the_log_is_made_to_say_so() {
    let mut directory = Directory::default();
    let signed_up = user("U1", "ada");
    applied(&mut directory, &signed_up);
    let first = users::with_roles(&signed_up, &[IdentityRole::Operator], 5);
    let second = users::disabled(&signed_up, 6);
    assert_eq!(applied(&mut directory, &first), Applied::Taken);
    assert_eq!(applied(&mut directory, &first), Applied::Known);
    assert_eq!(applied(&mut directory, &second), Applied::Stale);
    assert_eq!(Applied::Stale.verdict().unwrap_err().code, Code::ChangedMeanwhile);
    assert_eq!(directory.user("U1"), Some(&first));
    let repair = IdentityUser { revision: 2, ..first };
    assert_eq!(directory.repairs(), [Event::User(repair.clone())]);
    // A gateway for which compaction left the second one only comes to the same.
    let mut other = Directory::default();
    applied(&mut other, &second);
    assert_eq!(applied(&mut other, &repair), Applied::Taken);
    assert_eq!(applied(&mut directory, &repair), Applied::Taken);
    assert_eq!(directory.user("U1"), other.user("U1"));
    assert!(directory.repairs().is_empty() && other.repairs().is_empty());
}

#[test]
fn a_login_and_an_account_are_for_ever() {
    let mut directory = Directory::default();
    applied(&mut directory, &user("U1", "ada"));
    let changed = users::with_roles(&user("U1", "ada"), &[], 5);
    for other in [
        IdentityUser { login: "bob".into(), login_key: "bob".into(), ..changed.clone() },
        IdentityUser { account: "u-U9".into(), ..changed.clone() },
    ] {
        assert_eq!(applied(&mut directory, &other), Applied::Stale);
    }
    let lying = IdentityUser { login_key: "bob".into(), ..changed };
    assert_eq!(applied(&mut directory, &lying), Applied::Impossible);
    assert_eq!(applied(&mut directory, &IdentityUser { user_id: "U7".into(), ..lying }), Applied::Impossible);
    assert_eq!(directory.user("U7"), None);
}

#[test]
fn which_record_of_a_session_may_follow() {
    let current = session("F", 2, 2);
    let ended = |of: &IdentitySession| sessions::ended(of, SessionEnd::LoggedOut);
    let cases: [(&str, IdentitySession, Applied); 10] = [
        ("the same", current.clone(), Applied::Known),
        ("the next generation", session("F", 3, 3), Applied::Taken),
        ("a later one, after compaction", session("F", 9, 9), Applied::Taken),
        ("its end", ended(&current), Applied::Taken),
        ("the end of an earlier generation", ended(&session("F", 1, 1)), Applied::Taken),
        ("the same generation with another hash", session("F", 2, 9), Applied::Conflict),
        ("an earlier generation", session("F", 1, 1), Applied::Conflict),
        ("the next one of another token", session("F", 3, 9), Applied::Conflict),
        ("another user", IdentitySession { user_id: "U2".into(), ..session("F", 3, 3) }, Applied::Conflict),
        ("another end", IdentitySession { expires_ms: 9_999, ..session("F", 3, 3) }, Applied::Conflict),
    ];
    for (what, next, expected) in cases {
        let mut directory = Directory::default();
        directory.apply(&Event::Session(current.clone()));
        assert_eq!(directory.apply(&Event::Session(next.clone())), expected, "{what}");
        let state = directory.session("F").unwrap();
        if expected == Applied::Conflict {
            assert_eq!(*state, sessions::ended(&current, SessionEnd::Conflict), "{what}");
            assert_eq!(directory.repairs(), [Event::Session(state.clone())], "{what}");
            assert_eq!(expected.verdict().unwrap_err().code, Code::TokenReused);
        } else {
            assert_eq!(*state, next, "{what}");
            assert!(directory.repairs().is_empty(), "{what}");
        }
    }
}

#[test]
fn an_end_of_a_session_is_final() {
    let mut directory = Directory::default();
    let end = sessions::ended(&session("F", 2, 2), SessionEnd::LoggedOut);
    directory.apply(&Event::Session(session("F", 2, 2)));
    directory.apply(&Event::Session(end.clone()));
    for late in [session("F", 3, 3), session("F", 2, 2), session("F", 1, 1)] {
        assert_eq!(directory.apply(&Event::Session(late)), Applied::Ended);
        assert_eq!(directory.session("F"), Some(&end));
        assert_eq!(directory.repairs(), [Event::Session(end.clone())]);
    }
    assert_eq!(Applied::Ended.verdict().unwrap_err().code, Code::Expired);
    // Another end is as good: nobody needs to write against it.
    let other = sessions::ended(&session("F", 2, 2), SessionEnd::TokenReused);
    assert_eq!(directory.apply(&Event::Session(other)), Applied::Ended);
    assert!(directory.repairs().is_empty());
}

#[test]
fn a_key_changes_by_being_revoked_only() {
    let mut directory = Directory::default();
    let made = key("K");
    let revoked = IdentityKey { revoked_ms: Some(5), ..made.clone() };
    let wider = IdentityKey { expires_ms: 9_999, ..made.clone() };
    let mut apply = |key: &IdentityKey| directory.apply(&Event::Key(key.clone()));
    let verdicts = [&made, &made, &wider, &revoked, &made].map(&mut apply);
    assert_eq!(verdicts, [Applied::Taken, Applied::Known, Applied::Stale, Applied::Taken, Applied::Stale]);
    assert_eq!(directory.key("K"), Some(&revoked));
    assert_eq!(directory.repairs(), [Event::Key(revoked)]);
    assert!(directory.keys_of("U1", 0).is_empty());
    directory.apply(&Event::Key(key("L")));
    assert_eq!((directory.keys_of("U1", 999).len(), directory.keys_of("U1", 1_000).len()), (1, 0));
}

#[test]
fn what_is_over_for_a_day_leaves_the_memory_and_does_not_come_back_to_life() {
    let day_ms = 86_400_000;
    let mut directory = Directory::default();
    directory.apply(&Event::Session(session("F", 1, 1)));
    directory.apply(&Event::Session(session("F", 1, 2)));
    assert_eq!(directory.repairs().len(), 1);
    directory.forget_ended(1_000 + day_ms);
    assert!(directory.session("F").is_some());
    directory.forget_ended(1_001 + day_ms);
    assert_eq!((directory.session("F"), directory.repairs().len()), (None, 0));
    directory.apply(&Event::Session(session("F", 2, 2)));
    assert_eq!(directory.sessions_of("U1", 1_001 + day_ms).count(), 0);
}

// ---- compaction -----------------------------------------------------------------------------------------------------

/// What a gateway may write next, by what it has read.
#[derive(Debug, Clone)]
enum Write {
    SignUp { login: u8 },
    Change { user: prop::sample::Index, disable: bool },
    Open { family: u8 },
    Rotate { family: u8, hash: u8 },
    End { family: u8, why: usize },
    Make { key: u8 },
    Revoke { key: u8, at_ms: i64 },
}

fn writes() -> impl Strategy<Value = Vec<(usize, usize, Write)>> {
    let write = prop_oneof![
        (0..2_u8).prop_map(|login| Write::SignUp { login }),
        (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(user, disable)| Write::Change { user, disable }),
        (0..2_u8).prop_map(|family| Write::Open { family }),
        (0..2_u8, any::<u8>()).prop_map(|(family, hash)| Write::Rotate { family, hash }),
        (0..2_u8, 1..6_usize).prop_map(|(family, why)| Write::End { family, why }),
        (0..2_u8).prop_map(|key| Write::Make { key }),
        (0..2_u8, 1..9_i64).prop_map(|(key, at_ms)| Write::Revoke { key, at_ms }),
    ];
    // Which gateway, how many records it reads before, what it writes.
    proptest::collection::vec((0..2_usize, 0..6_usize, write), 1..40)
}

#[derive(Default)]
struct Gateways {
    log: Vec<Event>,
    directories: [Directory; 2],
    read: [usize; 2],
    users: usize,
}

impl Gateways {
    fn read(&mut self, at: usize, count: usize) {
        for _ in 0..count.min(self.log.len() - self.read[at]) {
            self.directories[at].apply(&self.log[self.read[at]]);
            self.read[at] += 1;
        }
    }

    fn write(&mut self, at: usize, write: &Write) {
        let directory = &self.directories[at];
        let event = match write {
            Write::SignUp { login } => {
                let login = format!("login{login}");
                self.users += 1;
                // Only a gateway that does not know the holder lets a sign-up through.
                let free = directory.user_of_login(&login).is_none();
                free.then(|| Event::User(user(&format!("U{}", self.users), &login)))
            }
            Write::Change { user, disable } => {
                let user = (self.users > 0).then(|| format!("U{}", user.index(self.users) + 1));
                let user = user.and_then(|user| directory.user(&user)).filter(|user| user.status != Status::Void);
                let at_ms = self.log.len() as i64;
                user.map(|user| if *disable { users::disabled(user, at_ms) } else { users::enabled(user, at_ms) })
                    .map(Event::User)
            }
            Write::Open { family } => {
                let family = format!("F{family}");
                directory.session(&family).is_none().then(|| Event::Session(session(&family, 1, 1)))
            }
            Write::Rotate { family, hash } => {
                let current = directory.session(&format!("F{family}")).filter(|session| session.ended.is_none());
                current.map(|current| {
                    Event::Session(IdentitySession {
                        generation: current.generation + 1,
                        previous_hash: Some(current.token_hash.clone()),
                        token_hash: ByteBuf::from(vec![*hash; 32]),
                        ..current.clone()
                    })
                })
            }
            Write::End { family, why } => {
                let current = directory.session(&format!("F{family}")).filter(|session| session.ended.is_none());
                current.map(|current| Event::Session(sessions::ended(current, SessionEnd::ALL[*why])))
            }
            Write::Make { key: id } => {
                let id = format!("K{id}");
                directory.key(&id).is_none().then(|| Event::Key(key(&id)))
            }
            Write::Revoke { key, at_ms } => {
                let key = directory.key(&format!("K{key}")).filter(|key| key.revoked_ms.is_none());
                key.map(|key| Event::Key(IdentityKey { revoked_ms: Some(*at_ms), ..key.clone() }))
            }
        };
        self.log.extend(event);
    }

    /// Both read on and repair until nothing is left to do; how many rounds that took.
    fn settle(&mut self) -> usize {
        for round in 0.. {
            for at in 0..2 {
                self.read(at, self.log.len());
            }
            let repairs: Vec<Event> = self.directories.iter().flat_map(Directory::repairs).collect();
            if repairs.is_empty() {
                return round;
            }
            assert!(round < 10, "they write against one another: {repairs:?}");
            self.log.extend(repairs);
        }
        unreachable!("the loop returns")
    }
}

/// What is left of the log when the records before `cut` were compacted.
fn compacted(log: &[Event], cut: usize) -> Vec<Event> {
    let mut newest = BTreeMap::new();
    for (offset, event) in log[..cut].iter().enumerate() {
        newest.insert((event.topic(), event.key().clone()), offset);
    }
    let kept: HashSet<usize> = newest.into_values().collect();
    log.iter()
        .enumerate()
        .filter(|(offset, _)| *offset >= cut || kept.contains(offset))
        .map(|(_, event)| event.clone())
        .collect()
}

fn folded(log: &[Event]) -> Directory {
    let mut directory = Directory::default();
    for event in log {
        directory.apply(event);
    }
    directory
}

/// What the interface can tell of a directory. Two ends of a session or key are the same to it.
fn shown(directory: &Directory, gateways: &Gateways) -> String {
    let users = (1..=gateways.users).map(|id| directory.active_user(&format!("U{id}")).cloned());
    let status = (1..=gateways.users).map(|id| directory.user(&format!("U{id}")).map(|user| user.status));
    let logins = (0..2).map(|login| directory.user_of_login(&format!("login{login}")).map(|user| user.user_id.clone()));
    let open = (0..2)
        .map(|family| directory.session(&format!("F{family}")).filter(|session| session.ended.is_none()).cloned());
    let keys = (0..2).map(|key| directory.key(&format!("K{key}")).filter(|key| key.revoked_ms.is_none()).cloned());
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        users.collect::<Vec<_>>(),
        status.collect::<Vec<_>>(),
        logins.collect::<Vec<_>>(),
        open.collect::<Vec<_>>(),
        keys.collect::<Vec<_>>()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Two gateways that see each other late write what they like; they agree in the end, and a third one that starts later
    /// comes to the same, wherever compaction has got to.
    #[test]
    fn gateways_agree_and_compaction_changes_nothing(writes in writes()) {
        let mut gateways = Gateways::default();
        for (at, count, write) in &writes {
            gateways.read(*at, *count);
            gateways.write(*at, write);
        }
        gateways.settle();
        let expected = shown(&gateways.directories[0], &gateways);
        prop_assert_eq!(&shown(&gateways.directories[1], &gateways), &expected);
        for cut in 0..=gateways.log.len() {
            let late = folded(&compacted(&gateways.log, cut));
            prop_assert_eq!(&shown(&late, &gateways), &expected, "compacted up to {} of {:#?}", cut, gateways.log);
            prop_assert!(late.repairs().is_empty(), "cut at {}: {:?}", cut, late.repairs());
        }
    }
}
