//! Log-in with a password, API keys, and what a principal may do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use proptest::prelude::*;
use serde_bytes::ByteBuf;
use support::authenticator::Authenticator;
use support::{PASSWORD, World};
use tapeline_identity::api_keys::{self, NewKey};
use tapeline_identity::log_in::{self, Candidate, LogIn, Proven};
use tapeline_identity::principal::SECOND_FACTOR_MS;
use tapeline_identity::{Code, Event, Refusal, authenticate, users};
use tapeline_schemas::wire::{IdentityPasskey, IdentityRole, IdentityScope as Scope, IdentityUser};

fn proven(world: &World, login: &str, password: &str) -> Result<Proven, Code> {
    Candidate::of(&world.directory, login).verify(password).map_err(|refusal| refusal.code)
}

fn proceed(world: &mut World, proven: &Proven) -> Result<LogIn, Refusal> {
    log_in::proceed(&world.directory, proven, &world.relying_party, &world.signer, world.now_ms, &mut world.rng)
}

fn code<T>(verdict: Result<T, Refusal>) -> Option<Code> {
    verdict.err().map(|refusal| refusal.code)
}

/// The world's user with a passkey in its record.
fn with_passkey(world: &mut World) {
    let passkey = IdentityPasskey {
        credential_id: Authenticator::new(1, 0).credential_id().into(),
        label: "l".into(),
        public_key: ByteBuf::new(),
        state: ByteBuf::new(),
        transports: 0,
        created_ms: 0,
    };
    let user = IdentityUser { passkeys: vec![passkey], ..users::with_roles(world.user(), &[], 1) };
    world.publish(Event::User(user));
}

#[test]
fn a_right_password_opens_a_session_and_a_wrong_login_looks_like_a_wrong_password() {
    let mut world = World::new();
    let right = proven(&world, "aDA", PASSWORD).unwrap();
    assert_eq!(right.user_id(), world.user_id);
    let LogIn::Session(opened) = proceed(&mut world, &right).unwrap() else { panic!("there is no passkey") };
    assert_eq!((opened.record.user_id.as_str(), opened.record.generation), (world.user_id.as_str(), 1));
    assert_eq!(opened.record.second_factor_ms, None);
    let wrong = |login: &str, password: &str| Candidate::of(&world.directory, login).verify(password).err();
    let refusals = [wrong("ada", "wrong horse"), wrong("nobody", PASSWORD), wrong("", ""), wrong("ada", "")];
    assert_eq!(refusals[0].as_ref().unwrap().code, Code::WrongCredentials);
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
}

#[test]
fn a_void_user_can_not_log_in() {
    let mut world = World::new();
    let loser = support::user("AAAAAAAAAAAAAAAAAAAAAA", "ada");
    world.directory.apply(&Event::User(loser));
    assert_eq!(proven(&world, "ada", PASSWORD).unwrap().user_id(), world.user_id);
}

#[test]
fn a_user_that_was_disabled_or_got_another_password_meanwhile_gets_no_session() {
    let mut world = World::new();
    let right = proven(&world, "ada", PASSWORD).unwrap();
    world.publish(Event::User(users::disabled(world.user(), 1)));
    assert_eq!(code(proceed(&mut world, &right)), Some(Code::UserDisabled));
    world.publish(Event::User(users::enabled(world.user(), 2)));
    assert!(proceed(&mut world, &right).is_ok());
    let user = world.user().clone();
    let changed = users::with_password(&user, "another horse", 3, &mut world.rng).unwrap();
    assert_eq!(code(users::with_password(&user, "short", 3, &mut world.rng)), Some(Code::WeakPassword));
    world.publish(Event::User(changed));
    assert_eq!(code(proceed(&mut world, &right)), Some(Code::WrongCredentials));
    assert_eq!(proven(&world, "ada", PASSWORD).err(), Some(Code::WrongCredentials));
    assert!(proven(&world, "ada", "another horse").is_ok());
}

// ---- API keys -------------------------------------------------------------------------------------------------------

fn new_key(scopes: &[Scope], days: i64) -> NewKey {
    NewKey { label: "Market maker".into(), scopes: scopes.to_vec(), expires_in_days: days }
}

/// Makes a key, publishes it and gives its text.
fn made(world: &mut World, scopes: &[Scope]) -> (String, String) {
    let principal = world.principal(None);
    let request = new_key(scopes, 1);
    let created = api_keys::create(&world.directory, &principal, &request, world.now_ms, &mut world.rng).unwrap();
    let secret = created.api_key.split('_').nth(2).unwrap();
    assert!(!format!("{created:?}").contains(secret), "the secret is neither stored nor logged");
    world.publish(Event::Key(created.record.clone()));
    (created.api_key, created.record.key_id.to_string())
}

#[test]
fn what_a_new_key_may_be() {
    let mut world = World::new();
    let all = [Scope::Read, Scope::Trade, Scope::Withdraw];
    let cases: [(NewKey, Option<Code>); 10] = [
        (new_key(&all, 365), None),
        (new_key(&[Scope::Read], 1), None),
        (new_key(&[], 1), Some(Code::InvalidScopes)),
        (new_key(&[Scope::Read, Scope::Unknown], 1), Some(Code::InvalidScopes)),
        (new_key(&all, 0), Some(Code::InvalidExpiry)),
        (new_key(&all, 366), Some(Code::InvalidExpiry)),
        (new_key(&all, i64::MAX), Some(Code::InvalidExpiry)),
        (NewKey { label: String::new(), ..new_key(&all, 1) }, Some(Code::InvalidLabel)),
        (NewKey { label: "a\nb".into(), ..new_key(&all, 1) }, Some(Code::InvalidLabel)),
        (NewKey { label: "x".repeat(65), ..new_key(&all, 1) }, Some(Code::InvalidLabel)),
    ];
    let principal = world.principal(None);
    for (request, expected) in cases {
        let verdict = api_keys::create(&world.directory, &principal, &request, world.now_ms, &mut world.rng);
        assert_eq!(code(verdict), expected, "{request:?}");
    }
    for _ in 0..50 {
        made(&mut world, &[Scope::Read]);
    }
    let one_more = api_keys::create(&world.directory, &principal, &new_key(&all, 1), world.now_ms, &mut world.rng);
    assert_eq!(code(one_more), Some(Code::TooManyKeys));
}

#[test]
fn a_key_opens_what_its_scopes_say_until_it_ends() {
    let mut world = World::new();
    world.publish(Event::User(users::with_roles(world.user(), &[IdentityRole::Operator], 1)));
    let (api_key, key_id) = made(&mut world, &[Scope::Trade, Scope::Read, Scope::Read]);
    assert!(api_key.starts_with(&format!("tlk_{key_id}_")), "{api_key}");
    let principal = authenticate(&world.directory, &api_key, world.now_ms).unwrap();
    assert_eq!((principal.user_id.as_str(), &principal.account), (world.user_id.as_str(), &world.user().account));
    assert_eq!(principal.scopes, [Scope::Read, Scope::Trade]);
    assert_eq!(
        (principal.require(Scope::Trade), code(principal.require(Scope::Withdraw))),
        (Ok(()), Some(Code::MissingScope))
    );
    assert_eq!(code(principal.require_role(IdentityRole::Operator)), Some(Code::MissingRole), "roles are a person's");
    assert_eq!(code(principal.session()), Some(Code::SessionNeeded));
    let request = new_key(&[Scope::Withdraw], 1);
    let another = api_keys::create(&world.directory, &principal, &request, world.now_ms, &mut world.rng);
    assert_eq!(code(another), Some(Code::SessionNeeded), "a key makes no keys");
    assert_eq!(code(api_keys::revoke(&world.directory, &principal, &key_id, world.now_ms)), Some(Code::SessionNeeded));

    let day_ms = 86_400_000;
    assert!(authenticate(&world.directory, &api_key, world.now_ms + day_ms - 1).is_ok());
    assert_eq!(code(authenticate(&world.directory, &api_key, world.now_ms + day_ms)), Some(Code::InvalidToken));
    let owner = world.principal(None);
    assert_eq!(owner.require_role(IdentityRole::Operator), Ok(()));
    let revoked = api_keys::revoke(&world.directory, &owner, &key_id, world.now_ms).unwrap();
    world.publish(Event::Key(revoked));
    assert_eq!(code(authenticate(&world.directory, &api_key, world.now_ms)), Some(Code::InvalidToken));
    assert_eq!(code(api_keys::revoke(&world.directory, &owner, &key_id, world.now_ms)), Some(Code::UnknownKey));
}

#[test]
fn nobody_revokes_another_users_key_and_a_disabled_users_key_is_shut() {
    let mut world = World::new();
    let (api_key, key_id) = made(&mut world, &[Scope::Read]);
    let stranger = tapeline_identity::Principal { user_id: "U9".into(), ..world.principal(None) };
    assert_eq!(code(api_keys::revoke(&world.directory, &stranger, &key_id, world.now_ms)), Some(Code::UnknownKey));
    world.publish(Event::User(users::disabled(world.user(), 1)));
    assert_eq!(code(authenticate(&world.directory, &api_key, world.now_ms)), Some(Code::InvalidToken));
}

#[test]
fn a_key_that_is_not_quite_right_opens_nothing() {
    let mut world = World::new();
    let (api_key, key_id) = made(&mut world, &[Scope::Read]);
    let (other, _) = made(&mut world, &[Scope::Read]);
    let secret = api_key.split('_').nth(2).unwrap();
    let cases = [
        String::from("tlk_"),
        format!("tlk_{key_id}"),
        format!("tlk_{key_id}_"),
        format!("tlk__{secret}"),
        format!("tlk_{key_id}_{}", other.split('_').nth(2).unwrap()),
        format!("{api_key}A"),
        format!("{api_key} "),
        api_key[..api_key.len() - 1].to_owned(),
        api_key.to_uppercase(),
        format!("TLK_{}", &api_key[4..]),
        format!("tlk_{key_id}_{}", "A".repeat(1_000_000)),
    ];
    for case in cases {
        assert_eq!(code(authenticate(&world.directory, &case, world.now_ms)), Some(Code::InvalidToken), "{case:.90}");
    }
}

// ---- the second factor where it must be fresh --------------------------------------------------------------------------

#[test]
fn a_withdrawal_needs_the_scope_and_of_a_user_with_passkeys_a_fresh_second_factor() {
    let mut world = World::new();
    assert_eq!(world.principal(None).may_withdraw(&world.directory, world.now_ms), Ok(()), "no passkeys");
    with_passkey(&mut world);
    let now_ms = world.now_ms;
    let cases = [
        (None, Some(Code::SecondFactorNeeded)),
        (Some(now_ms - SECOND_FACTOR_MS - 1), Some(Code::SecondFactorNeeded)),
        (Some(now_ms - SECOND_FACTOR_MS), None),
        (Some(now_ms), None),
    ];
    for (second_factor_ms, expected) in cases {
        let principal = world.principal(second_factor_ms);
        assert_eq!(code(principal.may_withdraw(&world.directory, now_ms)), expected, "{second_factor_ms:?}");
        // A key that may withdraw needs it when it is made, since it can't show one later.
        let request = new_key(&[Scope::Withdraw], 1);
        let created = api_keys::create(&world.directory, &principal, &request, now_ms, &mut world.rng);
        match created {
            Ok(created) => {
                world.publish(Event::Key(created.record));
                let key = authenticate(&world.directory, &created.api_key, now_ms).unwrap();
                assert_eq!(key.may_withdraw(&world.directory, now_ms + 60 * SECOND_FACTOR_MS), Ok(()));
            }
            refused => assert_eq!(code(refused), expected, "{second_factor_ms:?}"),
        }
    }
    let (reader, _) = made(&mut world, &[Scope::Read, Scope::Trade]);
    let reader = authenticate(&world.directory, &reader, now_ms).unwrap();
    assert_eq!(code(reader.may_withdraw(&world.directory, now_ms)), Some(Code::MissingScope));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_login_and_password_are_answered(login in ".{0,80}", password in ".{0,80}") {
        let world = World::new();
        prop_assert_eq!(proven(&world, &login, &password).err(), Some(Code::WrongCredentials));
    }
}
