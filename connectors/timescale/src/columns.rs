//! Values and columns as PostgreSQL's binary protocol wants them. Amounts are converted digit by digit, exactly; no
//! floating point.
//!
//! Rows go to the database as one array for each column (`unnest` in `sql/merge/`): one round trip for each table. The
//! alternative, COPY into a staging table, was no faster for 10,000 rows, and costs 40 ms more for each table: sqlx
//! leaves Nagle's algorithm on and writes twice before it reads.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};
use std::borrow::Cow;

/// Microseconds from 1970-01-01, where Unix time begins, to 2000-01-01, where PostgreSQL's does.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A number in units of 10^-8, for a column of type numeric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) i128);

/// A time in microseconds since the Unix epoch, for a column of type timestamptz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) i64);

impl Amount {
    pub(crate) fn of(units: i64) -> Self {
        Self(units.into())
    }
}

impl Type<Postgres> for Amount {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1700))
    }
}

impl PgHasArrayType for Amount {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1231))
    }
}

impl Encode<'_, Postgres> for Amount {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        numeric(self.0, buffer);
        Ok(IsNull::No)
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&(self.0 - POSTGRES_EPOCH_US).to_be_bytes());
        Ok(IsNull::No)
    }
}

/// PostgreSQL's numeric: digits of base 10,000, the first one's power (weight), sign, decimal places. The two lowest
/// digits of a number in units of 10^-8 are its decimal places.
fn numeric(units: i128, buffer: &mut Vec<u8>) {
    const BASE: u128 = 10_000;
    const DECIMAL_PLACES: u16 = 8;
    // Digits of 128 bits: at most 10.
    let mut digits = [0u16; 10];
    let mut count = 0;
    let mut rest = units.unsigned_abs();
    while rest > 0 {
        digits[count] = (rest % BASE) as u16;
        rest /= BASE;
        count += 1;
    }
    let weight = count as i16 - 3;
    let sign: u16 = if units < 0 { 0x4000 } else { 0 };
    for header in [count as u16, weight as u16, sign, DECIMAL_PLACES] {
        buffer.extend_from_slice(&header.to_be_bytes());
    }
    for digit in digits[..count].iter().rev() {
        buffer.extend_from_slice(&digit.to_be_bytes());
    }
}

/// A text. PostgreSQL's can't hold a NUL character: it becomes U+FFFD.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// A schema's symbol, in lower case.
pub(crate) fn symbol(symbol: &str) -> String {
    symbol.to_ascii_lowercase()
}

/// Columns of a table, in the order of the parameters in `sql/merge/`.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident<$life:lifetime> { $first:ident: $of_first:ty, $($column:ident: $of:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name<$life> {
            $first: Vec<$of_first>,
            $($column: Vec<$of>,)*
        }

        impl $name<'_> {
            pub(crate) fn is_empty(&self) -> bool {
                self.$first.is_empty()
            }

            pub(crate) fn bind(
                &self,
                sql: &'static str,
            ) -> sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments> {
                sqlx::query(sql).bind(&self.$first)$(.bind(&self.$column))*
            }
        }
    };
}
pub(crate) use columns;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a numeric of PostgreSQL's binary protocol back, in units of 10^-8.
    fn read(bytes: &[u8]) -> i128 {
        let mut words = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let mut next = || words.next().unwrap();
        let (count, weight, sign, places) = (next(), next() as i16, next(), next());
        assert_eq!((bytes.len(), places), (8 + 2 * usize::from(count), 8));
        let mut value = 0i128;
        for power in (0..i32::from(count)).map(|index| i32::from(weight) - index) {
            let digit = next();
            assert!(digit < 10_000 && power >= -2);
            value += i128::from(digit) * 10_000i128.pow((power + 2) as u32);
        }
        if sign == 0x4000 { -value } else { value }
    }

    fn written(units: i128) -> Vec<u8> {
        let mut buffer = Vec::new();
        numeric(units, &mut buffer);
        buffer
    }

    #[test]
    fn numerics_are_what_postgresql_sends() {
        // As `numeric_send` gives for 0.00000000, -1.50000000 and 12345.00000001.
        assert_eq!(written(0), [0, 0, 0xff, 0xfd, 0, 0, 0, 8]);
        assert_eq!(written(-150_000_000), [0, 3, 0, 0, 0x40, 0, 0, 8, 0, 1, 0x13, 0x88, 0, 0]);
        assert_eq!(written(1_234_500_000_001), [0, 4, 0, 1, 0, 0, 0, 8, 0, 1, 0x09, 0x29, 0, 0, 0, 1]);
        assert_eq!(read(&written(i128::MAX)), i128::MAX);
    }

    #[test]
    fn a_text_holds_no_nul() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        assert!(matches!(text("a\tb"), Cow::Borrowed("a\tb")));
        assert_eq!(symbol("PARTLY_FILLED"), "partly_filled");
    }

    proptest! {
        #[test]
        fn amounts_are_exact(units in any::<i64>(), factor in 1..1_000_000_000i128) {
            let units = i128::from(units) * factor;
            prop_assert_eq!(read(&written(units)), units);
        }
    }
}
