//! One hour of AAPL on NASDAQ (2012-06-21), order by order: the trades that really happened, row by row, and the
//! quotes that were really shown. Read from `$TAPELINE_DATA` or `../shared/data`; skipped where that is missing.
//! What the files hold is told in the README beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tapeline_domain::accepted::{Accepted, Action, Amendment, OrderTerms};
use tapeline_domain::execution::{Execution, ExecutionBody, Level};
use tapeline_domain::matching::Matching;
use tapeline_domain::money;
use tapeline_domain::types::{ONE, OrderType, SelfTradePrevention, Side, TimeInForce};

/// The files have prices times 10,000.
const PRICE_UNIT: i64 = ONE / 10_000;

/// One row of `orders`.
struct Row {
    seq: i64,
    ts_ms: i64,
    action: String,
    order_id: i64,
    side: Side,
    price: i64,
    quantity: i64,
    /// Why a row was added or changed, empty for most.
    tag: String,
}

/// One row of `fills` without its number and time: aggressor_seq, maker_order_id, aggressor_side, price, qty.
type Fill = (i64, i64, Side, i64, i64);

/// ask price, ask size, bid price, bid size, as in the file, where some rows repeat the one before.
type Quote = [i64; 4];

fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("TAPELINE_DATA").map_or(beside, PathBuf::from);
    let folder = root.join("aapl-2012-06-21");
    if !folder.is_dir() {
        println!("skipped: no market data at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_string).collect()).collect()
}

fn side(text: &str) -> Side {
    match text {
        "B" => Side::Buy,
        "S" => Side::Sell,
        other => panic!("side {other}"),
    }
}

fn orders(folder: &Path) -> Vec<Row> {
    let number = |text: &str| text.parse::<i64>().unwrap();
    let rows = rows(&folder.join("AAPL_0930_1030_orders.csv"));
    let row = |row: &Vec<String>| Row {
        seq: number(&row[0]),
        ts_ms: number(&row[1]) / 1_000_000,
        action: row[2].clone(),
        order_id: number(&row[3]),
        side: side(&row[4]),
        price: number(&row[5]) * PRICE_UNIT,
        quantity: number(&row[6]) * ONE,
        tag: row[7].trim().to_string(),
    };
    rows.iter().skip(1).map(row).collect()
}

fn fills(folder: &Path) -> Vec<Fill> {
    let number = |text: &str| text.parse::<i64>().unwrap();
    let rows = rows(&folder.join("AAPL_0930_1030_fills.csv"));
    let fill = |row: &Vec<String>| {
        (number(&row[2]), number(&row[3]), side(&row[4]), number(&row[5]) * PRICE_UNIT, number(&row[6]) * ONE)
    };
    rows.iter().skip(1).map(fill).collect()
}

fn quotes(folder: &Path) -> Vec<Quote> {
    let rows = rows(&folder.join("AAPL_2012-06-21_first_hour_orderbook_1.csv"));
    let mut quotes: Vec<Quote> =
        rows.iter().map(|row| [0, 1, 2, 3].map(|column| row[column].parse().unwrap())).collect();
    quotes.dedup();
    quotes
}

/// Makes commands of rows: each order has an account of its own, so that nothing trades with itself.
struct Replay {
    matching: Matching,
    /// The command that placed the order of an id in the file (the newest, where one was entered again).
    placed: HashMap<i64, i64>,
    /// Its total quantity by now.
    totals: HashMap<i64, i64>,
}

impl Replay {
    fn new() -> Self {
        Self { matching: Matching::new(0), placed: HashMap::new(), totals: HashMap::new() }
    }

    fn run(&mut self, row: &Row) -> Vec<Execution> {
        let target = self.placed.get(&row.order_id).copied().unwrap_or_default();
        let action = match row.action.as_str() {
            "NEW" => self.place(row, TimeInForce::Gtc),
            "IOC" => self.place(row, TimeInForce::Ioc),
            "REDUCE" => {
                let total = self.totals.get_mut(&target).unwrap();
                *total -= row.quantity;
                Action::Amend(Amendment {
                    instrument: "AAPL-USD".into(),
                    target_order_id: target,
                    quantity: Some(*total),
                    price: None,
                    extra_reserved: 0,
                    reserve_asset: "USD".into(),
                })
            }
            "CANCEL" => Action::Cancel { instrument: "AAPL-USD".into(), target_order_id: target },
            other => panic!("action {other}"),
        };
        let command = Accepted {
            command_id: row.seq,
            account: format!("a{}", row.order_id).into(),
            client_order_id: format!("{}", row.seq).into(),
            commanded_at_ms: row.ts_ms,
            action,
        };
        let mut events = Vec::new();
        self.matching.apply(row.ts_ms, &command, &mut events);
        events
    }

    fn place(&mut self, row: &Row, time_in_force: TimeInForce) -> Action {
        self.placed.insert(row.order_id, row.seq);
        self.totals.insert(row.seq, row.quantity);
        Action::Place(OrderTerms {
            instrument: "AAPL-USD".into(),
            base_asset: "AAPL".into(),
            quote_asset: "USD".into(),
            side: row.side,
            order_type: OrderType::Limit,
            time_in_force,
            quantity: row.quantity,
            price: row.price,
            stop_price: None,
            display_quantity: None,
            post_only: false,
            expires_at_ms: None,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
            maker_fee_ppm: 0,
            taker_fee_ppm: 0,
            reserved: money::reservation(row.side, row.price, row.quantity, 0).unwrap(),
        })
    }
}

#[test]
fn the_trades_of_the_day() {
    let Some(folder) = data() else { return };
    let mut replay = Replay::new();
    let mut traded: Vec<Fill> = Vec::new();
    let mut numbers: HashMap<i64, i64> = HashMap::new();
    for row in orders(&folder) {
        if matches!(row.action.as_str(), "NEW" | "IOC") {
            numbers.insert(row.seq, row.order_id);
        }
        for event in replay.run(&row) {
            match event.body {
                ExecutionBody::Traded(trade) => {
                    let maker = numbers[&trade.maker.order_id];
                    traded.push((trade.taker.order_id, maker, trade.taker.side, trade.price, trade.quantity));
                }
                ExecutionBody::Refused { reason, .. } => panic!("row {} is refused: {reason:?}", row.seq),
                _ => {}
            }
        }
    }
    let expected = fills(&folder);
    assert_eq!(expected.len(), 4_067);
    for (number, (traded, expected)) in traded.iter().zip(&expected).enumerate() {
        assert_eq!(traded, expected, "fill {}", number + 1);
    }
    assert_eq!(traded.len(), expected.len());
}

/// Each quote must be one of the next that the exchange showed: the very next one after a command without a trade,
/// while a sweep may pass over as many as it has trades (the exchange showed the book after each of them). So the
/// real quotes are accounted for to the last. Not compared: what stood before the first real quote, when the book was
/// being filled, and between a `skip` and its `reenter`, where the file takes a resting order out for a moment.
#[test]
fn the_quotes_of_the_day() {
    let Some(folder) = data() else { return };
    let mut replay = Replay::new();
    let shown = quotes(&folder);
    let (mut at, mut within, mut taken_out, mut matched) = (None, 0, 0, 0);
    for row in orders(&folder) {
        match row.tag.as_str() {
            "skip" => taken_out += 1,
            "reenter" => taken_out -= 1,
            _ => {}
        }
        let events = replay.run(&row);
        within += 1 + events.iter().filter(|event| matches!(event.body, ExecutionBody::Traded(_))).count();
        if taken_out > 0 {
            continue;
        }
        for event in events {
            let ExecutionBody::Quoted { bid: Some(bid), ask: Some(ask), .. } = event.body else { continue };
            let quote = in_file_units(bid, ask);
            at = match at {
                None if row.tag == "seed" && quote != shown[0] => continue,
                None => Some(0),
                Some(before) => {
                    let next = &shown[before + 1..(before + 1 + within).min(shown.len())];
                    let found = next.iter().position(|shown| *shown == quote);
                    // After an order was taken out and put back, the quote is the old one again.
                    let found = found.map(|ahead| before + 1 + ahead).or((shown[before] == quote).then_some(before));
                    Some(found.unwrap_or_else(|| panic!("row {}: {quote:?}, but the exchange: {next:?}", row.seq)))
                }
            };
            matched += 1;
        }
        within = 0;
    }
    assert_eq!(at, Some(shown.len() - 1));
    assert_eq!((shown.len(), matched), (23_440, 22_648));
}

fn in_file_units(bid: Level, ask: Level) -> Quote {
    [ask.price / PRICE_UNIT, ask.quantity / ONE, bid.price / PRICE_UNIT, bid.quantity / ONE]
}
