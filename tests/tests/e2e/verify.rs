//! `tapeline verify` on real parts: a view that equals the log passes, any row that was changed, deleted or invented by hand
//! in either database is found and named exactly, and `--repair` brings the same view back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;
use std::rc::Rc;
use std::time::Duration;
use tapeline_tests::parts::{Stack, with_stack};
use tapeline_tests::pipeline::{DRAINING, Pipeline};
use tapeline_tests::views::{clickhouse, fingerprints, one, timescale};

const PATIENCE: Duration = Duration::from_secs(300);
const LOAD: [&str; 8] = ["--orders", "20000", "--rate", "0", "--accounts", "200", "--instruments", "10"];

const TIMESCALE_NAME: &str = "TimescaleDB";
const CLICKHOUSE_NAME: &str = "ClickHouse";

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
        sql: "INSERT INTO trades SELECT -5, min(traded_at), 'X-USD', 1, 1, 1, 'buy', 1, 'a', 0, 2, 'b', 0, 0, 1 FROM trades",
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

/// What `verify` must say of a damage.
struct Expected {
    what: String,
    database: &'static str,
    table: &'static str,
    fields: Vec<(&'static str, Value)>,
}

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
        let damages = damages(stack)?;
        for number in 0..damages.values().map(Vec::len).max().unwrap_or(0) {
            damage_and_repair(stack, damages.values().filter_map(|of_table| of_table.get(number)))?;
            ensure!(fingerprints(&stack.app.addresses)? == before, "repaired, the view is another one");
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

type Inflict<'s> = Box<dyn Fn() -> Result<Expected> + 's>;

/// The damages of each table, which are done in turn: one at a time in a table, in all tables at once.
fn damages(stack: &Stack) -> Result<BTreeMap<(&'static str, &'static str), Vec<Inflict<'_>>>> {
    let mut damages: BTreeMap<_, Vec<Inflict<'_>>> = BTreeMap::new();
    for damage in TIMESCALE {
        let of_table = damages.entry((TIMESCALE_NAME, damage.table)).or_default();
        of_table.push(Box::new(move || timescale_damage(stack, damage).context(damage.what)));
    }
    for (table, column, change) in CLICKHOUSE {
        let row = Rc::new(ClickhouseRow::first(stack, table)?);
        let (changed, deleted, invented) = (Rc::clone(&row), Rc::clone(&row), row);
        let of_table = damages.entry((CLICKHOUSE_NAME, table)).or_default();
        of_table.push(Box::new(move || changed.change(column, change)));
        of_table.push(Box::new(move || deleted.delete()));
        of_table.push(Box::new(move || invented.invent()));
    }
    Ok(damages)
}

fn damage_and_repair<'d>(stack: &Stack, damages: impl Iterator<Item = &'d Inflict<'d>>) -> Result<()> {
    let expected = damages.map(|inflict| inflict()).collect::<Result<Vec<_>>>()?;
    let report = verified(stack, &[], 1)?;
    let told = report["differences"].as_array().context("no differences")?;
    for Expected { what, database, table, fields } in &expected {
        let found = told.iter().find(|told| told["database"] == *database && told["table"] == *table);
        let found = found.with_context(|| format!("{database}, {what}: nothing in {table}: {report}"))?;
        for (field, value) in fields {
            ensure!(found[field] == *value, "{database}, {what}: {field} is {value}, told: {found}");
        }
        ensure!(found["expected"] != found["found"], "{database}, {what}: {found}");
        ensure!(found["rows"] == 1, "{database}, {what}: one row differs, told: {found}");
    }
    verified(stack, &["--repair"], 0)?;
    Ok(())
}

fn timescale_damage(stack: &Stack, damage: &Damage) -> Result<Expected> {
    let addresses = &stack.app.addresses;
    let mut fields = vec![("key", one(timescale(addresses, damage.key)?)?.into()), ("column", damage.column.into())];
    if !damage.expected.is_empty() {
        fields.push(("expected", one(timescale(addresses, damage.expected)?)?.into()));
    }
    if !damage.found.is_empty() {
        fields.push(("found", damage.found.into()));
    }
    timescale(addresses, damage.sql)?;
    Ok(Expected { what: damage.what.to_owned(), database: TIMESCALE_NAME, table: damage.table, fields })
}

/// The first row of a table in ClickHouse.
struct ClickhouseRow<'s> {
    stack: &'s Stack,
    table: &'static str,
    topic: String,
    partition: i64,
    offset: i64,
    /// The condition that means this row.
    is_row: String,
}

impl<'s> ClickhouseRow<'s> {
    fn first(stack: &'s Stack, table: &'static str) -> Result<Self> {
        let cell = |sql: String| one(clickhouse(&stack.app.addresses, &sql)?);
        let of_topic = if table == "verdicts" { "topic, " } else { "" };
        let first = format!("FROM {table} ORDER BY {of_topic}kafka_partition, kafka_offset LIMIT 1");
        let topic = match table {
            "commands" => "orders".to_owned(),
            "verdicts" => cell(format!("SELECT topic {first}"))?,
            "executions" | "trades" => "trades.executed".to_owned(),
            _ => "trades.settled".to_owned(),
        };
        let partition: i64 = cell(format!("SELECT kafka_partition {first}"))?.parse()?;
        let offset: i64 = cell(format!("SELECT kafka_offset {first}"))?.parse()?;
        let mut is_row = format!("kafka_partition = {partition} AND kafka_offset = {offset}");
        match table {
            "verdicts" => is_row += &format!(" AND topic = '{topic}'"),
            "postings" => is_row += " AND line = 0",
            _ => {}
        }
        Ok(Self { stack, table, topic, partition, offset, is_row })
    }

    fn execute(&self, sql: &str) -> Result<()> {
        Ok(tapeline_clickhouse::Session::open(&self.stack.app.addresses.clickhouse_url)?.execute(sql)?)
    }

    fn cell(&self, column: &str) -> Result<String> {
        let Self { table, is_row, .. } = self;
        one(clickhouse(&self.stack.app.addresses, &format!("SELECT toString({column}) FROM {table} WHERE {is_row}"))?)
    }

    fn expected(&self, what: &str, offset: i64, more: Vec<(&'static str, Value)>) -> Expected {
        let mut fields = vec![
            ("topic", self.topic.as_str().into()),
            ("partition", self.partition.into()),
            ("offset", offset.into()),
        ];
        fields.extend(more);
        let what = format!("{what} row of {}", self.table);
        Expected { what, database: CLICKHOUSE_NAME, table: self.table, fields }
    }

    fn change(&self, column: &str, change: &str) -> Result<Expected> {
        let Self { table, is_row, .. } = self;
        let expected = self.cell(column)?;
        self.execute(&format!(
            "INSERT INTO {table}_raw SELECT * REPLACE({change} AS {column}) FROM {table} WHERE {is_row}"
        ))?;
        let told = vec![("column", column.into()), ("expected", expected.into()), ("found", self.cell(column)?.into())];
        Ok(self.expected("a changed", self.offset, told))
    }

    fn delete(&self) -> Result<Expected> {
        let Self { table, is_row, .. } = self;
        self.execute(&format!("DELETE FROM {table}_raw WHERE {is_row} SETTINGS lightweight_deletes_sync = 2"))?;
        Ok(self.expected("a deleted", self.offset, vec![("column", "(row)".into()), ("found", "no row".into())]))
    }

    /// Below all records: no record of Kafka has this offset. (In one SELECT the condition would see the new offset.)
    fn invent(&self) -> Result<Expected> {
        let Self { table, is_row, .. } = self;
        self.execute(&format!(
            "INSERT INTO {table}_raw SELECT * REPLACE(toInt64(-3) AS kafka_offset) FROM (SELECT * FROM {table} WHERE {is_row})"
        ))?;
        Ok(self.expected("an invented", -3, vec![("column", "(row)".into()), ("expected", "no row".into())]))
    }
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
