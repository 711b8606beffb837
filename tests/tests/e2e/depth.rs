//! Live books seen from outside: a Python client (`clients/depth.py`) follows two gateways over WebSocket while orders pour
//! in, is cut now and then, and at rest has the books that the topics give.
//!
//! `TAPELINE_E2E_DEPTH_SECONDS` sets for how long; 600 is the full run.

use crate::foreign_client::interpreter;
use crate::gateway::TestGateway;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tapeline_cli::verify::RestingBook;
use tapeline_domain::depth::{DepthBook, DepthUpdate};
use tapeline_domain::types::Side;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::Reader;
use tapeline_schemas::codec::{SchemaIds, Wire};
use tapeline_schemas::{topic, wire};
use tapeline_tests::market::Market;
use tapeline_tests::parts::{Stack, repository, wait_until, with_stack};
use tapeline_tests::pipeline::Pipeline;

const SEED: u64 = 11;
const INSTRUMENTS: u32 = 20;
const ACCOUNTS: u32 = 1_000;
const RATE: u64 = 5_000;
const DEFAULT_SECONDS: u64 = 12;
/// Seconds from one cut of a client's connection to the next, on average.
const DROP_EVERY_S: &str = "2.5";
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the client may take from the end to its report: it asks each gateway anew.
const REPORT_PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_foreign_client_that_is_cut_now_and_then_has_the_books_of_the_topics() -> Result<()> {
    with_stack("depth", |stack| {
        let seconds = number("TAPELINE_E2E_DEPTH_SECONDS", DEFAULT_SECONDS)?;
        let mut pipeline = Pipeline::start_all(stack)?;
        let gateways = [TestGateway::start(stack)?, TestGateway::start(stack)?];
        let urls = gateways.each_ref().map(TestGateway::websocket).join(",");
        let market =
            Market { orders: seconds * RATE, rate: RATE, instruments: INSTRUMENTS, accounts: ACCOUNTS, seed: SEED };
        let names = market.symbols()?.join(",");
        let mut publisher = market.begin(stack)?;
        let arguments = ["--gateways", &urls, "--seed", &SEED.to_string(), "--drop-every", DROP_EVERY_S];
        let mut client = Client::start(stack, "websocket", &names, &arguments)?;
        let patience = PATIENCE + Duration::from_secs(3 * seconds);
        wait_until("all is published", patience, || {
            client.check_alive()?;
            pipeline.check_alive()?;
            let ended = publisher.ended()?;
            ensure!(ended.is_none_or(|status| status.success()), "tapeline generate ended with {ended:?}");
            Ok(ended.is_some())
        })?;
        pipeline.rest(patience)?;

        let books = fold_of_depth(stack)?;
        let over_websocket = client.report(&targets(&books))?;
        same_books(&over_websocket, &books)?;
        // A late reader, who has to begin with a snapshot if the flow took longer than the client looks back.
        let addresses = format!("{},{}", stack.app.addresses.kafka, stack.app.addresses.registry_url);
        let from_topic = Client::start(stack, "topic", &names, &["--topic", &addresses])?.report(&targets(&books))?;
        same_books(&from_topic, &books)?;
        let audit = stack.audit()?;
        same_as_resting(stack, &books, &audit.books)?;
        check_counts(&over_websocket)?;
        gateways.into_iter().for_each(TestGateway::stop);
        pipeline.stop()
    })
}

/// Without any part: a client that finds nothing would prove nothing.
#[test]
fn the_client_finds_each_wrong_message() -> Result<()> {
    let Ok(python) = interpreter() else {
        println!("the_client_finds_each_wrong_message is skipped: it needs Python, which `tests/run` prepares");
        return Ok(());
    };
    let tests = repository().join("tests/clients");
    let output = Command::new(python).args(["-B", "-m", "unittest", "discover", "-s"]).arg(tests).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A running `clients/depth.py`; killed if the test ends before it.
pub(super) struct Client {
    name: &'static str,
    child: Child,
    out: PathBuf,
}

impl Client {
    /// Starts it for `instruments`, separated by commas.
    pub(super) fn start(stack: &Stack, name: &'static str, instruments: &str, arguments: &[&str]) -> Result<Self> {
        let out = stack.scratch(&format!("{name}.json"));
        let mut command = stack.command(interpreter()?);
        command.arg(repository().join("tests/clients/depth.py")).args(arguments).args(["--instruments", instruments]);
        command.stdin(Stdio::piped()).stdout(File::create(&out)?);
        command.stderr(File::create(stack.scratch(&format!("{name}.log")))?);
        Ok(Self { name, child: command.spawn().context("starting depth.py")?, out })
    }

    /// Checks that it has not ended by itself.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("depth.py ({}) ended with {status}: {}", self.name, fs::read_to_string(&self.out)?)
            }
        }
    }

    /// Lets it go on until its books have the sequences `targets`, and gives what it then prints.
    pub(super) fn report(mut self, targets: &Value) -> Result<Value> {
        self.check_alive()?;
        let mut stdin = self.child.stdin.take().context("the client's standard input")?;
        writeln!(stdin, "{targets}")?;
        drop(stdin);
        let mut status = None;
        wait_until("the client's report", REPORT_PATIENCE, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let printed = fs::read_to_string(&self.out)?;
        ensure!(status.is_some_and(|status| status.success()), "depth.py ({}): {status:?}, {printed}", self.name);
        let report: Value = serde_json::from_str(&printed)?;
        let mut counts = report.clone();
        counts.as_object_mut().context("an object")?.remove("books");
        println!("{}: {counts}", self.name);
        Ok(report)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shows each record of `topic` with its partition and offset to `visit`, partition by partition.
pub(super) fn each<T: Wire>(
    stack: &Stack,
    topic: &str,
    mut visit: impl FnMut(i32, i64, T) -> Result<()>,
) -> Result<()> {
    let ids: Arc<dyn SchemaIds> = stack.app.registry.clone();
    let mut decoder = decoder::<T>(topic, &ids).map_err(anyhow::Error::msg)?;
    for partition in 0..stack.app.topology.topic(topic).map_or(0, |topic| topic.partitions) {
        let mut reader = PartitionReader::open(&stack.app.addresses.kafka, topic, partition, 0)?;
        while let Some(record) = reader.next()? {
            visit(partition, record.offset, decoder.decode(record.payload.as_deref())?)?;
        }
    }
    Ok(())
}

type Books = BTreeMap<SmolStr, DepthBook>;

/// All of `book.depth`, by the domain's own fold.
pub(super) fn fold_of_depth(stack: &Stack) -> Result<Books> {
    let mut books = Books::new();
    each::<wire::BookDepth>(stack, topic::DEPTH, |partition, offset, record| {
        let update = DepthUpdate::try_from(record).map_err(|unfit| anyhow::anyhow!(unfit.0))?;
        let applied = books.entry(update.instrument.clone()).or_default().apply(&update);
        applied.map_err(|lost| anyhow::anyhow!("book.depth, partition {partition}, offset {offset}: {lost:?}"))
    })?;
    Ok(books)
}

/// How far each book is.
pub(super) fn targets(books: &Books) -> Value {
    books.iter().map(|(name, book)| (name.to_string(), json!(book.sequence()))).collect()
}

/// Each book of the client's report, level by level.
pub(super) fn same_books(report: &Value, books: &Books) -> Result<()> {
    let reported = report["books"].as_object().context("books")?;
    ensure!(reported.len() == books.len(), "{} books, the topic has {}", reported.len(), books.len());
    for (name, book) in books {
        let levels = |side| book.levels(side).map(|level| [level.price, level.quantity]).collect::<Vec<_>>();
        let expected = json!({
            "sequence": book.sequence(), "checksum": book.checksum(), "bids": levels(Side::Buy), "asks": levels(Side::Sell)
        });
        ensure!(reported[name.as_str()] == expected, "{name}: the client has {}, {expected}", reported[name.as_str()]);
    }
    Ok(())
}

/// Books against the fold of `trades.executed`: the same prices, and the same quantity unless an open iceberg hides some.
fn same_as_resting(stack: &Stack, books: &Books, resting: &[RestingBook]) -> Result<()> {
    let icebergs = open_icebergs(stack)?;
    let mut levels = 0;
    for (name, book) in books {
        let rests = resting.iter().find(|rests| rests.instrument == *name);
        let rests = rests.with_context(|| format!("nothing is known of {name} by its executions"))?;
        for (side, symbol, rests) in [(Side::Buy, "buy", &rests.bids), (Side::Sell, "sell", &rests.asks)] {
            let shown: BTreeMap<_, _> = book.levels(side).map(|level| (level.price, level.quantity)).collect();
            ensure!(shown.keys().eq(rests.keys()), "{name}, {symbol}: {shown:?} shows, {rests:?} rests");
            for (price, quantity) in &shown {
                let hides = icebergs.contains(&(name.to_string(), symbol.to_owned(), *price));
                let fits = if hides { *quantity <= rests[price] } else { *quantity == rests[price] };
                ensure!(fits, "{name}, {symbol} at {price}: {quantity} shows, {} rests", rests[price]);
                levels += 1;
            }
        }
    }
    println!("{levels} levels in {} books; open icebergs at {} of them", books.len(), icebergs.len());
    ensure!(levels > books.len(), "books with {levels} levels show nothing");
    Ok(())
}

/// Instrument, side and price of each iceberg that rests.
fn open_icebergs(stack: &Stack) -> Result<BTreeSet<(String, String, i64)>> {
    let mut placed = BTreeSet::new();
    each::<wire::ValidatedCommand>(stack, topic::VALIDATED, |_, _, command| {
        if command.display_quantity.is_some() {
            placed.insert(command.command_id);
        }
        Ok(())
    })?;
    let sql =
        "SELECT order_id, instrument, side, (price * 100000000)::bigint FROM open_orders WHERE status <> 'waiting'";
    let mut open = BTreeSet::new();
    for row in stack.parts(&["psql", "-XAtc", sql])?.lines() {
        let [id, instrument, side, price] = row.split('|').collect::<Vec<_>>()[..] else {
            bail!("four columns: {row}")
        };
        if placed.contains(&id.parse()?) {
            open.insert((instrument.to_owned(), side.to_owned(), price.parse()?));
        }
    }
    Ok(open)
}

/// That the run was one: messages of each kind came, connections were cut, and most windows could be compared.
fn check_counts(report: &Value) -> Result<()> {
    let count = |name: &str| report[name].as_u64().unwrap_or_default();
    ensure!(count("checksums_verified") == count("messages"), "a message was not verified: {report}");
    ensure!(count("disconnects") >= 2, "the client was cut {} times", count("disconnects"));
    ensure!(count("deltas") > count("snapshots") && count("snapshots") > 0, "too few messages: {report}");
    ensure!(count("windows_compared") * 4 > count("messages"), "too few windows were compared: {report}");
    let anew = 2 * 3 * u64::from(INSTRUMENTS);
    ensure!(count("books_asked_anew") == anew, "{} books were asked for anew, not {anew}", count("books_asked_anew"));
    Ok(())
}

/// A number from the environment.
pub(super) fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is `{text}`: set it to a whole number")),
        Err(_) => Ok(default),
    }
}
