//! What comes from the peer: a hello, the rest of the handshake, plaintext.

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::UnixTime;
use rustls::server::UnbufferedServerConnection;
use rustls::server::danger::ClientCertVerifier as _;

use super::engine::{Engine, Sink, Task};
use super::refusal::{CLEAR_TEXT, PROTOCOL_VERSION};
use super::{PeerEnd, Received, Scratch, Session, Stage};
use crate::failure::{Failure, Reason};
use crate::hello::{Heard, is_too_old, looks_like_http, with_offer};
use crate::peer::Peer;

/// After a handshake, bytes that may come without any plaintext in them. A
/// record is at most 18 KiB, and tickets are few and small.
const MAX_WITHOUT_PLAINTEXT: usize = 64 * 1024;
/// Of a client's bytes, enough to tell what it is that is no good: up to the
/// version in a hello.
const FIRST: usize = 11;

impl Session {
    /// Plaintext of the peer into `room`. Takes bytes of the peer, as many as
    /// one read of `from` gives, unless what it has is enough.
    ///
    /// `WouldBlock` is what `from` says. An error of TLS is one around a
    /// [`Failure`]; what [`send`](Self::send) has then is the alert for the peer.
    /// Only an end that the peer has announced is one; any other is
    /// [`Reason::Truncated`].
    pub fn read(&mut self, from: &mut dyn Read, scratch: &mut Scratch, room: &mut [u8]) -> io::Result<Received> {
        let waiting = self.plain.waiting();
        if !waiting.is_empty() {
            let count = waiting.len().min(room.len());
            room[..count].copy_from_slice(&waiting[..count]);
            self.plain.consume(count);
            return Ok(if count == 0 { Received::Nothing } else { Received::Data(count) });
        }
        if let Some(failure) = &self.failed {
            return Err(failure.clone().into());
        }
        match self.end {
            PeerEnd::Open => {}
            PeerEnd::Announced => return Ok(Received::End),
            PeerEnd::Cut => return Err(self.fail(Failure::truncated()).into()),
        }
        // While a hello is not whole, only what is new of it is looked at.
        let kept = match &self.stage {
            Stage::Hello(..) => &[],
            _ => self.incoming.as_slice(),
        };
        let (kept, bytes) = (kept.len(), scratch.for_read(kept, room.len()));
        let mut count = 0;
        if !self.crowded {
            count = from.read(&mut bytes[kept..])?;
            if count == 0 {
                self.end = PeerEnd::Cut;
                return Err(self.fail(Failure::truncated()).into());
            }
        }
        let bytes = &mut bytes[..kept + count];
        let received = match &self.stage {
            Stage::Hello(..) => self.hear(bytes, room),
            _ => self.process(bytes, count, room),
        };
        received.map_err(|failure| io::Error::from(self.fail(failure)))
    }

    /// Looks at `new` bytes of a hello.
    fn hear(&mut self, new: &mut [u8], room: &mut [u8]) -> Result<Received, Failure> {
        if new.len() > self.handshake_left {
            return Err(Failure::too_large());
        }
        if !self.is_heard(new)? {
            self.handshake_left -= new.len();
            self.incoming.extend_from_slice(new);
            return Ok(Received::Nothing);
        }
        // The session of the context hears all of it once more.
        if self.incoming.is_empty() {
            return self.process(new, new.len(), room);
        }
        let mut all = mem::take(&mut self.incoming);
        all.extend_from_slice(new);
        self.process(&mut all, new.len(), room)
    }

    /// Looks at `bytes`, of which the last `new` have just come.
    fn process(&mut self, bytes: &mut [u8], new: usize, room: &mut [u8]) -> Result<Received, Failure> {
        let was_handshaking = self.is_handshaking();
        if was_handshaking {
            self.handshake_left = self.handshake_left.checked_sub(new).ok_or_else(Failure::too_large)?;
        }
        let mut sink = Sink { room, filled: 0, rest: &mut self.plain.bytes };
        let processed = match &mut self.stage {
            Stage::Server(engine, ..) | Stage::Client(engine, ..) => {
                engine.process(bytes, &mut sink, &mut self.outgoing.bytes, Task::Receive)
            }
            Stage::Hello(..) | Stage::Gone => return Ok(Received::Nothing),
        };
        let filled = sink.filled;
        self.crowded = processed.crowded;
        let result = processed.result.map_err(|error| match was_handshaking && bytes.starts_with(b"HTTP") {
            true => Failure::clear_text("host"),
            false => Failure::of(&error),
        });
        let left = &bytes[processed.used..];
        match left.is_empty() {
            true => self.incoming = Vec::new(),
            false => {
                self.incoming.clear();
                self.incoming.extend_from_slice(left);
            }
        }
        if processed.closed {
            self.end = PeerEnd::Announced;
        }
        let delivered = filled + self.plain.waiting().len();
        if let Err(failure) = result {
            if filled == 0 {
                return Err(failure);
            }
            // What came before it is read first.
            self.fail(failure);
            return Ok(Received::Data(filled));
        }
        if !self.is_handshaking() {
            if was_handshaking {
                self.greet()?;
            }
            self.without_plaintext = if delivered == 0 { self.without_plaintext + new } else { 0 };
            if self.without_plaintext > MAX_WITHOUT_PLAINTEXT {
                return Err(Failure::new(Reason::Flood, "the peer sends records without anything in them"));
            }
        }
        match (filled, self.end) {
            (0, PeerEnd::Announced) if delivered == 0 => Ok(Received::End),
            (0, _) => Ok(Received::Nothing),
            _ => Ok(Received::Data(filled)),
        }
    }

    /// Chooses a context, if the hello is whole with these bytes.
    fn is_heard(&mut self, new: &[u8]) -> Result<bool, Failure> {
        let Stage::Hello(hello, contexts) = mem::replace(&mut self.stage, Stage::Gone) else { return Ok(true) };
        let accepted = match hello.unwrap_or_default().hear(new) {
            Heard::More(hello) => {
                self.stage = Stage::Hello(Some(hello), contexts);
                return Ok(false);
            }
            Heard::Bad(error, alert) => {
                let first: Vec<u8> = self.incoming.iter().chain(new).take(FIRST).copied().collect();
                let (answer, failure): (&[u8], _) = if looks_like_http(&first[..first.len().min(4)]) {
                    (CLEAR_TEXT, Failure::clear_text("client"))
                } else if is_too_old(&first) {
                    // rustls misses what came with 1.2 first, and says so.
                    (PROTOCOL_VERSION, Failure::new(Reason::Version, "the client speaks TLS 1.1 or older"))
                } else {
                    (&alert, Failure::of(&error))
                };
                self.outgoing.bytes.extend_from_slice(answer);
                return Err(failure);
            }
            Heard::Whole(accepted) => accepted,
        };
        let (context, mismatch, name) = with_offer(&accepted, |offer| {
            let context = contexts.choose(offer).clone();
            let mismatch = !offer.alpn.is_empty() && !context.speaks(offer.alpn.iter().copied());
            (context, mismatch, offer.server_name.map(Box::from))
        });
        let connection = UnbufferedServerConnection::new(context.config(mismatch));
        let connection = connection.map_err(|error| Failure::of(&error))?;
        self.stage = Stage::Server(Engine::Server(Box::new(connection)), context, name);
        Ok(true)
    }

    /// Looks at the peer once the handshake is over. A session that was resumed
    /// says that its certificate was good once: it must be so today.
    fn greet(&mut self) -> Result<(), Failure> {
        let now = UnixTime::now();
        let (chain, resumed) = match &self.stage {
            Stage::Server(engine, context, _) if context.verifies_clients() => {
                (engine.common().peer_certificates(), engine.common().handshake_kind())
            }
            Stage::Client(engine, Some(_), _) => {
                (engine.common().peer_certificates(), engine.common().handshake_kind())
            }
            _ => return Ok(()),
        };
        let Some((first, others)) = chain.and_then(|chain| chain.split_first()) else { return Ok(()) };
        if resumed == Some(HandshakeKind::Resumed) {
            let good = match &self.stage {
                Stage::Server(_, context, _) => {
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
        self.peer = Some(Arc::new(Peer::new(first.clone().into_owned())));
        Ok(())
    }
}
