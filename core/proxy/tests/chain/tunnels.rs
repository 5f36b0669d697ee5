//! Connections that switch to another protocol.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidegate_api::{BodyInterest, FilterCx, HeaderMapKind, LocalReply, ResetBy, Status, Tenure};
use sidegate_proxy::UpgradeProtocol;

use crate::kit::{Conn, End, Origin, Rig, Script, Setup, ok};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-key: 1\r\n\r\n";

/// Agrees, then does what `serve` says.
fn agreeing(serve: impl Fn(&mut Conn) + Send + Sync + 'static) -> Origin {
    Origin::raw(move |mut conn, _, requests| {
        let request = conn.head();
        requests.lock().unwrap().push(request);
        conn.send(AGREE);
        serve(&mut conn);
    })
}

/// Sends back what comes, until the other side ends.
fn echo(conn: &mut Conn) {
    while let Ok(text) = conn.text(1) {
        conn.send(text);
    }
}

#[test]
fn both_sides_talk_after_a_switch_and_hooks_see_the_head_only() {
    let origin = agreeing(echo);
    let rig = Rig::new(&[origin.address], vec![Script::all("a", BodyInterest::Whole)]);
    let mut client = rig.connect();
    // What comes behind the head belongs to the tunnel.
    client.send(format!("{ASK}early "));
    let reply = client.head();
    assert_eq!(reply.start, "HTTP/1.1 101 Switching Protocols");
    let fields: Vec<_> = reply.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(fields, [("x-key", "1"), ("connection", "upgrade"), ("upgrade", "websocket")]);
    client.send("and late");
    assert_eq!(client.text(14).unwrap(), "early and late");
    client.end_writing().expect_end();
    let request = origin.request();
    assert_eq!((request.header("connection"), request.header("upgrade")), (Some("upgrade"), Some("WebSocket")));
    rig.log.wait_for("a complete 101 - Nobody 14/14", 1);
    assert_eq!(rig.log.with("a response"), Vec::<String>::new());
    assert_eq!(rig.log.with("a body"), Vec::<String>::new());
}

#[test]
fn filters_see_the_protocol_and_may_refuse() {
    let origin = agreeing(echo);
    let filter =
        Script::new("a").phases(&[sidegate_api::ReceiverPhase::BeforeRoute]).hook(|_, cx: &mut FilterCx<'_>| {
            assert_eq!(cx.header(HeaderMapKind::Request, b"upgrade"), Some(b"WebSocket".as_slice()));
            assert!(cx.remove_header(HeaderMapKind::Request, b"upgrade").is_err());
            cx.reply(LocalReply::text(403, "no", "no")).unwrap();
            Status::Stop
        });
    let rig = Rig::new(&[origin.address], vec![filter]);
    let mut client = rig.connect();
    assert_eq!(client.send(ASK).response().status(), 403);
    // The connection speaks HTTP as before.
    assert_eq!(client.send(ASK).response().status(), 403);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn another_answer_than_101_is_a_response() {
    let origin = Origin::new(|request| match request.header("upgrade") {
        Some(_) => "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 5\r\n\r\nnever".to_owned(),
        None => ok("plain"),
    });
    let rig = Rig::new(&[origin.address], vec![Script::all("a", BodyInterest::Stream)]);
    let mut client = rig.connect();
    // The next request is there already: it must not become tunnel bytes.
    client.send(format!("{ASK}GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    let refused = client.response();
    assert_eq!((refused.status(), &*refused.body), (426, "never"));
    assert_eq!(client.response().body, "plain");
    rig.log.wait_for("a complete 426 - Nobody", 1);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn only_listed_protocols_are_asked_for() {
    let origin = Origin::hello();
    for (upgrades, asked, passed) in [
        (vec![], ASK.to_owned(), None),
        (vec!["foo"], ASK.to_owned(), None),
        (vec!["websocket"], ASK.replace("WebSocket", "foo"), None),
        (vec!["websocket", "FOO"], ASK.replace("WebSocket", "foo"), Some("foo")),
        // With a body it is a plain request.
        (vec!["websocket"], ASK.replace("\r\n\r\n", "\r\ncontent-length: 2\r\n\r\nhi"), None),
        (vec!["websocket"], ASK.replace("1.1", "1.0"), None),
        (vec!["websocket"], ASK.replace("upgrade: WebSocket", "upgrade: WebSocket, h2c"), None),
        (vec!["websocket"], ASK.replace("keep-alive, Upgrade", "keep-alive"), None),
    ] {
        let mut setup = Setup::new(&[origin.address], vec![]);
        setup.upgrades = upgrades.iter().map(|name| UpgradeProtocol::parse(name).unwrap()).collect();
        let rig = setup.start();
        assert_eq!(rig.connect().send(&asked).response().body, "hello");
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.header("upgrade"), passed, "{upgrades:?} {asked}");
        assert_eq!(request.header("connection"), passed.map(|_| "upgrade"), "{upgrades:?} {asked}");
    }
}

#[test]
fn a_switch_that_was_not_asked_for_is_a_502() {
    for (asked, answer, details) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", AGREE.to_owned(), "upgrade_not_asked_for"),
        (ASK, AGREE.replace("websocket", "foo"), "upgrade_differs"),
        (ASK, AGREE.replace("upgrade: websocket\r\n", ""), "upgrade_invalid"),
        (ASK, AGREE.replace("connection: upgrade\r\n", ""), "upgrade_invalid"),
    ] {
        let origin = Origin::raw(move |mut conn, _, _| {
            conn.head();
            conn.send(format!("{answer}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"));
            conn.rest();
        });
        let rig = Rig::new(&[origin.address], vec![Script::new("a").response()]);
        let mut client = rig.connect();
        let reply = client.send(asked).response();
        assert_eq!((reply.status(), reply.body.trim()), (502, details));
        rig.log.wait_for("a complete 502 UPE Nobody", 1);
        assert_eq!(client.send(asked).response().status(), 502, "the client's connection is none the worse");
    }
}

#[test]
fn either_side_may_end_first() {
    // The client ends, and the origin answers after that.
    let origin = agreeing(|conn| {
        let (text, _) = conn.rest();
        conn.send(format!("got {text}"));
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    client.send(ASK).head();
    client.send("all").end_writing();
    assert_eq!(client.rest(), ("got all".to_owned(), End::Regular));
    rig.log.wait_for("a complete 101 - Nobody 3/7", 1);

    // The origin ends, and the client goes on.
    let (sender, received) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let origin = agreeing(move |conn| {
        conn.send("bye").end_writing();
        sender.lock().unwrap().send(conn.rest()).unwrap();
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    client.send(ASK).head();
    assert_eq!(client.rest(), ("bye".to_owned(), End::Regular));
    client.send("still here").end_writing();
    assert_eq!(received.recv().unwrap(), ("still here".to_owned(), End::Regular));
    rig.log.wait_for("a complete 101 - Nobody 10/3", 1);
}

#[test]
fn what_an_origin_said_before_it_closed_arrives() {
    let origin = agreeing(|conn| {
        conn.send("bye");
        // Closes with unread bytes, which is a reset for whoever sends more.
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    for _ in 0..2 {
        let mut client = rig.connect();
        client.send(ASK).head();
        assert_eq!(client.rest(), ("bye".to_owned(), End::Regular));
        // The origin is not there any more.
        while std::io::Write::write_all(&mut client.stream, b"anybody?").is_ok() {}
    }
    rig.log.wait_for("a complete 101 - Nobody", 2);
}

#[test]
fn a_reset_on_one_side_is_one_on_the_other() {
    let (sender, ended) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let origin = agreeing(move |conn| {
        assert_eq!(conn.text(2).unwrap(), "hi");
        conn.send("ho");
        sender.lock().unwrap().send(conn.rest().1).unwrap();
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    client.send(ASK).head();
    client.send("hi");
    // The reset must not overtake the bytes.
    assert_eq!(client.text(2).unwrap(), "ho");
    client.reset();
    assert_eq!(ended.recv().unwrap(), End::Reset);
    rig.log.wait_for("a complete 101 DC Downstream 2/2", 1);

    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send(AGREE);
        assert_eq!(conn.text(2).unwrap(), "hi");
        conn.reset();
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    client.send(ASK).head();
    client.send("hi");
    assert_eq!(client.rest(), (String::new(), End::Reset));
    rig.log.wait_for("a complete 101 UC Upstream 2/0", 1);
}

#[test]
fn a_silent_tunnel_ends_after_its_time() {
    let origin = agreeing(|conn| _ = conn.rest());
    let mut setup = Setup::new(&[origin.address], vec![Script::new("a")]);
    setup.timeouts.tunnel_idle = Some(Duration::from_millis(100));
    let rig = setup.start();
    let mut client = rig.connect();
    client.send(ASK).head();
    assert_eq!(client.rest(), (String::new(), End::Regular));
    rig.log.wait_for("a complete 101 DT Proxy 0/0", 1);
}

#[test]
fn no_other_timeout_ends_a_tunnel() {
    let origin = agreeing(echo);
    let mut setup = Setup::new(&[origin.address], vec![]);
    let soon = Some(Duration::from_millis(50));
    setup.timeouts.response = soon;
    setup.timeouts.request_body_idle = soon;
    setup.timeouts.response_write_idle = soon;
    setup.timeouts.request_header = soon;
    setup.idle_timeout = soon;
    let rig = setup.start();
    let mut client = rig.connect();
    client.send(ASK).head();
    client.stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    assert!(client.text(1).is_err(), "nothing was said");
    client.send("still here");
    assert_eq!(client.text(10).unwrap(), "still here");
}

#[test]
fn a_drain_lets_tunnels_live_until_the_end() {
    let origin = agreeing(echo);
    let mut rig = Rig::new(&[origin.address], vec![Script::new("a")]);
    let mut client = rig.connect();
    client.send(ASK).head();
    rig.drain();
    client.send("during");
    assert_eq!(client.text(6).unwrap(), "during");
    rig.stop();
    assert_eq!(client.rest().1, End::Reset);
    rig.log.wait_for("a complete 101 DD Proxy 6/6", 1);
}

#[test]
fn a_side_that_takes_nothing_holds_the_other_back() {
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let origin = agreeing(move |conn| {
        gate.lock().unwrap().recv().unwrap();
        echo_all(conn);
    });
    let rig = Rig::new(&[origin.address], vec![]);
    let text = "0123456789abcdef".repeat(1 << 20);
    let mut client = rig.connect();
    client.send(ASK).head();
    let mut writer = Conn::new(client.stream.try_clone().unwrap());
    writer.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // 16 MiB do not fit into sockets and buffers: somebody has to wait.
    let mut sent = 0;
    while let Ok(count) = std::io::Write::write(&mut writer.stream, &text.as_bytes()[sent..]) {
        sent += count;
        assert!(sent < text.len());
    }
    go.send(()).unwrap();
    writer.stream.set_write_timeout(Some(crate::kit::PATIENCE)).unwrap();
    let rest = text[sent..].to_owned();
    let writing = std::thread::spawn(move || _ = writer.send(rest).end_writing());
    let (back, end) = client.rest();
    assert!(back == text && end == End::Regular);
    writing.join().unwrap();
}

/// Echoes in large pieces.
fn echo_all(conn: &mut Conn) {
    let (mut from, mut to) = (conn.stream.try_clone().unwrap(), conn.stream.try_clone().unwrap());
    std::io::copy(&mut from, &mut to).unwrap();
    conn.end_writing();
}

#[test]
fn a_stale_connection_is_replaced_for_an_upgrade_too() {
    let origin = Origin::raw(|mut conn, number, _| {
        conn.head();
        if number == 0 {
            conn.send(ok("first"));
            let _ = conn.try_head();
            return;
        }
        conn.send(AGREE);
        echo(&mut conn);
    });
    let rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "first");
    client.send(ASK).head();
    client.send("hi");
    assert_eq!(client.text(2).unwrap(), "hi");
}

#[test]
fn informational_responses_come_before_the_switch() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send(format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{AGREE}first"));
        echo(&mut conn);
    });
    let rig = Rig::new(&[origin.address], vec![Script::new("a").hook(|at, _| panic!("{at:?}"))]);
    let mut client = rig.connect();
    assert_eq!(client.send(ASK).head().status(), 103);
    assert_eq!(client.head().status(), 101);
    assert_eq!(client.text(5).unwrap(), "first");
}

/// A tunnel may last for days: it keeps no filter that wants nothing more, and
/// nothing of the configuration that the filter belongs to.
#[test]
fn a_tunnel_lets_go_of_filters_that_want_nothing_more() {
    let origin = agreeing(echo);
    let plain = |name| Script::new(name).phases(&[sidegate_api::ReceiverPhase::BeforeRoute]).without_complete();
    let mut rig = Rig::new(&[origin.address], vec![plain("one"), plain("two")]);
    let log = rig.log.clone();
    let mut tunnel = rig.connect();
    tunnel.send(ASK).head();
    log.wait_for("one drop", 1);
    log.wait_for("two drop", 1);
    rig.publish(Setup::logged(&log, &[origin.address], vec![Script::new("told"), plain("untold")]));
    log.wait_for("detached", 2);
    let mut other = rig.connect();
    other.send(ASK).head();
    log.wait_for("untold drop", 1);
    // Who is told of the end stays for it, and so does what it was made by;
    // that of its neighbour goes.
    rig.publish(Setup::logged(&log, &[origin.address], vec![]));
    log.wait_for("untold detached", 1);
    for client in [&mut tunnel, &mut other] {
        client.send("still here");
        assert_eq!(client.text(10).unwrap(), "still here");
    }
    assert_eq!((log.with("told complete"), log.with("told detached").len()), (vec![], 1));
    other.end_writing().expect_end();
    log.wait_for("told complete", 1);
    log.wait_for("told detached", 2);
    tunnel.end_writing().expect_end();
}

/// Where a filter may not wait for ever, it is told that it is over for it, and
/// the tunnel goes on.
#[test]
fn a_filter_may_have_to_go_before_its_tunnel_ends() {
    let origin = agreeing(echo);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_over, count) = (over.clone(), asked.clone());
    let seen = Arc::new(Mutex::new(None));
    let tell = seen.clone();
    let bounded = Script::new("bounded")
        .tenure(move || {
            count.fetch_add(1, Ordering::SeqCst);
            if is_over.load(Ordering::SeqCst) { Tenure::Over } else { Tenure::For(Duration::from_millis(1)) }
        })
        .complete(move |cx, end| {
            let details = cx.stream().info.details;
            *tell.lock().unwrap() = Some((end.status, end.reset_by, end.bytes_received, details));
        });
    let last = Arc::new(Mutex::new(None));
    let tell = last.clone();
    let patient = Script::new("patient").complete(move |cx, end| {
        *tell.lock().unwrap() = Some((end.reset_by, end.bytes_received, cx.stream().info.details));
    });
    let mut rig = Rig::new(&[origin.address], vec![bounded, patient]);
    let log = rig.log.clone();
    let mut tunnel = rig.connect();
    tunnel.send(ASK).head();
    tunnel.send("hello");
    assert_eq!(tunnel.text(5).unwrap(), "hello");
    rig.publish(Setup::logged(&log, &[origin.address], vec![]));
    log.wait_until(|| asked.load(Ordering::SeqCst) > 3);
    assert!(log.with("bounded complete").is_empty());
    over.store(true, Ordering::SeqCst);
    for line in ["bounded complete", "bounded drop", "bounded detached"] {
        log.wait_for(line, 1);
    }
    assert_eq!(*seen.lock().unwrap(), Some((101, ResetBy::Proxy, 5, "generation_timeout")));
    tunnel.send("still");
    assert_eq!(tunnel.text(5).unwrap(), "still");
    assert!(log.with("patient complete").is_empty());
    tunnel.end_writing().expect_end();
    log.wait_for("patient detached", 1);
    assert_eq!(log.with("bounded complete").len(), 1, "once");
    assert_eq!(*last.lock().unwrap(), Some((ResetBy::Nobody, 10, "")), "to all others it ended in order");
}
