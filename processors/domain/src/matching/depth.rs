//! Tells what the books show: each command's changes as they are, and all of each book now and then.
//!
//! A reader needs a snapshot to begin with. Ticks drive them, for a book that nothing happens to must be found too: each
//! tick tells some of the books, in turn, so that no tick has to tell all.

use super::{Events, Matching};
use crate::depth::{DepthKind, DepthUpdate};
use crate::types::TimeMs;

/// So many ticks pass until each book has been told whole: a minute, with a tick a second.
pub const SNAPSHOT_TICKS: usize = 60;
/// Most levels of one part of a snapshot: some 20 KiB.
const PART_LEVELS: usize = 1_000;

impl Matching {
    /// What the last command or tick changed of what the books show, and the books that the tick told whole.
    pub fn take_depth(&mut self) -> impl Iterator<Item = DepthUpdate> {
        self.depth.drain(..)
    }

    /// Tells what has changed of a book since this was called for it last.
    pub(super) fn tell_depth(&mut self, book: u32, events: &Events<'_>) {
        let kind = DepthKind::Delta { command_id: events.command_id, commanded_at_ms: events.commanded_at_ms };
        self.depth.extend(self.books[book as usize].changed_depth(kind, events.validated_at_ms));
    }

    /// Tells the next few books whole.
    pub(super) fn tell_books(&mut self, now_ms: TimeMs) {
        for _ in 0..self.books.len().div_ceil(SNAPSHOT_TICKS) {
            let book = &self.books[self.next_told % self.books.len()];
            self.depth.extend(book.depth_snapshot(PART_LEVELS, now_ms));
            self.next_told = (self.next_told + 1) % self.books.len();
        }
    }
}
