//! Decimal numbers of the interface, integers in units of 10^-8 in the topics.
//!
//! A number travels as a decimal text, for a JSON number passes through a binary float in most clients, which can't hold
//! 0.1. The text is canonical: no exponent, no leading or trailing zeros, `0` for zero.

use std::fmt::Write as _;
use tapeline_domain::types::{ONE, Units};

/// Decimal places of a unit.
const PLACES: usize = 8;

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAmount {
    /// Not of the form `123` or `123.45`.
    #[error("is not a decimal number such as 101.25")]
    Malformed,
    /// More than 8 decimal places.
    #[error("has more than 8 decimal places")]
    TooPrecise,
    /// Does not fit 64 bits.
    #[error("is too large")]
    TooLarge,
}

/// Reads a decimal text; a sign is refused, for no amount of a request may be negative.
///
/// # Errors
/// See [`NoAmount`].
pub fn parse(text: &str) -> Result<Units, NoAmount> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(NoAmount::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > PLACES {
        return Err(NoAmount::TooPrecise);
    }
    let fraction: Units = format!("{fraction:0<PLACES$}").parse().map_err(|_| NoAmount::Malformed)?;
    let whole: Units = whole.parse().map_err(|_| NoAmount::TooLarge)?;
    whole.checked_mul(ONE).and_then(|units| units.checked_add(fraction)).ok_or(NoAmount::TooLarge)
}

/// Appends the canonical decimal text of `units`.
pub fn write(units: Units, text: &mut String) {
    let (whole, fraction) = (units.unsigned_abs() / ONE as u64, units.unsigned_abs() % ONE as u64);
    if units < 0 {
        text.push('-');
    }
    // Writing to a String can't fail.
    let _ = write!(text, "{whole}");
    if fraction > 0 {
        let _ = write!(text, ".{fraction:0PLACES$}");
        text.truncate(text.trim_end_matches('0').len());
    }
}

/// The canonical decimal text of `units`.
pub fn text(units: Units) -> String {
    let mut text = String::new();
    write(units, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_units_are_each_others_image() {
        for (written, units) in [
            ("0", 0),
            ("1", ONE),
            ("101.25", 101 * ONE + 25_000_000),
            ("0.00000001", 1),
            ("92233720368.54775807", i64::MAX),
            ("100", 100 * ONE),
        ] {
            assert_eq!(parse(written), Ok(units), "{written}");
            assert_eq!(text(units), written);
        }
        assert_eq!(text(-ONE / 2), "-0.5");
        assert_eq!(text(i64::MIN), "-92233720368.54775808");
    }

    #[test]
    fn other_forms_are_read_or_refused_by_name() {
        for (written, read) in [
            ("1.50", Ok(150_000_000)),
            ("007", Ok(7 * ONE)),
            ("1.000000000", Ok(ONE)),
            ("", Err(NoAmount::Malformed)),
            (".5", Err(NoAmount::Malformed)),
            ("5.", Err(NoAmount::Malformed)),
            ("-1", Err(NoAmount::Malformed)),
            ("+1", Err(NoAmount::Malformed)),
            ("1e3", Err(NoAmount::Malformed)),
            ("1,5", Err(NoAmount::Malformed)),
            (" 1", Err(NoAmount::Malformed)),
            ("1.2.3", Err(NoAmount::Malformed)),
            ("٣", Err(NoAmount::Malformed)),
            ("0.000000001", Err(NoAmount::TooPrecise)),
            ("92233720369", Err(NoAmount::TooLarge)),
            ("92233720368.54775808", Err(NoAmount::TooLarge)),
            ("99999999999999999999", Err(NoAmount::TooLarge)),
        ] {
            assert_eq!(parse(written), read, "{written:?}");
        }
    }
}
