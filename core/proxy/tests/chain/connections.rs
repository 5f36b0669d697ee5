//! Connections over several streams: keep-alive, pipelining, drain.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use sidegate_api::BodyInterest;

use crate::kit::{End, Origin, PATIENCE, Rig, Script, Setup, ok};

#[test]
fn three_requests_in_one_write_are_answered_in_order() {
    for body in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
        let origin = Origin::new(|request| ok(&format!("{} {}", request.start, request.body)));
        let rig = Rig::new(&[origin.address], vec![Script::all("a", body)]);
        let mut client = rig.connect();
        client.send(
            "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
             POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody\
             POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nend\r\n0\r\n\r\n",
        );
        for expected in ["GET /1 HTTP/1.1 ", "POST /2 HTTP/1.1 body", "POST /3 HTTP/1.1 end"] {
            assert_eq!(client.response().body, expected);
        }
        rig.log.wait_for("a drop", 3);
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn a_request_behind_an_early_answer_is_not_answered() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send(ok("early")).rest();
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response().body, "early");
    client.expect_end();
    rig.log.wait_for("a drop", 1);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn connections_close_when_the_client_wants() {
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![]);
    for request in ["GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = rig.connect();
        let reply = client.send(request).response();
        assert_eq!((&*reply.body, reply.header("connection")), ("hello", Some("close")));
        let (rest, end) = client.rest();
        assert_eq!((&*rest, end), ("", End::Regular));
    }
}

#[test]
fn idle_connections_close_after_their_time() {
    let origin = Origin::hello();
    let mut setup = Setup::new(&[origin.address], vec![]);
    setup.idle_timeout = Some(Duration::from_millis(100));
    let rig = setup.start();
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "hello");
    client.expect_end();
}

#[test]
fn a_drain_closes_what_is_idle_and_lets_streams_finish() {
    let (sender, reached) = channel();
    let (go, gate) = channel::<()>();
    let (sender, gate) = (Mutex::new(sender), Mutex::new(gate));
    let origin = Origin::raw(move |mut conn, _, _| {
        while let Ok(request) = conn.try_message(true) {
            if request.start.contains("/slow") {
                sender.lock().unwrap().send(()).unwrap();
                gate.lock().unwrap().recv().unwrap();
            }
            conn.send(ok("done"));
        }
    });
    let mut setup = Setup::new(&[origin.address], vec![Script::all("a", BodyInterest::None)]);
    setup.timeouts.request_header = None;
    let mut rig = setup.start();
    let (mut idle, mut busy, mut silent) = (rig.connect(), rig.connect(), rig.connect());
    assert_eq!(idle.get("/").body, "done");
    busy.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    reached.recv_timeout(PATIENCE).unwrap();
    rig.drain();
    assert_eq!(idle.rest(), (String::new(), End::Regular));
    // It may still say something, for a moment.
    assert_eq!(silent.rest(), (String::new(), End::Regular));
    go.send(()).unwrap();
    let reply = busy.response();
    assert_eq!((&*reply.body, reply.header("connection")), ("done", Some("close")));
    assert_eq!(busy.rest(), (String::new(), End::Regular));
    rig.ended();
    rig.log.wait_for("a complete 200 - Nobody 0/4", 2);
    assert_eq!(rig.log.lines().last().unwrap(), "a detached");
}

#[test]
fn a_connection_accepted_just_before_a_drain_still_gets_its_answer() {
    let origin = Origin::hello();
    let mut rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    rig.drain();
    let reply = client.get("/");
    assert_eq!((&*reply.body, reply.header("connection")), ("hello", Some("close")));
    rig.ended();
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answer() {
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![Script::all("a", BodyInterest::Whole)]);
    for request in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"] {
        let mut client = rig.connect();
        assert_eq!(client.send(request).end_writing().response().body, "hello");
        assert_eq!(client.rest(), (String::new(), End::Regular));
    }
}
