//! However a stream ends: every filter hears of it once and is dropped once.
//! That each one is dropped is checked by every rig when it ends.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use sidegate_api::{BodyInterest, ReceiverPhase};

use crate::kit::{Log, Origin, PATIENCE, Rig, Script, Setup};

const BODIES: [BodyInterest; 4] =
    [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole];

/// An origin that answers `response` and says when it has; then waits for the
/// end.
fn origin(response: &'static str) -> (Origin, std::sync::mpsc::Receiver<()>) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let origin = Origin::raw(move |mut conn, _, _| {
        conn.head();
        conn.send(response);
        let _ = sender.lock().unwrap().send(());
        let _ = conn.try_message(false);
        let _ = sender.lock().unwrap().send(());
    });
    (origin, receiver)
}

fn filters(body: BodyInterest) -> Vec<Script> {
    vec![Script::all("a", body), Script::all("b", body)]
}

#[test]
fn client_leaves_within_its_request() {
    for body in BODIES {
        let (origin, _) = origin("");
        let log = Log::default();
        let created = log.clone();
        let begins = Script::new("c").without_complete().create(move || {
            created.push("the stream begins");
            Ok(())
        });
        let scripts = filters(body).into_iter().chain([begins]).collect();
        let rig = Setup::logged(&log, &[origin.address], scripts).start();
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhello");
        // A reset takes back what the proxy has not read.
        rig.log.wait_for("the stream begins", 1);
        rig.log.wait_for("b BeforeRoute", usize::from(body != BodyInterest::Whole));
        client.reset();
        rig.log.wait_for("drop", 3);
        let completed = rig.log.with("complete");
        assert_eq!(completed.len(), 2, "{completed:?}");
        assert!(completed.iter().all(|line| line.contains(" DC Downstream 5/")), "{body:?} {completed:?}");
    }
}

#[test]
fn a_client_that_ends_its_side_within_the_request_is_told() {
    for body in BODIES {
        let (origin, _) = origin("");
        let rig = Rig::new(&[origin.address], filters(body));
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhello").end_writing();
        assert_eq!(client.response().status(), 400);
        client.expect_end();
        rig.log.wait_for("complete 400 DC Downstream 5/", 2);
    }
}

#[test]
fn client_leaves_while_the_response_is_awaited() {
    let (origin, ended) = origin("");
    let rig = Rig::new(&[origin.address], filters(BodyInterest::None));
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    ended.recv_timeout(PATIENCE).unwrap();
    drop(client);
    rig.log.wait_for("complete 0 DC Downstream 0/0", 2);
    ended.recv_timeout(PATIENCE).expect("the upstream need not work for nobody");
}

#[test]
fn client_leaves_within_the_response() {
    for body in &BODIES[..3] {
        let (origin, ended) = origin("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello");
        let rig = Rig::new(&[origin.address], filters(*body));
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let text = if client.head().is_chunked() { "5\r\nhello" } else { "hello" };
        assert_eq!(client.text(text.len()).unwrap(), text);
        ended.recv_timeout(PATIENCE).unwrap();
        client.reset();
        rig.log.wait_for("complete 200 DC Downstream 0/5", 2);
        rig.log.wait_for("drop", 2);
        ended.recv_timeout(PATIENCE).expect("the upstream need not work for nobody");
    }
}

#[test]
fn upstream_closes_without_an_answer() {
    for body in BODIES {
        let origin = Origin::raw(|mut conn, _, _| {
            conn.head();
        });
        let rig = Rig::new(&[origin.address], filters(body));
        let mut client = rig.connect();
        assert_eq!(client.get("/").status(), 502);
        rig.log.wait_for("complete 502 UC Nobody 0/", 2);
        rig.log.wait_for("drop", 2);
    }
}

#[test]
fn a_worker_that_stops_cuts_its_streams() {
    for (response, request, completed) in [
        ("", "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "complete 0 DD Proxy 0/0"),
        ("", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhello", "complete 0 DD Proxy 5/0"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "complete 200 DD Proxy 0/5",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "complete 200 DD Proxy 0/5",
        ),
    ] {
        let (origin, reached) = origin(response);
        let mut rig = Rig::new(&[origin.address], filters(BodyInterest::Observe));
        let mut client = rig.connect();
        client.send(request);
        reached.recv_timeout(PATIENCE).unwrap();
        if !response.is_empty() {
            client.head();
            assert!(client.text(5).is_ok());
        } else if request.starts_with("POST") {
            rig.log.wait_for("b body", 1);
        }
        rig.stop();
        assert_eq!(rig.log.with(completed).len(), 2, "{:?}", rig.log.lines());
        assert_eq!(rig.log.with("drop").len(), 2);
        let (_, end) = client.rest();
        assert!(response.is_empty() || end == crate::kit::End::Reset, "a cut response must not look whole");
    }
}

#[test]
fn a_worker_that_stops_cuts_a_stream_that_waits_for_its_body() {
    let mut rig = Rig::new(&[], filters(BodyInterest::Whole));
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    rig.stop();
    assert_eq!(rig.log.with("complete 0 DD Proxy 0/0").len(), 2, "{:?}", rig.log.lines());
}

#[test]
fn streams_that_never_came_to_a_route_complete_too() {
    let origin = Origin::hello();
    let mut setup = Setup::new(&[origin.address], vec![Script::new("a").phases(&ReceiverPhase::ALL)]);
    setup.routes.clear();
    let rig = setup.start();
    assert_eq!(rig.connect().get("/").status(), 404);
    rig.log.wait_for("a complete 404 NR Nobody 0/", 1);
    // A refused head is no stream.
    assert_eq!(rig.connect().send("GET / HTTP/1.1\r\n\r\n").response().status(), 400);
    assert_eq!(rig.log.with("a complete").len(), 1);
}
