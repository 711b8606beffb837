//! Runs `ladder.txt` through the validator's rules, a fresh state for each row.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_domain::accepted::Action;
use tapeline_domain::command::{Command, CommandKind, RejectReason};
use tapeline_domain::money::decimal;
use tapeline_domain::risk::{CommandAt, Decision, Risk};
use tapeline_domain::settlement::{Bucket, OrderRest, Posting, Settlement, SettlementKind};
use tapeline_domain::types::{
    Account, AccountStatus, Instrument, InstrumentStatus, ONE, OrderType, Side, TimeInForce, Units,
};

fn units(text: &str) -> Units {
    let negative = text.starts_with('-');
    let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    let fraction = format!("{fraction:0<8}");
    let value = whole.parse::<Units>().unwrap() * ONE + fraction.parse::<Units>().unwrap();
    if negative { -value } else { value }
}

fn instrument(symbol: &str, status: InstrumentStatus, min_quantity: Units) -> Instrument {
    Instrument {
        symbol: symbol.into(),
        base_asset: symbol.split('-').next().unwrap().into(),
        quote_asset: "USD".into(),
        tick_size: ONE / 100,
        lot_size: ONE,
        min_quantity,
        max_quantity: 1_000 * ONE,
        min_notional: 10 * ONE,
        max_notional: 100_000 * ONE,
        reference_price: 100 * ONE,
        collar_ppm: 100_000,
        maker_fee_ppm: 500,
        taker_fee_ppm: 1_000,
        status,
        session_close_ms: 0,
    }
}

fn settle(risk: &mut Risk, account: &str, lines: &[(&str, Bucket, Units)], order: Option<(i64, OrderRest)>) {
    let posting = |(asset, bucket, amount): &(&str, Bucket, Units)| Posting {
        account: account.into(),
        asset: (*asset).into(),
        bucket: *bucket,
        amount: *amount,
    };
    let settlement = Settlement {
        kind: SettlementKind::Deposit,
        execution_id: 0,
        command_id: 0,
        account: account.into(),
        instrument: None,
        order_id: order.map(|(id, _)| id),
        fill: None,
        order: order.map(|(_, rest)| rest),
        postings: lines.iter().map(posting).collect(),
        commanded_at_ms: 0,
        validated_at_ms: 0,
        executed_at_ms: 0,
    };
    risk.settle(&settlement).unwrap();
}

/// The world of the table's header; ann and full have one open order, `used`: 1 at 100.
fn world() -> Risk {
    let mut risk = Risk::default();
    risk.set_instrument(instrument("AAPL-USD", InstrumentStatus::Open, ONE));
    risk.set_instrument(instrument("HALT-USD", InstrumentStatus::Halted, ONE));
    risk.set_instrument(instrument("BIG-USD", InstrumentStatus::Open, 10 * ONE));
    for (name, status, max_open_orders) in [
        ("ann", AccountStatus::Active, 5),
        ("bob", AccountStatus::Active, 5),
        ("sus", AccountStatus::Suspended, 5),
        ("full", AccountStatus::Active, 1),
    ] {
        risk.set_account(Account { id: name.into(), status, max_open_orders });
        let extra = if matches!(name, "ann" | "full") { units("100.1") } else { 0 };
        settle(&mut risk, name, &[("USD", Bucket::Available, 10_000 * ONE + extra)], None);
    }
    settle(&mut risk, "bob", &[("AAPL", Bucket::Available, 10 * ONE)], None);
    for account in ["ann", "full"] {
        let mut used = command(&HashMap::from([("account", account), ("id", "used"), ("quantity", "1")]));
        used.price = Some(100 * ONE);
        assert!(matches!(risk.decide(at(7, true), &used), Decision::Accepted(_)), "{used:?}");
    }
    risk
}

fn at(command_id: i64, in_own_partition: bool) -> CommandAt {
    CommandAt { command_id, time_ms: 1_000, in_own_partition }
}

fn command(row: &HashMap<&str, &str>) -> Command {
    let kind = match *row.get("kind").unwrap_or(&"PLACE") {
        "PLACE" => CommandKind::Place,
        "AMEND" => CommandKind::Amend,
        "CANCEL" => CommandKind::Cancel,
        "CANCEL_ALL" => CommandKind::CancelAll,
        "DEPOSIT" => CommandKind::Deposit,
        "WITHDRAW" => CommandKind::Withdraw,
        other => panic!("kind {other}"),
    };
    let text = |key: &str, default: &'static str| -> Option<SmolStr> {
        let value = row.get(key).copied().unwrap_or(default);
        (value != "-").then(|| value.into())
    };
    let number = |key: &str, default: &'static str| text(key, default).map(|value| units(&value));
    Command {
        account: text("account", "ann").unwrap(),
        client_order_id: text("id", "new").unwrap(),
        kind,
        instrument: text("instrument", "AAPL-USD"),
        side: text("side", "BUY").map(|side| if side == "BUY" { Side::Buy } else { Side::Sell }),
        order_type: text("type", "LIMIT").map(|kind| match kind.as_str() {
            "LIMIT" => OrderType::Limit,
            "MARKET" => OrderType::Market,
            "STOP" => OrderType::Stop,
            "STOP_LIMIT" => OrderType::StopLimit,
            other => panic!("type {other}"),
        }),
        time_in_force: text("tif", "-").map(|tif| match tif.as_str() {
            "GTC" => TimeInForce::Gtc,
            "DAY" => TimeInForce::Day,
            "GTD" => TimeInForce::Gtd,
            "IOC" => TimeInForce::Ioc,
            "FOK" => TimeInForce::Fok,
            other => panic!("tif {other}"),
        }),
        quantity: number("quantity", "10"),
        price: number("price", "100"),
        stop_price: number("stop", "-"),
        display_quantity: number("display", "-"),
        post_only: row.get("post_only") == Some(&"yes"),
        expires_at_ms: row.get("expires").map(|ms| ms.parse().unwrap()),
        self_trade_prevention: None,
        target_client_order_id: text("target", "-"),
        asset: text("asset", "-"),
        amount: number("amount", "-"),
    }
}

fn symbol(reason: RejectReason) -> String {
    let mut symbol = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !symbol.is_empty() {
            symbol.push('_');
        }
        symbol.extend(letter.to_uppercase());
    }
    symbol
}

/// The verdict in the table's words; reserved funds are read off the balances, not off the answer.
fn verdict(row: &HashMap<&str, &str>) -> String {
    let mut risk = world();
    let command = command(row);
    let assets = ["USD", "AAPL"];
    let before = assets.map(|asset| risk.balance(&command.account, asset));
    let decision = risk.decide(at(8, row.get("elsewhere") != Some(&"yes")), &command);
    let after = assets.map(|asset| risk.balance(&command.account, asset));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.available + before.reserved, after.available + after.reserved, "funds only move");
    }
    let held = |index: usize| after[index].reserved - before[index].reserved;
    match decision {
        Decision::Rejected(rejection) => {
            assert_eq!(before, after, "a refusal has no effect");
            assert!(rejection.text.ends_with('.'), "{}", rejection.text);
            symbol(rejection.reason)
        }
        Decision::Accepted(accepted) => match accepted.action {
            Action::Cancel { .. } | Action::CancelAll { .. } | Action::Transfer { amount: 1.., .. } => {
                "accepted".into()
            }
            Action::Place(terms) if terms.side == Side::Sell => format!("reserves {} AAPL", decimal(held(1))),
            _ => format!("reserves {} USD", decimal(held(0))),
        },
    }
}

#[test]
fn the_first_rung_that_fails_decides() {
    let mut rows = 0;
    for (number, line) in include_str!("ladder.txt").lines().enumerate() {
        let Some((given, expected)) = line.split_once('|').filter(|_| !line.starts_with('#')) else { continue };
        let row: HashMap<&str, &str> = given.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(verdict(&row), expected.trim(), "ladder.txt line {}: {line}", number + 1);
        rows += 1;
    }
    assert!(rows > 60, "only {rows} rows were read");
}

#[test]
fn a_repeated_client_order_id_gets_the_first_verdict_and_no_second_effect() {
    let mut risk = world();
    let good = command(&HashMap::from([("id", "twice")]));
    assert!(matches!(risk.decide(at(20, true), &good), Decision::Accepted(_)));
    let before = risk.balance("ann", "USD");
    let Decision::Rejected(again) = risk.decide(at(21, true), &good) else { panic!("accepted twice") };
    assert_eq!(again.original.map(|first| (first.command_id, first.rejected)), Some((20, None)));
    assert_eq!(risk.balance("ann", "USD"), before);

    let bad = command(&HashMap::from([("id", "bad"), ("price", "1000")]));
    assert!(matches!(risk.decide(at(22, true), &bad), Decision::Rejected(_)));
    let Decision::Rejected(again) = risk.decide(at(23, true), &bad) else { panic!("accepted") };
    let first = again.original.unwrap();
    assert_eq!((first.command_id, first.rejected), (22, Some(RejectReason::OutsideCollar)));
}

#[test]
fn a_client_order_id_is_forgotten_after_a_day_unless_its_order_is_open() {
    let day_later = |id| CommandAt { command_id: id, time_ms: 1_001 + 86_400_000, in_own_partition: true };
    let mut risk = world();
    let deposit = command(&HashMap::from([("kind", "DEPOSIT"), ("id", "d"), ("asset", "USD"), ("amount", "1")]));
    assert!(matches!(risk.decide(at(30, true), &deposit), Decision::Accepted(_)));
    assert!(matches!(risk.decide(at(31, true), &deposit), Decision::Rejected(_)));
    assert!(matches!(risk.decide(day_later(32), &deposit), Decision::Accepted(_)));
    let used = command(&HashMap::from([("id", "used")]));
    let Decision::Rejected(again) = risk.decide(day_later(33), &used) else { panic!("accepted") };
    assert_eq!(again.reason, RejectReason::DuplicateClientOrderId);
}

#[test]
fn an_ended_order_frees_its_place_and_a_balance_never_falls_below_zero() {
    let mut risk = world();
    assert_eq!(risk.open_orders("full"), 1);
    let done = OrderRest { price: 100 * ONE, quantity: ONE, leaves: ONE, reserved: 0, done: true };
    let held = units("100.1");
    let lines = [("USD", Bucket::Reserved, -held), ("USD", Bucket::Available, held)];
    settle(&mut risk, "full", &lines, Some((7, done)));
    assert_eq!(risk.open_orders("full"), 0);

    let overdraft = Settlement {
        kind: SettlementKind::Trade,
        execution_id: 1,
        command_id: 1,
        account: "bob".into(),
        instrument: None,
        order_id: None,
        fill: None,
        order: None,
        postings: vec![Posting { account: "bob".into(), asset: "AAPL".into(), bucket: Bucket::Reserved, amount: -1 }],
        commanded_at_ms: 0,
        validated_at_ms: 0,
        executed_at_ms: 0,
    };
    assert!(risk.settle(&overdraft).is_err());
    assert_eq!(risk.balance("bob", "AAPL").reserved, 0);
}
