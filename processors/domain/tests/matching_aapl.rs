//! One hour of AAPL on NASDAQ (2012-06-21), order by order: the trades that really happened, row by row, and the
//! quotes that were really shown. Read from `$TAPELINE_DATA` or `../shared/data`; skipped where that is missing.
//! What the files hold is told in the README beside them.

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
}

/// One row of `fills` without its number and time: aggressor_seq, maker_order_id, aggressor_side, price, qty.
type Fill = (i64, i64, Side, i64, i64);

/// ask price, ask size, bid price, bid size, as in the file.
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
    rows.iter().map(|row| [0, 1, 2, 3].map(|column| row[column].parse().unwrap())).collect()
}

/// Makes commands of rows: each order has an account of its own, so that nothing trades with itself.
#[derive(Default)]
struct Replay {
    matching: Matching_,
    /// The command that placed the order of an id in the file (the newest, where one was entered again).
    placed: HashMap<i64, i64>,
    /// Its total quantity by now.
    totals: HashMap<i64, i64>,
}

struct Matching_(Matching);

impl Default for Matching_ {
    fn default() -> Self {
        Self(Matching::new(0))
    }
}

impl Replay {
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
        self.matching.0.apply(row.ts_ms, &command, &mut events);
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
fn probe() {
    let Some(folder) = data() else { return };
    let mut replay = Replay::default();
    let shown = quotes(&folder);
    let mut at = 0usize;
    let (mut ok, mut bad, mut partial) = (0, 0, 0);
    for row in orders(&folder) {
        for e in replay.run(&row) {
            if let ExecutionBody::Quoted { bid, ask, .. } = e.body {
                let (Some(b), Some(a)) = (bid, ask) else { partial += 1; println!("one-sided after {}", row.seq); continue };
                let f = |l: Level| (l.price / PRICE_UNIT, l.quantity / ONE);
                let q = [f(a).0, f(a).1, f(b).0, f(b).1];
                match shown[at..].iter().take(60).position(|s| *s == q) {
                    Some(n) => { if n > 1 { println!("skip {n} at {} seq {}", at, row.seq);} at += n; ok += 1 }
                    None => { bad += 1; println!("bad {} {} {:?} at {at} {:?}", row.seq, row.action, q, &shown[at]); }
                }
            }
        }
    }
    println!("{ok} {bad} {partial} at {at} of {}", shown.len());
}
