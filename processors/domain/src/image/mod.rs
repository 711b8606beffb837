//! Images: how a state is written down while it goes on working, and read back.
//!
//! An image is the state at one moment, cut into blocks. After [`Image::begin_image`] the state takes further events at
//! once: what an event is about to change is written down first as it was (a before-image), the rest by
//! [`Image::next_block`], a block at a time. So no event ever waits for more than a block, however large the state.
//!
//! What is absent: where blocks are kept, their order and their checksums; the runtime's snapshots know of these.

mod bytes;
mod types;

pub use bytes::Damaged;
pub(crate) use bytes::{Field, Source, damaged, field_enum, field_struct};

use std::collections::VecDeque;

/// Version of the layout of entities in blocks: raised by each change that an older reader would misread.
pub const FORMAT: i32 = 2;

/// A state that can be written down while it is in use.
pub trait Image {
    /// Begins an image of the state as it is now; one that was not finished is given up. A block is closed when it has
    /// `block_bytes`; the last entity in it may make it larger.
    fn begin_image(&mut self, block_bytes: usize);

    /// The next block; `None` when all of the image has been given out.
    fn next_block(&mut self) -> Option<Vec<u8>>;

    /// About how many entities (orders, accounts, remembered commands) an image has now: what it costs.
    fn entities(&self) -> usize;

    /// Fills this state, which must be new, from all blocks of an image.
    ///
    /// # Errors
    /// [`Damaged`] if they can't be an image of such a state; this state is then of no use.
    fn read_image(&mut self, blocks: &[Vec<u8>]) -> Result<(), Damaged>;
}

/// For processors that keep no state.
impl Image for () {
    fn begin_image(&mut self, _block_bytes: usize) {}

    fn next_block(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn entities(&self) -> usize {
        0
    }

    fn read_image(&mut self, _blocks: &[Vec<u8>]) -> Result<(), Damaged> {
        Ok(())
    }
}

/// The blocks of an image at work that nobody has asked for yet. Entities are never cut.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    block_bytes: usize,
    full: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl Blocks {
    /// None yet; each is closed when it has `block_bytes`.
    pub(crate) fn new(block_bytes: usize) -> Self {
        Self { block_bytes, ..Self::default() }
    }

    /// Appends an entity.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.open);
        if self.open.len() >= self.block_bytes {
            self.full.push_back(std::mem::take(&mut self.open));
        }
    }

    /// Whether a full block waits to be taken.
    pub(crate) fn is_one_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// A full block, else what there is, if anything.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.full.pop_front().or_else(|| Some(std::mem::take(&mut self.open)).filter(|open| !open.is_empty()))
    }
}

/// Walks a slab once, front to back, while entries that are about to change are written down ahead of their turn.
/// An entry says by the number of the image in which it was saved last whether it still has to be.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    image: u32,
    cursor: u32,
    end: u32,
}

impl Walk {
    /// Begins a walk over the entries that there are now.
    pub(crate) fn begin(&mut self, entries: usize) {
        self.image = self.image.wrapping_add(1);
        (self.cursor, self.end) = (0, entries as u32);
    }

    /// The next entry whose turn it is.
    pub(crate) fn step(&mut self) -> Option<u32> {
        let entry = self.cursor;
        (entry < self.end).then(|| {
            self.cursor += 1;
            entry
        })
    }

    /// Whether the entry at this place may have to be written down before it changes.
    pub(crate) const fn is_ahead(&self, entry: u32) -> bool {
        self.cursor <= entry && entry < self.end
    }

    /// The number of the image at work.
    pub(crate) const fn image(&self) -> u32 {
        self.image
    }
}
