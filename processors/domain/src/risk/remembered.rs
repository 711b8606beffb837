//! The commands of the last 24 hours by account and client order id, each with its verdict: what a repeated one is known by.
//!
//! There may be hundreds of millions, so each is kept once, as the bytes that stand for it in an image, one behind the other in
//! segments, and an index of places finds them. An image copies bytes; what is forgotten goes from the front.
//!
//! What is absent: how long they are remembered, and which commands are.

use crate::command::FirstVerdict;
use crate::image::{Blocks, Damaged, Field, Source};
use crate::types::TimeMs;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::ops::Range;

/// What an entry begins with in an image.
pub(super) const REMEMBERED: u8 = 2;
/// No entry begins behind so many bytes of a segment: a place is a segment's number and an offset in its low bits.
const SEGMENT_BYTES: usize = 1 << OFFSET_BITS;
const OFFSET_BITS: u32 = 16;
/// Room for the last entry of a segment, in nearly all cases.
const ROOM_BYTES: usize = 256;
/// The index is so many tables, as each moves all of its entries when it grows and the command at hand waits for that.
const TABLES: usize = 256;

/// Where an entry begins.
type Place = u64;

/// See the module.
#[derive(Debug)]
pub(super) struct Remembered {
    log: Log,
    index: Vec<HashTable<Place>>,
    /// Seeded, for strangers choose the names in it.
    hashes: RandomState,
    /// Of the entry that is looked for or made; used again.
    key: Vec<u8>,
    /// Hash and place of entries that the index lacks yet, by table.
    adopted: Vec<Vec<(u64, Place)>>,
    /// Entries that the image at work still lacks.
    unsaved: Range<Place>,
}

/// Entries in the order in which they came.
#[derive(Debug, Default)]
struct Log {
    segments: VecDeque<Vec<u8>>,
    /// Number of the first segment.
    first: u64,
    /// Place of the oldest entry.
    front: Place,
    entries: usize,
}

/// An entry as it stands in the log.
struct Entry<'a> {
    bytes: &'a [u8],
    at_ms: TimeMs,
    account: &'a [u8],
    /// Account and client order id.
    key: &'a [u8],
    verdict: FirstVerdict,
}

impl<'a> Entry<'a> {
    /// The first one of `bytes`.
    fn first_of(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut from = Source::new(bytes);
        u8::get(&mut from)?;
        let at_ms = Field::get(&mut from)?;
        let key_at = bytes.len() - from.rest().len();
        let account = from.text()?;
        from.text()?;
        let key = &bytes[key_at..bytes.len() - from.rest().len()];
        let verdict = Field::get(&mut from)?;
        Ok(Self { bytes: &bytes[..bytes.len() - from.rest().len()], at_ms, account, key, verdict })
    }
}

impl Log {
    /// Where the next entry will stand.
    fn end(&self) -> Place {
        match self.segments.back() {
            Some(last) if last.len() < SEGMENT_BYTES => (self.last_number() << OFFSET_BITS) + last.len() as u64,
            Some(_) => (self.last_number() + 1) << OFFSET_BITS,
            None => self.first << OFFSET_BITS,
        }
    }

    fn last_number(&self) -> u64 {
        self.first + self.segments.len() as u64 - 1
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        let place = self.end();
        if self.segments.back().is_none_or(|last| last.len() >= SEGMENT_BYTES) {
            self.segments.push_back(Vec::with_capacity(SEGMENT_BYTES + ROOM_BYTES));
        }
        if let Some(last) = self.segments.back_mut() {
            write(last);
        }
        self.entries += 1;
        place
    }

    /// The entry at a place that [`Self::push`] gave.
    fn get(&self, place: Place) -> Option<Entry<'_>> {
        let segment = self.segments.get(((place >> OFFSET_BITS).checked_sub(self.first)?) as usize)?;
        Entry::first_of(segment.get(place as usize & (SEGMENT_BYTES - 1)..)?).ok()
    }

    /// The place of the entry behind the one of so many bytes at `place`.
    fn behind(&self, place: Place, bytes: usize) -> Place {
        let (number, offset) = (place >> OFFSET_BITS, (place as usize & (SEGMENT_BYTES - 1)) + bytes);
        let length = self.segments.get((number - self.first) as usize).map_or(0, Vec::len);
        if offset < length || (number == self.last_number() && offset < SEGMENT_BYTES) {
            (number << OFFSET_BITS) + offset as u64
        } else {
            (number + 1) << OFFSET_BITS
        }
    }

    fn drop_front(&mut self, bytes: usize) {
        self.front = self.behind(self.front, bytes);
        self.entries -= 1;
        while self.first < self.front >> OFFSET_BITS && self.segments.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            log: Log::default(),
            index: (0..TABLES).map(|_| HashTable::new()).collect(),
            hashes: RandomState::default(),
            key: Vec::new(),
            adopted: vec![Vec::new(); TABLES],
            unsaved: 0..0,
        }
    }
}

impl Remembered {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.log.entries
    }

    /// The verdict on the command that used a client order id.
    pub(super) fn find(&mut self, account: &SmolStr, client_order_id: &SmolStr) -> Option<FirstVerdict> {
        let hash = self.hash_of(account, client_order_id);
        let Self { log, index, key, .. } = self;
        let is_it = |place: &Place| log.get(*place).is_some_and(|entry| entry.key == key.as_slice());
        let place = index[table_of(hash)].find(hash, is_it)?;
        log.get(*place).map(|entry| entry.verdict)
    }

    /// Remembers a command whose client order id is not remembered.
    pub(super) fn push(&mut self, at_ms: TimeMs, account: &SmolStr, client_order_id: &SmolStr, verdict: FirstVerdict) {
        let hash = self.hash_of(account, client_order_id);
        let Self { log, index, hashes, key, .. } = self;
        let place = log.push(|out| {
            REMEMBERED.put(out);
            at_ms.put(out);
            out.extend_from_slice(key);
            verdict.put(out);
        });
        index[table_of(hash)].insert_unique(hash, place, |place| hash_at(log, hashes, *place));
    }

    /// Makes the key of an entry, and its hash.
    fn hash_of(&mut self, account: &SmolStr, client_order_id: &SmolStr) -> u64 {
        self.key.clear();
        account.put(&mut self.key);
        client_order_id.put(&mut self.key);
        self.hashes.hash_one(self.key.as_slice())
    }

    /// Takes over the entry that `bytes` of an image begin with; gives its account and what follows. It is found after
    /// [`Self::index_adopted`] only.
    ///
    /// # Errors
    /// [`Damaged`] if they don't begin with one.
    pub(super) fn adopt<'a>(&mut self, bytes: &'a [u8]) -> Result<(&'a str, &'a [u8]), Damaged> {
        let entry = Entry::first_of(bytes)?;
        let account = std::str::from_utf8(entry.account);
        let account = account.map_err(|_| Damaged("the account of a remembered command is not UTF-8".into()))?;
        let place = self.log.push(|out| out.extend_from_slice(entry.bytes));
        let hash = self.hashes.hash_one(entry.key);
        self.adopted[table_of(hash)].push((hash, place));
        Ok((account, &bytes[entry.bytes.len()..]))
    }

    /// Enters what was adopted into the index, table by table: one fits the processor's cache, all of them do not.
    pub(super) fn index_adopted(&mut self) {
        let Self { log, index, hashes, adopted, .. } = self;
        for (table, adopted) in index.iter_mut().zip(adopted) {
            table.reserve(adopted.len(), |place| hash_at(log, hashes, *place));
            for (hash, place) in std::mem::take(adopted) {
                table.insert_unique(hash, place, |place| hash_at(log, hashes, *place));
            }
        }
    }

    /// Forgets the oldest one if `is_due` says so of its time, and whether it did. An image at work gets it before.
    pub(super) fn forget_oldest_if(&mut self, is_due: impl FnOnce(TimeMs) -> bool, blocks: &mut Blocks) -> bool {
        if self.log.entries == 0 {
            return false;
        }
        let place = self.log.front;
        let Some(entry) = self.log.get(place).filter(|entry| is_due(entry.at_ms)) else { return false };
        let (bytes, hash) = (entry.bytes.len(), self.hashes.hash_one(entry.key));
        if self.unsaved.start == place {
            self.save_next(blocks);
        }
        if let Ok(found) = self.index[table_of(hash)].find_entry(hash, |other| *other == place) {
            found.remove();
        }
        self.log.drop_front(bytes);
        true
    }

    /// Begins an image of those that there are now.
    pub(super) fn begin_image(&mut self) {
        self.unsaved = self.log.front..self.log.end();
    }

    /// Writes the oldest one that the image at work lacks into it, and whether there was one.
    pub(super) fn save_next(&mut self, blocks: &mut Blocks) -> bool {
        if self.unsaved.is_empty() {
            return false;
        }
        let Some(entry) = self.log.get(self.unsaved.start) else { return false };
        blocks.put(|out| out.extend_from_slice(entry.bytes));
        self.unsaved.start = self.log.behind(self.unsaved.start, entry.bytes.len());
        true
    }
}

/// The table that has the entries of a hash: by bits that a table uses for nothing else.
const fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

fn hash_at(log: &Log, hashes: &RandomState, place: Place) -> u64 {
    log.get(place).map_or(0, |entry| hashes.hash_one(entry.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: i64 = 30_000;

    fn names(number: i64) -> (SmolStr, SmolStr) {
        // Now and then an entry that is larger than a segment.
        let padding = if number % 5_000 == 7 { SEGMENT_BYTES + 1 } else { number as usize % 40 };
        (format!("account-{}", number % 13).into(), format!("{number}-{}", "x".repeat(padding)).into())
    }

    fn verdict(number: i64) -> FirstVerdict {
        FirstVerdict { command_id: number, rejected: None }
    }

    fn found(remembered: &mut Remembered, number: i64) -> Option<FirstVerdict> {
        let (account, id) = names(number);
        remembered.find(&account, &id)
    }

    fn push(remembered: &mut Remembered, number: i64) {
        let (account, id) = names(number);
        remembered.push(number, &account, &id, verdict(number));
    }

    fn forget_below(remembered: &mut Remembered, number: i64, blocks: &mut Blocks) {
        while remembered.forget_oldest_if(|at_ms| at_ms < number, blocks) {}
    }

    /// The numbers of the commands in an image.
    fn numbers(blocks: &mut Blocks) -> Vec<i64> {
        let mut numbers = Vec::new();
        while let Some(block) = blocks.take() {
            let mut rest = block.as_slice();
            while !rest.is_empty() {
                let entry = Entry::first_of(rest).expect("it was written by this module");
                assert_eq!(entry.verdict, verdict(entry.at_ms));
                numbers.push(entry.at_ms);
                rest = &rest[entry.bytes.len()..];
            }
        }
        numbers
    }

    #[test]
    fn each_command_is_found_until_it_is_forgotten_over_all_segments() {
        let (mut remembered, mut blocks) = (Remembered::default(), Blocks::new(100));
        for number in 0..COMMANDS {
            push(&mut remembered, number);
            forget_below(&mut remembered, number - 9_999, &mut blocks);
        }
        assert_eq!(remembered.len(), 10_000);
        for number in 0..COMMANDS {
            let expected = (number >= COMMANDS - 10_000).then(|| verdict(number));
            assert_eq!(found(&mut remembered, number), expected, "{number}");
        }
        forget_below(&mut remembered, COMMANDS, &mut blocks);
        assert_eq!((remembered.len(), remembered.log.segments.len()), (0, 1));
        push(&mut remembered, 1);
        assert_eq!(found(&mut remembered, 1), Some(verdict(1)));
        assert!(blocks.take().is_none(), "no image is at work");
    }

    #[test]
    fn an_image_has_what_there_was_when_it_began_whatever_comes_and_goes() {
        for forgotten_meanwhile in [0, 10, 4_000, 12_000] {
            let (mut remembered, mut blocks) = (Remembered::default(), Blocks::new(100));
            (0..12_000).for_each(|number| push(&mut remembered, number));
            forget_below(&mut remembered, 1_000, &mut blocks);
            remembered.begin_image();
            assert!((0..500).all(|_| remembered.save_next(&mut blocks)));
            (12_000..20_000).for_each(|number| push(&mut remembered, number));
            forget_below(&mut remembered, forgotten_meanwhile, &mut blocks);
            while remembered.save_next(&mut blocks) {}
            assert_eq!(numbers(&mut blocks), (1_000..12_000).collect::<Vec<_>>());
        }
    }
}
