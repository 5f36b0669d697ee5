//! Back-pressure: a peer that does not read stops the other side, and the
//! proxy's memory stays where it was.

use std::sync::mpsc;
use std::time::Duration;

use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, ProxyOptions, Reply, until};

use crate::support::{assert_same_bytes, pattern};

const TOTAL: usize = 192 << 20;
/// What the sockets' buffers on the way may hold: four of them, 6 MiB each at
/// most by the kernel's defaults, and a margin. Far below [`TOTAL`].
const IN_SOCKETS: usize = 40 << 20;
/// What the proxy itself may grow by, pages of code that runs for the first
/// time included.
const IN_PROXY: usize = 12 << 20;
/// So long nothing moves before we call it a stall.
const QUIET: Duration = Duration::from_millis(700);

#[test]
fn a_stalled_origin_stops_the_client() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        let head = connection.head()?;
        held.wait();
        let seen = connection.finish(head)?;
        connection.reply(&Reply::ok(seen.body.len().to_string()))
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    let before = proxy.resident_bytes();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {TOTAL}\r\n\r\n"));
    let piece = vec![b'u'; 64 << 10];
    let sent = client.send_until_stalled(&piece, TOTAL, QUIET);
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(sent < IN_SOCKETS, "the proxy took {sent} bytes for an origin that reads none");
    assert!(grown < IN_PROXY, "the proxy grew by {grown} bytes");
    gate.open();
    let mut left = TOTAL - sent;
    while left > 0 {
        let now = left.min(piece.len());
        client.send(&piece[..now]);
        left -= now;
    }
    assert_eq!(client.response().text(), TOTAL.to_string());
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(grown < IN_PROXY, "the proxy grew by {grown} bytes while streaming {TOTAL}");
}

#[test]
fn a_client_that_does_not_read_stops_the_origin() {
    let (report, reports) = mpsc::channel();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        connection.request()?;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {TOTAL}\r\n\r\n"));
        let piece = vec![b'd'; 64 << 10];
        let sent = connection.send_until_stalled(&piece, TOTAL, QUIET);
        report.send(sent).unwrap();
        held.wait();
        let mut left = TOTAL - sent;
        while left > 0 {
            let now = left.min(piece.len());
            connection.send(&piece[..now]);
            left -= now;
        }
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    let before = proxy.resident_bytes();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let sent = reports.recv_timeout(Duration::from_secs(30)).expect("the origin stalls or finishes");
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(sent < IN_SOCKETS, "the proxy took {sent} bytes for a client that reads none");
    assert!(grown < IN_PROXY, "the proxy grew by {grown} bytes");
    gate.open();
    let got = client.response();
    assert_eq!((got.status(), got.body.len()), (200, TOTAL));
    assert!(got.body.iter().all(|&b| b == b'd'));
}

#[test]
fn a_stalled_stream_does_not_hold_up_others_on_its_worker() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        loop {
            let head = connection.head()?;
            if head.target() == "/stalled" {
                held.wait();
            }
            connection.finish(head)?;
            connection.reply(&Reply::ok("done"))?;
        }
    });
    let one_worker = ProxyOptions { workers: Some(1), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&ConfigBuilder::to(origin.address()), &one_worker);
    let mut stalled = proxy.connect();
    let body = pattern(256 << 10);
    stalled.send(format!("POST /stalled HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
    origin.wait("the stalled request", |origin| origin.count() == 1);
    for _ in 0..20 {
        assert_eq!(proxy.get("/quick").status(), 200);
    }
    gate.open();
    assert_eq!(stalled.response().status(), 200);
    let seen = origin.seen();
    assert_same_bytes(&seen.iter().find(|seen| seen.head.target() == "/stalled").unwrap().body, &body);
}

#[test]
fn a_client_that_leaves_frees_the_origin() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![0; 64 << 10];
        while connection.try_send(&piece).is_ok() {}
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    client.read_exact(1 << 20).unwrap();
    client.reset();
    origin.wait("the end of the download", |origin| origin.open_connections() == 0);
    let line = proxy.access_line("the cut download", |line| line.path == "/big");
    assert!(line.has("DC"), "{line:?}");
}

#[test]
fn a_client_that_leaves_before_the_answer_frees_the_origin() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        match connection.read_some() {
            Ok(bytes) => panic!("the proxy sent {bytes:?}"),
            Err(end) => Err(end),
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    client.reset();
    origin.wait("the proxy's close", |origin| origin.open_connections() == 0);
    let line = proxy.access_line("the lost client", |line| line.path == "/gone");
    assert!(line.has("DC"), "{line:?}");
}

#[test]
fn a_flood_of_idle_connections_costs_little_each() {
    const CONNECTIONS: usize = 400;
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let touch = |client: &mut sidegate_harness::Wire| {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    };
    let mut clients: Vec<_> = (0..50).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(touch);
    let before = proxy.resident_bytes();
    let mut more: Vec<_> = (0..CONNECTIONS).map(|_| proxy.connect()).collect();
    more.iter_mut().for_each(touch);
    let each = until("memory to be read", || Some(proxy.resident_bytes().saturating_sub(before) / CONNECTIONS));
    assert!(each < 32 << 10, "{each} bytes per idle connection");
}

#[test]
fn a_client_that_leaves_frees_an_origin_that_takes_nothing() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        connection.head()?;
        held.wait();
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("response", "10m"));
    let mut client = proxy.connect();
    client.send(format!("POST /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: {TOTAL}\r\n\r\n"));
    client.send_until_stalled(&vec![b'u'; 64 << 10], TOTAL, QUIET);
    client.reset();
    let line = proxy.access_line("the lost upload", |line| line.path == "/stuck");
    assert!(line.has("DC"), "{line:?}");
    gate.open();
}
