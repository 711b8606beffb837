//! Users over HTTP on two gateways: what one of them is told, both know, and a restart forgets nothing.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tapeline_cli::publish::TopicPublisher;
use tapeline_gateway::config::Settings;
use tapeline_gateway::run::{self, Running};
use tapeline_identity::{Signer, access, sessions};
use tapeline_kafka::app::App;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::Reader;
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{AuditKind, AuditOutcome, GatewayAudit, IdentitySigner, IdentityUser, IdentityUserStatus};
use tapeline_tests::gateway;
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::Pipeline;

const PATIENCE: Duration = Duration::from_secs(120);
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse battery";

#[test]
fn users_of_one_gateway_are_known_to_all_and_outlive_a_restart() -> Result<()> {
    with_stack("identity", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        let one = TestGateway::start(stack)?;
        let two = TestGateway::start(stack)?;
        sign_up_and_log_in(&one, &two)?;
        the_account_is_open(stack, &one)?;
        refresh_and_reuse(&one, &two)?;
        log_out(&one, &two)?;
        api_keys(&one, &two)?;
        forged_tokens(stack, &one)?;
        let one = restart(stack, one)?;
        without_kafka(stack, &mut pipeline, &one)?;
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        one.stop();
        two.stop();
        audit_trail(stack)?;
        pipeline.stop()
    })
}

struct TestGateway {
    app: Arc<App>,
    running: Running,
    http: Client,
}

impl TestGateway {
    fn start(stack: &Stack) -> Result<Self> {
        let app = App::with(stack.app.topology.clone(), stack.app.addresses.clone())?;
        let operators = vec!["olga".to_owned()];
        let settings = Settings { demo: true, operators, ..Settings::at(([127, 0, 0, 1], 0).into()) };
        let running = run::start_with_users(&app, settings)?;
        let gateway = Self { app, running, http: Client::builder().timeout(HTTP_TIMEOUT).build()? };
        let is_ready = || Ok(gateway.get("/readyz", "")?.0 == 200);
        wait_until("the gateway is ready", PATIENCE, is_ready)?;
        Ok(gateway)
    }

    fn stop(self) {
        self.app.stop.store(true, Ordering::Relaxed);
        self.running.wait();
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Result<(u16, Value)> {
        gateway::ask(&self.http, method, &format!("http://{}{path}", self.running.address), token, body)
    }

    fn get(&self, path: &str, token: &str) -> Result<(u16, Value)> {
        self.ask("GET", path, token, None)
    }

    fn post(&self, path: &str, token: &str, body: Value) -> Result<(u16, Value)> {
        self.ask("POST", path, token, Some(body))
    }

    fn log_in(&self, login: &str) -> Result<Value> {
        let body = json!({"login": login, "password": PASSWORD, "deliver": "body"});
        expect(200, self.post("/v1/sessions", "", body)?)
    }

    fn refresh(&self, session: &Value) -> Result<(u16, Value)> {
        self.post("/v1/sessions/refresh", "", json!({"refresh_token": session["refresh_token"]}))
    }

    /// Waits until the gateway refuses a token: another gateway has told it to.
    fn comes_to_refuse(&self, token: &str) -> Result<()> {
        wait_until("the gateway refuses the token", PATIENCE, || Ok(self.get("/v1/me", token)?.0 == 401))
    }
}

fn expect(status: u16, answer: (u16, Value)) -> Result<Value> {
    ensure!(answer.0 == status, "expected {status}, got {answer:?}");
    Ok(answer.1)
}

fn refused(status: u16, code: &str, answer: (u16, Value)) -> Result<()> {
    ensure!(answer.0 == status && answer.1["code"] == code, "expected {status} {code}, got {answer:?}");
    Ok(())
}

fn token(session: &Value) -> Result<&str> {
    session["access_token"].as_str().with_context(|| format!("no access token in {session}"))
}

fn sign_up_and_log_in(one: &TestGateway, two: &TestGateway) -> Result<()> {
    let body = |login: &str| json!({"login": login, "password": PASSWORD});
    let ada = expect(201, one.post("/v1/users", "", body("ada"))?)?;
    expect(201, two.post("/v1/users", "", body("Olga"))?)?;
    for gateway in [one, two] {
        refused(409, "login_taken", gateway.post("/v1/users", "", body("ADA"))?)?;
    }
    let wrong = json!({"login": "ada", "password": "correct horse batterx"});
    refused(401, "wrong_credentials", two.post("/v1/sessions", "", wrong)?)?;
    let session = one.log_in("ada")?;
    for gateway in [one, two] {
        let me = expect(200, gateway.get("/v1/me", token(&session)?)?)?;
        ensure!(me["user_id"] == ada["user_id"] && me["account"] == ada["account"], "{me} is not {ada}");
    }
    let olga = two.log_in("olga")?;
    ensure!(olga["user"]["roles"] == json!(["operator"]), "{olga}");
    // The key of the gateway that began later is read by the other one as well.
    wait_until("a token of the second gateway counts at the first", PATIENCE, || {
        Ok(one.get("/v1/me", token(&olga)?)?.0 == 200)
    })
}

/// The validator takes a deposit of the new account only because sign-up opened it.
fn the_account_is_open(stack: &Stack, gateway: &TestGateway) -> Result<()> {
    stack.drain(&["validator"], PATIENCE)?;
    let session = gateway.log_in("ada")?;
    let deposit = json!({"client_order_id": "deposit", "asset": "USD", "amount": "10"});
    let taken = expect(202, gateway.post("/v1/deposits", token(&session)?, deposit)?)?;
    let path = format!("/v1/balances?position={}", taken["position"].as_str().context("position")?);
    let balances = expect(200, gateway.get(&path, token(&session)?)?)?;
    ensure!(balances["balances"][0]["available"] == "10", "{balances}");
    Ok(())
}

fn refresh_and_reuse(one: &TestGateway, two: &TestGateway) -> Result<()> {
    let first = one.log_in("ada")?;
    let second = expect(200, two.refresh(&first)?)?;
    let third = expect(200, one.refresh(&second)?)?;
    refused(401, "token_reused", two.refresh(&first)?)?;
    refused(401, "expired", two.get("/v1/me", token(&third)?)?)?;
    one.comes_to_refuse(token(&third)?)?;
    refused(401, "expired", one.refresh(&third)?)
}

fn log_out(one: &TestGateway, two: &TestGateway) -> Result<()> {
    let session = one.log_in("ada")?;
    let (status, _) = one.ask("DELETE", "/v1/sessions/current", token(&session)?, None)?;
    ensure!(status == 204, "{status}");
    refused(401, "expired", one.get("/v1/me", token(&session)?)?)?;
    two.comes_to_refuse(token(&session)?)?;
    refused(401, "expired", two.refresh(&session)?)
}

fn api_keys(one: &TestGateway, two: &TestGateway) -> Result<()> {
    let session = one.log_in("ada")?;
    let wanted = json!({"label": "reader", "scopes": ["read"], "expires_in_days": 1});
    let made = expect(201, one.post("/v1/api-keys", token(&session)?, wanted)?)?;
    let key = made["api_key"].as_str().context("api_key")?;
    wait_until("the key counts at the other gateway", PATIENCE, || Ok(two.get("/v1/me", key)?.0 == 200))?;
    let order = json!({
        "client_order_id": "a", "instrument": "X-Y", "side": "buy", "type": "limit", "quantity": "1", "price": "1"
    });
    refused(403, "scope_missing", two.post("/v1/orders", key, order)?)?;
    let path = format!("/v1/api-keys/{}", made["key_id"].as_str().context("key_id")?);
    let (status, _) = two.ask("DELETE", &path, token(&session)?, None)?;
    ensure!(status == 204, "{status}");
    refused(401, "invalid_token", two.get("/v1/me", key)?)?;
    one.comes_to_refuse(key)
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// The test signs as a gateway would, with a key that is published and with one that is not.
fn forged_tokens(stack: &Stack, gateway: &TestGateway) -> Result<()> {
    let (now_ms, mut rng) = (now_ms()?, StdRng::seed_from_u64(7));
    let user = IdentityUser {
        user_id: sessions::new_family_id(&mut rng),
        revision: 0,
        login: "eve".into(),
        login_key: "eve".into(),
        display_name: "Eve".into(),
        password_hash: "".into(),
        roles: vec![],
        account: "u-eve".into(),
        passkeys: vec![],
        status: IdentityUserStatus::Active,
        created_ms: now_ms,
        updated_ms: now_ms,
    };
    let family_id = sessions::new_family_id(&mut rng);
    let session = sessions::open(&user.user_id, &family_id, None, now_ms - 400_000, &mut rng)?.record;
    let known = Signer::generate(now_ms, 3_600_000, &mut rng)?;
    let foreign = Signer::generate(now_ms, 3_600_000, &mut rng)?;
    let publisher = TopicPublisher::<IdentitySigner>::open(&stack.app.addresses, topic::IDENTITY_SIGNERS, "test")?;
    publisher.send(&known.record().kid, known.record())?;
    publisher.flush()?;
    let signed = |signer: &Signer, at_ms: i64| access::issue(signer, &user, &session, None, at_ms);
    let good = signed(&known, now_ms)?;
    // It counts, though nobody has such a user: what is refused below is refused for what is wrong with it.
    let counts = || Ok(gateway.get("/v1/orders", &good)?.0 == 200);
    wait_until("a token of the published key counts", PATIENCE, counts)?;
    let (_, rest) = good.split_once('.').context("a token has dots")?;
    let header = json!({"alg": "none", "typ": "at+jwt", "kid": known.record().kid.as_str()}).to_string();
    let none = URL_SAFE_NO_PAD.encode(header);
    let claims = rest.split('.').next().context("claims")?;
    let expired = signed(&known, now_ms - 301_000)?;
    for (what, forged) in [
        ("expired", expired),
        ("foreign", signed(&foreign, now_ms)?),
        ("alg none", format!("{none}.{claims}.")),
        ("alg none, signed", format!("{none}.{rest}")),
    ] {
        refused(401, "invalid_token", gateway.get("/v1/orders", &forged)?).with_context(|| what.to_owned())?;
    }
    Ok(())
}

fn restart(stack: &Stack, gateway: TestGateway) -> Result<TestGateway> {
    let session = gateway.log_in("ada")?;
    gateway.stop();
    let gateway = TestGateway::start(stack)?;
    expect(200, gateway.get("/v1/me", token(&session)?)?).context("a token of the process before")?;
    let session = expect(200, gateway.refresh(&session)?)?;
    expect(200, gateway.get("/v1/me", token(&session)?)?)?;
    gateway.log_in("ada")?;
    Ok(gateway)
}

/// Sessions go on, nothing changes; afterwards the same gateway goes on.
fn without_kafka(stack: &Stack, pipeline: &mut Pipeline<'_>, gateway: &TestGateway) -> Result<()> {
    let session = gateway.log_in("ada")?;
    stack.parts(&["down", "kafka"])?;
    let (status, problem) = gateway.refresh(&session)?;
    ensure!(status == 503, "without Kafka a refresh was answered with {status}: {problem}");
    ensure!(["outcome_unknown", "kafka_away"].contains(&problem["code"].as_str().unwrap_or_default()), "{problem}");
    expect(200, gateway.get("/v1/me", token(&session)?)?)?;
    stack.parts(&["up", "kafka"])?;
    wait_until("refreshes are taken again", PATIENCE, || {
        pipeline.revive_fenced()?;
        Ok(gateway.refresh(&session)?.0 == 200)
    })?;
    gateway.log_in("ada")?;
    pipeline.wait_ready()
}

/// All kinds of what was done above stand in the topic, and no password or token does.
fn audit_trail(stack: &Stack) -> Result<()> {
    let ids: Arc<dyn SchemaIds> = stack.app.registry.clone();
    let mut decoder = decoder::<GatewayAudit>(topic::GATEWAY_AUDIT, &ids).map_err(anyhow::Error::msg)?;
    let mut reader = PartitionReader::open(&stack.app.addresses.kafka, topic::GATEWAY_AUDIT, 0, 0)?;
    let mut found = BTreeSet::new();
    while let Some(record) = reader.next()? {
        let record = decoder.decode(record.payload.as_deref())?;
        ensure!(record.address == "127.0.0.1" && !format!("{record:?}").contains(PASSWORD), "{record:?}");
        found.insert((record.kind, record.outcome));
    }
    use AuditKind::{KeyCreated, KeyRevoked, LogIn, LogOut, Refresh, Request, SignUp, UserChanged};
    use AuditOutcome::{Done, Refused};
    for wanted in [
        (SignUp, Done),
        (SignUp, Refused),
        (LogIn, Done),
        (LogIn, Refused),
        (UserChanged, Done),
        (Refresh, Refused),
        (LogOut, Done),
        (KeyCreated, Done),
        (KeyRevoked, Done),
        (Request, Refused),
    ] {
        ensure!(found.contains(&wanted), "{wanted:?} is not in {found:?}");
    }
    Ok(())
}
