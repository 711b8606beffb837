//! Commands and events as lines of text, so that a test reads as a transcript.
//!
//! A command: `<id> <account> <what> <flags>`, all on the instrument X, prices and quantities in whole units:
//! `1 ann buy 10 @ 100 ioc`, `2 bob sell 5 market @ 90`, `3 ann buy 5 stop 101 @ 110`, `4 ann sell 9 @ 99 iceberg 2`,
//! `5 ann amend 1 qty 8 price 101 extra 3`, `6 ann cancel 1`, `7 ann cancel-all`, `8 ann transfer USD 5`, `tick 500`.
//! Events are the lines that start with `>`.

use tapeline_domain::accepted::{Accepted, Action, Amendment, OrderTerms};
use tapeline_domain::execution::{Execution, ExecutionBody, Level, OrderState};
use tapeline_domain::matching::Matching;
use tapeline_domain::money;
use tapeline_domain::types::{ONE, OrderType, SelfTradePrevention, Side, TimeInForce, Units};

pub const MAKER_FEE_PPM: i64 = 1_000;
pub const TAKER_FEE_PPM: i64 = 2_000;

/// A line of a script.
pub enum Line {
    Command(Box<Accepted>),
    Tick(i64),
}

/// Runs the commands in `script`; panics unless the events are the `>` lines in it.
pub fn check(script: &str) {
    let expected: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut matching = Matching::new(0);
    let mut transcript = Vec::new();
    for line in expected.iter().filter(|line| !line.starts_with('>')) {
        transcript.push(line.to_string());
        let events = run(&mut matching, line);
        transcript.extend(events.iter().map(|event| format!("> {}", event_text(event))));
    }
    assert!(transcript == expected, "expected:\n{}\n\nbut it was:\n{}", expected.join("\n"), transcript.join("\n"));
}

/// Runs one line.
pub fn run(matching: &mut Matching, line: &str) -> Vec<Execution> {
    let mut out = Vec::new();
    match parse(line) {
        Line::Command(command) => matching.apply(command.commanded_at_ms + 1, &command, &mut out),
        Line::Tick(now_ms) => matching.tick(now_ms, &mut out),
    }
    out
}

pub fn parse(line: &str) -> Line {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words[0] == "tick" {
        return Line::Tick(words[1].parse().unwrap());
    }
    let command_id: i64 = words[0].parse().unwrap();
    let whole = |name: &str| flag(&words, name).map(|value| value.parse::<i64>().unwrap());
    let units = |name: &str| whole(name).map(|value| value * ONE);
    let action = match words[2] {
        "buy" | "sell" => Action::Place(terms(&words)),
        "amend" => Action::Amend(Amendment {
            instrument: "X".into(),
            target_order_id: whole("amend").unwrap(),
            quantity: units("qty"),
            price: units("price"),
            extra_reserved: units("extra").unwrap_or(0),
            reserve_asset: "B".into(),
        }),
        "cancel" => Action::Cancel { instrument: "X".into(), target_order_id: whole("cancel").unwrap() },
        "cancel-all" => Action::CancelAll { instrument: "X".into() },
        "transfer" => Action::Transfer { asset: words[3].into(), amount: words[4].parse::<i64>().unwrap() * ONE },
        other => panic!("unknown command {other}"),
    };
    Line::Command(Box::new(Accepted {
        command_id,
        account: words[1].into(),
        client_order_id: format!("c{command_id}").into(),
        commanded_at_ms: command_id * 10,
        action,
    }))
}

fn flag<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().position(|word| *word == name).map(|at| words[at + 1])
}

fn terms(words: &[&str]) -> OrderTerms {
    let has = |name: &str| words.contains(&name);
    let whole = |name: &str| flag(words, name).map(|value| value.parse::<i64>().unwrap());
    let units = |name: &str| whole(name).map(|value| value * ONE);
    let side = if has("buy") { Side::Buy } else { Side::Sell };
    let order_type = match (has("market"), has("stop"), has("stop-limit")) {
        (true, ..) => OrderType::Market,
        (_, true, _) => OrderType::Stop,
        (_, _, true) => OrderType::StopLimit,
        _ => OrderType::Limit,
    };
    let time_in_force = match (has("ioc"), has("fok"), has("day"), has("gtd")) {
        (true, ..) => TimeInForce::Ioc,
        (_, true, ..) => TimeInForce::Fok,
        (_, _, true, _) => TimeInForce::Day,
        (.., true) => TimeInForce::Gtd,
        _ => TimeInForce::Gtc,
    };
    let self_trade_prevention = match flag(words, "stp") {
        Some("oldest") => SelfTradePrevention::CancelOldest,
        Some("both") => SelfTradePrevention::CancelBoth,
        Some("decrement") => SelfTradePrevention::DecrementAndCancel,
        _ => SelfTradePrevention::CancelNewest,
    };
    let quantity = words[3].parse::<i64>().unwrap() * ONE;
    let price = units("@").unwrap();
    OrderTerms {
        instrument: "X".into(),
        base_asset: "B".into(),
        quote_asset: "Q".into(),
        side,
        order_type,
        time_in_force,
        quantity,
        price,
        stop_price: units("stop").or(units("stop-limit")),
        display_quantity: units("iceberg"),
        post_only: has("post"),
        expires_at_ms: whole("day").or(whole("gtd")),
        self_trade_prevention,
        maker_fee_ppm: MAKER_FEE_PPM,
        taker_fee_ppm: TAKER_FEE_PPM,
        reserved: units("reserved")
            .unwrap_or_else(|| money::reservation(side, price, quantity, TAKER_FEE_PPM).unwrap_or(0)),
    }
}

pub fn event_text(execution: &Execution) -> String {
    let order = |order: &OrderState| format!("{} {:?} {}", order.order_id, order.status, number(order.leaves));
    match &execution.body {
        ExecutionBody::Accepted { order: state } => format!("accepted {}", order(state)),
        ExecutionBody::Traded(trade) => {
            let (price, quantity) = (number(trade.price), number(trade.quantity));
            format!("traded {quantity} @ {price}: {} | {}", order(&trade.taker), order(&trade.maker))
        }
        ExecutionBody::Amended { order: state, kept_place } => {
            format!("amended {}{}", order(state), if *kept_place { " in place" } else { "" })
        }
        ExecutionBody::Triggered { order: state } => format!("triggered {}", order(state)),
        ExecutionBody::Cancelled { order: state, reason } => format!("cancelled {}: {reason:?}", order(state)),
        ExecutionBody::Expired { order: state } => format!("expired {}", order(state)),
        ExecutionBody::Refused { target_order_id, reason, reserve_asset, released, .. } => {
            let target = target_order_id.map_or("-".to_string(), |id| id.to_string());
            let asset = reserve_asset.as_ref().map_or("-", |asset| asset.as_str());
            format!("refused {target}: {reason:?}, {} {asset} back", number(*released))
        }
        ExecutionBody::Quoted { bid, ask, .. } => format!("quotes {} / {}", level(bid), level(ask)),
        ExecutionBody::Transferred { asset, amount, .. } => format!("transferred {} {asset}", number(*amount)),
    }
}

fn level(level: &Option<Level>) -> String {
    level.map_or("-".to_string(), |level| format!("{} @ {}", number(level.quantity), number(level.price)))
}

fn number(units: Units) -> String {
    money::decimal(units)
}
