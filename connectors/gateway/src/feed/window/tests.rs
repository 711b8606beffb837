use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tapeline_schemas::wire::{BookDepth, DepthKind, DepthLevel};

/// What a client holds: it knows nothing of how deep its window is.
#[derive(Default, PartialEq, Debug)]
struct Client {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    sequence: i64,
}

impl Client {
    fn of(window: &Window) -> Self {
        let map = |levels: &[Level]| levels.iter().map(|level| (level.price, level.quantity)).collect();
        Self { bids: map(window.bids()), asks: map(window.asks()), sequence: window.sequence() }
    }

    fn apply(&mut self, change: &Change, sequence: i64) {
        assert_eq!(change.previous, self.sequence, "a change follows what the client has");
        for (side, levels) in [(&mut self.bids, &change.bids), (&mut self.asks, &change.asks)] {
            for level in levels {
                match level.quantity {
                    0 => assert!(side.remove(&level.price).is_some(), "only what the client has can leave"),
                    quantity => assert_ne!(side.insert(level.price, quantity), Some(quantity), "it changes something"),
                }
            }
        }
        self.sequence = sequence;
    }

    fn checksum(&self) -> u32 {
        let of = |way: Way, side: &BTreeMap<i64, i64>| {
            side.iter().fold(0u32, |sum, (price, quantity)| {
                sum.wrapping_add(way.checksum(Level { price: *price, quantity: *quantity }))
            })
        };
        of(Way::Buy, &self.bids).wrapping_add(of(Way::Sell, &self.asks))
    }
}

fn delta(sequence: i64, bids: &[(i64, i64)], asks: &[(i64, i64)], checksum: u32) -> BookDepth {
    let levels = |of: &[(i64, i64)]| {
        of.iter().map(|(price, quantity)| DepthLevel { price: *price, quantity: *quantity }).collect()
    };
    BookDepth {
        kind: DepthKind::Delta,
        instrument: "X".into(),
        sequence,
        part: 0,
        parts: 1,
        bids: levels(bids),
        asks: levels(asks),
        checksum: i64::from(checksum),
        command_id: None,
        commanded_at_ms: None,
        validated_at_ms: 0,
    }
}

/// Applies changes to a book with the right checksums and shows book, changed bids and changed asks after each.
fn play(changes: Vec<Vec<(bool, i64, i64)>>, mut visit: impl FnMut(&Book, &[Level], &[Level])) {
    let mut client = Client::default();
    let mut book = Book::default();
    for (index, change) in changes.into_iter().enumerate() {
        let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
        for (buy, price, quantity) in change {
            // Bids lie below asks.
            let (all, changed, price) =
                if buy { (&mut client.bids, &mut bids, price) } else { (&mut client.asks, &mut asks, 100 + price) };
            changed.insert(price, quantity);
            if quantity == 0 {
                all.remove(&price)
            } else {
                all.insert(price, quantity)
            };
        }
        let pairs =
            |of: &BTreeMap<i64, i64>| of.iter().map(|(price, quantity)| (*price, *quantity)).collect::<Vec<_>>();
        let record = delta(index as i64 + 1, &pairs(&bids), &pairs(&asks), client.checksum());
        book.apply(&record);
        assert!(book.is_known());
        let levels = |of: &[DepthLevel]| of.iter().map(Level::from).collect::<Vec<_>>();
        visit(&book, &levels(&record.bids), &levels(&record.asks));
    }
}

#[test]
fn a_level_that_enters_pushes_the_last_one_out_and_one_that_leaves_lets_the_next_one_in() {
    let mut seen = Vec::new();
    let mut window = Window::of(&Book::default(), 2);
    let buys =
        |levels: &[(i64, i64)]| levels.iter().map(|(price, quantity)| (true, *price, *quantity)).collect::<Vec<_>>();
    let steps = [buys(&[(10, 1), (8, 1)]), buys(&[(9, 1)]), buys(&[(7, 5)]), buys(&[(10, 0)])];
    play(steps.to_vec(), |book, bids, asks| {
        let mut change = Change::default();
        let any = window.follow(book, bids.iter().copied(), asks.iter().copied(), &mut change);
        let told: Vec<_> = change.bids.iter().map(|level| (level.price, level.quantity)).collect();
        seen.push((any, change.previous, told));
    });
    let expected = [
        (true, 0, vec![(10, 1), (8, 1)]),
        (true, 1, vec![(9, 1), (8, 0)]),
        (false, 2, vec![]),
        (true, 2, vec![(10, 0), (8, 1)]),
    ];
    assert_eq!(seen, expected);
}

proptest! {
    /// A client that applies a window's changes always has the best N levels of each side, and the checksum agrees.
    #[test]
    fn changes_of_a_window_give_the_best_levels(
        changes in proptest::collection::vec(proptest::collection::vec((any::<bool>(), 1..30i64, 0..4i64), 1..6), 1..120),
        size in prop_oneof![Just(1usize), Just(3), Just(10)],
        joins in 0..100usize,
    ) {
        let mut window = Window::of(&Book::default(), size);
        let (mut client, mut late, mut step) = (Client::of(&window), None, 0);
        let mut change = Change::default();
        play(changes, |book, bids, asks| {
            if window.follow(book, bids.iter().copied(), asks.iter().copied(), &mut change) {
                client.apply(&change, window.sequence());
                late.iter_mut().for_each(|late: &mut Client| late.apply(&change, window.sequence()));
            }
            assert_eq!(Client { sequence: window.sequence(), ..Client::of(&Window::of(book, size)) }, client);
            assert_eq!(client.checksum(), window.checksum());
            // Whoever begins in the middle, or anew after falling behind, has the same.
            if step == joins {
                late = Some(Client::of(&window));
            }
            assert!(late.as_ref().is_none_or(|late| *late == client));
            step += 1;
        });
    }
}
