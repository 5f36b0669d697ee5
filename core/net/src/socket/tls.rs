//! TLS over a socket: the session turns bytes into bytes, and here they are
//! read and written.

use std::io::{self, IoSlice, Write};
use std::task::{Context, Poll, ready};

use sidegate_tls::{Failure, Received, Session};

use super::Raw;

/// A session and what is under way in it.
#[derive(Debug)]
pub(super) struct Tls {
    pub session: Session,
    /// Bytes of the write that goes on: they are encrypted, and not all sent.
    under_way: usize,
    /// We have said that nothing more comes, or nothing is to be said.
    closed: bool,
}

/// What reading has come to.
enum Step {
    /// Something was received: look again.
    Again,
    /// Nothing is there.
    Nothing,
}

impl Tls {
    pub fn new(session: Session) -> Tls {
        Tls { session, under_way: 0, closed: false }
    }

    /// Plaintext into `room`. 0: the peer has said that it sends no more, or
    /// there is no room.
    pub fn poll_read(&mut self, raw: &Raw, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if room.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match self.session.read(room)? {
                Received::Data(count) => return Poll::Ready(Ok(count)),
                Received::End => return Poll::Ready(Ok(0)),
                Received::Nothing => ready!(self.poll_receive(raw, cx))?,
            }
        }
    }

    /// Ready when more than before is known of what the peer sent.
    fn poll_receive(&mut self, raw: &Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(raw.poll_readable(cx))?;
            match self.receive(raw)? {
                Step::Again => return Poll::Ready(Ok(())),
                // The reactor was wrong, and knows now.
                Step::Nothing => {}
            }
        }
    }

    /// Takes what is there, without waiting.
    fn receive(&mut self, mut raw: &Raw) -> io::Result<Step> {
        match self.session.receive(&mut raw) {
            Ok(_) => {
                // Answers to what the peer wants of the session itself; what is
                // not sent now goes in front of the next write.
                self.try_send(raw)?;
                Ok(Step::Again)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.session.has_plaintext() => Ok(Step::Again),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.session.rest();
                Ok(Step::Nothing)
            }
            Err(error) => {
                // The alert says why, if there is room for it.
                let _ = self.try_send(raw);
                self.closed = true;
                Err(error)
            }
        }
    }

    /// Sends what can be sent without waiting.
    fn try_send(&mut self, mut raw: &Raw) -> io::Result<()> {
        while self.session.wants_send() {
            match self.session.send(&mut raw) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends everything that the session has for the peer.
    fn poll_send(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_send() {
            let mut polled = Polled { raw, cx, pending: false };
            match self.session.send(&mut polled) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) if polled.pending => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes some of `slices` and sends it. While that is pending, the next
    /// call has to begin with the same bytes: some are on their way.
    pub fn poll_write(
        &mut self,
        raw: &mut Raw,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.under_way == 0 {
            // What is left of earlier answers leaves no room otherwise.
            ready!(self.poll_send(raw, cx))?;
            self.under_way = self.session.write(slices);
        }
        ready!(self.poll_send(raw, cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.under_way)))
    }

    pub fn poll_shutdown(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        ready!(self.poll_send(raw, cx))?;
        raw.poll_shutdown(cx)
    }

    fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.session.close();
        }
    }

    /// A close that nobody waits for: the peer hears that it is one, if there
    /// is room.
    pub fn part(&mut self, raw: &Raw) {
        if !self.closed && !self.session.is_handshaking() && self.under_way == 0 {
            self.close();
            let _ = self.try_send(raw);
        }
    }

    /// Nothing more is said to the peer: what it got is not all.
    pub fn cut(&mut self) {
        self.closed = true;
    }

    /// Goes through the handshake.
    pub fn poll_handshake(&mut self, raw: &mut Raw, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(raw, cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(raw, cx))?;
        }
    }

    /// Whether the peer has sent nothing that anybody would read. What it has
    /// sent for the session itself is taken.
    pub fn is_quiet(&mut self, raw: &Raw, cx: &mut Context<'_>) -> bool {
        loop {
            if self.session.has_plaintext() {
                return false;
            }
            match raw.poll_readable(cx) {
                Poll::Pending => return true,
                Poll::Ready(Err(_)) => return false,
                Poll::Ready(Ok(())) => {}
            }
            match self.receive(raw) {
                Ok(Step::Nothing) => {}
                Ok(Step::Again) if matches!(self.session.read(&mut []), Ok(Received::Nothing)) => {
                    if self.session.is_ended() {
                        return false;
                    }
                }
                Ok(Step::Again) | Err(_) => return false,
            }
        }
    }
}

/// Lets a session write to a socket that may make it wait.
struct Polled<'a, 'b> {
    raw: &'a mut Raw,
    cx: &'a mut Context<'b>,
    pending: bool,
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.raw.poll_write(self.cx, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                self.pending = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
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
