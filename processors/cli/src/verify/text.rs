//! Numbers and times as the two databases print them.

use tapeline_domain::types::ONE;

const DAY_US: i64 = 86_400_000_000;

fn digits(number: u64, width: usize, buffer: &mut Vec<u8>) {
    let mut reversed = [b'0'; 20];
    let (mut rest, mut count) = (number, 0);
    while rest > 0 || count < width {
        reversed[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    buffer.extend(reversed[..count].iter().rev());
}

/// A whole number.
pub(super) fn integer(number: i64, buffer: &mut Vec<u8>) {
    if number < 0 {
        buffer.push(b'-');
    }
    digits(number.unsigned_abs(), 1, buffer);
}

/// Units of 10^-8 as a decimal with all eight places, as PostgreSQL prints NUMERIC(28, 8).
pub(super) fn decimal(units: i128, buffer: &mut Vec<u8>) {
    if units < 0 {
        buffer.push(b'-');
    }
    let units = units.unsigned_abs();
    // Divisions of 128 bits are slow, and few amounts need them.
    let fraction = match u64::try_from(units) {
        Ok(units) => {
            digits(units / ONE as u64, 1, buffer);
            units % ONE as u64
        }
        Err(_) => {
            buffer.extend_from_slice((units / ONE as u128).to_string().as_bytes());
            (units % ONE as u128) as u64
        }
    };
    buffer.push(b'.');
    digits(fraction, 8, buffer);
}

/// The same without needless zeros, as ClickHouse prints a Decimal.
pub(super) fn short_decimal(units: i128, buffer: &mut Vec<u8>) {
    decimal(units, buffer);
    while buffer.last() == Some(&b'0') {
        buffer.pop();
    }
    if buffer.last() == Some(&b'.') {
        buffer.pop();
    }
}

/// Units of 10^-8 of a decimal with at most eight places; `None` if it is none.
pub(super) fn units(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 8 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<8}").parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    whole.checked_mul(i128::from(ONE))?.checked_add(fraction)?.checked_mul(sign)
}

/// Year, month and day of a day since the Unix epoch (the proleptic Gregorian calendar, years from March on).
fn civil(day: i64) -> (i64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u64, day_of_month as u64)
}

fn to_seconds(at_us: i64, buffer: &mut Vec<u8>) -> u64 {
    let (year, month, day) = civil(at_us.div_euclid(DAY_US));
    let of_day_us = at_us.rem_euclid(DAY_US) as u64;
    let second = of_day_us / 1_000_000;
    digits(year.unsigned_abs(), 4, buffer);
    for (before, number) in
        [(b'-', month), (b'-', day), (b' ', second / 3_600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        buffer.push(before);
        digits(number, 2, buffer);
    }
    of_day_us % 1_000_000
}

/// A time in microseconds since the Unix epoch, as PostgreSQL prints a timestamptz in UTC; years 0 to 9999.
pub(super) fn timestamp(at_us: i64, buffer: &mut Vec<u8>) {
    let fraction = to_seconds(at_us, buffer);
    if fraction > 0 {
        buffer.push(b'.');
        digits(fraction, 6, buffer);
        while buffer.last() == Some(&b'0') {
            buffer.pop();
        }
    }
    buffer.extend_from_slice(b"+00");
}

/// A time in milliseconds since the Unix epoch, as ClickHouse prints a DateTime64(3, 'UTC').
pub(super) fn date_time(at_ms: i64, buffer: &mut Vec<u8>) {
    let fraction = to_seconds(at_ms.saturating_mul(1_000), buffer);
    buffer.push(b'.');
    digits(fraction / 1_000, 3, buffer);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed<T>(print: impl Fn(T, &mut Vec<u8>), value: T) -> String {
        let mut buffer = Vec::new();
        print(value, &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn decimals_are_printed_as_each_database_does() {
        for (units, long, short) in [
            (0, "0.00000000", "0"),
            (-1, "-0.00000001", "-0.00000001"),
            (150_000_000, "1.50000000", "1.5"),
            (1_000_000_000, "10.00000000", "10"),
        ] {
            assert_eq!(printed(decimal, units), long);
            assert_eq!(printed(short_decimal, units), short);
        }
    }

    /// Expected texts from PostgreSQL 17 (first) and ClickHouse 26.7.
    #[test]
    fn times_are_printed_as_each_database_does() {
        for (at_us, postgresql, clickhouse) in [
            (0, "1970-01-01 00:00:00+00", "1970-01-01 00:00:00.000"),
            (951_868_799_120_000, "2000-02-29 23:59:59.12+00", "2000-02-29 23:59:59.120"),
            (1_795_518_007_587_001, "2026-11-24 11:00:07.587001+00", "2026-11-24 11:00:07.587"),
            (253_402_300_799_000_000, "9999-12-31 23:59:59+00", "9999-12-31 23:59:59.000"),
        ] {
            assert_eq!(printed(timestamp, at_us), postgresql);
            assert_eq!(printed(date_time, at_us / 1_000), clickhouse);
        }
    }

    #[test]
    fn what_is_no_decimal_has_no_units() {
        for text in ["", "x", "1.123456789", "1,5", "1.-5"] {
            assert_eq!(units(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn units_come_back_from_either_text(number in any::<i64>(), factor in 1..1_000_000_000_i128) {
            let value = i128::from(number) * factor;
            prop_assert_eq!(units(&printed(decimal, value)), Some(value));
            prop_assert_eq!(units(&printed(short_decimal, value)), Some(value));
        }

        #[test]
        fn a_later_day_has_a_later_date(day in -100_000_i64..2_000_000) {
            prop_assert!(civil(day) < civil(day + 1));
        }
    }
}
