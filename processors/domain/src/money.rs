//! Products of prices, quantities and fee rates: computed in 128 bits, checked, and rounded so that a
//! reservation always covers what is spent from it.
//!
//! Rounding: what is reserved is rounded up, what is paid is rounded down. With `ceil(a + b) - ceil(a) >= floor(b)`
//! any sequence of partial fills at the limit price or better can be paid out of the reservation, and what is left
//! after each fill still covers the rest. The property test `reservation_covers_every_fill` holds this.

use crate::types::{MAX_UNITS, ONE, Side, Units};

/// A product left the range of [`Units`] (see [`MAX_UNITS`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

fn to_units(value: i128) -> Result<Units, OutOfRange> {
    if (0..=MAX_UNITS as i128).contains(&value) { Ok(value as Units) } else { Err(OutOfRange) }
}

/// What a trade of `quantity` at `price` costs in the quote asset, rounded down.
pub fn notional(price: Units, quantity: Units) -> Result<Units, OutOfRange> {
    to_units(price as i128 * quantity as i128 / ONE as i128)
}

/// The fee on `notional` at `rate_ppm` parts per million, rounded down.
pub fn fee(notional: Units, rate_ppm: i64) -> Result<Units, OutOfRange> {
    to_units(notional as i128 * rate_ppm as i128 / 1_000_000)
}

/// What must be reserved for `quantity` at the worst price `price`: for a sale the base quantity itself,
/// for a purchase the notional plus the taker fee, both rounded up, in the quote asset.
pub fn reservation(side: Side, price: Units, quantity: Units, taker_fee_ppm: i64) -> Result<Units, OutOfRange> {
    match side {
        Side::Sell => to_units(quantity as i128),
        Side::Buy => {
            let cost = (price as i128 * quantity as i128 + ONE as i128 - 1) / ONE as i128;
            let fee = (cost * taker_fee_ppm as i128 + 999_999) / 1_000_000;
            to_units(cost + fee)
        }
    }
}

/// `units` as a decimal number without needless zeros, for sentences that people read.
pub fn decimal(units: Units) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (whole, rest) = (units.unsigned_abs() / ONE as u64, units.unsigned_abs() % ONE as u64);
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{rest:08}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn products_are_rounded_as_documented() {
        assert_eq!(notional(15 * ONE / 10, 1), Ok(1));
        assert_eq!(reservation(Side::Buy, 15 * ONE / 10, 1, 0), Ok(2));
        assert_eq!(fee(999_999, 1), Ok(0));
        assert_eq!(reservation(Side::Sell, ONE, 5, 2_000), Ok(5));
        assert_eq!(notional(MAX_UNITS, MAX_UNITS), Err(OutOfRange));
        assert_eq!(decimal(-150_000_000), "-1.5");
    }

    proptest! {
        /// Any way of cutting an order into fills at its limit or better can be paid from its reservation.
        #[test]
        fn reservation_covers_every_fill(
            limit in 1..1_000_000_000_000i64,
            fills in proptest::collection::vec((1..10_000_000_000i64, 0..1_000_000i64, any::<bool>()), 1..8),
            maker_ppm in 0..2_000i64,
            extra_ppm in 0..2_000i64,
        ) {
            let taker_ppm = maker_ppm + extra_ppm;
            let mut leaves: i64 = fills.iter().map(|fill| fill.0).sum();
            let reserve = |leaves| reservation(Side::Buy, limit, leaves, taker_ppm).unwrap();
            for (quantity, better_ppm, maker) in fills {
                let price = limit - (limit as i128 * better_ppm as i128 / 1_000_000) as i64;
                let before = reserve(leaves);
                leaves -= quantity;
                let cost = notional(price, quantity).unwrap();
                let spent = cost + fee(cost, if maker { maker_ppm } else { taker_ppm }).unwrap();
                prop_assert!(before - reserve(leaves) >= spent);
            }
            prop_assert_eq!(reserve(leaves), 0);
        }
    }
}
