//! Responses that come early, and ends that come too early.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use sidegate_api::BodyInterest;

use crate::kit::{End, Origin, PATIENCE, Rig, Script, Setup, ok};

fn watched(hosts: &Origin, body: BodyInterest) -> Rig {
    Rig::new(&[hosts.address], vec![Script::new("w").request_body(body).response_body(body)])
}

#[test]
fn an_early_response_arrives_whole_before_the_connection_ends() {
    for body in [BodyInterest::None, BodyInterest::Stream] {
        let text = "0123456789".repeat(20_000);
        let answer = ok(&text);
        let (sender, ended) = channel();
        let sender = Mutex::new(sender);
        let origin = Origin::raw(move |mut conn, _, _| {
            conn.head();
            conn.send(&answer);
            conn.rest();
            sender.lock().unwrap().send(()).unwrap();
        });
        let rig = watched(&origin, body);
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nfirst");
        // The client goes on sending for a while, as one does that reads only
        // when it has sent everything.
        client.send("x".repeat(500_000));
        let reply = client.response();
        assert!(reply.body == text, "{} bytes", reply.body.len());
        assert_eq!((reply.status(), reply.header("connection")), (200, Some("close")));
        let (rest, end) = client.rest();
        assert_eq!((&*rest, end), ("", End::Regular));
        rig.log.wait_for("w complete 200 - Nobody", 1);
        // The upstream connection, with its half request, was not kept.
        ended.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn an_early_answer_from_an_upstream_that_closes_is_passed_on() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig");
    });
    let rig = watched(&origin, BodyInterest::None);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
    let reply = client.response();
    assert_eq!((reply.status(), &*reply.body), (413, "big"));
    client.expect_end();
}

#[test]
fn a_response_cut_by_the_upstream_does_not_look_whole() {
    for body in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream] {
        for (response, version) in [
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "1.1"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello", "1.1"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "1.0"),
        ] {
            let origin = Origin::raw(move |mut conn, _, _| {
                conn.head();
                conn.send(response);
            });
            let rig = watched(&origin, body);
            let mut client = rig.connect();
            client.send(format!("GET / HTTP/{version}\r\nhost: a\r\n\r\n"));
            let (text, end) = client.rest();
            assert!(!text.ends_with("0\r\n\r\n"), "{text:?}");
            assert!(version != "1.0" || end == End::Reset, "an end is all that HTTP/1.0 has to tell by");
            rig.log.wait_for("w complete 200 UC Upstream 0/5", 1);
        }
    }
}

#[test]
fn a_whole_filter_turns_a_cut_response_into_a_502() {
    let origin = Origin::raw(move |mut conn, _, _| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello");
    });
    let rig = watched(&origin, BodyInterest::Whole);
    assert_eq!(rig.connect().get("/").status(), 502);
    rig.log.wait_for("w complete 502 UC Nobody", 1);
}

#[test]
fn a_stalled_response_is_cut_after_the_response_time() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello").rest();
    });
    let mut setup = Setup::new(&[origin.address], vec![Script::new("w")]);
    setup.timeouts.response = Some(Duration::from_millis(100));
    let rig = setup.start();
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.try_message(true).is_err());
    rig.log.wait_for("w complete 200 UT Upstream 0/5", 1);
}
