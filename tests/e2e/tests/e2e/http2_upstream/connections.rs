//! Which connections carry which requests, and how they come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Gate, H2Origin, H2OriginSettings, Proxy, Reply, TempDir, until};

use super::{metric, start, to};

/// Answers requests once the gate is open, those for `/now` at once.
fn waiting(gate: &Arc<Gate>, settings: &H2OriginSettings) -> H2Origin {
    let gate = gate.clone();
    H2Origin::scripted_with(settings, move |exchange| {
        exchange.finish()?;
        if exchange.seen.head.target() != "/now" {
            gate.wait();
        }
        exchange.reply(&Reply::ok("done"))
    })
}

/// So many requests at once, each on a connection of its own, that stay open
/// until `release`.
fn at_once(proxy: &Proxy, count: usize, settled: impl FnOnce()) -> Vec<u16> {
    let mut clients: Vec<_> = (0..count).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    settled();
    clients.iter_mut().map(|client| client.response().status()).collect()
}

#[test]
fn requests_at_once_share_a_connection() {
    let gate = Arc::new(Gate::default());
    let origin = waiting(&gate, &H2OriginSettings::new());
    let proxy = start(&to(&origin));
    let statuses = at_once(&proxy, 40, || {
        origin.wait("all requests", |origin| origin.count() == 40);
        gate.open();
    });
    assert_eq!(statuses, [200; 40]);
    assert_eq!(origin.connections(), 1, "those that came while one connected waited for it");
    assert_eq!(metric(&proxy, "upstream_http2_streams_total"), 40.0);
    assert_eq!(metric(&proxy, "upstream_http2_connections_total"), 1.0);
    assert_eq!(metric(&proxy, "upstream_connection_active"), 1.0);
    assert_eq!(metric(&proxy, "upstream_request_total"), 40.0);
}

#[test]
fn the_hosts_bound_is_kept_and_more_connections_come_when_one_is_full() {
    let gate = Arc::new(Gate::default());
    let origin = waiting(&gate, H2OriginSettings::new().max_concurrent_streams(4));
    let proxy = start(&to(&origin));
    // The first one learns what the host allows.
    assert_eq!(proxy.get("/now").status(), 200);
    let statuses = at_once(&proxy, 10, || {
        origin.wait("all requests", |origin| origin.count() == 11);
        gate.open();
    });
    assert_eq!(statuses, [200; 10]);
    assert_eq!(origin.connections(), 3);
    assert_eq!(metric(&proxy, "upstream_http2_refused_streams_total"), 0.0);
}

#[test]
fn our_own_bound_is_kept_as_well() {
    let gate = Arc::new(Gate::default());
    let origin = waiting(&gate, &H2OriginSettings::new());
    let config = to(&origin).in_cluster("http2_protocol_options", json!({"max_concurrent_streams": 5}));
    let proxy = start(&config);
    let statuses = at_once(&proxy, 10, || {
        origin.wait("all requests", |origin| origin.count() == 10);
        gate.open();
    });
    assert_eq!((statuses, origin.connections()), (vec![200; 10], 2));
}

#[test]
fn a_goodbye_loses_no_request() {
    let origin = H2Origin::http(|seen| Reply::ok(seen.body.clone()));
    let proxy = Arc::new(start(&to(&origin)));
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (proxy, done) = (proxy.clone(), done.clone());
            std::thread::spawn(move || {
                let mut client = proxy.connect();
                for number in 0..150 {
                    // None of them may be repeated if the host has seen it.
                    let body = number.to_string();
                    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
                    let got = client.response();
                    assert_eq!((got.status(), got.text()), (200, body));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for part in 1..=5 {
        until("some requests", || (done.load(Ordering::Relaxed) >= part * 100).then_some(()));
        origin.go_away();
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(origin.connections() > 1);
    assert!(metric(&proxy, "upstream_http2_goaways_total") >= 1.0);
    assert_eq!(origin.count(), 600, "none came twice");
}

#[test]
fn connections_end_after_their_requests_and_their_idle_time() {
    let origin = H2Origin::echo();
    let proxy = start(&to(&origin).in_cluster("max_request_per_conn", json!(3)));
    for _ in 0..7 {
        assert_eq!(proxy.get("/").status(), 200);
    }
    assert_eq!(origin.connections(), 3);
    origin.wait("the end of those that are done", |origin| origin.open_connections() == 1);

    let origin = H2Origin::echo();
    let proxy = start(&to(&origin).in_cluster("idle_timeout", json!("1s")));
    assert_eq!(proxy.get("/").status(), 200);
    origin.wait("the end of its idle time", |origin| origin.open_connections() == 0);
    assert_eq!(metric(&proxy, "upstream_connection_local_close"), 1.0);
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn a_removed_cluster_ends_its_connections_and_not_its_requests() {
    let gate = Arc::new(Gate::default());
    let origin = waiting(&gate, &H2OriginSettings::new());
    let mut proxy = start(&to(&origin));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    let elsewhere = H2Origin::echo();
    let changed = ConfigBuilder::empty().cluster("other", &[elsewhere.address()]).virtual_host(
        "all",
        &["*"],
        json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "other", "upstream_protocol": "Http2"}}]),
    );
    proxy.reload(&changed);
    gate.open();
    assert_eq!(client.response().text(), "done");
    origin.wait("the end of its connection", |origin| origin.open_connections() == 0);
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
    assert_eq!(elsewhere.count(), 1);
}

#[test]
fn other_settings_make_other_connections() {
    let origin = H2Origin::echo();
    let mut proxy = start(&to(&origin));
    assert_eq!(proxy.get("/").status(), 200);
    // What no connection has for its life changes none.
    proxy.reload(&to(&origin).in_cluster("max_request_per_conn", json!(100)));
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 1);
    let options = json!({"initial_stream_window_size": 100000});
    proxy.reload(&to(&origin).in_cluster("http2_protocol_options", options));
    assert_eq!(proxy.get("/").status(), 200);
    origin.wait("the former one's end", |origin| origin.connections() == 2 && origin.open_connections() == 1);
}

#[test]
fn copies_of_requests_go_over_http2_too() {
    let (main, shadow) = (H2Origin::echo(), H2Origin::echo());
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "origin"},
        "request_mirror_policies": {"cluster": "shadow", "percent": 100}}]);
    let config = ConfigBuilder::empty()
        .cluster("origin", &[main.address()])
        .in_cluster("upstream_protocol", json!("Http2"))
        .cluster("shadow", &[shadow.address()])
        .in_cluster("upstream_protocol", json!("Http2"))
        .virtual_host("all", &["*"], routes);
    let proxy = start(&config);
    let mut client = proxy.connect();
    for _ in 0..3 {
        client.send("PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.response().status(), 200);
    }
    shadow.wait("copies", |shadow| shadow.seen().iter().filter(|seen| seen.complete).count() == 3);
    let copy = shadow.last();
    assert_eq!((copy.head.method(), copy.head.target(), &copy.body[..]), ("PUT", "/p", &b"body"[..]));
    assert_eq!(shadow.connections(), 1);
}

#[test]
fn a_host_that_is_gone_without_a_word_is_found_by_a_ping() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The first connection is read no more after its request; others serve.
    let serving = H2Origin::echo();
    let config = ConfigBuilder::to(address).in_cluster("upstream_protocol", json!("Http2")).in_cluster(
        "http2_protocol_options",
        json!({"connection_keepalive": {"interval": "100ms", "timeout": "200ms"}}),
    );
    let proxy = start(&config);
    let mut client = proxy.connect();
    client.send("POST /dead HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let (_silent, _) = listener.accept().unwrap();
    assert_eq!(client.response().status(), 502);
    let line = proxy.access_line("dead", |line| line.path == "/dead");
    assert!(line.has("UC"), "{line:?}");
    until("the count", || (metric(&proxy, "upstream_http2_pings_timed_out_total") == 1.0).then_some(()));
    until("the line", || proxy.logs().contains("does not answer pings").then_some(()));
    drop((serving, Duration::ZERO));
}

#[test]
fn logs_and_statistics_know_the_connection_and_what_went_over_it() {
    let origin = H2Origin::echo();
    let dir = TempDir::new();
    let log = dir.join("log");
    let format = "%upstream_protocol% %upstream_connection_id% %upstream_local_address% %upstream_host%";
    let proxy = start(&to(&origin).in_listener("access_logs", json!([{"log_path": log, "log_format": format}])));
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde");
        assert_eq!(client.response().status(), 200);
    }
    let text = until("both lines", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == 2 && text.ends_with('\n')).then_some(text)
    });
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines[0], lines[1], "one connection");
    assert_eq!((lines[0][0], lines[0][3]), ("HTTP/2", &*origin.address().to_string()));
    assert!(lines[0][1].parse::<u64>().is_ok_and(|id| id > 0), "{text}");
    assert!(lines[0][2].starts_with("127.0.0.1:"), "{text}");
    assert!(metric(&proxy, "upstream_connection_bytes_write") > 10.0);
    assert!(metric(&proxy, "upstream_connection_bytes_read_total") > 200.0);
    assert_eq!(metric(&proxy, "upstream_response_success"), 2.0);
    assert_eq!(metric(&proxy, "upstream_request_active"), 0.0);
}
