//! Our own certificates and keys: which are taken, and which refused with the
//! reason.

use std::path::PathBuf;

use sidegate_tls::{ContextError, Identity, Part, Source};

use crate::support::{Ca, Pair, Request, World, contexts, dns, inline, serving, trusting};

fn refused(identity: Identity) -> ContextError {
    refused_in(&World::default(), identity)
}

fn refused_in(world: &World, identity: Identity) -> ContextError {
    let mut settings = serving(&Ca::new("ca").issue(Request::default()));
    settings.identity = identity;
    world.server(&settings).unwrap_err()
}

#[test]
fn keys_of_all_kinds_serve() {
    let world = World::default();
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let ca = Ca::new("ca");
        let issued = ca.issue(Request { algorithm, ..Request::default() });
        let contexts = contexts(vec![world.server(&serving(&issued)).unwrap()]);
        let client = world.client(&trusting(&ca)).unwrap();
        Pair::open(&client, &contexts, "a.test").unwrap_or_else(|failed| panic!("{algorithm:?}: {failed:?}"));
    }
}

#[test]
fn files_are_read_like_inline_text() {
    let ca = Ca::new("ca");
    let issued = ca.issue(Request::default());
    let mut world = World::default();
    world.files.insert("chain.pem".into(), issued.chain.clone().into_bytes());
    world.files.insert("key.pem".into(), issued.key.clone().into_bytes());
    world.files.insert("ocsp.der".into(), vec![0x30, 0x00]);
    let mut settings = serving(&issued);
    settings.identity = Identity {
        chain: Source::parse("chain.pem"),
        key: Source::parse("key.pem"),
        ocsp: Some(PathBuf::from("ocsp.der")),
    };
    let context = world.server(&settings).unwrap();
    assert_eq!(context.names().collect::<Vec<_>>(), ["a.test"]);
    assert!(context.warnings().is_empty(), "{:?}", context.warnings());

    settings.identity.ocsp = Some(PathBuf::from("chain.pem"));
    assert_eq!(world.server(&settings).unwrap_err().part, Part::Ocsp);
    settings.identity.chain = Source::parse("/nowhere.pem");
    let error = world.server(&settings).unwrap_err();
    assert_eq!(error.part, Part::Chain);
    assert!(error.message.starts_with("cannot read /nowhere.pem: "), "{error}");
}

#[test]
fn an_encrypted_key_is_refused_with_the_reason() {
    let issued = Ca::new("ca").issue(Request::default());
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n\
               -----END RSA PRIVATE KEY-----\n";
    for key in [pkcs8, old] {
        let error = refused(Identity { key: inline(key), ..issued.identity() });
        assert_eq!(error.part, Part::Key);
        assert!(error.message.contains("the key is encrypted"), "{error}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ca = Ca::new("ca");
    let (one, other) = (ca.issue(Request::default()), ca.issue(Request::default()));
    let error = refused(Identity { key: inline(&other.key), ..one.identity() });
    assert_eq!(error.part, Part::Key);
    assert_eq!(error.message, "the key does not belong to the certificate of \"CN=a.test,O=Example\\\\, Inc.\"");
}

#[test]
fn a_chain_in_the_wrong_order_is_refused() {
    let ca = Ca::new("ca");
    let issued = ca.issue(Request::default());
    let chain = format!("{}{}", ca.pem, issued.chain);
    let error = refused(Identity { chain: inline(&chain), ..issued.identity() });
    assert_eq!(error.part, Part::Chain);
    assert!(error.message.contains("the key belongs to certificate 2"), "{error}");
}

#[test]
fn a_chain_with_a_gap_serves_with_a_warning() {
    let (ca, stranger) = (Ca::new("ca"), Ca::new("stranger"));
    let middle = ca.intermediate("middle");
    let issued = middle.issue(Request::default());
    let mut settings = serving(&issued);
    settings.identity.chain = inline(&format!("{}{}{}", issued.chain, stranger.pem, middle.pem));
    let world = World::default();
    let context = world.server(&settings).unwrap();
    assert!(context.warnings()[0].1.starts_with("certificate 2 of the chain is not the issuer"));
    Pair::open(&world.client(&trusting(&ca)).unwrap(), &contexts(vec![context]), "a.test").unwrap();
}

#[test]
fn an_empty_chain_is_refused() {
    let issued = Ca::new("ca").issue(Request::default());
    for (chain, found) in [
        ("", "found nothing"),
        ("hello", "found something else"),
        (&*issued.key, "found a private key"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n", "has no end"),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "not base64"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "not well formed"),
    ] {
        let error = refused(Identity { chain: inline(chain), ..issued.identity() });
        assert_eq!(error.part, Part::Chain);
        assert!(error.message.contains(found), "{chain:?}: {error}");
    }
    let error = refused(Identity { key: inline(&issued.chain), ..issued.identity() });
    assert_eq!(error.part, Part::Key);
    assert!(error.message.ends_with("found a certificate"), "{error}");
}

#[test]
fn an_old_certificate_serves_with_a_warning() {
    let ca = Ca::new("ca");
    for (valid, word) in [
        ((-9, -1), "the certificate of CN=a.test,O=Example\\, Inc. has expired"),
        ((1, 99), "the certificate is not valid yet"),
        ((-9, 13), "the certificate of CN=a.test,O=Example\\, Inc. expires in 12 days"),
    ] {
        let issued = ca.issue(Request { valid, ..Request::default() });
        let context = World::default().server(&serving(&issued)).unwrap();
        assert_eq!(context.warnings(), [(Part::Chain, word.to_owned())]);
    }
}

#[test]
fn what_is_inline_is_not_shown() {
    let issued = Ca::new("ca").issue(Request::default());
    let settings = serving(&issued);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[test]
fn equal_contents_make_equal_numbers() {
    let ca = Ca::new("ca");
    let (one, other) = (ca.issue(Request::default()), ca.issue(Request::default()));
    let world = World::default();
    let id = |issued| world.server(&serving(issued)).unwrap().id();
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
    let mut names = serving(&one);
    names.server_names = vec!["*.b.test".into()];
    assert_ne!(world.server(&names).unwrap().id(), id(&one));
    names.server_names = vec!["b test".into()];
    assert_eq!(world.server(&names).unwrap_err().part, Part::Name);
}

#[test]
fn certificates_can_be_shown() {
    let ca = Ca::new("ca");
    let issued = ca.issue(Request { names: vec![dns("a.test"), dns("*.b.test")], ..Request::default() });
    let shown = sidegate_tls::certificates(format!("{}{}", issued.chain, ca.pem).as_bytes()).unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0].subject, "CN=a.test,O=Example\\, Inc.");
    assert_eq!(shown[0].issuer, shown[1].subject);
    assert_eq!((&*shown[0].serial, &shown[0].names[..]), ("07", &["a.test".to_owned(), "*.b.test".to_owned()][..]));
    assert!(shown[0].not_before < shown[0].not_after);
}
