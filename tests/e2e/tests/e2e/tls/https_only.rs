//! The page's way from clear text to TLS.

use serde_json::{Value, json};
use sidegate_harness::{Origin, Proxy, ProxyOptions, Reply, TempDir, run};

use super::{Ca, with};
use crate::docs::configurations;

#[test]
fn everybody_is_sent_to_https_and_told_to_stay() {
    let (ca, dir, files) = (Ca::new("ca"), TempDir::new(), TempDir::new());
    let origin = Origin::http(|_| Reply::ok("x").header("Strict-Transport-Security", "max-age=1"));
    let is_it = |block: &crate::docs::blocks::Block| {
        block.page.ends_with("tls.md") && block.content.contains("scheme_redirect")
    };
    let shown = configurations().into_iter().find(is_it).unwrap();
    let mut config: Value = serde_json::from_str(&shown.content).unwrap();
    for place in 0..2 {
        config["servers"][0]["listeners"][place]["address"] = json!("127.0.0.1:0");
    }
    let context = &mut config["servers"][0]["listeners"][1]["filter_chains"][0]["tls_context"];
    *context = with(context.take(), ca.context("a.test"));
    config["cluster_manager"]["clusters"][0]["hosts"][0]["address"] = json!(origin.address().to_string());
    config["admin"] = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
    let file = dir.write("config.json", config.to_string());
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    let (http, https) = (proxy.listener("http"), proxy.listener("main"));
    // As from the ports of the page.
    let connect = |port: u16, to: std::net::SocketAddr| format!("a.test:{port}:127.0.0.1:{}", to.port());
    for flag in ["--http1.1", "--http2"] {
        let outcome = run(std::process::Command::new("curl")
            .args(["-q", "--noproxy", "*", "-sS", "--max-time", "15", "-i", "-L", flag, "--cacert", &ca.file(&files)])
            .args(["--connect-to", &connect(80, http), "--connect-to", &connect(443, https)])
            .args(["--data", "body", "http://a.test/path?q=1"]));
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
        let text = outcome.stdout.to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 308 "), "{text}");
        assert!(text.contains("location: https://a.test/path?q=1\r\n"), "{text}");
        let policy = "strict-transport-security: max-age=31536000; includesubdomains\r\n";
        let (first, second) = text.split_once("\r\n\r\n").unwrap();
        assert!(!first.contains("strict-transport-security") && second.contains(policy), "{text}");
        assert_eq!(text.matches("strict-transport-security").count(), 1, "ours alone: {text}");
        let seen = origin.last();
        assert_eq!((seen.head.method(), &*seen.body), ("POST", &b"body"[..]), "{flag}: {text}");
    }
    // Nothing but redirects in clear text.
    assert_eq!(origin.count(), 2);
}
