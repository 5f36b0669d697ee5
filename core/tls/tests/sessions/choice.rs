//! Which of several contexts a client gets.

use std::sync::Arc;

use sidegate_tls::{ClientSettings, PeerName, Protocol, ServerContexts, ServerSettings};

use crate::support::{Ca, Pair, Request, World, contexts, dns, serving, trusting};

fn named(ca: &Ca, names: &[&str], alpn: &[&str]) -> ServerSettings {
    let names = names.iter().map(|name| dns(name)).collect();
    let mut settings = serving(&ca.issue(Request { names, ..Request::default() }));
    settings.protocol.alpn = alpn.iter().map(|&name| Arc::from(name)).collect();
    settings
}

/// The place of the context that a client gets.
fn chosen(world: &World, client: &ClientSettings, contexts: &Arc<ServerContexts>, name: &str) -> usize {
    let client = world.client(client).unwrap();
    let mut pair = Pair::new(&client, contexts, name);
    // Certificates of other names do not matter here.
    let _ = pair.settle();
    let context = pair.server.context().unwrap();
    contexts.contexts().iter().position(|one| Arc::ptr_eq(one, context)).unwrap()
}

#[test]
fn names_go_before_wildcards_before_protocols_before_the_first() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let contexts = contexts(vec![
        world.server(&named(&ca, &["first.test"], &[])).unwrap(),
        world.server(&named(&ca, &["*.b.test"], &["h2"])).unwrap(),
        world.server(&named(&ca, &["www.b.test"], &[])).unwrap(),
        world.server(&named(&ca, &["proto.test"], &["h2"])).unwrap(),
    ]);
    let plain = trusting(&ca);
    let h2 = ClientSettings { protocol: Protocol { alpn: vec!["h2".into()], ..Protocol::default() }, ..plain.clone() };
    for (client, name, place) in [
        (&plain, "www.b.test", 2),
        (&plain, "WWW.B.test", 2),
        (&plain, "other.b.test", 1),
        (&plain, "deep.other.b.test", 0),
        (&plain, "b.test", 0),
        (&plain, "unknown.test", 0),
        (&plain, "127.0.0.1", 0),
        (&h2, "unknown.test", 1),
        (&h2, "first.test", 0),
        (&h2, "proto.test", 3),
    ] {
        assert_eq!(chosen(&world, client, &contexts, name), place, "{name}");
    }
}

#[test]
fn names_of_the_settings_count_too() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let mut settings = named(&ca, &["a.test"], &[]);
    settings.server_names = vec!["*.C.test".into()];
    let first = world.server(&named(&ca, &["first.test"], &[])).unwrap();
    let contexts = contexts(vec![first, world.server(&settings).unwrap()]);
    assert_eq!(chosen(&world, &trusting(&ca), &contexts, "x.c.test"), 1);
    assert_eq!(chosen(&world, &trusting(&ca), &contexts, "a.test"), 1);
}

#[test]
fn of_two_with_one_name_a_client_gets_the_one_that_it_can_check() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let rsa = ca.issue(Request { algorithm: &rcgen::PKCS_RSA_SHA256, ..Request::default() });
    let ecdsa = ca.issue(Request::default());
    let contexts = contexts(vec![world.server(&serving(&rsa)).unwrap(), world.server(&serving(&ecdsa)).unwrap()]);
    assert_eq!(chosen(&world, &trusting(&ca), &contexts, "a.test"), 0);
    let offer = sidegate_tls::Offer {
        server_name: Some("a.test"),
        signatures: &[rustls::SignatureScheme::ECDSA_NISTP256_SHA256],
        ..sidegate_tls::Offer::default()
    };
    assert!(Arc::ptr_eq(contexts.choose(&offer), &contexts.contexts()[1]));
}

#[test]
fn names_are_told_from_addresses() {
    assert_eq!(PeerName::parse("A.test."), Some(PeerName::Dns("a.test".into())));
    assert_eq!(PeerName::parse("[::1]"), Some(PeerName::Address("::1".parse().unwrap())));
    assert_eq!(PeerName::parse("127.0.0.1"), Some(PeerName::Address("127.0.0.1".parse().unwrap())));
    assert_eq!(PeerName::parse("a b"), None);
    assert_eq!(PeerName::parse(""), None);
}
