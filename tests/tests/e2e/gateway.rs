//! Traders over HTTP: what a gateway has acknowledged is in Kafka, and a position shows exactly what a command led to.

use anyhow::{Context, Result, bail, ensure};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapeline_domain::types::position_id;
use tapeline_gateway::auth::Authenticator;
use tapeline_gateway::config::Settings;
use tapeline_gateway::gateway::Gateway;
use tapeline_gateway::principal::{Principal, Scope};
use tapeline_gateway::problem::Problem;
use tapeline_gateway::run::{self, Running};
use tapeline_kafka::app::App;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::Reader;
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::{topic, wire};
use tapeline_tests::gateway;
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::Pipeline;
use tapeline_tests::reference::{instrument, list};

const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than the gateway takes to say that it does not know.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
const INSTRUMENT: &str = "ABC-USD";

#[test]
fn traders_place_amend_and_cancel_over_http_and_read_what_their_commands_led_to() -> Result<()> {
    with_stack("gateway", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        list_instrument_and_accounts(stack)?;
        let gateway = TestGateway::start(stack)?;
        let (ann, bob) = (gateway.trader("ann"), gateway.trader("bob"));
        fund(&ann, &bob)?;
        trade(&ann, &bob)?;
        refusals(&ann, &bob)?;
        market_data(&gateway.trader(""))?;
        a_view_that_stands_still(&mut pipeline, &ann)?;
        kafka_goes_away(stack, &mut pipeline, &gateway)?;
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        gateway.stop();
        pipeline.stop()
    })
}

/// The bearer is the account's name.
struct NamesAreTokens;

impl Authenticator for NamesAreTokens {
    fn authenticate(&self, bearer: &str, _now_ms: i64) -> Result<Principal, Problem> {
        Ok(Principal {
            user_id: bearer.into(),
            account: bearer.into(),
            scopes: vec![Scope::Read, Scope::Trade, Scope::Withdraw],
            key_id: None,
            expires_ms: i64::MAX,
            second_factor_ms: None,
            has_second_factor: false,
        })
    }
}

/// A gateway in this process, which knows everybody.
pub(super) struct TestGateway {
    app: Arc<App>,
    running: Running,
    http: Client,
}

impl TestGateway {
    /// Starts it and waits until it is ready.
    pub(super) fn start(stack: &Stack) -> Result<Self> {
        let app = App::with(stack.app.topology.clone(), stack.app.addresses.clone())?;
        let settings = Settings { demo: true, ..Settings::at(([127, 0, 0, 1], 0).into()) };
        let more = axum::Router::<Arc<Gateway>>::new();
        let running = run::start(&app, settings, Arc::new(NamesAreTokens), more)?;
        let http = Client::builder().timeout(HTTP_TIMEOUT).build()?;
        let gateway = Self { app, running, http };
        let probe = gateway.trader("");
        wait_until("the gateway is ready", PATIENCE, || Ok(probe.get("/readyz")?.0 == 200))?;
        Ok(gateway)
    }

    fn trader(&self, account: &str) -> Trader {
        Trader { base: format!("http://{}", self.running.address), account: account.into(), http: self.http.clone() }
    }

    /// Its WebSocket.
    pub(super) fn websocket(&self) -> String {
        format!("ws://{}/v1/ws", self.running.address)
    }

    pub(super) fn stop(self) {
        self.app.stop.store(true, Ordering::Relaxed);
        self.running.wait();
    }
}

#[derive(Clone)]
struct Trader {
    base: String,
    account: String,
    http: Client,
}

impl Trader {
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        gateway::ask(&self.http, method, &format!("{}{path}", self.base), &self.account, body)
    }

    fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.ask("GET", path, None)
    }

    /// A command that must be taken; gives its position.
    fn command(&self, method: &str, path: &str, body: Option<Value>) -> Result<String> {
        let (status, answer) = self.ask(method, path, body)?;
        ensure!(status == 202, "{method} {path}: {status} {answer}");
        text(&answer, "position")
    }

    /// What a GET shows once it includes the command at `position`.
    fn at(&self, path: &str, position: &str) -> Result<Value> {
        let (status, answer) = self.get(&format!("{path}?position={position}"))?;
        ensure!(status == 200, "GET {path}: {status} {answer}");
        Ok(answer)
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().with_context(|| format!("no {field} in {value}"))?.to_owned())
}

/// Checks the named fields of an answer.
fn check(found: &Value, expected: &Value) -> Result<()> {
    for (field, expected) in expected.as_object().context("fields")? {
        ensure!(found[field] == *expected, "{field} is {}, expected {expected}, in {found}", found[field]);
    }
    Ok(())
}

fn limit(id: &str, side: &str, quantity: &str, price: &str) -> Value {
    json!({
        "client_order_id": id, "instrument": INSTRUMENT, "side": side, "type": "limit", "quantity": quantity, "price": price
    })
}

fn list_instrument_and_accounts(stack: &Stack) -> Result<()> {
    let account = |name: &str| wire::Account {
        account: name.into(),
        status: wire::AccountStatus::Active,
        max_open_orders: 10_000,
    };
    list(stack, &[instrument(INSTRUMENT, "ABC")], &["ann", "bob"].map(account))
}

fn fund(ann: &Trader, bob: &Trader) -> Result<()> {
    for (trader, asset, amount) in [(ann, "USD", "100000.5"), (bob, "ABC", "100000")] {
        let deposit = json!({"client_order_id": "deposit", "asset": asset, "amount": amount});
        let position = trader.command("POST", "/v1/deposits", Some(deposit))?;
        let expected = json!({"balances": [{"asset": asset, "available": amount, "reserved": "0", "total": amount}]});
        let found = trader.at("/v1/balances", &position)?;
        ensure!(found == expected, "{found}, expected {expected}");
    }
    Ok(())
}

/// Each answer is compared right after its command: the position alone makes it right.
fn trade(ann: &Trader, bob: &Trader) -> Result<()> {
    let began_at = Instant::now();
    let position = bob.command("POST", "/v1/orders", Some(limit("bob-1", "sell", "5", "20")))?;
    let order = bob.at("/v1/orders/bob-1", &position)?;
    check(
        &order,
        &json!({"status": "open", "side": "sell", "type": "limit", "quantity": "5", "price": "20", "leaves": "5"}),
    )?;

    let position = ann.command("POST", "/v1/orders", Some(limit("ann-1", "buy", "3", "20.01")))?;
    check(&ann.at("/v1/orders/ann-1", &position)?, &json!({"status": "filled", "filled": "3", "leaves": "0"}))?;
    check(&bob.at("/v1/orders/bob-1", &position)?, &json!({"status": "partly_filled", "filled": "3", "leaves": "2"}))?;
    // 60 USD at 250 and 100 parts per million.
    for (trader, id, side, liquidity, fee) in
        [(ann, "ann-1", "buy", "taker", "0.015"), (bob, "bob-1", "sell", "maker", "0.006")]
    {
        let fills = trader.at("/v1/fills", &position)?;
        let expected = json!({
            "client_order_id": id, "instrument": INSTRUMENT, "side": side, "liquidity": liquidity, "price": "20",
            "quantity": "3", "notional": "60", "fee": fee, "fee_asset": "USD"
        });
        ensure!(fills["fills"].as_array().is_some_and(|fills| fills.len() == 1), "{fills}");
        check(&fills["fills"][0], &expected)?;
        let page = trader.get(&format!("/v1/fills?limit=1&before={}", text(&fills["fills"][0], "trade_id")?))?;
        ensure!(page == (200, json!({"fills": []})), "{page:?}");
    }
    let balances = ann.at("/v1/balances", &position)?;
    check(&balances["balances"][0], &json!({"asset": "ABC", "available": "3", "reserved": "0"}))?;
    check(&balances["balances"][1], &json!({"asset": "USD", "available": "99940.485", "reserved": "0"}))?;

    let amend = json!({"client_order_id": "bob-2", "quantity": "4", "price": "21"});
    let position = bob.command("PATCH", "/v1/orders/bob-1", Some(amend))?;
    check(&bob.at("/v1/orders/bob-1", &position)?, &json!({"quantity": "4", "leaves": "1", "price": "21"}))?;
    let position = bob.command("DELETE", "/v1/orders/bob-1?request_id=bob-3", None)?;
    check(&bob.at("/v1/orders/bob-1", &position)?, &json!({"status": "cancelled", "reason": "requested"}))?;

    bob.command("POST", "/v1/orders", Some(limit("bob-4", "sell", "1", "22")))?;
    let position = bob.command("POST", "/v1/orders", Some(limit("bob-5", "sell", "1", "23")))?;
    let open = bob.at("/v1/orders", &position)?;
    let ids: Vec<_> =
        open["orders"].as_array().context("orders")?.iter().map(|order| &order["client_order_id"]).collect();
    ensure!(ids == ["bob-5", "bob-4"], "{open}");
    let (_, first) = bob.get("/v1/orders?status=all&limit=2")?;
    let (_, second) = bob.get(&format!("/v1/orders?status=all&limit=2&before={}", text(&first, "next_before")?))?;
    ensure!(second["orders"][0]["client_order_id"] == "bob-1" && second.get("next_before").is_none(), "{second}");
    let position = bob.command("DELETE", &format!("/v1/orders?instrument={INSTRUMENT}"), None)?;
    let open = bob.at("/v1/orders", &position)?;
    ensure!(open["orders"].as_array().is_some_and(Vec::is_empty), "{open}");
    println!("ten commands, each read back by its position, after {:.1} s", began_at.elapsed().as_secs_f64());
    Ok(())
}

fn refusals(ann: &Trader, bob: &Trader) -> Result<()> {
    // Bob has what the three units brought him, less his fee.
    let position = bob.command("POST", "/v1/orders", Some(limit("bob-6", "buy", "3", "20")))?;
    check(&bob.at("/v1/orders/bob-6", &position)?, &json!({"status": "rejected", "reason": "insufficient_funds"}))?;
    let position = ann.command("POST", "/v1/orders", Some(limit("ann-3", "buy", "1000", "200")))?;
    check(&ann.at("/v1/orders/ann-3", &position)?, &json!({"status": "rejected", "reason": "outside_collar"}))?;
    // The same again has no second effect, and the id still means the first one.
    let position = ann.command("POST", "/v1/orders", Some(limit("ann-1", "buy", "3", "20.01")))?;
    check(&ann.at("/v1/orders/ann-1", &position)?, &json!({"status": "filled", "filled": "3"}))?;
    let (status, problem) = ann.get("/v1/orders/nothing")?;
    ensure!(status == 404 && problem["code"] == "unknown_order", "{status} {problem}");
    let (status, problem) = ann.ask("POST", "/v1/orders", Some(limit("ann-4", "buy", "1.123456789", "20")))?;
    ensure!(status == 422 && problem["field"] == "quantity", "{status} {problem}");
    let withdraw = json!({"client_order_id": "withdraw", "asset": "ABC", "amount": "3"});
    let position = ann.command("POST", "/v1/withdrawals", Some(withdraw))?;
    check(&ann.at("/v1/balances", &position)?["balances"][0], &json!({"asset": "ABC", "total": "0"}))
}

fn market_data(anyone: &Trader) -> Result<()> {
    let (status, instruments) = anyone.get("/v1/instruments")?;
    ensure!(status == 200, "{status} {instruments}");
    let expected = json!({"symbol": INSTRUMENT, "tick_size": "0.01", "taker_fee_ppm": 250, "status": "open"});
    check(&instruments["instruments"][0], &expected)?;
    let (_, trades) = anyone.get(&format!("/v1/instruments/{INSTRUMENT}/trades"))?;
    check(&trades["trades"][0], &json!({"price": "20", "quantity": "3", "taker_side": "buy"}))?;
    for query in ["interval=1m", "interval=1d&from_ms=0", "interval=5m&limit=1"] {
        let (_, candles) = anyone.get(&format!("/v1/instruments/{INSTRUMENT}/candles?{query}"))?;
        let expected = json!({"open": "20", "high": "20", "low": "20", "close": "20", "volume": "3", "trades": 1});
        check(&candles["candles"][0], &expected)?;
    }
    let ann = Trader { account: "ann".into(), ..anyone.clone() };
    wait_until("ClickHouse shows the trade", PATIENCE, || {
        let (status, figures) = ann.get("/v1/analytics?hours=1")?;
        ensure!(status == 200, "{status} {figures}");
        let is_there = figures["volume"][0]["volume"] == "3"
            && figures["latency"].as_array().is_some_and(|stages| stages.len() == 4)
            && figures["rejects"].as_array().is_some_and(|rejects| rejects.len() == 3)
            && figures["fill_ratio"][0]["filled"] == 2;
        if !is_there {
            println!("{figures}");
        }
        Ok(is_there)
    })
}

fn a_view_that_stands_still(pipeline: &mut Pipeline<'_>, ann: &Trader) -> Result<()> {
    pipeline.terminate("timescale")?;
    let position = ann.command("POST", "/v1/orders", Some(limit("ann-5", "buy", "1", "15")))?;
    let (status, problem) = ann.get(&format!("/v1/orders/ann-5?position={position}"))?;
    ensure!(status == 504 && problem["code"] == "view_behind", "{status} {problem}");
    pipeline.start_again("timescale")?;
    pipeline.wait_ready()?;
    check(&ann.at("/v1/orders/ann-5", &position)?, &json!({"status": "open"}))
}

/// What was asked while Kafka went away and came back: by client_order_id, the order_id if it was acknowledged.
pub(super) type Outcomes = BTreeMap<String, Option<i64>>;

fn kafka_goes_away(stack: &Stack, pipeline: &mut Pipeline<'_>, gateway: &TestGateway) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let placing: Vec<_> = ["ann", "bob"]
        .map(|account| {
            let (trader, stop) = (gateway.trader(account), Arc::clone(&stop));
            std::thread::spawn(move || place_until(&trader, &stop))
        })
        .into();
    let some_are_taken = || Ok(gateway.trader("ann").get("/v1/orders/away-ann-20")?.0 == 200);
    wait_until("orders are taken", PATIENCE, some_are_taken)?;
    stack.parts(&["down", "kafka"])?;
    let (status, problem) = gateway.trader("ann").ask("POST", "/v1/orders", Some(limit("dark", "buy", "1", "15")))?;
    ensure!(status == 503, "without Kafka an order was answered with {status}: {problem}");
    ensure!(["outcome_unknown", "kafka_away"].contains(&problem["code"].as_str().unwrap_or_default()), "{problem}");
    stack.parts(&["up", "kafka"])?;
    let taken_again = || {
        pipeline.revive_fenced()?;
        Ok(gateway.trader("ann").ask("POST", "/v1/orders", Some(limit("dark", "buy", "1", "15")))?.0 == 202)
    };
    wait_until("orders are taken again", PATIENCE, taken_again)?;
    stop.store(true, Ordering::Relaxed);
    let mut outcomes = Outcomes::new();
    for thread in placing {
        outcomes.extend(thread.join().map_err(|_| anyhow::anyhow!("a trader panicked"))??);
    }
    let unknown = outcomes.values().filter(|id| id.is_none()).count();
    println!("{} orders while Kafka went away, {unknown} of them not acknowledged", outcomes.len());
    ensure!(unknown > 0, "no order met Kafka's absence");
    pipeline.wait_ready()?;
    check_acknowledged(stack, &outcomes)?;
    repeat_unknown(gateway, &outcomes)
}

/// Places one order after the other; those that were not acknowledged are noted so, and left alone.
fn place_until(trader: &Trader, stop: &AtomicBool) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    let (side, price) = if trader.account == "ann" { ("buy", "15") } else { ("sell", "25") };
    while !stop.load(Ordering::Relaxed) {
        let id = format!("away-{}-{}", trader.account, outcomes.len());
        let (status, answer) = trader.ask("POST", "/v1/orders", Some(limit(&id, side, "1", price)))?;
        let acknowledged = match status {
            202 => Some(text(&answer, "order_id")?.parse()?),
            503 => None,
            429 => continue,
            _ => bail!("{status} {answer}"),
        };
        outcomes.insert(id, acknowledged);
    }
    Ok(outcomes)
}

/// Each acknowledged order lies in Kafka where its id says, under its client_order_id.
pub(super) fn check_acknowledged(stack: &Stack, outcomes: &Outcomes) -> Result<()> {
    let ids: Arc<dyn SchemaIds> = stack.app.registry.clone();
    let mut decoder = decoder::<wire::Command>(topic::ORDERS, &ids).map_err(anyhow::Error::msg)?;
    let mut in_kafka = BTreeMap::new();
    for partition in 0..stack.app.topology.topic(topic::ORDERS).map_or(0, |topic| topic.partitions) {
        let mut reader = PartitionReader::open(&stack.app.addresses.kafka, topic::ORDERS, partition, 0)?;
        while let Some(record) = reader.next()? {
            let command = decoder.decode(record.payload.as_deref())?;
            in_kafka.insert(position_id(partition, record.offset), command.client_order_id);
        }
    }
    for (id, order_id) in outcomes.iter().filter_map(|(id, order_id)| Some((id, (*order_id)?))) {
        let found = in_kafka.get(&order_id).map(|found| found.as_str());
        ensure!(found == Some(id), "{id} was acknowledged as {order_id}, where Kafka has {found:?}");
    }
    Ok(())
}

/// Sent again under the same id, each takes effect exactly once: the audit at the end would find two.
fn repeat_unknown(gateway: &TestGateway, outcomes: &Outcomes) -> Result<()> {
    for (id, _) in outcomes.iter().filter(|(_, order_id)| order_id.is_none()) {
        let account = if id.starts_with("away-ann") { "ann" } else { "bob" };
        let (side, price) = if account == "ann" { ("buy", "15") } else { ("sell", "25") };
        let trader = gateway.trader(account);
        let position = trader.command("POST", "/v1/orders", Some(limit(id, side, "1", price)))?;
        wait_until("the view has come so far", PATIENCE, || {
            Ok(trader.get(&format!("/v1/orders/{id}?position={position}"))?.0 == 200)
        })?;
        check(&trader.get(&format!("/v1/orders/{id}"))?.1, &json!({"status": "open", "leaves": "1"}))?;
    }
    Ok(())
}
