//! Table tests of postings; conservation over whole streams is tested in `tests/pipeline`.

use super::*;
use crate::types::{ONE, OrderType, TimeInForce};
use std::collections::BTreeMap;

fn order(side: Side, reserved_before: Units, reserved_after: Units) -> OrderState {
    OrderState {
        order_id: 7,
        account: if side == Side::Buy { "ann".into() } else { "bob".into() },
        client_order_id: "c".into(),
        instrument: "AAPL-USD".into(),
        base_asset: "AAPL".into(),
        quote_asset: "USD".into(),
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        price: 10 * ONE,
        stop_price: None,
        quantity: 3 * ONE,
        filled: ONE,
        leaves: 2 * ONE,
        status: OrderStatus::PartlyFilled,
        maker_fee_ppm: 1_000,
        taker_fee_ppm: 2_000,
        reserved_before,
        reserved_after,
    }
}

fn execution(body: ExecutionBody) -> Execution {
    Execution { command_id: 1, commanded_at_ms: 10, validated_at_ms: 20, body }
}

fn lines(settlement: &Settlement) -> Vec<String> {
    let line = |p: &Posting| format!("{} {} {:?} {}", p.account, p.asset, p.bucket, p.amount);
    settlement.postings.iter().map(line).collect()
}

fn sums(settlement: &Settlement) -> BTreeMap<SmolStr, i128> {
    let mut sums = BTreeMap::new();
    for line in &settlement.postings {
        *sums.entry(line.asset.clone()).or_default() += i128::from(line.amount);
    }
    sums
}

#[test]
fn a_trade_moves_both_assets_takes_both_fees_and_returns_what_was_not_needed() -> Result<(), Unbalanced> {
    // The buyer reserved 3 at 10 plus 0.2 % and takes 1 at 9; the seller rested.
    let trade = Trade {
        trade_id: 5,
        price: 9 * ONE,
        quantity: ONE,
        taker: order(Side::Buy, 3_006_000_000, 2_004_000_000),
        maker: order(Side::Sell, 3 * ONE, 2 * ONE),
    };
    let mut out = Vec::new();
    settle(99, 30, &execution(ExecutionBody::Traded(Box::new(trade))), &mut out)?;
    assert_eq!(
        lines(&out[0]),
        [
            "ann USD Reserved -1002000000",
            "ann USD Available 100200000",
            "ann AAPL Available 100000000",
            "@clearing AAPL Available -100000000",
            "@clearing USD Available 900000000",
            "@fees USD Available 1800000",
        ]
    );
    assert_eq!(
        lines(&out[1]),
        [
            "bob AAPL Reserved -100000000",
            "bob USD Available 899100000",
            "@clearing AAPL Available 100000000",
            "@clearing USD Available -900000000",
            "@fees USD Available 900000",
        ]
    );
    for settlement in &out {
        assert!(sums(settlement).values().all(|sum| *sum == 0), "{settlement:?}");
    }
    Ok(())
}

#[test]
fn an_end_without_a_trade_releases_all_that_was_reserved() -> Result<(), Unbalanced> {
    let mut ended = order(Side::Buy, 500, 0);
    ended.status = OrderStatus::Expired;
    let mut out = Vec::new();
    settle(99, 30, &execution(ExecutionBody::Expired { order: ended }), &mut out)?;
    assert_eq!(lines(&out[0]), ["ann USD Reserved -500", "ann USD Available 500"]);
    assert!(out[0].order.is_some_and(|rest| rest.done));
    Ok(())
}

#[test]
fn transfers_stand_against_the_outside_account() -> Result<(), Unbalanced> {
    for (amount, kind, expected) in [
        (40, SettlementKind::Deposit, ["ann USD Available 40", "@outside USD Available -40"]),
        (-40, SettlementKind::Withdrawal, ["ann USD Reserved -40", "@outside USD Available 40"]),
    ] {
        let body = ExecutionBody::Transferred {
            account: "ann".into(),
            client_order_id: "t".into(),
            asset: "USD".into(),
            amount,
        };
        let mut out = Vec::new();
        settle(99, 30, &execution(body), &mut out)?;
        assert_eq!((out[0].kind, lines(&out[0])), (kind, expected.map(String::from).to_vec()));
    }
    Ok(())
}

#[test]
fn spending_more_than_was_reserved_is_refused() {
    let trade = Trade {
        trade_id: 5,
        price: 9 * ONE,
        quantity: ONE,
        taker: order(Side::Buy, 100, 0),
        maker: order(Side::Sell, 3 * ONE, 2 * ONE),
    };
    let mut out = Vec::new();
    assert!(settle(99, 30, &execution(ExecutionBody::Traded(Box::new(trade))), &mut out).is_err());
    assert!(out.is_empty());
}
