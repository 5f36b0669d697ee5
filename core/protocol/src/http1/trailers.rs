//! The fields after the last chunk.

use memchr::memchr;
use sidegate_api::{Headers, check_trailer, is_header_value, is_token};

use super::error::BodyError;
use super::fields::{self, Known};
use super::{Grammar, Limits, Spelling};

/// What there is of a line; the bytes it took.
pub(super) enum TrailerLine {
    /// Its end is not there.
    Partial,
    Field(usize),
    /// It ends the section.
    Blank(usize),
}

/// Reads a trailer section line by line.
#[derive(Debug)]
pub(super) struct TrailerReader {
    bytes_left: usize,
    fields_left: usize,
    /// Bytes of the unfinished line that were searched for its end.
    searched: usize,
    spelling: Spelling,
}

impl TrailerReader {
    pub(super) fn new(limits: &Limits) -> Self {
        // The blank line that ends every body is not the sender's choice.
        TrailerReader {
            bytes_left: limits.max_trailer_bytes + 2,
            fields_left: limits.max_headers,
            searched: 0,
            spelling: limits.spelling,
        }
    }

    /// Takes one line from `input`.
    pub(super) fn read_line(
        &mut self,
        input: &[u8],
        trailers: &mut Headers,
        grammar: Grammar,
    ) -> Result<TrailerLine, BodyError> {
        const TOO_LARGE: BodyError = BodyError { status: 431, details: "trailers_too_large" };
        let from = self.searched.min(input.len());
        let Some(found) = memchr(b'\n', &input[from..]) else {
            self.searched = input.len();
            return if input.len() >= self.bytes_left { Err(TOO_LARGE) } else { Ok(TrailerLine::Partial) };
        };
        self.searched = 0;
        let len = from + found + 1;
        self.bytes_left = self.bytes_left.checked_sub(len).ok_or(TOO_LARGE)?;
        let line = match (input[..len].strip_suffix(b"\r\n"), grammar) {
            (Some(line), _) => line,
            (None, Grammar::BareLineFeeds) => &input[..len - 1],
            (None, _) => return Err(BodyError::bad("bare_line_feed")),
        };
        if line.is_empty() {
            return Ok(TrailerLine::Blank(len));
        }
        self.fields_left = self.fields_left.checked_sub(1).ok_or(TOO_LARGE)?;
        let (name, value) = split(line)?;
        // What may not travel in a trailer is dropped, not merged: RFC 9110
        // section 6.5.1.
        let travels = fields::classify(name) == Known::EndToEnd && check_trailer(name.as_bytes(), value).is_ok();
        if travels {
            trailers.add(name.as_bytes(), value).map_err(|_| TOO_LARGE)?;
            if self.spelling == Spelling::Keep {
                trailers.note_spelling(name.as_bytes());
            }
        }
        Ok(TrailerLine::Field(len))
    }
}

fn split(line: &[u8]) -> Result<(&str, &[u8]), BodyError> {
    const INVALID: BodyError = BodyError::bad("trailer_invalid");
    let colon = memchr(b':', line).ok_or(INVALID)?;
    let (name, value) = (&line[..colon], fields::trim_blanks(&line[colon + 1..]));
    if !is_token(name) || !is_header_value(value) {
        return Err(INVALID);
    }
    // A token is ASCII.
    Ok((std::str::from_utf8(name).map_err(|_| INVALID)?, value))
}
