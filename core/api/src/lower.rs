//! Lower case for short names, several bytes at a time.

/// Puts ASCII letters into lower case. As `make_ascii_lowercase`, which takes
/// byte after byte of what is shorter than its wide steps, as names of fields
/// are.
#[inline]
pub(crate) fn make_lower_case(bytes: &mut [u8]) {
    let (eights, rest) = bytes.as_chunks_mut::<8>();
    for eight in eights {
        *eight = lower(u64::from_ne_bytes(*eight)).to_ne_bytes();
    }
    let (fours, rest) = rest.as_chunks_mut::<4>();
    for four in fours {
        *four = (lower(u32::from_ne_bytes(*four).into()) as u32).to_ne_bytes();
    }
    rest.make_ascii_lowercase();
}

/// Sets the bit that lower case has in each byte from `A` to `Z`.
#[inline]
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let sevens = word & !HIGH;
    // The high bit of each byte: no carry leaves one.
    let from_a = sevens + (0x80 - b'A' as u64) * ONES;
    let beyond_z = sevens + (0x7f - b'Z' as u64) * ONES;
    word | (from_a & !beyond_z & !word & HIGH) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_what_the_library_does_at_any_length() {
        for length in 0..40 {
            for first in 0..=255_u8 {
                let mut bytes: Vec<u8> = (0..length).map(|n: u8| first.wrapping_add(n.wrapping_mul(7))).collect();
                let mut expected = bytes.clone();
                expected.make_ascii_lowercase();
                make_lower_case(&mut bytes);
                assert_eq!(bytes, expected);
            }
        }
    }
}
