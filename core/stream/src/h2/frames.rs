//! Heads of frames, as they go by (RFC 9113 section 4.1).

/// What the client's connection begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD_BYTES: usize = 9;
/// Bytes of a payload that are kept: an error code.
const PEEK_BYTES: usize = 4;

/// One frame's head, and the start of its payload if that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) length: u32,
    pub(super) stream: u32,
    /// The payload's first four bytes as a number; 0 unless the kind is
    /// [`RST_STREAM`].
    pub(super) code: u32,
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Of HEADERS and CONTINUATION.
const END_HEADERS: u8 = 4;
/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 1;

impl Frame {
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Finds the frames in one direction's bytes, in whatever pieces those come.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    have: u8,
    /// Bytes to pass over: a payload's, or the preface's.
    skip: u32,
    /// A frame whose code is being read, and how many bytes of it are there.
    peeked: Option<(Frame, u8)>,
    /// Whether the latest frame belongs to a head or trailers, and whether those
    /// end with it.
    block: Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Open,
    Ends,
}

impl Frames {
    /// `preface` bytes come before the first frame.
    pub(super) fn after(preface: usize) -> Self {
        Frames { head: [0; HEAD_BYTES], have: 0, skip: preface as u32, peeked: None, block: Block::None }
    }

    /// Passes each frame to `seen` once its head, and its code if it has one,
    /// is there. Where `seen` says no, returns how many of the bytes came
    /// before that frame's last seen byte.
    pub(super) fn read(&mut self, bytes: &[u8], mut seen: impl FnMut(Frame) -> bool) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            let left = &bytes[at..];
            if let Some((frame, have)) = &mut self.peeked {
                frame.code = frame.code << 8 | u32::from(left[0]);
                (*have, self.skip, at) = (*have + 1, self.skip - 1, at + 1);
                if usize::from(*have) == PEEK_BYTES || self.skip == 0 {
                    let frame = *frame;
                    self.peeked = None;
                    if !seen(frame) {
                        return Err(at - 1);
                    }
                }
            } else if self.skip > 0 {
                let skipped = left.len().min(self.skip as usize);
                self.skip -= skipped as u32;
                at += skipped;
            } else {
                let have = usize::from(self.have);
                let more = left.len().min(HEAD_BYTES - have);
                self.head[have..have + more].copy_from_slice(&left[..more]);
                at += more;
                self.have = (have + more) as u8;
                if have + more == HEAD_BYTES {
                    self.have = 0;
                    let frame = self.parse();
                    self.skip = frame.length;
                    self.block = match frame.kind {
                        HEADERS | CONTINUATION if frame.has(END_HEADERS) => Block::Ends,
                        HEADERS | CONTINUATION => Block::Open,
                        _ => Block::None,
                    };
                    if frame.kind == RST_STREAM && frame.length > 0 {
                        self.peeked = Some((frame, 0));
                    } else if !seen(frame) {
                        return Err(at - 1);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a head or trailers have begun and are not complete.
    pub(super) fn is_within_head(&self) -> bool {
        match self.block {
            Block::None => false,
            Block::Open => true,
            Block::Ends => self.skip > 0,
        }
    }

    fn parse(&self) -> Frame {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.head;
        Frame {
            kind,
            flags,
            length: u32::from_be_bytes([0, l0, l1, l2]),
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            code: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn three() -> (Vec<u8>, Vec<Frame>) {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(HEADERS, 5, 1, b"block"));
        bytes.extend(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
        bytes.extend(frame(DATA, 0, 0x8000_0003, b""));
        bytes.extend(frame(RST_STREAM, 0, 3, b""));
        let frame = |kind, flags, length, stream, code| Frame { kind, flags, length, stream, code };
        let frames = vec![
            frame(HEADERS, 5, 5, 1, 0),
            frame(RST_STREAM, 0, 4, 1, 8),
            frame(DATA, 0, 0, 3, 0),
            frame(RST_STREAM, 0, 0, 3, 0),
        ];
        (bytes, frames)
    }

    #[test]
    fn frames_are_found_in_pieces_of_any_size() {
        let (bytes, expected) = three();
        for size in 1..=bytes.len() {
            let mut found = Vec::new();
            let mut frames = Frames::after(PREFACE.len());
            for piece in bytes.chunks(size) {
                let seen = |frame| {
                    found.push(frame);
                    true
                };
                assert_eq!(frames.read(piece, seen), Ok(()));
            }
            assert_eq!(found, expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_head_lasts_to_its_last_byte() {
        let mut frames = Frames::after(0);
        for (bytes, within) in [
            (frame(HEADERS, 0, 1, b"some"), true),
            (frame(CONTINUATION, 0, 1, b""), true),
            (frame(CONTINUATION, 4, 1, b"rest"), false),
            (frame(DATA, 0, 1, b"body"), false),
        ] {
            frames.read(&bytes, |_| true).unwrap();
            assert_eq!(frames.is_within_head(), within);
        }
        let whole = frame(HEADERS, 4, 3, b"block");
        let (start, last) = whole.split_at(whole.len() - 1);
        frames.read(start, |_| true).unwrap();
        assert!(frames.is_within_head());
        frames.read(last, |_| true).unwrap();
        assert!(!frames.is_within_head());
    }

    #[test]
    fn reading_stops_within_the_frame_that_is_not_wanted() {
        let (bytes, _) = three();
        let mut frames = Frames::after(PREFACE.len());
        let kept = frames.read(&bytes, |frame| frame.kind != RST_STREAM).unwrap_err();
        // Behind the preface and the first frame, not yet at the end of the second.
        assert!((24 + 14..24 + 14 + 13).contains(&kept), "{kept}");
    }
}
