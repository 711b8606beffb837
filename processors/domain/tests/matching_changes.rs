//! What happens to orders that are in the book already: amend, cancel, cancel-all, expiry. As `matching_rules.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod matching_support;

use matching_support::script::check;

#[test]
fn amending_down_keeps_the_place_and_up_loses_it() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 cat sell 5 @ 101
         > accepted 2 Open 5
         > quotes - / 10 @ 101
         3 ann amend 1 qty 3
         > amended 1 Open 3 in place
         > quotes - / 8 @ 101
         4 bob buy 1 @ 101
         > accepted 4 Open 1
         > traded 1 @ 101: 4 Filled 0 | 1 PartlyFilled 2
         > quotes - / 7 @ 101
         5 ann amend 1 qty 4 extra 1
         > amended 1 PartlyFilled 3
         > quotes - / 8 @ 101
         6 bob buy 1 @ 101
         > accepted 6 Open 1
         > traded 1 @ 101: 6 Filled 0 | 2 PartlyFilled 4
         > quotes - / 7 @ 101
         7 ann amend 1 qty 1
         > cancelled 1 Cancelled 3: AmendedToFilled
         > quotes - / 4 @ 101",
    );
}

#[test]
fn an_amend_that_changes_nothing_keeps_the_place() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 ann amend 1 qty 5 price 101 extra 5
         > amended 1 Open 5 in place",
    );
}

/// What self-trade prevention took stays taken: of 9, 4 are gone, so a total of 8 leaves 4.
#[test]
fn an_amend_moves_the_leaves_by_as_much_as_the_total() {
    check(
        "1 ann sell 9 @ 101
         > accepted 1 Open 9
         > quotes - / 9 @ 101
         2 ann buy 4 @ 101 stp decrement
         > accepted 2 Open 4
         > amended 1 Open 5 in place
         > cancelled 2 Cancelled 4: SelfTrade
         > quotes - / 5 @ 101
         3 ann amend 1 qty 8
         > amended 1 Open 4 in place
         > quotes - / 4 @ 101
         4 ann amend 1 qty 4
         > cancelled 1 Cancelled 4: AmendedToFilled
         > quotes - / -",
    );
}

#[test]
fn an_amended_price_may_cross() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 bob buy 7 @ 100
         > accepted 2 Open 7
         > quotes 7 @ 100 / 5 @ 101
         3 bob amend 2 price 101 extra 9
         > amended 2 Open 7
         > traded 5 @ 101: 2 PartlyFilled 2 | 1 Filled 0
         > quotes 2 @ 101 / -",
    );
}

#[test]
fn amending_an_iceberg_down_takes_hidden_quantity_first() {
    check(
        "1 ann sell 9 @ 101 iceberg 3
         > accepted 1 Open 9
         > quotes - / 3 @ 101
         2 ann amend 1 qty 4
         > amended 1 Open 4 in place
         3 ann amend 1 qty 2
         > amended 1 Open 2 in place
         > quotes - / 2 @ 101
         4 ann amend 1 qty 6 extra 4
         > amended 1 Open 6
         > quotes - / 3 @ 101",
    );
}

#[test]
fn an_amend_that_is_not_covered_is_refused_and_gives_back_its_extra() {
    check(
        "1 ann sell 5 @ 101
         > accepted 1 Open 5
         > quotes - / 5 @ 101
         2 ann amend 1 qty 8 extra 2
         > refused 1: ReservationTooSmall, 2 B back
         3 bob amend 1 qty 8 extra 3
         > refused 1: NotOpen, 3 B back
         4 ann amend 77 qty 8
         > refused 77: NotOpen, 0 - back
         5 ann amend 1 price 0 extra 3
         > refused 1: NotAmendable, 3 B back
         6 ann amend 1 qty 9999999999 extra 3
         > refused 1: ReservationTooSmall, 3 B back",
    );
}

#[test]
fn a_waiting_stop_can_be_amended() {
    check(
        "1 ann sell 5 stop 90 @ 80
         > accepted 1 Waiting 5
         2 ann sell 5 stop-limit 90 @ 90
         > accepted 2 Waiting 5
         3 ann amend 1 price 85
         > refused 1: NotAmendable, 0 - back
         4 ann amend 1 qty 6 extra 1
         > amended 1 Waiting 6 in place
         5 ann amend 2 qty 4 price 89
         > amended 2 Waiting 4 in place
         6 ann amend 2 qty 0
         > cancelled 2 Cancelled 4: AmendedToFilled
         7 cat buy 9 @ 90
         > accepted 7 Open 9
         > quotes 9 @ 90 / -
         8 bob sell 1 @ 90
         > accepted 8 Open 1
         > traded 1 @ 90: 8 Filled 0 | 7 PartlyFilled 8
         > triggered 1 Open 6
         > traded 6 @ 90: 1 Filled 0 | 7 PartlyFilled 2
         > quotes 2 @ 90 / -",
    );
}

#[test]
fn cancels() {
    check(
        "1 ann buy 5 @ 99
         > accepted 1 Open 5
         > quotes 5 @ 99 / -
         2 bob cancel 1
         > refused 1: NotOpen, 0 - back
         3 ann cancel 1
         > cancelled 1 Cancelled 5: Requested
         > quotes - / -
         4 ann cancel 1
         > refused 1: NotOpen, 0 - back
         5 ann cancel-all
         > refused -: NothingToCancel, 0 - back
         8 ann buy 5 @ 98
         > accepted 8 Open 5
         > quotes 5 @ 98 / -
         7 ann sell 5 stop 90 @ 80
         > accepted 7 Waiting 5
         9 bob buy 5 @ 98
         > accepted 9 Open 5
         > quotes 10 @ 98 / -
         6 ann buy 5 @ 97
         > accepted 6 Open 5
         10 ann cancel-all
         > cancelled 6 Cancelled 5: CancelAll
         > cancelled 7 Cancelled 5: CancelAll
         > cancelled 8 Cancelled 5: CancelAll
         > quotes 5 @ 98 / -
         11 ann cancel-all
         > refused -: NothingToCancel, 0 - back",
    );
}

#[test]
fn ticks_expire_by_time_and_order_id() {
    check(
        "1 ann buy 5 @ 99 gtd 2000
         > accepted 1 Open 5
         > quotes 5 @ 99 / -
         3 ann buy 5 @ 98 day 1000
         > accepted 3 Open 5
         2 ann sell 5 stop 90 @ 80 day 1000
         > accepted 2 Waiting 5
         4 ann buy 5 @ 97
         > accepted 4 Open 5
         tick 999
         tick 1000
         > expired 2 Expired 5
         > expired 3 Expired 5
         tick 5000
         > expired 1 Expired 5
         > quotes 5 @ 97 / -
         tick 9000",
    );
}
