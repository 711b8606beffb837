//! Rows in PostgreSQL's COPY text format. Numbers are written exactly, digit by digit; no floating point.

use std::io::Write;

const ONE: u128 = 100_000_000;
const DAY_US: i64 = 86_400_000_000;

/// Rows of one table. Fields in the order of its columns, then [`CopyText::end_row`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyText {
    bytes: Vec<u8>,
    in_row: bool,
}

impl CopyText {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Ends a row.
    pub(crate) fn end_row(&mut self) {
        self.bytes.push(b'\n');
        self.in_row = false;
    }

    fn field(&mut self) -> &mut Vec<u8> {
        if self.in_row {
            self.bytes.push(b'\t');
        }
        self.in_row = true;
        &mut self.bytes
    }

    /// NULL.
    pub(crate) fn null(&mut self) -> &mut Self {
        self.field().extend_from_slice(b"\\N");
        self
    }

    /// A text. PostgreSQL's can't hold a NUL character: it becomes U+FFFD.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        let bytes = self.field();
        for byte in text.bytes() {
            match byte {
                b'\\' => bytes.extend_from_slice(b"\\\\"),
                b'\t' => bytes.extend_from_slice(b"\\t"),
                b'\n' => bytes.extend_from_slice(b"\\n"),
                b'\r' => bytes.extend_from_slice(b"\\r"),
                0 => bytes.extend_from_slice("\u{fffd}".as_bytes()),
                other => bytes.push(other),
            }
        }
        self
    }

    /// A schema's symbol, in lower case.
    pub(crate) fn symbol(&mut self, symbol: &str) -> &mut Self {
        self.field().extend(symbol.bytes().map(|byte| byte.to_ascii_lowercase()));
        self
    }

    /// A whole number.
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        // Writing to a Vec can't fail.
        let _ = write!(self.field(), "{value}");
        self
    }

    /// A number in units of 10^-8, as a decimal number.
    pub(crate) fn units(&mut self, value: impl Into<i128>) -> &mut Self {
        let value: i128 = value.into();
        let sign = if value < 0 { "-" } else { "" };
        let size = value.unsigned_abs();
        let _ = write!(self.field(), "{sign}{}.{:08}", size / ONE, size % ONE);
        self
    }

    /// As [`Self::units`], or NULL.
    pub(crate) fn units_or_null(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.units(value),
            None => self.null(),
        }
    }

    /// A time in microseconds since the Unix epoch, within years 1 to 9999, in UTC.
    pub(crate) fn time_us(&mut self, at_us: i64) -> &mut Self {
        let (day, in_day) = (at_us.div_euclid(DAY_US), at_us.rem_euclid(DAY_US));
        let (year, month, day) = civil_date(day);
        let (second, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let bytes = self.field();
        let _ = write!(bytes, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:06}+00");
        self
    }
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant's `civil_from_days`): years begin in
/// March, so that the leap day is the last one.
const fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(write: impl FnOnce(&mut CopyText)) -> String {
        let mut text = CopyText::default();
        write(&mut text);
        String::from_utf8(text.bytes).unwrap()
    }

    #[test]
    fn units_are_exact() {
        for (value, expected) in [
            (0, "0.00000000"),
            (1, "0.00000001"),
            (-1, "-0.00000001"),
            (141_342, "0.00141342"),
            (-150_000_000, "-1.50000000"),
            (i128::from(i64::MIN), "-92233720368.54775808"),
            (10i128.pow(28) - 1, "99999999999999999999.99999999"),
        ] {
            assert_eq!(line(|text| drop(text.units(value))), expected);
        }
    }

    #[test]
    fn times_are_written_to_the_microsecond() {
        for (at_us, expected) in [
            (0, "1970-01-01 00:00:00.000000+00"),
            (-1, "1969-12-31 23:59:59.999999+00"),
            (1_570_752_011_620_000, "2019-10-11 00:00:11.620000+00"),
            (951_782_400_000_000, "2000-02-29 00:00:00.000000+00"),
            (4_107_542_400_000_000, "2100-03-01 00:00:00.000000+00"),
            (253_402_300_799_999_999, "9999-12-31 23:59:59.999999+00"),
        ] {
            assert_eq!(line(|text| drop(text.time_us(at_us))), expected);
        }
    }

    #[test]
    fn what_the_format_reserves_is_escaped() {
        let row = line(|text| {
            text.text("a\tb\\N\r\nc\0d é").null().int(-7).symbol("PARTLY_FILLED").units_or_null(None).end_row();
            text.text("").end_row();
        });
        assert_eq!(row, "a\\tb\\\\N\\r\\nc\u{fffd}d é\t\\N\t-7\tpartly_filled\t\\N\n\n");
    }

    proptest! {
        #[test]
        fn units_read_back_are_the_same(value in any::<i64>()) {
            let text = line(|text| drop(text.units(value)));
            prop_assert_eq!(text.replace('.', "").parse::<i64>(), Ok(value));
        }

        #[test]
        fn each_day_is_the_day_after_the_one_before(day in -700_000..2_900_000i64) {
            let (before, after) = (civil_date(day), civil_date(day + 1));
            let (year, month, date) = before;
            let next_month = if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) };
            prop_assert!(after == (year, month, date + 1) || after == next_month && date >= 28);
        }
    }
}
