//! A small reader of Avro bodies that borrows texts and allocates nothing but arrays.
//!
//! It exists so that an audit shares no decoder with the sinks, and for speed. It knows the shapes that the schemas in
//! `schemas/` use: records, `["null", T]`, long, int, boolean, string, enum, array. It resolves no versions: a body of
//! another schema takes the way through the wire types (see [`super::log`]).

/// The body does not fit the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

/// A body and how far it has been read.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn byte(&mut self) -> Result<u8, Misfit> {
        let (first, rest) = self.rest.split_first().ok_or(Misfit)?;
        self.rest = rest;
        Ok(*first)
    }

    fn bytes(&mut self, length: i64) -> Result<&'a [u8], Misfit> {
        let length = usize::try_from(length).map_err(|_| Misfit)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Misfit)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag number of variable length.
    pub(super) fn long(&mut self) -> Result<i64, Misfit> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Misfit);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
        }
    }

    /// What lies between this cursor and `later`, the same one further on.
    fn until(&self, later: &Self) -> &'a [u8] {
        &self.rest[..self.rest.len() - later.rest.len()]
    }
}

/// Something that a body holds.
pub(super) trait FromAvro<'a>: Sized {
    fn from_avro(cursor: &mut Cursor<'a>) -> Result<Self, Misfit>;
}

/// Reads a whole body; bytes that are left over are a misfit.
pub(super) fn read<'a, T: FromAvro<'a>>(body: &'a [u8]) -> Result<T, Misfit> {
    let mut cursor = Cursor::new(body);
    let value = T::from_avro(&mut cursor)?;
    if cursor.rest.is_empty() { Ok(value) } else { Err(Misfit) }
}

impl FromAvro<'_> for i64 {
    fn from_avro(cursor: &mut Cursor<'_>) -> Result<Self, Misfit> {
        cursor.long()
    }
}

impl FromAvro<'_> for i32 {
    fn from_avro(cursor: &mut Cursor<'_>) -> Result<Self, Misfit> {
        cursor.long()?.try_into().map_err(|_| Misfit)
    }
}

impl FromAvro<'_> for bool {
    fn from_avro(cursor: &mut Cursor<'_>) -> Result<Self, Misfit> {
        match cursor.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Misfit),
        }
    }
}

impl<'a> FromAvro<'a> for &'a str {
    fn from_avro(cursor: &mut Cursor<'a>) -> Result<Self, Misfit> {
        let length = cursor.long()?;
        std::str::from_utf8(cursor.bytes(length)?).map_err(|_| Misfit)
    }
}

impl<'a, T: FromAvro<'a>> FromAvro<'a> for Option<T> {
    fn from_avro(cursor: &mut Cursor<'a>) -> Result<Self, Misfit> {
        match cursor.long()? {
            0 => Ok(None),
            1 => T::from_avro(cursor).map(Some),
            _ => Err(Misfit),
        }
    }
}

impl<'a, T: FromAvro<'a>> FromAvro<'a> for Vec<T> {
    fn from_avro(cursor: &mut Cursor<'a>) -> Result<Self, Misfit> {
        let mut items = Self::new();
        loop {
            let mut count = cursor.long()?;
            if count == 0 {
                return Ok(items);
            }
            if count < 0 {
                // A negative count is followed by the block's size in bytes.
                count = count.checked_neg().ok_or(Misfit)?;
                cursor.long()?;
            }
            // Each item takes at least one byte: a larger claim is no array of this body.
            if count > cursor.rest.len() as i64 {
                return Err(Misfit);
            }
            for _ in 0..count {
                items.push(T::from_avro(cursor)?);
            }
        }
    }
}

/// A value with the bytes that it was read from.
#[derive(Clone, Copy)]
pub(super) struct WithBytes<'a, T> {
    pub(super) value: T,
    pub(super) bytes: &'a [u8],
}

impl<T: std::fmt::Debug> std::fmt::Debug for WithBytes<'_, T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(formatter)
    }
}

impl<'a, T: FromAvro<'a>> FromAvro<'a> for WithBytes<'a, T> {
    fn from_avro(cursor: &mut Cursor<'a>) -> Result<Self, Misfit> {
        let start = Cursor { rest: cursor.rest };
        let value = T::from_avro(cursor)?;
        Ok(Self { value, bytes: start.until(cursor) })
    }
}

/// Records, fields in the order of the schema.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident<$life:lifetime> { $($field:ident: $of:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[allow(dead_code, reason = "every field is read: the next one begins where it ends")]
        pub(super) struct $name<$life> {
            $(pub(super) $field: $of,)*
        }

        impl<$life> FromAvro<$life> for $name<$life> {
            fn from_avro(cursor: &mut Cursor<$life>) -> Result<Self, Misfit> {
                Ok(Self { $($field: FromAvro::from_avro(cursor)?,)* })
            }
        }
    )*};
}
pub(super) use records;

/// Wire enums, which are written as their place in the schema's list.
macro_rules! enums {
    ($($name:ty),* $(,)?) => {$(
        impl FromAvro<'_> for $name {
            fn from_avro(cursor: &mut Cursor<'_>) -> Result<Self, Misfit> {
                let place = usize::try_from(cursor.long()?).map_err(|_| Misfit)?;
                <$name>::ALL.get(place).copied().ok_or(Misfit)
            }
        }
    )*};
}
pub(super) use enums;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_specification_writes_them() {
        let cases: [(&[u8], i64); 6] = [
            (&[0], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0x80, 1], 64),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MIN),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], i64::MAX),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read::<i64>(bytes), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(read::<i64>(&[0x80; 11]), Err(Misfit), "too long");
        assert_eq!(read::<i64>(&[0, 0]), Err(Misfit), "a byte is left over");
        assert_eq!(read::<&str>(&[4, b'a']), Err(Misfit), "cut off");
        assert_eq!(read::<&str>(&[2, 0xff]), Err(Misfit), "not UTF-8");
        assert_eq!(read::<&str>(&[1]), Err(Misfit), "a negative length");
        assert_eq!(read::<Option<bool>>(&[4, 1]), Err(Misfit), "no such branch");
        assert_eq!(read::<Option<bool>>(&[2, 2]), Err(Misfit), "no boolean");
        assert_eq!(read::<Vec<i64>>(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0]), Err(Misfit), "a count beyond the body");
    }

    #[test]
    fn arrays_come_in_blocks_with_and_without_their_size() {
        assert_eq!(read::<Vec<i64>>(&[4, 2, 4, 1, 2, 6, 0]), Ok(vec![1, 2, 3]));
    }
}
