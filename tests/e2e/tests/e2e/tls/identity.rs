//! Who the peer is, for headers, routes, filters, modules and logs.

use std::io::{Read, Write};
use std::process::Command;

use rcgen::SanType;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Reply, TempDir, artifact, run, until};

use super::clients::ask;
use super::{Ca, dial, with};
use crate::docs::configurations;
use crate::modules::{Module, entry};

pub(super) const SPIFFE: &str = "spiffe://cluster.local/ns/shop/sa/cart";

/// Certificate and key of a client in files.
pub(super) struct Client {
    dir: TempDir,
    pub context: Value,
}

impl Client {
    pub fn new(ca: &Ca, subject: &str, names: Vec<SanType>) -> Client {
        Client { dir: TempDir::new(), context: ca.context_of(subject, names) }
    }

    /// One that SPIFFE knows, with names of every other kind as well.
    pub fn cart(ca: &Ca) -> Client {
        let ia5 = |text: &str| text.try_into().unwrap();
        let names = vec![
            SanType::URI(ia5(SPIFFE)),
            SanType::DnsName(ia5("cart.test")),
            SanType::DnsName(ia5("cart.shop.test")),
            SanType::IpAddress("10.1.2.3".parse().unwrap()),
            SanType::Rfc822Name(ia5("cart@shop.test")),
        ];
        Client::new(ca, "cart, \"the\" one", names)
    }

    /// As curl wants it.
    pub fn flags(&self) -> Vec<String> {
        let pem = |key: &str| self.dir.write(key, self.context[key].as_str().unwrap()).display().to_string();
        vec!["--cert".to_owned(), pem("cert_chain"), "--key".to_owned(), pem("private_key")]
    }

    pub fn ask(&self, proxy: &Proxy, ca: &Ca, path: &str, more: &[&str]) -> u16 {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        ask(proxy, &ca.file(&self.dir), "a.test", path, &flags).status
    }
}

/// As `sha256sum` has it.
pub(super) fn sha256_of_pem(pem: &str) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let dir = TempDir::new();
    let outcome = run(Command::new("sha256sum").arg(dir.write("der", &der)));
    outcome.stdout[..64].to_owned()
}

/// A listener of the CA that asks clients for certificates.
pub(super) fn mutual(ca: &Ca) -> Value {
    with(ca.context("a.test"), json!({"ca_cert": ca.pem, "verify_client": true, "require_client_cert": true}))
}

const FACTS: [&str; 15] = [
    "verified",
    "subject",
    "issuer",
    "serial",
    "sha256",
    "key_sha256",
    "uri_san",
    "dns_san",
    "ip_san",
    "email_san",
    "spiffe_id",
    "not_before",
    "not_after",
    "pem",
    "pem_url",
];

/// Everything that variables say of the client, as headers `p-…`.
fn shown(config: ConfigBuilder) -> ConfigBuilder {
    let fields = FACTS.map(|fact| {
        json!({"header": {"key": format!("p-{}", fact.replace('_', "-")), "value": format!("%tls_peer_{fact}%")},
               "append": false})
    });
    config.in_router("request_headers_to_add", json!(fields)).in_proxy("downstream_protocol", json!("Auto"))
}

fn fact(origin: &Origin, name: &str) -> Option<String> {
    origin.last().head.get(&format!("p-{name}")).map(str::to_owned)
}

#[test]
fn variables_say_who_the_client_is() {
    let (ca, origin, dir) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), TempDir::new());
    let client = Client::cart(&ca);
    let log = dir.join("who.log");
    let format = "%tls_peer_verified% %tls_peer_spiffe_id% %tls_peer_serial% %tls_peer_dns_san% %tls_peer_pem_url%";
    let config = shown(ConfigBuilder::to(origin.address()))
        .in_cluster("upstream_protocol", json!("Http1"))
        .in_chain("tls_context", mutual(&ca))
        .in_listener("access_logs", json!([{"log_path": log, "log_format": format}]));
    let proxy = Proxy::start(&config);
    for protocol in ["--http1.1", "--http2"] {
        // Nothing that a client writes counts.
        let spoofed = [protocol, "-H", "p-spiffe-id: spiffe://evil/x", "-H", "p-pem: x"];
        assert_eq!(client.ask(&proxy, &ca, "/", &spoofed), 200, "{protocol}");
        for (name, expected) in [
            ("verified", "true"),
            ("subject", "CN=cart\\, \\\"the\\\" one"),
            ("issuer", "CN=ca"),
            ("serial", "beef01"),
            ("uri-san", SPIFFE),
            ("spiffe-id", SPIFFE),
            ("dns-san", "cart.test,cart.shop.test"),
            ("ip-san", "10.1.2.3"),
            ("email-san", "cart@shop.test"),
        ] {
            assert_eq!(fact(&origin, name).as_deref(), Some(expected), "{protocol} {name}");
        }
        assert_eq!(fact(&origin, "sha256").map(|text| text.len()), Some(64));
        assert_eq!(fact(&origin, "key-sha256").map(|text| text.len()), Some(44));
        assert!(fact(&origin, "not-before") < fact(&origin, "not-after"));
        // Lines are none of a header's.
        assert_eq!(fact(&origin, "pem"), None);
        let pem = fact(&origin, "pem-url").unwrap().replace("%20", " ").replace("%0A", "\n");
        let pem = pem.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        assert_eq!(pem, client.context["cert_chain"].as_str().unwrap().replace("\r\n", "\n"));
    }
    let lines = until("two lines", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == 2).then_some(text)
    });
    let expected = format!("true {SPIFFE} beef01 cart.test,cart.shop.test -----BEGIN%20CERTIFICATE-----%0A");
    assert!(lines.lines().all(|line| line.starts_with(&expected)), "{lines}");
}

#[test]
fn who_was_not_verified_has_no_identity() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let config = |more: Value| {
        let config = shown(ConfigBuilder::to(origin.address())).in_cluster("upstream_protocol", json!("Http1"));
        Proxy::start(&config.in_chain("tls_context", with(ca.context("a.test"), more)))
    };
    let nobody = |client: &Client, proxy: &Proxy, flag: &str| {
        assert_eq!(client.ask(proxy, &ca, "/", &[flag, "-H", "p-subject: CN=root", "-H", "p-verified: true"]), 200);
        assert_eq!(fact(&origin, "verified").as_deref(), Some("false"));
        for name in FACTS.iter().skip(1) {
            assert_eq!(fact(&origin, &name.replace('_', "-")), None, "{name}");
        }
    };
    let alone = config(json!({"require_client_cert": true}));
    let asked = config(json!({"ca_cert": ca.pem, "verify_client": true}));
    for flag in ["--http1.1", "--http2"] {
        // MOSN's `require_client_cert` alone: whatever is shown proves nothing,
        // even if it is good.
        nobody(&Client::cart(&ca), &alone, flag);
        nobody(&Client::cart(&Ca::new("other")), &alone, flag);
        // And one that shows none.
        let dir = TempDir::new();
        let spoofed = [flag, "-H", "p-verified: true", "-H", "p-spiffe-id: x"];
        assert_eq!(ask(&asked, &ca.file(&dir), "a.test", "/", &spoofed).status, 200);
        assert_eq!((fact(&origin, "verified").as_deref(), fact(&origin, "spiffe-id")), (Some("false"), None));
    }
    // In clear text there is nothing to say.
    let clear = Proxy::start(&shown(ConfigBuilder::to(origin.address())));
    assert_eq!(clear.get_with("/", "p-verified: true\r\np-subject: x\r\n").status(), 200);
    assert_eq!((fact(&origin, "verified"), fact(&origin, "subject")), (None, None));
}

#[test]
fn a_resumed_session_shows_the_same_client() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let client = Client::cart(&ca);
    let config = shown(ConfigBuilder::to(origin.address())).in_chain("tls_context", mutual(&ca));
    let proxy = Proxy::start(&config);
    for version in [&TLS12, &TLS13] {
        let config = ca.client_as(&client.context, version);
        let mut seen = Vec::new();
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = dial(&config, proxy.address(), "a.test");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            assert_eq!(
                stream.conn.handshake_kind().map(|kind| kind == HandshakeKind::Resumed),
                Some(expected == HandshakeKind::Resumed),
                "{version:?}"
            );
            seen.push(
                ["verified", "spiffe-id", "serial", "sha256", "subject", "dns-san"].map(|name| fact(&origin, name)),
            );
        }
        assert_eq!(seen[0], seen[1], "{version:?}");
        assert_eq!(seen[0][1].as_deref(), Some(SPIFFE));
    }
}

#[test]
fn modules_see_who_the_client_is() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let (client, c) = (Client::cart(&ca), Module::compile_file("tests/e2e/modules/minor1.c"));
    for filter in [c.entry("peer", &json!({})), entry(&artifact("libprobe.so"), "peer", &json!({}))] {
        let config = ConfigBuilder::to(origin.address())
            .in_proxy("downstream_protocol", json!("Auto"))
            .in_cluster("upstream_protocol", json!("Http1"))
            .filter(filter.clone());
        let proxy = Proxy::start(&config.clone().in_chain("tls_context", mutual(&ca)));
        let shown = |name: &str| origin.last().head.get(&format!("x-peer-{name}")).map(str::to_owned).unwrap();
        for flag in ["--http1.1", "--http2"] {
            assert_eq!(client.ask(&proxy, &ca, "/", &[flag, "-H", "x-peer-serial: 1"]), 200);
            let seen = ["verified", "subject", "uri", "spiffe", "serial", "version"].map(shown);
            assert_eq!(seen, ["true", "CN=cart\\, \\\"the\\\" one", SPIFFE, SPIFFE, "beef01", "TLSv1.3"], "{flag}");
        }
        let open = ca.context("a.test");
        let proxy = Proxy::start(&config.clone().in_chain("tls_context", open));
        assert_eq!(ask(&proxy, &ca.file(&TempDir::new()), "a.test", "/", &["--tls-max", "1.2"]).status, 200);
        assert_eq!(["verified", "subject", "serial", "version"].map(shown), ["false", "-", "-", "TLSv1.2"]);
        let proxy = Proxy::start(&config);
        assert_eq!(proxy.get("/").status(), 200);
        assert_eq!(["verified", "subject", "serial", "version"].map(shown), ["-"; 4]);
    }
}

#[test]
fn a_module_refuses_who_was_not_verified() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let asked = with(ca.context("a.test"), json!({"ca_cert": ca.pem, "verify_client": true}));
    let mut filter = entry(&artifact("libprobe.so"), "peer", &json!({}));
    filter["config"] = json!({"required": true});
    let config = ConfigBuilder::to(origin.address()).filter(filter).in_chain("tls_context", asked);
    let proxy = Proxy::start(&config);
    assert_eq!(Client::cart(&ca).ask(&proxy, &ca, "/", &[]), 200);
    assert_eq!(ask(&proxy, &ca.file(&TempDir::new()), "a.test", "/", &[]).status, 403);
}

/// The page's configuration, with addresses and certificates of this test.
#[test]
fn the_page_admits_by_identity() {
    let (ca, origin, dir) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), TempDir::new());
    let shown = configurations()
        .into_iter()
        .find(|block| block.page.ends_with("tls.md") && block.content.contains("tls_peer_spiffe_id"));
    let mut config: Value = serde_json::from_str(&shown.unwrap().content).unwrap();
    config["servers"][0]["listeners"][0]["address"] = json!("127.0.0.1:0");
    let context = &mut config["servers"][0]["listeners"][0]["filter_chains"][0]["tls_context"];
    *context = with(context.take(), with(ca.context("a.test"), json!({"ca_cert": ca.pem})));
    config["cluster_manager"]["clusters"][0]["hosts"][0]["address"] = json!(origin.address().to_string());
    config["admin"] = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
    let file = dir.write("config.json", config.to_string());
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    let uri = |text: &str| vec![SanType::URI(text.try_into().unwrap())];
    let (cart, till) = (Client::cart(&ca), Client::new(&ca, "till", uri("spiffe://cluster.local/ns/shop/sa/till")));
    // SPIFFE knows no certificates with two.
    let two = Client::new(&ca, "two", [uri(SPIFFE), uri("spiffe://cluster.local/ns/shop/sa/till")].concat());
    assert_eq!(cart.ask(&proxy, &ca, "/pay/1", &["-H", "x-client-id: spiffe://evil/x"]), 200);
    assert_eq!(origin.last().head.all("x-client-id"), [SPIFFE]);
    assert_eq!(till.ask(&proxy, &ca, "/pay/1", &[]), 403);
    assert_eq!(two.ask(&proxy, &ca, "/pay/1", &[]), 403);
    assert_eq!(two.ask(&proxy, &ca, "/", &["-H", "x-client-id: spiffe://evil/x"]), 200);
    assert_eq!(origin.last().head.get("x-client-id"), None);
    let nobody = |path: &str| ask(&proxy, &ca.file(&TempDir::new()), "a.test", path, &[]).status;
    assert_eq!((nobody("/pay/1"), nobody("/")), (403, 403));
    assert_eq!(origin.count(), 2);
}

/// What the filter `dsl` knows of a client.
#[test]
fn expressions_see_who_the_client_is() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let expression = "conditional(connection.mtls && \
         connection.spiffe_id_peer_certificate.startsWith(\"spiffe://cluster.local/ns/shop/\"), \
         ctx.add_request_header(\"x-who\", connection.subject_peer_certificate + \" \" + \
             connection.serial_peer_certificate + \" \" + connection.dns_san_peer_certificate), \
         ctx.add_request_header(\"x-who\", \"nobody of \" + connection.requested_server_name))";
    let asked = with(ca.context("a.test"), json!({"ca_cert": ca.pem, "verify_client": true}));
    let config = ConfigBuilder::to(origin.address())
        .filter(json!({"type": "dsl", "config": {"before_router_by_dsl": expression}}))
        .in_chain("tls_context", asked);
    let proxy = Proxy::start(&config);
    assert_eq!(Client::cart(&ca).ask(&proxy, &ca, "/", &[]), 200);
    let who = "CN=cart\\, \\\"the\\\" one beef01 cart.test,cart.shop.test";
    assert_eq!(origin.last().head.get("x-who"), Some(who));
    assert_eq!(ask(&proxy, &ca.file(&TempDir::new()), "a.test", "/", &[]).status, 200);
    assert_eq!(origin.last().head.get("x-who"), Some("nobody of a.test"));
}

#[test]
fn logs_say_who_the_host_is() {
    let (ca, origin, dir) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), TempDir::new());
    let names = vec![SanType::DnsName("back.test".try_into().unwrap()), SanType::URI(SPIFFE.try_into().unwrap())];
    let back = ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_cluster("upstream_protocol", json!("Http1"))
        .in_chain("tls_context", ca.context_of("back", names));
    let back = Proxy::start(&back);
    let format = "%upstream_tls_peer_subject% %upstream_tls_peer_issuer% %upstream_tls_peer_dns_san% \
                  %upstream_tls_peer_spiffe_id% %upstream_tls_peer_serial% %tls_peer_subject%";
    for (place, protocol) in ["Http1", "Http2"].into_iter().enumerate() {
        for (context, expected) in [
            (
                json!({"status": true, "ca_cert": ca.pem, "server_name": "back.test"}),
                format!("CN=back CN=ca back.test {SPIFFE} beef01 -"),
            ),
            // Nobody looked at it.
            (json!({"status": true, "insecure_skip": true}), "- - - - - -".to_owned()),
        ] {
            let log = dir.join(format!("{place}{}.log", expected.len()));
            let config = ConfigBuilder::to(back.address())
                .in_cluster("upstream_protocol", json!(protocol))
                .in_cluster("tls_context", context)
                .in_listener("access_logs", json!([{"log_path": log, "log_format": format}]));
            let proxy = Proxy::start(&config);
            assert_eq!(proxy.get("/").status(), 200);
            assert_eq!(proxy.get("/").status(), 200);
            let lines = until("two lines", || {
                let text = std::fs::read_to_string(&log).ok()?;
                (text.lines().count() == 2).then_some(text)
            });
            assert!(lines.lines().all(|line| line == expected), "{protocol}: {lines}");
        }
    }
}
