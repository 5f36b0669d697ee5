//! What keys of a context do, seen from outside.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion};
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Reply, TempDir, curl, until};

use super::clients::ask;
use super::identity::{Client, mutual};
use super::{Ca, dial, with};

/// A proxy whose listener has `context`, and tells the origin what was agreed on.
fn serve(origin: &Origin, context: Value) -> ConfigBuilder {
    let field = |name: &str| json!({"header": {"key": name, "value": format!("%tls_{name}%")}, "append": false});
    ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_cluster("upstream_protocol", json!("Http1"))
        .in_router("request_headers_to_add", json!([field("version"), field("cipher"), field("group"), field("alpn")]))
        .in_chain("tls_context", context)
}

#[test]
fn versions_ciphers_and_curves_are_those_of_the_settings() {
    let (ca, origin, dir) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), TempDir::new());
    let file = ca.file(&dir);
    let agreed = |more: Value, flags: &[&str]| {
        let proxy = Proxy::start(&serve(&origin, with(ca.context("a.test"), more)));
        match ask(&proxy, &file, "a.test", "/", flags).status {
            200 => ["version", "cipher", "group"]
                .map(|name| origin.last().head.get(name).unwrap_or("-").to_owned())
                .join(" "),
            _ => "none".to_owned(),
        }
    };
    for (more, flags, expected) in [
        (json!({"min_version": "tlsv1_3"}), &["--tls-max", "1.2"][..], "none"),
        (json!({"max_version": "TLSv1_2"}), &["--tlsv1.3"], "none"),
        // Raised, with a warning.
        (json!({"min_version": "tlsv1_0"}), &["--tls-max", "1.1", "--tlsv1.0"], "none"),
        (
            json!({"max_version": "tlsv1_2", "cipher_suites": "ECDHE-ECDSA-AES256-GCM-SHA384", "ecdh_curves": "P-384"}),
            &[],
            "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 secp384r1",
        ),
        (
            json!({"cipher_suites": "TLS_CHACHA20_POLY1305_SHA256", "min_version": "tlsv1_3", "ecdh_curves": "x25519"}),
            &[],
            "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 X25519",
        ),
        // What is not there is left out.
        (
            json!({"ecdh_curves": "P521,P256", "min_version": "tlsv1_3"}),
            &[],
            "TLSv1.3 TLS_AES_128_GCM_SHA256 secp256r1",
        ),
    ] {
        assert_eq!(agreed(more.clone(), flags), expected, "{more} {flags:?}");
    }
}

#[test]
fn without_a_protocol_in_common_it_goes_on_unless_it_must_not() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let open = |strict: bool, alpn: &[&str]| {
        let context = with(ca.context("a.test"), json!({"alpn_strict": strict}));
        let proxy = Proxy::start(&serve(&origin, context));
        let mut stream = dial(&ca.client(alpn), proxy.address(), "a.test");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        answer.starts_with(b"HTTP/1.1 200 ").then(|| stream.conn.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(open(false, &["sofa"]), Some(None));
    assert_eq!(open(true, &["sofa"]), None);
    for strict in [false, true] {
        assert_eq!(open(strict, &["sofa", "http/1.1"]), Some(Some(b"http/1.1".to_vec())));
        assert_eq!(open(strict, &[]), Some(None));
    }
}

/// Takes any certificate, and keeps what is stapled to it.
#[derive(Debug)]
struct Stapled(Mutex<Vec<u8>>);

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = ocsp_response.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[test]
fn clients_get_the_word_of_the_ca_with_the_certificate() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    // Its contents are the client's to judge.
    let response = [&[0x30, 0x03][..], &[0x0a, 0x01, 0x06]].concat();
    let file = dir.write("staple.der", &response);
    let proxy = Proxy::start(&serve(&origin, with(ca.context("a.test"), json!({"ocsp_staple": file}))));
    for version in [&TLS12, &TLS13] {
        let verifier = Arc::new(Stapled(Mutex::default()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_no_client_auth();
        let mut stream = dial(&Arc::new(config), proxy.address(), "a.test");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        assert_eq!(*verifier.0.lock().unwrap(), response, "{version:?}");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_may_mean_clear_text() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("clear")));
    let broken = with(ca.context("a.test"), json!({"cert_chain": "/does/not/exist.pem"}));
    let config = |more: Value| serve(&origin, with(broken.clone(), more));
    let said = |config: &ConfigBuilder| {
        let dir = TempDir::new();
        let file = dir.write("config.json", config.build(dir.path()).to_string());
        Proxy::try_run(dir, &file, &ProxyOptions::default()).err().unwrap()
    };
    assert!(said(&config(json!({}))).contains("cannot read /does/not/exist.pem"));
    let verified = json!({"fall_back": true, "ca_cert": ca.pem, "verify_client": true});
    assert!(said(&config(verified)).contains("clients that must be verified would come in"));
    let proxy = Proxy::start(&config(json!({"fall_back": true})));
    assert_eq!(curl(&[&format!("http://{}/", proxy.address())]).body, "clear");
    assert!(proxy.logs().contains("clients are served in clear text"), "it is said loudly");
    let up = json!({"status": true, "ca_cert": ca.pem, "fall_back": true});
    let up = ConfigBuilder::to(origin.address()).in_cluster("tls_context", up);
    assert!(said(&up).contains("requests would go to hosts in clear text"));
}

/// Of this CA, good until `until`.
fn revoked(ca: &Ca, serial: &[u8], until: i32) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer).unwrap().pem().unwrap()
}

#[test]
fn lists_of_revoked_certificates_count_until_they_expire() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let client = Client::cart(&ca);
    for (serial, until, expected, reason) in [
        (&[1, 2, 3][..], 2100, 200, None),
        // As `Client` has it.
        (&[0xbe, 0xef, 0x01], 2100, 0, Some("revoked")),
        // It says nothing any more, and then nobody is believed.
        (&[1, 2, 3], 2021, 0, Some("revocation_unknown")),
    ] {
        let context = with(mutual(&ca), json!({"crl": revoked(&ca, serial, until)}));
        let proxy = Proxy::start(&serve(&origin, context));
        assert_eq!(client.ask(&proxy, &ca, "/", &[]), expected, "{serial:?} {until}");
        if let Some(reason) = reason {
            until_logged(&proxy, reason);
        }
    }
}

fn until_logged(proxy: &Proxy, what: &str) {
    until(what, || proxy.logs().contains(what).then_some(()));
}

#[test]
fn without_a_ca_the_system_vouches_for_hosts_and_names_count() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let back = Proxy::start(&serve(&origin, ca.context("back.test")));
    let start = |name: &str, system: &Ca| {
        let options = ProxyOptions {
            environment: vec![("SSL_CERT_FILE".into(), system.file(&dir).into())],
            ..Default::default()
        };
        let context = json!({"status": true, "server_name": name});
        Proxy::start_with(&ConfigBuilder::to(back.address()).in_cluster("tls_context", context), &options)
    };
    assert_eq!(start("back.test", &ca).get("/").status(), 200);
    assert_eq!(start("other.test", &ca).get("/").status(), 502);
    assert_eq!(start("back.test", &Ca::new("other")).get("/").status(), 502);
}

/// How a client that comes twice to a proxy, reloaded in between or not, begins
/// the second time.
fn second(proxy: &mut Proxy, client: &Arc<ClientConfig>, reload: Option<&ConfigBuilder>) -> Option<HandshakeKind> {
    let mut kind = None;
    for round in 0..2 {
        if let Some(config) = reload.filter(|_| round == 1) {
            proxy.reload(config);
        }
        let mut stream = dial(client, proxy.address(), "a.test");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        kind = stream.conn.handshake_kind();
    }
    kind
}

#[test]
fn a_session_lasts_as_long_as_what_it_was_made_of() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let client = Client::cart(&ca);
    let own = ca.context("a.test");
    let trust = |more: Value| {
        let trust = json!({"ca_cert": ca.pem, "verify_client": true, "require_client_cert": true});
        serve(&origin, with(with(own.clone(), trust), more))
    };
    let open = serve(&origin, own.clone());
    let versions: [&'static SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
    for version in versions {
        let full = |before: &ConfigBuilder, after: Option<&ConfigBuilder>| {
            let mut proxy = Proxy::start(before);
            second(&mut proxy, &ca.client_as(&client.context, version), after) != Some(HandshakeKind::Resumed)
        };
        assert!(!full(&trust(json!({})), None), "{version:?}");
        // What has nothing to do with it changes nothing.
        assert!(!full(&trust(json!({})), Some(&trust(json!({})).timeout("response", "7s"))), "{version:?}");
        let more = trust(json!({"ca_cert": format!("{}{}", ca.pem, other.pem)}));
        let list = trust(json!({"crl": revoked(&ca, &[9], 2100)}));
        for (what, before, after) in [
            ("another CA", &trust(json!({})), &more),
            ("a list", &trust(json!({})), &list),
            ("certificates are required", &open, &trust(json!({}))),
            ("they are not any more", &trust(json!({})), &open),
            ("another certificate", &open, &serve(&origin, ca.context("a.test"))),
        ] {
            assert!(full(before, Some(after)), "{version:?}: {what}");
        }
    }
}
