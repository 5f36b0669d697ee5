//! What access log lines can show, as text and as JSON.

use std::path::PathBuf;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, Reply, TempDir, until};

use crate::support::{refusing_address, route};

/// A proxy whose only access log has this JSON format.
struct Logged {
    dir: TempDir,
    proxy: Proxy,
}

impl Logged {
    fn start(config: ConfigBuilder, format: Value) -> Self {
        let dir = TempDir::new();
        let log = dir.join("json.log");
        let proxy = Proxy::start(&config.in_listener("access_logs", json!([{"log_path": log, "json_format": format}])));
        Logged { dir, proxy }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("json.log")
    }

    /// The first `count` lines.
    fn lines(&self, count: usize) -> Vec<Value> {
        let text = until("the lines", || {
            let text = std::fs::read_to_string(self.file()).ok()?;
            (text.ends_with('\n') && text.lines().count() >= count).then_some(text)
        });
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }

    fn line(&self) -> Value {
        self.lines(1).remove(0)
    }
}

fn timings() -> Value {
    json!({
        "forwarded": "%request_forwarded_duration%",
        "received": "%request_received_duration%",
        "response": "%response_received_duration%",
        "process": "%process_time_duration%",
        "finished": "%request_finished_duration%",
        "duration": "%duration%",
        "status": "%response_code%",
        "failure": "%upstream_transport_failure_reason%",
        "local": "%upstream_local_address%",
    })
}

/// Under `compat: mosn` a line without a format is MOSN's own, so that whoever
/// parses it goes on working.
#[test]
fn lines_are_mosns_where_that_is_asked_for() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let logs = [dir.join("default.log"), dir.join("own.log")];
    let host = json!({"address": origin.address().to_string(), "hostname": "backend.example"});
    let config = ConfigBuilder::to(origin.address())
        .in_cluster("hosts", json!([host]))
        .top("compat", json!("mosn"))
        .in_listener(
            "access_logs",
            json!([
                {"log_path": logs[0]},
                {"log_path": logs[1], "log_format": "%path% %protocol% %response_flag% 100% %duration%"},
            ]),
        );
    let proxy = Proxy::start(&config);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut client = proxy.connect();
    for (path, fields) in [("/a", format!("traceparent: {parent}\r\n")), ("/b", String::new())] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nx-request-id: r1\r\n{fields}\r\n"));
        assert_eq!(client.response().status(), 200);
    }
    let read = |log: &PathBuf| {
        until("two lines", || {
            let text = std::fs::read_to_string(log).ok()?;
            (text.lines().count() == 2 && text.ends_with('\n')).then_some(text)
        })
    };
    let text = read(&logs[0]);
    let local = client.local().to_string();
    let (address, upstream) = (proxy.address().to_string(), origin.address().to_string());
    let mut connections = Vec::new();
    for (line, trace) in text.lines().zip(["4bf92f3577b34da6a3ce929d0e0e4736", "r1"]) {
        let words: Vec<&str> = line.split(' ').collect();
        let [
            date,
            time,
            id,
            "",
            connection,
            upstream_connection,
            received,
            response,
            sent,
            "0",
            "Http1",
            "200",
            duration,
            "false",
            "200",
            to,
            at,
            from,
            name,
        ] = words[..]
        else {
            panic!("{line}");
        };
        assert_eq!((date.len(), time.len(), id), (10, 12, trace), "{line}");
        assert!(sent.parse::<u32>().unwrap() > 0, "{line}");
        // Go's way: a number with a unit.
        for word in [received, response, duration] {
            assert!(word.ends_with("µs") || word.ends_with("ms") || word.ends_with('s'), "{line}");
            let number = word.trim_end_matches(|c: char| !c.is_ascii_digit());
            assert!(number.parse::<f64>().is_ok_and(|number| number > 0.0), "{line}");
        }
        assert_eq!((to, at, from, name), (&*upstream, &*address, &*local, "backend.example"), "{line}");
        connections.push((connection.parse::<u64>().unwrap(), upstream_connection.parse::<u64>().unwrap()));
    }
    // Both requests came on one connection and went over one.
    assert_eq!(connections[0], connections[1]);
    assert_ne!(connections[0].0, connections[0].1);
    for (line, path) in read(&logs[1]).lines().zip(["/a", "/b"]) {
        assert!(line.starts_with(&format!("{path} Http1 false 100% ")), "{line}");
    }
}

#[test]
fn a_percent_sign_that_begins_no_name_is_one() {
    let origin = Origin::echo();
    let add = json!([
        {"header": {"key": "x-share", "value": "100%"}, "append": true},
        {"header": {"key": "x-part", "value": "5% of %path%"}, "append": true},
        {"header": {"key": "x-connection", "value": "%connection_id%"}, "append": true},
    ]);
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_router("request_headers_to_add", add));
    assert_eq!(proxy.get("/a").status(), 200);
    let head = origin.seen()[0].head.clone();
    assert_eq!((head.get("x-share"), head.get("x-part")), (Some("100%"), Some("5% of /a")));
    assert!(head.get("x-connection").is_some_and(|id| id.parse::<u64>().is_ok()));
}

#[test]
fn every_duration_is_measured_and_they_are_in_order() {
    let origin = Origin::echo();
    let logged = Logged::start(ConfigBuilder::to(origin.address()), timings());
    let mut client = logged.proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    origin.wait("the head", |origin| origin.connections() == 1);
    client.send("cd");
    assert_eq!(client.response().status(), 200);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let lines = logged.lines(2);
    for (line, order) in lines.iter().zip([["forwarded", "received"], ["received", "forwarded"]]) {
        let millis = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"));
        // A body is read while it is forwarded; without one all is read first.
        let order = [order[0], order[1], "response", "duration"].map(millis);
        assert!(order.is_sorted(), "{line}");
        assert!(millis("process") <= millis("duration"), "{line}");
        assert_eq!(line["finished"], line["duration"], "{line}");
        assert!(line["failure"].is_null() && line["status"] == 200, "{line}");
        let local: std::net::SocketAddr = line["local"].as_str().unwrap().parse().unwrap();
        assert!(local.ip().is_loopback() && local != origin.address() && local.port() != 0, "{line}");
    }
    assert_eq!(lines[0]["local"], lines[1]["local"], "both went over one connection");
}

#[test]
pub(crate) fn a_request_that_a_filter_answers_was_received_and_not_forwarded() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(json!({"type": "demo", "config": {"User": "admin"}}));
    let logged = Logged::start(config, timings());
    assert_eq!(logged.proxy.get("/").status(), 403);
    let line = logged.line();
    assert!(line["received"].is_number() && line["forwarded"].is_null(), "{line}");
    assert_eq!(line["process"], line["duration"], "all of it was the proxy's own: {line}");
}

#[test]
fn the_wait_for_the_upstream_is_not_the_proxys() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    let logged = Logged::start(ConfigBuilder::to(origin.address()), timings());
    let mut client = logged.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    let asked = std::time::Instant::now();
    until("some time", || (asked.elapsed().as_millis() >= 30).then_some(()));
    let waited = asked.elapsed().as_secs_f64() * 1000.0;
    gate.open();
    assert_eq!(client.response().status(), 200);
    let line = logged.line();
    let millis = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"));
    assert!(millis("response") - millis("forwarded") >= waited - 0.002, "{line}, {waited} ms of it the origin's");
    let own = millis("forwarded") + millis("duration") - millis("response");
    assert!((millis("process") - own).abs() < 0.01, "{line}: {own}");
}

#[test]
pub(crate) fn an_unreachable_upstream_is_named() {
    let logged = Logged::start(ConfigBuilder::to(refusing_address()), timings());
    assert_eq!(logged.proxy.get("/").status(), 502);
    let line = logged.line();
    assert_eq!(line["failure"], "upstream_connect_failed", "{line}");
    for absent in ["forwarded", "response", "local"] {
        assert!(line[absent].is_null(), "{absent} in {line}");
    }
}

#[test]
pub(crate) fn requests_are_shown_before_and_after_rewrites() {
    let origin = Origin::echo();
    let config =
        ConfigBuilder::to_routes(origin.address(), json!([route("/old/", json!({"prefix_rewrite": "/new/"}))]));
    let format = json!({
        "original": "%original_path%", "mosn": "%x-mosn-path-original%", "path": "%path%", "arg": "%request_arg_b%",
        "none": "%request_arg_z%", "cookie": "%cookie_session%", "line": "%method% %target%", "port": "%listener_port%",
    });
    let logged = Logged::start(config, format);
    let request = "GET /old/x?a=1&b=%20y&b=2 HTTP/1.1\r\nHost: a\r\nCookie: a=b; session=\"s t\"\r\n\r\n";
    assert_eq!(logged.proxy.exchange(request).status(), 200);
    assert_eq!(
        logged.line(),
        json!({
            "original": "/old/x", "mosn": "/old/x", "path": "/new/x", "arg": "%20y", "none": null,
            "cookie": "\"s t\"", "line": "GET /new/x?a=1&b=%20y&b=2", "port": logged.proxy.address().port(),
        })
    );
}

#[test]
fn json_lines_cannot_be_forged() {
    let origin = Origin::echo();
    let format = json!({"agent": "%request_header_x-agent%", "in": {"mixed": "<%request_header_x-agent%>"}, "end": 1});
    let logged = Logged::start(ConfigBuilder::to(origin.address()), format);
    let values: [&[u8]; 4] =
        [b"\", \"end\": 2, \"x\": \"", b"\\\", \\u0022", b"\xe2\x80\xae\xff\xc3\xbc", b"tab\there {\"end\":3}"];
    // One connection is one worker, which keeps the lines in order.
    let mut client = logged.proxy.connect();
    for value in values {
        client.send([b"GET / HTTP/1.1\r\nHost: a\r\nX-Agent: ", value, b"\r\n\r\n"].concat());
        assert_eq!(client.response().status(), 200);
    }
    for (line, value) in logged.lines(4).iter().zip(values) {
        let agent = String::from_utf8_lossy(value);
        assert_eq!(*line, json!({"agent": agent, "in": {"mixed": format!("<{agent}>")}, "end": 1}));
    }
    let bytes = std::fs::read(logged.file()).unwrap();
    assert!(bytes.iter().all(|&b| b == b'\n' || (b' '..=b'~').contains(&b)));
}

#[test]
fn a_request_is_as_long_as_head_and_body() {
    let origin = Origin::echo();
    let logged = Logged::start(
        ConfigBuilder::to(origin.address()),
        json!({"length": "%request_length%", "code": "%response_code%"}),
    );
    let mut wire = sidegate_harness::Wire::connect(logged.proxy.address());
    let requests = [
        "\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n",
    ];
    for request in requests {
        wire.send(request).response();
    }
    // The blank line in front is no part of the first, framing none of the second.
    let expected = [
        (200, json!(requests[0].len() - 2)),
        (200, json!(requests[1].len() - "3\r\n\r\n0\r\n\r\n".len())),
        (400, json!(null)),
    ];
    for (line, (code, length)) in logged.lines(3).iter().zip(expected) {
        assert_eq!((&line["code"], &line["length"]), (&json!(code), &length));
    }
}
