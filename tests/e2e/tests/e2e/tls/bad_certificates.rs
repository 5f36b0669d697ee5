//! Certificates that prove nothing, shown by clients, by hosts, and in files.

use std::io::{Read, Write};
use std::path::Path;

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::{AlertDescription, Error};
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, TempDir, sidegate};

use super::raw::{self, Goes, Shown};
use super::{Ca, With, dial, failed, with};

/// The CA that is trusted, and everything that can be shown.
struct World {
    ca: Ca,
    below: Ca,
}

impl World {
    fn new() -> World {
        let ca = Ca::new("ca");
        let below = ca.below("below");
        World { ca, below }
    }

    /// What is wrong, what is shown, the word for logs, the alert that says it.
    fn bad(&self, name: &str) -> Vec<(&'static str, Shown, &'static str, AlertDescription)> {
        let issue = |ca: &Ca| ca.issue(name, |_| {});
        let year = |from, to| {
            let (chain, key) = self.ca.issue(name, |params| {
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(to, 1, 1);
            });
            Shown::new(&chain, &key)
        };
        let (chain, key) = issue(&Ca::new("other"));
        let unknown = Shown::new(&chain, &key);
        let (good, _) = issue(&self.ca);
        let mismatched = Shown::new(&good, &key);
        let (leaf, key) = issue(&self.below);
        vec![
            ("expired", year(2001, 2002), "expired", AlertDescription::CertificateExpired),
            ("not yet valid", year(2090, 2091), "not_yet_valid", AlertDescription::CertificateExpired),
            ("of an unknown CA", unknown, "unknown_ca", AlertDescription::UnknownCA),
            ("of another key", mismatched, "bad_certificate", AlertDescription::DecryptError),
            ("without what is between", Shown::new(&leaf, &key), "unknown_ca", AlertDescription::UnknownCA),
            (
                "in the wrong order",
                Shown::new(&format!("{}{leaf}", self.below.pem), &key),
                "bad_certificate",
                AlertDescription::CertificateUnknown,
            ),
        ]
    }

    /// Chains that hold, one of them with more than it needs, not in order.
    fn good(&self, name: &str) -> Vec<Shown> {
        let (leaf, key) = self.below.issue(name, |_| {});
        [format!("{leaf}{}", self.below.pem), format!("{leaf}{}{}", self.ca.pem, self.below.pem)]
            .map(|chain| Shown::new(&chain, &key))
            .to_vec()
    }
}

/// What a client gets that shows `shown`.
fn try_client(
    proxy: &Proxy,
    ca: &Ca,
    shown: Option<Shown>,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<[u8; 12]> {
    let mut client = dial(&raw::client(&ca.pem, shown, version), proxy.address(), "a.test");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")?;
    let mut status = [0; 12];
    client.read_exact(&mut status)?;
    Ok(status)
}

fn alert_of(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[test]
fn clients_that_prove_nothing_are_told_why() {
    let (world, origin) = (World::new(), Origin::http(|_| Reply::ok("x")));
    let trust = json!({"ca_cert": world.ca.pem, "verify_client": true, "require_client_cert": true});
    let config = ConfigBuilder::to(origin.address())
        .in_chain("tls_context", with(world.ca.context("a.test"), trust))
        .in_server("default_log_level", json!("DEBUG"));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for (what, shown, reason, alert) in world.bad("client") {
            let proxy = Proxy::start(&config);
            let error = try_client(&proxy, &world.ca, Some(shown), version).expect_err(what);
            assert_eq!(alert_of(&error), Some(alert), "{what}, {version:?}: {error}");
            failed(&proxy, With::Clients, reason);
        }
        let proxy = Proxy::start(&config);
        let error = try_client(&proxy, &world.ca, None, version).unwrap_err();
        assert_eq!(alert_of(&error), Some(AlertDescription::CertificateRequired), "{version:?}: {error}");
        failed(&proxy, With::Clients, "certificate_missing");
        assert_eq!(origin.count(), 0);
    }
    let proxy = Proxy::start(&config);
    for shown in world.good("client") {
        assert_eq!(&try_client(&proxy, &world.ca, Some(shown), &rustls::version::TLS13).unwrap(), b"HTTP/1.1 200");
    }
}

#[test]
fn a_server_s_certificate_is_none_of_a_client() {
    let (world, origin) = (World::new(), Origin::http(|_| Reply::ok("x")));
    let trust = json!({"ca_cert": world.ca.pem, "verify_client": true, "require_client_cert": true});
    let context = with(world.ca.context("a.test"), trust);
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", context));
    let made_for = |purpose: ExtendedKeyUsagePurpose| {
        let (chain, key) = world.ca.issue("client", |params| params.extended_key_usages = vec![purpose]);
        try_client(&proxy, &world.ca, Some(Shown::new(&chain, &key)), &rustls::version::TLS13)
    };
    made_for(ExtendedKeyUsagePurpose::ServerAuth).unwrap_err();
    failed(&proxy, With::Clients, "bad_certificate");
    made_for(ExtendedKeyUsagePurpose::ClientAuth).unwrap();
    assert_eq!(origin.count(), 1);
}

#[test]
fn hosts_that_prove_nothing_get_no_request_and_are_told_why() {
    let world = World::new();
    let front = |host| {
        let context = json!({"status": true, "ca_cert": world.ca.pem, "server_name": "back.test"});
        Proxy::start(&ConfigBuilder::to(host).in_cluster("tls_context", context))
    };
    let mut bad = world.bad("back.test");
    let (chain, key) = world.ca.issue("elsewhere.test", |_| {});
    bad.push(("of another host", Shown::new(&chain, &key), "wrong_name", AlertDescription::BadCertificate));
    let (chain, key) =
        world.ca.issue("back.test", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let alert = AlertDescription::UnsupportedCertificate;
    bad.push(("of a client", Shown::new(&chain, &key), "bad_certificate", alert));
    let mut bad: Vec<_> =
        bad.into_iter().map(|(what, shown, reason, alert)| (what, shown, reason, Some(alert))).collect();
    // rustls closes without a word.
    bad.push(("of nobody", Shown::new("", &key), "certificate_missing", None));
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    for (what, shown, reason, alert) in bad {
        let (host, told) = raw::host(raw::server(shown), 1, reply, Goes::WithCloseNotify);
        let proxy = front(host);
        assert_eq!(proxy.get("/").status(), 502, "{what}");
        let error = told.recv_timeout(sidegate_harness::PATIENCE).unwrap().expect_err(what);
        assert_eq!(alert_of(&error), alert, "{what}: {error}");
        failed(&proxy, With::Hosts, reason);
    }
    for shown in world.good("back.test") {
        let (host, _) = raw::host(raw::server(shown), 1, reply, Goes::WithCloseNotify);
        assert_eq!(front(host).get("/").status(), 200);
    }
}

/// What `sidegate check` says of a listener and of a cluster with `context`.
fn checked(context: &Value) -> [String; 2] {
    let (dir, origin) = (TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let config = || ConfigBuilder::to(origin.address());
    [config().in_chain("tls_context", context.clone()), config().in_cluster("tls_context", context.clone())].map(
        |config| {
            let file = dir.write("c.json", config.build(dir.path()).to_string());
            let outcome = sidegate([Path::new("check"), Path::new("-c"), &file]);
            assert_eq!(outcome.code, Some(1), "{context}: {}", outcome.output());
            outcome.output()
        },
    )
}

#[test]
fn files_that_prove_nothing_are_refused_on_both_sides() {
    let world = World::new();
    let (leaf, key) = world.below.issue("a.test", |_| {});
    let (chain, _) = world.ca.issue("a.test", |_| {});
    let of = |chain: &str, key: &str| {
        json!({"status": true, "cert_chain": chain, "private_key": key,
        "ca_cert": world.ca.pem, "verify_client": true})
    };
    let half = &leaf[..leaf.len() / 2];
    let dir = TempDir::new();
    let empty = dir.write("empty.pem", "").display().to_string();
    let words = dir.write("words.pem", "no certificate\n").display().to_string();
    for (context, place, expected) in [
        (of(&chain, &key), "private_key", "the key does not belong to the certificate"),
        (of(&format!("{}{leaf}", world.below.pem), &key), "cert_chain", "the key belongs to certificate 2"),
        (of(&empty, &key), "cert_chain", "expected certificates in PEM"),
        (of(&words, &key), "cert_chain", "expected certificates in PEM"),
        (of(half, &key), "cert_chain", "PEM"),
        (of(&key, &key), "cert_chain", "expected certificates in PEM"),
        (of(&leaf, &leaf), "private_key", "expected a private key in PEM"),
        (of("", &key), "private_key", "expected `cert_chain` beside it"),
    ] {
        for said in checked(&context) {
            let line = said.lines().find(|line| line.contains(&format!("tls_context.{place}")));
            assert!(line.is_some_and(|line| line.contains(expected)), "{place} {expected}:\n{said}");
            assert!(!said.contains("BEGIN"), "{said}");
        }
    }
}

#[test]
fn a_chain_with_the_leaf_first_and_the_rest_in_disorder_is_a_warning() {
    let (world, dir, origin) = (World::new(), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let (leaf, key) = world.below.issue("a.test", |_| {});
    let chain = format!("{leaf}{}{}", world.ca.pem, world.below.pem);
    let context = json!({"status": true, "cert_chain": chain, "private_key": key});
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", context);
    let file = dir.write("c.json", config.build(dir.path()).to_string());
    let outcome = sidegate([Path::new("check"), Path::new("-c"), &file]);
    assert_eq!(outcome.code, Some(0));
    let expected = "certificate 2 of the chain is not the issuer of the one before";
    assert!(outcome.output().contains(expected), "{}", outcome.output());
}
