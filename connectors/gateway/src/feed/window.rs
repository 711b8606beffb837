//! The best N levels of each side of a book, and how they change with it.
//!
//! A client of a window keeps what it is told: what left and what entered the window is in the change, so it never has to
//! know how deep a window is.

use super::book::{Book, Level, Side, Way};

/// The best levels as clients of a window hold them.
#[derive(Debug, Clone)]
pub struct Window {
    levels: usize,
    bids: Vec<Level>,
    asks: Vec<Level>,
    checksum: u32,
    sequence: i64,
}

/// How a window changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Change {
    /// The sequence that the change follows.
    pub previous: i64,
    /// Bids that changed, entered, or left (quantity 0); the best first.
    pub bids: Vec<Level>,
    /// Asks, likewise.
    pub asks: Vec<Level>,
}

impl Window {
    /// The best `levels` of each side of `book`.
    pub fn of(book: &Book, levels: usize) -> Self {
        let best = |side: &Side| side.best_first().take(levels).collect::<Vec<_>>();
        let (bids, asks) = (best(book.bids()), best(book.asks()));
        let sum =
            |way: Way, levels: &[Level]| levels.iter().fold(0u32, |sum, level| sum.wrapping_add(way.checksum(*level)));
        let checksum = sum(Way::Buy, &bids).wrapping_add(sum(Way::Sell, &asks));
        Self { levels, bids, asks, checksum, sequence: book.sequence() }
    }

    /// Bids, the best first.
    pub fn bids(&self) -> &[Level] {
        &self.bids
    }

    /// Asks, the best first.
    pub fn asks(&self) -> &[Level] {
        &self.asks
    }

    /// Checksum over the levels of the window.
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The last change of the book that touched the window, or with which it began.
    pub const fn sequence(&self) -> i64 {
        self.sequence
    }

    /// Follows `book`, in which `bids` and `asks` have just changed; fills `change` and tells whether there is one.
    pub fn follow(
        &mut self,
        book: &Book,
        bids: impl Iterator<Item = Level>,
        asks: impl Iterator<Item = Level>,
        change: &mut Change,
    ) -> bool {
        let size = self.levels;
        change.bids.clear();
        change.asks.clear();
        let mut moved = 0u32;
        if touched(&self.bids, size, Way::Buy, bids) {
            moved = moved.wrapping_add(adopt(&mut self.bids, size, Way::Buy, book.bids(), &mut change.bids));
        }
        if touched(&self.asks, size, Way::Sell, asks) {
            moved = moved.wrapping_add(adopt(&mut self.asks, size, Way::Sell, book.asks(), &mut change.asks));
        }
        self.checksum = self.checksum.wrapping_add(moved);
        change.previous = self.sequence;
        let any = !(change.bids.is_empty() && change.asks.is_empty());
        if any {
            self.sequence = book.sequence();
        }
        any
    }
}

/// Whether a change may concern the window: it is not full, or the change is not behind its last level.
fn touched(window: &[Level], size: usize, way: Way, mut changed: impl Iterator<Item = Level>) -> bool {
    match window.last() {
        Some(last) if window.len() == size => changed.any(|level| way.rank(level.price) >= way.rank(last.price)),
        _ => changed.next().is_some(),
    }
}

/// Makes `window` the best `size` levels of `side` and notes what changed; returns how the checksum changes.
fn adopt(window: &mut Vec<Level>, size: usize, way: Way, side: &Side, changes: &mut Vec<Level>) -> u32 {
    let mut moved = 0u32;
    let mut old = window.iter().copied().peekable();
    let mut new = side.best_first().take(size).peekable();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Greater,
            (None, Some(_)) => std::cmp::Ordering::Less,
            (Some(old), Some(new)) => way.rank(old.price).cmp(&way.rank(new.price)),
        };
        let left = if order.is_ge() { old.next() } else { None };
        let entered = if order.is_le() { new.next() } else { None };
        if left == entered {
            continue;
        }
        if let Some(left) = left {
            moved = moved.wrapping_sub(way.checksum(left));
        }
        if let Some(entered) = entered {
            moved = moved.wrapping_add(way.checksum(entered));
        }
        let gone = left.map(|left| Level { quantity: 0, ..left });
        changes.extend(entered.or(gone));
    }
    window.clear();
    window.extend(side.best_first().take(size));
    moved
}

#[cfg(test)]
mod tests;
