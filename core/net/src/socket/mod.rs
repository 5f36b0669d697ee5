//! A connected stream socket, in clear text or with TLS over it.

mod connect;
mod raw;
mod tls;

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sidegate_api::{Address, PeerIdentity, TlsAgreed, TlsMeters};
use sidegate_tls::{Failure, Session};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::raw::Raw;
use self::tls::Tls;
use crate::ReadBuffer;
pub use connect::connect;

/// A connected socket on this worker's reactor.
#[derive(Debug)]
pub struct Socket {
    raw: Raw,
    /// Boxed: sockets in clear text are not to be as large.
    tls: Option<Box<Tls>>,
    traffic: Traffic,
    /// The peer was seen to have ended its side, or to have failed.
    ended: Cell<bool>,
}

/// How a peer has ended its half of a connection, if it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// It has not.
    Open,
    /// It sends nothing more; it may still read.
    Ended,
    /// It reset the connection.
    Gone,
}

/// Bytes that went over a socket so far; with TLS, those within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From the peer.
    pub read: u64,
    /// To the peer.
    pub written: u64,
}

impl Socket {
    fn new(raw: Raw) -> Socket {
        Socket { raw, tls: None, traffic: Traffic::default(), ended: Cell::new(false) }
    }

    /// Bytes that went over it so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether a read has shown that the peer ended its side or failed.
    pub fn peer_has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Takes over an accepted, non-blocking descriptor.
    pub fn from_fd(fd: OwnedFd, address: &Address) -> io::Result<Self> {
        Raw::from_fd(fd, address).map(Socket::new)
    }

    /// Our address.
    pub fn local_address(&self) -> io::Result<Address> {
        self.raw.local_address()
    }

    /// Begins to speak TLS. Nothing may have been read or written before, and
    /// nothing may be before [`poll_handshake`](Self::poll_handshake) is ready.
    pub fn start_tls(&mut self, session: Session) {
        self.tls = Some(Box::new(Tls::new(session)));
    }

    /// Gives a session up that came to nothing. What is read from now on is
    /// what the peer sends, as it sends it.
    pub fn drop_tls(&mut self) {
        self.tls = None;
        self.ended.set(false);
    }

    /// The TLS session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        self.tls.as_deref().map(|tls| &tls.session)
    }

    /// What both sides of the TLS session agreed on; `None`: clear text, or the
    /// handshake is not over.
    pub fn tls_agreed(&self) -> Option<TlsAgreed> {
        let agreed = self.session()?.agreed()?;
        Some(TlsAgreed {
            version: agreed.version,
            cipher: agreed.cipher,
            group: agreed.group,
            // Nothing else is offered.
            alpn: match agreed.alpn {
                Some(b"h2") => "h2",
                Some(b"http/1.1") => "http/1.1",
                _ => "",
            },
            resumed: agreed.resumed,
        })
    }

    /// Who the peer is, if TLS is spoken and it was verified.
    pub fn peer(&self) -> Option<Arc<dyn PeerIdentity>> {
        Some(self.session()?.peer()?.clone())
    }

    /// What becomes of the TLS session, whose handshake is over, is counted by
    /// `meters`.
    pub fn count_tls_failure(&mut self, meters: &Arc<TlsMeters>) {
        if let Some(tls) = &mut self.tls {
            tls.count_failure(meters.clone());
        }
    }

    /// Goes through the handshake of TLS; without TLS, there is none.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(())) };
        tls.poll_handshake(&mut self.raw, cx).map_err(|error| {
            self.ended.set(true);
            tls::failure(&error)
        })
    }

    /// Ready when the handshake can go on: nothing of ours waits for the peer,
    /// and something came from it.
    pub fn poll_handshake_wakes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_flush(cx)) {
            Ok(()) => self.poll_readable(cx).map(drop),
            Err(_) => Poll::Ready(()),
        }
    }

    /// The first byte that the peer has sent, which is left there; `None`: it
    /// ended its side without one.
    pub fn poll_first_byte(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        let mut byte = [0; 1];
        loop {
            ready!(self.raw.poll_readable(cx))?;
            match self.raw.peek(&mut byte) {
                Ok(count) => return Poll::Ready(Ok((count > 0).then_some(byte[0]))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when there are bytes, an end or an error to read. Needs no
    /// buffer, so an idle connection holds none. With TLS, what there is may
    /// turn out to be for the session alone.
    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.as_ref().is_some_and(|tls| tls.session.has_news()) {
            return Poll::Ready(Ok(()));
        }
        self.raw.poll_readable(cx)
    }

    /// Reads into `buffer`, which grows to at most `max` bytes. 0: the peer
    /// has ended its side, or the buffer is full.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuffer, max: usize) -> Poll<io::Result<usize>> {
        if !buffer.has_memory() {
            // Memory is borrowed only once there is something to read: a
            // stream that waits for its upstream holds none.
            ready!(self.poll_readable(cx))?;
        }
        let result = match &mut self.tls {
            None => {
                let mut room = ReadBuf::new(buffer.room(max));
                let result = self.raw.poll_read(cx, &mut room);
                result.map_ok(|()| room.filled().len())
            }
            Some(tls) => tls.poll_read(&mut self.raw, cx, buffer.room(max)),
        };
        let count = match ready!(result) {
            Ok(count) => count,
            Err(error) => {
                self.ended.set(true);
                return Poll::Ready(Err(error));
            }
        };
        if count == 0 {
            self.ended.set(true);
        }
        buffer.advance(count);
        self.traffic.read += count as u64;
        Poll::Ready(Ok(count))
    }

    /// What the kernel has told of the peer's end, without a read: bytes that
    /// wait may stand in front of it.
    pub fn peer_end(&self) -> PeerEnd {
        self.raw.peer_end()
    }

    /// Writes some of `slices`; the count is never 0 for non-empty slices.
    /// With TLS, what was taken may wait to be sent: see
    /// [`poll_flush`](Self::poll_flush).
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let count = match &mut self.tls {
            None => ready!(self.raw.poll_write(cx, slices))?,
            Some(tls) => ready!(tls.poll_write(&mut self.raw, cx, slices))?,
        };
        if count == 0 && slices.iter().any(|s| !s.is_empty()) {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.traffic.written += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Sends what a session holds because the peer was too slow for it. In
    /// clear text nothing waits in a socket.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => Poll::Ready(Ok(())),
            Some(tls) => tls.poll_flush(&mut self.raw, cx),
        }
    }

    /// Whether nothing that was written waits in it.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.session.wants_send())
    }

    /// Bytes of memory that it holds of what comes and goes.
    #[inline]
    pub fn held(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.session.held())
    }

    /// Sends our end of stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            None => self.raw.poll_shutdown(cx),
            Some(tls) => tls.poll_shutdown(&mut self.raw, cx),
        }
    }

    /// Makes the coming close a reset instead of a regular end, so that the
    /// peer cannot mistake a cut message for a whole one.
    pub fn reset_on_close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.cut();
        }
        self.raw.reset_on_close();
    }

    /// Whether a connection that should be silent is still so: no bytes, no
    /// end, no error waits. Costs a system call only if the reactor has seen
    /// something.
    pub fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(tls) = &mut self.tls {
            let quiet = tls.is_quiet(&mut self.raw, cx);
            if !quiet && !tls.session.has_plaintext() {
                self.ended.set(true);
            }
            return quiet;
        }
        if self.raw.poll_readable(cx).is_pending() {
            return true;
        }
        let peeked = self.raw.peek(&mut [0]);
        let quiet = matches!(&peeked, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if !quiet && !matches!(peeked, Ok(1..)) {
            self.ended.set(true);
        }
        quiet
    }
}

/// A peer that hears `close_notify` knows that it got everything.
impl Drop for Socket {
    #[inline]
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.part(&self.raw);
        }
    }
}

/// For codecs that bring buffers of their own.
impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        let result = match &mut socket.tls {
            None => socket.raw.poll_read(cx, buffer),
            Some(tls) => {
                let read = tls.poll_read(&mut socket.raw, cx, buffer.initialize_unfilled());
                read.map_ok(|count| buffer.advance(count))
            }
        };
        if let Err(error) = ready!(result) {
            socket.ended.set(true);
            return Poll::Ready(Err(error));
        }
        let count = buffer.filled().len() - before;
        if count == 0 && buffer.remaining() > 0 {
            socket.ended.set(true);
        }
        socket.traffic.read += count as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_shutdown(self.get_mut(), cx)
    }
}
