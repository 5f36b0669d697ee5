//! Random numbers that are good enough to spread load; not for secrets.

use std::hash::{BuildHasher, RandomState};

use crate::hash::mix;

/// Seed of a worker's balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// A different one each time, from the system's randomness.
    pub fn random() -> Self {
        // `RandomState` is keyed by the system; the hash of anything under a
        // fresh key is as random as the key.
        Seed(RandomState::new().hash_one(0_u64))
    }
}

/// SplitMix64: every seed is a good one.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins at `seed`.
    pub fn new(seed: Seed) -> Self {
        Random(seed.0)
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        let next = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        next
    }

    /// From 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `bound`, or 0 if that is 0. Multiply and shift: the bias is
    /// `bound` in 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
