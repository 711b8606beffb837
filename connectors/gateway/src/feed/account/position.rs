//! How far the private topics have been seen: the next offset of each partition. As a text it is what a client goes on from,
//! on any gateway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tapeline_domain::varint;
use tapeline_schemas::topic;

/// The topics that say what becomes of accounts, in the order in which positions hold them.
pub const TOPICS: [&str; 4] = [topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED];

/// First byte of the text, so that another form can follow one day.
const FORM: u8 = 1;
/// More partitions than a topic may have make no position.
const MAX_PARTITIONS: u64 = 1_024;

/// One of [`TOPICS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the topics' names say it")]
pub enum Source {
    Validated,
    Rejected,
    Executed,
    Settled,
}

/// Next offsets by topic and partition. A partition that is not there has 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position([Vec<i64>; TOPICS.len()]);

impl Position {
    /// The next offset of a partition.
    pub fn next(&self, source: Source, partition: i32) -> i64 {
        self.0[source as usize].get(partition as usize).copied().unwrap_or(0)
    }

    /// Sets the next offset of a partition.
    pub fn set(&mut self, source: Source, partition: i32, next: i64) {
        let offsets = &mut self.0[source as usize];
        let place = partition.max(0) as usize;
        if place >= offsets.len() {
            offsets.resize(place + 1, 0);
        }
        offsets[place] = next;
    }

    /// Whether everything before `other` is before this one too.
    pub fn reaches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| {
            other.iter().enumerate().all(|(partition, next)| own.get(partition).copied().unwrap_or(0) >= *next)
        })
    }

    /// The later of both in each partition.
    #[must_use]
    pub fn later(mut self, other: &Self) -> Self {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.resize(own.len().max(other.len()), 0);
            own.iter_mut().zip(other).for_each(|(own, other)| *own = (*own).max(*other));
        }
        self
    }

    /// As a text of letters, digits, `-` and `_`.
    pub fn text(&self) -> String {
        let mut bytes = vec![FORM];
        for offsets in &self.0 {
            varint::write(offsets.len() as u64, &mut bytes);
            offsets.iter().for_each(|offset| varint::write(varint::zigzag(*offset), &mut bytes));
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Self::text`] wrote; `None` if it is nothing of the kind.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut rest = bytes.strip_prefix(&[FORM])?;
        let mut position = Self::default();
        for offsets in &mut position.0 {
            let count = varint::read(&mut rest).ok().filter(|count| *count <= MAX_PARTITIONS)?;
            for _ in 0..count {
                let offset = varint::unzigzag(varint::read(&mut rest).ok()?);
                offsets.push(Some(offset).filter(|offset| *offset >= 0)?);
            }
        }
        rest.is_empty().then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(offsets: [&[i64]; 4]) -> Position {
        Position(offsets.map(<[i64]>::to_vec))
    }

    #[test]
    fn a_position_reaches_another_if_it_does_in_each_partition() {
        let at = position([&[5, 7], &[1], &[], &[3]]);
        for (other, reached) in [
            (position([&[5, 7], &[1], &[], &[3]]), true),
            (position([&[4], &[], &[], &[]]), true),
            (position([&[5, 8], &[1], &[], &[3]]), false),
            (position([&[], &[], &[0, 0], &[]]), true),
            (position([&[], &[], &[1], &[]]), false),
        ] {
            assert_eq!(at.reaches(&other), reached, "{other:?}");
        }
        let later = at.later(&position([&[9], &[], &[2], &[1, 1]]));
        assert_eq!(later, position([&[9, 7], &[1], &[2], &[3, 1]]));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "AQ", "AA", "%%%", "AQAAAAAA", "AQEBAAAA", "AYAIAAAA"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_and_positions_are_each_others_image(
            offsets in proptest::collection::vec(proptest::collection::vec(0..i64::MAX, 0..6), 4),
        ) {
            let position = Position(offsets.try_into().unwrap());
            prop_assert_eq!(Position::parse(&position.text()), Some(position));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Position::parse(&URL_SAFE_NO_PAD.encode(bytes));
        }
    }
}
