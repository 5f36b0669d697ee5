//! The line before each chunk: its size and extensions.

use super::Grammar;
use super::error::BodyError;

/// Reads one chunk line byte by byte, so that nothing needs to be kept or
/// looked at twice when it arrives in pieces. The grammar is that of RFC 9112
/// section 7.1 to the letter, unless more is tolerated: extensions are ignored,
/// but a line that another parser might end elsewhere is refused.
#[derive(Debug, Default)]
pub(super) struct ChunkLine {
    at: At,
    size: u64,
    digits: u8,
    /// Bytes between the size and the line's end.
    extension_bytes: usize,
}

/// What was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Size,
    /// Blanks after the size: `;` may follow, or the line's end if padding is
    /// tolerated.
    SizeBlanks,
    /// Blanks after an extension: only `;` may follow.
    Blanks,
    /// `;` and blanks
    Semicolon,
    Name,
    /// Blanks after a name: `=` or `;` may follow.
    NameBlanks,
    /// `=` and blanks
    Equals,
    Value,
    Quoted,
    QuotedBackslash,
    /// The closing quote.
    QuoteEnd,
    CarriageReturn,
}

/// A chunk line that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub(super) size: u64,
    pub(super) extension_bytes: usize,
}

impl ChunkLine {
    /// Reads on in `input`; returns how much it took, and the line's content
    /// once it ended there.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        max_extension_bytes: usize,
        grammar: Grammar,
    ) -> Result<(usize, Option<ChunkHead>), BodyError> {
        if self.digits == 0
            && let Some((len, size)) = plain(input)
        {
            return Ok((len, Some(ChunkHead { size, extension_bytes: 0 })));
        }
        for (index, &byte) in input.iter().enumerate() {
            if self.at == At::CarriageReturn {
                if byte != b'\n' {
                    return Err(BodyError::bad("chunk_line_end_invalid"));
                }
                let head = ChunkHead { size: self.size, extension_bytes: self.extension_bytes };
                *self = ChunkLine::default();
                return Ok((index + 1, Some(head)));
            }
            let ends = matches!(self.at, At::SizeBlanks | At::Name | At::Value | At::QuoteEnd)
                || (self.at == At::Size && self.digits > 0);
            if byte == b'\n' && grammar == Grammar::BareLineFeeds && ends {
                let head = ChunkHead { size: self.size, extension_bytes: self.extension_bytes };
                *self = ChunkLine::default();
                return Ok((index + 1, Some(head)));
            }
            self.at = self.step(byte, grammar)?;
            if !matches!(self.at, At::Size | At::CarriageReturn) {
                self.extension_bytes += 1;
                if self.extension_bytes > max_extension_bytes {
                    return Err(BodyError::bad("chunk_extension_too_long"));
                }
            }
        }
        Ok((input.len(), None))
    }

    fn step(&mut self, byte: u8, grammar: Grammar) -> Result<At, BodyError> {
        const BAD_EXTENSION: BodyError = BodyError::bad("chunk_extension_invalid");
        let token = sidegate_api::is_token(&[byte]);
        Ok(match (self.at, byte) {
            (At::Size, _) => return self.size(byte),
            (At::Quoted, b'"') => At::QuoteEnd,
            (At::Quoted, b'\\') => At::QuotedBackslash,
            (At::Quoted | At::QuotedBackslash, b'\t' | b' '..=0x7e | 0x80..) => At::Quoted,
            (At::Quoted | At::QuotedBackslash, _) => return Err(BAD_EXTENSION),
            (At::Semicolon | At::Equals, b' ' | b'\t') => self.at,
            (At::Semicolon | At::Name, _) if token => At::Name,
            (At::Equals | At::Value, _) if token => At::Value,
            (At::Equals, b'"') => At::Quoted,
            (At::Name | At::NameBlanks, b' ' | b'\t') => At::NameBlanks,
            (At::Name | At::NameBlanks, b'=') => At::Equals,
            (At::SizeBlanks, b' ' | b'\t') => At::SizeBlanks,
            (At::SizeBlanks, b'\r') if grammar != Grammar::Strict => At::CarriageReturn,
            (At::Value | At::QuoteEnd | At::Blanks, b' ' | b'\t') => At::Blanks,
            (At::Name | At::NameBlanks | At::Value | At::QuoteEnd | At::SizeBlanks | At::Blanks, b';') => At::Semicolon,
            (At::Name | At::Value | At::QuoteEnd, b'\r') => At::CarriageReturn,
            _ => return Err(BAD_EXTENSION),
        })
    }

    fn size(&mut self, byte: u8) -> Result<At, BodyError> {
        const BAD_SIZE: BodyError = BodyError::bad("chunk_size_invalid");
        if let Some(digit) = char::from(byte).to_digit(16) {
            // Sixteen digits are 64 bits: the shift loses nothing.
            if self.digits == 16 {
                return Err(BAD_SIZE);
            }
            self.digits += 1;
            self.size = self.size << 4 | u64::from(digit);
            return Ok(At::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(BAD_SIZE),
            b'\r' => Ok(At::CarriageReturn),
            b';' => Ok(At::Semicolon),
            b' ' | b'\t' => Ok(At::SizeBlanks),
            _ => Err(BAD_SIZE),
        }
    }
}

/// A line that is there completely and holds a size alone, as nearly all do:
/// its length and the size.
fn plain(input: &[u8]) -> Option<(usize, u64)> {
    let mut size = 0;
    for (index, &byte) in input.iter().take(9).enumerate() {
        match char::from(byte).to_digit(16) {
            Some(digit) => size = size << 4 | u64::from(digit),
            None if index > 0 && input[index..].starts_with(b"\r\n") => return Some((index + 2, size)),
            None => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8]) -> Result<Option<u64>, &'static str> {
        read_as(line, Grammar::Strict)
    }

    fn read_as(line: &[u8], grammar: Grammar) -> Result<Option<u64>, &'static str> {
        match ChunkLine::default().read(line, 16, grammar) {
            Ok((taken, head)) => {
                assert_eq!(taken, line.len());
                Ok(head.map(|head| head.size))
            }
            Err(error) => Err(error.details),
        }
    }

    #[test]
    fn sizes_and_extensions() {
        for (line, size) in [
            ("0\r\n", 0),
            ("a\r\n", 10),
            ("F\r\n", 15),
            ("0000000000000005\r\n", 5),
            ("ffffffffffffffff\r\n", u64::MAX),
            ("5;a\r\n", 5),
            ("5;a=b\r\n", 5),
            ("5 ; a = b ;c\r\n", 5),
            ("5;a=\"b;\\\"c\"\r\n", 5),
            ("5;a=\"\"\r\n", 5),
        ] {
            assert_eq!(read(line.as_bytes()), Ok(Some(size)), "{line:?}");
        }
        for (line, why) in [
            ("\r\n", "chunk_size_invalid"),
            (";a\r\n", "chunk_size_invalid"),
            (" 5\r\n", "chunk_size_invalid"),
            ("\t5\r\n", "chunk_size_invalid"),
            ("0x5\r\n", "chunk_size_invalid"),
            ("1_0\r\n", "chunk_size_invalid"),
            ("-0\r\n", "chunk_size_invalid"),
            ("+5\r\n", "chunk_size_invalid"),
            ("5\n", "chunk_size_invalid"),
            ("g\r\n", "chunk_size_invalid"),
            ("5\0\r\n", "chunk_size_invalid"),
            ("00000000000000005\r\n", "chunk_size_invalid"),
            ("5\rx", "chunk_line_end_invalid"),
            ("5\r\r\n", "chunk_line_end_invalid"),
            ("5;\r\n", "chunk_extension_invalid"),
            ("5; \r\n", "chunk_extension_invalid"),
            ("5;;a\r\n", "chunk_extension_invalid"),
            ("5 \r\n", "chunk_extension_invalid"),
            ("5;a \r\n", "chunk_extension_invalid"),
            ("5 5\r\n", "chunk_extension_invalid"),
            ("5;a=\r\n", "chunk_extension_invalid"),
            ("5;a\0\r\n", "chunk_extension_invalid"),
            ("5;a\n", "chunk_extension_invalid"),
            ("5;a=\"b\rc\"\r\n", "chunk_extension_invalid"),
            ("5;a=\"b\nc\"\r\n", "chunk_extension_invalid"),
            ("5;a=\"b\x7f\"\r\n", "chunk_extension_invalid"),
            ("5;a\rb\r\n", "chunk_line_end_invalid"),
            ("5;abcdefghijklmnopqrst\r\n", "chunk_extension_too_long"),
        ] {
            assert_eq!(read(line.as_bytes()), Err(why), "{line:?}");
        }
    }

    #[test]
    fn padding_and_bare_line_feeds_where_they_are_tolerated() {
        let tolerated = |line: &str| {
            [Grammar::Strict, Grammar::Padded, Grammar::BareLineFeeds]
                .map(|grammar| read_as(line.as_bytes(), grammar) == Ok(Some(5)))
        };
        for (line, expected) in [
            ("5\r\n", [true, true, true]),
            ("5   \r\n", [false, true, true]),
            ("5\t\r\n", [false, true, true]),
            ("5 ;a\r\n", [true, true, true]),
            ("5\n", [false, false, true]),
            ("5 \n", [false, false, true]),
            ("5;a=b\n", [false, false, true]),
            ("5;a=\"b\"\n", [false, false, true]),
            ("5;a \r\n", [false, false, false]),
            ("5;\n", [false, false, false]),
            ("5;a=\n", [false, false, false]),
            ("5;a=\"b\n", [false, false, false]),
            ("\n", [false, false, false]),
            (" 5\r\n", [false, false, false]),
            ("5 5\r\n", [false, false, false]),
            ("5\r\r\n", [false, false, false]),
        ] {
            assert_eq!(tolerated(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_line_may_arrive_byte_by_byte() {
        let mut line = ChunkLine::default();
        let bytes = b"1f;a=b\r\n";
        for &byte in &bytes[..bytes.len() - 1] {
            assert_eq!(line.read(&[byte], 256, Grammar::Strict), Ok((1, None)));
        }
        assert_eq!(
            line.read(b"\nrest", 256, Grammar::Strict),
            Ok((1, Some(ChunkHead { size: 31, extension_bytes: 4 })))
        );
    }
}
