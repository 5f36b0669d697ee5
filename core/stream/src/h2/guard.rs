//! Between the `h2` crate and the socket: counts the frames that pass, some of
//! which the crate never shows, and gathers what it writes.

use std::cell::{RefCell, RefMut};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use sidegate_net::{Socket, Traffic};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frames, PREFACE};
use super::settings::Http2Settings;
use super::tally::{Counts, FrameKind, Role, Tally};

/// Bytes that are gathered to be written in one system call. The crate writes
/// frame by frame; copying a frame costs less than a call does.
const GATHER: usize = 64 * 1024;
/// Memory of an idle connection for that.
const KEEP: usize = 1024;
/// Streams that may begin before the crate has to pause reading: only then
/// does it write the resets of those that it refuses, which are counted there.
const STREAMS_AT_A_TIME: u64 = 128;

/// A socket under the `h2` crate. The crate has one handle and whoever drives
/// it another, both on one thread.
///
/// The crate's flushes do nothing: [`poll_write_out`](Self::poll_write_out) is
/// to be called when the crate has been polled.
#[derive(Debug, Clone)]
pub struct Guard(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    socket: Socket,
    /// Bytes that were read before the crate had the socket.
    early: Bytes,
    /// Bytes that wait to be written, those up to `written` no more.
    waiting: Vec<u8>,
    written: usize,
    /// Since when the peer has taken nothing of what waits.
    stuck: Option<Instant>,
    /// Since when a head or trailers have begun to come.
    head: Option<Instant>,
    incoming: Frames,
    outgoing: Frames,
    tally: Tally,
    /// Streams that had begun at the last pause.
    paused_at: u64,
    refused: Option<FrameKind>,
}

impl Guard {
    /// Guards `socket`, from which `early` bytes were read before.
    pub fn new(socket: Socket, early: Bytes, role: Role, settings: &Http2Settings) -> Self {
        let mut tally = Tally::new(role, settings.frames);
        tally.note_heads_above(settings.max_header_list_bytes);
        let (incoming, outgoing) = match role {
            Role::Server => (PREFACE.len(), 0),
            Role::Client => (0, PREFACE.len()),
        };
        Guard(Rc::new(RefCell::new(Inner {
            socket,
            early,
            waiting: Vec::new(),
            written: 0,
            stuck: None,
            head: None,
            incoming: Frames::after(incoming),
            outgoing: Frames::after(outgoing),
            tally,
            paused_at: 0,
            refused: None,
        })))
    }

    /// Of which kind of frames the peer sent too many. Nothing is read from it
    /// any more: the connection is to be ended with `ENHANCE_YOUR_CALM`.
    pub fn refused(&self) -> Option<FrameKind> {
        self.0.borrow().refused
    }

    /// What went over the connection so far.
    pub fn counts(&self) -> Counts {
        self.0.borrow().tally.counts()
    }

    /// Whether the last frame of the peer was a `CONTINUATION`.
    pub(super) fn is_continuing(&self) -> bool {
        self.0.borrow().tally.is_continuing()
    }

    /// Whether the head of `stream` alone takes more than a header list may.
    pub(super) fn had_large_head(&self, stream: u32) -> bool {
        self.0.borrow_mut().tally.had_large_head(stream)
    }

    /// Bytes that went over the socket so far.
    pub fn traffic(&self) -> Traffic {
        self.0.borrow().socket.traffic()
    }

    /// Since when the peer takes nothing of what waits for it.
    pub fn stuck_since(&self) -> Option<Instant> {
        self.0.borrow().stuck
    }

    /// Since when a head or trailers have begun to come in, if they are not
    /// whole.
    pub fn head_since(&self) -> Option<Instant> {
        self.0.borrow().head
    }

    /// Gives the socket to `look`.
    pub fn with_socket<T>(&self, look: impl FnOnce(&mut Socket) -> T) -> T {
        look(&mut self.0.borrow_mut().socket)
    }

    /// Writes out what the crate has written.
    pub fn poll_write_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_write_out(cx)
    }

    /// Gives memory back that an idle connection does not need.
    pub fn release(&self) {
        let mut inner = self.0.borrow_mut();
        if inner.waiting.is_empty() && inner.waiting.capacity() > KEEP {
            inner.waiting = Vec::new();
        }
    }

    /// Reads and drops what the peer still sends, so that what was written to
    /// it is not lost to a reset; ready when it has ended its side or failed,
    /// or after `max` bytes.
    pub fn poll_drain(&self, cx: &mut Context<'_>, max: &mut usize) -> Poll<()> {
        let mut inner = self.0.borrow_mut();
        let mut scratch = [0; 4096];
        while *max > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(AsyncRead::poll_read(Pin::new(&mut inner.socket), cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            *max = max.saturating_sub(buffer.filled().len());
        }
        Poll::Ready(())
    }

    fn inner(self: Pin<&mut Self>) -> RefMut<'_, Inner> {
        self.get_mut().0.borrow_mut()
    }
}

impl Inner {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let slices = [IoSlice::new(&self.waiting[self.written..])];
            match self.socket.poll_write(cx, &slices) {
                Poll::Ready(written) => {
                    self.written += written?;
                    self.stuck = None;
                }
                Poll::Pending => {
                    self.stuck.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
        self.waiting.clear();
        self.written = 0;
        match self.socket.poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.stuck = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => {
                self.stuck.get_or_insert_with(Instant::now);
                Poll::Pending
            }
        }
    }

    fn count_sent(&mut self, bytes: &[u8]) {
        let (tally, refused) = (&mut self.tally, &mut self.refused);
        // What goes out goes out; the connection ends afterwards.
        let _ = self.outgoing.read(bytes, |frame| {
            if let Err(kind) = tally.sent(frame) {
                refused.get_or_insert(kind);
            }
            true
        });
    }

    /// Counts what was read behind `before` bytes of `buffer`, and takes away
    /// what comes with a frame that is one too many.
    fn count_received(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let (tally, refused) = (&mut self.tally, &mut self.refused);
        let read = self.incoming.read(&buffer.filled()[before..], |frame| match tally.received(frame) {
            Ok(()) => true,
            Err(kind) => {
                *refused = Some(kind);
                false
            }
        });
        if let Err(kept) = read {
            buffer.set_filled(before + kept);
        }
        if !self.incoming.is_within_head() {
            self.head = None;
        } else if self.head.is_none() {
            self.head = Some(Instant::now());
        }
    }
}

impl AsyncRead for Guard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.refused.is_some() {
            // Whoever drives the connection sees that and ends it.
            return Poll::Pending;
        }
        let opened = inner.tally.counts().opened;
        if opened - inner.paused_at >= STREAMS_AT_A_TIME {
            inner.paused_at = opened;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if inner.early.is_empty() {
            ready!(AsyncRead::poll_read(Pin::new(&mut inner.socket), cx, buffer))?;
        } else {
            let count = inner.early.len().min(buffer.remaining());
            buffer.put_slice(&inner.early[..count]);
            inner.early.advance(count);
            if inner.early.is_empty() {
                inner.early = Bytes::new();
            }
        }
        inner.count_received(buffer, before);
        if inner.refused.is_some() && buffer.filled().len() == before {
            // No bytes would mean the end.
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if inner.waiting.len() + length > GATHER {
            ready!(inner.poll_write_out(cx))?;
        }
        let mut taken = 0;
        for slice in slices {
            let count = slice.len().min(GATHER - inner.waiting.len());
            inner.waiting.extend_from_slice(&slice[..count]);
            inner.count_sent(&slice[..count]);
            taken += count;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing, see above.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_write_out(cx))?;
        inner.socket.poll_shutdown(cx)
    }
}
