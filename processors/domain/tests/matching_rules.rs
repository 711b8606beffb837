//! Each matching rule as a short transcript: commands, and after each what it must give. Notation: see
//! `matching_support/script.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod matching_support;

use matching_support::script::{Line, check, parse, run};
use tapeline_domain::execution::{Execution, ExecutionBody, Level, OrderState};
use tapeline_domain::matching::Matching;
use tapeline_domain::types::{ONE, Side, position_id};

#[test]
fn best_price_first_then_earliest() {
    check(
        "1 ann sell 5 @ 102
         > accepted 1 Open 5
         > quotes - / 5 @ 102
         2 ann sell 5 @ 101
         > accepted 2 Open 5
         > quotes - / 5 @ 101
         3 cat sell 5 @ 101
         > accepted 3 Open 5
         > quotes - / 10 @ 101
         4 bob buy 13 @ 102
         > accepted 4 Open 13
         > traded 5 @ 101: 4 PartlyFilled 8 | 2 Filled 0
         > traded 5 @ 101: 4 PartlyFilled 3 | 3 Filled 0
         > traded 3 @ 102: 4 Filled 0 | 1 PartlyFilled 2
         > quotes - / 2 @ 102",
    );
}

#[test]
fn a_limit_rests_what_does_not_trade() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 bob buy 8 @ 101
         > accepted 2 Open 8
         > traded 5 @ 101: 2 PartlyFilled 3 | 1 Filled 0
         > quotes 3 @ 101 / -
         3 ann sell 1 @ 102
         > accepted 3 Open 1
         > quotes 3 @ 101 / 1 @ 102
         4 ann sell 1 @ 103
         > accepted 4 Open 1",
    );
}

#[test]
fn immediate_or_cancel_never_rests() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 bob buy 8 @ 101 ioc
         > accepted 2 Open 8
         > traded 5 @ 101: 2 PartlyFilled 3 | 1 Filled 0
         > cancelled 2 Cancelled 3: ImmediateOrCancel
         > quotes - / -
         3 bob buy 8 @ 101 ioc
         > accepted 3 Open 8
         > cancelled 3 Cancelled 8: ImmediateOrCancel",
    );
}

#[test]
fn a_market_order_takes_within_its_collar_only() {
    check(
        "1 ann buy 5 @ 99
         > accepted 1 Open 5
         > quotes 5 @ 99 / -
         2 ann buy 5 @ 90
         > accepted 2 Open 5
         3 bob sell 8 market @ 95
         > accepted 3 Open 8
         > traded 5 @ 99: 3 PartlyFilled 3 | 1 Filled 0
         > cancelled 3 Cancelled 3: NoLiquidity
         > quotes 5 @ 90 / -
         4 bob sell 8 market @ 80 ioc
         > accepted 4 Open 8
         > traded 5 @ 90: 4 PartlyFilled 3 | 2 Filled 0
         > cancelled 4 Cancelled 3: NoLiquidity
         > quotes - / -
         5 bob sell 8 market @ 80 fok
         > accepted 5 Open 8
         > cancelled 5 Cancelled 8: FillOrKill",
    );
}

#[test]
fn fill_or_kill_counts_what_icebergs_hide() {
    check(
        "1 ann sell 9 @ 101 iceberg 2
         > accepted 1 Open 9
         > quotes - / 2 @ 101
         2 bob buy 10 @ 101 fok
         > accepted 2 Open 10
         > cancelled 2 Cancelled 10: FillOrKill
         3 bob buy 5 @ 101 fok
         > accepted 3 Open 5
         > traded 2 @ 101: 3 PartlyFilled 3 | 1 PartlyFilled 7
         > traded 2 @ 101: 3 PartlyFilled 1 | 1 PartlyFilled 5
         > traded 1 @ 101: 3 Filled 0 | 1 PartlyFilled 4
         > quotes - / 1 @ 101",
    );
}

#[test]
fn fill_or_kill_stops_at_an_own_order() {
    check(
        "1 ann sell 9 @ 101 iceberg 2
         > accepted 1 Open 9
         > quotes - / 2 @ 101
         2 bob sell 1 @ 101
         > accepted 2 Open 1
         > quotes - / 3 @ 101
         3 bob buy 3 @ 101 fok
         > accepted 3 Open 3
         > cancelled 3 Cancelled 3: FillOrKill
         4 bob buy 3 @ 101 fok stp decrement
         > accepted 4 Open 3
         > cancelled 4 Cancelled 3: FillOrKill
         5 bob buy 1 @ 101 fok
         > accepted 5 Open 1
         > traded 1 @ 101: 5 Filled 0 | 1 PartlyFilled 8
         > quotes - / 2 @ 101
         6 bob buy 3 @ 101 fok stp oldest
         > accepted 6 Open 3
         > traded 1 @ 101: 6 PartlyFilled 2 | 1 PartlyFilled 7
         > cancelled 2 Cancelled 1: SelfTrade
         > traded 2 @ 101: 6 Filled 0 | 1 PartlyFilled 5",
    );
}

/// The iceberg's next slice would stand behind the own order, so its hidden quantity is out of reach.
#[test]
fn fill_or_kill_does_not_count_what_hides_behind_an_own_order() {
    check(
        "1 ann sell 9 @ 101 iceberg 2
         > accepted 1 Open 9
         > quotes - / 2 @ 101
         2 cat sell 1 @ 101
         > accepted 2 Open 1
         > quotes - / 3 @ 101
         3 bob sell 1 @ 101
         > accepted 3 Open 1
         > quotes - / 4 @ 101
         4 bob buy 5 @ 101 fok
         > accepted 4 Open 5
         > cancelled 4 Cancelled 5: FillOrKill",
    );
}

#[test]
fn post_only_does_not_take() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 bob buy 5 @ 101 post
         > accepted 2 Open 5
         > cancelled 2 Cancelled 5: PostOnly
         3 bob buy 5 @ 100 post
         > accepted 3 Open 5
         > quotes 5 @ 100 / 5 @ 101
         4 bob amend 3 price 101 extra 9
         > amended 3 Open 5
         > cancelled 3 Cancelled 5: PostOnly
         > quotes - / 5 @ 101",
    );
}

#[test]
fn an_iceberg_shows_a_slice_and_goes_to_the_back_with_the_next() {
    check(
        "1 ann sell 5 @ 101 iceberg 2
         > accepted 1 Open 5
         > quotes - / 2 @ 101
         2 cat sell 4 @ 101
         > accepted 2 Open 4
         > quotes - / 6 @ 101
         3 bob buy 3 @ 101
         > accepted 3 Open 3
         > traded 2 @ 101: 3 PartlyFilled 1 | 1 PartlyFilled 3
         > traded 1 @ 101: 3 Filled 0 | 2 PartlyFilled 3
         > quotes - / 5 @ 101
         4 bob buy 6 @ 101
         > accepted 4 Open 6
         > traded 3 @ 101: 4 PartlyFilled 3 | 2 Filled 0
         > traded 2 @ 101: 4 PartlyFilled 1 | 1 PartlyFilled 1
         > traded 1 @ 101: 4 Filled 0 | 1 Filled 0
         > quotes - / -",
    );
}

#[test]
fn an_iceberg_takes_with_all_of_it() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 bob buy 9 @ 101 iceberg 3
         > accepted 2 Open 9
         > traded 5 @ 101: 2 PartlyFilled 4 | 1 Filled 0
         > quotes 3 @ 101 / -",
    );
}

#[test]
fn a_stop_sleeps_until_a_trade_reaches_its_price() {
    check(
        "1 ann buy 2 stop 101 @ 105
         > accepted 1 Waiting 2
         2 cat sell 1 @ 101
         > accepted 2 Open 1
         > quotes - / 1 @ 101
         3 cat sell 1 @ 103
         > accepted 3 Open 1
         4 bob buy 1 @ 101
         > accepted 4 Open 1
         > traded 1 @ 101: 4 Filled 0 | 2 Filled 0
         > triggered 1 Open 2
         > traded 1 @ 103: 1 PartlyFilled 1 | 3 Filled 0
         > cancelled 1 Cancelled 1: NoLiquidity
         > quotes - / -
         5 ann sell 2 stop-limit 103 @ 102
         > accepted 5 Waiting 2
         > triggered 5 Open 2
         > quotes - / 2 @ 102
         6 ann sell 2 stop-limit 102 @ 102
         > accepted 6 Waiting 2",
    );
}

#[test]
fn elected_stops_run_in_order_of_entry_and_elect_more_behind() {
    check(
        "1 ann buy 1 stop-limit 104 @ 104
         > accepted 1 Waiting 1
         2 ann buy 1 stop-limit 103 @ 104
         > accepted 2 Waiting 1
         3 ann buy 1 stop-limit 102 @ 104
         > accepted 3 Waiting 1
         4 ann sell 1 stop-limit 101 @ 110
         > accepted 4 Waiting 1
         5 cat sell 1 @ 101
         > accepted 5 Open 1
         > quotes - / 1 @ 101
         6 cat sell 1 @ 103
         > accepted 6 Open 1
         7 cat sell 1 @ 104
         > accepted 7 Open 1
         8 bob buy 2 @ 103
         > accepted 8 Open 2
         > traded 1 @ 101: 8 PartlyFilled 1 | 5 Filled 0
         > traded 1 @ 103: 8 Filled 0 | 6 Filled 0
         > triggered 2 Open 1
         > traded 1 @ 104: 2 Filled 0 | 7 Filled 0
         > triggered 3 Open 1
         > triggered 4 Open 1
         > triggered 1 Open 1
         > quotes 2 @ 104 / 1 @ 110",
    );
}

#[test]
fn self_trade_cancel_newest() {
    check(
        "1 cat sell 1 @ 101
         > accepted 1 Open 1
         > quotes - / 1 @ 101
         2 ann sell 5 @ 101
         > accepted 2 Open 5
         > quotes - / 6 @ 101
         3 ann buy 8 @ 101
         > accepted 3 Open 8
         > traded 1 @ 101: 3 PartlyFilled 7 | 1 Filled 0
         > cancelled 3 Cancelled 7: SelfTrade
         > quotes - / 5 @ 101",
    );
}

#[test]
fn self_trade_cancel_oldest() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 cat sell 5 @ 101
         > accepted 2 Open 5
         > quotes - / 10 @ 101
         3 ann buy 4 @ 101 stp oldest
         > accepted 3 Open 4
         > cancelled 1 Cancelled 5: SelfTrade
         > traded 4 @ 101: 3 Filled 0 | 2 PartlyFilled 1
         > quotes - / 1 @ 101",
    );
}

#[test]
fn self_trade_cancel_both() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 ann buy 4 @ 101 stp both
         > accepted 2 Open 4
         > cancelled 1 Cancelled 5: SelfTrade
         > cancelled 2 Cancelled 4: SelfTrade
         > quotes - / -",
    );
}

#[test]
fn self_trade_decrement() {
    check(
        "1 ann sell 9 @ 101 iceberg 3
         > accepted 1 Open 9
         > quotes - / 3 @ 101
         2 ann buy 4 @ 101 stp decrement
         > accepted 2 Open 4
         > amended 1 Open 5 in place
         > cancelled 2 Cancelled 4: SelfTrade
         3 ann buy 3 @ 101 stp decrement
         > accepted 3 Open 3
         > amended 1 Open 2 in place
         > cancelled 3 Cancelled 3: SelfTrade
         > quotes - / 2 @ 101
         4 ann buy 3 @ 101 stp decrement
         > accepted 4 Open 3
         > cancelled 1 Cancelled 2: SelfTrade
         > amended 4 Open 1 in place
         > quotes 1 @ 101 / -
         5 ann sell 1 @ 101 stp decrement
         > accepted 5 Open 1
         > cancelled 4 Cancelled 1: SelfTrade
         > cancelled 5 Cancelled 1: SelfTrade
         > quotes - / -",
    );
}

#[test]
fn a_transfer_passes_through() {
    check(
        "1 ann transfer USD 5
         > transferred 5 USD
         2 ann transfer USD -3
         > transferred -3 USD",
    );
}

/// Not from the validator, but not a reason to stop or to leave the order without an end either.
#[test]
fn unsound_terms_are_cancelled() {
    check(
        "1 ann buy 0 @ 99
         > accepted 1 Open 0
         > cancelled 1 Cancelled 0: NoLiquidity
         2 ann buy 5 @ 99 reserved 1
         > accepted 2 Open 5
         > cancelled 2 Cancelled 5: NoLiquidity
         3 ann buy 9999999999 @ 9999999999
         > accepted 3 Open 9999999999
         > cancelled 3 Cancelled 9999999999: NoLiquidity",
    );
}

fn states(events: &[Execution]) -> Vec<(i64, i64, i64)> {
    let of = |order: &OrderState| (order.order_id, order.reserved_before, order.reserved_after);
    let mut found = Vec::new();
    for event in events {
        match &event.body {
            ExecutionBody::Traded(trade) => found.extend([of(&trade.taker), of(&trade.maker)]),
            ExecutionBody::Accepted { order }
            | ExecutionBody::Amended { order, .. }
            | ExecutionBody::Triggered { order }
            | ExecutionBody::Cancelled { order, .. }
            | ExecutionBody::Expired { order } => found.push(of(order)),
            _ => {}
        }
    }
    found
}

/// Fees of the script: maker 0.1 %, taker 0.2 %.
#[test]
fn reservations_move_with_each_event() {
    let mut matching = Matching::new(0);
    let mut reserved = |line: &str| states(&run(&mut matching, line));
    let cents = |value: i64| value * ONE / 100;
    let (bought, sold) = (cents(100_200), 10 * ONE);
    assert_eq!(reserved("1 ann buy 10 @ 100"), [(1, bought, bought)]);
    assert_eq!(reserved("2 ann amend 1 qty 9"), [(1, bought, cents(90_180))]);
    let traded = [(3, sold, sold), (3, sold, ONE), (1, cents(90_180), 0), (3, ONE, 0)];
    assert_eq!(reserved("3 bob sell 10 @ 100 ioc"), traded);
    assert_eq!(reserved("4 ann buy 10 @ 90 gtd 500"), [(4, cents(90_180), cents(90_180))]);
    assert_eq!(reserved("5 ann amend 4 price 80 extra 7"), [(4, cents(90_880), cents(80_160))]);
    assert_eq!(reserved("tick 500"), [(4, cents(80_160), 0)]);
}

#[test]
fn identities_and_times_come_from_the_input() {
    let mut matching = Matching::new(3);
    run(&mut matching, "1 ann buy 5 @ 99 gtd 700");
    run(&mut matching, "2 ann buy 5 @ 99");
    let events = run(&mut matching, "7 bob sell 6 @ 99");
    let Line::Command(command) = parse("7 bob sell 6 @ 99") else { panic!("a command") };
    for event in &events {
        assert_eq!((event.command_id, event.commanded_at_ms), (7, command.commanded_at_ms));
        assert_eq!(event.validated_at_ms, command.commanded_at_ms + 1);
    }
    let trade_ids: Vec<i64> = events
        .iter()
        .filter_map(|event| if let ExecutionBody::Traded(trade) = &event.body { Some(trade.trade_id) } else { None })
        .collect();
    assert_eq!(trade_ids, [position_id(3, 1), position_id(3, 2)]);
    run(&mut matching, "8 ann buy 5 @ 100 gtd 700");
    for event in run(&mut matching, "tick 800") {
        assert_eq!((event.command_id, event.commanded_at_ms, event.validated_at_ms), (8, 800, 800));
    }
}

#[test]
fn the_book_can_be_read() {
    let mut matching = Matching::new(0);
    assert!(matching.book("X").is_none());
    for line in ["1 ann buy 5 @ 99", "2 ann buy 7 @ 98 iceberg 2", "3 ann sell 1 @ 101", "4 ann sell 1 stop 90 @ 80"] {
        run(&mut matching, line);
    }
    let book = matching.book("X").unwrap();
    let level = |quantity: i64, price: i64| Level { price: price * ONE, quantity: quantity * ONE };
    assert_eq!((book.best_bid(), book.best_ask()), (Some(level(5, 99)), Some(level(1, 101))));
    assert_eq!(book.depth(Side::Buy, 9), [level(5, 99), level(2, 98)]);
    assert_eq!(book.depth(Side::Buy, 1), [level(5, 99)]);
    assert_eq!((book.order_count(), book.waiting_count(), book.last_price()), (3, 1, None));
    assert_eq!(book.symbol(), "X");
}
