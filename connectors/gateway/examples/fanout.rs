//! A benchmark of the fan-out: how many messages a second reach how many WebSocket clients, how late, and what a client costs
//! in memory. It measures the hub and the sessions over real sockets on this machine, not Kafka, not the executor: the
//! records are made up and go straight into the hub, each with the time at which it did.
//!
//! ```sh
//! cargo run --release -p tapeline-gateway --example fanout -- --clients 1000 --channels 4 --rate 100
//! ```
//!
//! Each client sees the best 10 levels of some instruments; each instrument changes so many times a second, and each change
//! is in the window. The clients are in a process of their own, for one process may not have sockets enough for
//! both ends; they read with as little work as can be, and answer pings.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails says where by panicking")]

use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::json;
use smol_str::SmolStr;
use std::cell::RefCell;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tapeline_gateway::feed::account::AccountSnapshot;
use tapeline_gateway::feed::book::{Level, Way};
use tapeline_gateway::feed::hub::{EVENT_RING_BYTES, Hub};
use tapeline_gateway::feed::metrics::FeedMetrics;
use tapeline_gateway::principal::Principal;
use tapeline_gateway::problem::Problem;
use tapeline_gateway::ws::backend::{Acknowledged, Answer, Backend, ClientCommand};
use tapeline_gateway::ws::{Sessions, routes};
use tapeline_schemas::wire::{BookDepth, DepthKind, DepthLevel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Levels of each side of a made-up book.
const LEVELS: i64 = 10;
/// Time before anything is counted: connections open, buffers grow.
const WARM_UP: Duration = Duration::from_secs(2);

#[derive(Parser, Clone)]
struct Options {
    /// WebSocket connections.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Instruments.
    #[arg(long, default_value_t = 20)]
    instruments: usize,
    /// How many of them each client sees.
    #[arg(long, default_value_t = 1)]
    channels: usize,
    /// Changes of each instrument a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// How long to measure.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Threads of the gateway.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Address of the gateway; given to the process of the clients.
    #[arg(long, hide = true)]
    load: Option<String>,
}

fn main() {
    let options = Options::parse();
    match &options.load {
        Some(address) => load(&options, address),
        None => serve(&options),
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

/// Nobody logs in.
struct NoBackend;

fn none<T>() -> Answer<T> {
    Box::pin(async { Err(Problem::new(404, "none", "None", "the benchmark has no accounts")) })
}

impl Backend for NoBackend {
    fn authenticate(&self, _: String) -> Answer<Principal> {
        none()
    }

    fn command(&self, _: Arc<Principal>, _: ClientCommand) -> Answer<Acknowledged> {
        none()
    }

    fn account_snapshot(&self, _: SmolStr) -> Answer<AccountSnapshot> {
        none()
    }

    fn open_instruments(&self, _: SmolStr) -> Answer<Vec<SmolStr>> {
        none()
    }
}

/// A book whose best levels change in turn.
struct Book {
    instrument: SmolStr,
    sequence: i64,
    quantities: [i64; LEVELS as usize],
    checksum: u32,
}

impl Book {
    fn of(index: usize) -> Self {
        Self { instrument: name(index).into(), sequence: 0, quantities: [0; LEVELS as usize], checksum: 0 }
    }

    fn change(&mut self) -> BookDepth {
        let place = self.sequence % LEVELS;
        let (price, old) = (10_000_000_000 - place * 1_000_000, self.quantities[place as usize]);
        let quantity = 100_000_000 + self.sequence * 10_000;
        let sum = |quantity| Way::Buy.checksum(Level { price, quantity });
        self.checksum = self.checksum.wrapping_add(sum(quantity)).wrapping_sub(if old > 0 { sum(old) } else { 0 });
        self.quantities[place as usize] = quantity;
        self.sequence += 1;
        BookDepth {
            kind: DepthKind::Delta,
            instrument: self.instrument.clone(),
            sequence: self.sequence,
            part: 0,
            parts: 1,
            bids: vec![DepthLevel { price, quantity }],
            asks: Vec::new(),
            checksum: i64::from(self.checksum),
            command_id: None,
            commanded_at_ms: None,
            // Microseconds, for the clients to see how late it is.
            validated_at_ms: now_us(),
        }
    }
}

fn name(index: usize) -> String {
    format!("SYN{index:04}-USD")
}

fn serve(options: &Options) {
    let metrics = FeedMetrics::new(&prometheus::Registry::new()).unwrap();
    let hub = Arc::new(Hub::new(metrics, EVENT_RING_BYTES));
    let mut books: Vec<_> = (0..options.instruments).map(Book::of).collect();
    for book in &mut books {
        (0..LEVELS).for_each(|_| hub.take_depth(&book.change()));
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build().unwrap();
    let sessions = Arc::new(Sessions::new(Arc::clone(&hub), Arc::new(NoBackend)));
    let rounds = Arc::clone(hub.rounds());
    runtime.spawn(async move { rounds.run().await });
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime.spawn(async move { axum::serve(listener, routes(sessions)).await.unwrap() });
    let idle_kib = rss_kib();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let clients = options.clients.to_string();
    command.args(std::env::args().skip(1)).args(["--load", &address]).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    while hub.metrics.clients.get() < options.clients as i64
        || hub.metrics.frames.get() < (options.clients * options.channels * 2) as u64
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    let quiet_kib = rss_kib();
    let (cpu, waited, began) = (cpu_s(), waited_s(), Instant::now());
    feed(options, &hub, &mut books);
    let (used_s, waited_s, took) = (cpu_s() - cpu, waited_s() - waited, began.elapsed().as_secs_f64());
    let loaded_kib = rss_kib();
    let answer = child.wait_with_output().unwrap();
    println!("{}", String::from_utf8_lossy(&answer.stdout).trim());
    let per_client = |kib: i64| (kib - idle_kib) as f64 / options.clients as f64;
    println!(
        "gateway: {clients} clients; {:.1} KiB each when connected, {:.1} KiB under load (RSS {} MiB); {:.2} cores; {} conflations, {} cut",
        per_client(quiet_kib),
        per_client(loaded_kib),
        loaded_kib / 1_024,
        used_s / took,
        hub.metrics.conflations.get(),
        hub.metrics.cuts.with_label_values(&["4008"]).get(),
    );
    println!(
        "gateway: its threads waited {:.0} % of the time for a processor that others had",
        waited_s / took * 100.0
    );
}

/// Changes all books at the wanted rate, each in turn.
fn feed(options: &Options, hub: &Hub, books: &mut [Book]) {
    let each = Duration::from_secs(1) / (options.rate * options.instruments as u64) as u32;
    let total = WARM_UP + Duration::from_secs(options.seconds) + Duration::from_secs(1);
    let (began, mut made) = (Instant::now(), 0u32);
    while began.elapsed() < total {
        let due = (began.elapsed().as_nanos() / each.as_nanos()) as u32;
        if due > made {
            while made < due {
                let place = made as usize % books.len();
                hub.take_depth(&books[place].change());
                made += 1;
            }
            hub.end_batch();
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn rss_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processor time of this process, seconds; Linux counts in hundredths.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// How long this process's threads were ready and had no processor, seconds.
fn waited_s() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let waited = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    waited.filter_map(|text| text.split(' ').nth(1)?.parse::<f64>().ok()).sum::<f64>() / 1e9
}

struct Counts {
    messages: u64,
    wrong: u64,
    late_us: Histogram<u64>,
    from_us: i64,
    until_us: i64,
}

fn load(options: &Options, address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let counts = Rc::new(RefCell::new(Counts {
        messages: 0,
        wrong: 0,
        late_us: Histogram::new_with_bounds(1, 60_000_000, 3).unwrap(),
        from_us: i64::MAX,
        until_us: i64::MAX,
    }));
    let cpu = local.block_on(&runtime, async {
        for index in 0..options.clients {
            let socket = connect(options, address, index).await;
            let counts = Rc::clone(&counts);
            tokio::task::spawn_local(async move { read(socket, &counts).await });
        }
        tokio::time::sleep(WARM_UP).await;
        let (from_us, cpu) = (now_us(), cpu_s());
        counts.borrow_mut().from_us = from_us;
        counts.borrow_mut().until_us = from_us + options.seconds as i64 * 1_000_000;
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        cpu_s() - cpu
    });
    let counts = counts.borrow();
    let late = |quantile| counts.late_us.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{} clients x {} of {} instruments x {}/s: {:.0} messages/s arrived; late p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms; {} unreadable; clients' process {:.2} cores",
        options.clients,
        options.channels,
        options.instruments,
        options.rate,
        counts.messages as f64 / options.seconds as f64,
        late(0.5),
        late(0.99),
        late(0.999),
        late(1.0),
        counts.wrong,
        cpu / options.seconds as f64,
    );
}

async fn connect(options: &Options, address: &str, index: usize) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    for channel in 0..options.channels {
        let instrument = name((index + channel) % options.instruments);
        let text =
            json!({"op": "subscribe", "id": 1, "channel": "depth", "instrument": instrument, "levels": 10}).to_string();
        // A masked text frame; a mask of zeros changes nothing.
        let mut frame = vec![0x81, 0x80 | 126, (text.len() >> 8) as u8, text.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        socket.write_all(&frame).await.unwrap();
    }
    socket
}

thread_local! {
    /// What all clients read into: what is left of one is kept with it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

async fn read(mut socket: TcpStream, counts: &RefCell<Counts>) {
    let mut left = Vec::new();
    loop {
        socket.readable().await.unwrap();
        let pinged = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(256 << 10, 0);
            let kept = left.len();
            buffer[..kept].copy_from_slice(&left);
            let count = match socket.try_read(&mut buffer[kept..]) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Some(false),
                Err(_) => return None,
            };
            left.clear();
            let (rest, pinged) = frames(&buffer[..kept + count], &mut counts.borrow_mut());
            left.extend_from_slice(rest);
            Some(pinged)
        });
        match pinged {
            Some(true) => socket.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap(),
            Some(false) => {}
            None => return,
        }
    }
}

/// Counts whole frames; what is left, and whether a ping was among them.
fn frames<'a>(mut bytes: &'a [u8], counts: &mut Counts) -> (&'a [u8], bool) {
    let (mut pinged, now) = (false, now_us());
    loop {
        let (kind, begin, length) = match bytes {
            [kind, 126, high, low, ..] => (*kind, 4, usize::from(*high) << 8 | usize::from(*low)),
            [_, 126 | 127, ..] | [] | [_] => return (bytes, pinged),
            [kind, length, ..] => (*kind, 2, usize::from(*length)),
        };
        let Some(payload) = bytes.get(begin..begin + length) else { return (bytes, pinged) };
        bytes = &bytes[begin + length..];
        match kind {
            0x89 => pinged = true,
            _ if now < counts.from_us || now >= counts.until_us => {}
            _ => counts.message(payload, now),
        }
    }
}

impl Counts {
    fn message(&mut self, payload: &[u8], now: i64) {
        self.messages += 1;
        let text = payload.strip_suffix(b"}").unwrap_or_default();
        let digits = text.rsplit(|byte| *byte == b':').next().and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| digits.parse::<i64>().ok()) {
            Some(at_us) => self.late_us.saturating_record((now - at_us).max(1) as u64),
            None => self.wrong += 1,
        }
    }
}
