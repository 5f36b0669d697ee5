//! Versions, ciphers, curves and application protocols.

use std::sync::Arc;

use sidegate_tls::{Groups, Protocol, Reason, Suites, Version, Versions};

use crate::support::{Ca, Pair, Request, World, client_failure, contexts, server_failure, serving, trusting};

fn versions(min: Version, max: Version) -> Protocol {
    Protocol { versions: Versions::new(Some(min), Some(max)).unwrap().0, ..Protocol::default() }
}

fn alpn(protocols: &[&str]) -> Protocol {
    Protocol { alpn: protocols.iter().map(|&name| Arc::from(name)).collect(), ..Protocol::default() }
}

/// Both sides with these settings.
fn open(client: Protocol, server: Protocol, strict: bool) -> Result<Pair, crate::support::Failed> {
    let (ca, world) = (Ca::new("ca"), World::default());
    let mut serving = serving(&ca.issue(Request::default()));
    serving.protocol = server;
    serving.alpn_strict = strict;
    let mut trusting = trusting(&ca);
    trusting.protocol = client;
    let contexts = contexts(vec![world.server(&serving).unwrap()]);
    Pair::open(&world.client(&trusting).unwrap(), &contexts, "a.test")
}

#[test]
fn the_newest_version_and_the_quick_cipher_are_agreed_on() {
    let pair = open(Protocol::default(), Protocol::default(), false).unwrap();
    for side in [&pair.client, &pair.server] {
        let agreed = side.agreed().unwrap();
        assert_eq!(agreed.version, "TLSv1.3");
        assert_eq!(agreed.cipher, "TLS_AES_128_GCM_SHA256");
        assert_eq!(agreed.group, "X25519MLKEM768");
        assert_eq!(agreed.server_name, Some("a.test"));
        assert_eq!(agreed.alpn, None);
        assert!(!agreed.resumed);
    }
}

#[test]
fn the_older_version_is_spoken_with_those_who_know_no_other() {
    let old = versions(Version::Tls12, Version::Tls12);
    let pair = open(old.clone(), Protocol::default(), false).unwrap();
    let agreed = pair.server.agreed().unwrap();
    assert_eq!((agreed.version, agreed.cipher), ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    let new = versions(Version::Tls13, Version::Tls13);
    assert_eq!(server_failure(open(old, new, false)).reason, Reason::Version);
}

#[test]
fn the_servers_order_of_ciphers_counts() {
    let suites = |list: &str| Protocol { suites: Suites::parse(list).unwrap().value, ..Protocol::default() };
    let all =
        "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256";
    let pair = open(suites(all), Protocol::default(), false).unwrap();
    assert_eq!(pair.server.agreed().unwrap().cipher, "TLS_AES_128_GCM_SHA256");
    let pair = open(Protocol::default(), suites(all), false).unwrap();
    assert_eq!(pair.server.agreed().unwrap().cipher, "TLS_AES_256_GCM_SHA384");
}

#[test]
fn without_a_common_cipher_or_curve_there_is_no_session() {
    let only = |list: &str, groups: &str| Protocol {
        suites: Suites::parse(list).unwrap().value,
        groups: Groups::parse(groups).unwrap().value,
        versions: Versions::new(Some(Version::Tls13), None).unwrap().0,
        alpn: Vec::new(),
    };
    let (one, other) = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384");
    assert_eq!(server_failure(open(only(one, ""), only(other, ""), false)).reason, Reason::Algorithm);
    assert_eq!(server_failure(open(only(one, "P256"), only(one, "P384"), false)).reason, Reason::Algorithm);
    let pair = open(only(one, "P256,P384"), only(one, "P384"), false).unwrap();
    assert_eq!(pair.client.agreed().unwrap().group, "secp384r1");
}

#[test]
fn an_application_protocol_in_common_is_chosen_by_the_server() {
    let pair = open(alpn(&["http/1.1", "h2"]), alpn(&["h2", "http/1.1"]), true).unwrap();
    for side in [&pair.client, &pair.server] {
        assert_eq!(side.agreed().unwrap().alpn, Some(b"h2".as_slice()));
    }
}

#[test]
fn without_a_common_application_protocol_the_session_goes_on_without_one() {
    for (client, server) in [(&["foo"][..], &["h2"][..]), (&[], &["h2"]), (&["h2"], &[])] {
        let pair = open(alpn(client), alpn(server), false).unwrap();
        assert_eq!(pair.server.agreed().unwrap().alpn, None);
        assert_eq!(pair.client.agreed().unwrap().alpn, None);
    }
}

#[test]
fn a_strict_context_refuses_application_protocols_of_others() {
    assert_eq!(server_failure(open(alpn(&["foo"]), alpn(&["h2"]), true)).reason, Reason::Alpn);
    // A client that speaks of none is not refused.
    let pair = open(alpn(&[]), alpn(&["h2"]), true).unwrap();
    assert_eq!(pair.server.agreed().unwrap().alpn, None);
}

#[test]
fn the_client_learns_why_from_the_alert() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let mut settings = serving(&ca.issue(Request::default()));
    settings.protocol = alpn(&["h2"]);
    settings.alpn_strict = true;
    let mut asking = trusting(&ca);
    asking.protocol = alpn(&["foo"]);
    let contexts = contexts(vec![world.server(&settings).unwrap()]);
    let mut pair = Pair::new(&world.client(&asking).unwrap(), &contexts, "a.test");
    assert!(pair.settle().is_err());
    let failure = client_failure(pair.settle().map(|()| pair));
    assert_eq!((failure.reason, &*failure.detail), (Reason::Alert, "the peer says no_application_protocol"));
}
