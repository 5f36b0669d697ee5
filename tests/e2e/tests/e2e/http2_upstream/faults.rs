//! Hosts that break off, refuse or lie.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use sidegate_harness::{
    Call, ConfigBuilder, Frame, Frames, H2Client, H2Origin, Origin, Reply, Wire, WireError, block, code, flag, kind,
};

use super::{metric, start, to};

const POST: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn a_reset_before_the_response_is_502_and_after_its_head_a_cut() {
    let origin = H2Origin::scripted(|exchange| {
        exchange.finish()?;
        if exchange.seen.head.target() == "/later" {
            exchange.respond(200, &[("content-length", "10")], false)?;
            exchange.send("12345")?;
        }
        exchange.reset(code::INTERNAL_ERROR);
        Ok(())
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    assert_eq!(client.send("GET /now HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 502);
    let line = proxy.access_line("now", |line| line.path == "/now");
    assert!(line.has("UC") && line.details == "upstream_reset", "{line:?}");
    client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    match client.try_response("GET") {
        Err(WireError::Truncated { .. }) => {}
        Ok(got) if got.status() == 502 => {}
        other => panic!("{other:?}"),
    }
    let line = proxy.access_line("later", |line| line.path == "/later");
    assert!(line.has("UC"), "{line:?}");
    assert_eq!((origin.count(), origin.connections()), (2, 1), "neither is repeated; the connection is none the worse");
}

#[test]
fn what_the_host_has_not_looked_at_is_sent_again_whatever_its_method() {
    let turns = AtomicU32::new(0);
    let origin = H2Origin::scripted(move |exchange| {
        exchange.finish()?;
        match turns.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => exchange.reset(code::REFUSED_STREAM),
            _ => {
                let body = exchange.seen.body.clone();
                exchange.reply(&Reply::ok(body))?;
            }
        }
        Ok(())
    });
    let proxy = start(&to(&origin));
    let got = proxy.connect().send(POST).response();
    assert_eq!((got.status(), got.text().as_str()), (200, "body"));
    assert_eq!(origin.count(), 3);
    assert_eq!(metric(&proxy, "upstream_http2_refused_streams_total"), 2.0);
}

#[test]
fn a_host_that_goes_on_refusing_is_502_soon() {
    let origin = H2Origin::scripted(|exchange| {
        exchange.reset(code::REFUSED_STREAM);
        Ok(())
    });
    let proxy = start(&to(&origin));
    assert_eq!(proxy.connect().send(POST).response().status(), 502);
    let line = proxy.access_line("refused", |line| line.path == "/x");
    assert!(line.has("UC") && line.details == "upstream_refused", "{line:?}");
    assert_eq!(origin.count(), 4);
}

#[test]
fn a_large_body_that_was_sent_in_part_is_not_made_up() {
    let origin = H2Origin::scripted(|exchange| {
        let mut read = 0;
        while read < 500_000 {
            read += exchange.data()?.map_or(usize::MAX, |data| data.len());
        }
        exchange.reset(code::REFUSED_STREAM);
        Ok(())
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    let body = vec![b'x'; 1 << 20];
    let _ =
        client.try_send([b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n", &body[..]].concat());
    let line = proxy.access_line("large", |line| line.path == "/large");
    assert_eq!((line.status, origin.count()), (502, 1), "{line:?}");
}

#[test]
fn a_connection_that_closes_is_replaced_where_nothing_is_lost() {
    let origin = H2Origin::echo();
    let proxy = start(&to(&origin));
    for round in 1..=5 {
        assert_eq!(proxy.get("/").status(), 200, "{round}");
        origin.close();
    }
}

#[test]
fn bodies_that_differ_from_their_length_are_refused() {
    let origin = H2Origin::scripted(|exchange| {
        exchange.respond(200, &[("content-length", "10")], false)?;
        exchange.send("12345")?;
        exchange.end()
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    client.send("GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    match client.try_response("GET") {
        Err(WireError::Truncated { .. }) => {}
        Ok(got) if got.status() == 502 => {}
        other => panic!("{other:?}"),
    }
    let line = proxy.access_line("short", |line| line.path == "/short");
    assert!(line.has("UPE"), "{line:?}");
}

/// Answers the first request with these frames.
fn frames(answer: impl Fn(u32) -> Vec<Frame> + Send + Sync + 'static) -> Origin {
    Origin::scripted(move |connection| {
        let wire = Wire::over(connection.stream().try_clone().unwrap());
        let mut host = Frames::serve(wire, &[])?;
        let request = host.next_of(|frame| frame.kind == kind::HEADERS)?;
        for frame in answer(request.stream) {
            host.try_send(&frame)?;
        }
        // Until the proxy has seen it.
        while host.next_frame().is_ok() {}
        Ok(())
    })
}

#[test]
fn heads_that_http2_does_not_allow_are_502() {
    for (what, fields) in [
        ("no status", vec![("x", "1")]),
        ("connection", vec![(":status", "200"), ("connection", "close")]),
        ("upper case", vec![(":status", "200"), ("X-A", "1")]),
        ("switching", vec![(":status", "101")]),
        ("two lengths", vec![(":status", "200"), ("content-length", "1"), ("content-length", "2")]),
        ("line feed", vec![(":status", "200"), ("x", "a\nb")]),
    ] {
        let head = block(&fields);
        let origin = frames(move |stream| vec![Frame::headers(stream, flag::END_HEADERS, head.clone())]);
        let config = ConfigBuilder::to(origin.address()).in_cluster("upstream_protocol", json!("Http2"));
        let proxy = start(&config);
        assert_eq!(proxy.get("/").status(), 502, "{what}");
        let line = proxy.access_line(what, |line| line.status == 502);
        assert!(line.has("UPE"), "{what}: {line:?}");
    }
}

#[test]
fn a_host_that_speaks_http1_is_502() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = start(&ConfigBuilder::to(address).in_cluster("upstream_protocol", json!("Http2")));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut host = Wire::over(listener.accept().unwrap().0);
    host.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 502);
    let line = proxy.access_line("no HTTP/2", |line| line.status == 502);
    assert!(line.has("UPE"), "{line:?}");
}

/// A head above what we have said that we take.
#[test]
fn a_head_that_is_too_large_is_502_and_says_so() {
    let large = "x".repeat(10_000);
    let origin = H2Origin::scripted(move |exchange| match exchange.seen.head.target() {
        "/large" => exchange.respond(200, &[("x", &large)], true),
        _ => exchange.respond(200, &[], true),
    });
    let proxy = start(&to(&origin).in_cluster("http2_protocol_options", json!({"max_header_list_size": 4096})));
    assert_eq!(proxy.get("/large").status(), 502);
    let line = proxy.access_line("the large one", |line| line.path == "/large");
    assert!(line.has("UPE") && line.details == "headers_too_large", "{line:?}");
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 1);
}

/// A host of both protocols that answers in HTTP/1.1 alone; how many requests
/// came in each.
fn wants_http1(counts: Arc<[AtomicU32; 2]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process; a thread that accepts holds nothing up.
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let counts = counts.clone();
            std::thread::spawn(move || {
                // Either protocol begins with more than that in one piece.
                let mut begin = [0; 3];
                if socket.peek(&mut begin).is_err() {
                    return;
                }
                if &begin == b"PRI" {
                    let Ok(mut frames) = Frames::serve(Wire::over(socket), &[]) else { return };
                    while let Ok(request) = frames.next_of(|frame| frame.kind == kind::HEADERS) {
                        counts[1].fetch_add(1, Ordering::SeqCst);
                        let reset = Frame::reset(request.stream, code::HTTP_1_1_REQUIRED);
                        if frames.try_send(&reset).is_err() {
                            return;
                        }
                    }
                    return;
                }
                let mut wire = Wire::over(socket);
                while let Ok(request) = wire.try_request() {
                    assert_eq!(request.text(), "body");
                    counts[0].fetch_add(1, Ordering::SeqCst);
                    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
                }
            });
        }
    });
    address
}

#[test]
fn a_host_that_wants_http1_gets_it() {
    for spoken in ["Http2", "Auto"] {
        let counts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let config = ConfigBuilder::to(wants_http1(counts.clone()))
            .in_proxy("downstream_protocol", json!("Auto"))
            .in_cluster("upstream_protocol", json!(spoken));
        let proxy = start(&config);
        let client = H2Client::connect(proxy.address());
        for _ in 0..3 {
            let got = client.call(&Call::post("/x", "body"));
            assert_eq!((got.status(), got.text().as_str()), (200, "old"), "{spoken}");
        }
        // It was asked in HTTP/2 once, and then no more for a while.
        let counts = [0, 1].map(|at| counts[at].load(Ordering::SeqCst));
        assert_eq!(counts, [3, 1], "{spoken}");
    }
}

/// What cannot be sent again says why there is no response.
#[test]
fn a_long_body_for_a_host_that_wants_http1_is_502() {
    let origin = H2Origin::scripted(|exchange| {
        exchange.finish()?;
        exchange.reset(code::HTTP_1_1_REQUIRED);
        Ok(())
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    let body = vec![b'b'; 200_000];
    client.send(format!("POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
    assert_eq!(client.response().status(), 502);
    let line = proxy.access_line("the long one", |line| line.path == "/long");
    assert!(line.has("UPE") && line.details == "upstream_requires_http1", "{line:?}");
}

#[test]
fn a_host_that_floods_is_cut() {
    let origin = frames(|_| (0..5000).map(Frame::ping).collect());
    let config = ConfigBuilder::to(origin.address()).in_cluster("upstream_protocol", json!("Http2"));
    let proxy = start(&config);
    assert_eq!(proxy.get("/").status(), 502);
    assert!(metric(&proxy, "upstream_http2_floods_total") >= 1.0);
}

/// Others share the connection.
#[test]
fn a_connection_outlives_many_responses_that_were_refused() {
    let origin = H2Origin::scripted(|exchange| {
        let wrong = exchange.seen.head.target() == "/wrong";
        exchange.respond(200, if wrong { &[("content-length", "5")] } else { &[] }, true)
    });
    let options = json!({"frame_limits": {"provoked_resets": {"burst": 10_000}}});
    let config = to(&origin).in_cluster("http2_protocol_options", options);
    let proxy = start(&config.in_cluster("max_request_per_conn", json!(10_000)));
    let mut client = proxy.connect();
    for _ in 0..1500 {
        assert_eq!(client.send("GET /wrong HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 502);
    }
    assert_eq!(client.send("GET /right HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_that_leaves_cancels_its_request_alone() {
    let origin = H2Origin::scripted(|exchange| {
        if exchange.seen.head.target() == "/left" {
            assert_eq!(exchange.wait_reset()?, code::CANCEL);
            return Ok(());
        }
        exchange.reply(&Reply::ok("well"))
    });
    let proxy = start(&to(&origin));
    let mut leaver = proxy.connect();
    leaver.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    leaver.reset();
    origin.wait("the reset", |origin| origin.resets() == [code::CANCEL]);
    assert_eq!(proxy.get("/").text(), "well");
    assert_eq!(origin.connections(), 1);
}
