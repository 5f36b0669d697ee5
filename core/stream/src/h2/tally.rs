//! How many frames a peer sent, and whether those were too many.

use std::time::Instant;

use super::frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frame, GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE,
};
use super::settings::{FrameLimit, FrameLimits};

/// Kinds of frames of which a peer may send only so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// `RST_STREAM`
    Reset,
    /// What made us send `RST_STREAM`.
    ProvokedReset,
    /// `PING`
    Ping,
    /// `SETTINGS`
    Settings,
    /// `PRIORITY` and unknown ones.
    Other,
    /// `WINDOW_UPDATE`
    WindowUpdate,
    /// `DATA` without bytes.
    EmptyData,
    /// `CONTINUATION`
    Continuation,
    /// `HEADERS` from a host.
    Heads,
}

impl FrameKind {
    /// All of them.
    pub const ALL: [FrameKind; 9] = [
        FrameKind::Reset,
        FrameKind::ProvokedReset,
        FrameKind::Ping,
        FrameKind::Settings,
        FrameKind::Other,
        FrameKind::WindowUpdate,
        FrameKind::EmptyData,
        FrameKind::Continuation,
        FrameKind::Heads,
    ];

    /// As statistics and logs call it.
    pub fn name(self) -> &'static str {
        match self {
            FrameKind::Reset => "reset",
            FrameKind::ProvokedReset => "provoked_reset",
            FrameKind::Ping => "ping",
            FrameKind::Settings => "settings",
            FrameKind::Other => "other",
            FrameKind::WindowUpdate => "window_update",
            FrameKind::EmptyData => "empty_data",
            FrameKind::Continuation => "continuation",
            FrameKind::Heads => "headers",
        }
    }
}

/// Who opens the streams of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The peer does.
    Server,
    /// We do.
    Client,
}

/// What went over a connection so far, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Streams that were opened.
    pub opened: u64,
    /// `RST_STREAM` from the peer.
    pub resets_received: u64,
    /// `RST_STREAM` to the peer, except those without an error.
    pub resets_sent: u64,
    /// `GOAWAY` from the peer.
    pub goaways_received: u64,
    /// `GOAWAY` to the peer.
    pub goaways_sent: u64,
}

/// Parts of a frame that the allowance is counted in.
const WHOLE: u32 = 2;
/// `DATA` that gives no more `WINDOW_UPDATE`s than it is worth.
const SOME_DATA: u32 = 256;

/// The frames of one connection.
#[derive(Debug)]
pub(super) struct Tally {
    role: Role,
    limits: FrameLimits,
    counts: Counts,
    last_stream: u32,
    continuations: u32,
    large: LargeHeads,
    resets: Allowance,
    provoked: Allowance,
    /// Frames for streams that are gone.
    late: Allowance,
    pings: Allowance,
    settings: Allowance,
    other: Allowance,
    window_updates: Allowance,
    empty_data: Allowance,
    heads: Allowance,
}

impl Tally {
    pub(super) fn new(role: Role, limits: FrameLimits) -> Self {
        let now = Instant::now();
        Tally {
            role,
            limits,
            counts: Counts::default(),
            last_stream: 0,
            continuations: 0,
            large: LargeHeads::default(),
            resets: Allowance::full(limits.resets, now),
            provoked: Allowance::full(limits.provoked_resets, now),
            late: Allowance::full(late(limits.provoked_resets), now),
            pings: Allowance::full(limits.pings, now),
            settings: Allowance::full(limits.settings, now),
            other: Allowance::full(limits.other, now),
            window_updates: Allowance::full(limits.window_updates, now),
            empty_data: Allowance::full(limits.empty_data, now),
            heads: Allowance::full(limits.headers, now),
        }
    }

    /// Notes from now on which heads of hosts take more than `bytes` as they are
    /// on the wire.
    pub(super) fn note_heads_above(&mut self, bytes: u32) {
        self.large.bound = bytes;
    }

    /// Whether the latest head of `stream` was such a one.
    #[cold]
    pub(super) fn had_large_head(&mut self, stream: u32) -> bool {
        let known = self.large.streams.iter().position(|&known| known == stream);
        known.map(|at| self.large.streams.swap_remove(at)).is_some()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the last frame was a `CONTINUATION`.
    pub(super) fn is_continuing(&self) -> bool {
        self.continuations > 0
    }

    /// A frame came in; the kind of which there were too many.
    pub(super) fn received(&mut self, frame: Frame) -> Result<(), FrameKind> {
        let limits = &self.limits;
        if frame.kind == CONTINUATION {
            self.continuations += 1;
            if self.role == Role::Client {
                self.large.add(frame);
            }
            return if self.continuations > limits.continuations { Err(FrameKind::Continuation) } else { Ok(()) };
        }
        self.continuations = 0;
        let (within, kind) = match frame.kind {
            DATA if frame.length == 0 && !frame.has(END_STREAM) => {
                (self.empty_data.take(limits.empty_data), FrameKind::EmptyData)
            }
            DATA => return Ok(()),
            HEADERS if self.role == Role::Client => {
                self.large.bytes = 0;
                self.large.add(frame);
                (self.heads.take(limits.headers), FrameKind::Heads)
            }
            HEADERS => {
                self.opened(frame.stream);
                return Ok(());
            }
            RST_STREAM => {
                self.counts.resets_received += 1;
                (self.resets.take(limits.resets), FrameKind::Reset)
            }
            SETTINGS if frame.has(ACK) => return Ok(()),
            SETTINGS => (self.settings.take(limits.settings), FrameKind::Settings),
            // What we asked for; there is one ping at a time.
            PING if frame.has(ACK) => (self.other.take(limits.other), FrameKind::Ping),
            PING => (self.pings.take(limits.pings), FrameKind::Ping),
            WINDOW_UPDATE => (self.window_updates.take(limits.window_updates), FrameKind::WindowUpdate),
            GOAWAY => {
                self.counts.goaways_received += 1;
                (self.other.take(limits.other), FrameKind::Other)
            }
            // Never welcome: refused by the protocol itself.
            PUSH_PROMISE => return Ok(()),
            _ => (self.other.take(limits.other), FrameKind::Other),
        };
        if within { Ok(()) } else { Err(kind) }
    }

    /// A frame goes out; the kind of which there were too many.
    pub(super) fn sent(&mut self, frame: Frame) -> Result<(), FrameKind> {
        match frame.kind {
            DATA => {
                self.pings.earn(WHOLE, self.limits.pings);
                if frame.length >= SOME_DATA {
                    self.window_updates.earn(4 * WHOLE, self.limits.window_updates);
                }
            }
            HEADERS if self.role == Role::Client => self.opened(frame.stream),
            RST_STREAM => {
                const NO_ERROR: u32 = 0;
                self.counts.resets_sent += u64::from(frame.code != NO_ERROR);
                let within = match frame.code {
                    STREAM_CLOSED => self.late.take(late(self.limits.provoked_resets)),
                    code => !is_provoked(code) || self.provoked.take(self.limits.provoked_resets),
                };
                if !within {
                    return Err(FrameKind::ProvokedReset);
                }
            }
            GOAWAY => self.counts.goaways_sent += 1,
            _ => {}
        }
        Ok(())
    }

    /// A request more: with it come frames of other kinds.
    fn opened(&mut self, stream: u32) {
        if stream <= self.last_stream {
            // Trailers.
            return;
        }
        self.last_stream = stream;
        self.counts.opened += 1;
        // Half a frame: every second request may be cancelled.
        self.resets.earn(WHOLE / 2, self.limits.resets);
        self.heads.earn(3 * WHOLE, self.limits.headers);
        self.other.earn(4 * WHOLE, self.limits.other);
        self.window_updates.earn(4 * WHOLE, self.limits.window_updates);
    }
}

/// An answer to a frame for a stream that is gone. Peers that keep the rules
/// bring it about, too: what was on its way when we ended a stream comes behind
/// that, as many frames as fit into a window (RFC 9113 section 5.1).
const STREAM_CLOSED: u32 = 5;

/// How many such frames may come where so many streams may be broken.
fn late(provoked: FrameLimit) -> FrameLimit {
    const TIMES: u32 = 20;
    FrameLimit { burst: provoked.burst.saturating_mul(TIMES), per_second: provoked.per_second.saturating_mul(TIMES) }
}

/// Streams whose head was larger than it may be, since the crate refuses those
/// as it refuses what is no head. A block may stand for more than its bytes,
/// never for less.
#[derive(Debug)]
struct LargeHeads {
    bound: u32,
    /// Of the latest block so far.
    bytes: u32,
    streams: Vec<u32>,
}

impl Default for LargeHeads {
    fn default() -> Self {
        LargeHeads { bound: u32::MAX, bytes: 0, streams: Vec::new() }
    }
}

impl LargeHeads {
    /// What nobody asks about is not kept without end.
    const MOST: usize = 128;

    fn add(&mut self, frame: Frame) {
        let before = self.bytes;
        self.bytes = before.saturating_add(frame.length);
        if before <= self.bound && self.bytes > self.bound && self.streams.len() < Self::MOST {
            self.streams.push(frame.stream);
        }
    }
}

/// Whether a stream was reset because the peer broke the protocol on it or
/// opened too many (RFC 9113 section 7), not because somebody gave it up.
fn is_provoked(code: u32) -> bool {
    const PROTOCOL_ERROR: u32 = 1;
    const FLOW_CONTROL_ERROR: u32 = 3;
    const FRAME_SIZE_ERROR: u32 = 6;
    const REFUSED_STREAM: u32 = 7;
    matches!(code, PROTOCOL_ERROR | FLOW_CONTROL_ERROR | FRAME_SIZE_ERROR | REFUSED_STREAM)
}

/// What is left of a [`FrameLimit`]. The clock is read only when nothing is.
#[derive(Debug)]
struct Allowance {
    /// In parts of a frame.
    left: u32,
    /// Until when the clock has filled it.
    filled: Instant,
}

impl Allowance {
    fn full(limit: FrameLimit, now: Instant) -> Self {
        Allowance { left: limit.burst.saturating_mul(WHOLE), filled: now }
    }

    #[inline]
    fn earn(&mut self, parts: u32, limit: FrameLimit) {
        self.left = self.left.saturating_add(parts).min(limit.burst.saturating_mul(WHOLE));
    }

    #[inline]
    fn take(&mut self, limit: FrameLimit) -> bool {
        if self.left < WHOLE {
            self.refill(limit, Instant::now());
        }
        match self.left.checked_sub(WHOLE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    #[cold]
    fn refill(&mut self, limit: FrameLimit, now: Instant) {
        let millis = now.saturating_duration_since(self.filled).as_millis();
        let frames = millis.saturating_mul(limit.per_second.into()) / 1000;
        if frames > 0 {
            // A time too short for a frame is not lost.
            self.filled = now;
            self.earn(u32::try_from(frames).unwrap_or(u32::MAX).saturating_mul(WHOLE), limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32) -> Frame {
        Frame { kind, flags, length: 0, stream, code: 0 }
    }

    fn limit(burst: u32, per_second: u32) -> FrameLimit {
        FrameLimit { burst, per_second }
    }

    /// How many go through in a row.
    fn passing(mut next: impl FnMut() -> Result<(), FrameKind>) -> (usize, FrameKind) {
        for count in 0..1_000_000 {
            if let Err(kind) = next() {
                return (count, kind);
            }
        }
        panic!("no bound");
    }

    #[test]
    fn every_kind_has_its_bound() {
        let limits = FrameLimits {
            resets: limit(1, 0),
            provoked_resets: limit(2, 0),
            pings: limit(3, 0),
            settings: limit(4, 0),
            other: limit(5, 0),
            window_updates: limit(6, 0),
            empty_data: limit(7, 0),
            headers: limit(9, 0),
            continuations: 8,
        };
        const PRIORITY: u8 = 2;
        for (received, expected) in [
            (frame(RST_STREAM, 0, 1), (1, FrameKind::Reset)),
            (frame(PING, 0, 0), (3, FrameKind::Ping)),
            (frame(PING, ACK, 0), (5, FrameKind::Ping)),
            (frame(SETTINGS, 0, 0), (4, FrameKind::Settings)),
            (frame(PRIORITY, 0, 1), (5, FrameKind::Other)),
            (frame(GOAWAY, 0, 0), (5, FrameKind::Other)),
            (frame(0x10, 0, 0), (5, FrameKind::Other)),
            (frame(0xff, 0, 0), (5, FrameKind::Other)),
            (frame(WINDOW_UPDATE, 0, 0), (6, FrameKind::WindowUpdate)),
            (frame(DATA, 0, 1), (7, FrameKind::EmptyData)),
            (frame(CONTINUATION, 0, 1), (8, FrameKind::Continuation)),
        ] {
            let mut tally = Tally::new(Role::Server, limits);
            assert_eq!(passing(|| tally.received(received)), expected, "{received:?}");
        }
        let mut tally = Tally::new(Role::Server, limits);
        let reset = Frame { code: 1, ..frame(RST_STREAM, 0, 1) };
        assert_eq!(passing(|| tally.sent(reset)), (2, FrameKind::ProvokedReset));
        assert_eq!(tally.counts().resets_sent, 3);
        // What comes late for a stream that is gone is another matter, and not without end.
        let mut tally = Tally::new(Role::Server, limits);
        let closed = Frame { code: STREAM_CLOSED, ..frame(RST_STREAM, 0, 1) };
        assert_eq!(passing(|| tally.sent(closed)), (40, FrameKind::ProvokedReset));
        assert_eq!(tally.sent(reset), Ok(()));
    }

    #[test]
    fn honest_frames_have_none() {
        let mut tally = Tally::new(Role::Server, FrameLimits::new());
        for number in 0..100_000 {
            let stream = 2 * number + 1;
            for received in [
                frame(HEADERS, 4, stream),
                Frame { length: 10, ..frame(DATA, 0, stream) },
                frame(DATA, END_STREAM, stream),
                frame(SETTINGS, ACK, 0),
                frame(WINDOW_UPDATE, 0, 0),
                frame(WINDOW_UPDATE, 0, stream),
            ] {
                assert_eq!(tally.received(received), Ok(()));
            }
            // Every second request is cancelled, every response is measured.
            if number % 2 == 0 {
                assert_eq!(tally.received(frame(RST_STREAM, 0, stream)), Ok(()));
            }
            assert_eq!(tally.sent(Frame { length: 1000, ..frame(DATA, END_STREAM, stream) }), Ok(()));
            assert_eq!(tally.received(frame(PING, 0, 0)), Ok(()));
            // Ours for reasons of our own.
            for code in [0, 2, 8] {
                assert_eq!(tally.sent(Frame { code, ..frame(RST_STREAM, 0, stream) }), Ok(()));
            }
        }
        let counts = tally.counts();
        assert_eq!((counts.opened, counts.resets_received, counts.resets_sent), (100_000, 50_000, 200_000));
    }

    #[test]
    fn hosts_may_send_heads_for_requests_and_not_many_others() {
        let mut tally = Tally::new(Role::Client, FrameLimits { headers: limit(1000, 0), ..FrameLimits::new() });
        for stream in (1..100_000).step_by(2) {
            tally.sent(frame(HEADERS, 4, stream)).unwrap();
            for _ in 0..3 {
                assert_eq!(tally.received(frame(HEADERS, 4, stream)), Ok(()));
            }
        }
        let (count, kind) = passing(|| tally.received(frame(HEADERS, 4, 1)));
        assert_eq!(kind, FrameKind::Heads);
        assert!((900..=1000).contains(&count), "{count}");
    }

    /// RFC 9113 section 8.1: they open no stream.
    #[test]
    fn trailers_are_no_new_stream() {
        let mut tally = Tally::new(Role::Server, FrameLimits::new());
        for stream in [1, 1, 3, 1, 3] {
            tally.received(frame(HEADERS, 5, stream)).unwrap();
        }
        assert_eq!(tally.counts().opened, 2);
    }

    #[test]
    fn rapid_resets_end_soon() {
        let mut tally = Tally::new(Role::Server, FrameLimits::new());
        let mut stream = 1;
        let (count, kind) = passing(|| {
            stream += 2;
            tally.received(frame(HEADERS, 5, stream))?;
            tally.received(frame(RST_STREAM, 0, stream))
        });
        assert_eq!(kind, FrameKind::Reset);
        assert!((300..1000).contains(&count), "{count}");
    }

    #[test]
    fn time_gives_back_what_was_used() {
        let start = Instant::now();
        let bound = limit(10, 5);
        let mut allowance = Allowance::full(bound, start);
        allowance.left = 0;
        allowance.refill(bound, start + Duration::from_millis(100));
        assert_eq!(allowance.left, 0);
        // The tenth of a second before is not lost.
        allowance.refill(bound, start + Duration::from_millis(200));
        assert_eq!(allowance.left, WHOLE);
        allowance.refill(bound, start + Duration::from_secs(3600));
        assert_eq!(allowance.left, 10 * WHOLE);
    }
}
