//! The hash of the match tables.
//!
//! Only the configuration puts entries into a table, and every entry that a
//! hash leads to is compared in full: who chooses paths or hosts to collide
//! gains one comparison. So speed counts alone, and one pass over a path must
//! give the hash of each of its prefixes, which no ready-made hasher does.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const END: u64 = 0xd6e8_feb8_6659_fd93;

/// Hashes the beginnings of one text, shortest first.
pub(crate) struct Prefixes<'t> {
    text: &'t [u8],
    state: u64,
    /// Bytes of `text` in `state`: a multiple of 8.
    done: usize,
}

impl<'t> Prefixes<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Prefixes { text, state: STEP, done: 0 }
    }

    /// The hash of the first `length` bytes in the space called `space`; not
    /// shorter than the last time, and not longer than the text.
    #[inline]
    pub(crate) fn hash(&mut self, length: usize, space: u64) -> u64 {
        while self.done + 8 <= length {
            self.state = fold(self.state ^ word(self.text, self.done), STEP);
            self.done += 8;
        }
        let rest = length - self.done;
        let tail = word(self.text, self.done) & !(u64::MAX << (8 * rest));
        fold(self.state ^ tail, END ^ space) ^ (length as u64).wrapping_mul(STEP)
    }
}

/// The hash of the whole text.
pub(crate) fn hash(text: &[u8], space: u64) -> u64 {
    Prefixes::new(text).hash(text.len(), space)
}

/// The same of the text in lower case (ASCII).
pub(crate) fn hash_folded(text: &[u8], space: u64) -> u64 {
    let mut words = text.chunks_exact(8);
    let folded = |chunk: &[u8]| {
        let mut bytes = [0_u8; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        bytes.make_ascii_lowercase();
        u64::from_le_bytes(bytes)
    };
    let state = words.by_ref().fold(STEP, |state, chunk| fold(state ^ folded(chunk), STEP));
    let tail = folded(words.remainder());
    fold(state ^ tail, END ^ space) ^ (text.len() as u64).wrapping_mul(STEP)
}

/// Eight bytes from `at`; beyond the end there are zeros.
#[inline]
fn word(text: &[u8], at: usize) -> u64 {
    match text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => {
            let rest = text.get(at..).unwrap_or_default();
            rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        }
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_prefix_hashes_like_a_text_of_its_own(text in "[ -~]{0,40}", space in any::<u64>()) {
            let mut prefixes = Prefixes::new(text.as_bytes());
            for length in 0..=text.len() {
                prop_assert_eq!(prefixes.hash(length, space), hash(&text.as_bytes()[..length], space));
            }
            let lower = text.to_ascii_lowercase();
            prop_assert_eq!(hash_folded(text.as_bytes(), space), hash(lower.as_bytes(), space));
        }
    }

    #[test]
    fn lengths_and_spaces_are_told_apart() {
        let hashes = [hash(b"", 0), hash(b"", 1), hash(b"\0", 0), hash(b"\0\0", 0), hash(&[0; 8], 0), hash(&[0; 9], 0)];
        for (index, one) in hashes.iter().enumerate() {
            assert!(hashes[..index].iter().all(|other| other != one), "{hashes:x?}");
        }
    }
}
