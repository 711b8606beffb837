//! Orders by REST at a steady rate. Each counts from the moment at which it was due, until its 202 has come, and, if it takes
//! from the book, until the trader's private stream has told of the fill.

use crate::PATIENCE;
use crate::process::cpu_s;
use crate::users::{User, symbol};
use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tapeline_cli::component::Component;
use tapeline_tests::parts::Stack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// Connections of each user, each with one order at a time.
const CONNECTIONS: usize = 4;
/// How long orders come.
const LASTS_S: u64 = 15;
/// From the connections' opening to the first order.
const BEFORE: Duration = Duration::from_secs(5);
/// How long private streams are heard after the last order.
const AFTER: Duration = Duration::from_secs(10);

/// What a round found.
pub(crate) struct Measured {
    rate: u64,
    orders: u64,
    lasted: Duration,
    acknowledged: Histogram<u64>,
    traded: Histogram<u64>,
    filled: Histogram<u64>,
    refused: BTreeMap<u16, u64>,
    gateway_cores: f64,
}

impl Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, orders, lasted, acknowledged, traded, filled, refused, gateway_cores } = self;
        let per_s = acknowledged.len() as f64 / lasted.as_secs_f64();
        write!(f, "orders by REST, {rate}/s due: {} of {orders} acknowledged, {per_s:.0}/s", acknowledged.len())?;
        write!(f, "; until acknowledged {}", ms(acknowledged))?;
        write!(f, "; until the trade is told {} ({})", ms(traded), traded.len())?;
        write!(f, "; until the fill with its fee is told {}", ms(filled))?;
        write!(f, "; refused {refused:?}; gateway {gateway_cores:.2} cores")
    }
}

fn ms(of: &Histogram<u64>) -> String {
    let at = |quantile| of.value_at_quantile(quantile) as f64 / 1_000.0;
    format!("p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms", at(0.5), at(0.99), at(0.999))
}

struct Round {
    number: u64,
    rate: u64,
    orders: u64,
    began_at: Instant,
    acknowledged: RefCell<Histogram<u64>>,
    traded: RefCell<Histogram<u64>>,
    filled: RefCell<Histogram<u64>>,
    refused: RefCell<BTreeMap<u16, u64>>,
    ended_at: Cell<Option<Instant>>,
}

/// Orders at `rate` a second for so long.
pub(crate) fn measure(stack: &Stack, gateway: &Component, users: &[User], rate: u64) -> Result<Measured> {
    static ROUNDS: AtomicU64 = AtomicU64::new(0);
    let address = gateway.http().context("the gateway's address")?;
    let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).map(RefCell::new);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu = cpu_s(gateway.id())?;
    let round = LocalSet::new().block_on(&runtime, async {
        let round = Rc::new(Round {
            number: ROUNDS.fetch_add(1, Ordering::Relaxed),
            rate,
            orders: rate * LASTS_S,
            began_at: Instant::now() + BEFORE,
            acknowledged: histogram()?,
            traded: histogram()?,
            filled: histogram()?,
            refused: RefCell::default(),
            ended_at: Cell::new(None),
        });
        run(&round, address, users).await?;
        Ok::<_, anyhow::Error>(round)
    })?;
    let gateway_cores = (cpu_s(gateway.id())? - cpu) / (round.began_at.elapsed()).as_secs_f64();
    let round = Rc::into_inner(round).context("a task goes on")?;
    stack.drain(&tapeline_tests::pipeline::PROCESSORS, PATIENCE)?;
    Ok(Measured {
        rate,
        orders: round.orders,
        lasted: round.ended_at.get().context("an end")?.duration_since(round.began_at),
        acknowledged: round.acknowledged.into_inner(),
        traded: round.traded.into_inner(),
        filled: round.filled.into_inner(),
        refused: round.refused.into_inner(),
        gateway_cores,
    })
}

async fn run(round: &Rc<Round>, address: SocketAddr, users: &[User]) -> Result<()> {
    let mut streams = Vec::new();
    for user in users {
        let (round, key) = (Rc::clone(round), user.key.clone());
        let socket = connect_async(format!("ws://{address}/v1/ws")).await?.0;
        streams.push(tokio::task::spawn_local(async move { hear(&round, socket, key).await }));
    }
    let places = users.len() * CONNECTIONS;
    let mut tasks = Vec::new();
    for place in 0..places {
        let user = &users[place % users.len()];
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(user.address, 0))?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let (round, key, number) = (Rc::clone(round), user.key.clone(), place % users.len());
        tasks.push(tokio::task::spawn_local(async move { trade(&round, stream, &key, place, places, number).await }));
    }
    ensure!(Instant::now() < round.began_at, "connecting took longer than {BEFORE:?}");
    for task in tasks {
        timeout(PATIENCE, task).await.context("orders do not end")?.map_err(|end| anyhow!("{end}"))??;
    }
    round.ended_at.set(Some(Instant::now()));
    // Whoever has heard of all fills goes on listening.
    sleep_until(Instant::now() + AFTER).await;
    for stream in streams {
        stream.abort();
        if let Ok(ended) = stream.await {
            ended?;
        }
    }
    Ok(())
}

impl Round {
    /// The number of an order of this round.
    fn order(&self, id: &str) -> Option<u64> {
        let (number, order) = id.split_once('-')?;
        (number.parse() == Ok(self.number)).then(|| order.parse().ok())?
    }

    fn due(&self, order: u64) -> Instant {
        self.began_at + Duration::from_nanos(order * 1_000_000_000 / self.rate)
    }
}

fn late_us(due: Instant) -> u64 {
    u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Each connection has every so-manieth order; users of even numbers sell, the others buy what they sell.
async fn trade(
    round: &Round,
    mut stream: TcpStream,
    key: &str,
    place: usize,
    places: usize,
    number: usize,
) -> Result<()> {
    let side = if number.is_multiple_of(2) { "sell" } else { "buy" };
    let mut answer = Vec::with_capacity(1_024);
    for order in (place as u64..round.orders).step_by(places) {
        let due = round.due(order);
        sleep_until(due).await;
        // Neighbours meet: one sells, the next one buys in the same book.
        let instrument = symbol(usize::try_from(order / 2)?);
        let id = format!("{}-{order}", round.number);
        let body = json!({
            "client_order_id": id, "instrument": instrument, "side": side, "type": "limit", "quantity": "1", "price": "20"
        })
        .to_string();
        let request = format!(
            "POST /v1/orders HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        match status(&mut stream, &mut answer).await? {
            202 => round.acknowledged.borrow_mut().saturating_record(late_us(due)),
            other => *round.refused.borrow_mut().entry(other).or_default() += 1,
        }
    }
    Ok(())
}

/// Reads one answer whole, and gives its status.
async fn status(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<u16> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the gateway closed a connection: {}", String::from_utf8_lossy(answer));
        }
        let text = std::str::from_utf8(answer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        });
        if body.len() >= length.context("an answer without a length")? {
            return Ok(head.split(' ').nth(1).context("a status")?.parse()?);
        }
    }
}

/// Listens to a user's fills, of this round, as taker: a maker's fill comes when somebody else takes.
async fn hear<S>(round: &Round, mut socket: S, key: String) -> Result<()>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + SinkExt<Message> + Unpin,
    S::Error: std::error::Error + Send + Sync + 'static,
{
    socket.send(Message::text(json!({"op": "auth", "id": 1, "token": key}).to_string())).await?;
    socket.send(Message::text(json!({"op": "subscribe", "id": 2, "channel": "account"}).to_string())).await?;
    // By order: how late its trade was told. Which side of it took, its fill tells.
    let mut traded = HashMap::new();
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        let order = message["client_order_id"].as_str().and_then(|id| round.order(id));
        match (message["type"].as_str(), order) {
            (Some("error"), _) => bail!("{message}"),
            (Some("order"), Some(order)) if message["event"] == "traded" => {
                traded.insert(order, late_us(round.due(order)));
            }
            (Some("fill"), Some(order)) => {
                let told_us = traded.remove(&order).with_context(|| format!("a fill before its trade: {message}"))?;
                if message["liquidity"] == "taker" {
                    round.traded.borrow_mut().saturating_record(told_us);
                    round.filled.borrow_mut().saturating_record(late_us(round.due(order)));
                }
            }
            _ => {}
        }
    }
    bail!("the gateway ended a private stream")
}
