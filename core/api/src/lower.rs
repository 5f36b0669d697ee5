//! Lower case for short names, several bytes at a time.

/// Puts ASCII letters into lower case. As `make_ascii_lowercase`, which takes
/// byte after byte of what is shorter than its wide steps, as names of fields
/// are.
#[inline]
pub(crate) fn make_lower_case(bytes: &mut [u8]) {
    // The last step takes some bytes once more where they do not come out
    // even: what is in lower case stays so.
    if let Some(last) = bytes.len().checked_sub(8) {
        let mut at = 0;
        while at < last {
            lower_eight(&mut bytes[at..]);
            at += 8;
        }
        lower_eight(&mut bytes[last..]);
    } else if let Some(last) = bytes.len().checked_sub(4) {
        lower_four(bytes);
        lower_four(&mut bytes[last..]);
    } else {
        bytes.make_ascii_lowercase();
    }
}

#[inline]
fn lower_eight(bytes: &mut [u8]) {
    if let Some(eight) = bytes.first_chunk_mut::<8>() {
        *eight = lower(u64::from_ne_bytes(*eight)).to_ne_bytes();
    }
}

#[inline]
fn lower_four(bytes: &mut [u8]) {
    if let Some(four) = bytes.first_chunk_mut::<4>() {
        *four = (lower(u32::from_ne_bytes(*four).into()) as u32).to_ne_bytes();
    }
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
