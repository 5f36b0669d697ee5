//! Certificates of every kind, and two sides that talk in memory.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use sidegate_tls::{
    ClientAuth, ClientContext, ClientSettings, ContextError, Failure, Identity, Limits, Materials, NameRule, PeerName,
    Protocol, Received, Resumption, Roots, Scratch, ServerAuth, ServerContext, ServerContexts, ServerSettings, Session,
    Source, TicketKeys, TicketSecrets, Trust,
};
use time::{Duration, OffsetDateTime};

/// A CA made for a test.
pub struct Ca {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a CA is asked for.
pub struct Request {
    pub subject: &'static str,
    pub names: Vec<SanType>,
    /// Days from now.
    pub valid: (i64, i64),
    pub serial: u64,
    pub algorithm: &'static SignatureAlgorithm,
}

impl Default for Request {
    fn default() -> Request {
        Request {
            subject: "a.test",
            names: vec![dns("a.test")],
            valid: (-1, 30),
            serial: 7,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

/// A certificate and its key in PEM.
#[derive(Clone)]
pub struct Issued {
    pub chain: String,
    pub key: String,
    pub der: Vec<u8>,
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

impl Ca {
    pub fn new(name: &str) -> Ca {
        let (params, key) = Ca::params(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    /// A CA below this one.
    pub fn intermediate(&self, name: &str) -> Ca {
        let (params, key) = Ca::params(name);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    fn params(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params, KeyPair::generate().unwrap())
    }

    pub fn issue(&self, request: Request) -> Issued {
        let key = KeyPair::generate_for(request.algorithm).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, request.subject);
        params.subject_alt_names = request.names;
        params.serial_number = Some(SerialNumber::from(request.serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = OffsetDateTime::now_utc();
        params.not_before = now + Duration::days(request.valid.0);
        params.not_after = now + Duration::days(request.valid.1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    /// Takes back these serial numbers; `days` are of its update and its next.
    pub fn revoke(&self, serials: &[u64], days: (i64, i64)) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now + Duration::days(days.0),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now + Duration::days(days.0),
            next_update: now + Duration::days(days.1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

impl Issued {
    pub fn identity(&self) -> Identity {
        Identity { chain: inline(&self.chain), key: inline(&self.key), ocsp: None }
    }
}

pub fn inline(pem: &str) -> Source {
    Source::Inline(pem.into())
}

/// Files that contexts read, tickets that they share.
pub struct World {
    pub files: HashMap<PathBuf, Vec<u8>>,
    pub system: Vec<Vec<u8>>,
    pub tickets: Arc<TicketSecrets>,
}

impl Default for World {
    fn default() -> World {
        World { files: HashMap::new(), system: Vec::new(), tickets: TicketSecrets::rotated().unwrap() }
    }
}

impl World {
    fn with<T>(&self, make: impl FnOnce(&Materials<'_>) -> T) -> T {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let read = |path: &Path| self.files.get(path).cloned().ok_or_else(missing);
        let system_roots = || match self.system.is_empty() {
            true => Err(missing()),
            false => Ok(self.system.clone()),
        };
        make(&Materials {
            read: &read,
            system_roots: &system_roots,
            tickets: self.tickets.clone(),
            key_log: None,
            taken: Default::default(),
        })
    }

    pub fn server(&self, settings: &ServerSettings) -> Result<ServerContext, ContextError> {
        self.with(|materials| ServerContext::new(settings, materials))
    }

    pub fn client(&self, settings: &ClientSettings) -> Result<ClientContext, ContextError> {
        self.with(|materials| ClientContext::new(settings, materials))
    }
}

pub fn serving(issued: &Issued) -> ServerSettings {
    ServerSettings {
        identity: issued.identity(),
        server_names: Vec::new(),
        clients: ClientAuth::None,
        protocol: Protocol::default(),
        alpn_strict: false,
        resumption: Resumption::On,
        tickets: TicketKeys::Rotated,
    }
}

pub fn trusting(ca: &Ca) -> ClientSettings {
    ClientSettings {
        identity: None,
        verify: ServerAuth::Verified(trust(ca)),
        server_name: NameRule::Host,
        protocol: Protocol::default(),
        resumption: Resumption::On,
    }
}

pub fn trust(ca: &Ca) -> Trust {
    Trust { roots: Roots::Given(inline(&ca.pem)), ..Trust::default() }
}

pub fn contexts(of: Vec<ServerContext>) -> Arc<ServerContexts> {
    Arc::new(ServerContexts::new(of.into_iter().map(Arc::new).collect()).unwrap())
}

/// Two sides.
pub struct Pair {
    pub client: Session,
    pub server: Session,
}

/// The first failure on a side.
#[derive(Debug)]
pub enum Failed {
    Client(Failure),
    Server(Failure),
}

impl Pair {
    /// Between the client's context and the first or another of the server's.
    pub fn new(client: &ClientContext, server: &Arc<ServerContexts>, name: &str) -> Pair {
        let limits = Limits::default();
        let name = PeerName::parse(name).unwrap();
        Pair {
            client: Session::client(client, &name, &[], &limits).unwrap(),
            server: Session::server(server.clone(), &limits),
        }
    }

    /// Moves bytes until neither side has more for the other.
    pub fn settle(&mut self) -> Result<(), Failed> {
        loop {
            let up = carry(&mut self.client, &mut self.server).map_err(Failed::Server)?;
            let down = carry(&mut self.server, &mut self.client).map_err(Failed::Client)?;
            if !up && !down {
                return Ok(());
            }
        }
    }

    /// Ready for traffic.
    pub fn open(client: &ClientContext, server: &Arc<ServerContexts>, name: &str) -> Result<Pair, Failed> {
        let mut pair = Pair::new(client, server, name);
        pair.settle()?;
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        Ok(pair)
    }
}

/// Everything that `from` has for `to`; whether there was something.
pub fn carry(from: &mut Session, to: &mut Session) -> Result<bool, Failure> {
    let bytes = outgoing(from);
    deliver(to, &bytes).map(|()| !bytes.is_empty())
}

/// All bytes that a side wants to send.
pub fn outgoing(from: &mut Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_send() && from.send(&mut bytes).unwrap() > 0 {}
    bytes
}

/// Gives bytes to a side that reads no plaintext; there may be one record of
/// it at the end.
pub fn deliver(to: &mut Session, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match receive(to, &mut bytes) {
            Ok(_) => {}
            Err(error) => return Err(Failure::within(&error).unwrap_or_else(|| panic!("{error}")).clone()),
        }
    }
    Ok(())
}

/// Takes what `from` has; plaintext stays where it is.
pub fn receive(to: &mut Session, from: &mut dyn io::Read) -> io::Result<Received> {
    to.read(from, &mut Scratch::default(), &mut [])
}

/// Moves all that `from` has to `to`, which reads as it comes.
pub fn transfer(from: &mut Session, to: &mut Session) -> Vec<u8> {
    let wire = outgoing(from);
    let (mut wire, mut plain) = (wire.as_slice(), Vec::new());
    let (mut scratch, mut room) = (Scratch::default(), [0; 5000]);
    while !wire.is_empty() || to.has_news() {
        match to.read(&mut wire, &mut scratch, &mut room).unwrap() {
            Received::Data(count) => plain.extend_from_slice(&room[..count]),
            Received::Nothing => {}
            Received::End => break,
        }
    }
    plain
}

pub fn write(to: &mut Session, bytes: &[u8]) {
    assert_eq!(take(to, &[IoSlice::new(bytes)]), bytes.len());
}

/// Writes what a side takes; all of it waits then.
pub fn take(to: &mut Session, slices: &[IoSlice<'_>]) -> usize {
    to.write(slices, &mut Full, &mut Scratch::default()).unwrap()
}

/// A connection that has nothing, and takes nothing.
pub struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Full {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Plaintext that is there.
pub fn read(from: &mut Session) -> Vec<u8> {
    let mut room = [0; 64 * 1024];
    match from.read(&mut Full, &mut Scratch::default(), &mut room) {
        Ok(Received::Data(count)) => room[..count].to_vec(),
        Ok(Received::Nothing | Received::End) => Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// What the client hears in the other's alert is not asked for here.
pub fn server_failure(result: Result<Pair, Failed>) -> Failure {
    match result {
        Err(Failed::Server(failure)) => failure,
        Err(Failed::Client(failure)) => panic!("the client failed: {failure}"),
        Ok(_) => panic!("both sides agreed"),
    }
}

pub fn client_failure(result: Result<Pair, Failed>) -> Failure {
    match result {
        Err(Failed::Client(failure)) => failure,
        // The server hears the client's alert before the client's own error is
        // looked at.
        Err(Failed::Server(failure)) => panic!("the server failed: {failure}"),
        Ok(_) => panic!("both sides agreed"),
    }
}
