//! TLS of a client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, SignatureScheme, version,
};

use crate::plan::{Group, TlsPlan};

/// Tickets that are kept.
const MAX_TICKETS: usize = 4096;

/// What all clients of a run have in common.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    pub(crate) fn new(plan: &TlsPlan) -> io::Result<Tls> {
        let group = match plan.group {
            Group::X25519 => kx_group::X25519,
            Group::X25519MLKEM768 => kx_group::X25519MLKEM768,
        };
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![group];
        provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(io::Error::other)?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = match plan.resume {
            true => Resumption::store(Arc::new(Tickets::default())),
            false => Resumption::disabled(),
        };
        let name = ServerName::try_from(plan.name.clone()).map_err(io::Error::other)?;
        Ok(Tls { config: Arc::new(config), name })
    }

    pub(crate) fn session(&self) -> io::Result<Box<ClientConnection>> {
        let session = ClientConnection::new(self.config.clone(), self.name.clone()).map_err(io::Error::other)?;
        Ok(Box::new(session))
    }
}

/// A TCP connection, and TLS over it where it is spoken.
pub(crate) struct Link {
    pub(crate) socket: TcpStream,
    session: Option<Box<ClientConnection>>,
}

impl Link {
    pub(crate) fn new(socket: TcpStream, session: Option<Box<ClientConnection>>) -> Link {
        Link { socket, session }
    }

    /// As a socket writes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.socket.write(bytes) };
        let count = session.writer().write(bytes)?;
        flush(session, &mut self.socket)?;
        // rustls takes no more than it may hold.
        if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// As a socket reads; `records` is where bytes go before they are decrypted.
    /// With a record that came in part before, they are to fit into `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut [u8], records: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else { return self.socket.read(buffer) };
        loop {
            let count = self.socket.read(records)?;
            if count == 0 {
                return Ok(0);
            }
            let (mut left, mut filled) = (&records[..count], 0);
            while !left.is_empty() {
                session.read_tls(&mut left)?;
                let state = session.process_new_packets().map_err(io::Error::other)?;
                if state.plaintext_bytes_to_read() > 0 {
                    filled += session.reader().read(&mut buffer[filled..])?;
                }
            }
            flush(session, &mut self.socket)?;
            if filled > 0 {
                return Ok(filled);
            }
        }
    }

    /// Whether a short read may have left something behind.
    pub(crate) fn is_secured(&self) -> bool {
        self.session.is_some()
    }

    /// Whether its handshake went on with an earlier session; `None` without a
    /// handshake.
    pub(crate) fn resumed(&self) -> Option<bool> {
        self.session.as_ref()?.handshake_kind().map(|kind| kind == HandshakeKind::Resumed)
    }
}

/// Sends what TLS has to say, as far as it goes now.
fn flush(session: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tickets of all clients of a run. rustls's own store keeps eight of a name,
/// too few for those that connect at once.
#[derive(Debug, Default)]
struct Tickets(Mutex<Vec<Tls13ClientSessionValue>>);

impl Tickets {
    fn all(&self) -> MutexGuard<'_, Vec<Tls13ClientSessionValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut all = self.all();
        if all.len() < MAX_TICKETS {
            all.push(ticket);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.all().pop()
    }
}

/// Takes whoever answers.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
