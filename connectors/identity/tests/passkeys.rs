//! Passkeys, with an authenticator in software: registration, second step of a log-in, fresh assertion, and what goes wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value as Json, json};
use support::authenticator::{Authenticator, ORIGIN};
use support::{HOUR_MS, PASSWORD, World};
use tapeline_identity::log_in::{self, Candidate, LogIn};
use tapeline_identity::passkeys::{Answer, Options, RelyingParty, Shown};
use tapeline_identity::{
    Applied, Code, Directory, Event, Principal, Refusal, Signer, TokenError, authenticate, sessions, users,
};
use tapeline_schemas::wire::IdentityUser;

const TWO_MINUTES_MS: i64 = 120_000;

fn code<T>(verdict: Result<T, Refusal>) -> Option<Code> {
    verdict.err().map(|refusal| refusal.code)
}

fn begin_registration(world: &mut World, principal: &Principal) -> Result<Options, Refusal> {
    let World { relying_party, directory, signer, now_ms, rng, .. } = world;
    relying_party.begin_registration(directory, principal, signer, *now_ms, rng)
}

fn finish_registration(
    world: &World,
    principal: &Principal,
    challenge: &str,
    credential: &Json,
) -> Result<IdentityUser, Refusal> {
    let answer = Answer { challenge, credential };
    world.relying_party.finish_registration(&world.directory, principal, &answer, "Laptop", world.now_ms)
}

/// Registers the authenticator; the second factor is always fresh.
fn register(world: &mut World, authenticator: &Authenticator) {
    let principal = world.principal(Some(world.now_ms));
    let options = begin_registration(world, &principal).unwrap();
    let credential = authenticator.create(&options.public_key);
    let user = finish_registration(world, &principal, &options.challenge, &credential).unwrap();
    world.publish(Event::User(user));
}

fn begin_log_in(world: &mut World) -> Options {
    let proven = Candidate::of(&world.directory, "ada").verify(PASSWORD).unwrap();
    let World { relying_party, directory, signer, now_ms, rng, .. } = world;
    match log_in::proceed(directory, &proven, relying_party, signer, *now_ms, rng).unwrap() {
        LogIn::SecondFactor(options) => options,
        LogIn::Session(opened) => panic!("a session without a passkey: {opened:?}"),
    }
}

fn finish_log_in(world: &World, challenge: &str, credential: &Json) -> Result<Shown, Refusal> {
    world.relying_party.finish_log_in(&world.directory, &Answer { challenge, credential }, world.now_ms)
}

fn begin_fresh(world: &mut World, principal: &Principal) -> Result<Options, Refusal> {
    let World { relying_party, directory, signer, now_ms, rng, .. } = world;
    relying_party.begin_fresh(directory, principal, signer, *now_ms, rng)
}

fn finish_fresh(world: &World, principal: &Principal, challenge: &str, credential: &Json) -> Result<Shown, Refusal> {
    let answer = Answer { challenge, credential };
    world.relying_party.finish_fresh(&world.directory, principal, &answer, world.now_ms)
}

#[test]
fn the_question_for_a_new_passkey_is_what_browsers_expect() {
    let mut world = World::new();
    let principal = world.principal(None);
    let asked = begin_registration(&mut world, &principal).unwrap().public_key;
    assert_eq!(asked["rp"]["id"], "localhost");
    assert_eq!((&asked["user"]["id"], &asked["user"]["name"]), (&json!(world.user_id), &json!("Ada")));
    assert_eq!((&asked["timeout"], &asked["attestation"]), (&json!(120_000), &json!("none")));
    assert!(asked["pubKeyCredParams"].as_array().unwrap().contains(&json!({"type": "public-key", "alg": -7})));
    assert_eq!(asked["authenticatorSelection"]["userVerification"], "preferred");
    assert_eq!(asked["excludeCredentials"], json!([]));
    let authenticator = Authenticator::new(1, 0);
    register(&mut world, &authenticator);
    let principal = world.principal(Some(world.now_ms));
    let asked = begin_registration(&mut world, &principal).unwrap().public_key;
    assert_eq!(asked["excludeCredentials"][0]["id"], authenticator.credential_id());
    let asked = begin_log_in(&mut world).public_key;
    assert_eq!((&asked["rpId"], &asked["userVerification"]), (&json!("localhost"), &json!("preferred")));
    assert_eq!(asked["allowCredentials"][0]["id"], authenticator.credential_id());
}

#[test]
fn a_registered_passkey_is_asked_for_at_log_in_and_opens_the_session_of_its_challenge() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 0);
    register(&mut world, &authenticator);
    let passkey = world.user().passkeys[0].clone();
    assert_eq!(
        (passkey.credential_id.as_str(), passkey.label.as_str()),
        (authenticator.credential_id().as_str(), "Laptop")
    );
    assert_eq!((world.user().revision, passkey.created_ms), (1, world.now_ms));

    let options = begin_log_in(&mut world);
    let credential = authenticator.get(&options.public_key);
    let shown = finish_log_in(&world, &options.challenge, &credential).unwrap();
    assert_eq!((shown.user_id.as_str(), shown.second_factor_ms), (world.user_id.as_str(), world.now_ms));
    assert_eq!(shown.user, None, "nothing changed, nothing is to be published");
    let second_factor_ms = Some(shown.second_factor_ms);
    let opened =
        sessions::open(&shown.user_id, &shown.family_id, second_factor_ms, world.now_ms, &mut world.rng).unwrap();
    world.publish(Event::Session(opened.record.clone()));
    let access =
        tapeline_identity::access::issue(&world.signer, world.user(), &opened.record, None, world.now_ms).unwrap();
    let principal = authenticate(&world.directory, &access, world.now_ms).unwrap();
    assert_eq!(principal.second_factor_ms, second_factor_ms);

    // The same answer again opens nothing here; and at a gateway that has not read of it yet, both sessions end.
    assert_eq!(code(finish_log_in(&world, &options.challenge, &credential)), Some(Code::InvalidChallenge));
    let again =
        sessions::open(&shown.user_id, &shown.family_id, second_factor_ms, world.now_ms, &mut world.rng).unwrap();
    assert_eq!(world.directory.apply(&Event::Session(again.record)), Applied::Conflict);
}

#[test]
fn a_counter_goes_into_the_users_record_and_must_not_go_back() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 5);
    register(&mut world, &authenticator);
    let options = begin_log_in(&mut world);
    let credential = authenticator.get(&options.public_key);
    let user = finish_log_in(&world, &options.challenge, &credential).unwrap().user.unwrap();
    assert_eq!(user.revision, world.user().revision + 1);
    assert_ne!(user.passkeys[0].state, world.user().passkeys[0].state);
    world.publish(Event::User(user));
    // The same counter again: the same answer, or a copy of the authenticator.
    assert_eq!(code(finish_log_in(&world, &options.challenge, &credential)), Some(Code::SecondFactorFailed));
    authenticator.counter = 4;
    let options = begin_log_in(&mut world);
    let copied = authenticator.get(&options.public_key);
    assert_eq!(code(finish_log_in(&world, &options.challenge, &copied)), Some(Code::SecondFactorFailed));
    authenticator.counter = 6;
    let credential = authenticator.get(&options.public_key);
    assert!(finish_log_in(&world, &options.challenge, &credential).is_ok());
}

/// The damage that is done to the authenticator before it answers.
type Damage = fn(&mut Authenticator);

#[test]
fn an_answer_from_elsewhere_or_of_another_key_is_refused() {
    let damages: [(&str, Damage); 6] = [
        ("another origin", |it| it.origin = "https://evil.example".into()),
        ("http instead of https", |it| it.origin = "http://localhost:8443".into()),
        ("another port", |it| it.origin = "https://localhost".into()),
        ("another relying party", |it| it.rp_id = "evil.example".into()),
        ("nobody present", |it| it.present = false),
        ("another authenticator", |it| *it = Authenticator::new(9, 0)),
    ];
    for (what, damage) in damages {
        let mut world = World::new();
        let mut authenticator = Authenticator::new(1, 0);
        register(&mut world, &authenticator);
        let options = begin_log_in(&mut world);
        damage(&mut authenticator);
        let credential = authenticator.get(&options.public_key);
        assert_eq!(
            code(finish_log_in(&world, &options.challenge, &credential)),
            Some(Code::SecondFactorFailed),
            "{what}"
        );
        if what == "another authenticator" {
            continue;
        }
        let principal = world.principal(Some(world.now_ms));
        let options = begin_registration(&mut world, &principal).unwrap();
        let mut second = Authenticator::new(2, 0);
        damage(&mut second);
        let credential = second.create(&options.public_key);
        let verdict = finish_registration(&world, &principal, &options.challenge, &credential);
        assert_eq!(code(verdict), Some(Code::SecondFactorFailed), "{what}, registered");
    }
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 0);
    register(&mut world, &authenticator);
    let (first, second) = (begin_log_in(&mut world), begin_log_in(&mut world));
    let credential = authenticator.get(&first.public_key);
    assert_eq!(code(finish_log_in(&world, &second.challenge, &credential)), Some(Code::SecondFactorFailed));
    assert!(finish_log_in(&world, &first.challenge, &credential).is_ok());
    let mut damaged = credential.clone();
    damaged["response"]["signature"] = json!("AAAA");
    assert_eq!(code(finish_log_in(&world, &first.challenge, &damaged)), Some(Code::SecondFactorFailed));
    for nonsense in [Json::Null, json!([]), json!({}), json!("x"), json!({"response": {"clientDataJSON": 7}})] {
        assert_eq!(
            code(finish_log_in(&world, &first.challenge, &nonsense)),
            Some(Code::SecondFactorFailed),
            "{nonsense}"
        );
    }
}

#[test]
fn a_challenge_is_for_one_purpose_one_session_and_two_minutes() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 0);
    register(&mut world, &authenticator);
    let principal = world.principal(Some(world.now_ms));
    let log_in = begin_log_in(&mut world);
    let fresh = begin_fresh(&mut world, &principal).unwrap();
    let registration = begin_registration(&mut world, &principal).unwrap();
    let shown = authenticator.get(&log_in.public_key);
    let asked = authenticator.get(&fresh.public_key);
    let created = Authenticator::new(2, 0).create(&registration.public_key);
    let invalid = Some(Code::InvalidChallenge);
    for other in [&fresh, &registration] {
        assert_eq!(code(finish_log_in(&world, &other.challenge, &shown)), invalid);
    }
    for other in [&log_in, &registration] {
        assert_eq!(code(finish_fresh(&world, &principal, &other.challenge, &asked)), invalid);
    }
    for other in [&log_in, &fresh] {
        assert_eq!(code(finish_registration(&world, &principal, &other.challenge, &created)), invalid);
    }
    // A gateway that has not read of the session yet must not take the question of a session for that of a log-in.
    let mut late = Directory::default();
    late.apply(&Event::Signer(world.signer.record().clone()));
    late.apply(&Event::User(world.user().clone()));
    let answer = Answer { challenge: &fresh.challenge, credential: &asked };
    assert_eq!(code(world.relying_party.finish_log_in(&late, &answer, world.now_ms)), invalid);
    let answer = Answer { challenge: &log_in.challenge, credential: &shown };
    assert!(world.relying_party.finish_log_in(&late, &answer, world.now_ms).is_ok());
    // Another session, another user.
    let via = tapeline_identity::principal::Via::Session("another".into());
    let elsewhere = Principal { via, ..principal.clone() };
    let stranger = Principal { user_id: "U9".into(), ..principal.clone() };
    for other in [&elsewhere, &stranger] {
        assert_eq!(code(finish_fresh(&world, other, &fresh.challenge, &asked)), invalid);
        assert_eq!(code(finish_registration(&world, other, &registration.challenge, &created)), invalid);
    }
    // Time, tampering, and an end of the signing key.
    let begun_ms = world.now_ms;
    world.now_ms = begun_ms / 1_000 * 1_000 + TWO_MINUTES_MS - 1;
    assert!(finish_log_in(&world, &log_in.challenge, &shown).is_ok());
    world.now_ms += 1;
    assert_eq!(code(finish_log_in(&world, &log_in.challenge, &shown)), invalid);
    world.now_ms = begun_ms;
    for challenge in ["", "x", "a.b.c", &log_in.challenge[1..], &format!("{}x", log_in.challenge)] {
        assert_eq!(code(finish_log_in(&world, challenge, &shown)), invalid, "{challenge}");
    }
    let retired = tapeline_identity::signer::retired(world.signer.record(), begun_ms - 1);
    world.publish(Event::Signer(retired));
    assert_eq!(code(finish_log_in(&world, &log_in.challenge, &shown)), invalid);
}

#[test]
fn a_challenge_is_no_access_token_and_an_access_token_no_challenge() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 0);
    register(&mut world, &authenticator);
    let access = world.token(Some(world.now_ms));
    let principal = world.principal(Some(world.now_ms));
    let log_in = begin_log_in(&mut world);
    let fresh = begin_fresh(&mut world, &principal).unwrap();
    let registration = begin_registration(&mut world, &principal).unwrap();
    for challenge in [&log_in.challenge, &fresh.challenge, &registration.challenge] {
        let verdict = world.directory.verifier().verify(challenge, world.now_ms);
        assert_eq!(verdict, Err(TokenError::WrongKind));
        assert_eq!(code(authenticate(&world.directory, challenge, world.now_ms)), Some(Code::InvalidToken));
    }
    let shown = authenticator.get(&log_in.public_key);
    assert_eq!(code(finish_log_in(&world, &access, &shown)), Some(Code::InvalidChallenge));
}

#[test]
fn any_gateway_can_finish_what_another_one_began() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 0);
    register(&mut world, &authenticator);
    let options = begin_log_in(&mut world);
    // The other one has its own signer, and knows of the first one's from the log.
    let other = Signer::generate(world.now_ms, HOUR_MS, &mut support::rng(9)).unwrap();
    world.publish(Event::Signer(other.record().clone()));
    world.signer = other;
    let credential = authenticator.get(&options.public_key);
    assert!(finish_log_in(&world, &options.challenge, &credential).is_ok());
}

#[test]
fn a_fresh_assertion_counts_from_when_it_was_asked_for() {
    let mut world = World::new();
    let mut authenticator = Authenticator::new(1, 0);
    let principal = world.principal(None);
    assert_eq!(code(begin_fresh(&mut world, &principal)), Some(Code::UnknownPasskey), "there is none yet");
    register(&mut world, &authenticator);
    let options = begin_fresh(&mut world, &principal).unwrap();
    let credential = authenticator.get(&options.public_key);
    let asked_ms = world.now_ms;
    for later_ms in [0, 60_000, 100_000] {
        world.now_ms = asked_ms + later_ms;
        let shown = finish_fresh(&world, &principal, &options.challenge, &credential).unwrap();
        assert_eq!(shown.second_factor_ms, asked_ms, "a repeated answer is not fresher");
        assert_eq!(shown.family_id, world.session.record.family_id);
        let access = world.token(Some(shown.second_factor_ms));
        let principal = authenticate(&world.directory, &access, world.now_ms).unwrap();
        assert_eq!(principal.may_withdraw(&world.directory, world.now_ms), Ok(()));
    }
}

#[test]
fn who_has_a_passkey_shows_it_before_adding_or_removing_one() {
    let mut world = World::new();
    let first = Authenticator::new(1, 0);
    register(&mut world, &first);
    let stale = world.principal(None);
    let fresh = world.principal(Some(world.now_ms));
    let remove = |world: &World, principal: &Principal, id: &str| {
        RelyingParty::remove(&world.directory, principal, id, world.now_ms)
    };
    assert_eq!(code(begin_registration(&mut world, &stale)), Some(Code::SecondFactorNeeded));
    assert_eq!(code(remove(&world, &stale, &first.credential_id())), Some(Code::SecondFactorNeeded));
    assert_eq!(code(remove(&world, &fresh, "another")), Some(Code::UnknownPasskey));
    // The same one can't be registered twice.
    let options = begin_registration(&mut world, &fresh).unwrap();
    let credential = first.create(&options.public_key);
    assert_eq!(code(finish_registration(&world, &fresh, &options.challenge, &credential)), Some(Code::PasskeyKnown));
    let user = remove(&world, &fresh, &first.credential_id()).unwrap();
    assert!(user.passkeys.is_empty());
    // Once it is removed, a question that was open does not take it any more.
    let log_in = begin_log_in(&mut world);
    let mut first = first;
    let shown = first.get(&log_in.public_key);
    world.publish(Event::User(user));
    assert_eq!(code(finish_log_in(&world, &log_in.challenge, &shown)), Some(Code::SecondFactorFailed));
}

#[test]
fn a_user_has_ten_passkeys_at_most_and_their_challenges_fit() {
    let mut world = World::new();
    for number in 1..=10 {
        register(&mut world, &Authenticator::new(number, 0));
    }
    let principal = world.principal(Some(world.now_ms));
    assert_eq!(code(begin_registration(&mut world, &principal)), Some(Code::TooManyPasskeys));
    let options = begin_log_in(&mut world);
    let credential = Authenticator::new(10, 0).get(&options.public_key);
    assert!(finish_log_in(&world, &options.challenge, &credential).is_ok());
}

#[test]
fn a_label_and_a_user_that_is_disabled_meanwhile_are_checked() {
    let mut world = World::new();
    let principal = world.principal(None);
    let options = begin_registration(&mut world, &principal).unwrap();
    let mut authenticator = Authenticator::new(1, 0);
    let credential = authenticator.create(&options.public_key);
    let answer = Answer { challenge: &options.challenge, credential: &credential };
    for label in ["", " ", "a\nb", &"x".repeat(65)] {
        let verdict =
            world.relying_party.finish_registration(&world.directory, &principal, &answer, label, world.now_ms);
        assert_eq!(code(verdict), Some(Code::InvalidLabel), "{label:?}");
    }
    register(&mut world, &authenticator);
    let log_in = begin_log_in(&mut world);
    let shown = authenticator.get(&log_in.public_key);
    world.publish(Event::User(users::disabled(world.user(), world.now_ms)));
    assert_eq!(code(finish_log_in(&world, &log_in.challenge, &shown)), Some(Code::Expired));
}

#[test]
fn a_relying_party_needs_a_domain_and_an_origin() {
    assert!(RelyingParty::new("trade.example.com", vec!["https://trade.example.com".into()]).is_ok());
    assert!(RelyingParty::new("", vec![ORIGIN.into()]).unwrap_err().contains("no domain"));
    assert!(RelyingParty::new("localhost", Vec::new()).unwrap_err().contains("origin"));
}
