//! gzip (RFC 1952) as a stream: what goes in comes out at once.

use flate2::{Compress, CompressError, Compression, Crc, FlushCompress, Status};

/// One body on its way. The compressor is some hundred kilobytes large and is
/// taken from a pool; see [`Encoder::into_compressor`].
pub(super) struct Encoder {
    deflate: Compress,
    crc: Crc,
    begun: bool,
}

/// Whether more follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Inner,
    Last,
}

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

impl Encoder {
    /// A compressor for [`Encoder::new`].
    pub(super) fn compressor(level: u32) -> Compress {
        Compress::new(Compression::new(level), false)
    }

    /// `compressor` is fresh or was reset.
    pub(super) fn new(compressor: Compress) -> Encoder {
        Encoder { deflate: compressor, crc: Crc::new(), begun: false }
    }

    /// The compressor, to be used again.
    pub(super) fn into_compressor(mut self) -> Compress {
        self.deflate.reset();
        self.deflate
    }

    /// Appends to `out` what makes `input` readable for the client now: a body
    /// that trickles must not wait in here. That costs five bytes per part.
    pub(super) fn write(&mut self, input: &[u8], part: Part, out: &mut Vec<u8>) -> Result<(), CompressError> {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&HEADER);
        }
        if input.is_empty() && part == Part::Inner {
            return Ok(());
        }
        self.crc.update(input);
        self.deflate(input, part, out)?;
        if part == Part::Last {
            out.extend_from_slice(&self.crc.sum().to_le_bytes());
            out.extend_from_slice(&self.crc.amount().to_le_bytes());
        }
        Ok(())
    }

    fn deflate(&mut self, mut input: &[u8], part: Part, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let flush = match part {
            Part::Inner => FlushCompress::Sync,
            Part::Last => FlushCompress::Finish,
        };
        loop {
            out.reserve((input.len() / 2).max(256));
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(input, out, flush)?;
            // At most `input.len()`, a usize.
            let taken = (self.deflate.total_in() - before) as usize;
            input = input.get(taken..).unwrap_or_default();
            // Room that was left says that nothing more wanted out.
            let drained = out.len() < out.capacity();
            match (part, status) {
                (_, Status::StreamEnd) => return Ok(()),
                (Part::Inner, _) if input.is_empty() && drained => return Ok(()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn unzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        MultiGzDecoder::new(bytes).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn each_part_can_be_read_before_the_next() {
        let mut encoder = Encoder::new(Encoder::compressor(6));
        let mut out = Vec::new();
        encoder.write(b"one ", Part::Inner, &mut out).unwrap();
        let mut read = [0; 4];
        flate2::read::GzDecoder::new(&out[..]).read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one ");
        encoder.write(b"two", Part::Inner, &mut out).unwrap();
        encoder.write(b"", Part::Last, &mut out).unwrap();
        assert_eq!(unzip(&out), b"one two");
    }

    #[test]
    fn a_compressor_serves_one_body_after_another() {
        let mut compressor = Encoder::compressor(1);
        for body in [&b"first"[..], b"", b"third third third"] {
            let mut encoder = Encoder::new(compressor);
            let mut out = Vec::new();
            encoder.write(body, Part::Last, &mut out).unwrap();
            assert_eq!(unzip(&out), body);
            compressor = encoder.into_compressor();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_parts_come_back(
            parts in proptest::collection::vec((any::<u64>(), 0_usize..5000, any::<bool>()), 0..12),
            level in 0_u32..=9,
        ) {
            let mut encoder = Encoder::new(Encoder::compressor(level));
            let (mut out, mut whole) = (Vec::new(), Vec::new());
            for (seed, length, repeats) in parts {
                let mut state = seed | 1;
                let part: Vec<u8> = (0..length).map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if repeats { (state >> 62) as u8 } else { (state >> 56) as u8 }
                }).collect();
                encoder.write(&part, Part::Inner, &mut out).unwrap();
                whole.extend_from_slice(&part);
            }
            encoder.write(b"", Part::Last, &mut out).unwrap();
            prop_assert_eq!(unzip(&out), whole);
        }
    }
}
