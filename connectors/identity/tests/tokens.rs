//! Access tokens: what is accepted, and every forgery that we could think of.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::LazyLock;
use support::{HOUR_MS, World, rng};
use tapeline_identity::{Applied, Code, Event, Signer, TokenError, authenticate, signer, users};
use tapeline_schemas::wire::{IdentityRole, IdentityScope, IdentitySigner, SessionEnd};

/// A key whose private half the test has too.
struct Forger {
    world: World,
    key: EncodingKey,
    kid: String,
}

impl Forger {
    /// The key is one of the gateways' own, if `known`.
    fn new(known: bool) -> Self {
        let mut world = World::new();
        let private = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let public = private.verifying_key().to_bytes();
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
        let kid = URL_SAFE_NO_PAD.encode(<sha2::Sha256 as sha2::Digest>::digest(jwk));
        let record = IdentitySigner {
            kid: kid.as_str().into(),
            public_key: serde_bytes::ByteBuf::from(public.to_vec()),
            created_ms: world.now_ms,
            not_after_ms: world.now_ms + HOUR_MS,
        };
        if known {
            world.publish(Event::Signer(record));
        }
        let der = private.to_pkcs8_der().unwrap();
        Self { world, key: EncodingKey::from_ed_der(der.as_bytes()), kid }
    }

    fn claims(&self) -> Json {
        let now_s = self.world.now_ms / 1_000;
        json!({
            "iss": "tapeline", "aud": "tapeline-gateway", "sub": self.world.user_id, "account": "u-x", "roles": [],
            "scopes": ["read"], "sid": "S", "iat": now_s, "exp": now_s + 300,
        })
    }

    fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".into());
        header.kid = Some(self.kid.clone());
        header
    }

    fn signed(&self, claims: &Json) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }

    fn verdict(&self, token: &str) -> Result<(), TokenError> {
        self.world.directory.verifier().verify(token, self.world.now_ms).map(drop)
    }

    /// With one claim changed; null takes it out.
    fn with(&self, name: &str, value: Json) -> Result<(), TokenError> {
        let mut claims = self.claims();
        match value {
            Json::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        self.verdict(&self.signed(&claims))
    }
}

fn part(json: &Json) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

#[test]
fn a_token_says_who_and_for_how_long() {
    let mut world = World::new();
    let user = users::with_roles(world.user(), &[IdentityRole::Operator], world.now_ms);
    world.publish(Event::User(user));
    let claims = world.directory.verifier().verify(&world.token(Some(7)), world.now_ms).unwrap();
    assert_eq!((claims.iss.as_str(), claims.aud.as_str()), ("tapeline", "tapeline-gateway"));
    assert_eq!((&claims.sub, claims.account.as_str()), (&world.user_id, world.user().account.as_str()));
    assert_eq!(
        (claims.roles, claims.scopes),
        (vec!["operator".to_owned()], ["read", "trade", "withdraw"].map(str::to_owned).into())
    );
    assert_eq!((claims.sid.as_str(), claims.mfa_ms), (world.session.record.family_id.as_str(), Some(7)));
    assert_eq!((claims.iat, claims.exp - claims.iat), (world.now_ms / 1_000, 300));
    let principal = world.principal(Some(7));
    assert_eq!(principal.roles, [IdentityRole::Operator]);
    assert_eq!(principal.scopes, [IdentityScope::Read, IdentityScope::Trade, IdentityScope::Withdraw]);
    assert_eq!((principal.second_factor_ms, principal.expires_ms), (Some(7), claims.exp * 1_000));
}

#[test]
fn claims_are_checked_one_by_one() {
    let forger = Forger::new(true);
    let now_s = forger.world.now_ms / 1_000;
    let cases: [(&str, Json, Result<(), TokenError>); 21] = [
        ("sub", json!("anyone"), Ok(())),
        ("mfa_ms", json!(1), Ok(())),
        ("iat", json!(now_s + 29), Ok(())),
        ("nbf", json!(now_s + 29), Ok(())),
        ("exp", json!(now_s + 1), Ok(())),
        ("iss", json!("tapelines"), Err(TokenError::WrongIssuer)),
        ("iss", json!(["tapeline"]), Err(TokenError::Malformed)),
        ("iss", Json::Null, Err(TokenError::Malformed)),
        ("aud", json!("tapeline-ceremony"), Err(TokenError::WrongAudience)),
        ("aud", json!(["tapeline-gateway", "x"]), Err(TokenError::Malformed)),
        ("aud", Json::Null, Err(TokenError::Malformed)),
        ("exp", json!(now_s), Err(TokenError::Expired)),
        ("exp", json!(now_s - 1), Err(TokenError::Expired)),
        ("exp", json!(now_s + 301), Err(TokenError::Expired)),
        ("exp", json!(i64::MAX), Err(TokenError::Expired)),
        ("exp", json!("tomorrow"), Err(TokenError::Malformed)),
        ("exp", Json::Null, Err(TokenError::Malformed)),
        ("iat", json!(now_s + 40), Err(TokenError::NotYetValid)),
        ("iat", json!(i64::MIN), Err(TokenError::Expired)),
        ("nbf", json!(now_s + 40), Err(TokenError::NotYetValid)),
        ("nbf", json!(i64::MAX), Err(TokenError::NotYetValid)),
    ];
    for (name, value, expected) in cases {
        let told = format!("{name} {value}");
        assert_eq!(forger.with(name, value), expected, "{told}");
    }
}

#[test]
fn an_algorithm_other_than_eddsa_is_refused_whatever_signed_it() {
    let forger = Forger::new(true);
    let body = part(&forger.claims());
    let header = |alg: &str| part(&json!({"alg": alg, "typ": "at+jwt", "kid": forger.kid}));
    for alg in ["none", "None", "NONE", "", "eddsa", "EDDSA", "Ed25519", "HS256", "RS256", "ES256"] {
        for signature in ["", "AA", &"A".repeat(86)] {
            let token = format!("{}.{body}.{signature}", header(alg));
            assert_eq!(forger.verdict(&token), Err(TokenError::WrongAlgorithm), "{alg}");
        }
    }
    // The public key is public: it must not do as the secret of a symmetric signature.
    let signer = forger.world.signer.record();
    let jwk = forger.world.directory.verifier().jwks(forger.world.now_ms).to_string();
    for secret in [&signer.public_key[..], URL_SAFE_NO_PAD.encode(&signer.public_key).as_bytes(), jwk.as_bytes()] {
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { alg, kid: Some(signer.kid.to_string()), ..forger.header() };
            let token = encode(&header, &forger.claims(), &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(forger.verdict(&token), Err(TokenError::WrongAlgorithm));
            // And with a header that lies about it.
            let rest = token.split_once('.').unwrap().1;
            let honest = part(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": signer.kid.as_str()}));
            assert_eq!(forger.verdict(&format!("{honest}.{rest}")), Err(TokenError::BadSignature));
        }
    }
}

#[test]
fn a_header_may_not_bring_its_own_key_or_anything_else() {
    let forger = Forger::new(true);
    let token = forger.signed(&forger.claims());
    let rest = token.split_once('.').unwrap().1;
    let good = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": forger.kid});
    let more = [
        ("jwk", json!({"kty": "OKP"})),
        ("jku", json!("https://evil.example")),
        ("crit", json!(["exp"])),
        ("cty", json!("JWT")),
    ];
    for (name, value) in more {
        let mut header = good.clone();
        header[name] = value;
        assert_eq!(forger.verdict(&format!("{}.{rest}", part(&header))), Err(TokenError::Malformed), "{name}");
    }
    for (name, value, expected) in [
        ("typ", json!("JWT"), TokenError::WrongKind),
        ("typ", json!("tapeline-ceremony+jwt"), TokenError::WrongKind),
        ("typ", json!(1), TokenError::Malformed),
        ("kid", json!("another"), TokenError::UnknownKey),
        ("kid", json!(forger.world.signer.record().kid.as_str()), TokenError::BadSignature),
        ("kid", Json::Null, TokenError::Malformed),
    ] {
        let mut header = good.clone();
        header[name] = value;
        assert_eq!(forger.verdict(&format!("{}.{rest}", part(&header))), Err(expected), "{name}");
    }
}

#[test]
fn a_stranger_can_not_sign() {
    let stranger = Forger::new(false);
    assert_eq!(stranger.verdict(&stranger.signed(&stranger.claims())), Err(TokenError::UnknownKey));
    let mut posing = stranger.header();
    posing.kid = Some(stranger.world.signer.record().kid.to_string());
    let token = encode(&posing, &stranger.claims(), &stranger.key).unwrap();
    assert_eq!(stranger.verdict(&token), Err(TokenError::BadSignature));
}

#[test]
fn a_token_that_was_changed_cut_or_blown_up_is_refused() {
    let forger = Forger::new(true);
    let token = forger.signed(&forger.claims());
    assert_eq!(forger.verdict(&token), Ok(()));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let header = head.split_once('.').unwrap().0;
    let mut richer = forger.claims();
    richer["roles"] = json!(["operator"]);
    assert_eq!(forger.verdict(&format!("{header}.{}.{signature}", part(&richer))), Err(TokenError::BadSignature));
    for end in 0..token.len() {
        assert!(forger.verdict(&token[..end]).is_err(), "cut to {end} bytes");
    }
    assert_eq!(forger.verdict(&format!("{token}.x")), Err(TokenError::Malformed));
    for more in ["A", "=", " ", "\n"] {
        assert!(forger.verdict(&format!("{token}{more}")).is_err(), "{more:?} after it");
    }
    assert_eq!(forger.verdict(&"A".repeat(20_000)), Err(TokenError::TooLong));
    let mut giant = forger.claims();
    giant["account"] = json!("x".repeat(20_000));
    assert_eq!(forger.verdict(&forger.signed(&giant)), Err(TokenError::TooLong), "even if signed");
}

#[test]
fn a_token_counts_for_five_minutes_and_its_key_for_as_long_as_it_says() {
    let mut world = World::new();
    let token = world.token(None);
    let verdict = |world: &World, token: &str, at_ms| world.directory.verifier().verify(token, at_ms).map(drop);
    let begun_ms = world.now_ms / 1_000 * 1_000;
    assert_eq!(verdict(&world, &token, begun_ms + 299_999), Ok(()));
    assert_eq!(verdict(&world, &token, begun_ms + 300_000), Err(TokenError::Expired));
    assert_eq!(verdict(&world, &token, begun_ms - 31_000), Err(TokenError::NotYetValid));
    assert!(!world.signer.is_due(world.now_ms + 12 * HOUR_MS - 1) && world.signer.is_due(world.now_ms + 12 * HOUR_MS));
    // The last token that it signs outlives the rotation.
    world.now_ms += 12 * HOUR_MS - 1;
    let last = world.token(None);
    assert_eq!(verdict(&world, &last, world.now_ms + 298_000), Ok(()));
    assert_eq!(verdict(&world, &last, world.now_ms + 600_002), Err(TokenError::KeyEnded));
    // A key that leaked ends at once, and with it what it signed.
    let retired = signer::retired(world.signer.record(), world.now_ms);
    let first = world.signer.record().clone();
    world.publish(Event::Signer(retired.clone()));
    assert_eq!(verdict(&world, &last, world.now_ms + 1), Err(TokenError::KeyEnded));
    assert_eq!(world.directory.apply(&Event::Signer(first)), Applied::Stale, "nor does it come back");
    assert_eq!(verdict(&world, &last, world.now_ms + 1), Err(TokenError::KeyEnded));
    assert_eq!(world.directory.repairs(), [Event::Signer(retired)]);
}

#[test]
fn the_key_set_lists_the_keys_that_count() {
    let mut world = World::new();
    let second = Signer::generate(world.now_ms + 1_000, HOUR_MS, &mut rng(2)).unwrap();
    world.publish(Event::Signer(second.record().clone()));
    let kids = |at_ms: i64| {
        let set = world.directory.verifier().jwks(at_ms);
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut both = vec![world.signer.record().kid.to_string(), second.record().kid.to_string()];
    both.sort();
    assert_eq!(kids(world.now_ms), both);
    assert_eq!(kids(world.now_ms + 2 * HOUR_MS), [world.signer.record().kid.to_string()]);
    let set = world.directory.verifier().jwks(world.now_ms);
    let key = set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == world.signer.record().kid.as_str());
    let x = URL_SAFE_NO_PAD.encode(&world.signer.record().public_key);
    let expected = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
        "kid": world.signer.record().kid.as_str(), "x": x});
    assert_eq!(key, Some(&expected));
    let shown = format!("{:?}", world.signer);
    assert_eq!(shown, format!("Signer({})", world.signer.record().kid), "no private half in logs");
}

#[test]
fn a_signer_that_can_not_be_true_is_ignored() {
    let mut world = World::new();
    let good = Signer::generate(world.now_ms, HOUR_MS, &mut rng(3)).unwrap().record().clone();
    let cases = [
        ("another kid", IdentitySigner { kid: "k".into(), ..good.clone() }),
        ("no point", IdentitySigner { public_key: serde_bytes::ByteBuf::from(vec![1; 31]), ..good.clone() }),
        ("a weak point", IdentitySigner { public_key: serde_bytes::ByteBuf::from(vec![0; 32]), ..good }),
    ];
    for (what, record) in cases {
        assert_eq!(world.directory.apply(&Event::Signer(record)), Applied::Impossible, "{what}");
    }
    assert!(world.directory.repairs().is_empty());
}

#[test]
fn a_revoked_session_and_a_disabled_user_end_their_tokens_at_once() {
    let mut world = World::new();
    let token = world.token(None);
    let code = |world: &World| authenticate(&world.directory, &token, world.now_ms).err().map(|refusal| refusal.code);
    assert_eq!(code(&world), None);
    world.publish(Event::User(users::disabled(world.user(), world.now_ms)));
    assert_eq!(code(&world), Some(Code::Expired));
    world.publish(Event::User(users::enabled(world.user(), world.now_ms)));
    assert_eq!(code(&world), None);
    let ended = tapeline_identity::sessions::ended(&world.session.record, SessionEnd::LoggedOut);
    world.publish(Event::Session(ended));
    assert_eq!(code(&world), Some(Code::Expired));
}

static WORLD: LazyLock<(World, String)> = LazyLock::new(|| {
    let world = World::new();
    let token = world.token(None);
    (world, token)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_answered_and_none_is_accepted(text in ".{0,300}", at_ms in any::<i64>()) {
        let (world, _) = &*WORLD;
        prop_assert!(authenticate(&world.directory, &text, at_ms).is_err());
        let key = format!("tlk_{text}");
        prop_assert!(authenticate(&world.directory, &key, at_ms).is_err());
    }

    /// Closer to the real thing: three parts of base64, and a header that is right.
    #[test]
    fn any_claims_are_answered(header in any::<bool>(), claims in ".{0,200}", signature in proptest::collection::vec(any::<u8>(), 0..80)) {
        let (world, token) = &*WORLD;
        let header = if header { token.split_once('.').unwrap().0.to_owned() } else { URL_SAFE_NO_PAD.encode(&claims) };
        let text = format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(&claims), URL_SAFE_NO_PAD.encode(&signature));
        prop_assert!(world.directory.verifier().verify(&text, world.now_ms).is_err());
    }

    /// A good token with a few characters changed. The last character of each part may have bits that do not count.
    #[test]
    fn a_damaged_token_is_not_accepted(damage in proptest::collection::vec((any::<prop::sample::Index>(), 0x20_u8..0x7f), 1..4)) {
        let (world, token) = &*WORLD;
        let mut bytes = token.clone().into_bytes();
        for (at, byte) in damage {
            bytes[at.index(token.len())] = byte;
        }
        let damaged = String::from_utf8(bytes).unwrap();
        let verdict = world.directory.verifier().verify(&damaged, world.now_ms);
        prop_assert_eq!(verdict.is_ok(), damaged == *token);
    }
}
