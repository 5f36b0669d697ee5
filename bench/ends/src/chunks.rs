//! Where a body in chunks ends.

/// Follows a chunked body; what its trailers say is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkReader {
    part: Part,
    /// Of the chunk whose line is read, or bytes of it that are to come.
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Size,
    /// Between the digits and the line's end.
    SizeEnd,
    Data,
    /// The line end behind the data.
    DataEnd,
    /// At the start of a line behind the last chunk.
    TrailerStart,
    Trailer,
    Over,
}

impl ChunkReader {
    pub(crate) const fn new() -> Self {
        ChunkReader { part: Part::Size, size: 0 }
    }

    /// Takes in the next bytes; says whether the body is over, or `None` if
    /// there are bytes behind it or this is no body in chunks.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Option<bool> {
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            self.part = match (self.part, byte) {
                (Part::Size, b'\r') => Part::SizeEnd,
                (Part::Size, _) => {
                    let digit = char::from(byte).to_digit(16)?;
                    self.size = self.size.checked_mul(16)? + u64::from(digit);
                    Part::Size
                }
                (Part::SizeEnd, b'\n') if self.size == 0 => Part::TrailerStart,
                (Part::SizeEnd, b'\n') => Part::Data,
                (Part::Data, _) => {
                    let more = usize::try_from(self.size - 1).ok()?.min(rest.len());
                    rest = &rest[more..];
                    self.size -= 1 + more as u64;
                    if self.size == 0 { Part::DataEnd } else { Part::Data }
                }
                (Part::DataEnd, b'\r') => Part::DataEnd,
                (Part::DataEnd, b'\n') => Part::Size,
                (Part::TrailerStart, b'\r') => Part::TrailerStart,
                (Part::TrailerStart, b'\n') => Part::Over,
                (Part::TrailerStart, _) => Part::Trailer,
                (Part::Trailer, b'\n') => Part::TrailerStart,
                (Part::Trailer, _) => Part::Trailer,
                (Part::SizeEnd | Part::DataEnd | Part::Over, _) => return None,
            };
        }
        Some(self.part == Part::Over)
    }
}

/// `body` in chunks of `size` bytes, and the last chunk.
pub(crate) fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::{ChunkReader, chunked};

    #[test]
    fn a_body_ends_with_its_last_chunk() {
        for size in [1, 3, 17, 100] {
            let body = chunked(&[b'x'; 100], size);
            for split in 0..body.len() {
                let mut reader = ChunkReader::new();
                assert_eq!(reader.read(&body[..split]), Some(false), "{size} {split}");
                assert_eq!(reader.read(&body[split..]), Some(true), "{size} {split}");
                assert_eq!(reader.read(b"x"), None);
            }
        }
    }

    #[test]
    fn trailers_are_passed_over() {
        assert_eq!(ChunkReader::new().read(b"2\r\nab\r\n0\r\nx: y\r\n\r\n"), Some(true));
        assert_eq!(ChunkReader::new().read(b"x\r\n"), None);
    }
}
