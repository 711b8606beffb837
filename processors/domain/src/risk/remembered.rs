//! The commands of the last 24 hours by account and client order id, each with its verdict: what a repeated one is known by.
//!
//! There may be hundreds of millions, so each is kept once, in about twice the bytes of its client order id: as a number of
//! its account, and as differences to the first one of its segment. Segments stand one behind the other as they stand in an
//! image, which copies them whole, and an index of places finds the entries in them. What is forgotten goes from the front.
//!
//! What is absent: how long they are remembered, and which commands are.

use crate::command::{FirstVerdict, RejectReason};
use crate::image::{Blocks, Damaged, Field, Source, damaged};
use crate::types::{CommandId, TimeMs};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smol_str::SmolStr;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::ops::Range;

/// What a segment begins with in an image.
pub(super) const REMEMBERED: u8 = 2;
/// No entry begins behind so many bytes of a segment: a place is a segment's number and an offset in its low bits.
/// Also about what an image takes of them at once.
const SEGMENT_BYTES: usize = 1 << OFFSET_BITS;
const OFFSET_BITS: u32 = 15;
/// Room for the last entry of a segment, in nearly all cases.
const ROOM_BYTES: usize = 128;
/// The index is so many tables, as each moves all of its entries when it grows and the command at hand waits for that.
const TABLES: usize = 256;

/// Where an entry begins.
type Place = u64;

/// What the index has of an entry: the low bits of its place, and above them as much of its hash as a table needs. Without these a
/// table that grows would have to look each of its entries up, which was 6 % of the validator's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot(u64);

impl Slot {
    const PLACE_BITS: u32 = 36;
    /// A table tells entries apart by the highest bits of the hash,
    const TAG_BITS: u32 = 7;
    /// and finds their places in it by the lowest: enough for 2^21 in each of the tables.
    const LOW_BITS: u32 = u64::BITS - Self::PLACE_BITS - Self::TAG_BITS;

    const fn new(hash: u64, place: Place) -> Self {
        let tag = hash >> (u64::BITS - Self::TAG_BITS);
        let bits = (tag << Self::LOW_BITS) | (hash & ((1 << Self::LOW_BITS) - 1));
        Self((bits << Self::PLACE_BITS) | (place & ((1 << Self::PLACE_BITS) - 1)))
    }

    /// What tables take for the hash.
    const fn hash(self) -> u64 {
        let bits = self.0 >> Self::PLACE_BITS;
        ((bits >> Self::LOW_BITS) << (u64::BITS - Self::TAG_BITS)) | (bits & ((1 << Self::LOW_BITS) - 1))
    }

    /// The place, which is one of the 2^36 from `first` on.
    const fn place(self, first: Place) -> Place {
        first + (self.0.wrapping_sub(first) & ((1 << Self::PLACE_BITS) - 1))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Remembered {
    log: Log,
    index: Vec<HashTable<Slot>>,
    /// Seeded, for strangers choose the names in it.
    hashes: RandomState,
    /// Of the entry that is looked for or made; used again.
    key: Vec<u8>,
    /// Entries that the index lacks yet, by table.
    adopted: Vec<Vec<Slot>>,
    /// Entries that the image at work still lacks.
    unsaved: Range<Place>,
}

/// Entries in the order in which they came.
#[derive(Debug, Default)]
struct Log {
    segments: VecDeque<Segment>,
    /// Number of the first segment.
    first: u64,
    /// Place of the oldest entry.
    front: Place,
    entries: usize,
}

/// Entries that tell time and command as differences to those of the first one.
#[derive(Debug)]
struct Segment {
    base: Base,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    at_ms: TimeMs,
    command_id: CommandId,
}

/// An entry as it stands in a segment.
struct Entry<'a> {
    length: usize,
    at_ms: TimeMs,
    /// Place of the account among all accounts.
    account: u32,
    /// Account and client order id.
    key: &'a [u8],
    verdict: FirstVerdict,
}

impl<'a> Entry<'a> {
    /// The first one of `bytes`.
    fn first_of(bytes: &'a [u8], base: Base) -> Result<Self, Damaged> {
        let mut from = Source::new(bytes);
        let later_ms = TimeMs::get(&mut from)?;
        let key_at = bytes.len() - from.rest().len();
        let account = Field::get(&mut from)?;
        from.text()?;
        let key = &bytes[key_at..bytes.len() - from.rest().len()];
        let command_id = base.command_id.wrapping_add(Field::get(&mut from)?);
        let rejected = Option::<RejectReason>::get(&mut from)?;
        let length = bytes.len() - from.rest().len();
        let at_ms = base.at_ms.wrapping_add(later_ms);
        Ok(Self { length, at_ms, account, key, verdict: FirstVerdict { command_id, rejected } })
    }
}

/// Appends an entry that [`Entry::first_of`] reads.
fn put_entry(at_ms: TimeMs, key: &[u8], verdict: FirstVerdict, base: Base, out: &mut Vec<u8>) {
    at_ms.wrapping_sub(base.at_ms).put(out);
    out.extend_from_slice(key);
    verdict.command_id.wrapping_sub(base.command_id).put(out);
    verdict.rejected.put(out);
}

/// Segment and offset of a place.
const fn parts(place: Place) -> (u64, usize) {
    (place >> OFFSET_BITS, place as usize & (SEGMENT_BYTES - 1))
}

impl Log {
    fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments.get(number.checked_sub(self.first)? as usize)
    }

    /// Where the first segment begins.
    const fn start(&self) -> Place {
        self.first << OFFSET_BITS
    }

    /// Where the next entry will stand.
    fn end(&self) -> Place {
        match self.segments.back() {
            Some(last) if last.bytes.len() < SEGMENT_BYTES => {
                (self.last_number() << OFFSET_BITS) + last.bytes.len() as u64
            }
            Some(_) => (self.last_number() + 1) << OFFSET_BITS,
            None => self.start(),
        }
    }

    fn last_number(&self) -> u64 {
        self.first + self.segments.len() as u64 - 1
    }

    fn push(&mut self, at_ms: TimeMs, key: &[u8], verdict: FirstVerdict) -> Place {
        let place = self.end();
        if self.segments.back().is_none_or(|last| last.bytes.len() >= SEGMENT_BYTES) {
            let base = Base { at_ms, command_id: verdict.command_id };
            self.segments.push_back(Segment { base, bytes: Vec::with_capacity(SEGMENT_BYTES + ROOM_BYTES) });
        }
        if let Some(Segment { base, bytes }) = self.segments.back_mut() {
            put_entry(at_ms, key, verdict, *base, bytes);
        }
        self.entries += 1;
        place
    }

    /// The entry at a place that [`Self::push`] gave.
    fn get(&self, place: Place) -> Option<Entry<'_>> {
        let (number, offset) = parts(place);
        let segment = self.segment(number)?;
        Entry::first_of(segment.bytes.get(offset..)?, segment.base).ok()
    }

    /// The place of the entry behind the one of so many bytes at `place`.
    fn behind(&self, place: Place, length: usize) -> Place {
        let (number, offset) = parts(place);
        let offset = offset + length;
        let bytes = self.segment(number).map_or(0, |segment| segment.bytes.len());
        if offset < bytes || (number == self.last_number() && offset < SEGMENT_BYTES) {
            (number << OFFSET_BITS) + offset as u64
        } else {
            (number + 1) << OFFSET_BITS
        }
    }

    fn drop_front(&mut self, length: usize) {
        self.front = self.behind(self.front, length);
        self.entries -= 1;
        if self.entries == 0 {
            // A state that is read from an image has no segment either: the same goes on to write the same.
            self.front = (self.last_number() + 1) << OFFSET_BITS;
        }
        while self.first < parts(self.front).0 && self.segments.pop_front().is_some() {
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

    /// The verdict on the command of an account, by its place among all accounts, that used a client order id.
    pub(super) fn find(&mut self, account: u32, client_order_id: &SmolStr) -> Option<FirstVerdict> {
        let hash = self.hash_of(account, client_order_id);
        let Self { log, index, key, .. } = self;
        let sought = Slot::new(hash, 0).hash();
        let entry = |slot: &Slot| log.get(slot.place(log.start()));
        let is_it = |slot: &Slot| slot.hash() == sought && entry(slot).is_some_and(|entry| entry.key == key.as_slice());
        let slot = index[table_of(hash)].find(sought, is_it)?;
        entry(slot).map(|entry| entry.verdict)
    }

    /// Remembers a command whose client order id is not remembered.
    pub(super) fn push(&mut self, at_ms: TimeMs, account: u32, client_order_id: &SmolStr, verdict: FirstVerdict) {
        let hash = self.hash_of(account, client_order_id);
        let slot = Slot::new(hash, self.log.push(at_ms, &self.key, verdict));
        self.index[table_of(hash)].insert_unique(slot.hash(), slot, |slot| slot.hash());
    }

    /// Makes the key of an entry, and its hash.
    fn hash_of(&mut self, account: u32, client_order_id: &SmolStr) -> u64 {
        self.key.clear();
        account.put(&mut self.key);
        client_order_id.put(&mut self.key);
        self.hashes.hash_one(self.key.as_slice())
    }

    /// Takes over a segment of an image; gives the highest account in it. What it has is found after
    /// [`Self::index_adopted`] only.
    ///
    /// # Errors
    /// [`Damaged`] if it is none.
    pub(super) fn adopt(&mut self, from: &mut Source<'_>) -> Result<u32, Damaged> {
        let base = Base { at_ms: Field::get(from)?, command_id: Field::get(from)? };
        let bytes = from.text()?;
        let number = self.log.first + self.log.segments.len() as u64;
        let (mut highest, mut offset) = (None, 0);
        while offset < bytes.len() {
            if offset >= SEGMENT_BYTES {
                return damaged(format!("a segment of remembered commands has more than {SEGMENT_BYTES} bytes"));
            }
            let entry = Entry::first_of(&bytes[offset..], base)?;
            let hash = self.hashes.hash_one(entry.key);
            self.adopted[table_of(hash)].push(Slot::new(hash, (number << OFFSET_BITS) + offset as u64));
            highest = highest.max(Some(entry.account));
            offset += entry.length;
            self.log.entries += 1;
        }
        let mut own = Vec::with_capacity(bytes.len().max(SEGMENT_BYTES + ROOM_BYTES));
        own.extend_from_slice(bytes);
        self.log.segments.push_back(Segment { base, bytes: own });
        highest.ok_or_else(|| Damaged("a segment of remembered commands is empty".into()))
    }

    /// Enters what was adopted into the index, table by table: one fits the processor's cache, all of them do not.
    pub(super) fn index_adopted(&mut self) {
        for (table, adopted) in self.index.iter_mut().zip(&mut self.adopted) {
            table.reserve(adopted.len(), |slot| slot.hash());
            for slot in std::mem::take(adopted) {
                table.insert_unique(slot.hash(), slot, |slot| slot.hash());
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
        let (length, hash) = (entry.length, self.hashes.hash_one(entry.key));
        if self.unsaved.start == place {
            self.save_next(blocks);
        }
        let slot = Slot::new(hash, place);
        if let Ok(found) = self.index[table_of(hash)].find_entry(slot.hash(), |other| *other == slot) {
            found.remove();
        }
        self.log.drop_front(length);
        true
    }

    /// Begins an image of those that there are now.
    pub(super) fn begin_image(&mut self) {
        self.unsaved = self.log.front..self.log.end();
    }

    /// Writes the oldest ones that the image at work lacks into it, those of one segment, and whether there were any.
    pub(super) fn save_next(&mut self, blocks: &mut Blocks) -> bool {
        if self.unsaved.is_empty() {
            return false;
        }
        let (number, from) = parts(self.unsaved.start);
        let Some(Segment { base, bytes }) = self.log.segment(number) else { return false };
        let (last, end) = parts(self.unsaved.end);
        let entries = if number == last { &bytes[from..end] } else { &bytes[from..] };
        blocks.put(|out| {
            REMEMBERED.put(out);
            base.at_ms.put(out);
            base.command_id.put(out);
            (entries.len() as u64).put(out);
            out.extend_from_slice(entries);
        });
        self.unsaved.start = if number == last { self.unsaved.end } else { (number + 1) << OFFSET_BITS };
        true
    }
}

/// The table that has the entries of a hash: by bits that a table uses for nothing else.
const fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: i64 = 30_000;

    fn names(number: i64) -> (u32, SmolStr) {
        // Now and then an entry that is larger than a segment.
        let padding = if number % 5_000 == 7 { SEGMENT_BYTES + 1 } else { number as usize % 40 };
        (number as u32 % 13, format!("{number}-{}", "x".repeat(padding)).into())
    }

    fn verdict(number: i64) -> FirstVerdict {
        FirstVerdict { command_id: number, rejected: None }
    }

    fn found(remembered: &mut Remembered, number: i64) -> Option<FirstVerdict> {
        let (account, id) = names(number);
        remembered.find(account, &id)
    }

    fn push(remembered: &mut Remembered, number: i64) {
        let (account, id) = names(number);
        remembered.push(number, account, &id, verdict(number));
    }

    fn forget_below(remembered: &mut Remembered, number: i64, blocks: &mut Blocks) {
        while remembered.forget_oldest_if(|at_ms| at_ms < number, blocks) {}
    }

    /// The numbers of the commands in an image.
    fn numbers(blocks: &mut Blocks) -> Vec<i64> {
        let mut read = Remembered::default();
        while let Some(block) = blocks.take() {
            let mut from = Source::new(&block);
            while !from.is_empty() {
                assert_eq!(u8::get(&mut from), Ok(REMEMBERED));
                let highest = read.adopt(&mut from).expect("it was written by this module");
                assert!(highest < 13);
            }
        }
        read.index_adopted();
        let mut numbers = Vec::new();
        while let Some(at_ms) = read.log.get(read.log.front).map(|entry| entry.at_ms) {
            assert_eq!(found(&mut read, at_ms), Some(verdict(at_ms)));
            numbers.push(at_ms);
            assert!(read.forget_oldest_if(|_| true, &mut Blocks::default()));
        }
        assert_eq!(read.len(), 0);
        numbers
    }

    #[test]
    fn a_slot_tells_its_place_and_what_tables_take_for_its_hash_however_far_the_log_has_come() {
        for first in [0, 5, (1 << Slot::PLACE_BITS) - 3, 7 << 40] {
            for (hash, behind) in [(0, 0), (u64::MAX, 1), (0x9abc_def0_1234_5678, (1 << Slot::PLACE_BITS) - 1)] {
                let slot = Slot::new(hash, first + behind);
                assert_eq!(slot.place(first), first + behind);
                let kept = (0x7f << 57) | ((1 << Slot::LOW_BITS) - 1);
                assert_eq!(slot.hash(), hash & kept);
            }
        }
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
        assert_eq!((remembered.len(), remembered.log.segments.len()), (0, 0));
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
            assert!((0..3).all(|_| remembered.save_next(&mut blocks)));
            (12_000..20_000).for_each(|number| push(&mut remembered, number));
            forget_below(&mut remembered, forgotten_meanwhile, &mut blocks);
            while remembered.save_next(&mut blocks) {}
            assert_eq!(numbers(&mut blocks), (1_000..12_000).collect::<Vec<_>>());
        }
    }
}
