//! The server over real sockets.

mod client;
mod fake;
mod plugins;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use sidegate_api::Address;
use sidegate_telemetry::{LogLevel, LogSwitch};

use self::client::{Answer, Running};
use self::fake::{Change, Fake};
use crate::*;

fn get(server: &Running, path: &str) -> Answer {
    server.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

fn post(server: &Running, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    server.send(&format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn each_reading_endpoint_answers_as_mosn_does() {
    let server = Running::start(Fake::new(), None);
    for (path, status, body) in [
        ("/api/v1/version", 200, "sidegate version: 9.8.7\n"),
        ("/ready", 200, "ready\n"),
        ("/live", 200, "live\n"),
        ("/api/v1/features", 200, "{}\n"),
        ("/api/v1/features?key=auto_config", 200, "false\n"),
        ("/api/v1/stats_glob", 200, "request_total:3\nrequest_active:1\n"),
        ("/api/v1/env", 400, "key= is missing\n"),
        (
            "/api/v1/stats_glob?key=*active",
            200,
            "downstream.proxy.global.request_active:1\ndownstream.listener.in.request_active:1\n",
        ),
        ("/api/v1/config_dump?router=r9", 404, "no router `r9`\n"),
        ("/api/v1/config_dump?router=", 400, "`router=` needs a name\n"),
        ("/api/v1/config_dump?allrouters&allclusters", 400, "only one parameter at a time\n"),
        ("/nothing", 404, "not found; / lists what there is\n"),
        ("/api/v1/version/", 404, "not found; / lists what there is\n"),
    ] {
        let answer = get(&server, path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    let states = get(&server, "/api/v1/states").body;
    assert_eq!(states, format!("pid={}&state=6\n", std::process::id()));
    let index = get(&server, "/");
    assert!(index.body.contains("/api/v1/modules") && index.body.contains("POST"), "{}", index.body);
}

#[test]
fn what_is_large_comes_in_pieces() {
    let server = Running::start(Fake::new().with_hosts(1000), None);
    let lines = |text: &str, of: &str| text.lines().filter(|line| line.starts_with(of)).count();
    let page = get(&server, "/metrics");
    assert_eq!((page.header("transfer-encoding"), page.header("content-length")), (Some("chunked"), None));
    let text = page.whole_body();
    assert_eq!(lines(&text, "upstream_request_duration_time"), 17_000);
    assert_eq!((lines(&text, "# TYPE upstream_"), text.ends_with('\n')), (1, true));
    // Who knows no chunks gets what ends with the connection.
    let old = server.send("GET /metrics HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((old.header("transfer-encoding"), old.header("connection")), (None, Some("close")));
    assert_eq!(lines(&old.body, "upstream_request_duration_time"), 17_000);
    let head = server.send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    // A connection serves on after it.
    let twice = "GET /api/v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n\
                 GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = server.send(twice).body;
    let (json, version) = answers.split_once("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n").unwrap();
    assert!(json.contains("cluster.c.host.10.0.3.231:80") && version.ends_with("sidegate version: 9.8.7\n"));
    let stats: Value = serde_json::from_str(&get(&server, "/api/v1/stats").whole_body()).unwrap();
    assert_eq!(stats["upstream"].as_object().unwrap().len(), 1000);
    let globbed = get(&server, "/api/v1/stats_glob?key=*10.0.3*").whole_body();
    assert_eq!((globbed.lines().count(), lines(&globbed, "upstream.cluster.c.host.10.0.3.0:80.")), (2 * 232, 2));
    assert_eq!(get(&server, "/api/v1/stats_glob?key=nothing").whole_body(), "");
    assert_eq!(get(&server, "/ready").header("content-length"), Some("6"));
}

#[test]
fn what_changes_what_runs_answers_with_what_came_of_it() {
    let server = Running::start(Fake::new(), None);
    let sha = "ab".repeat(32);
    for (path, status, body) in [
        ("/api/v1/config/reload", 200, json!({"asked": "Reload"})),
        ("/api/v1/config/rollback", 409, json!({"asked": "Rollback"})),
        ("/api/v1/config/diff", 200, json!({"bytes": 0})),
        ("/api/v1/modules/auth/reload", 422, json!({"asked": "Module { name: \"auth\", sha256: None }"})),
        ("/api/v1/modules/hung/reload", 503, json!({"asked": "Module { name: \"hung\", sha256: None }"})),
        ("/api/v1/modules/a.b/reload", 404, json!({"asked": "Module { name: \"a.b\", sha256: None }"})),
    ] {
        let answer = post(&server, path, "", "");
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), body, "{path}");
    }
    let former = post(&server, &format!("/api/v1/modules/x/reload?sha256={sha}"), "", "");
    assert!(former.body.contains("Some([171"), "{}", former.body);
    for query in ["sha256=ab", "sha256=", "sha256", "sha265=ab", &format!("sha256={sha}&sha256={sha}"), "x"] {
        let answer = post(&server, &format!("/api/v1/modules/x/reload?{query}"), "", "");
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["refused"], "bad_request", "{query}");
    }
    let named = post(&server, "/api/v1/modules/a%20%C3%BC+b/reload", "", "");
    assert!(named.body.contains("name: \\\"a ü+b\\\""), "{}", named.body);
    assert_eq!(get(&server, "/api/v1/config").body, "{\n  \"number\": 7\n}\n");
    // A configuration may be large, other bodies may not.
    let large = "x".repeat(200 * 1024);
    assert_eq!(post(&server, "/api/v1/config/diff", "", &large).body, "{\n  \"bytes\": 204800\n}\n");
    assert_eq!(post(&server, "/api/v1/config/reload", "", &large).status, 413);
    for path in ["/api/v1/modules//reload", "/api/v1/modules/a/b/reload", "/api/v1/modules/a", "/api/v1/config/"] {
        assert_eq!(post(&server, path, "", "").status, 404, "{path}");
    }
    for path in ["/api/v1/config/reload", "/api/v1/config/rollback", "/api/v1/config/diff", "/api/v1/modules/a/reload"]
    {
        assert_eq!(get(&server, path).status, 405, "{path}");
        let page = post(&server, path, "Origin: http://evil.example\r\n", "");
        assert_eq!(page.status, 403, "{path}");
    }
}

#[test]
fn json_endpoints_answer_json() {
    let server = Running::start(Fake::new(), None);
    for (path, expected) in [
        ("/api/v1/config_dump", json!({"query": "All"})),
        ("/api/v1/config_dump?mosnconfig", json!({"query": "MosnConfig"})),
        ("/api/v1/config_dump?alllisteners=", json!({"query": "AllListeners"})),
        ("/api/v1/config_dump?cluster=a%20b", json!({"query": "Cluster(\"a b\")"})),
        ("/api/v1/get_loglevel", json!({"stderr": "INFO"})),
        ("/api/v1/env?key=PATH&key=HOME", json!({"env": {}, "not_found": ["PATH", "HOME"]})),
        (
            "/api/v1/stats?key=request_total",
            json!({
                "downstream": {"proxy.global": {"request_total": "3"}, "listener.in": {"request_total": "3"}},
            }),
        ),
        ("/api/v1/stats?key=nothing", json!({})),
        ("/api/v1/certs", json!({"certs": [{"listener": "in", "context": 0}, {"cluster": "a"}, {"cluster": "b"}]})),
        ("/api/v1/certs?cluster=b", json!({"certs": [{"cluster": "b"}]})),
        ("/api/v1/certs?listener=in", json!({"certs": [{"listener": "in", "context": 0}]})),
        ("/api/v1/certs?listener=out", json!({"certs": []})),
        (
            "/api/v1/modules",
            json!({"modules": [{
                "name": "auth", "file": "/m/libauth.so", "sha256": "ab12", "abi": "1.0", "version": "0.3",
                "generation": 2, "filters": ["auth"], "streams": 5, "faults": 1,
                "hooks": [{
                    "filter": "auth", "hook": "on_request_headers", "calls": 640, "seconds": 0.5,
                    "longest_seconds": 0.25, "slow": 3,
                }],
                "quarantine": [{"filter": "auth", "state": "quarantined", "seconds_left": 1.5}],
                "generations": [{
                    "generation": 1, "sha256": "cd34", "state": "draining", "filters": ["auth"], "streams": 3,
                    "resume_handles": 2, "threads": 1, "reason": null,
                }],
            }]}),
        ),
    ] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), expected, "{path}");
    }
}

#[test]
fn hosts_are_shown_with_their_health() {
    let server = Running::start(Fake::new(), None);
    let page =
        |query: &str| serde_json::from_str::<Value>(&get(&server, &format!("/api/v1/hosts{query}")).body).unwrap();
    let all = page("");
    assert_eq!((&all["clusters"]["a"]["total"], &all["clusters"]["a"]["healthy"]), (&json!(2), &json!(1)));
    assert_eq!(all["clusters"]["b"]["healthy"], 0);
    assert_eq!(
        all["clusters"]["a"]["hosts"][1],
        json!({
            "address": "10.0.0.2:80", "hostname": "h", "weight": 3, "healthy": false, "failed_check": false,
            "ejected": true, "drained": false, "active_requests": 2, "active_connections": 1,
        })
    );
    let one = page("?cluster=b");
    assert_eq!(one["clusters"].as_object().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(get(&server, "/api/v1/hosts?cluster=c").status, 404);
}

#[test]
fn server_info_is_envoys() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), None);
    let info = || serde_json::from_str::<Value>(&get(&server, "/server_info").body).unwrap();
    let expected = json!({
        "version": "sidegate/9.8.7", "state": "LIVE", "uptime_current_epoch": "61s", "uptime_all_epochs": "61s",
    });
    assert_eq!(info(), expected);
    for (state, name) in [(RunState::Starting, "INITIALIZING"), (RunState::Draining, "DRAINING")] {
        fake.set_state(state);
        assert_eq!(info()["state"], name);
    }
}

#[test]
fn prometheus_is_served_with_its_type() {
    let server = Running::start(Fake::new(), None);
    let answer = get(&server, "/stats/prometheus");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.body.contains("\ndownstream_request_total{proxy=\"global\"} 3\n"), "{}", answer.body);
    assert!(answer.body.contains("\nsidegate_build_info{version=\"9.8.7\"} 1\n"));
}

#[test]
fn liveness_ends_with_the_last_worker_that_serves() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), None);
    let hanging = ["worker-0 in module m", "worker-1 in module m"];
    for (count, ready, live, body) in [
        (0, 200, 200, "live\n"),
        (1, 200, 200, "live\nhangs: worker-0 in module m\n"),
        (2, 503, 503, "all workers hang\nhangs: worker-0 in module m\nhangs: worker-1 in module m\n"),
    ] {
        fake.set_hangs(2, &hanging[..count]);
        let answer = get(&server, "/live");
        assert_eq!((answer.status, answer.body.as_str()), (live, body));
        assert_eq!(get(&server, "/ready").status, ready);
    }
    fake.set_state(RunState::Draining);
    assert_eq!(get(&server, "/live").status, 200, "a drain ends by itself");
}

#[test]
fn readiness_and_state_follow_the_process() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), None);
    for (state, number, status, body) in [
        (RunState::Starting, 4, 503, "starting\n"),
        (RunState::Running, 6, 200, "ready\n"),
        (RunState::Draining, 7, 503, "draining\n"),
    ] {
        fake.set_state(state);
        let answer = get(&server, "/ready");
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
        assert!(get(&server, "/api/v1/states").body.ends_with(&format!("&state={number}\n")));
    }
}

#[test]
fn the_method_must_be_the_endpoints() {
    let server = Running::start(Fake::new(), None);
    for (method, path, allow) in [
        ("POST", "/api/v1/version", "GET, HEAD"),
        ("DELETE", "/api/v1/config_dump", "GET, HEAD"),
        ("GET", "/api/v1/update_loglevel", "POST"),
        ("OPTIONS", "/api/v1/enable_log", "POST"),
    ] {
        let answer = server.send(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    let head = server.send("HEAD /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn logs_are_changed_from_loopback() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), None);
    let change = |path: &str, body: &str| {
        let answer = post(&server, path, "", body);
        (answer.status, answer.body)
    };
    let level = "/api/v1/update_loglevel";
    assert_eq!(
        change(level, r#"{"log_path": "stderr", "log_level": "debug"}"#),
        (200, "update logger success\n".to_owned())
    );
    assert_eq!(change(level, r#"{"log_path": "nowhere", "log_level": "DEBUG"}"#).0, 404);
    let (status, text) = change(level, r#"{"log_path": "stderr", "log_level": "LOUD"}"#);
    assert_eq!((status, text.contains("FATAL, ERROR, WARN, INFO, DEBUG, TRACE")), (400, true));
    for body in ["", "{", "[]", "3", r#"{"log_path": 3, "log_level": "INFO"}"#] {
        assert_eq!(change(level, body).0, 400, "{body}");
    }
    assert_eq!(change("/api/v1/disable_log", "stderr\n"), (200, "disable logger success\n".to_owned()));
    assert_eq!(change("/api/v1/enable_log", r#"{"log_path": "stderr"}"#), (200, "enable logger success\n".to_owned()));
    assert_eq!(change("/api/v1/enable_log", "").0, 400);
    assert_eq!(
        fake.changes(),
        [Change::Level(LogLevel::Debug), Change::Switch(LogSwitch::Off), Change::Switch(LogSwitch::On)]
    );
}

#[test]
fn wrong_tokens_and_web_pages_change_nothing() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), Some("s3cret"));
    for (headers, status) in [
        ("Authorization: Bearer wrong\r\n", 403),
        ("Origin: http://localhost\r\n", 403),
        ("Authorization: Bearer s3cret\r\nOrigin: http://x.example\r\n", 200),
        ("", 200),
    ] {
        let answer = post(&server, "/api/v1/disable_log", headers, "stderr");
        assert_eq!(answer.status, status, "{headers}: {}", answer.body);
    }
    let rebound = "POST /api/v1/disable_log HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nContent-Length: 6\r\n\r\nstderr";
    assert_eq!(server.send(rebound).status, 403);
    assert_eq!(fake.changes().len(), 2);
}

#[test]
fn bodies_and_heads_are_bounded() {
    let server = Running::start(Fake::new(), None);
    let big = "x".repeat(64 * 1024 + 1);
    assert_eq!(post(&server, "/api/v1/enable_log", "", &big).status, 413);
    // Refused by its length alone: nothing of the body is waited for.
    let head = "POST /api/v1/enable_log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(server.send(head).status, 413);
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(40 * 1024));
    assert_eq!(server.send(&long).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(100));
    assert_eq!(server.send(&many).status, 431);
    assert_eq!(server.send("garbage\r\n\r\n").status, 400);
    assert_eq!(get(&server, "/ready").status, 200);
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Running::start(Fake::new(), None);
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\nready\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            got.push(byte[0]);
        }
    }
}

#[test]
fn who_owes_a_request_is_closed_when_the_server_ends() {
    let server = Running::start(Fake::new(), None);
    let ready = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open: Vec<_> = [&b""[..], b"GET /ready HT", b"POST /api/v1/enable_log HTTP/1.1\r\nHost: localhost\r\n"]
        .into_iter()
        .map(|unfinished| {
            let mut stream = server.connect();
            // Served once, so that the connection surely was accepted.
            stream.write_all(ready).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(unfinished).unwrap();
            stream
        })
        .collect();
    server.stop();
    for stream in &mut open {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("\r\n\r\nready\n"), "{rest}");
    }
}

#[test]
fn the_silent_make_room_for_those_who_ask() {
    let server = Running::start(Fake::new(), None);
    let mut silent: Vec<_> = (0..64)
        .map(|n| {
            let mut stream = server.connect();
            if n % 2 == 1 {
                stream.write_all(b"GET /re").unwrap();
            }
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(get(&server, "/ready").status, 200);
    }
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0, "the first one made room");
    let last = &mut silent[63];
    last.write_all(b"ady HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "the last one kept its place: {answer}");
}

#[test]
fn what_has_two_lengths_or_a_doubtful_host_is_refused() {
    let server = Running::start(Fake::new(), None);
    for (fields, status) in [
        ("Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400),
        ("Host: a\r\nContent-Length: 0\r\nContent-Length: 1\r\n", 400),
        ("Host: a\r\nTransfer-Encoding: gzip\r\n", 501),
        ("Host: [::1]evil\r\n", 400),
        ("Host: 127.0.0.1:80@evil\r\n", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("", 400),
    ] {
        let answer = server.send(&format!("GET /ready HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"));
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.body);
    }
}

#[test]
fn names_that_are_not_ours_see_probes_alone() {
    let server = Running::start(Fake::new(), Some("s3cret"));
    let ask = |path: &str, host: &str, fields: &str| {
        server.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n")).status
    };
    for path in ["/ready", "/live", "/metrics", "/stats/prometheus"] {
        assert_eq!(ask(path, "evil.example", ""), 200, "{path}");
    }
    for path in ["/", "/api/v1/config_dump", "/api/v1/stats", "/api/v1/modules", "/api/v1/version", "/api/v1/env?key=A"]
    {
        assert_eq!(ask(path, "evil.example:80", ""), 403, "{path}");
        assert_eq!(ask(path, "evil.example", "Authorization: Bearer wrong\r\n"), 403, "{path}");
        assert_eq!(ask(path, "evil.example", "Authorization: Bearer s3cret\r\n"), 200, "{path}");
        for own in ["127.0.0.1:1", "LOCALHOST", "[::1]", "admin.example:34901"] {
            assert_eq!(ask(path, own, ""), 200, "{path} {own}");
        }
    }
    let old = server.send("GET /api/v1/version HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200, "who sends no Host is no browser");
}

#[test]
fn bodies_come_in_pieces_and_after_a_word() {
    let fake = Fake::new();
    let server = Running::start(fake.clone(), None);
    let head = "POST /api/v1/disable_log HTTP/1.1\r\nHost: localhost\r\n";
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nstd\r\n3\r\nerr\r\n0\r\n\r\n");
    assert_eq!(server.send(&chunked).status, 200);
    let mut stream = server.connect();
    write!(stream, "{head}Content-Length: 6\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n").unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"stderr").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(fake.changes().len(), 2);
}

#[test]
fn a_unix_socket_is_the_owners_and_is_local() {
    let path = std::env::temp_dir().join(format!("sidegate-admin-{}.sock", std::process::id()));
    let address = Address::Unix(path.clone());
    let fake = Fake::new();
    let server = Running::start_on(&address, fake.clone(), None);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let request =
        "POST /api/v1/disable_log HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 6\r\n\r\nstderr";
    assert_eq!(server.send(request).status, 200);
    assert_eq!(fake.changes().len(), 1);

    let error = AdminServer::bind(&address, SocketMode::default()).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
    server.stop();
    assert!(!path.exists(), "the socket's file goes with the server");

    let open = AdminServer::bind(&address, SocketMode(0o660)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660, "whatever the umask is");
    drop(open);

    // What a killed process leaves behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(AdminServer::bind(&address, SocketMode::default()).unwrap());
    std::fs::write(&path, "no socket").unwrap();
    assert!(AdminServer::bind(&address, SocketMode::default()).is_err());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_address_in_use_is_named() {
    let server = Running::start(Fake::new(), None);
    let error = AdminServer::bind(server.address(), SocketMode::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on {} for the admin interface or metrics: ", server.address())),
        "{error}"
    );
    let missing = Address::Unix(PathBuf::from("/nonexistent-folder/a.sock"));
    assert!(AdminServer::bind(&missing, SocketMode::default()).is_err());
}
