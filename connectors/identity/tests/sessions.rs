//! Refresh tokens: rotation, grace, reuse, ends; and theft, with two gateways that see each other's records late.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use rand::rngs::StdRng;
use support::{World, rng, user};
use tapeline_identity::sessions::{self, GRACE_MS, LIFE_MS, Opened, Refresh};
use tapeline_identity::{Applied, Code, Directory, Event, users};
use tapeline_schemas::wire::{IdentitySession, SessionEnd};

/// What a token leads to after so long: the rotation, or the code of the refusal.
fn refreshed(world: &mut World, token: &str, after_ms: i64) -> Result<Opened, Code> {
    let at_ms = world.now_ms + after_ms;
    match sessions::refresh(&world.directory, token, at_ms, &mut world.rng) {
        Ok(Refresh::Rotated(opened)) => Ok(opened),
        Ok(Refresh::Reused(record, refusal)) => {
            assert_eq!(record.ended, Some(SessionEnd::TokenReused));
            Err(refusal.code)
        }
        Err(refusal) => Err(refusal.code),
    }
}

/// Refreshes, publishes and reads back.
fn rotate(world: &mut World, token: &str) -> String {
    let opened = refreshed(world, token, 0).unwrap();
    world.publish(Event::Session(opened.record));
    opened.refresh_token
}

#[test]
fn a_refresh_gives_the_next_generation_and_nothing_else_changes() {
    let mut world = World::new();
    let first = world.session.clone();
    let second = refreshed(&mut world, &first.refresh_token, 60_000).unwrap();
    let expected = IdentitySession {
        generation: 2,
        token_hash: second.record.token_hash.clone(),
        previous_hash: Some(first.record.token_hash.clone()),
        rotated_ms: world.now_ms + 60_000,
        ..first.record.clone()
    };
    assert_eq!(second.record, expected);
    assert_ne!(second.record.token_hash, first.record.token_hash);
    assert!(!format!("{second:?}").contains(&second.refresh_token), "the token is neither stored nor logged");
}

#[test]
fn when_a_token_counts() {
    // Generations that were made; which token is shown; how long after the last rotation; what comes of it.
    let cases: [(i64, usize, i64, Result<i64, Code>); 11] = [
        (1, 0, 0, Ok(2)),
        (1, 0, LIFE_MS - 1, Ok(2)),
        (1, 0, LIFE_MS, Err(Code::Expired)),
        (2, 1, 60_000, Ok(3)),
        (2, 0, 0, Ok(3)),
        (2, 0, GRACE_MS, Ok(3)),
        (2, 0, GRACE_MS + 1, Err(Code::TokenReused)),
        (2, 0, -GRACE_MS, Ok(3)),
        (2, 0, -GRACE_MS - 1, Err(Code::TokenReused)),
        (3, 0, 0, Err(Code::TokenReused)),
        (3, 0, LIFE_MS, Err(Code::Expired)),
    ];
    for (generations, shown, after_ms, expected) in cases {
        let mut world = World::new();
        let mut tokens = vec![world.session.refresh_token.clone()];
        while (tokens.len() as i64) < generations {
            let next = rotate(&mut world, &tokens[tokens.len() - 1]);
            tokens.push(next);
        }
        let verdict = refreshed(&mut world, &tokens[shown], after_ms).map(|opened| opened.record.generation);
        assert_eq!(verdict, expected, "token {shown} of {generations}, after {after_ms} ms");
    }
}

#[test]
fn an_ended_session_and_a_disabled_user_refresh_nothing() {
    for why in &SessionEnd::ALL[1..] {
        let mut world = World::new();
        let token = world.session.refresh_token.clone();
        world.publish(Event::Session(sessions::ended(&world.session.record, *why)));
        assert_eq!(refreshed(&mut world, &token, 0), Err(Code::Expired), "{why:?}");
    }
    let mut world = World::new();
    let token = world.session.refresh_token.clone();
    world.publish(Event::User(users::disabled(world.user(), world.now_ms)));
    assert_eq!(refreshed(&mut world, &token, 0), Err(Code::Expired));
    let all = sessions::all_ended(&world.directory, &world.user_id, SessionEnd::UserDisabled, world.now_ms);
    assert_eq!(all, [sessions::ended(&world.session.record, SessionEnd::UserDisabled)]);
}

#[test]
fn what_is_no_token_of_a_session_is_invalid_and_ends_nothing() {
    let mut world = World::new();
    let token = URL_SAFE_NO_PAD.decode(&world.session.refresh_token).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = token.clone();
        bytes[at] = byte;
        URL_SAFE_NO_PAD.encode(bytes)
    };
    let cases = [
        String::new(),
        "not base64!".into(),
        URL_SAFE_NO_PAD.encode(&token[..55]),
        URL_SAFE_NO_PAD.encode([&token[..], &[0]].concat()),
        with(55, token[55] ^ 1),
        "A".repeat(1_000_000),
    ];
    for case in &cases {
        assert_eq!(refreshed(&mut world, case, 0), Err(Code::InvalidToken), "{}", &case[..case.len().min(90)]);
    }
    let token = world.session.refresh_token.clone();
    assert!(refreshed(&mut world, &token, 0).is_ok());
}

/// The client must not throw its token away: with it, it would notice a thief.
#[test]
fn a_token_that_this_gateway_has_not_read_of_yet_is_to_be_shown_again() {
    let mut world = World::new();
    let first = world.session.refresh_token.clone();
    let second = refreshed(&mut world, &first, 0).unwrap();
    assert_eq!(refreshed(&mut world, &second.refresh_token, 0), Err(Code::Behind));
    let mut of_another_session = URL_SAFE_NO_PAD.decode(&first).unwrap();
    of_another_session[0] ^= 1;
    assert_eq!(refreshed(&mut world, &URL_SAFE_NO_PAD.encode(of_another_session), 0), Err(Code::Behind));
    world.publish(Event::Session(second.record));
    assert!(refreshed(&mut world, &second.refresh_token, 0).is_ok());
}

proptest! {
    #[test]
    fn any_text_as_a_token_is_refused(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 56)) {
        let mut world = World::new();
        prop_assert_eq!(refreshed(&mut world, &text, 0), Err(Code::InvalidToken));
        let framed = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(refreshed(&mut world, &framed, 0), Err(Code::Behind));
    }
}

// ---- theft ------------------------------------------------------------------------------------------------------------

/// A holder of refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    Thief,
}

#[derive(Debug, Clone)]
enum Step {
    /// Shows the newest token that it has to a gateway, which writes a record.
    Begin(Who, usize),
    /// The gateway reads up to that record and answers.
    Finish(Who),
    /// A gateway reads some records.
    Read(usize, usize),
    /// Time passes.
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = prop_oneof![Just(Who::Owner), Just(Who::Thief)];
    let step = prop_oneof![
        4 => (who.clone(), 0..2_usize).prop_map(|(who, at)| Step::Begin(who, at)),
        4 => who.prop_map(Step::Finish),
        2 => (0..2_usize, 1..4_usize).prop_map(|(at, count)| Step::Read(at, count)),
        1 => prop_oneof![1..2_000_i64, Just(GRACE_MS + 1), Just(300_000)].prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..40)
}

struct Gateway {
    directory: Directory,
    read: usize,
}

/// A request on its way: the gateway, the offset of the record that it wrote, and the token that is given if it counts.
struct Pending {
    gateway: usize,
    offset: usize,
    token: Option<String>,
}

#[derive(Default)]
struct Holder {
    token: String,
    pending: Option<Pending>,
    refused: bool,
    refreshed: bool,
}

struct Theft {
    log: Vec<IdentitySession>,
    gateways: Vec<Gateway>,
    owner: Holder,
    thief: Holder,
    now_ms: i64,
    rng: StdRng,
}

impl Theft {
    /// The thief has just copied the owner's token.
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let user_id = sessions::new_family_id(&mut rng);
        let family_id = sessions::new_family_id(&mut rng);
        let opened = sessions::open(&user_id, &family_id, None, 0, &mut rng).unwrap();
        let gateway = || {
            let mut directory = Directory::default();
            directory.apply(&Event::User(user(&user_id, "ada")));
            directory.apply(&Event::Session(opened.record.clone()));
            Gateway { directory, read: 1 }
        };
        let holder = || Holder { token: opened.refresh_token.clone(), ..Holder::default() };
        let gateways = vec![gateway(), gateway()];
        Self { log: vec![opened.record.clone()], gateways, owner: holder(), thief: holder(), now_ms: 1_000, rng }
    }

    fn holder(&mut self, who: Who) -> &mut Holder {
        match who {
            Who::Owner => &mut self.owner,
            Who::Thief => &mut self.thief,
        }
    }

    /// Reads on up to `offset`, inclusive; what became of that record. What is to be repaired is written.
    fn read_to(&mut self, at: usize, offset: usize) -> Option<Applied> {
        let mut last = None;
        while self.gateways[at].read <= offset {
            let gateway = &mut self.gateways[at];
            last = Some(gateway.directory.apply(&Event::Session(self.log[gateway.read].clone())));
            gateway.read += 1;
            let repairs = gateway.directory.repairs();
            // Several gateways may repair the same; one that has been written is not written again.
            for repair in repairs {
                let Event::Session(record) = repair else { panic!("{repair:?}") };
                assert!(record.ended.is_some(), "only ends need a repair");
                if self.log.last() != Some(&record) {
                    self.log.push(record);
                }
            }
        }
        last
    }

    fn begin(&mut self, who: Who, at: usize) {
        if self.holder(who).pending.is_some() || self.holder(who).refused {
            return;
        }
        let token = self.holder(who).token.clone();
        let answer = sessions::refresh(&self.gateways[at].directory, &token, self.now_ms, &mut self.rng);
        let (record, token) = match answer {
            Ok(Refresh::Rotated(opened)) => (opened.record, Some(opened.refresh_token)),
            Ok(Refresh::Reused(record, _)) => (record, None),
            // The client keeps its token and tries again.
            Err(refusal) if refusal.code == Code::Behind => return,
            Err(_) => return self.holder(who).refused = true,
        };
        let offset = self.log.len();
        self.log.push(record);
        self.holder(who).pending = Some(Pending { gateway: at, offset, token });
    }

    fn finish(&mut self, who: Who) {
        let Some(pending) = self.holder(who).pending.take() else { return };
        let applied = match self.read_to(pending.gateway, pending.offset) {
            Some(applied) => applied.verdict().is_ok(),
            // It was read already, by a step in between: what counts is what the state says then.
            None => self.log[pending.offset].ended.is_none() && self.taken(pending.offset),
        };
        let holder = self.holder(who);
        match pending.token {
            Some(token) if applied => (holder.token, holder.refreshed) = (token, true),
            _ => holder.refused = true,
        }
    }

    /// What the fold made of a record: the same on each gateway.
    fn taken(&self, offset: usize) -> bool {
        let mut directory = Directory::default();
        let mut verdicts = self.log.iter().map(|record| directory.apply(&Event::Session(record.clone())));
        verdicts.nth(offset).unwrap().verdict().is_ok()
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Begin(who, at) => self.begin(who, at),
                Step::Finish(who) => self.finish(who),
                Step::Read(at, count) => {
                    let end = (self.gateways[at].read + count).min(self.log.len());
                    if end > self.gateways[at].read {
                        self.read_to(at, end - 1);
                    }
                }
                Step::Wait(ms) => self.now_ms += ms,
            }
        }
        self.finish(Who::Owner);
        self.finish(Who::Thief);
        self.read_all();
    }

    fn read_all(&mut self) {
        while self.gateways.iter().any(|gateway| gateway.read < self.log.len()) {
            for at in 0..self.gateways.len() {
                let last = self.log.len() - 1;
                self.read_to(at, last);
            }
        }
    }

    /// The session as a gateway sees it.
    fn session(&self, at: usize) -> &IdentitySession {
        self.gateways[at].directory.session(&self.log[0].family_id).unwrap()
    }

    /// A refresh with nothing in between: whether it gave a token.
    fn refresh(&mut self, who: Who) -> bool {
        let before = self.holder(who).token.clone();
        self.begin(who, 0);
        self.finish(who);
        self.read_all();
        self.holder(who).token != before
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the order of refreshes by the owner and a thief: all gateways agree, at most one of the two has a session that
    /// goes on, and the next refresh of the other one ends it for both.
    #[test]
    fn of_an_owner_and_a_thief_one_at_most_goes_on_and_the_others_refresh_ends_it(seed in any::<u64>(), steps in steps()) {
        let mut theft = Theft::new(seed);
        theft.run(&steps);
        prop_assert_eq!(theft.session(0), theft.session(1));
        prop_assert!(theft.gateways.iter().all(|gateway| gateway.directory.repairs().is_empty()));

        // Both go on refreshing at their leisure, outside of the grace.
        theft.now_ms += GRACE_MS + 1;
        let owner = theft.refresh(Who::Owner);
        theft.now_ms += GRACE_MS + 1;
        let thief = theft.refresh(Who::Thief);
        prop_assert!(!(owner && thief), "both refreshed: neither noticed the other");
        prop_assert!(theft.session(0).ended.is_some(), "{:?}", theft.session(0));
        prop_assert!(!theft.refresh(Who::Owner) && !theft.refresh(Who::Thief));
    }

    /// The owner's next refresh after a thief's ends the session, unless it comes within the grace.
    #[test]
    fn the_owners_next_refresh_after_a_theft_ends_the_session(seed in any::<u64>(), count in 1..5_usize, at in 0..2_usize) {
        let mut theft = Theft::new(seed);
        for _ in 0..count {
            prop_assert!(theft.refresh(Who::Thief));
            theft.now_ms += GRACE_MS + 1;
        }
        theft.begin(Who::Owner, at);
        theft.finish(Who::Owner);
        theft.read_all();
        for gateway in 0..2 {
            prop_assert_eq!(theft.session(gateway).ended, Some(SessionEnd::TokenReused));
        }
        prop_assert!(!theft.refresh(Who::Thief));
    }
}

#[test]
fn two_gateways_that_exchange_the_same_token_at_once_end_the_session() {
    let mut theft = Theft::new(1);
    theft.begin(Who::Owner, 0);
    theft.begin(Who::Thief, 1);
    theft.finish(Who::Owner);
    assert!(theft.owner.refreshed, "the first in the log was answered before the second was read");
    theft.finish(Who::Thief);
    theft.read_all();
    assert!(theft.thief.refused);
    for gateway in 0..2 {
        assert_eq!(theft.session(gateway).ended, Some(SessionEnd::Conflict));
    }
    assert_eq!(theft.log.last().unwrap().ended, Some(SessionEnd::Conflict), "and the log says so");
}
