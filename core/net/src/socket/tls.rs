//! TLS over a socket: the session turns bytes into bytes, and here they are
//! read and written.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sidegate_api::TlsMeters;
use sidegate_tls::{Failure, Received, Scratch, Session};
use tokio::io::ReadBuf;

use super::Raw;

thread_local! {
    /// Memory for the time of one call, and not of any connection: a session
    /// may be moved to another thread, which has its own.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A session and what is under way in it.
#[derive(Debug)]
pub(super) struct Tls {
    pub session: Session,
    /// We have said that nothing more comes, or nothing is to be said.
    closed: bool,
    /// Where it is counted if the session ends by an error; once.
    meters: Option<Arc<TlsMeters>>,
}

impl Tls {
    pub fn new(session: Session) -> Tls {
        Tls { session, closed: false, meters: None }
    }

    /// From now on an error of the session is counted.
    pub fn count_failure(&mut self, meters: Arc<TlsMeters>) {
        self.meters = Some(meters);
    }

    /// Plaintext into `room`. 0: the peer has said that it sends no more, or
    /// there is no room.
    pub fn poll_read(&mut self, raw: &mut Raw, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match ready!(self.poll_receive(raw, cx, room))? {
                Received::Data(count) => return Poll::Ready(Ok(count)),
                Received::End => return Poll::Ready(Ok(0)),
                Received::Nothing => {}
            }
        }
    }

    /// One read, and what came of it.
    fn poll_receive(&mut self, raw: &mut Raw, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>> {
        let mut polled = Polled { raw, cx, pending: false };
        let received = SCRATCH.with_borrow_mut(|scratch| self.session.read(&mut polled, scratch, room));
        match &received {
            Err(_) if polled.pending => return Poll::Pending,
            Err(error) => {
                // The alert says why, if there is room for it.
                let _ = self.try_send(raw, cx);
                self.closed = true;
                self.count(error);
            }
            // Answers to what the peer wants of the session itself; what is not
            // sent now goes in front of the next write.
            Ok(_) => self.try_send(raw, cx)?,
        }
        Poll::Ready(received)
    }

    #[cold]
    fn count(&mut self, error: &io::Error) {
        if let (Some(meters), Some(failure)) = (self.meters.take(), Failure::within(error)) {
            meters.session_failed(failure.reason.label());
        }
    }

    /// Sends what can be sent without waiting.
    fn try_send(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_flush(raw, cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Sends everything that the session has for the peer.
    pub fn poll_flush(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_send() {
            let mut polled = Polled { raw, cx, pending: false };
            match self.session.send(&mut polled) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(_) if polled.pending => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes some of `slices`. What the socket does not take of it now goes out
    /// with the next write or flush.
    pub fn poll_write(
        &mut self,
        raw: &mut Raw,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(raw, cx))?;
        let mut polled = Polled { raw, cx, pending: false };
        Poll::Ready(SCRATCH.with_borrow_mut(|scratch| self.session.write(slices, &mut polled, scratch)))
    }

    pub fn poll_shutdown(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        ready!(self.poll_flush(raw, cx))?;
        raw.poll_shutdown(cx)
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.session.close();
        }
    }

    /// A close that nobody waits for: the peer hears that it is one, if there
    /// is room, and if it got everything else.
    pub fn part(&mut self, mut raw: &Raw) {
        if !self.closed && !self.session.is_handshaking() && !self.session.wants_send() {
            self.close();
            let _ = self.session.send(&mut raw);
        }
    }

    /// Nothing more is said to the peer: what it got is not all.
    pub fn cut(&mut self) {
        self.closed = true;
    }

    /// Goes through the handshake.
    pub fn poll_handshake(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(raw, cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(raw, cx, &mut []))?;
        }
    }

    /// Whether the peer has sent nothing that anybody would read. What it has
    /// sent for the session itself is taken.
    pub fn is_quiet(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> bool {
        loop {
            if self.session.has_plaintext() {
                return false;
            }
            match self.poll_receive(raw, cx, &mut []) {
                Poll::Pending => return true,
                Poll::Ready(Ok(Received::Nothing)) => {}
                Poll::Ready(Ok(Received::Data(_) | Received::End) | Err(_)) => return false,
            }
        }
    }
}

/// Lets a session read and write at a socket that may make it wait.
struct Polled<'a, 'b> {
    raw: &'a mut Raw,
    cx: &'a mut Context<'b>,
    pending: bool,
}

impl Polled<'_, '_> {
    fn now<T>(&mut self, result: Poll<io::Result<T>>) -> io::Result<T> {
        match result {
            Poll::Ready(result) => result,
            Poll::Pending => {
                self.pending = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }
}

impl Read for Polled<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(bytes);
        let result = self.raw.poll_read(self.cx, &mut room);
        self.now(result)?;
        Ok(room.filled().len())
    }
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.raw.poll_write(self.cx, &[IoSlice::new(bytes)]);
        self.now(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an error of a handshake was about.
pub(super) fn failure(error: &io::Error) -> Failure {
    match Failure::within(error) {
        Some(failure) => failure.clone(),
        None => Failure::connection(error),
    }
}
