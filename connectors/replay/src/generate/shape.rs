//! The shape of the flow: quantile tables measured in the AAPL hour, shares of order kinds, and the dice.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use tapeline_schemas::wire::SelfTradePrevention;

/// Probabilities of the tables' points.
const ONE_BILLION: u64 = 1_000_000_000;

/// Share of commands that reduce a live order, of those that are not cancels.
pub(super) const REDUCE_PPM: u32 = 10_000;
/// Share of commands that amend a live order otherwise, of those that are not cancels.
pub(super) const AMEND_PPM: u32 = 6_000;
/// Share of commands that cancel all orders of an account, of those that are not cancels.
pub(super) const CANCEL_ALL_PPM: u32 = 400;

/// What kind of order is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Immediate,
    FillOrKill,
    Market,
    Stop,
    StopLimit,
    Iceberg,
    PostOnly,
    Day,
    GoodTillDate,
}

/// Share of each kind in the orders placed, parts per million; the rest are plain limit orders.
const STYLES: [(Style, u32); 9] = [
    (Style::Immediate, 58_000),
    (Style::FillOrKill, 4_000),
    (Style::Market, 8_000),
    (Style::Stop, 3_000),
    (Style::StopLimit, 3_000),
    (Style::Iceberg, 10_000),
    (Style::PostOnly, 40_000),
    (Style::Day, 20_000),
    (Style::GoodTillDate, 20_000),
];

/// A distribution as points (probability in parts per billion, value), linear between them.
struct Quantiles<const N: usize>([(u64, i64); N]);

impl<const N: usize> Quantiles<N> {
    fn draw(&self, dice: &mut Dice) -> i64 {
        let probability = u64::from(dice.below(ONE_BILLION as u32));
        let above = self.0.partition_point(|(point, _)| *point <= probability).clamp(1, N - 1);
        let ((from, low), (to, high)) = (self.0[above - 1], self.0[above]);
        low + (high - low) * (probability - from).cast_signed() / (to - from).cast_signed()
    }

    /// Twice the mean times a billion.
    const fn doubled_area(&self) -> u128 {
        let mut sum = 0;
        let mut index = 1;
        while index < N {
            let ((from, low), (to, high)) = (self.0[index - 1], self.0[index]);
            sum += (to - from) as u128 * (low + high) as u128;
            index += 1;
        }
        sum
    }
}

const fn ppm<const N: usize>(points: [(u64, i64); N]) -> Quantiles<N> {
    let mut scaled = points;
    let mut index = 0;
    while index < N {
        scaled[index].0 *= 1_000;
        index += 1;
    }
    Quantiles(scaled)
}

/// Quantities of resting orders, in lots.
const RESTING_LOTS: Quantiles<17> = ppm([
    (0, 1),
    (18_000, 1),
    (53_000, 8),
    (100_000, 17),
    (101_000, 18),
    (212_000, 18),
    (311_000, 23),
    (350_000, 99),
    (351_000, 100),
    (878_000, 100),
    (884_000, 200),
    (957_000, 200),
    (969_500, 1_000),
    (998_900, 1_000),
    (999_600, 2_000),
    (999_970, 5_000),
    (1_000_000, 15_000),
]);

/// Quantities of immediate orders, in lots.
const IMMEDIATE_LOTS: Quantiles<12> = ppm([
    (0, 1),
    (36_000, 1),
    (98_000, 8),
    (204_000, 23),
    (306_000, 50),
    (443_000, 99),
    (444_000, 100),
    (800_000, 100),
    (876_000, 200),
    (937_000, 200),
    (983_000, 500),
    (1_000_000, 3_290),
]);

/// Distance of resting orders from the mid, in ticks; below zero is beyond the mid.
const DISTANCE_TICKS: Quantiles<19> = ppm([
    (0, -18),
    (10_000, -2),
    (50_000, 4),
    (100_000, 7),
    (200_000, 10),
    (300_000, 12),
    (400_000, 15),
    (500_000, 18),
    (600_000, 22),
    (700_000, 28),
    (800_000, 41),
    (900_000, 85),
    (950_000, 134),
    (980_000, 170),
    (990_000, 185),
    (995_000, 225),
    (999_000, 479),
    (999_900, 5_583),
    (1_000_000, 11_333),
]);

/// How many commands of its instrument a cancelled order lives.
const LIFE_COMMANDS: Quantiles<19> = ppm([
    (0, 1),
    (50_000, 1),
    (100_000, 2),
    (200_000, 4),
    (300_000, 7),
    (400_000, 11),
    (500_000, 18),
    (600_000, 30),
    (700_000, 50),
    (800_000, 99),
    (900_000, 259),
    (950_000, 570),
    (980_000, 1_759),
    (990_000, 4_329),
    (995_000, 7_770),
    (999_000, 21_297),
    (999_900, 49_833),
    (999_990, 60_000),
    (1_000_000, 71_277),
]);

/// Gaps between commands, in 10^-5 of the table's own mean.
const GAPS: Quantiles<17> = ppm([
    (0, 0),
    (50_000, 1),
    (100_000, 11),
    (200_000, 78),
    (300_000, 195),
    (400_000, 363),
    (500_000, 1_252),
    (600_000, 2_522),
    (700_000, 10_154),
    (800_000, 48_893),
    (900_000, 265_485),
    (950_000, 611_204),
    (980_000, 1_145_780),
    (990_000, 1_637_812),
    (995_000, 2_167_232),
    (999_000, 3_670_545),
    (1_000_000, 7_608_122),
]);

/// How long a GTD order is good for, in milliseconds: from 20 seconds to an hour.
const GOOD_FOR_MS: Quantiles<3> = ppm([(0, 20_000), (800_000, 300_000), (1_000_000, 3_600_000)]);

/// Seeded dice. PCG's output for a seed is fixed by its authors, so that a seed means the same flow for good.
#[derive(Debug, Clone)]
pub(super) struct Dice(Pcg64Mcg);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(super) fn below_u64(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `ppm` of a million cases.
    pub(super) fn chance(&mut self, ppm: u32) -> bool {
        self.below(super::MILLION) < ppm
    }

    pub(super) fn style(&mut self) -> Style {
        let mut roll = self.below(super::MILLION);
        for (style, share) in STYLES {
            if roll < share {
                return style;
            }
            roll -= share;
        }
        Style::Plain
    }

    /// Absent mostly, else each mode equally often.
    pub(super) fn self_trade_prevention(&mut self) -> Option<SelfTradePrevention> {
        match self.below(16) {
            0 => Some(SelfTradePrevention::CancelNewest),
            1 => Some(SelfTradePrevention::CancelOldest),
            2 => Some(SelfTradePrevention::CancelBoth),
            3 => Some(SelfTradePrevention::DecrementAndCancel),
            _ => None,
        }
    }

    pub(super) fn resting_lots(&mut self) -> u32 {
        round_lots(RESTING_LOTS.draw(self))
    }

    pub(super) fn immediate_lots(&mut self) -> u32 {
        round_lots(IMMEDIATE_LOTS.draw(self))
    }

    pub(super) fn distance_ticks(&mut self) -> i64 {
        DISTANCE_TICKS.draw(self)
    }

    pub(super) fn life_commands(&mut self) -> u64 {
        LIFE_COMMANDS.draw(self).unsigned_abs()
    }

    pub(super) fn good_for_ms(&mut self) -> i64 {
        GOOD_FOR_MS.draw(self)
    }
}

/// Above a hundred, traders mean whole hundreds.
fn round_lots(lots: i64) -> u32 {
    (if lots > 100 { lots - lots % 100 } else { lots }) as u32
}

/// Gaps between commands: heavy-tailed, and in two states, busy and calm, that last for many commands.
#[derive(Debug, Clone)]
pub(super) struct Arrivals {
    rate_per_second: u64,
    busy: bool,
}

impl Arrivals {
    /// Gaps in a busy state, in percent of the mean gap, and the chance that it ends with a command.
    const BUSY: (u128, u32) = (40, 1_000);
    /// The same of a calm state. Four of five commands are busy ones, so that the mean is 100 %.
    const CALM: (u128, u32) = (340, 4_000);

    pub(super) const fn new(rate_per_second: u64) -> Self {
        Self { rate_per_second, busy: true }
    }

    /// Nanoseconds until the next command.
    pub(super) fn gap_ns(&mut self, dice: &mut Dice) -> u64 {
        const AREA: u128 = GAPS.doubled_area();
        let (percent, ends_ppm) = if self.busy { Self::BUSY } else { Self::CALM };
        if dice.chance(ends_ppm) {
            self.busy = !self.busy;
        }
        let doubled = 2 * u128::from(GAPS.draw(dice).unsigned_abs()) * u128::from(ONE_BILLION);
        let gap_ns = doubled * percent * 10_000_000 / (AREA * u128::from(self.rate_per_second));
        u64::try_from(gap_ns).unwrap_or(u64::MAX)
    }
}
