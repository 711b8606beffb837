//! Users, sessions, keys and passkeys over HTTP, on gateways that share a log in memory.

use crate::authenticator::{Authenticator, ORIGIN};
use crate::support::{Answer, Fixture, MemoryIdentity, request};
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use tapeline_identity::{Directory, Event};
use tapeline_schemas::wire::{AuditKind, AuditOutcome, IdentityUserStatus};

const PASSWORD: &str = "correct horse battery";

async fn gateway(topics: &Arc<MemoryIdentity>) -> Fixture {
    Fixture::with_users(topics, |settings| settings.relying_party = ORIGIN.into()).await
}

async fn alone() -> Fixture {
    gateway(&Arc::default()).await
}

impl Fixture {
    async fn send_json(&self, path: &str, token: &str, body: Value) -> Answer {
        self.post("POST", path, token, &body.to_string()).await
    }

    async fn sign_up(&self, login: &str) -> Value {
        let answer = self.send_json("/v1/users", "", json!({"login": login, "password": PASSWORD})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    /// A session whose refresh token comes in the body.
    async fn log_in(&self, login: &str) -> Value {
        let body = json!({"login": login, "password": PASSWORD, "deliver": "body"});
        let answer = self.send_json("/v1/sessions", "", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    async fn refresh(&self, session: &Value) -> Answer {
        self.send_json("/v1/sessions/refresh", "", json!({"refresh_token": session["refresh_token"]})).await
    }

    async fn me(&self, session: &Value) -> Answer {
        self.ask("GET", "/v1/me", token(session)).await
    }
}

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn whoever_signs_up_has_an_account_and_may_log_in() {
    let topics = Arc::default();
    let mut fixture = gateway(&topics).await;
    let body = json!({"login": "Ada", "password": PASSWORD, "display_name": "Ada L."});
    let answer = fixture.send_json("/v1/users", "", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let added = answer.json();
    assert_eq!(added["login"], "Ada");
    let account = topics.accounts().pop().unwrap();
    assert_eq!((account.account.as_str(), account.max_open_orders), (added["account"].as_str().unwrap(), 200));
    let session = fixture.log_in("aDA").await;
    assert_eq!((&session["token_type"], &session["expires_in_s"]), (&json!("Bearer"), &json!(300)));
    let me = fixture.me(&session).await.json();
    let expected = json!({
        "user_id": added["user_id"], "account": added["account"], "login": "Ada", "display_name": "Ada L.", "roles": [],
        "passkeys": []
    });
    assert_eq!(me, expected);
    let kinds: Vec<_> = std::iter::from_fn(|| fixture.audit.queue.try_recv().ok())
        .map(|record| (record.kind, record.outcome, record.user_id.is_some()))
        .collect();
    assert_eq!(kinds, [(AuditKind::SignUp, AuditOutcome::Done, true), (AuditKind::LogIn, AuditOutcome::Done, true)]);
}

#[tokio::test]
async fn sign_ups_that_break_a_rule_are_refused_by_name() {
    let fixture = alone().await;
    fixture.sign_up("ada").await;
    for (body, status, code, field) in [
        (json!({"login": "ADA", "password": PASSWORD}), 409, "login_taken", "login"),
        (json!({"login": "bob", "password": "short"}), 422, "weak_password", "password"),
        (json!({"login": "b", "password": PASSWORD}), 422, "invalid_login", "login"),
        (
            json!({"login": "bob", "password": PASSWORD, "display_name": "\n"}),
            422,
            "invalid_display_name",
            "display_name",
        ),
        (json!({"login": "bob"}), 422, "missing_field", "password"),
        (json!({"login": "bob", "password": PASSWORD, "role": "operator"}), 422, "unknown_field", "role"),
    ] {
        let answer = fixture.send_json("/v1/users", "", body).await;
        assert_eq!(answer.problem(status, code).as_deref(), Some(field));
    }
    // Two of the ten an hour are used; those with a weak password cost nothing.
    for number in 0..8 {
        fixture.sign_up(&format!("user-{number}")).await;
    }
    let answer = fixture.send_json("/v1/users", "", json!({"login": "late", "password": PASSWORD})).await;
    answer.problem(429, "too_many_requests");
}

#[tokio::test]
async fn a_wrong_login_and_a_wrong_password_are_told_alike_and_tries_are_counted() {
    let mut fixture = alone().await;
    fixture.sign_up("ada").await;
    let wrong = |login: &str| json!({"login": login, "password": "correct horse batterx"});
    let of_ada = fixture.send_json("/v1/sessions", "", wrong("ada")).await;
    let of_nobody = fixture.send_json("/v1/sessions", "", wrong("nobody")).await;
    of_ada.problem(401, "wrong_credentials");
    assert_eq!(of_ada.text, of_nobody.text);
    for _ in 0..4 {
        fixture.send_json("/v1/sessions", "", wrong("ada")).await.problem(401, "wrong_credentials");
    }
    let shut = fixture.send_json("/v1/sessions", "", json!({"login": "ada", "password": PASSWORD})).await;
    shut.problem(429, "too_many_tries");
    assert_eq!(shut.header("retry-after"), "60");
    let records: Vec<_> = std::iter::from_fn(|| fixture.audit.queue.try_recv().ok()).skip(1).collect();
    assert_eq!(records.len(), 7, "one record for each try: {records:?}");
    let is_refused = |kind, outcome| kind == AuditKind::LogIn && outcome == AuditOutcome::Refused;
    assert!(records.iter().all(|record| is_refused(record.kind, record.outcome) && record.address == "10.0.0.1"));
    assert!(records[6].text.starts_with("too_many_tries"), "{}", records[6].text);
}

#[tokio::test]
async fn browsers_get_a_cookie_that_scripts_and_other_pages_cannot_use() {
    let fixture = alone().await;
    fixture.sign_up("ada").await;
    let answer = fixture.send_json("/v1/sessions", "", json!({"login": "ada", "password": PASSWORD})).await;
    assert_eq!(answer.json().get("refresh_token"), None);
    let cookie = answer.header("set-cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/v1/sessions; Max-Age=2592000; Secure");
    let with = |csrf: &str, pair: &str| {
        let request = request("POST", "/v1/sessions/refresh", "").header("cookie", format!("a=b; {pair}"));
        request.header("x-tapeline-csrf", csrf).body(Body::empty()).unwrap()
    };
    fixture.send(with("0", pair)).await.problem(403, "csrf_header_missing");
    let refreshed = fixture.send(with("1", pair)).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let next = refreshed.header("set-cookie").split_once("; ").unwrap().0.to_owned();
    assert_ne!(next, pair);
    assert_eq!(fixture.me(&refreshed.json()).await.status, 200);
    let again = fixture.send(with("1", &next)).await;
    assert_eq!(again.status, 200);
    let reused = fixture.send(with("1", pair)).await;
    reused.problem(401, "token_reused");
    assert!(reused.header("set-cookie").starts_with("tapeline_refresh=; "), "{}", reused.header("set-cookie"));
    fixture.me(&again.json()).await.problem(401, "expired");
    fixture.ask("POST", "/v1/sessions/refresh", "").await.problem(401, "no_token");
    let page = Request::post("/v1/sessions/refresh").header("x-tapeline-csrf", "1").body(Body::empty()).unwrap();
    assert_eq!(fixture.send(page).await.status, 204, "a page whose browser has no session");
}

#[tokio::test]
async fn a_plain_gateway_does_not_say_that_its_cookie_is_secure() {
    let fixture = Fixture::with_users(&Arc::default(), |_| {}).await;
    fixture.sign_up("ada").await;
    let answer = fixture.send_json("/v1/sessions", "", json!({"login": "ada", "password": PASSWORD})).await;
    assert!(answer.header("set-cookie").ends_with("Max-Age=2592000"), "{}", answer.header("set-cookie"));
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_the_session_on_all_gateways() {
    let topics = Arc::default();
    let (one, two) = (gateway(&topics).await, gateway(&topics).await);
    one.sign_up("ada").await;
    let first = one.log_in("ada").await;
    let second = two.refresh(&first).await.json();
    let third = one.refresh(&second).await.json();
    assert_eq!((one.me(&third).await.status, two.me(&third).await.status), (200, 200));
    two.refresh(&first).await.problem(401, "token_reused");
    one.me(&third).await.problem(401, "expired");
    two.me(&third).await.problem(401, "expired");
    one.refresh(&third).await.problem(401, "expired");
    for made_up in ["", "x", "AAAA"] {
        one.refresh(&json!({"refresh_token": made_up})).await.problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn two_gateways_that_exchange_one_token_unaware_of_each_other_end_the_session() {
    let topics: Arc<MemoryIdentity> = Arc::default();
    let (one, two) = (gateway(&topics).await, Arc::new(gateway(&topics).await));
    one.sign_up("ada").await;
    let session = one.log_in("ada").await;
    topics.set_lagging(1, true);
    let refreshed = one.refresh(&session).await.json();
    let appended = topics.events().len();
    let (of_two, shown) = (Arc::clone(&two), session.clone());
    let late = tokio::spawn(async move { of_two.refresh(&shown).await });
    while topics.events().len() == appended {
        tokio::task::yield_now().await;
    }
    topics.set_lagging(1, false);
    late.await.unwrap().problem(401, "token_reused");
    one.me(&refreshed).await.problem(401, "expired");
    // What compaction might leave says so too, once it is repaired.
    one.identity.store.repair().await.unwrap();
    assert!(one.identity.store.read(Directory::repairs).is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_behind_reads_on_before_it_refuses_a_newer_token() {
    let topics: Arc<MemoryIdentity> = Arc::default();
    let (one, two) = (gateway(&topics).await, Arc::new(gateway(&topics).await));
    one.sign_up("ada").await;
    let session = one.log_in("ada").await;
    topics.set_lagging(1, true);
    let newer = one.refresh(&session).await.json();
    let (of_two, shown) = (Arc::clone(&two), newer.clone());
    let asked = tokio::spawn(async move { of_two.refresh(&shown).await });
    tokio::task::yield_now().await;
    topics.set_lagging(1, false);
    assert_eq!(asked.await.unwrap().status, 200);
    // One of a generation that was never made: its eight bytes follow the family's sixteen.
    let mut bytes = URL_SAFE_NO_PAD.decode(newer["refresh_token"].as_str().unwrap()).unwrap();
    bytes[16..24].copy_from_slice(&99_i64.to_be_bytes());
    let made_up = json!({"refresh_token": URL_SAFE_NO_PAD.encode(bytes)});
    two.refresh(&made_up).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn a_log_out_ends_the_session_everywhere() {
    let topics = Arc::default();
    let (one, two) = (gateway(&topics).await, gateway(&topics).await);
    one.sign_up("ada").await;
    let (session, other) = (one.log_in("ada").await, two.log_in("ada").await);
    let answer = one.ask("DELETE", "/v1/sessions/current", token(&session)).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert!(answer.header("set-cookie").starts_with("tapeline_refresh=; "));
    two.me(&session).await.problem(401, "expired");
    two.refresh(&session).await.problem(401, "expired");
    assert_eq!(one.me(&other).await.status, 200, "another log-in is not concerned");
}

#[tokio::test]
async fn tokens_of_all_gateways_count_and_no_others_do() {
    let topics = Arc::default();
    let (one, two) = (gateway(&topics).await, gateway(&topics).await);
    one.sign_up("ada").await;
    let session = one.log_in("ada").await;
    assert_eq!(two.me(&session).await.status, 200);
    let keys = two.ask("GET", "/.well-known/jwks.json", "").await.json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2), "{keys}");
    let stranger = alone().await;
    stranger.sign_up("ada").await;
    two.me(&stranger.log_in("ada").await).await.problem(401, "invalid_token");
    let (_, rest) = token(&session).split_once('.').unwrap();
    let claims = rest.split('.').next().unwrap();
    let none =
        URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "at+jwt", "kid": keys["keys"][0]["kid"]}).to_string());
    for forged in [format!("{none}.{claims}."), format!("{none}.{rest}"), format!("{}x", token(&session))] {
        two.ask("GET", "/v1/me", &forged).await.problem(401, "invalid_token");
    }
}

#[tokio::test]
async fn an_api_key_may_do_what_its_scopes_say_until_it_is_revoked() {
    let topics = Arc::default();
    let (one, two) = (gateway(&topics).await, gateway(&topics).await);
    one.sign_up("ada").await;
    one.sign_up("bob").await;
    let (ada, bob) = (one.log_in("ada").await, one.log_in("bob").await);
    let wanted = json!({"label": "reader", "scopes": ["read"], "expires_in_days": 30});
    let answer = one.send_json("/v1/api-keys", token(&ada), wanted.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let made = answer.json();
    let (key, key_id) = (made["api_key"].as_str().unwrap(), made["key_id"].as_str().unwrap());
    assert!(key.starts_with(&format!("tlk_{key_id}_")));
    assert_eq!(two.ask("GET", "/v1/me", key).await.json()["login"], "ada");
    let order = r#"{"client_order_id":"a","instrument":"X-Y","side":"buy","type":"limit","quantity":"1","price":"1"}"#;
    two.post("POST", "/v1/orders", key, order).await.problem(403, "scope_missing");
    assert_eq!(two.post("POST", "/v1/orders", token(&ada), order).await.status, 202);
    two.send_json("/v1/api-keys", key, wanted).await.problem(403, "session_needed");
    two.ask("GET", "/v1/api-keys", key).await.problem(403, "session_needed");
    let listed = two.ask("GET", "/v1/api-keys", token(&ada)).await;
    let listed = &listed.json()["api_keys"];
    assert_eq!((listed[0]["key_id"].as_str(), &listed[0]["scopes"]), (Some(key_id), &json!(["read"])));
    assert_eq!(listed[0]["expires_ms"].as_i64().unwrap() - listed[0]["created_ms"].as_i64().unwrap(), 30 * 86_400_000);
    assert!(!listed.to_string().contains(key), "the secret is shown once");
    let path = format!("/v1/api-keys/{key_id}");
    one.ask("DELETE", &path, token(&bob)).await.problem(404, "unknown_api_key");
    assert_eq!(one.ask("DELETE", &path, token(&ada)).await.status, 204);
    two.ask("GET", "/v1/me", key).await.problem(401, "invalid_token");
    for (body, code) in [
        (json!({"label": "", "scopes": ["read"], "expires_in_days": 1}), "invalid_label"),
        (json!({"label": "a", "scopes": [], "expires_in_days": 1}), "invalid_scopes"),
        (json!({"label": "a", "scopes": ["operate"], "expires_in_days": 1}), "invalid_field"),
        (json!({"label": "a", "scopes": ["read"], "expires_in_days": 366}), "invalid_expiry"),
    ] {
        one.send_json("/v1/api-keys", token(&ada), body).await.problem(422, code);
    }
}

#[tokio::test]
async fn with_a_passkey_log_ins_and_withdrawals_need_it() {
    let fixture = alone().await;
    fixture.sign_up("ada").await;
    let session = fixture.log_in("ada").await;
    let withdraw = r#"{"client_order_id":"w-1","asset":"USD","amount":"1"}"#;
    assert_eq!(fixture.post("POST", "/v1/withdrawals", token(&session), withdraw).await.status, 202);
    fixture.ask("POST", "/v1/second-factor/options", token(&session)).await.problem(404, "unknown_passkey");

    let mut passkey = Authenticator::new(1, 1);
    let asked = fixture.ask("POST", "/v1/passkeys/options", token(&session)).await.json();
    let credential = passkey.create(&asked["public_key"]);
    let body = json!({"challenge": asked["challenge"], "credential": credential, "label": "laptop"});
    let answer = fixture.send_json("/v1/passkeys", token(&session), body.clone()).await;
    assert_eq!((answer.status, answer.json()["label"].as_str()), (201, Some("laptop")), "{}", answer.text);
    fixture.send_json("/v1/passkeys", token(&session), body).await.problem(409, "passkey_known");

    fixture.post("POST", "/v1/withdrawals", token(&session), withdraw).await.problem(403, "second_factor_needed");
    let key = json!({"label": "k", "scopes": ["withdraw"], "expires_in_days": 1});
    fixture.send_json("/v1/api-keys", token(&session), key.clone()).await.problem(403, "second_factor_needed");
    let asked = fixture.ask("POST", "/v1/second-factor/options", token(&session)).await.json();
    let shown = json!({"challenge": asked["challenge"], "credential": passkey.get(&asked["public_key"])});
    let answer = fixture.send_json("/v1/second-factor", token(&session), shown).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let fresh = answer.json();
    assert_eq!(fixture.post("POST", "/v1/withdrawals", token(&fresh), withdraw).await.status, 202);
    assert!(fixture.me(&fresh).await.json()["second_factor_age_s"].as_i64().is_some_and(|age_s| age_s < 300));
    let key = fixture.send_json("/v1/api-keys", token(&fresh), key).await.json();
    let by_key = fixture.post("POST", "/v1/withdrawals", key["api_key"].as_str().unwrap(), withdraw).await;
    assert_eq!(by_key.status, 202, "the key was made with a second factor: {}", by_key.text);

    let asked = fixture.log_in("ada").await;
    assert_eq!(asked.get("access_token"), None);
    let question = &asked["second_factor"];
    let mut wrong = Authenticator::new(2, 1);
    let shown = json!({"challenge": question["challenge"], "credential": wrong.get(&question["public_key"])});
    fixture.send_json("/v1/sessions/second-factor", "", shown).await.problem(403, "second_factor_failed");
    let credential = passkey.get(&question["public_key"]);
    let shown = json!({"challenge": question["challenge"], "credential": credential, "deliver": "body"});
    let answer = fixture.send_json("/v1/sessions/second-factor", "", shown.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let strong = answer.json();
    assert_eq!(fixture.post("POST", "/v1/withdrawals", token(&strong), withdraw).await.status, 202);
    fixture.send_json("/v1/sessions/second-factor", "", shown).await.problem(422, "invalid_challenge");
    let refreshed = fixture.refresh(&strong).await.json();
    assert_eq!(fixture.post("POST", "/v1/withdrawals", token(&refreshed), withdraw).await.status, 202);

    let path = format!("/v1/passkeys/{}", passkey.credential_id());
    fixture.ask("DELETE", &path, token(&session)).await.problem(403, "second_factor_needed");
    assert_eq!(fixture.ask("DELETE", &path, token(&strong)).await.status, 204);
    fixture.ask("DELETE", &path, token(&strong)).await.problem(404, "unknown_passkey");
    assert_eq!(fixture.post("POST", "/v1/withdrawals", token(&session), withdraw).await.status, 202);
}

#[tokio::test]
async fn the_settings_say_who_is_an_operator_and_take_it_back() {
    let topics = Arc::default();
    let operators = |logins: &[&str]| {
        let logins: Vec<String> = logins.iter().map(|login| (*login).to_owned()).collect();
        move |settings: &mut tapeline_gateway::config::Settings| settings.operators.clone_from(&logins)
    };
    let one = Fixture::with_users(&topics, operators(&["Olga"])).await;
    one.sign_up("olga").await;
    one.sign_up("ada").await;
    let roles = |session: &Value| session["user"]["roles"].clone();
    let olga = one.log_in("OLGA").await;
    assert_eq!(roles(&olga), json!(["operator"]));
    assert_eq!(roles(&one.log_in("ada").await), json!([]));
    let later = Fixture::with_users(&topics, operators(&["ada"])).await;
    assert_eq!(roles(&later.log_in("olga").await), json!([]));
    assert_eq!(roles(&later.log_in("ada").await), json!(["operator"]));
}

#[tokio::test]
async fn of_two_sign_ups_with_one_login_the_first_in_the_log_counts() {
    let topics: Arc<MemoryIdentity> = Arc::default();
    let (one, two) = (gateway(&topics).await, Arc::new(gateway(&topics).await));
    topics.set_lagging(1, true);
    one.sign_up("ada").await;
    let appended = topics.events().len();
    let of_two = Arc::clone(&two);
    let body = json!({"login": "Ada", "password": PASSWORD});
    let late = tokio::spawn(async move { of_two.send_json("/v1/users", "", body).await });
    while topics.events().len() == appended {
        tokio::task::yield_now().await;
    }
    topics.set_lagging(1, false);
    late.await.unwrap().problem(409, "login_taken");
    two.identity.store.repair().await.unwrap();
    let last = topics.events().pop();
    assert!(matches!(&last, Some(Event::User(user)) if user.status == IdentityUserStatus::Void), "{last:?}");
    assert_eq!(two.log_in("ada").await["user"]["login"], "ada");
}

#[tokio::test]
async fn without_kafka_nothing_changes_and_sessions_go_on() {
    let topics: Arc<MemoryIdentity> = Arc::default();
    let fixture = gateway(&topics).await;
    fixture.sign_up("ada").await;
    let session = fixture.log_in("ada").await;
    topics.set_away(true);
    fixture.send_json("/v1/users", "", json!({"login": "bob", "password": PASSWORD})).await.problem(503, "kafka_away");
    fixture.refresh(&session).await.problem(503, "kafka_away");
    assert_eq!(fixture.me(&session).await.status, 200);
    topics.set_away(false);
    fixture.sign_up("bob").await;
    assert_eq!(fixture.refresh(&session).await.status, 200, "the token was not used up");
}

#[tokio::test]
async fn a_gateway_that_starts_knows_all_that_the_log_has() {
    let topics = Arc::default();
    let one = gateway(&topics).await;
    one.sign_up("ada").await;
    let session = one.log_in("ada").await;
    drop(one);
    let two = gateway(&topics).await;
    assert_eq!(two.me(&session).await.status, 200, "the old process's public key is in the log");
    assert_eq!(two.refresh(&session).await.status, 200);
    assert_eq!(two.log_in("ada").await["user"]["login"], "ada");
}

#[tokio::test]
async fn a_new_signing_key_is_due_when_there_is_none_or_it_was_retired() {
    let fixture = alone().await;
    let store = &fixture.identity.store;
    assert!(!store.needs_signer());
    let signer = store.signer().unwrap().record().clone();
    let retired = tapeline_identity::signer::retired(&signer, signer.created_ms - 1);
    store.commit(Event::Signer(retired)).await.unwrap();
    assert!(store.needs_signer());
    store.renew_signer(std::time::Duration::from_secs(60)).await.unwrap();
    assert!(!store.needs_signer());
    assert_ne!(store.signer().unwrap().record().kid, signer.kid);
}
