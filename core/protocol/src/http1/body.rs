//! Bodies: where each piece of one lies in the bytes that arrive.

use sidegate_api::Headers;

use super::chunk_line::ChunkLine;
use super::error::BodyError;
use super::trailers::{TrailerLine, TrailerReader};
use super::{BodyLength, Grammar, Limits};

/// Decodes one body without copying it.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of the body so far, announced chunks included.
    announced: u64,
    max_body: u64,
    max_extension_bytes: usize,
    /// Bytes of chunk extensions so far.
    extension_bytes: u64,
    grammar: Grammar,
    trailers: TrailerReader,
}

#[derive(Debug)]
enum State {
    /// So many bytes of a lengthed body are still to come.
    Length(u64),
    ChunkLine(ChunkLine),
    /// So many bytes of a chunk are still to come.
    ChunkData(u64),
    ChunkDataEnd,
    ChunkDataLineFeed,
    Trailers,
    UntilClose,
    Done,
    Failed(BodyError),
}

/// What [`BodyDecoder::decode`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyStep {
    /// `input[start..end]` belongs to the body; `end` bytes were consumed.
    Data {
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
    },
    /// So many bytes were consumed, and more are needed. What was not consumed
    /// (part of a trailer line) must be given again, with more after it.
    NeedMore {
        /// Bytes consumed.
        consumed: usize,
    },
    /// The body ended, and its trailers are complete.
    End {
        /// Bytes consumed; the next message starts there.
        consumed: usize,
    },
}

/// What [`BodyDecoder::gather`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathered {
    /// One past the last byte of data.
    pub data: usize,
    /// Bytes of the input that were used up; those from `data` on are worth
    /// nothing.
    pub consumed: usize,
}

impl BodyDecoder {
    /// A decoder for a body that ends as `length` says.
    pub fn new(length: BodyLength, limits: &Limits) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Done,
            BodyLength::Length(length) => State::Length(length),
            BodyLength::Chunked => State::ChunkLine(ChunkLine::default()),
            BodyLength::UntilClose => State::UntilClose,
        };
        BodyDecoder {
            state,
            announced: 0,
            max_body: limits.max_body.unwrap_or(u64::MAX),
            max_extension_bytes: limits.max_chunk_extension_bytes,
            extension_bytes: 0,
            grammar: Grammar::Strict,
            trailers: TrailerReader::new(limits),
        }
    }

    /// Reads lines as `grammar` says.
    pub fn with_grammar(mut self, grammar: Grammar) -> Self {
        self.grammar = grammar;
        self
    }

    /// Takes the next step through `input`, which goes on where the last step
    /// stopped consuming. Trailers are added to `trailers`.
    pub fn decode(&mut self, input: &[u8], trailers: &mut Headers) -> Result<BodyStep, BodyError> {
        self.checked_step(input, Some(trailers))
    }

    /// After a step that gave data up to `end`, which ended a chunk: moves the
    /// data of the chunks that follow in `input` to it, over the framing in
    /// between, so that one piece comes of many. Stops where `input` ends and
    /// in front of the trailers; a fault is kept for the next step, since the
    /// data before it is good.
    pub fn gather(&mut self, input: &mut [u8], end: usize) -> Gathered {
        let mut gathered = Gathered { data: end, consumed: end };
        while self.is_between_chunks() {
            let from = gathered.consumed;
            match self.checked_step(&input[from..], None) {
                Ok(BodyStep::Data { start, end }) => {
                    input.copy_within(from + start..from + end, gathered.data);
                    gathered.data += end - start;
                    gathered.consumed += end;
                }
                Ok(BodyStep::NeedMore { consumed } | BodyStep::End { consumed }) => {
                    gathered.consumed += consumed;
                    break;
                }
                Err(_) => break,
            }
        }
        gathered
    }

    /// Whether the data of a chunk was just given to its end, so that there
    /// may be something to [`gather`](Self::gather).
    pub fn is_between_chunks(&self) -> bool {
        matches!(self.state, State::ChunkDataEnd)
    }

    fn checked_step(&mut self, input: &[u8], trailers: Option<&mut Headers>) -> Result<BodyStep, BodyError> {
        let step = self.step(input, trailers);
        if let Err(error) = step {
            self.state = State::Failed(error);
        }
        step
    }

    /// The peer closed: an error unless that is how the body ends.
    pub fn at_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            _ => Err(BodyError::bad("body_truncated")),
        }
    }

    /// Whether the whole body and its trailers were consumed.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Without a place for trailers it stops in front of them.
    fn step(&mut self, input: &[u8], mut trailers: Option<&mut Headers>) -> Result<BodyStep, BodyError> {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match &mut self.state {
                State::Done => return Ok(BodyStep::End { consumed: at }),
                State::Failed(error) => return Err(*error),
                _ if rest.is_empty() => return Ok(BodyStep::NeedMore { consumed: at }),
                State::Length(left) => {
                    let len = take(left, rest);
                    if *left == 0 {
                        self.state = State::Done;
                    }
                    return Ok(BodyStep::Data { start: at, end: at + len });
                }
                State::UntilClose => {
                    self.announce(rest.len() as u64)?;
                    return Ok(BodyStep::Data { start: at, end: input.len() });
                }
                State::ChunkData(left) => {
                    let len = take(left, rest);
                    if *left == 0 {
                        self.state = State::ChunkDataEnd;
                    }
                    return Ok(BodyStep::Data { start: at, end: at + len });
                }
                State::ChunkLine(line) => {
                    let (len, head) = line.read(rest, self.max_extension_bytes, self.grammar)?;
                    at += len;
                    if let Some(head) = head {
                        self.count_extension(head.extension_bytes)?;
                        self.announce(head.size)?;
                        self.state = if head.size == 0 { State::Trailers } else { State::ChunkData(head.size) };
                    }
                }
                State::ChunkDataEnd if rest[0] == b'\r' => {
                    at += 1;
                    self.state = State::ChunkDataLineFeed;
                }
                State::ChunkDataEnd if rest[0] == b'\n' && self.grammar == Grammar::BareLineFeeds => {
                    at += 1;
                    self.state = State::ChunkLine(ChunkLine::default());
                }
                State::ChunkDataLineFeed if rest[0] == b'\n' => {
                    at += 1;
                    self.state = State::ChunkLine(ChunkLine::default());
                }
                State::ChunkDataEnd | State::ChunkDataLineFeed => {
                    return Err(BodyError::bad("chunk_end_invalid"));
                }
                State::Trailers => {
                    let Some(trailers) = trailers.as_deref_mut() else {
                        return Ok(BodyStep::NeedMore { consumed: at });
                    };
                    match self.trailers.read_line(rest, trailers, self.grammar)? {
                        TrailerLine::Partial => return Ok(BodyStep::NeedMore { consumed: at }),
                        TrailerLine::Blank(len) => {
                            at += len;
                            self.state = State::Done;
                        }
                        TrailerLine::Field(len) => at += len,
                    }
                }
            }
        }
    }

    fn announce(&mut self, more: u64) -> Result<(), BodyError> {
        match self.announced.checked_add(more) {
            Some(total) if total <= self.max_body => {
                self.announced = total;
                Ok(())
            }
            _ => Err(BodyError::too_large("body_too_large")),
        }
    }

    fn count_extension(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.extension_bytes += bytes as u64;
        let allowed = (self.max_extension_bytes as u64).saturating_mul(16).saturating_add(self.announced);
        if self.extension_bytes > allowed {
            return Err(BodyError::bad("chunk_extensions_too_long"));
        }
        Ok(())
    }
}

/// Takes as much of `rest` as `left` allows and says how much.
fn take(left: &mut u64, rest: &[u8]) -> usize {
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
    *left -= len as u64;
    len
}
