//! Hosts that fail, close, or keep one waiting.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidegate_api::{BodyInterest, ReceiverPhase};

use crate::kit::{Conn, Origin, PATIENCE, Rig, Script, Setup, ok};

/// Answers one request per connection, then waits for `close` and for the next
/// request, which it takes to its grave.
fn closes_after_one(close_on_request: bool) -> Origin {
    Origin::raw(move |mut conn, number, requests| {
        let serve = |conn: &mut Conn| {
            let request = conn.try_message(true).ok()?;
            requests.lock().unwrap().push(request);
            conn.send(ok(&number.to_string()));
            Some(())
        };
        if serve(&mut conn).is_some() && close_on_request && number == 0 {
            // Reads the head of the second request, so that the proxy has sent
            // it before it sees the end.
            let _ = conn.try_head();
            return;
        }
        while serve(&mut conn).is_some() {}
    })
}

#[test]
fn a_kept_connection_is_used_again() {
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![]);
    for _ in 0..3 {
        // A new client each time: the pool is the worker's.
        assert_eq!(rig.connect().get("/").body, "hello");
    }
    let mut client = rig.connect();
    for _ in 0..3 {
        assert_eq!(client.post("/", "body").body, "hello");
    }
    assert_eq!((origin.connections(), origin.requests().len()), (1, 6));
}

#[test]
fn a_connection_ends_after_its_share_of_requests() {
    let origin = Origin::hello();
    let mut setup = Setup::new(&[origin.address], vec![]);
    setup.clusters[0].max_requests_per_connection = NonZeroU32::new(2);
    let rig = setup.start();
    let mut client = rig.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/").body, "hello");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_connection_that_the_host_wants_closed_is_not_kept() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").rest();
    });
    let rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    for _ in 0..2 {
        let reply = client.get("/");
        assert_eq!((&*reply.body, reply.header("connection")), ("ok", None));
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn bytes_after_a_response_spoil_the_connection() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send(format!("{}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", ok("good"))).rest();
    });
    let rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").body, "good");
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_stale_connection_is_retried_once_where_that_is_safe() {
    let origin = closes_after_one(true);
    let rig = Rig::new(&[origin.address], vec![Script::new("a").phases(&ReceiverPhase::ALL)]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "0");
    let reply = client.get("/again");
    assert_eq!((reply.status(), &*reply.body), (200, "1"));
    assert_eq!(origin.connections(), 2);
    rig.log.wait_for("a complete 200 - Nobody 0/1", 2);
    assert_eq!(rig.log.with("AfterChooseHost").len(), 2, "the same attempt at the same host");
}

#[test]
fn a_request_that_may_have_had_an_effect_is_not_retried() {
    let origin = closes_after_one(true);
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "0");
    assert_eq!(client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").response().status(), 502);
    assert_eq!(origin.connections(), 1);
    rig.log.wait_for("a complete 502 UC Nobody", 1);
}

#[test]
fn a_fresh_connection_that_closes_is_not_retried() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
    });
    let rig = Rig::new(&[origin.address], vec![]);
    assert_eq!(rig.connect().get("/").status(), 502);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn other_hosts_are_tried_when_one_cannot_be_reached() {
    let origin = Origin::hello();
    let hosts = [Origin::refusing(), origin.address, Origin::refusing()];
    let rig = Rig::new(&hosts, vec![Script::new("a").phases(&[ReceiverPhase::AfterChooseHost])]);
    let mut client = rig.connect();
    for _ in 0..3 {
        assert_eq!(client.post("/", "body").body, "hello");
    }
    rig.log.wait_for("a drop", 3);
    // Once per attempt: each of the three began at another host.
    assert!(rig.log.with("AfterChooseHost").len() > 3);
}

#[test]
fn all_hosts_out_of_reach_is_a_502() {
    let hosts = [Origin::refusing(), Origin::refusing()];
    let rig = Rig::new(&hosts, vec![Script::new("a").phases(&[ReceiverPhase::AfterChooseHost])]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").status(), 502);
    rig.log.wait_for("a complete 502 UF Nobody", 1);
    assert_eq!(rig.log.with("AfterChooseHost").len(), 2);
    // The connection is still good for others.
    assert_eq!(client.get("/").status(), 502);
}

#[test]
fn a_cluster_without_hosts_is_a_502() {
    let rig = Rig::new(&[], vec![Script::new("a")]);
    assert_eq!(rig.connect().get("/").status(), 502);
    rig.log.wait_for("a complete 502 UH Nobody", 1);
}

#[test]
fn an_upstream_that_does_not_answer_is_a_504() {
    for body in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
        let (sender, ended) = channel();
        let sender = Mutex::new(sender);
        let origin = Origin::raw(move |mut conn, _, _| {
            conn.rest();
            sender.lock().unwrap().send(()).unwrap();
        });
        let mut setup = Setup::new(&[origin.address], vec![Script::new("a").request_body(body)]);
        setup.timeouts.response = Some(Duration::from_millis(100));
        let rig = setup.start();
        let mut client = rig.connect();
        for round in 1..=2 {
            let reply = client.post("/", "body");
            assert_eq!((reply.status(), reply.header("connection")), (504, None));
            rig.log.wait_for("a complete 504 UT Nobody 4/", round);
            ended.recv_timeout(PATIENCE).unwrap();
        }
    }
}

#[test]
fn the_routes_timeout_comes_before_the_listeners() {
    let origin = Origin::raw(|mut conn, _, _| _ = conn.rest());
    let mut setup = Setup::new(&[origin.address], vec![]);
    let sidegate_router::RouteAction::Forward(forward) = &mut setup.routes[0].action else { unreachable!() };
    forward.timeout = Some(Duration::from_millis(100));
    setup.timeouts.response = None;
    assert_eq!(setup.start().connect().get("/").status(), 504);
}

#[test]
fn a_client_that_does_not_send_its_body_gets_a_408() {
    for body in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        for begun in ["", "begun"] {
            let origin = Origin::raw(|mut conn, _, _| _ = conn.rest());
            let mut setup = Setup::new(&[origin.address], vec![Script::new("a").request_body(body)]);
            setup.timeouts.request_body_idle = Some(Duration::from_millis(100));
            let rig = setup.start();
            let mut client = rig.connect();
            client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{begun}"));
            let reply = client.response();
            assert_eq!((reply.status(), reply.header("connection")), (408, Some("close")), "{body:?} {begun:?}");
            client.expect_end();
            rig.log.wait_for(&format!("a complete 408 DT Nobody {}/", begun.len()), 1);
        }
    }
}

#[test]
fn a_client_that_leaves_while_we_connect_ends_the_attempt() {
    // Nobody accepts here once the queue is full, so that connecting hangs.
    let listener = socket_that_hangs();
    let mut setup = Setup::new(&[listener.1], vec![Script::new("a").phases(&[ReceiverPhase::AfterChooseHost])]);
    setup.clusters[0].connect_timeout = Duration::from_secs(3600);
    let rig = setup.start();
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    rig.log.wait_for("a AfterChooseHost", 1);
    client.reset();
    rig.log.wait_for("a complete 0 DC Downstream 0/0", 1);
}

/// A listener whose queue is full, with the connections that fill it.
fn socket_that_hangs() -> ((std::net::TcpListener, Vec<std::net::TcpStream>), std::net::SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // A second `listen` only changes the length of the queue.
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    let full = |filling: &mut Vec<_>| match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        Ok(stream) => {
            filling.push(stream);
            false
        }
        Err(_) => true,
    };
    while !full(&mut filling) {}
    ((listener, filling), address)
}

#[test]
fn a_stalled_upstream_holds_the_client_back() {
    let go = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
    let gate = go.clone();
    let origin = Origin::raw(move |mut conn, _, requests| {
        let open = gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open).unwrap();
        drop(open);
        let request = conn.try_message(true).unwrap();
        requests.lock().unwrap().push(request);
        conn.send(ok("done"));
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a").request_body(BodyInterest::Stream)]);
    let body = "0123456789abcdef".repeat(1 << 20);
    let mut client = rig.connect();
    let mut writer = Conn::new(client.stream.try_clone().unwrap());
    let stuck = Arc::new(AtomicBool::new(true));
    let (seen, text) = (stuck.clone(), body.clone());
    let writing = std::thread::spawn(move || {
        writer.send_post("/", &text);
        // 16 MiB do not fit into sockets and buffers: somebody had to wait.
        assert!(!seen.load(Ordering::SeqCst));
    });
    rig.log.wait_for("a body", 10);
    stuck.store(false, Ordering::SeqCst);
    *go.0.lock().unwrap() = true;
    go.1.notify_all();
    assert_eq!(client.response().body, "done");
    writing.join().unwrap();
    assert!(origin.request().body == body);
}
