//! The book of the AAPL hour as a Python client (`clients/depth.py`) sees it over WebSocket shows the best quotes that the
//! venue showed, in their order.
//!
//! `TAPELINE_E2E_DEPTH_COMMANDS` sets how many commands of the file; 89,387 are all.

use crate::depth::{Client, each, fold_of_depth, number, same_books, targets};
use crate::gateway::TestGateway;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tapeline_domain::types::{ONE, position_id};
use tapeline_replay::aapl::file_ids;
use tapeline_schemas::{topic, wire};
use tapeline_tests::parts::{Stack, market_data, with_stack};
use tapeline_tests::pipeline::Pipeline;

const INSTRUMENT: &str = "AAPL-USD";
const DEFAULT_COMMANDS: u64 = 20_000;
const ALL_COMMANDS: usize = 89_387;
/// So many a second that a client can see each change of the book, rather than get it anew as a whole.
const PACE: &str = "3000/s";
const PATIENCE: Duration = Duration::from_secs(300);
/// The files have prices times 10,000.
const PRICE_UNIT: i64 = ONE / 10_000;

/// ask price, ask size, bid price, bid size, as in the venue's file.
type Quote = [i64; 4];

#[test]
fn a_foreign_client_sees_the_best_quotes_that_the_venue_showed_in_their_order() -> Result<()> {
    let test = "depth_aapl";
    let Some(folder) = market_data(test, "aapl-2012-06-21") else { return Ok(()) };
    with_stack(test, |stack| {
        let rows = first_rows(&folder, number("TAPELINE_E2E_DEPTH_COMMANDS", DEFAULT_COMMANDS)? as usize)?;
        let orders = stack.scratch("orders.csv");
        fs::write(&orders, rows.join("\n") + "\n")?;
        let mut pipeline = Pipeline::start_all(stack)?;
        let gateway = TestGateway::start(stack)?;
        let shown = stack.scratch("shown.csv");
        let (url, file) = (gateway.websocket(), shown.to_str().context("a path of UTF-8")?);
        let mut client = Client::start(stack, "websocket", INSTRUMENT, &["--gateways", &url, "--shown", file])?;
        stack.tapeline(&["replay", "--orders", orders.to_str().context("a path of UTF-8")?, "--pace", PACE])?;
        client.check_alive()?;
        pipeline.rest(PATIENCE)?;

        let books = fold_of_depth(stack)?;
        same_books(&client.report(&targets(&books))?, &books)?;
        let venue = venue_quotes(&folder)?;
        let walk = Told::read(stack)?.compare(&rows[1..], &seen(&shown)?, &venue)?;
        let Walk { matched, changes, missed, .. } = walk;
        let reached = walk.places.last().context("the venue's first quote never showed")? + 1;
        println!("{matched} quotes are the venue's, up to its {reached}th of {}", venue.len());
        println!("{changes} changes of the book, {missed} of them not told one by one");
        ensure!(matched > rows.len() / 8, "only {matched} quotes of {} commands were compared", rows.len() - 1);
        ensure!(missed * 2 < changes, "of {changes} changes the client was not told {missed}");
        if rows.len() - 1 == ALL_COMMANDS {
            ensure!(reached == venue.len(), "the venue's last quote was not met");
            // As in processors/domain/tests/matching_aapl.rs.
            ensure!(missed > 0 || (venue.len(), matched) == (23_440, 22_648), "{matched} of {} quotes", venue.len());
        }
        gateway.stop();
        pipeline.stop()
    })
}

/// The header and the first `count` rows of the file of orders.
fn first_rows(folder: &Path, count: usize) -> Result<Vec<String>> {
    let text = fs::read_to_string(folder.join("AAPL_0930_1030_orders.csv"))?;
    Ok(text.lines().take(count + 1).map(str::to_owned).collect())
}

fn venue_quotes(folder: &Path) -> Result<Vec<Quote>> {
    let text = fs::read_to_string(folder.join("AAPL_2012-06-21_first_hour_orderbook_1.csv"))?;
    let quote = |line: &str| -> Result<Quote> {
        let cells = line.split(',').map(|cell| Ok(cell.parse()?)).collect::<Result<Vec<i64>>>()?;
        cells.try_into().map_err(|_| anyhow::anyhow!("four columns expected: {line}"))
    };
    let mut quotes = text.lines().map(quote).collect::<Result<Vec<_>>>()?;
    quotes.dedup();
    Ok(quotes)
}

/// What the client saw after each message: best quotes by sequence, none where a side was empty.
fn seen(file: &Path) -> Result<HashMap<i64, Option<Quote>>> {
    let mut seen = HashMap::new();
    for line in fs::read_to_string(file)?.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        let [_, sequence, bid, bid_quantity, ask, ask_quantity] = cells[..] else { anyhow::bail!("six cells: {line}") };
        let quote = if bid.is_empty() || ask.is_empty() {
            None
        } else {
            let number = |text: &str| text.parse::<i64>();
            let (bid, ask) = (number(bid)? / PRICE_UNIT, number(ask)? / PRICE_UNIT);
            Some([ask, number(ask_quantity)? / ONE, bid, number(bid_quantity)? / ONE])
        };
        seen.insert(sequence.parse()?, quote);
    }
    Ok(seen)
}

/// What the topics say of each row of the file, by its `seq`.
struct Told {
    /// Sequence of the change of the book.
    sequences: HashMap<i64, i64>,
    /// How many trades.
    trades: HashMap<i64, usize>,
}

impl Told {
    fn read(stack: &Stack) -> Result<Self> {
        let mut rows = HashMap::new();
        each::<wire::Command>(stack, topic::ORDERS, |partition, offset, command| {
            if let Some((_, seq)) = file_ids(&command.client_order_id) {
                rows.insert(position_id(partition, offset), seq);
            }
            Ok(())
        })?;
        let row = |command_id: i64| rows.get(&command_id).copied().context("a command that is no row of the file's");
        let (mut sequences, mut trades) = (HashMap::new(), HashMap::<i64, usize>::new());
        each::<wire::BookDepth>(stack, topic::DEPTH, |_, _, record| {
            if let Some(command_id) = record.command_id {
                ensure!(sequences.insert(row(command_id)?, record.sequence).is_none(), "two changes by one command");
            }
            Ok(())
        })?;
        each::<wire::Execution>(stack, topic::EXECUTED, |_, _, execution| {
            if execution.kind == wire::ExecutionKind::Traded {
                *trades.entry(row(execution.command_id)?).or_default() += 1;
            }
            Ok(())
        })?;
        Ok(Self { sequences, trades })
    }

    /// Walks through the file with the venue: each quote that the client saw must be one of the next that the venue showed, the very
    /// next one after a command without a trade, while a sweep may pass over as many as it has trades, after each of which
    /// the venue showed the book. Not compared: what stood before the venue's first quote, and between a `skip` and its
    /// `reenter`, where the file takes a resting order out for a moment.
    fn compare(&self, rows: &[String], seen: &HashMap<i64, Option<Quote>>, venue: &[Quote]) -> Result<Walk> {
        let mut walk = Walk::default();
        let (mut last, mut taken_out) = (None, 0);
        // How many quotes the venue may have shown since the last comparison, and whether changes of the book were passed over.
        let (mut within, mut passed_over) = (0, false);
        for row in rows {
            let cells: Vec<&str> = row.split(',').collect();
            let (seq, tag) = (cells[0].parse::<i64>()?, cells[cells.len() - 1].trim());
            match tag {
                "skip" => taken_out += 1,
                "reenter" => taken_out -= 1,
                _ => {}
            }
            within += 1 + self.trades.get(&seq).copied().unwrap_or_default();
            let change = self.sequences.get(&seq).map(|sequence| seen.get(sequence).copied());
            walk.changes += usize::from(change.is_some());
            if change == Some(None) {
                // It got the book anew as a whole, with several changes in it.
                (walk.missed, passed_over) = (walk.missed + 1, true);
                continue;
            }
            let quote = change.flatten().unwrap_or(last);
            if taken_out > 0 {
                (last, passed_over) = (quote, true);
                continue;
            }
            let is_new = quote != last;
            last = quote;
            let is_before = walk.places.is_empty() && tag == "seed" && quote != Some(venue[0]);
            let Some(quote) = quote.filter(|_| (is_new || change.is_some() && passed_over) && !is_before) else {
                within = if passed_over { within } else { 0 };
                continue;
            };
            walk.go_on(venue, within, quote).with_context(|| format!("row {seq}"))?;
            walk.matched += usize::from(is_new);
            (within, passed_over) = (0, false);
        }
        Ok(walk)
    }
}

/// How far the client's quotes have come in the venue's.
#[derive(Default)]
struct Walk {
    /// Places of the last quote, by all that is known: more than one where the client was told of several changes at once.
    places: BTreeSet<usize>,
    /// New quotes that were compared.
    matched: usize,
    /// Changes of the book, and how many of them the client was not told one by one.
    changes: usize,
    missed: usize,
}

impl Walk {
    /// `quote` is the venue's quote at the last place, or one of the `within` after it.
    fn go_on(&mut self, venue: &[Quote], within: usize, quote: Quote) -> Result<()> {
        let next = |place: &usize| *place..(place + 1 + within).min(venue.len());
        let places = match self.places.is_empty() {
            true => (0..1).filter(|place| venue[*place] == quote).collect(),
            false => self.places.iter().flat_map(next).filter(|place| venue[*place] == quote).collect::<BTreeSet<_>>(),
        };
        let expected = || self.places.iter().flat_map(next).map(|place| venue[place]).collect::<Vec<_>>();
        ensure!(!places.is_empty(), "the client saw {quote:?}, but the venue showed {:?}", expected());
        self.places = places;
        Ok(())
    }
}
