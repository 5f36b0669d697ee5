//! Peers that mean no good, or do not know better.

use std::io;
use std::sync::Arc;

use sidegate_tls::{Failure, Limits, Protocol, Reason, ServerContexts, Session, Version, Versions};

use crate::support::{Ca, Full, Pair, Request, World, contexts, deliver, outgoing, receive, serving, trusting, write};

struct Fixture {
    ca: Ca,
    world: World,
    server: Arc<ServerContexts>,
}

impl Fixture {
    fn new() -> Fixture {
        let (ca, world) = (Ca::new("ca"), World::default());
        let server = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
        Fixture { ca, world, server }
    }

    fn session(&self) -> Session {
        Session::server(self.server.clone(), &Limits::default())
    }

    /// The bytes of a client's hello.
    fn hello(&self) -> Vec<u8> {
        let client = self.world.client(&trusting(&self.ca)).unwrap();
        outgoing(&mut Pair::new(&client, &self.server, "a.test").client)
    }

    fn open(&self, version: Version) -> Pair {
        let mut settings = trusting(&self.ca);
        let versions = Versions::new(Some(version), Some(version)).unwrap().0;
        settings.protocol = Protocol { versions, ..Protocol::default() };
        Pair::open(&self.world.client(&settings).unwrap(), &self.server, "a.test").unwrap()
    }

    fn failure(&self, bytes: &[u8]) -> Failure {
        deliver(&mut self.session(), bytes).unwrap_err()
    }
}

/// An alert that means the end.
fn is_fatal_alert(bytes: &[u8]) -> bool {
    bytes.len() == 7 && bytes[0] == 21 && bytes[5] == 2
}

#[test]
fn plain_http_is_recognised() {
    let fixture = Fixture::new();
    for request in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        assert_eq!(fixture.failure(request.as_bytes()).reason, Reason::ClearText, "{request}");
        // Byte after byte, too.
        let mut session = fixture.session();
        let failure = request.as_bytes().chunks(1).find_map(|byte| deliver(&mut session, byte).err());
        assert_eq!(failure.unwrap().reason, Reason::ClearText, "{request}");
        let answer = String::from_utf8(outgoing(&mut session)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("use https\n"), "{answer}");
        assert!(outgoing(&mut session).is_empty());
    }
}

#[test]
fn clients_of_other_times_are_told_what_it_is() {
    let fixture = Fixture::new();
    for version in [0, 1, 2] {
        // One cipher, no compression, no extensions: as they did it.
        let mut body = vec![3, version];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 2, 0xc0, 0x09, 1, 0]);
        let hello = [&[0x16, 3, 1, 0, 45, 1, 0, 0, 41][..], &body].concat();
        let mut session = fixture.session();
        let failure = deliver(&mut session, &hello).unwrap_err();
        assert_eq!(failure.reason, Reason::Version, "{failure}");
        // protocol_version.
        assert_eq!(outgoing(&mut session)[5..], [2, 70]);
    }
}

#[test]
fn a_host_that_speaks_plain_http_is_recognised() {
    let fixture = Fixture::new();
    let mut client =
        Pair::new(&fixture.world.client(&trusting(&fixture.ca)).unwrap(), &fixture.server, "a.test").client;
    outgoing(&mut client);
    let failure = deliver(&mut client, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err();
    assert_eq!((failure.reason, failure.detail.contains("the host speaks HTTP")), (Reason::ClearText, true));
}

#[test]
fn garbage_is_refused_with_an_alert() {
    let fixture = Fixture::new();
    let mut alerts = 0;
    for garbage in [
        &b"\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x00",
        b"\x14\x03\x01\x00\x01\x01",
    ] {
        let mut session = fixture.session();
        let failure = deliver(&mut session, garbage).unwrap_err();
        assert!(
            matches!(failure.reason, Reason::Protocol | Reason::TooLarge | Reason::Flood),
            "{garbage:?}: {failure}"
        );
        let alert = outgoing(&mut session);
        // Some of it is answered with silence.
        assert!(alert.is_empty() || is_fatal_alert(&alert), "{garbage:?}: {failure}");
        alerts += usize::from(!alert.is_empty());
        // Nothing comes of it any more.
        assert_eq!(deliver(&mut session, &fixture.hello()).unwrap_err(), failure);
        assert!(outgoing(&mut session).is_empty());
    }
    assert!(alerts > 3, "{alerts}");
}

#[test]
fn half_a_hello_waits_and_then_ends() {
    let fixture = Fixture::new();
    let hello = fixture.hello();
    for cut in [0, 1, 5, 6, 43, hello.len() / 2, hello.len() - 1] {
        let mut session = fixture.session();
        deliver(&mut session, &hello[..cut]).unwrap();
        assert!(session.is_handshaking() && !session.wants_send(), "{cut}");
        let error = receive(&mut session, &mut io::empty()).unwrap_err();
        assert_eq!(Failure::within(&error).unwrap().reason, Reason::Truncated, "{cut}");
    }
}

#[test]
fn a_hello_may_come_in_pieces() {
    let fixture = Fixture::new();
    let hello = fixture.hello();
    let mut session = fixture.session();
    hello.chunks(1).for_each(|byte| deliver(&mut session, byte).unwrap());
    assert!(session.wants_send());
    // And in many records.
    let mut session = fixture.session();
    for piece in hello[5..].chunks(100) {
        let mut record = vec![0x16, 3, 1, 0, piece.len() as u8];
        record.extend_from_slice(piece);
        deliver(&mut session, &record).unwrap();
    }
    assert!(session.wants_send());
}

#[test]
fn hellos_with_any_byte_changed_do_no_harm() {
    let fixture = Fixture::new();
    let hello = fixture.hello();
    let mut refused = 0;
    for place in 0..hello.len() {
        let mut changed = hello.clone();
        changed[place] ^= 0xff;
        let mut session = fixture.session();
        refused += usize::from(deliver(&mut session, &changed).is_err());
        outgoing(&mut session);
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_handshake_has_bounds() {
    let fixture = Fixture::new();
    let limits = Limits { handshake_bytes: 600, ..Limits::default() };
    let mut session = Session::server(fixture.server.clone(), &limits);
    let failure = deliver(&mut session, &fixture.hello()).unwrap_err();
    assert_eq!(failure.reason, Reason::TooLarge);
    // A hello that claims to be larger than any.
    let mut session = fixture.session();
    let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let failure = (0..40).find_map(|_| deliver(&mut session, &record).err()).unwrap();
    assert_eq!(failure.reason, Reason::TooLarge);
}

#[test]
fn warning_alerts_in_front_of_a_hello_are_a_flood() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    let warning = [21, 3, 1, 0, 2, 1, 90];
    let failure = (0..100).find_map(|_| deliver(&mut session, &warning).err()).unwrap();
    assert!(matches!(failure.reason, Reason::Flood | Reason::Protocol | Reason::Alert), "{failure}");
}

#[test]
fn key_updates_are_a_flood_where_nothing_else_comes() {
    let fixture = Fixture::new();
    let mut client = raw_client(&fixture);
    let mut server = fixture.session();
    shake(&mut client, &mut server);
    let mut updates = 0;
    let failure = loop {
        client.refresh_traffic_keys().unwrap();
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        match deliver(&mut server, &wire) {
            Ok(()) => updates += 1,
            Err(failure) => break failure,
        }
        // What it answers to each is one record, however many there are.
        outgoing(&mut server);
        assert!(updates < 1000);
    };
    assert_eq!(failure.reason, Reason::Flood);
    assert!(updates >= 32, "{updates}");
}

#[test]
fn key_updates_between_traffic_are_none() {
    let fixture = Fixture::new();
    let mut client = raw_client(&fixture);
    let mut server = fixture.session();
    shake(&mut client, &mut server);
    for _ in 0..100 {
        client.refresh_traffic_keys().unwrap();
        io::Write::write_all(&mut client.writer(), b"x").unwrap();
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        deliver(&mut server, &wire).unwrap();
        assert_eq!(crate::support::read(&mut server), b"x");
        let answer = outgoing(&mut server);
        let mut answer = answer.as_slice();
        while !answer.is_empty() {
            client.read_tls(&mut answer).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

/// A client that does what a session would not.
fn raw_client(fixture: &Fixture) -> rustls::ClientConnection {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(fixture.ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    rustls::ClientConnection::new(Arc::new(config), "a.test".try_into().unwrap()).unwrap()
}

fn shake(client: &mut rustls::ClientConnection, server: &mut Session) {
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        deliver(server, &wire).unwrap();
        let answer = outgoing(server);
        let mut answer = answer.as_slice();
        while !answer.is_empty() {
            client.read_tls(&mut answer).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

#[test]
fn a_changed_record_ends_the_session() {
    let fixture = Fixture::new();
    for version in [Version::Tls12, Version::Tls13] {
        for place in [0, 1, 5, 20, 30] {
            let mut pair = fixture.open(version);
            write(&mut pair.client, b"something to read");
            let mut wire = outgoing(&mut pair.client);
            wire[place] ^= 0x40;
            let failure = deliver(&mut pair.server, &wire).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol, "{version}, byte {place}: {failure}");
            assert!(!outgoing(&mut pair.server).is_empty());
            let again = receive(&mut pair.server, &mut Full).unwrap_err();
            assert_eq!(Failure::within(&again), Some(&failure));
        }
    }
}
