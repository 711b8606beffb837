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
