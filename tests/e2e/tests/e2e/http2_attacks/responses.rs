//! What a host that speaks HTTP/2 must not make a client believe.

use std::net::{SocketAddr, TcpListener};

use sidegate_harness::{Call, Client, ConfigBuilder, Frame, Frames, Message, Proxy, Spoken, Wire, block, flag, kind};

use super::proxy;

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

/// A host that answers each stream of each connection with the same frames.
fn host(frames: impl Fn(u32) -> Vec<Frame> + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process; a thread that accepts holds nothing up.
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let frames = frames.clone();
            std::thread::spawn(move || {
                let Ok(mut connection) = Frames::serve(Wire::over(socket), &[]) else { return };
                while let Ok(request) = connection.next_of(|frame| frame.kind == kind::HEADERS) {
                    for frame in frames(request.stream) {
                        if connection.try_send(&frame).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

fn to(address: SocketAddr, down: Spoken) -> Proxy {
    let config = ConfigBuilder::to(address)
        .in_proxy("downstream_protocol", down.word().into())
        .in_cluster("upstream_protocol", "Http2".into());
    proxy(&config)
}

fn headers(stream: u32, flags: u8, fields: Fields<'_>) -> Frame {
    Frame::headers(stream, flags, block(fields))
}

/// Both kinds of clients get 502, and the access log says why; what of it is
/// not so.
fn not_refused(name: &str, frames: impl Fn(u32) -> Vec<Frame> + Send + Clone + 'static) -> Vec<String> {
    let address = host(frames);
    let mut wrong = Vec::new();
    for down in [Spoken::Http1, Spoken::Http2] {
        let proxy = to(address, down);
        let got: Result<Message, String> = Client::connect(down, proxy.address()).try_call(&Call::get("/"));
        if got.as_ref().map(Message::status) != Ok(502) {
            wrong.push(format!("{name}, {down:?}: {got:?}"));
            continue;
        }
        let line = proxy.access_line(name, |line| line.status == 502);
        if line.flags.is_empty() {
            wrong.push(format!("{name}, {down:?}: {line:?}"));
        }
    }
    wrong
}

#[track_caller]
fn assert_refused(name: &str, frames: impl Fn(u32) -> Vec<Frame> + Send + Clone + 'static) {
    let wrong = not_refused(name, frames);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn heads_that_are_no_responses_are_502() {
    let cases: &[(&str, Fields<'static>)] = &[
        ("CR LF in a value", &[(b":status", b"200"), (b"x", b"y\r\nset-cookie: z")]),
        ("NUL in a value", &[(b":status", b"200"), (b"x", b"y\0")]),
        ("CR LF in a name", &[(b":status", b"200"), (b"x\r\ny", b"z")]),
        ("upper case in a name", &[(b":status", b"200"), (b"X", b"y")]),
        ("no :status", &[(b"x", b"y")]),
        (":status of letters", &[(b":status", b"abc")]),
        (":status of four digits", &[(b":status", b"2000")]),
        (":status of a status line", &[(b":status", b"200 OK\r\nx: y")]),
        (":status twice", &[(b":status", b"200"), (b":status", b"404")]),
        (":status behind a field", &[(b"x", b"y"), (b":status", b"200")]),
        ("connection", &[(b":status", b"200"), (b"connection", b"close")]),
        ("transfer-encoding", &[(b":status", b"200"), (b"transfer-encoding", b"chunked")]),
        ("two lengths", &[(b":status", b"200"), (b"content-length", b"0"), (b"content-length", b"5")]),
        ("a length that is no number", &[(b":status", b"200"), (b"content-length", b"-1")]),
        ("101", &[(b":status", b"101")]),
    ];
    let mut wrong = Vec::new();
    for &(name, fields) in cases {
        wrong.extend(not_refused(name, move |stream| vec![headers(stream, flag::END_STREAM, fields)]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn resets_and_the_end_of_the_connection_are_502() {
    assert_refused("RST_STREAM", |stream| vec![Frame::reset(stream, 2)]);
    assert_refused("GOAWAY that takes no stream", |_| vec![Frame::go_away(0, 2)]);
    assert_refused("DATA before HEADERS", |stream| vec![Frame::data(stream, flag::END_STREAM, "x")]);
    assert_refused("a frame above the largest", |stream| vec![Frame::data(stream, 0, vec![0; 16_385])]);
    assert_refused("PUSH_PROMISE", |stream| {
        vec![Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, stream, [0, 0, 0, 2, 0x82])]
    });
}

/// Informational responses without end.
#[test]
fn endless_1xx_are_502() {
    assert_refused("1xx without end", |stream| {
        (0..1000).map(|_| headers(stream, 0, &[(b":status", b"103"), (b"link", b"</a>")])).collect()
    });
}

/// A body that is not as long as was announced is cut for the client, and
/// looks whole in neither protocol.
#[test]
fn bodies_that_are_not_as_long_as_they_say_do_not_look_whole() {
    for (announced, body) in [(b"5", "abc"), (b"2", "abc")] {
        let address = host(move |stream| {
            vec![
                headers(stream, 0, &[(b":status", b"200"), (b"content-length", announced)]),
                Frame::data(stream, flag::END_STREAM, body),
            ]
        });
        for down in [Spoken::Http1, Spoken::Http2] {
            let proxy = to(address, down);
            let got = Client::connect(down, proxy.address()).try_call(&Call::get("/"));
            let whole = got.as_ref().is_ok_and(|got| got.status() == 200);
            assert!(!whole, "{down:?}, {body:?} announced as {announced:?}: {got:?}");
        }
    }
}

/// No body was announced, and one comes: no client takes it for whole.
#[test]
fn bodies_where_there_can_be_none_are_502() {
    let cases: &[(&str, Fields<'static>)] = &[
        ("of no bytes", &[(b":status", b"200"), (b"content-length", b"0")]),
        ("204", &[(b":status", b"204")]),
        ("304", &[(b":status", b"304"), (b"content-length", b"3")]),
    ];
    for &(name, fields) in cases {
        assert_refused(name, move |stream| {
            vec![headers(stream, 0, fields), Frame::data(stream, flag::END_STREAM, "abc")]
        });
        let address = host(move |stream| vec![headers(stream, 0, fields), Frame::data(stream, flag::END_STREAM, "")]);
        for down in [Spoken::Http1, Spoken::Http2] {
            let proxy = to(address, down);
            let got = Client::connect(down, proxy.address()).call(&Call::get("/"));
            assert_ne!(got.status(), 502, "{name}: nothing comes");
        }
    }
}

/// What stands in a host's trailers is no header, and what may not stand there
/// is dropped.
#[test]
fn trailers_of_a_host_stay_trailers() {
    let address = host(|stream| {
        vec![
            headers(stream, 0, &[(b":status", b"200")]),
            Frame::data(stream, 0, "abc"),
            headers(stream, flag::END_STREAM, &[(b"x-good", b"1"), (b"content-length", b"9"), (b"set-cookie", b"a=b")]),
        ]
    });
    for down in [Spoken::Http1, Spoken::Http2] {
        let proxy = to(address, down);
        let got = Client::connect(down, proxy.address()).call(&Call::get("/"));
        assert_eq!((got.status(), got.text().as_str(), got.trailer("x-good")), (200, "abc", Some("1")), "{down:?}");
        assert_eq!((got.header("set-cookie"), got.trailer("content-length")), (None, None), "{down:?}");
    }
}
