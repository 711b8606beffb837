//! `tapeline verify` on real parts: a view that equals the log passes, any row that was changed, deleted or invented by hand
//! in either database is found and named exactly, and `--repair` brings the same view back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Output;
use std::time::Duration;
use tapeline_tests::parts::{Stack, with_stack};
use tapeline_tests::pipeline::{DRAINING, Pipeline};
use tapeline_tests::views::{clickhouse, fingerprints, one, timescale};

const PATIENCE: Duration = Duration::from_secs(300);
const LOAD: [&str; 8] = ["--orders", "20000", "--rate", "0", "--accounts", "200", "--instruments", "10"];

/// What is done to a view by hand.
struct Damage {
    what: &'static str,
    /// Gives the key of the row, as `verify` prints it.
    key: &'static str,
    /// What is done to the row of that key.
    sql: &'static str,
    column: &'static str,
    expected: &'static str,
    found: &'static str,
    table: &'static str,
}

/// Orders of keys are fixed so that the same row is meant each time.
const TIMESCALE: &[Damage] = &[
    Damage {
        what: "a changed trade",
        table: "trades",
        key: "SELECT 'trade_id=' || trade_id || ' traded_at=' || (traded_at AT TIME ZONE 'UTC')::text || '+00' FROM trades ORDER BY trade_id LIMIT 1",
        sql: "UPDATE trades SET taker_account = 'nobody' WHERE trade_id = (SELECT min(trade_id) FROM trades)",
        column: "taker_account",
        expected: "SELECT taker_account FROM trades ORDER BY trade_id LIMIT 1",
        found: "nobody",
    },
    Damage {
        what: "a deleted trade",
        table: "trades",
        key: "SELECT 'trade_id=' || trade_id || ' traded_at=' || (traded_at AT TIME ZONE 'UTC')::text || '+00' FROM trades ORDER BY trade_id DESC LIMIT 1",
        sql: "DELETE FROM trades WHERE trade_id = (SELECT max(trade_id) FROM trades)",
        column: "(row)",
        expected: "",
        found: "no row",
    },
    Damage {
        what: "an invented trade",
        table: "trades",
        key: "SELECT 'trade_id=-5 traded_at=' || (min(traded_at) AT TIME ZONE 'UTC')::text || '+00' FROM trades",
        sql: "INSERT INTO trades SELECT -5, min(traded_at), 'X-USD', 1, 1, 1, 'buy', 1, 'a', 2, 'b', 0, 1 FROM trades",
        column: "(row)",
        expected: "SELECT 'no row'",
        found: "",
    },
    Damage {
        what: "a changed order",
        table: "orders",
        key: "SELECT 'order_id=' || min(order_id) FROM orders",
        sql: "UPDATE orders SET filled = filled + 0.00000001 WHERE order_id = (SELECT min(order_id) FROM orders)",
        column: "filled",
        expected: "SELECT filled::text FROM orders ORDER BY order_id LIMIT 1",
        found: "",
    },
    Damage {
        what: "a deleted order",
        table: "orders",
        key: "SELECT 'order_id=' || max(order_id) FROM orders",
        sql: "DELETE FROM orders WHERE order_id = (SELECT max(order_id) FROM orders)",
        column: "(row)",
        expected: "",
        found: "no row",
    },
    Damage {
        what: "an invented order",
        table: "orders",
        key: "SELECT 'order_id=' || max(order_id) + 1 FROM orders",
        sql: "INSERT INTO orders SELECT max(order_id) + 1, 'a', 'c', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 'rejected', 'malformed', now(), 0, 1 FROM orders",
        column: "(row)",
        expected: "SELECT 'no row'",
        found: "",
    },
    Damage {
        what: "a changed candle",
        table: "candles",
        key: "SELECT 'venue=' || venue || ' instrument=' || instrument || ' interval=1m bucket=' || (bucket AT TIME ZONE 'UTC')::text || '+00' FROM candles WHERE \"interval\" = '1m' ORDER BY instrument, bucket LIMIT 1",
        sql: "UPDATE candles SET high = high + 1 WHERE (instrument, bucket) = (SELECT instrument, bucket FROM candles WHERE \"interval\" = '1m' ORDER BY instrument, bucket LIMIT 1) AND \"interval\" = '1m'",
        column: "high",
        expected: "SELECT high::text FROM candles WHERE \"interval\" = '1m' ORDER BY instrument, bucket LIMIT 1",
        found: "",
    },
    Damage {
        what: "an invented candle",
        table: "candles",
        key: "SELECT 'venue=nowhere instrument=X interval=1d bucket=2020-01-01 00:00:00+00'",
        sql: "INSERT INTO candles VALUES ('nowhere', 'X', '1d', '2020-01-01 00:00:00+00', 1, 1, 1, 1, 1, 1, '2020-01-01 00:00:00+00', 1, '2020-01-01 00:00:00+00', 1)",
        column: "(row)",
        expected: "SELECT 'no row'",
        found: "",
    },
    Damage {
        what: "a changed quote",
        table: "best_quotes",
        key: "SELECT 'venue=tapeline instrument=' || min(instrument) FROM best_quotes",
        sql: "UPDATE best_quotes SET position_offset = position_offset + 1 WHERE instrument = (SELECT min(instrument) FROM best_quotes)",
        column: "position_offset",
        expected: "SELECT position_offset::text FROM best_quotes ORDER BY instrument LIMIT 1",
        found: "",
    },
    Damage {
        what: "a deleted quote",
        table: "best_quotes",
        key: "SELECT 'venue=tapeline instrument=' || max(instrument) FROM best_quotes",
        sql: "DELETE FROM best_quotes WHERE instrument = (SELECT max(instrument) FROM best_quotes)",
        column: "(row)",
        expected: "",
        found: "no row",
    },
    Damage {
        what: "a changed balance",
        table: "balances",
        key: "SELECT 'account=gen-00001 asset=USD'",
        sql: "UPDATE balances SET available = available + 0.00000001 WHERE account = 'gen-00001' AND asset = 'USD'",
        column: "available",
        expected: "SELECT available::text FROM balances WHERE account = 'gen-00001' AND asset = 'USD'",
        found: "",
    },
    Damage {
        what: "an invented balance",
        table: "balances",
        key: "SELECT 'account=nobody asset=NIL'",
        sql: "INSERT INTO balances VALUES ('nobody', 'NIL', 1, 0)",
        column: "(row)",
        expected: "SELECT 'no row'",
        found: "account=nobody asset=NIL available=1.00000000 reserved=0.00000000",
    },
];

/// ClickHouse's tables, a column of each and how it is changed.
const CLICKHOUSE: [(&str, &str, &str); 6] = [
    ("commands", "account", "'nobody'"),
    ("verdicts", "reserved_amount", "reserved_amount + toDecimal64('0.00000001', 8)"),
    ("executions", "command_id", "command_id + 1"),
    ("trades", "price", "price + toDecimal64('0.00000001', 8)"),
    ("settlements", "settled_at", "settled_at + toIntervalMillisecond(1)"),
    ("postings", "bucket", "'NOWHERE'"),
];

#[test]
fn what_was_done_to_a_view_by_hand_is_found_named_and_repaired() -> Result<()> {
    with_stack("verify", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        stack.tapeline(&[&["generate"], &LOAD[..]].concat())?;
        verify_beside_the_running_pipeline(stack)?;
        pipeline.rest(PATIENCE)?;
        let report = verified(stack, &["--replay"], 0)?;
        ensure!(report["findings"].as_array().is_some_and(|all| all.len() == 7), "seven invariants: {report}");
        let before = fingerprints(&stack.app.addresses)?;
        for damage in TIMESCALE {
            timescale_damage(stack, damage).with_context(|| format!("TimescaleDB, {}", damage.what))?;
            ensure!(fingerprints(&stack.app.addresses)? == before, "{}: the view is another one", damage.what);
        }
        for (table, column, change) in CLICKHOUSE {
            clickhouse_damage(stack, table, column, change).with_context(|| format!("ClickHouse, {table}"))?;
            ensure!(fingerprints(&stack.app.addresses)? == before, "{table}: the view is another one");
        }
        could_not_check(stack)?;
        // The sinks were at work all the time and go on from where they were.
        stack.drain(&DRAINING, PATIENCE)?;
        stack.audit()?;
        pipeline.stop()
    })
}

/// While records are in flight, at the offsets that the views state.
fn verify_beside_the_running_pipeline(stack: &Stack) -> Result<()> {
    let report = verified(stack, &[], 0)?;
    ensure!(report["events"].as_u64().is_some_and(|events| events > 20_000), "all topics are read: {report}");
    Ok(())
}

fn tapeline_verify(stack: &Stack, options: &[&str]) -> Result<Output> {
    let mut command = stack.tapeline_command(&["verify", "--json"])?;
    Ok(command.args(options).output()?)
}

/// Runs `tapeline verify`, expects `code`, and gives the last report.
fn verified(stack: &Stack, options: &[&str], code: i32) -> Result<Value> {
    let output = tapeline_verify(stack, options)?;
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(code), "expected code {code}, got {}:\n{out}{errors}", output.status);
    let last = out.lines().last().with_context(|| format!("no report: {errors}"))?;
    Ok(serde_json::from_str(last)?)
}

/// The difference of a table in a report.
fn difference<'r>(report: &'r Value, database: &str, table: &str) -> Result<&'r Value> {
    let all = report["differences"].as_array().context("no differences")?;
    let found = all.iter().find(|found| found["database"] == database && found["table"] == table);
    found.with_context(|| format!("no difference in {table}: {report}"))
}

fn timescale_damage(stack: &Stack, damage: &Damage) -> Result<()> {
    let addresses = &stack.app.addresses;
    let ask = |sql: &str| if sql.is_empty() { Ok(String::new()) } else { one(timescale(addresses, sql)?) };
    let key = ask(damage.key)?;
    let expected = ask(damage.expected)?;
    timescale(addresses, damage.sql)?;
    let report = verified(stack, &[], 1)?;
    let told = difference(&report, "TimescaleDB", damage.table)?;
    ensure!(told["key"] == key.as_str(), "the key is {key}, told: {told}");
    ensure!(told["column"] == damage.column, "the column is {}, told: {told}", damage.column);
    ensure!(expected.is_empty() || told["expected"] == expected.as_str(), "expected {expected}, told: {told}");
    ensure!(damage.found.is_empty() || told["found"] == damage.found, "found {}, told: {told}", damage.found);
    ensure!(told["expected"] != told["found"], "{told}");
    ensure!(told["rows"] == 1, "one row differs, told: {told}");
    verified(stack, &["--repair"], 0)?;
    Ok(())
}

/// Changes, deletes and invents a row of a table in turn.
fn clickhouse_damage(stack: &Stack, table: &str, column: &str, change: &str) -> Result<()> {
    let addresses = &stack.app.addresses;
    let position =
        if table == "verdicts" { "topic, kafka_partition, kafka_offset" } else { "kafka_partition, kafka_offset" };
    let first = format!("FROM {table} ORDER BY {position} LIMIT 1");
    let cell = |sql: String| one(clickhouse(addresses, &sql)?);
    let topic = match table {
        "commands" => "orders".to_owned(),
        "verdicts" => cell(format!("SELECT topic {first}"))?,
        "executions" | "trades" => "trades.executed".to_owned(),
        _ => "trades.settled".to_owned(),
    };
    let partition: i64 = cell(format!("SELECT kafka_partition {first}"))?.parse()?;
    let offset: i64 = cell(format!("SELECT kafka_offset {first}"))?.parse()?;
    let at = |report: &Value| -> Result<Value> {
        let told = difference(report, "ClickHouse", table)?;
        ensure!(told["topic"] == topic.as_str() && told["partition"] == partition, "{topic}-{partition}, told: {told}");
        Ok(told.clone())
    };
    let statement = |sql: String| tapeline_clickhouse::execute(&addresses.clickhouse_url, &sql);
    let of_topic = if table == "verdicts" { format!("topic = '{topic}' AND ") } else { String::new() };
    let row = format!("{of_topic}kafka_partition = {partition} AND kafka_offset = {offset}");
    let one_row = if table == "postings" { format!("{row} AND line = 0") } else { row };

    let expected = cell(format!("SELECT toString({column}) FROM {table} WHERE {one_row}"))?;
    statement(format!("INSERT INTO {table}_raw SELECT * REPLACE({change} AS {column}) FROM {table} WHERE {one_row}"))?;
    let found = cell(format!("SELECT toString({column}) FROM {table} WHERE {one_row}"))?;
    let told = at(&verified(stack, &[], 1)?)?;
    ensure!(told["offset"] == offset && told["column"] == column, "offset {offset}, {column}, told: {told}");
    ensure!(told["expected"] == expected.as_str() && told["found"] == found.as_str(), "{expected}, {found}: {told}");
    ensure!(told["rows"] == 1, "one row differs, told: {told}");
    verified(stack, &["--repair"], 0)?;

    statement(format!("DELETE FROM {table}_raw WHERE {one_row} SETTINGS lightweight_deletes_sync = 2"))?;
    let told = at(&verified(stack, &[], 1)?)?;
    ensure!(told["offset"] == offset && told["column"] == "(row)" && told["found"] == "no row", "{told}");
    verified(stack, &["--repair"], 0)?;

    // Below all records: no record of Kafka has this offset. (In one SELECT the condition would see the new offset.)
    statement(format!(
        "INSERT INTO {table}_raw SELECT * REPLACE(toInt64(-3) AS kafka_offset) FROM (SELECT * FROM {table} WHERE {one_row})"
    ))?;
    let told = at(&verified(stack, &[], 1)?)?;
    ensure!(told["offset"] == -3 && told["column"] == "(row)" && told["expected"] == "no row", "{told}");
    verified(stack, &["--repair"], 0)?;
    Ok(())
}

/// A server that is away is no difference: code 2.
fn could_not_check(stack: &Stack) -> Result<()> {
    stack.parts(&["down", "clickhouse"])?;
    let output = tapeline_verify(stack, &[])?;
    stack.parts(&["up", "clickhouse"])?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2) && errors.contains("ClickHouse"), "{}: {errors}", output.status);
    Ok(())
}
