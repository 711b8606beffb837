//! Random choices from a seed.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// Dice that fall alike for the same seed, target and case.
pub struct Dice(Pcg64Mcg);

impl Dice {
    /// The dice of one case.
    pub fn of(seed: u64, target: &str, case: u64) -> Self {
        // FNV-1a, and the finalizer of SplitMix64, so that neighbouring cases have nothing in common.
        let name = target
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name ^ case.wrapping_mul(0xd1b5_4a32_d192_ed03);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(Pcg64Mcg::seed_from_u64(mixed ^ (mixed >> 31)))
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// One of `choices`, which are not empty.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
