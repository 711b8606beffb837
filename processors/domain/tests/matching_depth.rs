//! Depth = book: whoever follows the told depth, from its beginning or from any snapshot, has what the book shows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod matching_support;

use matching_support::stream::{Input, inputs, steps, symbol};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use tapeline_domain::depth::{DepthBook, DepthKind, DepthUpdate, Lost};
use tapeline_domain::execution::Level;
use tapeline_domain::image::Image;
use tapeline_domain::matching::{Matching, SNAPSHOT_TICKS};
use tapeline_domain::types::Side;

/// A reader of all books.
#[derive(Default)]
struct Reader(BTreeMap<SmolStr, DepthBook>);

impl Reader {
    fn take(&mut self, update: &DepthUpdate) -> Result<(), Lost> {
        self.0.entry(update.instrument.clone()).or_default().apply(update)
    }
}

fn shown(matching: &Matching, instrument: &str) -> [Vec<Level>; 2] {
    [Side::Buy, Side::Sell]
        .map(|side| matching.book(instrument).map(|book| book.depth(side, usize::MAX)).unwrap_or_default())
}

fn read(reader: &Reader, instrument: &str) -> [Vec<Level>; 2] {
    [Side::Buy, Side::Sell]
        .map(|side| reader.0.get(instrument).map(|book| book.levels(side).collect()).unwrap_or_default())
}

proptest! {
    #[test]
    fn depth_equals_the_book_after_each_command(steps in steps()) {
        let (mut matching, mut reader) = (Matching::new(0), Reader::default());
        let mut sequences: BTreeMap<SmolStr, i64> = BTreeMap::new();
        for input in inputs(&steps) {
            input.feed(&mut matching);
            for update in matching.take_depth() {
                if let DepthKind::Delta { .. } = update.kind {
                    let sequence = sequences.entry(update.instrument.clone()).or_insert(0);
                    *sequence += 1;
                    prop_assert_eq!(update.sequence, *sequence, "without a gap");
                    prop_assert!(!update.bids.is_empty() || !update.asks.is_empty(), "a change changes something");
                }
                prop_assert_eq!(reader.take(&update), Ok(()));
            }
            for symbol in [0, 1, 2].map(symbol) {
                prop_assert_eq!(read(&reader, symbol), shown(&matching, symbol), "{} after {:?}", symbol, input);
            }
        }
    }

    /// A reader that begins at `cut` knows nothing, and has all books once each has been told whole.
    #[test]
    fn a_reader_that_begins_late_has_every_book_after_a_round_of_ticks(steps in steps(), cut in 0.0..1.0f64) {
        let inputs = inputs(&steps);
        let (before, after) = inputs.split_at((inputs.len() as f64 * cut) as usize);
        let (mut matching, mut reader) = (Matching::new(0), Reader::default());
        before.iter().for_each(|input| drop(input.feed(&mut matching)));
        let ticks = (0..SNAPSHOT_TICKS).map(|_| Input::Tick(0));
        for input in after.iter().cloned().chain(ticks) {
            input.feed(&mut matching);
            for update in matching.take_depth() {
                // A gap is all that it may meet before the first snapshot.
                match reader.take(&update) {
                    Ok(()) | Err(Lost::Gap { .. }) => {}
                    Err(lost) => prop_assert!(false, "{:?} from {:?}", lost, update),
                }
            }
        }
        for symbol in [0, 1, 2].map(symbol) {
            prop_assert_eq!(read(&reader, symbol), shown(&matching, symbol), "{}", symbol);
        }
    }
}

/// Versions before `book.depth` wrote images without it: the books are told from where they are, and begin with snapshots.
#[test]
fn an_image_of_an_older_version_begins_anew_with_a_snapshot() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..50 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut original = Matching::new(0);
        inputs(&steps).iter().for_each(|input| drop(input.feed(&mut original)));
        let mut blocks = Vec::new();
        original.begin_image(1);
        blocks.extend(std::iter::from_fn(|| original.next_block()));
        // With blocks of a byte each entity has one of its own, and the first byte says what it is.
        blocks.retain(|block| block[0] != 3);
        let (mut restored, mut reader) = (Matching::new(0), Reader::default());
        restored.read_image(&blocks).unwrap();
        for _ in 0..SNAPSHOT_TICKS {
            Input::Tick(0).feed(&mut restored);
            for update in restored.take_depth().filter(|update| matches!(update.kind, DepthKind::Snapshot { .. })) {
                assert_eq!(reader.take(&update), Ok(()));
            }
        }
        for symbol in [0, 1, 2].map(symbol) {
            assert_eq!(read(&reader, symbol), shown(&restored, symbol), "{symbol}");
            assert_eq!(shown(&restored, symbol), shown(&original, symbol), "{symbol}");
        }
    }
}
