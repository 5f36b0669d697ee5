//! Records that a peer may send, and that lead nowhere when it sends them
//! again and again: made by hand, with the session's own keys.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, ExtractedSecrets, SupportedProtocolVersion};
use sidegate_tls::{Failure, Limits, Reason, Session};

use crate::support::{Ca, Request, World, contexts, deliver, outgoing, read, serving};

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const DATA: u8 = 23;

/// A client that has agreed with `server`, and makes any records.
struct Peer {
    server: Session,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    is_tls13: bool,
}

impl Peer {
    fn new(version: &'static SupportedProtocolVersion) -> Peer {
        let (ca, world) = (Ca::new("ca"), World::default());
        let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("AES_128_GCM"));
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[version]);
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.enable_secret_extraction = true;
        let mut client = ClientConnection::new(Arc::new(config), "a.test".try_into().unwrap()).unwrap();
        let mut server = Session::server(contexts, &Limits::default());
        while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            deliver(&mut server, &wire).unwrap();
            let answer = outgoing(&mut server);
            let mut answer = answer.as_slice();
            while !answer.is_empty() {
                client.read_tls(&mut answer).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        let ExtractedSecrets { tx: (sequence, secrets), .. } = client.dangerous_extract_secrets().unwrap();
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher") };
        Peer {
            server,
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap()),
            iv: iv.as_ref().try_into().unwrap(),
            sequence,
            is_tls13: version.version == rustls::ProtocolVersion::TLSv1_3,
        }
    }

    /// A record: RFC 8446 section 5.2, RFC 5246 section 6.2.3.3 with RFC 5288.
    fn record(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        self.sequence += 1;
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(sequence).for_each(|(byte, other)| *byte ^= other);
        let mut sealed = payload.to_vec();
        let mut record = vec![kind, 3, 3];
        let aad = if self.is_tls13 {
            sealed.push(kind);
            record = vec![DATA, 3, 3];
            record.extend(((sealed.len() + 16) as u16).to_be_bytes());
            record.clone()
        } else {
            record.extend(((8 + sealed.len() + 16) as u16).to_be_bytes());
            record.extend_from_slice(&nonce[4..]);
            [&sequence[..], &[kind, 3, 3], &(payload.len() as u16).to_be_bytes()].concat()
        };
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).unwrap();
        record.extend(sealed);
        record
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> Result<(), Failure> {
        let record = self.record(kind, payload);
        deliver(&mut self.server, &record)
    }

    /// Sends the same until the other side has had enough of it; after how many.
    fn flood(&mut self, kind: u8, payload: &[u8]) -> (usize, Failure) {
        for sent in 0..10_000 {
            if let Err(failure) = self.send(kind, payload) {
                outgoing(&mut self.server);
                assert_eq!(self.server.held(), 0, "nothing is kept of it");
                return (sent, failure);
            }
            outgoing(&mut self.server);
            assert!(self.server.held() <= 128 * 1024, "{} after {sent}", self.server.held());
        }
        panic!("{kind} {payload:?} is taken without end");
    }
}

fn each(mut check: impl FnMut(Peer)) {
    check(Peer::new(&rustls::version::TLS13));
    check(Peer::new(&rustls::version::TLS12));
}

#[test]
fn records_made_by_hand_are_as_good_as_others() {
    each(|mut peer| {
        for part in [&b"first"[..], b"second"] {
            peer.send(DATA, part).unwrap();
            assert_eq!(read(&mut peer.server), part);
        }
        peer.send(ALERT, &[1, 0]).unwrap();
        assert!(peer.server.has_news());
    });
}

#[test]
fn records_without_data_are_a_flood() {
    each(|mut peer| {
        let (sent, failure) = peer.flood(DATA, b"");
        assert_eq!(failure.reason, Reason::Flood, "{failure}");
        assert!(sent <= 64, "{sent}");
    });
}

#[test]
fn records_without_data_among_others_are_none() {
    each(|mut peer| {
        for _ in 0..200 {
            peer.send(DATA, b"").unwrap();
            peer.send(DATA, b"x").unwrap();
            assert_eq!(read(&mut peer.server), b"x");
        }
    });
}

#[test]
fn records_of_one_byte_are_data_and_leave_nothing_behind() {
    each(|mut peer| {
        let mut wire = Vec::new();
        for byte in 0..=255 {
            wire.extend(peer.record(DATA, &[byte]));
        }
        let mut got = Vec::new();
        let mut wire = wire.as_slice();
        let (mut scratch, mut room) = (sidegate_tls::Scratch::default(), [0; 1000]);
        while !wire.is_empty() || peer.server.has_news() {
            if let sidegate_tls::Received::Data(count) = peer.server.read(&mut wire, &mut scratch, &mut room).unwrap() {
                got.extend_from_slice(&room[..count]);
            }
        }
        assert_eq!(got, (0..=255).collect::<Vec<u8>>());
        assert_eq!(peer.server.held(), 0);
    });
}

#[test]
fn warnings_are_a_flood() {
    let mut peer = Peer::new(&rustls::version::TLS12);
    let (sent, failure) = peer.flood(ALERT, &[1, 90]);
    assert_eq!(failure.reason, Reason::Flood, "{failure}");
    assert!(sent <= 8, "{sent}");
    let mut peer = Peer::new(&rustls::version::TLS13);
    // user_canceled is the one warning that is left there.
    let (sent, failure) = peer.flood(ALERT, &[1, 90]);
    assert_eq!(failure.reason, Reason::Flood, "{failure}");
    assert!(sent <= 8, "{sent}");
    let mut peer = Peer::new(&rustls::version::TLS13);
    assert_eq!(peer.flood(ALERT, &[1, 100]).0, 0);
}

#[test]
fn a_client_that_wants_to_renegotiate_is_told_once() {
    let mut peer = Peer::new(&rustls::version::TLS12);
    let hello = [&[1, 0, 0, 41, 3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
    peer.send(HANDSHAKE, &hello).unwrap();
    let answer = outgoing(&mut peer.server);
    assert_eq!(answer[0], ALERT);
    // It goes on as it was.
    peer.send(DATA, b"x").unwrap();
    assert_eq!(read(&mut peer.server), b"x");
    let (sent, failure) = peer.flood(HANDSHAKE, &hello);
    assert!(matches!(failure.reason, Reason::Flood | Reason::Protocol), "{failure}");
    assert!(sent <= 2, "{sent}");
}

#[test]
fn a_message_of_the_handshake_without_end_is_an_end() {
    let mut peer = Peer::new(&rustls::version::TLS13);
    // A key update that claims to be of 60,000 bytes, one at a time.
    peer.send(HANDSHAKE, &[24, 0, 0xea, 0x60]).unwrap();
    let (sent, failure) = peer.flood(HANDSHAKE, &[0]);
    assert!(matches!(failure.reason, Reason::Flood | Reason::Protocol | Reason::TooLarge), "{failure}");
    assert!(sent < 4000, "{sent}");
}

#[test]
fn a_part_of_a_message_does_not_stop_our_side() {
    let mut peer = Peer::new(&rustls::version::TLS13);
    // Half of a key update.
    peer.send(HANDSHAKE, &[24, 0, 0]).unwrap();
    crate::support::write(&mut peer.server, b"answer");
    assert_eq!(outgoing(&mut peer.server).len(), 5 + 6 + 1 + 16);
    // The rest: new keys of the peer, which are not known here.
    peer.send(HANDSHAKE, &[1, 0]).unwrap();
    crate::support::write(&mut peer.server, b"more");
    assert_eq!(peer.send(DATA, b"old keys").unwrap_err().reason, Reason::Protocol);
}
