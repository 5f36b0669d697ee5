//! The server's side: a client's connection and its streams.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ::h2::server::{Builder, Connection, Handshake};
use ::h2::{Ping, PingPong, Reason};
use bytes::Bytes;
use sidegate_net::{Socket, Traffic};

use super::guard::Guard;
use super::server_stream::{Incoming, reset_code};
use super::settings::Http2Settings;
use super::tally::{Counts, FrameKind, Role};

/// Bytes of one response that may wait in the crate for a socket that takes
/// nothing, beside what its stream holds.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were opened and reset before anybody looked. The guard has
/// narrower bounds.
const RESET_UNSEEN: usize = 1000;

/// A downstream connection. One task drives it; its streams live in tasks of
/// their own, on the same thread.
pub struct ServerConnection {
    state: State,
    guard: Guard,
    pings: Option<PingPong>,
    /// Requests that were given out.
    accepted: u64,
    /// What of the socket's traffic was told.
    told: Traffic,
}

enum State {
    Greeting(Box<Handshake<Guard, Bytes>>),
    Open(Box<Connection<Guard, Bytes>>),
    Closed,
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFault {
    /// The client sent too many frames of a kind.
    #[error("too many {} frames", .0.name())]
    TooMany(FrameKind),
    /// The client broke the protocol; the reason as RFC 9113 section 7 names
    /// it.
    #[error("{0}")]
    Protocol(&'static str),
    /// A head did not come to its end in time.
    #[error("a head was too slow")]
    SlowHead,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ConnectionFault {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            ConnectionFault::TooMany(kind) => kind.name(),
            ConnectionFault::Protocol(reason) => reason,
            ConnectionFault::SlowHead => "slow_head",
            ConnectionFault::Io(_) => "io",
        }
    }
}

impl ServerConnection {
    /// Serves `socket`, from which `early` bytes were read before.
    pub fn new(socket: Socket, early: Vec<u8>, settings: &Http2Settings) -> Self {
        let guard = Guard::new(socket, early.into(), Role::Server, settings);
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(settings.max_concurrent_streams)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.connection_window)
            .max_frame_size(settings.max_frame_size)
            .max_header_list_size(settings.max_header_list_bytes)
            .max_pending_accept_reset_streams(RESET_UNSEEN)
            // A bound for the whole life of a connection; the guard has one in time.
            .max_local_error_reset_streams(None)
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(settings.connection_window as usize);
        let greeting = Box::new(builder.handshake(guard.clone()));
        ServerConnection { state: State::Greeting(greeting), guard, pings: None, accepted: 0, told: Traffic::default() }
    }

    /// The next request, `None` once the client has closed. Drives everything
    /// else on the connection: to be called again until it is pending, and
    /// whenever it wakes its task.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>, ConnectionFault>> {
        if let State::Greeting(greeting) = &mut self.state {
            let Poll::Ready(connection) = Pin::new(greeting.as_mut()).poll(cx) else {
                return self.pending(cx);
            };
            let connection = connection.map_err(|error| self.fault(error))?;
            self.state = State::Open(Box::new(connection));
        }
        let State::Open(connection) = &mut self.state else { return Poll::Ready(Ok(None)) };
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                let (parts, body) = request.into_parts();
                self.accepted += 1;
                Poll::Ready(Ok(Some(Incoming::new(parts, body, respond))))
            }
            // The client itself said goodbye, for whatever reason.
            Poll::Ready(Some(Err(error))) if error.is_remote() => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(self.fault(error))),
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Pending => self.pending(cx),
        }
    }

    /// Writes what the crate has written, unless the client has gone too far.
    fn pending<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ConnectionFault>> {
        if let Some(kind) = self.guard.refused() {
            return Poll::Ready(Err(self.refuse(cx, kind)));
        }
        if let Poll::Ready(Err(error)) = self.guard.poll_write_out(cx) {
            return Poll::Ready(Err(error.into()));
        }
        // Writing counts as well.
        match self.guard.refused() {
            Some(kind) => Poll::Ready(Err(self.refuse(cx, kind))),
            None => Poll::Pending,
        }
    }

    #[cold]
    fn refuse(&mut self, cx: &mut Context<'_>, kind: FrameKind) -> ConnectionFault {
        self.shut_down(Reason::ENHANCE_YOUR_CALM);
        if let State::Open(connection) = &mut self.state {
            let _ = connection.poll_closed(cx);
        }
        ConnectionFault::TooMany(kind)
    }

    #[cold]
    fn fault(&mut self, error: ::h2::Error) -> ConnectionFault {
        match (self.guard.refused(), error.reason()) {
            (Some(kind), _) => ConnectionFault::TooMany(kind),
            (None, Some(Reason::ENHANCE_YOUR_CALM)) => ConnectionFault::TooMany(self.crate_bound()),
            (None, Some(reason)) => ConnectionFault::Protocol(reason_name(reason)),
            (None, None) => {
                ConnectionFault::Io(error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    /// The crate has bounds of its own and does not say which was met.
    fn crate_bound(&self) -> FrameKind {
        let counts = self.guard.counts();
        if self.guard.is_continuing() {
            FrameKind::Continuation
        } else if counts.resets_received >= RESET_UNSEEN as u64 {
            FrameKind::Reset
        } else if counts.opened.saturating_sub(self.accepted) >= RESET_UNSEEN as u64 {
            // Heads that the crate itself took for none, and reset.
            FrameKind::ProvokedReset
        } else {
            // Small ones, whose bytes do not pay for what they take.
            FrameKind::EmptyData
        }
    }

    /// Tells the client to open no more streams; those that it has go on. The
    /// connection closes after the last.
    pub fn go_away(&mut self) {
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// Tells the client that the connection ends now, with all its streams.
    /// `None`: through no fault of the client's.
    pub fn abort(&mut self, reason: Option<crate::Reason>) {
        self.shut_down(reason.map_or(Reason::NO_ERROR, reset_code));
    }

    fn shut_down(&mut self, reason: Reason) {
        if let State::Open(connection) = &mut self.state {
            connection.abrupt_shutdown(reason);
        }
    }

    /// After a fault, an abort or the client's end: writes what waits, ends our
    /// side and reads what the client still sends, up to `left` bytes, so that
    /// it can read why. The caller bounds the time.
    pub fn poll_close(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        if let State::Open(connection) = &mut self.state {
            let _ = ready!(connection.poll_closed(cx));
        }
        self.state = State::Closed;
        if ready!(self.guard.poll_write_out(cx)).is_err()
            || ready!(self.guard.with_socket(|socket| socket.poll_shutdown(cx))).is_err()
        {
            return Poll::Ready(());
        }
        self.guard.poll_drain(cx, left)
    }

    /// Whether the client's preface has come.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether any stream is open.
    pub fn has_streams(&self) -> bool {
        matches!(&self.state, State::Open(connection) if connection.has_streams())
    }

    /// Asks the client whether it is there, unless it was asked already.
    pub fn ping(&mut self) {
        let State::Open(connection) = &mut self.state else { return };
        if self.pings.is_none() {
            self.pings = connection.ping_pong();
        }
        if let Some(pings) = &mut self.pings {
            // Fails where an answer is awaited, and on a connection that ends.
            let _ = pings.send_ping(Ping::opaque());
        }
    }

    /// Ready when the client has answered.
    pub fn poll_pong(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.pings {
            Some(pings) => pings.poll_pong(cx).map(|_| ()),
            None => Poll::Pending,
        }
    }

    /// Since when the client takes nothing of what waits for it.
    pub fn stuck_since(&self) -> Option<Instant> {
        self.guard.stuck_since()
    }

    /// Since when a head or trailers have begun to come, if they are not whole.
    pub fn head_since(&self) -> Option<Instant> {
        self.guard.head_since()
    }

    /// Frees what memory an idle connection can do without.
    pub fn slim(&mut self) {
        self.guard.release();
    }

    /// What went over the connection so far.
    pub fn counts(&self) -> Counts {
        self.guard.counts()
    }

    /// Bytes that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.guard.traffic().read
    }

    /// Makes the coming close a reset: nobody is to wait for what was not
    /// taken.
    pub fn reset_on_close(&self) {
        self.guard.with_socket(|socket| socket.reset_on_close());
    }

    /// Bytes that went over the socket since the last call.
    pub fn new_traffic(&mut self) -> Traffic {
        let now = self.guard.traffic();
        let before = std::mem::replace(&mut self.told, now);
        Traffic { read: now.read - before.read, written: now.written - before.written }
    }
}

impl fmt::Debug for ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// As RFC 9113 section 7 calls it, in lower case.
fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::NO_ERROR => "no_error",
        Reason::PROTOCOL_ERROR => "protocol_error",
        Reason::INTERNAL_ERROR => "internal_error",
        Reason::FLOW_CONTROL_ERROR => "flow_control_error",
        Reason::SETTINGS_TIMEOUT => "settings_timeout",
        Reason::STREAM_CLOSED => "stream_closed",
        Reason::FRAME_SIZE_ERROR => "frame_size_error",
        Reason::REFUSED_STREAM => "refused_stream",
        Reason::CANCEL => "cancel",
        Reason::COMPRESSION_ERROR => "compression_error",
        Reason::CONNECT_ERROR => "connect_error",
        Reason::ENHANCE_YOUR_CALM => "enhance_your_calm",
        Reason::INADEQUATE_SECURITY => "inadequate_security",
        Reason::HTTP_1_1_REQUIRED => "http_1_1_required",
        _ => "unknown",
    }
}
