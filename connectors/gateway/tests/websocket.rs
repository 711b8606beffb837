//! Sessions over real sockets: what a client sees, and how a connection ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tapeline_gateway::feed::account::{AccountSnapshot, Balance, Position, Record, Source};
use tapeline_gateway::feed::book::{Level, Way};
use tapeline_gateway::feed::hub::{EVENT_RING_BYTES, Hub};
use tapeline_gateway::feed::metrics::FeedMetrics;
use tapeline_gateway::principal::{Principal, Scope};
use tapeline_gateway::problem::Problem;
use tapeline_gateway::ws::backend::{Acknowledged, Answer, Backend, ClientCommand, CommandOp};
use tapeline_gateway::ws::{SUBPROTOCOL, Sessions, routes};
use tapeline_schemas::wire::{BookDepth, DepthKind, DepthLevel, Execution, Instrument, InstrumentStatus, Rejection};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here takes; what waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Knows one account, and remembers what was commanded.
#[derive(Default)]
struct TestBackend {
    commands: Arc<Mutex<Vec<ClientCommand>>>,
    view: Arc<Mutex<Position>>,
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl Backend for TestBackend {
    /// `account:lifetime in ms` is a token.
    fn authenticate(&self, token: String) -> Answer<Principal> {
        Box::pin(async move {
            let Some((account, lives_ms)) = token.split_once(':') else {
                return Err(Problem::new(401, "wrong_token", "The token is nobody's", "log in"));
            };
            Ok(Principal {
                user_id: "u".into(),
                account: account.into(),
                scopes: vec![Scope::Read, Scope::Trade],
                key_id: None,
                expires_ms: now_ms() + lives_ms.parse::<i64>().unwrap(),
                second_factor_ms: None,
                has_second_factor: false,
            })
        })
    }

    fn command(&self, _: Arc<Principal>, command: ClientCommand) -> Answer<Acknowledged> {
        let commands = Arc::clone(&self.commands);
        Box::pin(async move {
            let client_order_id = command.fields.get("client_order_id").and_then(Value::as_str).map(SmolStr::from);
            commands.lock().unwrap().push(command);
            tokio::task::yield_now().await;
            let client_order_id = client_order_id.ok_or_else(|| Problem::new(400, "malformed", "No id", "give one"))?;
            Ok(Acknowledged { command_id: 7, client_order_id, position: "p".into() })
        })
    }

    fn account_snapshot(&self, _: SmolStr) -> Answer<AccountSnapshot> {
        let offsets = self.view.lock().unwrap().clone();
        let balances = vec![Balance { asset: "USD".into(), available: 500_000_000, reserved: 0 }];
        Box::pin(async move { Ok(AccountSnapshot { orders: vec![json!({"order_id": "1"})], balances, offsets }) })
    }

    fn open_instruments(&self, _: SmolStr) -> Answer<Vec<SmolStr>> {
        Box::pin(async { Ok(vec!["OLD-USD".into()]) })
    }
}

struct Gateway {
    hub: Arc<Hub>,
    sessions: Arc<Sessions>,
    commands: Arc<Mutex<Vec<ClientCommand>>>,
    address: String,
    book: Mutex<BookWriter>,
}

impl Gateway {
    async fn start() -> Self {
        let hub = Arc::new(Hub::new(FeedMetrics::new(&prometheus::Registry::new()).unwrap(), EVENT_RING_BYTES));
        let backend = TestBackend::default();
        let commands = Arc::clone(&backend.commands);
        let sessions = Arc::new(Sessions::new(Arc::clone(&hub), Arc::new(backend)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}/v1/ws", listener.local_addr().unwrap());
        let app = routes(Arc::clone(&sessions));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let rounds = Arc::clone(hub.rounds());
        tokio::spawn(async move { rounds.run().await });
        hub.take_instrument(&"X".into(), Some(&instrument()));
        Self { hub, sessions, commands, address, book: Mutex::default() }
    }

    async fn connect(&self) -> Client {
        let mut request = self.address.as_str().into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse().unwrap());
        let (socket, answer) = connect_async(request).await.unwrap();
        assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], SUBPROTOCOL);
        Client { socket, id: 0 }
    }

    fn depth(&self, bids: &[(i64, i64)]) {
        let record = self.book.lock().unwrap().change(bids);
        self.hub.take_depth(&record);
        self.hub.end_batch();
    }

    fn trade(&self, offset: i64) {
        let mut trade: Execution = example("trades.executed/06_traded_taker_filled.json");
        (trade.instrument, trade.trade_id) = (Some("X".into()), Some(offset));
        self.hub.take_execution(offset, &trade);
        self.hub.accounts.take(Source::Executed, [(0, offset, Some(Record::Executed(Arc::new(trade))))]);
        self.hub.end_batch();
    }

    fn reject(&self, offset: i64) {
        let rejection: Rejection = example("orders.rejected/insufficient_funds.json");
        let rejection = Rejection { account: "acc-1".into(), client_order_id: offset.to_string().into(), ..rejection };
        self.hub.accounts.take(Source::Rejected, [(0, offset, Some(Record::Rejected(Arc::new(rejection))))]);
        self.hub.end_batch();
    }
}

fn example<T: serde::de::DeserializeOwned>(path: &str) -> T {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(path);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn instrument() -> Instrument {
    Instrument { symbol: "X".into(), status: InstrumentStatus::Open, ..example("reference.instruments/open.json") }
}

/// Writes the bids of a book as the executor would.
#[derive(Default)]
struct BookWriter {
    bids: BTreeMap<i64, i64>,
    sequence: i64,
}

impl BookWriter {
    fn checksum(bids: &BTreeMap<i64, i64>) -> u32 {
        let of = |(price, quantity): (&i64, &i64)| Way::Buy.checksum(Level { price: *price, quantity: *quantity });
        bids.iter().map(of).fold(0, u32::wrapping_add)
    }

    fn change(&mut self, bids: &[(i64, i64)]) -> BookDepth {
        for (price, quantity) in bids {
            if *quantity == 0 {
                self.bids.remove(price)
            } else {
                self.bids.insert(*price, *quantity)
            };
        }
        self.sequence += 1;
        BookDepth {
            kind: DepthKind::Delta,
            instrument: "X".into(),
            sequence: self.sequence,
            part: 0,
            parts: 1,
            bids: bids.iter().map(|(price, quantity)| DepthLevel { price: *price, quantity: *quantity }).collect(),
            asks: Vec::new(),
            checksum: i64::from(Self::checksum(&self.bids)),
            command_id: None,
            commanded_at_ms: None,
            validated_at_ms: self.sequence,
        }
    }
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    id: i64,
}

impl Client {
    async fn say(&mut self, mut message: Value) {
        self.id += 1;
        message["id"] = self.id.into();
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        tokio::time::timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap()
    }

    async fn hear(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(text.as_str()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Says it and hears that it was done.
    async fn ask(&mut self, message: Value) -> Value {
        self.say(message).await;
        let answer = self.hear().await;
        assert_eq!((&answer["type"], answer["id"].as_i64()), (&json!("ack"), Some(self.id)), "{answer}");
        answer
    }

    async fn refused(&mut self, message: Value) -> String {
        self.say(message).await;
        let answer = self.hear().await;
        assert_eq!((&answer["type"], answer["id"].as_i64()), (&json!("error"), Some(self.id)), "{answer}");
        answer["problem"]["code"].as_str().unwrap().to_owned()
    }

    async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(Some(frame)) = self.next().await {
                return u16::from(frame.code);
            }
        }
    }
}

/// The book that a client holds.
#[derive(Default)]
struct Held {
    bids: BTreeMap<i64, i64>,
    sequence: i64,
    snapshots: usize,
}

impl Held {
    fn take(&mut self, message: &Value) {
        assert_eq!(message["type"], "depth", "{message}");
        if message["kind"] == "snapshot" {
            self.bids.clear();
            self.snapshots += 1;
        } else {
            assert_eq!(message["previous"].as_i64(), Some(self.sequence), "{message}");
        }
        for level in message["bids"].as_array().unwrap() {
            let units = |part: &Value| tapeline_gateway::amount::parse(part.as_str().unwrap()).unwrap();
            match units(&level[1]) {
                0 => self.bids.remove(&units(&level[0])),
                quantity => self.bids.insert(units(&level[0]), quantity),
            };
        }
        self.sequence = message["sequence"].as_i64().unwrap();
        assert_eq!(message["checksum"].as_u64(), Some(u64::from(BookWriter::checksum(&self.bids))), "{message}");
    }
}

#[tokio::test]
async fn a_client_of_depth_gets_a_snapshot_and_then_what_follows_it() {
    let gateway = Gateway::start().await;
    gateway.depth(&(1..=12).map(|price| (price, 5)).collect::<Vec<_>>());
    let mut client = gateway.connect().await;
    for levels in [json!(10), json!("full")] {
        client.ask(json!({"op": "subscribe", "channel": "depth", "instrument": "X", "levels": levels})).await;
        let mut held = Held::default();
        held.take(&client.hear().await);
        gateway.depth(&[(2, 0), (12, 0), (13, 7)]);
        held.take(&client.hear().await);
        gateway.depth(&[(2, 5), (12, 5), (13, 0)]);
        held.take(&client.hear().await);
        let expected = if levels == json!(10) { 3..=12 } else { 1..=12 };
        assert!(held.bids.keys().copied().eq(expected), "{:?}", held.bids);
        assert_eq!(held.snapshots, 1);
        client.ask(json!({"op": "unsubscribe", "channel": "depth", "instrument": "X", "levels": levels})).await;
        // Nobody sees this change; who subscribes again begins with it.
        gateway.depth(&[(1, 5)]);
    }
}

#[tokio::test]
async fn a_book_in_which_nobody_has_ordered_is_shown_empty() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    client.ask(json!({"op": "subscribe", "channel": "depth", "instrument": "X"})).await;
    gateway.hub.begin_book(&"X".into());
    gateway.hub.end_batch();
    let mut held = Held::default();
    held.take(&client.hear().await);
    assert_eq!((held.snapshots, held.bids.len()), (1, 0));
    gateway.depth(&[(5, 7)]);
    held.take(&client.hear().await);
    assert_eq!((held.snapshots, held.bids.len()), (1, 1));
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_a_whole_book_later_and_holds_the_same() {
    let gateway = Gateway::start().await;
    gateway.depth(&[(1, 1)]);
    let mut client = gateway.connect().await;
    client.ask(json!({"op": "subscribe", "channel": "depth", "instrument": "X", "levels": "full"})).await;
    let mut held = Held::default();
    held.take(&client.hear().await);
    // More than the ring holds, at once: the session can't have read in between.
    for index in 0..4_000 {
        let record = gateway.book.lock().unwrap().change(&[(index % 50 + 1, index + 1), (index % 7 + 100, index % 3)]);
        gateway.hub.take_depth(&record);
    }
    gateway.hub.end_batch();
    let last = gateway.book.lock().unwrap().sequence;
    while held.sequence < last {
        held.take(&client.hear().await);
    }
    assert_eq!(held.bids, gateway.book.lock().unwrap().bids);
    assert_eq!(held.snapshots, 2);
    assert_eq!(gateway.hub.metrics.conflations.get(), 1);
    gateway.depth(&[(3, 3)]);
    held.take(&client.hear().await);
}

#[tokio::test]
async fn trades_are_told_one_by_one_and_who_misses_some_is_cut() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    client.ask(json!({"op": "subscribe", "channel": "trades", "instrument": "X"})).await;
    for (offset, sequence) in [(5, 1), (6, 2)] {
        gateway.trade(offset);
        let trade = client.hear().await;
        let expected = json!({
            "type": "trade", "instrument": "X", "trade_id": offset.to_string(), "price": "585.1", "quantity": "40",
            "taker_side": "buy", "sequence": sequence, "time_ms": trade["time_ms"],
        });
        assert_eq!(trade, expected);
    }
    let trade: Execution = example("trades.executed/06_traded_taker_filled.json");
    for offset in 0..8_000 {
        let trade = Execution { instrument: Some("X".into()), trade_id: Some(offset), ..trade.clone() };
        gateway.hub.take_execution(offset, &trade);
    }
    gateway.hub.end_batch();
    assert_eq!(client.closed().await, 4008);
}

#[tokio::test]
async fn candles_tickers_and_status_are_told_as_they_stand() {
    let gateway = Gateway::start().await;
    gateway.depth(&[(58_400_000_000, 100_000_000)]);
    gateway.trade(1);
    let mut client = gateway.connect().await;
    client.ask(json!({"op": "subscribe", "channel": "candles", "instrument": "X", "interval": "1m"})).await;
    let candle = client.hear().await;
    assert_eq!((&candle["type"], &candle["close"], &candle["trades"]), (&json!("candle"), &json!("585.1"), &json!(1)));
    client.ask(json!({"op": "subscribe", "channel": "ticker", "instrument": "*"})).await;
    let ticker = client.hear().await;
    assert_eq!((&ticker["last"], &ticker["bid"], &ticker["trades_24h"]), (&json!("585.1"), &json!("584"), &json!(1)));
    assert_eq!(ticker.get("ask"), None);
    client.ask(json!({"op": "subscribe", "channel": "status", "instrument": "X"})).await;
    assert_eq!(client.hear().await["status"], "open");
    let halted = Instrument { status: InstrumentStatus::Halted, ..instrument() };
    gateway.hub.take_instrument(&"X".into(), Some(&halted));
    gateway.hub.end_batch();
    assert_eq!(client.hear().await["status"], "halted");
}

#[tokio::test]
async fn an_account_is_shown_from_the_view_and_then_told_and_a_connection_goes_on_where_another_ended() {
    let gateway = Gateway::start().await;
    gateway.reject(0);
    let mut client = gateway.connect().await;
    assert_eq!(client.refused(json!({"op": "subscribe", "channel": "account"})).await, "not_authenticated");
    assert_eq!(client.refused(json!({"op": "auth", "token": "nobody"})).await, "wrong_token");
    let known = client.ask(json!({"op": "auth", "token": "acc-1:60000"})).await;
    assert_eq!(known["account"], "acc-1");
    client.ask(json!({"op": "subscribe", "channel": "account"})).await;
    let account = client.hear().await;
    let usd = json!([{"asset": "USD", "available": "5", "reserved": "0", "total": "5"}]);
    assert_eq!((&account["type"], &account["sequence"], &account["balances"]), (&json!("account"), &json!(0), &usd));
    let event =
        |message: &Value| (message["sequence"].as_i64(), message["client_order_id"].as_str().map(str::to_owned));
    // What came before the subscription, and lies after the view.
    assert_eq!(event(&client.hear().await), (Some(1), Some("0".into())));
    gateway.reject(1);
    let seen = client.hear().await;
    assert_eq!(event(&seen), (Some(2), Some("1".into())));
    drop(client);
    gateway.reject(2);
    let mut client = gateway.connect().await;
    client.ask(json!({"op": "auth", "token": "acc-1:60000"})).await;
    client.ask(json!({"op": "subscribe", "channel": "account", "after": seen["position"]})).await;
    assert_eq!(event(&client.hear().await), (Some(1), Some("2".into())));
    assert_eq!(client.hear().await["type"], "balance");
    assert_eq!(client.refused(json!({"op": "auth", "token": "acc-2:60000"})).await, "other_account");
    assert_eq!(client.refused(json!({"op": "subscribe", "channel": "pipeline"})).await, "scope_missing");
}

#[tokio::test]
async fn commands_are_acknowledged_in_their_order_and_orders_cancelled_when_the_client_goes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    assert_eq!(client.refused(json!({"op": "place", "instrument": "X"})).await, "not_authenticated");
    client.ask(json!({"op": "auth", "token": "acc-1:60000"})).await;
    client.ask(json!({"op": "cancel_on_disconnect", "enabled": true})).await;
    for index in 0..20 {
        client.say(json!({"op": "place", "instrument": "X", "client_order_id": format!("c{index}")})).await;
    }
    for _ in 0..20 {
        let ack = client.hear().await;
        assert_eq!((&ack["type"], &ack["order_id"], &ack["position"]), (&json!("ack"), &json!("7"), &json!("p")));
    }
    assert_eq!(client.refused(json!({"op": "cancel_all", "instrument": "X"})).await, "malformed");
    drop(client);
    let all = || gateway.commands.lock().unwrap().clone();
    let cancelled = || all().into_iter().skip(21).map(|command| (command.op, command.fields["instrument"].clone()));
    tokio::time::timeout(PATIENCE, async {
        while cancelled().count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(cancelled().eq([(CommandOp::CancelAll, json!("OLD-USD")), (CommandOp::CancelAll, json!("X"))]));
    let ids: Vec<_> = all().iter().take(20).map(|command| command.fields["client_order_id"].clone()).collect();
    assert!(ids.iter().eq((0..20).map(|index| json!(format!("c{index}"))).collect::<Vec<_>>().iter()));
}

#[tokio::test]
async fn who_says_too_much_or_too_long_is_cut() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    for _ in 0..400 {
        client.socket.feed(Message::text(r#"{"op":"ping"}"#)).await.unwrap();
    }
    client.socket.flush().await.unwrap();
    assert_eq!(client.closed().await, 4009);
    let mut client = gateway.connect().await;
    client.socket.send(Message::text("x".repeat(17_000))).await.unwrap();
    assert_eq!(client.closed().await, u16::from(CloseCode::Size));
    let mut client = gateway.connect().await;
    client.socket.send(Message::text("{")).await.unwrap();
    assert_eq!(client.hear().await["problem"]["code"], "malformed");
    assert_eq!(
        client.refused(json!({"op": "subscribe", "channel": "trades", "instrument": "NONE"})).await,
        "unknown_instrument"
    );
}

#[tokio::test]
async fn a_token_that_ends_is_warned_of_and_ends_the_connection() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    client.ask(json!({"op": "auth", "token": "acc-1:300"})).await;
    assert_eq!(client.hear().await["type"], "auth_expiring");
    assert_eq!(client.closed().await, 4001);
}

#[tokio::test]
async fn a_gateway_that_ends_sends_its_clients_away_and_takes_no_new_ones() {
    let gateway = Gateway::start().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(gateway.connect().await);
    }
    clients[0].ask(json!({"op": "subscribe", "channel": "ticker", "instrument": "*"})).await;
    gateway.sessions.close();
    for client in &mut clients {
        assert_eq!(client.closed().await, 1012);
    }
    assert!(connect_async(gateway.address.as_str()).await.is_err());
}
