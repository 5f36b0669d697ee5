//! Upstreams that answer with informational responses without end.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, Wire};

/// More than any proxy should read for one response.
const ENDLESS: usize = 1 << 20;
/// What the proxy may grow by: pages of code that runs for the first time, and
/// sockets.
const IN_PROXY: usize = 12 << 20;

/// Answers each request with `interim` for as long as anybody takes it.
fn endless(interim: impl AsRef<[u8]> + Send + Sync + 'static) -> Origin {
    Origin::scripted(move |connection| {
        connection.request()?;
        let interim = interim.as_ref();
        for _ in 0..ENDLESS / interim.len() * 64 {
            if connection.try_send(interim).is_err() {
                return Ok(());
            }
        }
        panic!("the proxy reads informational responses without end");
    })
}

/// Reads heads up to the final one: how many came before it, and its status.
fn heads(client: &mut Wire) -> (usize, u16) {
    let mut interim = 0;
    loop {
        match client.read_head().expect("a head").status() {
            100..200 => interim += 1,
            status => return (interim, status),
        }
    }
}

#[test]
fn informational_responses_end_at_a_bound() {
    let large = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(8000));
    for (what, interim) in [
        ("many", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        ("large", large),
        ("many at once", "HTTP/1.1 102 Processing\r\n\r\n".repeat(400)),
    ] {
        let origin = endless(interim);
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
        let before = proxy.resident_bytes();
        let mut client = proxy.connect();
        client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
        let (interim, status) = heads(&mut client);
        assert_eq!(status, 502, "{what}");
        assert!((1..=32).contains(&interim), "{what}: {interim}");
        let line = proxy.access_line(what, |line| line.path == "/endless");
        assert!(line.has("UPE") && line.details == "too_many_interim_responses", "{what}: {line:?}");
        origin.wait("the proxy's close", |origin| origin.open_connections() == 0);
        let grown = proxy.resident_bytes().saturating_sub(before);
        assert!(grown < IN_PROXY, "{what}: the proxy grew by {grown} bytes");
    }
}

#[test]
fn informational_responses_count_where_they_do_not_travel() {
    let origin = endless("HTTP/1.1 102 Processing\r\n\r\n");
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(heads(&mut client), (0, 502));
    // Nor does a request for another protocol change the bound.
    let mut client = proxy.connect();
    client.send("GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(heads(&mut client).1, 502);
    origin.wait("the proxy's close", |origin| origin.open_connections() == 0);
}

#[test]
fn copies_of_requests_read_as_few() {
    let (main, shadow) = (Origin::echo(), endless("HTTP/1.1 102 Processing\r\n\r\n"));
    let route = json!([{
        "match": {"prefix": "/"},
        "route": {"cluster_name": "main"},
        "request_mirror_policies": {"cluster": "shadow", "percent": 100},
    }]);
    let config = ConfigBuilder::empty()
        .cluster("main", &[main.address()])
        .cluster("shadow", &[shadow.address()])
        .virtual_host("all", &["*"], route);
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 200);
    shadow.wait("the copy and the proxy's close", |shadow| shadow.count() == 1 && shadow.open_connections() == 0);
}

#[test]
fn as_many_as_servers_send_pass() {
    let origin = Origin::scripted(|connection| {
        loop {
            connection.request()?;
            connection.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(30));
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for _ in 0..3 {
        let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
        assert_eq!((got.status(), got.text().as_str(), got.interim.len()), (200, "ok", 30));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_informational_response_goes_out_before_the_next_comes() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        held.wait();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 103);
    gate.open();
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_client_that_takes_no_informational_response_is_to_blame() {
    // Behind what the sockets take there are always more.
    let large = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(60_000));
    let origin = Origin::scripted(move |connection| {
        loop {
            connection.request()?;
            connection.send(&large);
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let config = ConfigBuilder::to(origin.address()).timeout("response_write", "300ms").timeout("response", "20s");
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    client.shrink_receive_buffer(4096);
    // Pipelined requests fill the client's socket until it takes no more.
    let request = b"GET /full HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..400 {
        if client.try_send(request).is_err() {
            break;
        }
    }
    let line = proxy.access_line("the client that reads nothing", |line| line.has("DT"));
    assert_eq!(line.details, "response_write_timeout", "{line:?}");
}
