//! A response as it arrives: its status, and where it ends.

use crate::chunks::ChunkReader;

/// A reader for one connection's responses, one after another.
#[derive(Default)]
pub(crate) struct ResponseReader {
    /// A head that came in pieces.
    head: Vec<u8>,
    part: Part,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Part {
    #[default]
    Head,
    Body {
        status: u16,
        body: Body,
    },
}

/// What is still to come of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    Left(u64),
    Chunks(ChunkReader),
}

/// What the bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// A whole response.
    Whole {
        status: u16,
    },
}

/// These clients ask for one reply at a time and want to know where it ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUnderstood;

const MAX_HEAD: usize = 64 * 1024;

impl ResponseReader {
    /// Takes in the next bytes.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Progress, NotUnderstood> {
        let joined;
        let (status, mut body, arrived) = match self.part {
            Part::Body { status, body } => (status, body, bytes),
            Part::Head if self.head.is_empty() => match head(bytes)? {
                Some((status, body, end)) => (status, body, &bytes[end..]),
                None => {
                    self.head.extend_from_slice(bytes);
                    return Ok(Progress::More);
                }
            },
            Part::Head => {
                self.head.extend_from_slice(bytes);
                match head(&self.head)? {
                    Some((status, body, end)) => {
                        joined = std::mem::take(&mut self.head);
                        (status, body, &joined[end..])
                    }
                    None => return Ok(Progress::More),
                }
            }
        };
        let over = match &mut body {
            Body::Left(left) => {
                *left = left.checked_sub(arrived.len() as u64).ok_or(NotUnderstood)?;
                *left == 0
            }
            Body::Chunks(chunks) => chunks.read(arrived).ok_or(NotUnderstood)?,
        };
        if over {
            self.part = Part::Head;
            return Ok(Progress::Whole { status });
        }
        self.part = Part::Body { status, body };
        Ok(Progress::More)
    }
}

/// Status, framing of the body, and length of the head; `None` if it is not
/// whole.
fn head(bytes: &[u8]) -> Result<Option<(u16, Body, usize)>, NotUnderstood> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => {
            let field = |name| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            let length = field("content-length");
            let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
            let body = match field("transfer-encoding") {
                Some(_) => Body::Chunks(ChunkReader::new()),
                None => Body::Left(length.ok_or(NotUnderstood)?),
            };
            Ok(Some((response.code.ok_or(NotUnderstood)?, body, end)))
        }
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
        _ => Err(NotUnderstood),
    }
}

#[cfg(test)]
mod tests {
    use super::{NotUnderstood, Progress, ResponseReader};

    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

    #[test]
    fn pieces_make_a_whole() {
        for split in 1..REPLY.len() {
            let mut reader = ResponseReader::default();
            assert_eq!(reader.read(&REPLY[..split]), Ok(Progress::More), "{split}");
            assert_eq!(reader.read(&REPLY[split..]), Ok(Progress::Whole { status: 200 }), "{split}");
            assert_eq!(reader.read(REPLY), Ok(Progress::Whole { status: 200 }), "{split}");
        }
    }

    #[test]
    fn chunks_make_a_whole() {
        const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        for split in 1..REPLY.len() {
            let mut reader = ResponseReader::default();
            assert_eq!(reader.read(&REPLY[..split]), Ok(Progress::More), "{split}");
            assert_eq!(reader.read(&REPLY[split..]), Ok(Progress::Whole { status: 200 }), "{split}");
        }
    }

    #[test]
    fn more_than_was_announced_is_a_fault() {
        let mut reader = ResponseReader::default();
        assert_eq!(reader.read(&[REPLY, b"x"].concat()), Err(NotUnderstood));
        assert_eq!(ResponseReader::default().read(b"HTTP/1.1 200 OK\r\n\r\n"), Err(NotUnderstood));
    }
}
