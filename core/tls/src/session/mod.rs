//! A session with one peer: bytes of the network in and out on one side,
//! plaintext in and out on the other.

mod agreed;
mod refusal;

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::client::ClientConnection;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier as _;
use rustls::server::{AcceptedAlert, ServerConnection};

use crate::choose::ServerContexts;
use crate::config::{Limits, PeerName};
use crate::context::{ClientContext, ServerContext};
use crate::failure::{Failure, Reason};
use crate::hello::{Heard, Hello, looks_like_http, with_offer};
use crate::peer::Peer;
use crate::verify::ServerVerifier;
pub use agreed::Agreed;
use refusal::Refusal;

/// After a handshake, bytes that may come without any plaintext in them. A
/// record is at most 18 KiB, and tickets are few and small.
const MAX_WITHOUT_PLAINTEXT: usize = 64 * 1024;

/// A session; see the crate's drawing.
///
/// Whoever holds the socket calls [`receive`](Session::receive) when there is
/// something to read, and [`send`](Session::send) while
/// [`wants_send`](Session::wants_send). It needs no memory but its keys while
/// nothing goes on.
pub struct Session {
    stage: Stage,
    /// Of the peer, while the handshake goes on.
    handshake_left: usize,
    without_plaintext: usize,
    /// Bytes that wait to be read.
    plaintext: usize,
    /// What the peer sent first, to tell it from HTTP.
    first: First,
    /// The peer's side of the connection has ended.
    ended: bool,
    failed: Option<Failure>,
    peer: Option<Box<Peer>>,
}

enum Stage {
    /// A client whose hello is not whole.
    Hello(Hello, Arc<ServerContexts>),
    Server(Box<ServerConnection>, Arc<ServerContext>),
    Client(Box<ClientConnection>, Option<Arc<ServerVerifier>>, ServerName<'static>),
    /// The hello was bad: the answer goes out, and nothing comes in.
    Refused(Refusal),
    /// Between two others.
    Gone,
}

#[derive(Default)]
struct First {
    bytes: [u8; 4],
    count: usize,
}

/// What a read gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// This many bytes of plaintext; never 0.
    Data(usize),
    /// None until more is received.
    Nothing,
    /// The peer has said that it sends no more.
    End,
}

impl Session {
    /// With a client. The context is chosen once its hello is there.
    pub fn server(contexts: Arc<ServerContexts>, limits: &Limits) -> Session {
        Session::new(Stage::Hello(Hello::new(), contexts), limits)
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
        let connection = ClientConnection::new_with_alpn(config, name.clone(), alpn);
        let connection = connection.map_err(|error| Failure::of(&error))?;
        let verifier = context.verifier().cloned();
        Ok(Session::new(Stage::Client(Box::new(connection), verifier, name), limits))
    }

    fn new(stage: Stage, limits: &Limits) -> Session {
        Session {
            stage,
            handshake_left: limits.handshake_bytes,
            without_plaintext: 0,
            plaintext: 0,
            first: First::default(),
            ended: false,
            failed: None,
            peer: None,
        }
    }

    /// Takes bytes of the peer, as many as one read of `from` gives, and makes
    /// of them what can be made. 0: the peer's side has ended. `WouldBlock`: as
    /// `from` says, or plaintext must be read first. An error of TLS is one of
    /// kind `InvalidData` around a [`Failure`]; what [`send`](Self::send) has
    /// then is the alert for the peer.
    pub fn receive(&mut self, from: &mut dyn Read) -> io::Result<usize> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone().into());
        }
        if self.has_plaintext() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.take(from)?;
        if count == 0 {
            self.ended = true;
            return match self.is_handshaking() {
                true => Err(self.fail(Failure::truncated()).into()),
                false => Ok(0),
            };
        }
        self.process(count).map_err(|failure| io::Error::from(self.fail(failure)))?;
        Ok(count)
    }

    fn take(&mut self, from: &mut dyn Read) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Hello(hello, _) => hello.0.read_tls(&mut Watched { from, first: &mut self.first }),
            Stage::Server(connection, _) => connection.read_tls(from),
            Stage::Client(connection, ..) if self.first.is_whole() => connection.read_tls(from),
            Stage::Client(connection, ..) => connection.read_tls(&mut Watched { from, first: &mut self.first }),
            Stage::Refused(_) | Stage::Gone => Ok(0),
        }
    }

    fn process(&mut self, count: usize) -> Result<(), Failure> {
        if self.is_handshaking() {
            let left = self.handshake_left.checked_sub(count);
            self.handshake_left = left.ok_or_else(|| Failure::new(Reason::TooLarge, "the handshake is too large"))?;
        }
        if matches!(self.stage, Stage::Hello(..)) {
            self.hear()?;
        }
        let was_handshaking = self.is_handshaking();
        let state = match &mut self.stage {
            Stage::Server(connection, _) => connection.process_new_packets(),
            Stage::Client(connection, ..) => connection.process_new_packets(),
            Stage::Hello(..) | Stage::Refused(_) | Stage::Gone => return Ok(()),
        };
        let state = match state {
            Ok(state) => state,
            Err(error) => return Err(self.failure(&error)),
        };
        let plaintext = state.plaintext_bytes_to_read();
        self.plaintext = plaintext;
        self.ended |= state.peer_has_closed();
        if self.is_handshaking() {
            return Ok(());
        }
        if was_handshaking {
            self.greet()?;
        }
        self.without_plaintext = if plaintext == 0 { self.without_plaintext + count } else { 0 };
        match self.without_plaintext > MAX_WITHOUT_PLAINTEXT {
            true => Err(Failure::new(Reason::Flood, "the peer sends records without anything in them")),
            false => Ok(()),
        }
    }

    /// Chooses a context, once the hello is whole.
    fn hear(&mut self) -> Result<(), Failure> {
        let Stage::Hello(hello, contexts) = mem::replace(&mut self.stage, Stage::Gone) else { return Ok(()) };
        let accepted = match hello.hear() {
            Heard::More(hello) => {
                self.stage = Stage::Hello(hello, contexts);
                return Ok(());
            }
            Heard::Bad(error, alert) => return Err(self.refuse(&error, alert)),
            Heard::Whole(accepted) => accepted,
        };
        let (context, mismatch) = with_offer(&accepted, |offer| {
            let context = contexts.choose(offer).clone();
            let mismatch = !offer.alpn.is_empty() && !context.speaks(offer.alpn.iter().copied());
            (context, mismatch)
        });
        match accepted.into_connection(context.config(mismatch)) {
            Ok(connection) => self.stage = Stage::Server(Box::new(connection), context),
            Err((error, alert)) => return Err(self.refuse(&error, alert)),
        }
        Ok(())
    }

    fn refuse(&mut self, error: &rustls::Error, alert: AcceptedAlert) -> Failure {
        let clear = looks_like_http(self.first.bytes());
        self.stage = Stage::Refused(if clear { Refusal::clear_text() } else { Refusal::Alert(alert) });
        match clear {
            true => Failure::new(Reason::ClearText, "the client speaks HTTP in clear text where TLS is spoken"),
            false => Failure::of(error),
        }
    }

    #[cold]
    fn failure(&self, error: &rustls::Error) -> Failure {
        match self.is_handshaking() && self.first.bytes() == b"HTTP" {
            true => Failure::new(Reason::ClearText, "the host speaks HTTP in clear text where TLS is spoken"),
            false => Failure::of(error),
        }
    }

    /// Looks at the peer once the handshake is over. A session that was resumed
    /// says that its certificate was good once: it must be so today.
    fn greet(&mut self) -> Result<(), Failure> {
        let now = UnixTime::now();
        let (chain, resumed) = match &self.stage {
            Stage::Server(connection, context) if context.verifies_clients() => {
                (connection.peer_certificates(), connection.handshake_kind())
            }
            Stage::Client(connection, Some(_), _) => (connection.peer_certificates(), connection.handshake_kind()),
            _ => return Ok(()),
        };
        let Some((first, others)) = chain.and_then(|chain| chain.split_first()) else { return Ok(()) };
        if resumed == Some(HandshakeKind::Resumed) {
            let good = match &self.stage {
                Stage::Server(_, context) => {
                    context.verifier().map(|verifier| verifier.verify_client_cert(first, others, now).map(drop))
                }
                Stage::Client(_, verifier, name) => verifier
                    .as_ref()
                    .map(|verifier| verifier.verify_server_cert(first, others, name, &[], now).map(drop)),
                _ => None,
            };
            if let Some(Err(error)) = good {
                return Err(Failure::of(&error));
            }
        }
        self.peer = Some(Box::new(Peer::new(first.clone().into_owned())));
        Ok(())
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failed = Some(failure.clone());
        failure
    }

    /// Whether the handshake is still going on. Nothing may be written before
    /// it is over.
    pub fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Hello(..) => true,
            Stage::Server(connection, _) => connection.is_handshaking(),
            Stage::Client(connection, ..) => connection.is_handshaking(),
            Stage::Refused(_) | Stage::Gone => false,
        }
    }

    /// Whether a read would give plaintext, although no more is received.
    #[inline]
    pub fn has_plaintext(&self) -> bool {
        self.plaintext > 0
    }

    /// Whether the peer's side of the connection has ended, announced or not.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Plaintext of the peer. Only an end that the peer has announced is one;
    /// any other is [`Reason::Truncated`].
    pub fn read(&mut self, into: &mut [u8]) -> Result<Received, Failure> {
        let read = match &mut self.stage {
            Stage::Server(connection, _) => connection.reader().read(into),
            Stage::Client(connection, ..) => connection.reader().read(into),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        match read {
            Ok(0) if into.is_empty() => Ok(Received::Nothing),
            Ok(0) => Ok(Received::End),
            Ok(count) => {
                self.plaintext = self.plaintext.saturating_sub(count);
                Ok(Received::Data(count))
            }
            Err(_) => match &self.failed {
                Some(failure) => Err(failure.clone()),
                None if self.ended => Err(self.fail(Failure::truncated())),
                None => Ok(Received::Nothing),
            },
        }
    }

    /// Takes plaintext for the peer, as much as there is room for before more
    /// is sent: 0 while the handshake goes on, or until then.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if self.is_handshaking() || self.failed.is_some() {
            return 0;
        }
        let written = match &mut self.stage {
            Stage::Server(connection, _) => connection.writer().write_vectored(slices),
            Stage::Client(connection, ..) => connection.writer().write_vectored(slices),
            _ => return 0,
        };
        // It writes into memory.
        written.unwrap_or_default()
    }

    /// Whether there are bytes for the peer.
    #[inline]
    pub fn wants_send(&self) -> bool {
        match &self.stage {
            Stage::Hello(..) | Stage::Gone => false,
            Stage::Server(connection, _) => connection.wants_write(),
            Stage::Client(connection, ..) => connection.wants_write(),
            Stage::Refused(_) => true,
        }
    }

    /// Sends bytes for the peer, as many as one write of `to` takes.
    pub fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        let sent = match &mut self.stage {
            Stage::Hello(..) | Stage::Gone => return Ok(0),
            Stage::Server(connection, _) => connection.write_tls(to)?,
            Stage::Client(connection, ..) => connection.write_tls(to)?,
            Stage::Refused(refusal) => refusal.send(to)?,
        };
        if sent == 0 && matches!(self.stage, Stage::Refused(_)) {
            self.stage = Stage::Gone;
        }
        Ok(sent)
    }

    /// Tells the peer that nothing more comes; to be sent.
    pub fn close(&mut self) {
        match &mut self.stage {
            Stage::Server(connection, _) => connection.send_close_notify(),
            Stage::Client(connection, ..) => connection.send_close_notify(),
            Stage::Hello(..) | Stage::Refused(_) | Stage::Gone => {}
        }
    }

    /// Gives memory back that only traffic needs. What is left afterwards is
    /// 4 KiB of rustls's and its keys.
    pub fn rest(&mut self) {
        // rustls shrinks its buffer before a read.
        let _ = match &mut self.stage {
            Stage::Server(connection, _) => connection.read_tls(&mut Silence),
            Stage::Client(connection, ..) => connection.read_tls(&mut Silence),
            _ => return,
        };
    }

    /// Whether a client has sent anything at all.
    pub fn has_heard(&self) -> bool {
        self.first.count > 0
    }

    /// Who the peer is; `None` until the handshake is over, without a
    /// certificate, and where nobody verified it.
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    /// The context of a client; `None` before its hello.
    pub fn context(&self) -> Option<&Arc<ServerContext>> {
        match &self.stage {
            Stage::Server(_, context) => Some(context),
            _ => None,
        }
    }

    /// Keys for protocols above, as RFC 5705 derives them. `None` before the
    /// handshake is over.
    pub fn export<const N: usize>(&self, label: &[u8], context: Option<&[u8]>) -> Option<[u8; N]> {
        let exported = match &self.stage {
            Stage::Server(connection, _) => connection.export_keying_material([0; N], label, context),
            Stage::Client(connection, ..) => connection.export_keying_material([0; N], label, context),
            _ => return None,
        };
        exported.ok()
    }
}

impl First {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }

    fn is_whole(&self) -> bool {
        self.count == self.bytes.len()
    }
}

/// Notes the first bytes that come by.
struct Watched<'a> {
    from: &'a mut dyn Read,
    first: &'a mut First,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let room = &mut self.first.bytes[self.first.count..];
        let new = count.min(room.len());
        room[..new].copy_from_slice(&buffer[..new]);
        self.first.count += new;
        Ok(count)
    }
}

/// Never has anything.
struct Silence;

impl Read for Silence {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Hello(..) => "hello",
            Stage::Server(..) => "server",
            Stage::Client(..) => "client",
            Stage::Refused(_) | Stage::Gone => "refused",
        };
        f.debug_struct("Session").field("stage", &stage).field("failed", &self.failed).finish_non_exhaustive()
    }
}
