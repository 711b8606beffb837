//! Folds one partition of `book.depth`: each change counts one on and has the checksum that it states, and each snapshot is
//! what the changes before it made. What the books hold by the executions is compared in `executed`.
//!
//! The topic keeps a week, so a fold begins wherever the log does: with the first snapshot, or with an instrument's first change.

use super::book::RestingBook;
use crate::verify::finding::Finding;
use crate::verify::log::LogReader;
use anyhow::{Result, anyhow};
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use tapeline_domain::depth::{DepthBook, DepthKind, DepthUpdate, Lost};
use tapeline_domain::types::Side;
use tapeline_schemas::{topic, wire};

/// The last that `book.depth` tells of a book.
#[derive(Default)]
pub(super) struct Told {
    book: DepthBook,
    /// The command of the last change; none if only snapshots are left in the log.
    pub(super) command_id: Option<i64>,
}

/// What a partition tells.
pub(super) struct Depth {
    pub(super) finding: Finding,
    pub(super) books: HashMap<SmolStr, Told>,
}

pub(super) fn depth(invariant: &'static str, log: &LogReader, partition: i32, until: i64) -> Result<Depth> {
    let mut depth = Depth { finding: Finding::new(invariant), books: HashMap::new() };
    log.each::<wire::BookDepth>(topic::DEPTH, partition, until, |at, body| {
        let Some(record) = body.decoded()? else { return Ok(()) };
        let update = DepthUpdate::try_from(record).map_err(|unfit| anyhow!(unfit.0))?;
        if let Err(why) = depth.add(&update) {
            let place = format!("{}, partition {partition}, offset {}", topic::DEPTH, at.offset);
            depth.finding.violation(|| format!("{place}: {}: {why}", update.instrument));
        }
        Ok(())
    })?;
    Ok(depth)
}

impl Depth {
    fn add(&mut self, update: &DepthUpdate) -> Result<(), String> {
        let told = self.books.entry(update.instrument.clone()).or_default();
        let known = told.book.sequence();
        match update.kind {
            DepthKind::Delta { command_id, .. } => {
                told.command_id = Some(command_id);
                if known.is_some_and(|known| update.sequence <= known) {
                    return Err(format!("change {} comes again", update.sequence));
                }
            }
            DepthKind::Snapshot { .. } => {
                let made = (told.book.sequence(), told.book.checksum());
                if known.is_some() && made != (Some(update.sequence), update.checksum) {
                    return Err(format!("the snapshot at {} is not what the changes made", update.sequence));
                }
            }
        }
        match told.book.apply(update) {
            // The changes before the log's first snapshot.
            Ok(()) | Err(Lost::Gap { at: None, .. }) => Ok(()),
            Err(Lost::Gap { at: Some(at), update }) => Err(format!("change {update} follows change {at}")),
            Err(Lost::Checksum { found, stated }) => Err(format!("the checksum is {found}, it states {stated}")),
        }
    }
}

impl Told {
    /// Whether the book shows what rests: the same prices, and at each no more than rests there; the rest is hidden.
    pub(super) fn shows(&self, resting: &RestingBook, has_icebergs: bool) -> bool {
        [(Side::Buy, &resting.bids), (Side::Sell, &resting.asks)].into_iter().all(|(side, resting)| {
            let shown: BTreeMap<i64, i64> = self.book.levels(side).map(|level| (level.price, level.quantity)).collect();
            let covers =
                |(shown, resting): (&i64, &i64)| if has_icebergs { shown <= resting } else { shown == resting };
            shown.keys().eq(resting.keys()) && shown.values().zip(resting.values()).all(covers)
        })
    }

    /// Whether the log still has all that makes it.
    pub(super) fn is_known(&self) -> bool {
        self.book.sequence().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapeline_domain::depth::level_checksum;
    use tapeline_domain::execution::Level;

    fn change(sequence: i64, price: i64, quantity: i64, checksum: u32) -> DepthUpdate {
        let kind = DepthKind::Delta { command_id: sequence, commanded_at_ms: 0 };
        let bids = vec![Level { price, quantity }];
        DepthUpdate { instrument: "X".into(), kind, sequence, bids, asks: Vec::new(), checksum, validated_at_ms: 0 }
    }

    #[test]
    fn each_way_to_tell_it_wrongly_is_found() {
        let sum = |price, quantity| level_checksum(Side::Buy, Level { price, quantity });
        let first = || change(1, 5, 10, sum(5, 10));
        let snapshot = |sequence, checksum| DepthUpdate {
            kind: DepthKind::Snapshot { part: 0, parts: 1 },
            ..change(sequence, 5, 10, checksum)
        };
        for (second, why) in [
            (change(2, 5, 7, sum(5, 7)), None),
            (snapshot(1, sum(5, 10)), None),
            (change(3, 5, 7, sum(5, 7)), Some("change 3 follows change 1")),
            (first(), Some("change 1 comes again")),
            (change(2, 5, 7, 9), Some("states 9")),
            (snapshot(2, sum(5, 10)), Some("not what the changes made")),
            (snapshot(1, 9), Some("not what the changes made")),
        ] {
            let mut depth = Depth { finding: Finding::new("depth"), books: HashMap::new() };
            assert_eq!(depth.add(&first()), Ok(()));
            let found = depth.add(&second);
            match why {
                None => assert_eq!(found, Ok(()), "{second:?}"),
                Some(why) => assert!(found.is_err_and(|found| found.contains(why)), "{second:?}"),
            }
        }
    }

    #[test]
    fn a_book_shows_what_rests_less_what_icebergs_hide() {
        let mut told = Told::default();
        assert!(
            told.book.apply(&change(1, 5, 10, level_checksum(Side::Buy, Level { price: 5, quantity: 10 }))).is_ok()
        );
        let resting = |bids: &[(i64, i64)]| RestingBook {
            instrument: "X".into(),
            bids: bids.iter().copied().collect(),
            asks: BTreeMap::new(),
            trades: 0,
        };
        for (bids, plain, with_icebergs) in [
            (&[(5, 10)][..], true, true),
            (&[(5, 12)], false, true),
            (&[(5, 9)], false, false),
            (&[(5, 10), (4, 1)], false, false),
            (&[], false, false),
        ] {
            assert_eq!(told.shows(&resting(bids), false), plain, "{bids:?}");
            assert_eq!(told.shows(&resting(bids), true), with_icebergs, "{bids:?}");
        }
    }
}
