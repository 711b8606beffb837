//! The last items of a stream, by running number, bounded by their bytes.

use std::collections::VecDeque;

/// A queue that drops its oldest items when it is full; whoever reads it keeps only a number.
#[derive(Debug)]
pub struct Ring<T> {
    items: VecDeque<(T, usize)>,
    /// Number of the oldest item that is there.
    first: u64,
    bytes: usize,
    max_bytes: usize,
}

impl<T> Ring<T> {
    /// An empty ring that holds items of `max_bytes` together.
    pub const fn new(max_bytes: usize) -> Self {
        Self { items: VecDeque::new(), first: 0, bytes: 0, max_bytes }
    }

    /// Appends an item of `bytes`; shows those that give way to it to `evicted`. The newest always stays.
    pub fn push(&mut self, item: T, bytes: usize, mut evicted: impl FnMut(T)) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        while self.bytes > self.max_bytes && self.items.len() > 1 {
            if let Some((item, bytes)) = self.items.pop_front() {
                self.bytes -= bytes;
                self.first += 1;
                evicted(item);
            }
        }
    }

    /// The number that the next item gets.
    pub fn next(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// Items from number `from` on; `None` if some of them have given way.
    pub fn since(&self, from: u64) -> Option<impl Iterator<Item = &T>> {
        let skip = from.checked_sub(self.first)?;
        Some(self.items.range((skip as usize).min(self.items.len())..).map(|(item, _)| item))
    }

    /// All items, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(item, _)| item)
    }

    /// Bytes of all items, as they were told.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &Ring<u8>, from: u64) -> Option<Vec<u8>> {
        ring.since(from).map(|items| items.copied().collect())
    }

    #[test]
    fn a_reader_gets_what_came_since_or_hears_that_it_is_too_late() {
        let mut ring = Ring::new(30);
        let mut evicted = Vec::new();
        for item in 0..5 {
            ring.push(item, 10, |item| evicted.push(item));
        }
        assert_eq!((ring.next(), ring.bytes(), evicted), (5, 30, vec![0, 1]));
        assert_eq!(read(&ring, 1), None);
        assert_eq!(read(&ring, 2), Some(vec![2, 3, 4]));
        assert_eq!(read(&ring, 4), Some(vec![4]));
        assert_eq!(read(&ring, 5), Some(vec![]));
    }

    #[test]
    fn an_item_larger_than_the_ring_is_the_only_one_in_it() {
        let mut ring = Ring::new(30);
        ring.push(1, 10, |_| ());
        ring.push(2, 100, |_| ());
        assert_eq!(read(&ring, 1), Some(vec![2]));
        assert_eq!(read(&ring, 0), None);
    }
}
