//! The access log: refused requests are in it, and nothing in it can be forged.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, until};

use crate::support::echo_pair;

#[test]
fn refused_requests_are_logged_with_the_reason() {
    let (_origin, proxy) = echo_pair();
    let cases = [
        ("no Host", "GET /no-host HTTP/1.1\r\n\r\n", "DPE"),
        ("two Hosts", "GET /two-hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "DPE"),
        ("garbage", "\x16\x03\x01 garbage\r\n\r\n", "DPE"),
        ("two lengths", "GET /two HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "DPE"),
        ("bad chunk", "POST /chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "DPE"),
    ];
    for (index, (what, raw, flag)) in cases.into_iter().enumerate() {
        let mut client = proxy.connect();
        client.send(raw);
        assert_eq!(client.response().status(), 400, "{what}");
        let line = until(&format!("log line for {what}"), || proxy.access_log().into_iter().nth(index));
        assert!(line.status == 400 && line.has(flag), "{what}: {line:?}");
        assert_ne!(line.details, "-", "{what}: the reason is missing");
    }
    // The request line was fine there, so the log can name it.
    proxy.access_line("path of a refused request", |line| line.path == "/two" || line.path == "/chunk");
}

#[test]
fn every_request_has_one_line() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for number in 0..30 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
    }
    let lines = until("30 lines", || Some(proxy.access_log()).filter(|lines| lines.len() >= 30));
    let paths: Vec<String> = lines.iter().map(|line| line.path.clone()).collect();
    assert_eq!(paths, (0..30).map(|number| format!("/{number}")).collect::<Vec<_>>());
    assert!(lines.iter().all(|line| line.flags.is_empty() && line.status == 200));
}

#[test]
pub(crate) fn logged_values_cannot_forge_lines() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address());
    let dir = sidegate_harness::TempDir::new();
    let log = dir.join("custom.log");
    let format = "%path% %authority% \"%request_header_x-agent%\" %response_code%";
    let config = config.in_listener("access_logs", json!([{"log_path": log, "log_format": format}]));
    let proxy = Proxy::start(&config);
    let values: [&[u8]; 4] = [b"a\" 200 x", b"a\\x0ab", b"\xe2\x80\xae\xff", b"tab\there"];
    for value in values {
        let raw = [b"GET /p%0aq HTTP/1.1\r\nHost: a\r\nX-Agent: ", value, b"\r\n\r\n"].concat();
        assert_eq!(proxy.exchange(raw).status(), 200);
    }
    let text = until("four lines", || {
        let bytes = std::fs::read(&log).ok()?;
        (bytes.iter().filter(|&&b| b == b'\n').count() >= values.len()).then_some(bytes)
    });
    let text = String::from_utf8(text).expect("the log is UTF-8 whatever clients send");
    assert_eq!(text.lines().count(), values.len());
    for line in text.lines() {
        assert!(line.starts_with("/p%0aq a \"") && line.ends_with("\" 200"), "{line}");
        assert_eq!(line.matches('"').count(), 2, "a value closed its quotes: {line}");
        assert!(line.chars().all(|c| c.is_ascii() && !c.is_control()), "{line:?}");
    }
}

#[test]
pub(crate) fn the_default_format_has_status_and_flags() {
    let origin = Origin::echo();
    let dir = sidegate_harness::TempDir::new();
    let log = dir.join("default.log");
    let config = ConfigBuilder::empty()
        .cluster("origin", &[origin.address()])
        .in_listener("access_logs", json!([{"log_path": log}]));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/lost").status(), 404);
    let line = until("a line", || std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    let words: Vec<&str> = line.split([' ', '"', '=', '\n']).collect();
    for wanted in ["/lost", "404", "NR"] {
        assert!(words.contains(&wanted), "{wanted} is missing in {line}");
    }
}

/// Sets how large the files may be that the proxy writes.
fn limit_files(proxy: &Proxy, bytes: &str) {
    let limit = std::process::Command::new("prlimit")
        .args(["--pid", &proxy.pid().to_string(), &format!("--fsize={bytes}:")])
        .status()
        .expect("prlimit, of util-linux");
    assert!(limit.success());
}

#[test]
fn a_limit_on_file_sizes_costs_lines_and_nothing_else() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    limit_files(&proxy, "2000");
    let mut client = proxy.connect();
    for number in 0..200 {
        client.send(format!("GET /limited/{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
    }
    // What is written later is written whole.
    limit_files(&proxy, "unlimited");
    until("a line of later", || {
        assert_eq!(client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
        proxy.access_log_text().contains("/later").then_some(())
    });
}
