//! A session with one peer: bytes of the network in and out on one side,
//! plaintext in and out on the other.

mod agreed;
mod engine;
mod receive;
mod refusal;
mod scratch;

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::mem;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;

use self::engine::{Engine, Sink, Task, Written};
use crate::choose::ServerContexts;
use crate::config::{Limits, PeerName};
use crate::context::{ClientContext, ServerContext};
use crate::failure::{Failure, Reason};
use crate::hello::Hello;
use crate::peer::Peer;
use crate::verify::ServerVerifier;
pub use agreed::Agreed;
pub use scratch::Scratch;

/// A session; see the crate's drawing.
///
/// Whoever holds the socket calls [`read`](Session::read) when there is
/// something to read, and [`send`](Session::send) while
/// [`wants_send`](Session::wants_send). It holds bytes only where something is
/// not whole yet, and needs no memory but its keys while nothing goes on.
pub struct Session {
    stage: Stage,
    /// Of the peer, while the handshake goes on.
    handshake_left: usize,
    without_plaintext: usize,
    /// Bytes of the peer that are not whole, or for which there was no room.
    incoming: Vec<u8>,
    /// A record is among them that nobody has looked at.
    crowded: bool,
    /// Plaintext that waits to be read.
    plain: Waiting,
    /// Bytes that wait to be sent.
    outgoing: Waiting,
    end: PeerEnd,
    failed: Option<Failure>,
    peer: Option<Arc<Peer>>,
}

enum Stage {
    /// A client whose hello is not whole.
    Hello(Option<Hello>, Arc<ServerContexts>),
    /// The name is what the client asked for.
    Server(Engine, Arc<ServerContext>, Option<Box<str>>),
    Client(Engine, Option<Arc<ServerVerifier>>, ServerName<'static>),
    /// Nothing comes of it.
    Gone,
}

/// What is known of the end of the peer's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerEnd {
    Open,
    /// It has said that it sends no more.
    Announced,
    /// Its connection has ended without a word.
    Cut,
}

/// Bytes that go one after the other.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    gone: usize,
}

/// What a read gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// This many bytes of plaintext; never 0.
    Data(usize),
    /// Something that was for the session alone, or plaintext for which there
    /// is no room.
    Nothing,
    /// The peer has said that it sends no more.
    End,
}

impl Session {
    /// With a client. The context is chosen once its hello is there.
    pub fn server(contexts: Arc<ServerContexts>, limits: &Limits) -> Session {
        Session::new(Stage::Hello(None, contexts), limits)
    }

    /// With a host called `name`, whom `protocols` are offered unless the context
    /// names others.
    pub fn client(
        context: &ClientContext,
        name: &PeerName,
        protocols: &[&str],
        limits: &Limits,
    ) -> Result<Session, Failure> {
        let bad_name = || Failure::new(Reason::Internal, format!("{name:?} is no name for TLS"));
        let name = name.rustls().ok_or_else(bad_name)?;
        let config = context.config();
        let alpn = match config.alpn_protocols.is_empty() {
            true => protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect(),
            false => config.alpn_protocols.clone(),
        };
        let connection = UnbufferedClientConnection::new_with_alpn(config, name.clone(), alpn);
        let connection = connection.map_err(|error| Failure::of(&error))?;
        let verifier = context.verifier().cloned();
        let mut session = Session::new(Stage::Client(Engine::Client(Box::new(connection)), verifier, name), limits);
        // The hello.
        session.work(&mut [], Task::Receive)?;
        Ok(session)
    }

    fn new(stage: Stage, limits: &Limits) -> Session {
        Session {
            stage,
            handshake_left: limits.handshake_bytes,
            without_plaintext: 0,
            incoming: Vec::new(),
            crowded: false,
            plain: Waiting::default(),
            outgoing: Waiting::default(),
            end: PeerEnd::Open,
            failed: None,
            peer: None,
        }
    }

    /// Lets the session do a `task` between reads.
    fn work(&mut self, room: &mut [u8], task: Task<'_, '_>) -> Result<(), Failure> {
        let (Stage::Server(engine, ..) | Stage::Client(engine, ..)) = &mut self.stage else { return Ok(()) };
        let mut bytes = mem::take(&mut self.incoming);
        let mut sink = Sink { room, filled: 0, rest: &mut self.plain.bytes };
        let processed = engine.process(&mut bytes, &mut sink, &mut self.outgoing.bytes, task);
        self.crowded = processed.crowded;
        if processed.used < bytes.len() {
            bytes.drain(..processed.used);
            self.incoming = bytes;
        }
        if processed.closed {
            self.end = PeerEnd::Announced;
        }
        processed.result.map_err(|error| self.fail(Failure::of(&error)))
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failed = Some(failure.clone());
        self.incoming = Vec::new();
        self.crowded = false;
        failure
    }

    /// Whether the handshake is still going on. Nothing may be written before
    /// it is over.
    pub fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Hello(..) => true,
            Stage::Server(engine, ..) | Stage::Client(engine, ..) => engine.common().is_handshaking(),
            Stage::Gone => false,
        }
    }

    /// Whether a read would tell something although no more comes from the
    /// peer: plaintext, a record that nobody has looked at, an end.
    #[inline]
    pub fn has_news(&self) -> bool {
        !self.plain.is_empty() || self.end != PeerEnd::Open || self.failed.is_some() || self.crowded
    }

    /// Whether plaintext waits.
    #[inline]
    pub fn has_plaintext(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Bytes that it holds because the peer, or whoever reads, is slow.
    #[inline]
    pub fn held(&self) -> usize {
        self.incoming.capacity() + self.plain.bytes.capacity() + self.outgoing.bytes.capacity()
    }

    /// Takes some plaintext for the peer, and sends what it becomes; what `to`
    /// does not take waits for [`send`](Self::send). While something waits, or
    /// the handshake goes on, nothing is taken.
    pub fn write(&mut self, slices: &[IoSlice<'_>], to: &mut dyn Write, scratch: &mut Scratch) -> io::Result<usize> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone().into());
        }
        if self.is_handshaking() || self.wants_send() {
            return Ok(0);
        }
        let mut written = Written::default();
        self.work(&mut [], Task::Write(slices, scratch, &mut written))?;
        // Answers to the peer, if there were any, were made before.
        self.send(to).or_else(not_now)?;
        let made = &scratch.outgoing[..written.made];
        let mut sent = 0;
        while sent < made.len() && !self.wants_send() {
            match to.write(&made[sent..]).or_else(not_now)? {
                0 => break,
                count => sent += count,
            }
        }
        self.outgoing.bytes.extend_from_slice(&made[sent..]);
        Ok(written.taken)
    }

    /// Whether there are bytes for the peer.
    #[inline]
    pub fn wants_send(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends bytes for the peer, as many as one write of `to` takes.
    pub fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        let waiting = self.outgoing.waiting();
        if waiting.is_empty() {
            return Ok(0);
        }
        let sent = to.write(waiting)?;
        self.outgoing.consume(sent);
        Ok(sent)
    }

    /// Tells the peer that nothing more comes; to be sent.
    pub fn close(&mut self) {
        if !self.is_handshaking() && self.failed.is_none() {
            // What goes wrong here is told by the next read.
            let _ = self.work(&mut [], Task::Close);
        }
    }

    /// Whether a client has sent anything at all.
    pub fn has_heard(&self) -> bool {
        !matches!(self.stage, Stage::Hello(None, _))
    }

    /// Who the peer is; `None` until the handshake is over, without a
    /// certificate, and where nobody verified it.
    pub fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    /// The context of a client; `None` before its hello.
    pub fn context(&self) -> Option<&Arc<ServerContext>> {
        match &self.stage {
            Stage::Server(_, context, _) => Some(context),
            _ => None,
        }
    }
}

impl Waiting {
    #[inline]
    fn is_empty(&self) -> bool {
        self.gone == self.bytes.len()
    }

    #[inline]
    fn waiting(&self) -> &[u8] {
        &self.bytes[self.gone..]
    }

    /// Frees the memory with the last byte.
    fn consume(&mut self, count: usize) {
        self.gone = (self.gone + count).min(self.bytes.len());
        if self.is_empty() {
            *self = Waiting::default();
        }
    }
}

/// A write that would have to wait has taken nothing.
fn not_now(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(0),
        _ => Err(error),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Hello(..) => "hello",
            Stage::Server(..) => "server",
            Stage::Client(..) => "client",
            Stage::Gone => "gone",
        };
        f.debug_struct("Session").field("stage", &stage).field("failed", &self.failed).finish_non_exhaustive()
    }
}
