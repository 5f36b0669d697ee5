//! `x-forwarded-client-cert`: what clients claim, and what we say.

use rcgen::SanType;
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, TempDir};

use super::clients::ask;
use super::identity::{Client, SPIFFE, mutual};
use super::{Ca, with};

const NAME: &str = "x-forwarded-client-cert";
const CLAIM: &str = "x-forwarded-client-cert: By=spiffe://a/b;Hash=00;URI=spiffe://cluster.local/admin";
const CLAIMED: &str = "By=spiffe://a/b;Hash=00;URI=spiffe://cluster.local/admin";

fn config(origin: &Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_cluster("upstream_protocol", json!("Http1"))
}

/// What the origin was told, each field.
fn told(origin: &Origin) -> Vec<String> {
    origin.last().head.all(NAME).into_iter().map(str::to_owned).collect()
}

#[test]
fn each_mode_does_as_in_envoy() {
    let (ca, origin, dir) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), TempDir::new());
    let client = Client::cart(&ca);
    let (file, own) = (ca.file(&dir), "spiffe://cluster.local/ns/edge/sa/gate");
    let names = vec![SanType::DnsName("a.test".try_into().unwrap()), SanType::URI(own.try_into().unwrap())];
    let asked = with(ca.context_of("gate", names), json!({"ca_cert": ca.pem, "verify_client": true}));
    let hash = {
        let cert = client.context["cert_chain"].as_str().unwrap();
        super::identity::sha256_of_pem(cert)
    };
    let ours = format!("By={own};Hash={hash}");
    for (mode, shown, bare, clear) in [
        (None, vec![], vec![], vec![]),
        (Some("SANITIZE"), vec![], vec![], vec![]),
        (Some("FORWARD_ONLY"), vec![CLAIMED.to_owned()], vec![], vec![]),
        (Some("APPEND_FORWARD"), vec![format!("{CLAIMED},{ours}")], vec![], vec![]),
        (Some("SANITIZE_SET"), vec![ours.clone()], vec![], vec![]),
        (Some("ALWAYS_FORWARD_ONLY"), vec![CLAIMED.to_owned()], vec![CLAIMED.to_owned()], vec![CLAIMED.to_owned()]),
    ] {
        let mut config = config(&origin).in_chain("tls_context", asked.clone()).in_listener("inspector", json!(true));
        if let Some(mode) = mode {
            config = config.in_proxy("forward_client_cert_details", json!(mode));
        }
        let proxy = Proxy::start(&config);
        for flag in ["--http1.1", "--http2"] {
            assert_eq!(client.ask(&proxy, &ca, "/", &[flag, "-H", CLAIM]), 200);
            assert_eq!(told(&origin), shown, "{mode:?} {flag}");
            // Written in other ways, or twice, it is the same header.
            let disguised = CLAIM.replace("x-forwarded-client-cert", "X-Forwarded-Client-CERT");
            assert_eq!(ask(&proxy, &file, "a.test", "/", &[flag, "-H", &disguised]).status, 200);
            assert_eq!(told(&origin), bare, "{mode:?} {flag}");
        }
        assert_eq!(proxy.get_with("/", &format!("{CLAIM}\r\n")).status(), 200);
        assert_eq!(told(&origin), clear, "{mode:?}");
    }
}

#[test]
fn a_client_that_sends_many_gets_none_through() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = Proxy::start(&config(&origin).in_chain("tls_context", ca.context("a.test")));
    for flag in ["--http1.1", "--http2"] {
        let more =
            [flag, "-H", CLAIM, "-H", CLAIM, "-H", "x_forwarded_client_cert: By=a", "-H", "X-Forwarded-Client_Cert: b"];
        assert_eq!(ask(&proxy, &ca.file(&TempDir::new()), "a.test", "/", &more).status, 200);
        let head = origin.last().head;
        let names = [NAME, "x_forwarded_client_cert", "x-forwarded-client_cert"];
        assert!(names.iter().all(|name| !head.has(name)), "{flag} {head:?}");
    }
    // Where TLS ends before us, it is the word of who speaks it.
    let clear = Proxy::start(&config(&origin));
    assert_eq!(clear.get_with("/", &format!("{CLAIM}\r\n")).status(), 200);
    assert_eq!(told(&origin), [CLAIMED]);
}

#[test]
fn details_are_said_when_asked_for() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let client = Client::cart(&ca);
    let set = |details: Value| {
        let config = config(&origin)
            .in_chain("tls_context", mutual(&ca))
            .in_proxy("forward_client_cert_details", json!("SANITIZE_SET"))
            .in_proxy("set_current_client_cert_details", details);
        let proxy = Proxy::start(&config);
        assert_eq!(client.ask(&proxy, &ca, "/", &["-H", CLAIM]), 200);
        told(&origin)
    };
    let hash = super::identity::sha256_of_pem(client.context["cert_chain"].as_str().unwrap());
    let all = set(json!({"subject": true, "uri": true, "dns": true}));
    let subject = "CN=cart\\, \\22the\\22 one";
    let expected = format!("Hash={hash};Subject=\"{subject}\";URI={SPIFFE};DNS=cart.test;DNS=cart.shop.test");
    assert_eq!(all, [expected]);
    let cert = set(json!({"cert": true, "dns": false}));
    let start = format!("Hash={hash};Cert=\"-----BEGIN%20CERTIFICATE-----%0A");
    assert!(cert.len() == 1 && cert[0].starts_with(&start) && cert[0].ends_with("-----END%20CERTIFICATE-----%0A\""));
}

#[test]
fn routes_see_what_was_made_of_it() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let matched = json!({"prefix": "/", "headers": [{"name": NAME, "value": ".*URI=spiffe://cluster.local/admin.*",
        "regex": true}]});
    let routes = json!([{"match": matched, "direct_response": {"status": 299}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}]);
    let config = ConfigBuilder::to_routes(origin.address(), routes).in_chain("tls_context", ca.context("a.test"));
    let proxy = Proxy::start(&config);
    assert_eq!(ask(&proxy, &ca.file(&TempDir::new()), "a.test", "/", &["-H", CLAIM]).status, 200);
    let config = config.in_proxy("forward_client_cert_details", json!("ALWAYS_FORWARD_ONLY"));
    let proxy = Proxy::start(&config);
    assert_eq!(ask(&proxy, &ca.file(&TempDir::new()), "a.test", "/", &["-H", CLAIM]).status, 299);
}
