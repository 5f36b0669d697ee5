//! Which streams something happens to.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// So many of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Percent(u8);

/// Draws numbers for all workers. Only for what is rare or slow anyway: they
/// share one cache line.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Percent {
    /// 100 at most.
    pub(crate) fn new(percent: u64) -> Percent {
        Percent(percent.min(100) as u8)
    }

    /// Whether it happens this time. 0 and 100 draw no number.
    pub(crate) fn happens(self, dice: &Dice) -> bool {
        match self.0 {
            0 => false,
            100.. => true,
            // Multiply and shift: the bias is 100 in 2^64.
            percent => ((u128::from(dice.draw()) * 100) >> 64) < u128::from(percent),
        }
    }
}

impl Dice {
    pub(crate) fn new() -> Dice {
        // `RandomState` is keyed by the system: a fresh key hashes to anything.
        Dice(AtomicU64::new(RandomState::new().hash_one(0_u64)))
    }

    /// SplitMix64: the state only counts, so one addition is all that workers
    /// share.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_always_and_about_as_often_as_said() {
        let dice = Dice(AtomicU64::new(1));
        let hits = |percent| (0..10_000).filter(|_| Percent::new(percent).happens(&dice)).count();
        assert_eq!((hits(0), hits(100)), (0, 10_000));
        // The seed is fixed: this is arithmetic, not luck.
        assert!((2_800..=3_200).contains(&hits(30)), "{}", hits(30));
    }
}
