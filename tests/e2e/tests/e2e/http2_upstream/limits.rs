//! Circuit breakers and time limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sidegate_harness::{BlackHole, ConfigBuilder, Gate, H2Origin, H2OriginSettings, Proxy, ProxyOptions, Reply, code};

use super::{metric, start, to};
use crate::support::refusing_address;

fn bounded(origin: &H2Origin, thresholds: serde_json::Value) -> ConfigBuilder {
    to(origin).in_cluster("circuit_breakers", json!([thresholds]))
}

#[test]
fn streams_wait_for_a_place_where_the_cluster_may_have_no_more_connections() {
    let gate = Arc::new(Gate::default());
    let at_origin = gate.clone();
    let origin = H2Origin::scripted_with(H2OriginSettings::new().max_concurrent_streams(2), move |exchange| {
        exchange.finish()?;
        if exchange.seen.head.target() != "/now" {
            at_origin.wait();
        }
        exchange.reply(&Reply::ok("done"))
    });
    let proxy = start(&bounded(&origin, json!({"max_connections": 1})));
    assert_eq!(proxy.get("/now").status(), 200);
    let mut clients: Vec<_> = (0..6).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    origin.wait("those that have room", |origin| origin.count() == 3);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn hosts_take_turns_where_there_is_one_connection_for_all() {
    let origins = [(); 2].map(|()| H2Origin::http(|_| Reply::ok("done")));
    let hosts: Vec<_> = origins.iter().map(|origin| json!({"address": origin.address().to_string()})).collect();
    let config = bounded(&origins[0], json!({"max_connections": 1})).in_cluster("hosts", json!(hosts));
    let proxy = start(&config);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(proxy.get("/").status(), 200);
                }
            });
        }
    });
    assert!(origins.iter().all(|origin| origin.count() == 20));
    assert!(metric(&proxy, "upstream_connection_active") <= 1.0);
}

/// A worker whose shared connection is never without a stream.
#[test]
fn workers_take_turns_where_there_is_one_connection_for_all() {
    let busy = Arc::new(AtomicUsize::new(0));
    let at_origin = busy.clone();
    // Each stream ends when another has begun, or after a while alone.
    let origin = H2Origin::scripted(move |exchange| {
        let number = at_origin.fetch_add(1, Ordering::SeqCst) + 1;
        let alone = Instant::now() + Duration::from_millis(100);
        while at_origin.load(Ordering::SeqCst) == number && Instant::now() < alone {
            std::thread::sleep(Duration::from_millis(1));
        }
        exchange.reply(&Reply::ok("done"))
    });
    let config = bounded(&origin, json!({"max_connections": 1})).in_cluster("connect_timeout", json!("8s"));
    let proxy = Proxy::start_with(&config, &ProxyOptions { workers: Some(2), ..ProxyOptions::default() });
    // The first and the third come to the same worker.
    let mut clients = [(); 3].map(|()| proxy.connect());
    let [first, other, third] = &mut clients;
    let served = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in [first, third] {
            scope.spawn(|| {
                while !served.load(Ordering::SeqCst) {
                    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
                }
            });
        }
        origin.wait("both to have begun", |origin| origin.count() > 2);
        let status = other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status();
        served.store(true, Ordering::SeqCst);
        assert_eq!(status, 200);
    });
    assert!(metric(&proxy, "upstream_connection_active") <= 1.0);
}

#[test]
fn what_waits_is_bounded_and_so_are_requests() {
    let gate = Arc::new(Gate::default());
    let at_origin = gate.clone();
    let origin = H2Origin::scripted(move |exchange| {
        if exchange.seen.head.target() != "/now" {
            at_origin.wait();
        }
        exchange.reply(&Reply::ok("done"))
    });
    let proxy = start(&bounded(&origin, json!({"max_requests": 2})));
    let mut clients: Vec<_> = (0..2).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    origin.wait("both", |origin| origin.count() == 2);
    assert_eq!(proxy.get("/").status(), 503);
    let line = proxy.access_line("refused", |line| line.status == 503);
    assert!(line.has("UO") && line.details == "max_requests", "{line:?}");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    // Nobody waits for a connection that nobody gives up, for ever.
    let gate = Arc::new(Gate::default());
    let at_origin = gate.clone();
    let origin = H2Origin::scripted_with(H2OriginSettings::new().max_concurrent_streams(1), move |exchange| {
        if exchange.seen.head.target() != "/now" {
            at_origin.wait();
        }
        exchange.reply(&Reply::ok("done"))
    });
    let config = bounded(&origin, json!({"max_connections": 1})).in_cluster("connect_timeout", json!("300ms"));
    let proxy = start(&config);
    assert_eq!(proxy.get("/now").status(), 200);
    let mut first = proxy.connect();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the first", |origin| origin.count() == 2);
    assert_eq!(proxy.get("/").status(), 503);
    gate.open();
    assert_eq!(first.response().status(), 200);
}

#[test]
fn who_waits_hears_that_there_is_no_way_to_the_host() {
    for (address, status) in [(refusing_address(), 502), (BlackHole::open().address(), 502)] {
        let config = ConfigBuilder::to(address)
            .in_cluster("upstream_protocol", json!("Http2"))
            .in_cluster("connect_timeout", json!("500ms"));
        let proxy = start(&config);
        let mut clients: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for client in &mut clients {
            let got = client.response().status();
            assert!(got == status || got == 504, "{got}");
        }
    }
}

#[test]
fn a_response_that_takes_too_long_is_504_and_cancelled() {
    let origin = H2Origin::scripted(|exchange| {
        assert_eq!(exchange.wait_reset()?, code::CANCEL);
        Ok(())
    });
    let proxy = start(&to(&origin).timeout("response", "200ms"));
    assert_eq!(proxy.get("/").status(), 504);
    let line = proxy.access_line("late", |line| line.status == 504);
    assert!(line.has("UT"), "{line:?}");
    origin.wait("the reset", |origin| origin.resets() == [code::CANCEL]);
    assert_eq!(metric(&proxy, "upstream_request_timeout"), 1.0);
    assert_eq!(metric(&proxy, "upstream_connection_active"), 1.0);
}
