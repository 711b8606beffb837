//! How fields stand in a block: integers as variable-length quantities ([`crate::varint`]), texts with their length before
//! them, options with a byte 0 or 1 before them.

use crate::varint::{self, Misread};
use smol_str::SmolStr;

/// Blocks that can't be an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged(pub String);

const ENDS_EARLY: &str = "a block ends within an entity";

/// Shorthand.
pub(crate) fn damaged<T>(what: impl Into<String>) -> Result<T, Damaged> {
    Err(Damaged(what.into()))
}

/// The unread rest of a block.
#[derive(Debug)]
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) const fn new(block: &'a [u8]) -> Self {
        Self(block)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is unread.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// A text as its bytes.
    pub(crate) fn text(&mut self) -> Result<&'a [u8], Damaged> {
        let length = u32::get(self)? as usize;
        self.bytes(length)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        match self.0.split_at_checked(count) {
            Some((head, rest)) => {
                self.0 = rest;
                Ok(head)
            }
            None => damaged(ENDS_EARLY),
        }
    }
}

/// Something that can stand in a block.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(from: &mut Source<'_>) -> Result<Self, Damaged>;
}

impl Field for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        Ok(from.bytes(1)?[0])
    }
}

impl Field for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        varint::write(*self, out);
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        varint::read(&mut from.0).or_else(|error| {
            damaged(match error {
                Misread::EndsEarly => ENDS_EARLY,
                Misread::TooLarge => "a number has more than 64 bits",
            })
        })
    }
}

impl Field for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        Self::try_from(u64::get(from)?).or_else(|_| damaged("a number has more than 32 bits"))
    }
}

impl Field for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        varint::zigzag(*self).put(out);
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        u64::get(from).map(varint::unzigzag)
    }
}

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        match u8::get(from)? {
            0 => Ok(false),
            1 => Ok(true),
            other => damaged(format!("{other} is neither yes nor no")),
        }
    }
}

impl Field for SmolStr {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let bytes = from.text()?;
        std::str::from_utf8(bytes).map(Self::new).or_else(|_| damaged("a text is not UTF-8"))
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        if bool::get(from)? { T::get(from).map(Some) } else { Ok(None) }
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|item| item.put(out));
    }

    /// Grows with what is there, not with what the length claims.
    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let length = u32::get(from)?;
        (0..length).map(|_| T::get(from)).collect()
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut Source<'_>) -> Result<Self, Damaged> {
        Ok((A::get(from)?, B::get(from)?))
    }
}

/// A struct as its fields, one after the other.
macro_rules! field_struct {
    ($($type:path { $($field:ident),* $(,)? })*) => {
        $(impl $crate::image::Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::image::Field::put(&self.$field, out);)*
            }

            fn get(from: &mut $crate::image::Source<'_>) -> Result<Self, $crate::image::Damaged> {
                Ok(Self { $($field: $crate::image::Field::get(from)?),* })
            }
        })*
    };
}
pub(crate) use field_struct;

/// An enum as a byte. Numbers are for good: a variant that goes leaves its number unused.
macro_rules! field_enum {
    ($($type:ident { $($variant:ident = $number:literal),* $(,)? })*) => {
        $(impl $crate::image::Field for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $number),* });
            }

            fn get(from: &mut $crate::image::Source<'_>) -> Result<Self, $crate::image::Damaged> {
                match <u8 as $crate::image::Field>::get(from)? {
                    $($number => Ok(Self::$variant),)*
                    other => Err($crate::image::Damaged(format!("{other} is no {}", stringify!($type)))),
                }
            }
        })*
    };
}
pub(crate) use field_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_overlong_ones_are_refused() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut block = Vec::new();
            value.put(&mut block);
            assert_eq!(i64::get(&mut Source::new(&block)), Ok(value));
        }
        assert!(u64::get(&mut Source::new(&[0xff; 10])).is_err());
        assert!(u64::get(&mut Source::new(&[0xff; 3])).is_err());
        assert_eq!(
            u64::get(&mut Source::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])),
            Ok(u64::MAX)
        );
    }

    #[test]
    fn a_claimed_length_costs_no_memory() {
        let mut block = Vec::new();
        u32::MAX.put(&mut block);
        assert!(Vec::<SmolStr>::get(&mut Source::new(&block)).is_err());
        assert!(SmolStr::get(&mut Source::new(&block)).is_err());
    }
}
