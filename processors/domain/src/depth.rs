//! The displayed books as a stream: what `book.depth` tells, and the book that whoever reads it makes of it.
//!
//! What is absent: who told it (`matching`), and how it looks on the wire.

use crate::execution::Level;
use crate::types::{CommandId, Side, TimeMs, Units};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// One record of `book.depth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthUpdate {
    /// Which book.
    pub instrument: SmolStr,
    /// A change or a part of the whole.
    pub kind: DepthKind,
    /// Of a delta: counts the book's deltas from 1 without a gap. Of a snapshot: the last delta that is in it.
    pub sequence: i64,
    /// Levels that changed (quantity 0: gone), or levels of the part; best first.
    pub bids: Vec<Level>,
    /// As `bids`, of the other side.
    pub asks: Vec<Level>,
    /// Sum of [`level_checksum`] over all levels of the whole book after this record.
    pub checksum: u32,
    /// Append time of the record that the executor acted on.
    pub validated_at_ms: TimeMs,
}

/// What a record of `book.depth` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepthKind {
    /// What one command changed.
    Delta {
        /// The command; for an expiry the last expired order's own.
        command_id: CommandId,
        /// Its append time in `orders` (for an expiry: of the tick).
        commanded_at_ms: TimeMs,
    },
    /// The whole book, in parts that follow each other.
    Snapshot {
        /// Which part, from 0.
        part: i32,
        /// How many there are.
        parts: i32,
    },
}

/// CRC-32 (IEEE 802.3) of a level: `B` or `S`, then price and quantity as big-endian 64-bit integers. Summed over the levels of
/// a book, modulo 2^32, it is the book's checksum: the order of the levels does not matter, and a change of one level costs
/// the same however large the book is.
pub fn level_checksum(side: Side, level: Level) -> u32 {
    let mut bytes = [0; 17];
    bytes[0] = match side {
        Side::Buy => b'B',
        Side::Sell => b'S',
    };
    bytes[1..9].copy_from_slice(&level.price.to_be_bytes());
    bytes[9..].copy_from_slice(&level.quantity.to_be_bytes());
    crc32fast::hash(&bytes)
}

/// Why an update could not be applied; the book is as before, and waits for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Updates are missing: this sequence does not follow the book's.
    Gap {
        /// The book's sequence, if it has been given one.
        at: Option<i64>,
        /// That of the update.
        update: i64,
    },
    /// After the update the book's checksum would be another than the update states.
    Checksum {
        /// What the book has.
        found: u32,
        /// What the update states.
        stated: u32,
    },
}

/// A book as a reader of `book.depth` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DepthBook {
    /// By price.
    bids: BTreeMap<Units, Units>,
    asks: BTreeMap<Units, Units>,
    /// `None` until the first snapshot is complete, or the first delta has come.
    sequence: Option<i64>,
    checksum: u32,
    /// Parts of a snapshot that is coming in.
    parts: Vec<DepthUpdate>,
}

impl DepthBook {
    /// The last delta that is in it; `None` before the first snapshot.
    pub fn sequence(&self) -> Option<i64> {
        self.sequence
    }

    /// Sum of [`level_checksum`] over its levels.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Levels of a side, best first.
    pub fn levels(&self, side: Side) -> Box<dyn Iterator<Item = Level> + '_> {
        let level = |(price, quantity): (&Units, &Units)| Level { price: *price, quantity: *quantity };
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(level)),
            Side::Sell => Box::new(self.asks.iter().map(level)),
        }
    }

    /// Takes an update over: the next delta, or a part of a snapshot, which counts when its last part is there. The first delta
    /// of all begins with an empty book. What the book has already changes nothing.
    ///
    /// # Errors
    /// See [`Lost`]. The book then takes the next snapshot for what is true.
    pub fn apply(&mut self, update: &DepthUpdate) -> Result<(), Lost> {
        match update.kind {
            DepthKind::Delta { .. } => self.change(update),
            DepthKind::Snapshot { part, parts } => self.collect(update, part, parts),
        }
    }

    fn change(&mut self, update: &DepthUpdate) -> Result<(), Lost> {
        if self.sequence.is_some_and(|at| update.sequence <= at) {
            return Ok(());
        }
        if self.sequence.unwrap_or(0) + 1 != update.sequence {
            let at = self.sequence.take();
            return Err(Lost::Gap { at, update: update.sequence });
        }
        for (side, levels) in [(Side::Buy, &update.bids), (Side::Sell, &update.asks)] {
            levels.iter().for_each(|level| self.set(side, *level));
        }
        self.sequence = Some(update.sequence);
        self.verify(update.checksum)
    }

    fn collect(&mut self, update: &DepthUpdate, part: i32, parts: i32) -> Result<(), Lost> {
        if part == 0 {
            self.parts.clear();
        }
        if self.parts.len() as i32 != part {
            // It began before this reader did.
            return Ok(());
        }
        self.parts.push(update.clone());
        if part + 1 < parts {
            return Ok(());
        }
        let whole = std::mem::take(&mut self.parts);
        *self = Self { sequence: Some(update.sequence), ..Self::default() };
        for part in &whole {
            for (side, levels) in [(Side::Buy, &part.bids), (Side::Sell, &part.asks)] {
                levels.iter().for_each(|level| self.set(side, *level));
            }
        }
        self.verify(update.checksum)
    }

    fn set(&mut self, side: Side, level: Level) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        let before = if level.quantity == 0 {
            levels.remove(&level.price)
        } else {
            self.checksum = self.checksum.wrapping_add(level_checksum(side, level));
            levels.insert(level.price, level.quantity)
        };
        if let Some(quantity) = before {
            let gone = level_checksum(side, Level { quantity, ..level });
            self.checksum = self.checksum.wrapping_sub(gone);
        }
    }

    fn verify(&mut self, stated: u32) -> Result<(), Lost> {
        if self.checksum == stated {
            return Ok(());
        }
        self.sequence = None;
        Err(Lost::Checksum { found: self.checksum, stated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(kind: DepthKind, sequence: i64, bids: &[(Units, Units)], checksum: u32) -> DepthUpdate {
        let bids = bids.iter().map(|(price, quantity)| Level { price: *price, quantity: *quantity }).collect();
        DepthUpdate { instrument: "X".into(), kind, sequence, bids, asks: Vec::new(), checksum, validated_at_ms: 0 }
    }

    fn sum(bids: &[(Units, Units)]) -> u32 {
        let checksum = |(price, quantity): &(Units, Units)| {
            level_checksum(Side::Buy, Level { price: *price, quantity: *quantity })
        };
        bids.iter().map(checksum).fold(0, u32::wrapping_add)
    }

    const DELTA: DepthKind = DepthKind::Delta { command_id: 1, commanded_at_ms: 0 };

    /// `zlib.crc32(struct.pack(">cqq", b"B", 58540000000, 10000000000))` and the like, from Python.
    #[test]
    fn the_checksum_is_what_other_languages_make_of_it() {
        let level = Level { price: 58_540_000_000, quantity: 10_000_000_000 };
        assert_eq!(level_checksum(Side::Buy, level), 0xf6f6_fa36);
        assert_eq!(level_checksum(Side::Sell, level), 0x6601_a808);
    }

    #[test]
    fn a_book_takes_what_follows_and_passes_over_what_it_has() {
        let mut book = DepthBook::default();
        for (sequence, levels, whole) in
            [(1, &[(5, 10)][..], &[(5, 10)][..]), (2, &[(4, 7)], &[(4, 7), (5, 10)]), (3, &[(5, 0)], &[(4, 7)])]
        {
            assert_eq!(book.apply(&update(DELTA, sequence, levels, sum(whole))), Ok(()));
        }
        assert_eq!(book.apply(&update(DELTA, 2, &[(4, 7)], 0)), Ok(()), "it has that");
        assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), [Level { price: 4, quantity: 7 }]);
        assert_eq!((book.sequence(), book.checksum()), (Some(3), sum(&[(4, 7)])));
    }

    #[test]
    fn a_gap_or_a_wrong_checksum_loses_the_book_until_the_next_snapshot() {
        let snapshot =
            |part, sequence, levels: &[_], sum| update(DepthKind::Snapshot { part, parts: 2 }, sequence, levels, sum);
        let both = sum(&[(5, 10), (4, 7)]);
        let mut book = DepthBook::default();
        assert_eq!(book.apply(&snapshot(1, 7, &[(4, 7)], both)), Ok(()), "its first part came before");
        assert_eq!(book.apply(&update(DELTA, 8, &[(4, 8)], 0)), Err(Lost::Gap { at: None, update: 8 }));
        assert_eq!(book.apply(&snapshot(0, 9, &[(5, 10)], both)), Ok(()));
        assert_eq!(book.sequence(), None, "a part is missing");
        assert_eq!(book.apply(&snapshot(1, 9, &[(4, 7)], both)), Ok(()));
        assert_eq!((book.sequence(), book.checksum()), (Some(9), both));
        assert_eq!(book.apply(&update(DELTA, 11, &[(4, 8)], 0)), Err(Lost::Gap { at: Some(9), update: 11 }));
        assert_eq!(book.apply(&snapshot(0, 12, &[(5, 10)], both)), Ok(()));
        assert_eq!(book.apply(&snapshot(1, 12, &[(4, 7)], both)), Ok(()));
        let found = sum(&[(5, 10), (4, 8)]);
        assert_eq!(book.apply(&update(DELTA, 13, &[(4, 8)], 1)), Err(Lost::Checksum { found, stated: 1 }));
        assert_eq!(book.sequence(), None);
    }
}
