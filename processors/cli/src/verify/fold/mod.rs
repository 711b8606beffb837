//! The fold of the log: what the invariants say of it and what each table must hold.
//!
//! Partitions are read in parallel, one consumer each. Only one thing makes a worker wait for others: settlements are
//! folded with what `orders.validated` reserved, and books with the icebergs that it names, so commands and verdicts are
//! read first, then executions and settlements.
//!
//! Memory is for orders that are open, balances, candles, two bytes for each command and 24 for each execution.

mod book;
mod candles;
mod commands;
mod depth;
mod executed;
mod flow;
mod interner;
mod market;
mod settled;
mod shared;
mod totals;

pub use book::RestingBook;
pub use flow::Flow;
pub(super) use shared::Shared;

use super::VIEWS;
use super::finding::{Finding, Findings};
use super::log::LogReader;
use super::parallel::{Task, run_all};
use super::tables::{TABLES, Table};
use super::writer::TableFold;
use anyhow::Result;
use commands::Reservations;
use depth::Depth;
use settled::Balance;
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use tapeline_schemas::topic;

/// A map that hashes fast: most of a fold's work is to look things up. Seeded, so names can't be chosen to collide.
type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Balances by account and asset.
type Balances = HashMap<(SmolStr, SmolStr), Balance>;

/// What one worker found in one partition.
struct Part {
    findings: Findings,
    depth: Finding,
    flow: Flow,
    books: Vec<RestingBook>,
    balances: Balances,
    tables: Vec<TableFold>,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            findings: Findings::default(),
            depth: Finding::new(VIEWS),
            flow: Flow::default(),
            books: Vec::new(),
            balances: Balances::default(),
            tables: Vec::new(),
        }
    }
}

/// What the log says.
pub(super) struct Fold {
    /// Invariants 1 to 5.
    pub(super) findings: Vec<Finding>,
    /// Of the sixth what concerns `book.depth`, a view that is a topic.
    pub(super) depth: Finding,
    pub(super) flow: Flow,
    pub(super) books: Vec<RestingBook>,
    /// What each table must hold.
    pub(super) tables: BTreeMap<&'static str, TableFold>,
}

/// Reads everything below the cut.
pub(super) fn fold(shared: &Shared, log: &LogReader) -> Result<Fold> {
    let partitions = |topic: &str| 0..shared.cut.ends.0.get(topic).map_or(0, Vec::len) as i32;
    let mut parts = Vec::new();
    let mut reserved = Vec::new();

    let mut first: Vec<Task<'_, (Part, Reservations)>> = Vec::new();
    let alone = |part: Result<Part>| part.map(|part| (part, Reservations::default()));
    for partition in partitions(topic::VALIDATED) {
        first.push(Box::new(move || commands::validated(shared, log, partition)));
    }
    for partition in partitions(topic::ORDERS) {
        first.push(Box::new(move || alone(commands::orders(shared, log, partition))));
    }
    for partition in partitions(topic::REJECTED) {
        first.push(Box::new(move || alone(commands::rejected(shared, log, partition))));
    }
    for (part, reservations) in run_all(first)? {
        parts.push(part);
        reserved.push(reservations);
    }

    let mut third: Vec<Task<'_, Depth>> = Vec::new();
    for partition in partitions(topic::DEPTH) {
        let until = shared.cut.ends.at(topic::DEPTH, partition);
        third.push(Box::new(move || depth::depth(VIEWS, log, partition, until)));
    }
    let told = &run_all(third)?;

    let reserved = &reserved;
    let mut second: Vec<Task<'_, Part>> = Vec::new();
    for partition in partitions(topic::EXECUTED) {
        second.push(Box::new(move || executed::executed(shared, log, told, partition)));
    }
    for partition in partitions(topic::SETTLED) {
        second.push(Box::new(move || settled::settled(shared, log, reserved, partition)));
    }
    for partition in partitions(topic::MARKET_TICKS) {
        second.push(Box::new(move || market::market(shared, log, partition)));
    }
    parts.extend(run_all(second)?);
    let mut fold = combine(shared, parts);
    told.iter().for_each(|depth| fold.depth.merge(depth.finding.clone()));
    fold.depth.checked =
        format!("{} books of {}", told.iter().map(|depth| depth.books.len()).sum::<usize>(), topic::DEPTH);
    Ok(fold)
}

fn combine(shared: &Shared, parts: Vec<Part>) -> Fold {
    let new = |table: &'static Table| (table.id, TableFold::new(table, shared.wanted.clone()));
    let mut tables: BTreeMap<&'static str, TableFold> = TABLES.into_iter().map(new).collect();
    let mut merge = |table: TableFold| {
        if let Some(sum) = tables.get_mut(table.table.id) {
            sum.merge(table);
        }
    };
    let (mut findings, mut flow, mut books) = (Findings::default(), Flow::default(), Vec::new());
    let mut depth = Finding::new(VIEWS);
    let mut balances = Balances::new();
    for part in parts {
        findings.merge(part.findings);
        depth.merge(part.depth);
        flow.merge(part.flow);
        books.extend(part.books);
        part.tables.into_iter().for_each(&mut merge);
        for (key, balance) in part.balances {
            balances.entry(key).or_default().add(&balance);
        }
    }
    totals::check(&balances, &mut findings.conservation);
    totals::rows(&balances, shared.wanted.clone()).into_iter().for_each(&mut merge);
    commands::check(shared, &mut findings.one_verdict);
    let trades = shared.trades.check(|partition, sequence, why| {
        let text = || format!("{}, partition {partition}: trade {sequence} of the executor {why}", topic::EXECUTED);
        findings.settled_once.violation(text);
    });
    findings.conservation.checked = format!("{} postings", flow.postings);
    findings.no_overdraft.checked = format!("{} steps in the validator's order", flow.steps);
    findings.settled_once.checked = format!("{trades} trades, both sides");
    let quotes = flow.executions.get(tapeline_schemas::wire::ExecutionKind::Quoted.symbol()).copied().unwrap_or(0);
    findings.priority.checked = format!("{} trades, {quotes} quotes", flow.trades);
    books.sort_by(|one, other| one.instrument.cmp(&other.instrument));
    Fold { findings: findings.into_vec(), depth, flow, books, tables }
}
