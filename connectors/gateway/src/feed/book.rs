//! The displayed book of an instrument, followed record by record.
//!
//! A delta counts only if it follows the one before and the checksum of the whole book agrees after it. If not, the book is
//! unknown until the next snapshot, which comes about once a minute: better none than a wrong one.

use tapeline_domain::depth::level_checksum;
pub use tapeline_domain::execution::Level;
use tapeline_domain::types::{self, Units};
use tapeline_schemas::wire::{BookDepth, DepthKind};

/// Buy or sell side of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Bids: the highest price is best.
    Buy,
    /// Asks: the lowest price is best.
    Sell,
}

impl Way {
    /// A number that is the greater the better the price is.
    pub(crate) const fn rank(self, price: Units) -> i128 {
        match self {
            Self::Buy => price as i128,
            Self::Sell => -(price as i128),
        }
    }

    /// What a level adds to its book's checksum.
    pub fn checksum(self, level: Level) -> u32 {
        let side = match self {
            Self::Buy => types::Side::Buy,
            Self::Sell => types::Side::Sell,
        };
        level_checksum(side, level)
    }
}

/// The levels of one side. The best stands last: most changes are near it, and what lies behind moves up.
#[derive(Debug, Clone)]
pub struct Side {
    way: Way,
    levels: Vec<Level>,
}

impl Side {
    const fn new(way: Way) -> Self {
        Self { way, levels: Vec::new() }
    }

    /// All levels, the best first.
    pub fn best_first(&self) -> impl ExactSizeIterator<Item = Level> + '_ {
        self.levels.iter().rev().copied()
    }

    /// The best level.
    pub fn best(&self) -> Option<Level> {
        self.levels.last().copied()
    }

    /// Number of levels.
    pub const fn len(&self) -> usize {
        self.levels.len()
    }

    /// Whether there is no level.
    pub const fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Sets a level, or takes it away with quantity 0; returns how the checksum changes.
    fn set(&mut self, level: Level) -> u32 {
        let way = self.way;
        let place = self.levels.binary_search_by(|at| way.rank(at.price).cmp(&way.rank(level.price)));
        match place {
            Ok(place) if level.quantity == 0 => 0u32.wrapping_sub(way.checksum(self.levels.remove(place))),
            Ok(place) => {
                let old = std::mem::replace(&mut self.levels[place], level);
                way.checksum(level).wrapping_sub(way.checksum(old))
            }
            Err(_) if level.quantity == 0 => 0,
            Err(place) => {
                self.levels.insert(place, level);
                way.checksum(level)
            }
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The book changed by this delta.
    Changed,
    /// The book is the snapshot now, whatever it was before.
    Replaced,
    /// A snapshot that says what is known, or not yet all of it.
    Same,
    /// Records are missing before this one: the book is unknown until a snapshot comes.
    Gap,
    /// The checksum does not agree: the book is unknown until a snapshot comes.
    Broken,
    /// A delta while the book is unknown.
    Waiting,
}

/// Parts of a snapshot that have come.
#[derive(Debug)]
struct Parts {
    sequence: i64,
    next: i32,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// A book that follows `book.depth`.
#[derive(Debug)]
pub struct Book {
    bids: Side,
    asks: Side,
    checksum: u32,
    sequence: i64,
    time_ms: i64,
    known: bool,
    parts: Option<Parts>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            bids: Side::new(Way::Buy),
            asks: Side::new(Way::Sell),
            checksum: 0,
            sequence: 0,
            time_ms: 0,
            known: false,
            parts: None,
        }
    }
}

impl Book {
    /// Bids.
    pub const fn bids(&self) -> &Side {
        &self.bids
    }

    /// Asks.
    pub const fn asks(&self) -> &Side {
        &self.asks
    }

    /// Sum of all levels' checksums, modulo 2^32.
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The last change that is in it.
    pub const fn sequence(&self) -> i64 {
        self.sequence
    }

    /// When it changed last, milliseconds since the Unix epoch.
    pub const fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// Whether the book is known. If not, its levels must not be shown.
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// Begins it empty: nobody has ever ordered in it. Does nothing, and says so, if anything is known of it, or was missed.
    pub const fn begin(&mut self) -> bool {
        let is_untouched = !self.known && self.sequence == 0 && self.parts.is_none();
        if is_untouched {
            self.known = true;
        }
        is_untouched
    }

    /// Takes the next record of this book.
    pub fn apply(&mut self, record: &BookDepth) -> Applied {
        match record.kind {
            DepthKind::Delta => self.change(record),
            DepthKind::Snapshot => self.gather(record),
            // A kind that is newer than this program: whatever it says, the next delta tells whether it mattered.
            DepthKind::Unknown => Applied::Same,
        }
    }

    fn change(&mut self, record: &BookDepth) -> Applied {
        self.parts = None;
        // A book that nobody has seen begins empty, with the first change of all.
        let begins = !self.known && record.sequence == 1;
        if begins {
            self.replace(&[], &[], 0);
        } else if !self.known {
            self.sequence = record.sequence;
            return Applied::Waiting;
        }
        if record.sequence != self.sequence + 1 {
            self.known = false;
            return Applied::Gap;
        }
        for level in &record.bids {
            self.checksum = self.checksum.wrapping_add(self.bids.set(level.into()));
        }
        for level in &record.asks {
            self.checksum = self.checksum.wrapping_add(self.asks.set(level.into()));
        }
        self.sequence = record.sequence;
        self.time_ms = record.validated_at_ms;
        match (i64::from(self.checksum) == record.checksum, begins) {
            (false, _) => {
                self.known = false;
                Applied::Broken
            }
            (true, false) => Applied::Changed,
            (true, true) => Applied::Replaced,
        }
    }

    /// Takes a part of a snapshot. Parts of one stand one right after the other.
    fn gather(&mut self, record: &BookDepth) -> Applied {
        let agrees = i64::from(self.checksum) == record.checksum;
        if self.known && record.sequence == self.sequence && agrees {
            return Applied::Same;
        }
        if record.part == 0 {
            self.parts = Some(Parts { sequence: record.sequence, next: 0, bids: Vec::new(), asks: Vec::new() });
        }
        // Without its first part (the tail began between them) it is of no use.
        let Some(parts) = self.parts.as_mut().filter(|at| at.next == record.part && at.sequence == record.sequence)
        else {
            self.parts = None;
            return if self.known { Applied::Same } else { Applied::Waiting };
        };
        parts.next += 1;
        parts.bids.extend(record.bids.iter().map(Level::from));
        parts.asks.extend(record.asks.iter().map(Level::from));
        if parts.next < record.parts {
            return Applied::Same;
        }
        let Some(Parts { sequence, bids, asks, .. }) = self.parts.take() else { return Applied::Waiting };
        self.replace(&bids, &asks, sequence);
        self.time_ms = record.validated_at_ms;
        self.known = i64::from(self.checksum) == record.checksum;
        if self.known { Applied::Replaced } else { Applied::Broken }
    }

    fn replace(&mut self, bids: &[Level], asks: &[Level], sequence: i64) {
        (self.bids, self.asks) = (Side::new(Way::Buy), Side::new(Way::Sell));
        let mut checksum = 0u32;
        // From the worst to the best each level is appended.
        for level in bids.iter().rev() {
            checksum = checksum.wrapping_add(self.bids.set(*level));
        }
        for level in asks.iter().rev() {
            checksum = checksum.wrapping_add(self.asks.set(*level));
        }
        (self.checksum, self.sequence, self.known) = (checksum, sequence, true);
    }
}

#[cfg(test)]
mod tests;
