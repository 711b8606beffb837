use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tapeline_schemas::wire::DepthLevel;

fn level((price, quantity): (Units, Units)) -> DepthLevel {
    DepthLevel { price, quantity }
}

fn record(kind: DepthKind, sequence: i64, bids: &[(i64, i64)], asks: &[(i64, i64)], checksum: u32) -> BookDepth {
    BookDepth {
        kind,
        instrument: "X".into(),
        sequence,
        part: 0,
        parts: 1,
        bids: bids.iter().copied().map(level).collect(),
        asks: asks.iter().copied().map(level).collect(),
        checksum: i64::from(checksum),
        command_id: None,
        commanded_at_ms: None,
        validated_at_ms: sequence,
    }
}

fn sum(bids: &[(i64, i64)], asks: &[(i64, i64)]) -> u32 {
    let of = |way: Way, (price, quantity): &(i64, i64)| way.checksum(Level { price: *price, quantity: *quantity });
    let bids = bids.iter().map(|level| of(Way::Buy, level));
    bids.chain(asks.iter().map(|level| of(Way::Sell, level))).fold(0, u32::wrapping_add)
}

fn levels(book: &Book) -> [Vec<(i64, i64)>; 2] {
    [book.bids(), book.asks()].map(|side| side.best_first().map(|level| (level.price, level.quantity)).collect())
}

#[test]
fn the_checksum_is_that_of_the_documented_bytes() {
    // python3: zlib.crc32(b"B" + struct.pack(">qq", 10_125_000_000, 150_000_000))
    assert_eq!(Way::Buy.checksum(Level { price: 10_125_000_000, quantity: 150_000_000 }), 1_183_764_284);
    assert_eq!(Way::Sell.checksum(Level { price: 10_125_000_000, quantity: 150_000_000 }), 3_598_294_274);
}

#[test]
fn a_book_begins_with_its_first_change_or_a_snapshot_and_nothing_else() {
    let mut book = Book::default();
    let late = record(DepthKind::Delta, 5, &[(9, 1)], &[], 0);
    assert_eq!((book.apply(&late), book.is_known()), (Applied::Waiting, false));
    let first = record(DepthKind::Delta, 1, &[(9, 1)], &[], sum(&[(9, 1)], &[]));
    assert_eq!((book.apply(&first), book.is_known()), (Applied::Replaced, true));
    let mut book = Book::default();
    let snapshot = record(DepthKind::Snapshot, 7, &[(9, 1), (8, 2)], &[(10, 3)], sum(&[(9, 1), (8, 2)], &[(10, 3)]));
    assert_eq!(book.apply(&snapshot), Applied::Replaced);
    assert_eq!(levels(&book), [vec![(9, 1), (8, 2)], vec![(10, 3)]]);
    assert_eq!((book.apply(&snapshot), book.sequence(), book.time_ms()), (Applied::Same, 7, 7));
}

#[test]
fn a_book_in_which_nobody_has_ordered_is_empty_and_goes_on_with_its_first_change() {
    let first = record(DepthKind::Delta, 1, &[(9, 1)], &[], sum(&[(9, 1)], &[]));
    let mut book = Book::default();
    assert_eq!((book.begin(), book.is_known(), book.sequence()), (true, true, 0));
    assert_eq!((book.begin(), book.apply(&first)), (false, Applied::Changed));
    // What somebody has ordered in is not begun anew, known or not.
    assert_eq!((book.begin(), levels(&book)), (false, [vec![(9, 1)], vec![]]));
    let mut book = Book::default();
    book.apply(&record(DepthKind::Delta, 5, &[(9, 1)], &[], 0));
    assert_eq!((book.begin(), book.is_known()), (false, false));
}

#[test]
fn after_a_gap_or_a_wrong_checksum_only_a_snapshot_makes_the_book_known() {
    let begin = record(DepthKind::Snapshot, 7, &[(9, 1)], &[], sum(&[(9, 1)], &[]));
    let good = |sequence| record(DepthKind::Delta, sequence, &[(9, 2)], &[], sum(&[(9, 2)], &[]));
    for (wrong, applied) in [
        (good(9), Applied::Gap),
        (good(7), Applied::Gap),
        (record(DepthKind::Delta, 8, &[(9, 2)], &[], 1), Applied::Broken),
    ] {
        let mut book = Book::default();
        book.apply(&begin);
        assert_eq!((book.apply(&wrong), book.is_known()), (applied, false));
        assert_eq!(book.apply(&good(wrong.sequence + 1)), Applied::Waiting);
        let snapshot = record(DepthKind::Snapshot, 20, &[(9, 2)], &[], sum(&[(9, 2)], &[]));
        assert_eq!((book.apply(&snapshot), book.is_known()), (Applied::Replaced, true));
        assert_eq!(book.apply(&good(21)), Applied::Changed);
    }
}

#[test]
fn a_snapshot_counts_once_all_its_parts_are_there() {
    let whole = sum(&[(9, 1), (8, 1)], &[(10, 1)]);
    let part = |part, bids: &[(i64, i64)], asks: &[(i64, i64)]| BookDepth {
        part,
        parts: 2,
        ..record(DepthKind::Snapshot, 3, bids, asks, whole)
    };
    let (first, second) = (part(0, &[(9, 1)], &[]), part(1, &[(8, 1)], &[(10, 1)]));
    let mut book = Book::default();
    assert_eq!(book.apply(&second), Applied::Waiting, "the tail began between them");
    assert_eq!((book.apply(&first), book.is_known()), (Applied::Same, false));
    assert_eq!((book.apply(&second), book.is_known()), (Applied::Replaced, true));
    assert_eq!(levels(&book), [vec![(9, 1), (8, 1)], vec![(10, 1)]]);
    assert_eq!((book.apply(&first), book.apply(&second)), (Applied::Same, Applied::Same));
}

proptest! {
    /// The fast book holds what a plain map holds after any changes, and its checksum is that of all its levels.
    #[test]
    fn a_book_equals_a_map_of_its_changes(
        changes in proptest::collection::vec(proptest::collection::vec((any::<bool>(), 1..40i64, 0..4i64), 1..5), 1..80),
    ) {
        let mut book = Book::default();
        let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
        for (index, change) in changes.into_iter().enumerate() {
            let (mut delta_bids, mut delta_asks) = (Vec::new(), Vec::new());
            for (buy, price, quantity) in change {
                let (side, delta) = if buy { (&mut bids, &mut delta_bids) } else { (&mut asks, &mut delta_asks) };
                delta.push((price, quantity));
                if quantity == 0 { side.remove(&price); } else { side.insert(price, quantity); }
            }
            let all = |side: &BTreeMap<i64, i64>| side.iter().map(|(price, quantity)| (*price, *quantity)).collect::<Vec<_>>();
            let (mut all_bids, all_asks) = (all(&bids), all(&asks));
            all_bids.reverse();
            let checksum = sum(&all_bids, &all_asks);
            book.apply(&record(DepthKind::Delta, index as i64 + 1, &delta_bids, &delta_asks, checksum));
            prop_assert!(book.is_known());
            prop_assert_eq!(levels(&book), [all_bids, all_asks]);
        }
    }
}
