//! Hashes that stay the same: between workers, processes and versions.

/// Hash of what a route's hash policy names, for [`Choice::hash`](crate::Choice).
/// Not for keeping an attacker from finding collisions: those only choose a
/// host.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    // FNV-1a, whose low bits are mixed well but high ones are not.
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(hash)
}

/// SplitMix64's finalizer: every bit of the result depends on every bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
