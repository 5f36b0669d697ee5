//! Who the peer is, and who is refused.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use sidegate_api::{PeerFact, PeerIdentity as _};
use sidegate_tls::{
    ClientAuth, ClientSettings, Failure, Part, Pins, Reason, Roots, SanKind, SanMatch, SanPattern, ServerAuth,
    ServerContexts, Trust,
};

use crate::support::{
    Ca, Failed, Issued, Pair, Request, World, client_failure, contexts, dns, server_failure, serving, trust, trusting,
    uri,
};

/// A client that trusts `trust` meets a host.
fn meet(host: &Issued, trust: Trust, name: &str) -> Result<Pair, Failed> {
    let world = World::default();
    let ca = Ca::new("unused");
    let settings = ClientSettings { verify: ServerAuth::Verified(trust), ..trusting(&ca) };
    let contexts = contexts(vec![world.server(&serving(host)).unwrap()]);
    Pair::open(&world.client(&settings).unwrap(), &contexts, name)
}

/// A client with or without a certificate meets a server that asks for one.
fn visit(ca: &Ca, client: Option<&Issued>, clients: ClientAuth) -> Result<Pair, Failed> {
    let world = World::default();
    let mut settings = serving(&ca.issue(Request::default()));
    settings.clients = clients;
    let asking = ClientSettings { identity: client.map(Issued::identity), ..trusting(ca) };
    let contexts: Arc<ServerContexts> = contexts(vec![world.server(&settings).unwrap()]);
    Pair::open(&world.client(&asking).unwrap(), &contexts, "a.test")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

fn pin(of: &Issued) -> Pins {
    Pins { certificates: vec![sha256(&of.der)], keys: Vec::new() }
}

fn san(kind: SanKind, pattern: SanPattern) -> SanMatch {
    SanMatch { kind: Some(kind), pattern, ignore_case: false }
}

#[test]
fn hosts_are_verified() {
    let ca = Ca::new("ca");
    let good = ca.issue(Request::default());
    meet(&good, trust(&ca), "a.test").unwrap();
    let refused = |host: &Issued, trust: Trust, name: &str| client_failure(meet(host, trust, name)).reason;
    assert_eq!(refused(&good, trust(&ca), "b.test"), Reason::WrongName);
    assert_eq!(refused(&good, trust(&ca), "127.0.0.1"), Reason::WrongName);
    assert_eq!(refused(&good, trust(&Ca::new("other")), "a.test"), Reason::UnknownCa);
    // The chain is looked at before the name.
    assert_eq!(refused(&good, trust(&Ca::new("other")), "b.test"), Reason::UnknownCa);
    let old = ca.issue(Request { valid: (-9, -1), ..Request::default() });
    assert_eq!(refused(&old, trust(&ca), "a.test"), Reason::Expired);
    let young = ca.issue(Request { valid: (1, 9), ..Request::default() });
    assert_eq!(refused(&young, trust(&ca), "a.test"), Reason::NotYetValid);
}

#[test]
fn the_host_hears_why_it_was_refused() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
    let mut pair = Pair::new(&world.client(&trusting(&Ca::new("other"))).unwrap(), &contexts, "a.test");
    assert!(matches!(pair.settle(), Err(Failed::Client(_))));
    let failure = server_failure(pair.settle().map(|()| pair));
    assert_eq!((failure.reason, &*failure.detail), (Reason::Alert, "the peer says unknown_ca"));
}

#[test]
fn whoever_is_not_verified_may_be_anybody() {
    let world = World::default();
    let settings = ClientSettings { verify: ServerAuth::Nothing, ..trusting(&Ca::new("ca")) };
    let contexts = contexts(vec![world.server(&serving(&Ca::new("other").issue(Request::default()))).unwrap()]);
    let pair = Pair::open(&world.client(&settings).unwrap(), &contexts, "b.test").unwrap();
    assert!(pair.client.peer().is_none());
}

#[test]
fn without_a_ca_the_system_says_whom_to_believe() {
    let (ca, mut world) = (Ca::new("ca"), World::default());
    let settings = ClientSettings { verify: ServerAuth::Verified(Trust::default()), ..trusting(&ca) };
    let error = world.client(&settings).unwrap_err();
    assert_eq!(error.part, Part::Ca);
    let der = pem_to_der(&ca.pem);
    // One that nobody can read is no reason to believe nobody.
    world.system = vec![vec![1, 2, 3], der];
    let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
    Pair::open(&world.client(&settings).unwrap(), &contexts, "a.test").unwrap();
    world.system = vec![vec![1, 2, 3]];
    assert_eq!(world.client(&settings).unwrap_err().part, Part::Ca);
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[test]
fn names_that_will_do_go_before_the_name_of_the_host() {
    let ca = Ca::new("ca");
    let spiffe = "spiffe://cluster.local/ns/a/sa/b";
    let host = ca.issue(Request { names: vec![uri(spiffe)], ..Request::default() });
    let names = |pattern| Trust { names: vec![san(SanKind::Uri, pattern)], ..trust(&ca) };
    assert_eq!(client_failure(meet(&host, trust(&ca), "a.test")).reason, Reason::WrongName);
    meet(&host, names(SanPattern::Exact(spiffe.into())), "a.test").unwrap();
    meet(&host, names(SanPattern::Prefix("spiffe://cluster.local/".into())), "a.test").unwrap();
    let failure = client_failure(meet(&host, names(SanPattern::Exact("spiffe://other/".into())), "a.test"));
    assert_eq!(failure.reason, Reason::WrongName);
    // The host's own name does not do then.
    let host = ca.issue(Request::default());
    let failure = client_failure(meet(&host, names(SanPattern::Exact(spiffe.into())), "a.test"));
    assert_eq!(failure.reason, Reason::WrongName);
    // And names alone are worth nothing.
    let strange = Ca::new("other").issue(Request { names: vec![uri(spiffe)], ..Request::default() });
    let failure = client_failure(meet(&strange, names(SanPattern::Exact(spiffe.into())), "a.test"));
    assert_eq!(failure.reason, Reason::UnknownCa);
}

#[test]
fn pins_are_asked_for_beside_the_chain_or_instead() {
    let ca = Ca::new("ca");
    let (host, other) = (ca.issue(Request::default()), ca.issue(Request::default()));
    let key = x509_key(&host.der);
    for pins in [pin(&host), Pins { keys: vec![sha256(&key)], certificates: vec![[0; 32]] }] {
        meet(&host, Trust { pins: pins.clone(), ..trust(&ca) }, "a.test").unwrap();
        let alone = Trust { roots: Roots::Pinned, pins: pins.clone(), ..Trust::default() };
        meet(&host, alone.clone(), "any.test").unwrap();
        let failure = client_failure(meet(&other, Trust { pins, ..trust(&ca) }, "a.test"));
        assert_eq!(failure.reason, Reason::NotPinned);
        assert_eq!(client_failure(meet(&other, alone, "a.test")).reason, Reason::NotPinned);
    }
    // A pin beside a CA does not replace it.
    let failure = client_failure(meet(&host, Trust { pins: pin(&host), ..trust(&Ca::new("other")) }, "a.test"));
    assert_eq!(failure.reason, Reason::UnknownCa);
    for (valid, reason) in [((-9, -1), Reason::Expired), ((1, 9), Reason::NotYetValid)] {
        let host = ca.issue(Request { valid, ..Request::default() });
        let alone = Trust { roots: Roots::Pinned, pins: pin(&host), ..Trust::default() };
        assert_eq!(client_failure(meet(&host, alone, "a.test")).reason, reason);
    }
    let nobody = Trust { roots: Roots::Pinned, ..Trust::default() };
    assert_eq!(client_failure(meet(&host, nobody, "a.test")).reason, Reason::UnknownCa);
}

fn x509_key(der: &[u8]) -> Vec<u8> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    X509Certificate::from_der(der).unwrap().1.public_key().raw.to_vec()
}

#[test]
fn a_good_client_is_known_by_its_certificate() {
    let ca = Ca::new("ca");
    let names =
        vec![uri("spiffe://a/b"), dns("c.test"), dns("d.test"), rcgen::SanType::IpAddress("::1".parse().unwrap())];
    let client = ca.issue(Request { subject: "client", names, serial: 0xabc, ..Request::default() });
    for clients in [ClientAuth::Verified(trust(&ca)), ClientAuth::Required(trust(&ca))] {
        let pair = visit(&ca, Some(&client), clients).unwrap();
        let peer = pair.server.peer().unwrap();
        let fact = |fact| peer.get(fact).unwrap_or_default().to_owned();
        assert_eq!(fact(PeerFact::Subject), "CN=client,O=Example\\, Inc.");
        assert_eq!(fact(PeerFact::Issuer), "CN=ca");
        assert_eq!(fact(PeerFact::Serial), "0abc");
        assert_eq!(fact(PeerFact::Uris), "spiffe://a/b");
        assert_eq!(fact(PeerFact::SpiffeId), "spiffe://a/b");
        assert_eq!(fact(PeerFact::DnsNames), "c.test,d.test");
        assert_eq!(fact(PeerFact::Addresses), "::1");
        assert_eq!(peer.get(PeerFact::Emails), None);
        assert_eq!(peer.names(SanKind::Dns), ["c.test", "d.test"]);
        let mut each = Vec::new();
        peer.each(PeerFact::DnsNames, &mut |name| each.push(name.to_owned()));
        peer.each(PeerFact::Serial, &mut |one| each.push(one.to_owned()));
        peer.each(PeerFact::Emails, &mut |one| each.push(one.to_owned()));
        assert_eq!(each, ["c.test", "d.test", "0abc"]);
        assert_eq!(fact(PeerFact::Pem), client.chain.replace("\r\n", "\n"));
        assert!(fact(PeerFact::PemUrl).starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(fact(PeerFact::Sha256), hex(&sha256(&client.der)));
        let mut pins = Pins::default();
        assert!(pins.add_key(&fact(PeerFact::KeySha256)), "as `verify_certificate_spki` takes it");
        assert_eq!(pins.keys, [sha256(&x509_key(&client.der))]);
        let (from, until) = (fact(PeerFact::NotBefore), fact(PeerFact::NotAfter));
        assert!(from < until && from.len() == "2026-01-01T00:00:00Z".len() && until.ends_with('Z'), "{from} {until}");
        assert_eq!(peer.der(), client.der);
        assert_eq!(pair.client.peer().unwrap().get(PeerFact::Subject), Some("CN=a.test,O=Example\\, Inc."));
        assert_eq!(pair.server.context().unwrap().own().der(), pair.client.peer().unwrap().der());
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let ca = Ca::new("ca");
    let pair = visit(&ca, None, ClientAuth::Verified(trust(&ca))).unwrap();
    assert!(pair.server.peer().is_none());
    let failure = server_failure(visit(&ca, None, ClientAuth::Required(trust(&ca))));
    assert_eq!(failure.reason, Reason::CertificateMissing);
}

#[test]
fn a_bad_client_is_refused_even_where_none_is_required() {
    let ca = Ca::new("ca");
    let refused = |client: &Issued, trust: Trust| -> Failure {
        let required = server_failure(visit(&ca, Some(client), ClientAuth::Required(trust.clone())));
        assert_eq!(server_failure(visit(&ca, Some(client), ClientAuth::Verified(trust))), required);
        required
    };
    let strange = Ca::new("other").issue(Request::default());
    assert_eq!(refused(&strange, trust(&ca)).reason, Reason::UnknownCa);
    let old = ca.issue(Request { valid: (-9, -1), ..Request::default() });
    assert_eq!(refused(&old, trust(&ca)).reason, Reason::Expired);
    let good = ca.issue(Request::default());
    let named = Trust { names: vec![san(SanKind::Dns, SanPattern::Exact("b.test".into()))], ..trust(&ca) };
    assert_eq!(refused(&good, named).reason, Reason::WrongName);
    let pinned = Trust { pins: pin(&old), ..trust(&ca) };
    assert_eq!(refused(&good, pinned).reason, Reason::NotPinned);
}

#[test]
fn a_client_that_nobody_verifies_has_no_identity() {
    let ca = Ca::new("ca");
    let strange = Ca::new("other").issue(Request { valid: (-9, -1), ..Request::default() });
    let pair = visit(&ca, Some(&strange), ClientAuth::Unverified).unwrap();
    assert!(pair.server.peer().is_none());
    assert!(!pair.server.context().unwrap().verifies_clients());
    visit(&ca, None, ClientAuth::Unverified).unwrap();
}

#[test]
fn a_pinned_client_needs_no_ca() {
    let ca = Ca::new("ca");
    let client = Ca::new("other").issue(Request::default());
    let alone = Trust { roots: Roots::Pinned, pins: pin(&client), ..Trust::default() };
    let pair = visit(&ca, Some(&client), ClientAuth::Required(alone.clone())).unwrap();
    assert!(pair.server.peer().is_some());
    let other = ca.issue(Request::default());
    assert_eq!(server_failure(visit(&ca, Some(&other), ClientAuth::Required(alone))).reason, Reason::NotPinned);
}
