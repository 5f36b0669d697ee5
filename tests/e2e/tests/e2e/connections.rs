//! Life of connections on both sides: reuse, pipelining, HTTP/1.0, upgrades.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Framing, Origin, Proxy, ProxyOptions, Reply, WireError};

use crate::support::echo_pair;

#[test]
fn both_sides_are_kept_alive() {
    let (origin, proxy) = echo_pair();
    let mut client = proxy.connect();
    for number in 0..5 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().json()["target"], format!("/{number}"));
    }
    assert_eq!(origin.connections(), 1, "five requests in a row need one connection");
}

#[test]
fn a_connection_that_has_come_to_rest_goes_on() {
    let (_origin, proxy) = echo_pair();
    let mut kept = proxy.connect();
    kept.send("GET /1 HTTP/1.1\r\nHost: a\r\nX-Long: abcdefghijklmnopqrstuvwxyz\r\n\r\n");
    assert_eq!(kept.response().json()["target"], "/1");
    // A connection that ends after a longer silence than it takes to rest.
    let allowed = std::time::Duration::from_millis(1300);
    let origin = Origin::http(|_| Reply::ok("x"));
    let config = ConfigBuilder::to(origin.address()).in_listener("connection_idle_timeout", json!("1300ms"));
    let other = Proxy::start(&config);
    let mut ends = other.connect();
    let begun = std::time::Instant::now();
    ends.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(ends.response().status(), 200);
    ends.expect_close();
    assert!(begun.elapsed() >= allowed, "{:?}", begun.elapsed());
    kept.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.response().json()["target"], "/2");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (origin, proxy) = echo_pair();
    let mut client = proxy.connect();
    client.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n\
         HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    for (target, body) in [("/1", ""), ("/2", "abc"), ("/3", "de")] {
        let got = client.response().json();
        assert_eq!((&got["target"], &got["body"]), (&json!(target), &json!(body)));
    }
    assert_eq!(client.response_to("HEAD").status(), 200);
    assert_eq!(client.response().json()["target"], "/5");
    client.expect_close();
    assert_eq!(origin.count(), 5);
}

#[test]
fn a_request_in_many_pieces_is_one_request() {
    let (origin, proxy) = echo_pair();
    let mut client = proxy.connect();
    for byte in b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().json()["body"], "abc");
    assert_eq!(origin.count(), 1);
}

#[test]
fn connection_close_from_the_client_is_honoured() {
    let origin = Origin::echo();
    // Pools belong to workers, so one worker is one pool.
    let one_worker = ProxyOptions { workers: Some(1), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&ConfigBuilder::to(origin.address()), &one_worker);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let got = client.response();
    assert_eq!(got.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
    client.expect_close();
    // It is about that connection alone: the one to the origin stays.
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn connection_close_from_the_origin_ends_only_that_connection() {
    let origin = Origin::http(|_| Reply::ok("x").close());
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for _ in 0..3 {
        let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
        assert_eq!((got.status(), got.text().as_str()), (200, "x"));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answer() {
    let (_origin, proxy) = echo_pair();
    let mut client = proxy.connect();
    client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n").shutdown_write();
    assert_eq!(client.response().json()["target"], "/half");
    client.expect_close();
}

#[test]
fn a_client_that_ends_its_side_is_not_worked_for_without_end() {
    // Nobody can tell this from a client that is gone.
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        // Ends when the proxy lets go of the connection.
        connection.request().map(drop)
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    client.shutdown_write();
    origin.wait("the connection to be let go", |origin| origin.open_connections() == 0);
    let line = proxy.access_line("the cut request", |line| line.path == "/half");
    assert_eq!((line.status, line.flags), (0, vec!["DC".to_owned()]));
}

#[test]
fn http_1_0_clients_get_what_they_understand() {
    let origin = Origin::http(|seen| match seen.head.target() {
        "/chunked" => Reply::ok("a chunked body").chunked(),
        _ => Reply::ok("a body with its length"),
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    for (target, body) in [("/chunked", "a chunked body"), ("/length", "a body with its length")] {
        let mut client = proxy.connect();
        let got = client.send(format!("GET {target} HTTP/1.0\r\nHost: a\r\n\r\n")).response();
        assert_eq!((got.status(), got.text().as_str()), (200, body));
        assert_ne!(got.framing, Framing::Chunked, "HTTP/1.0 knows no chunks");
        client.expect_close();
        assert_eq!(origin.last().head.start, format!("GET {target} HTTP/1.1"), "upstream is spoken to as HTTP/1.1");
    }
}

#[test]
fn http_1_0_without_host_is_served() {
    let (origin, proxy) = echo_pair();
    let got = proxy.exchange("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(got.status(), 200);
    let hosts = origin.last().head.all("host").len();
    assert_eq!(hosts, 1, "an HTTP/1.1 request upstream must carry one Host");
}

#[test]
fn http_1_0_keep_alive_is_answered_as_asked_or_closed() {
    let (_origin, proxy) = echo_pair();
    let mut client = proxy.connect();
    client.send("GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let first = client.response();
    assert_eq!(first.status(), 200);
    if first.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")) {
        client.send("GET /2 HTTP/1.0\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().json()["target"], "/2");
    }
    client.expect_close();
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let origin = Origin::http(|_| {
        Reply::ok("x")
            .header("Connection", "x-bar, keep-alive")
            .header("X-Bar", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Connection", "keep-alive")
            .header("X-Kept", "1")
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).adding_nothing());
    let got = proxy.exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-foo, keep-alive, X-Other\r\nX-Foo: 1\r\nx-other: 1\r\n\
         TE: trailers\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n",
    );
    assert_eq!(origin.last().head.canonical(), ["GET / HTTP/1.1", "host: a", "x-kept: 1"]);
    for name in ["x-bar", "keep-alive", "proxy-connection"] {
        assert!(!got.head.has(name), "{name} reached the client: {:?}", got.head);
    }
    assert_eq!(got.header("x-kept"), Some("1"));
}

#[test]
fn an_upgrade_that_is_not_taken_leaves_plain_requests() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n\
         GET /2 HTTP/1.1\r\nHost: a\r\nX-Second: 1\r\n\r\n",
    );
    let first = client.response();
    assert_eq!((first.status(), &first.json()["target"]), (200, &json!("/1")));
    assert!(!origin.seen()[0].head.has("upgrade"), "{:?}", origin.seen()[0].head);
    match client.try_response("GET") {
        // The second request was one: it must have come as one of its own.
        Ok(second) => {
            assert_eq!(second.json()["target"], "/2");
            assert_eq!(origin.count(), 2);
        }
        Err(WireError::Closed | WireError::Reset) => assert_eq!(origin.count(), 1),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn options_about_the_server_travels_as_it_is() {
    let origin = Origin::echo();
    // It goes where `/` goes, and no rewrite makes a path of it.
    for (matcher, status) in [(json!({}), 200), (json!({"prefix": "/"}), 200), (json!({"prefix": "/a"}), 404)] {
        let mut routes = json!([{"match": matcher, "route": {"cluster_name": "origin"}}]);
        if matcher == json!({"prefix": "/"}) {
            routes[0]["route"]["prefix_rewrite"] = json!("/b/");
        }
        let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes));
        assert_eq!(proxy.exchange("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status(), status, "{matcher}");
    }
    let seen = origin.seen();
    assert_eq!(seen.iter().map(|seen| &*seen.head.start).collect::<Vec<_>>(), ["OPTIONS * HTTP/1.1"; 2]);
}

#[test]
fn max_request_per_conn_bounds_upstream_connections() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_cluster("max_request_per_conn", json!(2)));
    let mut client = proxy.connect();
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    let per_connection: Vec<usize> =
        (0..3).map(|index| origin.seen().iter().filter(|seen| seen.connection == index).count()).collect();
    assert_eq!((origin.connections(), per_connection), (3, vec![2, 2, 1]));
}

#[test]
fn a_pooled_connection_that_went_stale_is_replaced() {
    // The origin closes each connection after its first reply, without saying so.
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        connection.reply(&Reply::ok("x"))
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for number in 1..=4 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200, "request {number}");
        origin.wait("it has closed", |origin| origin.open_connections() == 0);
    }
    assert_eq!(origin.connections(), 4);
}

#[test]
fn an_idempotent_request_lost_on_a_reused_connection_is_sent_again() {
    let origin = lossy_origin();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let targets: Vec<String> = origin.seen().iter().map(|seen| seen.head.target().to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/2"]);
}

#[test]
fn a_post_lost_on_a_reused_connection_is_not_sent_twice() {
    let origin = lossy_origin();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    client.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.response().status(), 502);
    assert_eq!(origin.seen().iter().filter(|seen| seen.head.target() == "/2").count(), 1);
    let line = proxy.access_line("502", |line| line.path == "/2");
    assert!(line.has("UC"), "{line:?}");
}

/// The first connection answers once, reads a second request and closes.
fn lossy_origin() -> Origin {
    let replies = AtomicUsize::new(0);
    Origin::scripted(move |connection| {
        loop {
            connection.request()?;
            if connection.index == 0 && replies.fetch_add(1, Ordering::SeqCst) == 1 {
                return Ok(());
            }
            connection.reply(&Reply::ok("x"))?;
        }
    })
}

#[test]
fn few_connections_spread_over_all_workers() {
    for workers in [2, 4] {
        let origin = Origin::echo();
        let options = ProxyOptions { workers: Some(workers), ..ProxyOptions::default() };
        let proxy = Proxy::start_with(&ConfigBuilder::to(origin.address()), &options);
        let mut clients: Vec<_> = (0..workers * 2).map(|_| proxy.connect()).collect();
        // One request at a time needs one upstream connection per worker that serves any.
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().status(), 200);
        }
        assert_eq!(origin.connections(), workers, "workers that got connections");
    }
}

#[test]
fn many_clients_at_once_share_few_upstream_connections() {
    let (origin, proxy) = echo_pair();
    let mut clients: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    for round in 0..3 {
        for client in &mut clients {
            client.send(format!("GET /{round} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        for client in &mut clients {
            assert_eq!(client.response().json()["target"], format!("/{round}"));
        }
    }
    assert_eq!(origin.count(), 300);
    assert!(origin.connections() <= 100, "{} connections for 100 clients", origin.connections());
}
