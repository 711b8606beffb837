//! `kill -9` of a gateway to which a thousand programs are connected: they go to another one and send again what was not
//! acknowledged. No acknowledged order is lost, none is placed twice, and their private streams miss nothing.

use crate::gateway::{Outcomes, check_acknowledged};
use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use tapeline_cli::component::Component;
use tapeline_tests::gateway::{base, post, sign_up, start};
use tapeline_tests::parts::{Stack, with_stack};
use tapeline_tests::pipeline::{PROCESSORS, Pipeline};
use tapeline_tests::reference::{instrument, list};
use tapeline_tests::views::timescale;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const CLIENTS: usize = 1_000;
const USERS: usize = 50;
/// Orders of each client, one at a time. 120 of a user stay open, who may have 200.
const ORDERS: usize = 6;
/// From one order of a client to its next: 2,000 orders a second of all.
const EVERY: Duration = Duration::from_millis(500);
/// The first gateway is killed once it has acknowledged so many, for nobody has placed all by then, and as soon as so many
/// more are under way to it.
const KILL_AFTER: usize = 2_000;
const UNDER_WAY: usize = 20;
/// Sign-ups that one address may have.
const USERS_OF_ADDRESS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an answer may take before the connection counts as dead.
const ANSWER: Duration = Duration::from_secs(20);
/// Before the next try to connect.
const AGAIN: Duration = Duration::from_millis(50);

#[test]
fn programs_move_from_a_killed_gateway_and_no_order_is_lost_or_doubled() -> Result<()> {
    with_stack("gateway_kill", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        list(stack, &[instrument("ABC-USD", "ABC")], &[])?;
        let (first, second) = (start(stack, "gateway-first", &[])?, start(stack, "gateway-second", &[])?);
        let tokens = users(stack, &first)?;
        let world = World::new(&first, &second, tokens)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcomes = LocalSet::new().block_on(&runtime, world.run(first))?;
        pipeline.rest(PATIENCE)?;
        check_acknowledged(stack, &outcomes)?;
        check_placed_once(stack, &outcomes)?;
        stack.audit()?;
        second.terminate(PATIENCE)?;
        pipeline.stop()
    })
}

/// Signs the users up, logs them in, gives them funds; their access tokens.
fn users(stack: &Stack, gateway: &Component) -> Result<Vec<String>> {
    let base = base(gateway)?;
    let (mut users, mut tokens) = (Vec::new(), Vec::new());
    for user in 0..USERS {
        let address = Ipv4Addr::new(127, 0, 1, u8::try_from(user / USERS_OF_ADDRESS)? + 1);
        let http = Client::builder().no_proxy().local_address(Some(address.into())).timeout(PATIENCE).build()?;
        tokens.push(sign_up(&http, &base, &format!("user{user}"))?);
        users.push(http);
    }
    stack.drain(&["validator"], PATIENCE)?;
    for (http, token) in users.iter().zip(&tokens) {
        let deposit = json!({"client_order_id": "deposit", "asset": "USD", "amount": "10000"});
        post(http, &format!("{base}/v1/deposits"), token, deposit)?;
    }
    stack.drain(&PROCESSORS, PATIENCE)?;
    Ok(tokens)
}

/// What the clients share; all run on one thread.
struct World {
    gateways: [String; 2],
    tokens: Vec<String>,
    acknowledged: Cell<usize>,
    /// Orders that have been sent, and are not acknowledged.
    under_way: Cell<usize>,
    is_killed: Cell<bool>,
    /// Orders that were sent to the first gateway before it was killed, and not acknowledged.
    cut_off: Cell<usize>,
    moved: Cell<usize>,
    outcomes: RefCell<Outcomes>,
    /// By user: the orders that its private stream has told of.
    told: RefCell<BTreeMap<usize, BTreeSet<String>>>,
}

impl World {
    fn new(first: &Component, second: &Component, tokens: Vec<String>) -> Result<Rc<Self>> {
        let url = |gateway: &Component| {
            gateway.http().map(|address| format!("ws://{address}/v1/ws")).context("the gateway's address")
        };
        Ok(Rc::new(Self {
            gateways: [url(first)?, url(second)?],
            tokens,
            acknowledged: Cell::new(0),
            under_way: Cell::new(0),
            is_killed: Cell::new(false),
            cut_off: Cell::new(0),
            moved: Cell::new(0),
            outcomes: RefCell::default(),
            told: RefCell::default(),
        }))
    }

    /// Lets all clients place their orders and kills the first gateway among them.
    async fn run(self: Rc<Self>, first: Component) -> Result<Outcomes> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let world = Rc::clone(&self);
                tokio::task::spawn_local(async move { Trader::new(world, number).trade().await })
            })
            .collect();
        let deadline = Instant::now() + PATIENCE;
        while self.acknowledged.get() < KILL_AFTER || self.under_way.get() < UNDER_WAY {
            ensure!(Instant::now() < deadline, "{} orders were acknowledged", self.acknowledged.get());
            sleep(Duration::from_millis(1)).await;
        }
        self.is_killed.set(true);
        first.kill9()?;
        for client in clients {
            timeout(PATIENCE, client).await.context("a client does not end")?.map_err(|end| anyhow!("{end}"))??;
        }
        println!(
            "{CLIENTS} clients moved; {} orders were acknowledged, {} were under way when it died and sent again",
            self.acknowledged.get(),
            self.cut_off.get()
        );
        ensure!(self.moved.get() == CLIENTS, "{} clients moved", self.moved.get());
        Ok(self.outcomes.take())
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A program: one connection at a time, one order at a time.
struct Trader {
    world: Rc<World>,
    number: usize,
    user: usize,
    socket: Option<Socket>,
    /// The gateway that it is or was connected to.
    at: usize,
    requests: i64,
    /// One client of each user follows the account, from this position on.
    position: Option<String>,
}

impl Trader {
    fn new(world: Rc<World>, number: usize) -> Self {
        Self { world, number, user: number % USERS, socket: None, at: 0, requests: 0, position: None }
    }

    fn follows(&self) -> bool {
        self.number < USERS
    }

    async fn trade(mut self) -> Result<()> {
        // Not all at once.
        let began_at = Instant::now() + EVERY.mul_f64(self.number as f64 / CLIENTS as f64);
        let mut due = interval_at(began_at, EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for order in 0..ORDERS {
            due.tick().await;
            let id = format!("c{}-{order}", self.number);
            let order_id = self.place(&id).await?;
            self.world.acknowledged.set(self.world.acknowledged.get() + 1);
            self.world.outcomes.borrow_mut().insert(id, Some(order_id));
        }
        if self.follows() { self.hear_of_all().await } else { Ok(()) }
    }

    /// Sends an order until it is acknowledged, always under the same id.
    async fn place(&mut self, id: &str) -> Result<i64> {
        let order = json!({
            "op": "place", "client_order_id": id, "instrument": "ABC-USD", "side": "buy", "type": "limit",
            "quantity": "1", "price": "15"
        });
        loop {
            if self.socket.is_none() {
                self.connect().await?;
            }
            let World { under_way, cut_off, is_killed, .. } = &*self.world.clone();
            let was_alive = !is_killed.get();
            under_way.set(under_way.get() + 1);
            let answer = self.ask(order.clone()).await;
            under_way.set(under_way.get() - 1);
            if let Some(ack) = answer? {
                return Ok(ack["order_id"].as_str().with_context(|| format!("{ack}"))?.parse()?);
            }
            cut_off.set(cut_off.get() + usize::from(was_alive));
        }
    }

    /// Connects, to the other gateway if this one is dead, and proves who it is.
    async fn connect(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.socket.is_none() {
            ensure!(Instant::now() < deadline, "client {} finds no gateway", self.number);
            match connect_async(self.world.gateways[self.at].as_str()).await {
                Ok((socket, _)) => self.socket = Some(socket),
                Err(_) if self.at == 0 => {
                    self.at = 1;
                    self.world.moved.set(self.world.moved.get() + 1);
                    continue;
                }
                Err(_) => sleep(AGAIN).await,
            }
            let auth = json!({"op": "auth", "token": self.world.tokens[self.user]});
            if self.ask(auth).await?.is_some() && self.follows() {
                let mut subscribe = json!({"op": "subscribe", "channel": "account"});
                if let Some(position) = &self.position {
                    subscribe["after"] = position.as_str().into();
                }
                self.ask(subscribe).await?;
            }
        }
        Ok(())
    }

    /// The acknowledgement, or nothing if the connection is lost first.
    async fn ask(&mut self, mut request: Value) -> Result<Option<Value>> {
        self.requests += 1;
        request["id"] = self.requests.into();
        let Some(socket) = &mut self.socket else { return Ok(None) };
        if socket.send(Message::text(request.to_string())).await.is_err() {
            self.socket = None;
            return Ok(None);
        }
        while let Some(message) = self.hear().await {
            match message["type"].as_str() {
                Some("ack") if message["id"] == self.requests => return Ok(Some(message)),
                Some("error") => bail!("client {}: {request} was answered by {message}", self.number),
                _ => self.note(&message),
            }
        }
        Ok(None)
    }

    /// The next message; nothing once the connection is lost.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            match timeout(ANSWER, self.socket.as_mut()?.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return serde_json::from_str(&text).ok(),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                _ => self.socket = None,
            }
        }
    }

    /// Keeps what the private stream tells.
    fn note(&mut self, message: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut told = self.world.told.borrow_mut();
        let told = told.entry(self.user).or_default();
        match message["type"].as_str() {
            Some("order") => told.extend(text(&message["client_order_id"])),
            Some("account") => {
                let orders = message["orders"].as_array().into_iter().flatten();
                told.extend(orders.filter_map(|order| text(&order["client_order_id"])));
            }
            _ => {}
        }
        self.position = text(&message["position"]).or(self.position.take());
    }

    /// Waits until the private stream has told of each order of all the user's clients.
    async fn hear_of_all(&mut self) -> Result<()> {
        let clients = (0..CLIENTS).filter(|number| number % USERS == self.user);
        let all: BTreeSet<String> =
            clients.flat_map(|number| (0..ORDERS).map(move |order| format!("c{number}-{order}"))).collect();
        loop {
            let missing = all.difference(&self.world.told.borrow()[&self.user]).next().cloned();
            let Some(missing) = missing else { return Ok(()) };
            let Some(message) = self.hear().await else {
                bail!("client {}: nothing was told of {missing}", self.number);
            };
            self.note(&message);
        }
    }
}

/// The views have each order once; whatever was sent twice was refused the second time.
fn check_placed_once(stack: &Stack, outcomes: &Outcomes) -> Result<()> {
    ensure!(outcomes.len() == CLIENTS * ORDERS, "{} orders were acknowledged", outcomes.len());
    let addresses = &stack.app.addresses;
    let placed = timescale(addresses, "SELECT client_order_id FROM orders WHERE status = 'open'")?;
    let once: BTreeSet<&str> = placed.iter().flatten().map(String::as_str).collect();
    ensure!(placed.len() == outcomes.len(), "{} orders are open", placed.len());
    ensure!(once.iter().copied().eq(outcomes.keys().map(String::as_str)), "other orders than those placed are open");
    let others = "SELECT DISTINCT status, reason FROM orders WHERE status <> 'open'";
    for row in timescale(addresses, others)? {
        ensure!(row == ["rejected", "duplicate_client_order_id"], "an order ended as {row:?}");
    }
    Ok(())
}
