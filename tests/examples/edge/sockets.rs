//! Books to many WebSocket clients. The clients are in a process of their own, for one process may not have sockets enough for
//! both ends; they read with as little work as can be, and answer pings.

use crate::process::{cpu_s, rss_kib};
use crate::{PATIENCE, SOCKETS};
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tapeline_cli::component::Component;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::Reader;
use tapeline_runtime::wall_clock::now_ms;
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{BookDepth, DepthKind};
use tapeline_tests::parts::Stack;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// Time before anything is counted: buffers grow, the market fills its books.
const WARM_UP: Duration = Duration::from_secs(15);
const LASTS: Duration = Duration::from_secs(15);
/// So many that none opens more connections at once than an address may.
const ADDRESSES: usize = 20;
/// Every so-manieth client's messages are kept, and looked up in `book.depth`. (No multiple of 20: all books are seen.)
const SAMPLED: usize = 51;

/// Who looks at how much.
pub(crate) struct Audience {
    pub(crate) clients: usize,
    /// How many books each client sees, their best 10 levels.
    channels: usize,
    /// The market's.
    pub(crate) orders_per_s: u64,
}

/// Few clients with many books each.
pub(crate) const BOOKS: [Audience; 2] = [
    Audience { clients: 500, channels: 20, orders_per_s: 1_500 },
    Audience { clients: 1_000, channels: 10, orders_per_s: 1_500 },
];

/// Many clients with a book each.
pub(crate) const CLIENTS: [Audience; 2] = [
    Audience { clients: 10_000, channels: 1, orders_per_s: 200 },
    Audience { clients: 10_000, channels: 1, orders_per_s: 1_000 },
];

/// Lets the clients look, and gives what was seen and what it cost the gateway.
pub(crate) fn measure(stack: &Stack, gateway: &Component, names: &[String], audience: &Audience) -> Result<String> {
    let Audience { clients, channels, orders_per_s } = audience;
    let address = gateway.http().context("the gateway's address")?.to_string();
    let (gateway, samples) = (gateway.id(), stack.scratch("samples.txt"));
    let idle_kib = rss_kib(gateway)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([SOCKETS, &address, &clients.to_string(), &channels.to_string(), &names.join(",")]).arg(&samples);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(child.stdout.take().context("stdout")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    ensure!(line.trim() == "connected", "the clients said `{line}`");
    let connected_kib = rss_kib(gateway)?;
    std::thread::sleep(WARM_UP);
    let cpu = cpu_s(gateway)?;
    child.stdin.as_mut().context("stdin")?.write_all(b"count\n")?;
    line.clear();
    said.read_line(&mut line)?;
    let cores = (cpu_s(gateway)? - cpu) / LASTS.as_secs_f64();
    let loaded_kib = rss_kib(gateway)?;
    let status = child.wait()?;
    ensure!(status.success(), "the clients ended with {status}");
    let each = |kib: f64| (kib - idle_kib) / *clients as f64;
    let executed = since_execution(stack, &samples)?;
    let late = |quantile| executed.value_at_quantile(quantile);
    Ok(format!(
        "{clients} clients x {channels} of {} books, {orders_per_s} orders/s: from execution to socket p50 {} ms, \
         p99 {} ms, p99.9 {} ms (of {} messages to every {SAMPLED}st client); {}; gateway {cores:.2} cores, \
         {:.1} KiB a client when connected, {:.1} KiB under load ({:.0} MiB in all)",
        names.len(),
        late(0.5),
        late(0.99),
        late(0.999),
        executed.len(),
        line.trim(),
        each(connected_kib),
        each(loaded_kib),
        loaded_kib / 1_024.0
    ))
}

/// How late the sampled messages were, counted from when the broker had their change in `book.depth`, milliseconds. The
/// executor sends a change when it is made; its transaction ends later, and counts.
fn since_execution(stack: &Stack, samples: &Path) -> Result<Histogram<u64>> {
    let ids: Arc<dyn SchemaIds> = stack.app.registry.clone();
    let mut decoder = decoder::<BookDepth>(topic::DEPTH, &ids).map_err(anyhow::Error::msg)?;
    let mut appended_ms = HashMap::new();
    for partition in 0..stack.app.topology.topic(topic::DEPTH).map_or(0, |topic| topic.partitions) {
        let mut reader = PartitionReader::open(&stack.app.addresses.kafka, topic::DEPTH, partition, 0)?;
        while let Some(record) = reader.next()? {
            let change = decoder.decode(record.payload.as_deref())?;
            if change.kind == DepthKind::Delta {
                appended_ms.insert((change.instrument, change.sequence), record.timestamp_ms);
            }
        }
    }
    let mut late_ms = Histogram::new_with_bounds(1, 600_000, 3)?;
    for line in std::fs::read_to_string(samples)?.lines() {
        let [book, sequence, at_ms] = line.split(' ').collect::<Vec<_>>()[..] else { bail!("a sample: {line}") };
        let appended_ms = appended_ms.get(&(book.into(), sequence.parse()?)).with_context(|| line.to_owned())?;
        let late = at_ms.parse::<i64>()? - appended_ms;
        late_ms.saturating_record(u64::try_from(late).unwrap_or(0).max(1));
    }
    Ok(late_ms)
}

struct Counts {
    counts: bool,
    /// Clients whose connection has ended.
    lost: u64,
    /// Book, sequence and time of arrival of each message that a sampled client got.
    samples: Vec<(String, i64, i64)>,
    messages: u64,
    snapshots: u64,
    unreadable: u64,
    late_ms: Histogram<u64>,
}

/// The clients' process: connects all, waits for a line, counts, prints what was seen.
pub(crate) fn hold(arguments: &[String]) -> Result<()> {
    let [address, clients, channels, names, samples] = arguments else { bail!("five arguments") };
    let (address, clients, channels) = (address.parse()?, clients.parse()?, channels.parse()?);
    let names: Vec<&str> = names.split(',').collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counts = Rc::new(RefCell::new(Counts {
        counts: false,
        lost: 0,
        samples: Vec::new(),
        messages: 0,
        snapshots: 0,
        unreadable: 0,
        late_ms: Histogram::new_with_bounds(1, 600_000, 3)?,
    }));
    let cores = tokio::task::LocalSet::new().block_on(&runtime, async {
        for client in 0..clients {
            let books = (0..channels).map(|channel| names[(client + channel) % names.len()]);
            let socket = connect(address, client, books).await?;
            let counts = Rc::clone(&counts);
            tokio::task::spawn_local(async move {
                let ended = read(socket, &counts, client % SAMPLED == 0).await;
                counts.borrow_mut().lost += u64::from(ended.is_err());
            });
        }
        println!("connected");
        // Not while the runtime must serve the sockets: the line is waited for on a thread of its own.
        tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new())).await??;
        let cpu = cpu_s(std::process::id())?;
        counts.borrow_mut().counts = true;
        sleep(LASTS).await;
        counts.borrow_mut().counts = false;
        Ok::<_, anyhow::Error>((cpu_s(std::process::id())? - cpu) / LASTS.as_secs_f64())
    })?;
    let counts = counts.borrow();
    let mut file = BufWriter::new(File::create(samples)?);
    for (book, sequence, at_ms) in &counts.samples {
        writeln!(file, "{book} {sequence} {at_ms}")?;
    }
    file.flush()?;
    let late = |quantile| counts.late_ms.value_at_quantile(quantile);
    println!(
        "{:.0} messages/s arrived; from the validated command p50 {} ms, p99 {} ms, p99.9 {} ms; {} of {} began a book anew; {} unreadable; \
         {} clients lost; clients' process {cores:.2} cores",
        counts.messages as f64 / LASTS.as_secs_f64(),
        late(0.5),
        late(0.99),
        late(0.999),
        counts.snapshots,
        counts.messages,
        counts.unreadable,
        counts.lost,
    );
    Ok(())
}

async fn connect<'a>(address: SocketAddr, client: usize, books: impl Iterator<Item = &'a str>) -> Result<TcpStream> {
    let own = Ipv4Addr::new(127, 0, 4, u8::try_from(client % ADDRESSES)? + 1);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(own.into(), 0))?;
    let mut socket = socket.connect(address).await?;
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(PATIENCE, socket.read_u8()).await??);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    for book in books {
        let text =
            json!({"op": "subscribe", "id": 1, "channel": "depth", "instrument": book, "levels": 10}).to_string();
        // A masked text frame; a mask of zeros changes nothing.
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).context("a short message")?;
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        socket.write_all(&frame).await?;
    }
    Ok(socket)
}

thread_local! {
    /// What all clients read into: what is left of one is kept with it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

const BUFFER_BYTES: usize = 256 << 10;

async fn read(mut socket: TcpStream, counts: &RefCell<Counts>, is_sampled: bool) -> std::io::Result<()> {
    let mut left = Vec::new();
    loop {
        socket.readable().await?;
        let pinged = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(BUFFER_BYTES, 0);
            let kept = left.len();
            buffer[..kept].copy_from_slice(&left);
            let count = match socket.try_read(&mut buffer[kept..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            left.clear();
            let (rest, pinged) = frames(&buffer[..kept + count], &mut counts.borrow_mut(), is_sampled);
            left.extend_from_slice(rest);
            Ok(pinged)
        })?;
        if pinged {
            socket.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
        }
    }
}

/// Counts whole frames; what is left, and whether a ping was among them.
fn frames<'a>(mut bytes: &'a [u8], counts: &mut Counts, is_sampled: bool) -> (&'a [u8], bool) {
    let (mut pinged, now_ms) = (false, now_ms());
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
            0x81 if counts.counts => {
                counts.message(payload, now_ms);
                if is_sampled {
                    counts.samples.extend(sample(payload, now_ms));
                }
            }
            _ => {}
        }
    }
}

/// Book and sequence of a message, with the time at which it came.
fn sample(payload: &[u8], now_ms: i64) -> Option<(String, i64, i64)> {
    let message: serde_json::Value = serde_json::from_slice(payload).ok()?;
    Some((message["instrument"].as_str()?.to_owned(), message["sequence"].as_i64()?, now_ms))
}

impl Counts {
    fn message(&mut self, payload: &[u8], now_ms: i64) {
        self.messages += 1;
        let is_snapshot = payload.windows(10).take(64).any(|text| text == b"\"snapshot\"");
        self.snapshots += u64::from(is_snapshot);
        // The time is the last field.
        let text = payload.strip_suffix(b"}").unwrap_or_default();
        let digits = text.rsplit(|byte| *byte == b':').next().and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| digits.parse::<i64>().ok()) {
            Some(at_ms) => self.late_ms.saturating_record(u64::try_from(now_ms - at_ms).unwrap_or(0).max(1)),
            None => self.unreadable += 1,
        }
    }
}
