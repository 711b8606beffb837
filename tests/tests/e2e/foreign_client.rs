//! A client that is not ours: Python's confluent-kafka publishes orders with mistakes among them and reads what came of
//! them; `psql` and clickhouse-connect read the views. `tests/clients/exchange.py` is the client.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tapeline_domain::types::ONE;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::dead_letter;
use tapeline_runtime::port::{Reader, Record};
use tapeline_schemas::{topic, wire};
use tapeline_tests::parts::{Stack, repository, with_stack};
use tapeline_tests::pipeline::{PROCESSORS, Pipeline};
use tapeline_tests::reference::{instrument, list};

/// Where the client's Python is; `tests/run` makes it.
const PYTHON_VARIABLE: &str = "TAPELINE_TEST_PYTHON";
const PATIENCE: Duration = Duration::from_secs(120);
const SIDES: [(&str, &str); 2] = [("py-seller", "SELL"), ("py-buyer", "BUY")];

#[test]
fn a_foreign_client_gets_exact_verdicts_and_settlements_and_its_garbage_untouched() -> Result<()> {
    with_stack("foreign_client", |stack| {
        let python = Python::of(stack)?;
        let mut pipeline = Pipeline::start_all(stack)?;
        list_instrument_and_accounts(stack)?;
        let homes = stack.scratch("homes.json");
        python.run(&["fund", &path(&homes)])?;
        stack.drain(&PROCESSORS, PATIENCE)?;
        let expected = python.report(&["trade", &path(&homes)], "expected.json")?;
        pipeline.rest(PATIENCE)?;

        let seen = python.report(&["read"], "seen.json")?;
        ensure!(expected["orders"] == 1_000, "{} orders were published", expected["orders"]);
        check_rejections(&expected, &seen)?;
        check_settlements(&expected, &seen)?;
        check_dead_letters(stack, &expected)?;
        check_psql(stack)?;
        check_clickhouse(&python, &expected)?;
        stack.audit()?;
        pipeline.stop()
    })
}

/// The Python client.
struct Python<'a> {
    stack: &'a Stack,
    interpreter: PathBuf,
    endpoints: String,
}

impl<'a> Python<'a> {
    fn of(stack: &'a Stack) -> Result<Self> {
        let interpreter = interpreter()?;
        let addresses = &stack.app.addresses;
        let endpoints = format!("{},{},{}", addresses.kafka, addresses.registry_url, addresses.clickhouse_url);
        Ok(Self { stack, interpreter, endpoints })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.stack.command(&self.interpreter);
        command.arg(repository().join("tests/clients/exchange.py")).arg(&self.endpoints).args(arguments);
        self.stack.run_to_end(&mut command, "exchange.py")
    }

    /// Runs it and reads the file that it writes.
    fn report(&self, arguments: &[&str], name: &str) -> Result<Value> {
        let file = self.stack.scratch(name);
        self.run(&[arguments, &[&path(&file)]].concat())?;
        Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
    }
}

/// Python, with what the clients need.
pub(super) fn interpreter() -> Result<PathBuf> {
    let named = std::env::var_os(PYTHON_VARIABLE).map(PathBuf::from);
    named.with_context(|| format!("{PYTHON_VARIABLE} is not set: run tests by `tests/run`"))
}

fn path(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Operations: the instrument of the client's orders, its forty accounts, and one that nobody funds.
fn list_instrument_and_accounts(stack: &Stack) -> Result<()> {
    let instrument =
        wire::Instrument { reference_price: 100 * ONE, collar_ppm: 100_000, ..instrument("PYT-USD", "PYT") };
    let names = SIDES.iter().flat_map(|(side, _)| (0..20).map(move |number| format!("{side}-{number:02}")));
    let accounts: Vec<wire::Account> = names
        .chain(["py-poor".to_owned()])
        .map(|name| wire::Account { account: name.into(), status: wire::AccountStatus::Active, max_open_orders: 1_000 })
        .collect();
    list(stack, &[instrument], &accounts)
}

/// Account, client order id and reason of each rejection, none missing and none more.
fn check_rejections(expected: &Value, seen: &Value) -> Result<()> {
    let list = |value: &Value| value["rejected"].as_array().cloned().context("rejected");
    let (expected, seen) = (list(expected)?, list(seen)?);
    let missing: Vec<_> = expected.iter().filter(|one| !seen.contains(one)).take(5).collect();
    let more: Vec<_> = seen.iter().filter(|one| !expected.contains(one)).take(5).collect();
    ensure!(expected == seen, "rejections: missing {missing:?}, more {more:?}, {} of {}", seen.len(), expected.len());
    Ok(())
}

/// Each good order trades in full against one of the other side: all are of one price and size, and sides balance.
fn check_settlements(expected: &Value, seen: &Value) -> Result<()> {
    let settled = expected["settled"].as_array().context("settled")?;
    ensure!(settled.len() == 800, "{} good orders were published", settled.len());
    let same = |what: &str, found: &Value, expected: Value| {
        ensure!(*found == expected, "{what}: expected {expected}, found {found}");
        Ok(())
    };
    same("trades", &seen["trades"], 400.into())?;
    same("orders that ended", &seen["orders_done"], 800.into())?;
    same("settlements", &seen["settled_kinds"], serde_json::json!({ "DEPOSIT": 40, "TRADE": 800 }))?;
    let sides = seen["trade_sides"].as_array().context("trade_sides")?;
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for order in settled {
        *left.entry(order[0].as_str().context("account")?).or_default() += 1;
    }
    for side in sides {
        let account = side[0].as_str().context("account")?;
        let (_, its_side) =
            SIDES.iter().find(|(name, _)| account.starts_with(name)).context("an account of the client")?;
        ensure!(side[1] == *its_side && side[2] == 100 * ONE && side[3] == 10 * ONE, "a trade's side: {side}");
        *left.entry(account).or_default() -= 1;
    }
    ensure!(left.values().all(|count| *count == 0), "orders less trades by account: {left:?}");
    Ok(())
}

/// What can't be read lies in the dead-letter topic: key, value and headers as they came, and headers that say why.
fn check_dead_letters(stack: &Stack, expected: &Value) -> Result<()> {
    let letters = expected["dead_letters"].as_array().context("dead_letters")?;
    ensure!(letters.len() == 60, "{} dead letters were published", letters.len());
    let dead_topic = format!("{}{}", topic::ORDERS, topic::DEAD_LETTER_SUFFIX);
    let mut found: BTreeMap<(i64, i64), Record> = BTreeMap::new();
    let partitions = stack.app.topology.topic(topic::ORDERS).context("orders")?.partitions;
    for partition in 0..partitions {
        let mut reader = PartitionReader::open(&stack.app.addresses.kafka, &dead_topic, partition, 0)?;
        while let Some(record) = reader.next()? {
            let place = (number(&record, dead_letter::SOURCE_PARTITION)?, number(&record, dead_letter::SOURCE_OFFSET)?);
            ensure!(found.insert(place, record).is_none(), "two dead letters for {place:?}");
        }
    }
    for letter in letters {
        let place = (letter["partition"].as_i64().context("partition")?, letter["offset"].as_i64().context("offset")?);
        let record = found.remove(&place).with_context(|| format!("no dead letter for {letter}"))?;
        let hex = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or(Value::Null, |bytes| hex(bytes).into());
        ensure!(
            hex(&record.key) == letter["key"] && hex(&record.payload) == letter["value"],
            "{letter} became {record:?}"
        );
        for pair in letter["headers"].as_array().context("headers")? {
            let kept = header(&record, pair[0].as_str().context("name")?).map(|value| self::hex(value.as_bytes()));
            ensure!(kept.as_deref() == pair[1].as_str(), "the header {pair} became {kept:?}");
        }
        let says = |name: &str| header(&record, name).unwrap_or_default();
        ensure!(says(dead_letter::REASON) == letter["reason"], "{letter}: the reason is {}", says(dead_letter::REASON));
        ensure!(says(dead_letter::SOURCE_TOPIC) == topic::ORDERS, "{letter}: from {}", says(dead_letter::SOURCE_TOPIC));
        ensure!(says(dead_letter::COMPONENT) == "validator", "{letter}: by {}", says(dead_letter::COMPONENT));
        ensure!(!says(dead_letter::REASON_TEXT).is_empty(), "{letter}: no sentence");
        ensure!(number(&record, dead_letter::TIME_MS)? > 0, "{letter}: no time");
    }
    ensure!(found.is_empty(), "dead letters that were not expected: {found:?}");
    Ok(())
}

fn header(record: &Record, name: &str) -> Option<String> {
    let found = record.headers.iter().find(|(header, _)| header == name);
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

fn number(record: &Record, name: &str) -> Result<i64> {
    let text = header(record, name).with_context(|| format!("a dead letter without the header {name}"))?;
    text.parse().with_context(|| format!("{name} is `{text}`"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_psql(stack: &Stack) -> Result<()> {
    let ask = |sql: &str| stack.parts(&["psql", "-XAtc", sql]).map(|answer| answer.trim().to_owned());
    for (sql, expected) in [
        ("SELECT count(*), sum(quantity), sum(notional) FROM trades", "400|4000.00000000|400000.00000000"),
        ("SELECT count(*) FROM orders WHERE status = 'filled'", "800"),
        ("SELECT count(*) FROM orders WHERE status = 'rejected'", "140"),
        ("SELECT count(*) FROM open_orders", "0"),
        ("SELECT sum(volume) FROM candles WHERE interval = '1d' AND instrument = 'PYT-USD'", "4000.00000000"),
        ("SELECT bid_price IS NULL AND ask_price IS NULL FROM best_quotes WHERE instrument = 'PYT-USD'", "t"),
        ("SELECT sum(total) FROM balance_totals WHERE asset = 'PYT'", "20000000.00000000"),
        ("SELECT count(*) FROM asset_totals WHERE imbalance <> 0 OR clearing <> 0", "0"),
        ("SELECT sum(fees) FROM asset_totals WHERE asset = 'USD'", "140.00000000"),
    ] {
        let found = ask(sql)?;
        ensure!(found == expected, "psql, {sql}: expected {expected}, found {found}");
    }
    Ok(())
}

fn check_clickhouse(python: &Python<'_>, expected: &Value) -> Result<()> {
    let found = python.report(&["query"], "clickhouse.json")?;
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for rejected in expected["rejected"].as_array().context("rejected")? {
        *reasons.entry(rejected[2].as_str().context("reason")?).or_default() += 1;
    }
    let reasons: Vec<[String; 2]> =
        reasons.iter().map(|(name, count)| [(*name).to_owned(), count.to_string()]).collect();
    let expected = serde_json::json!({
        "trades": [["400", "4000", "400000"]],
        "reasons": reasons,
        "rejects_by_reason": [[reasons.len().to_string()]],
        "volume_by_minute": [["4000"]],
    });
    if found != expected {
        bail!("clickhouse-connect: expected {expected}, found {found}");
    }
    Ok(())
}
