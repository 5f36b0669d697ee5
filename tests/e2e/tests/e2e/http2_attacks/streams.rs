//! Games with numbers of streams and with states: each ends its stream or the
//! connection, as RFC 9113 has it, and nothing else.

use sidegate_harness::{ConfigBuilder, Ending, Frame, Gate, Origin, block, code, flag, kind};

use super::{TO_H1, assert_serves, echo, proxy, rude};

fn get(stream: u32) -> Frame {
    Frame::headers(
        stream,
        flag::END_STREAM,
        block(&[(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/game")]),
    )
}

#[test]
fn each_game_ends_the_stream_or_the_connection() {
    let games: &[(&str, &[Frame])] = &[
        ("HEADERS on stream 0", &[get(0)]),
        ("HEADERS on an even stream", &[get(2)]),
        ("a number below the last", &[get(5), get(3)]),
        ("a stream once more", &[get(1), get(1)]),
        ("DATA on stream 0", &[Frame::data(0, 0, "x")]),
        ("DATA on a stream that was not opened", &[Frame::data(7, 0, "x")]),
        ("RST_STREAM on stream 0", &[Frame::reset(0, code::CANCEL)]),
        ("RST_STREAM on a stream that was not opened", &[Frame::reset(7, code::CANCEL)]),
        ("WINDOW_UPDATE on a stream that was not opened", &[Frame::window_update(7, 1)]),
        ("WINDOW_UPDATE of the connection by nothing", &[Frame::window_update(0, 0)]),
        ("the connection's window beyond the largest", &[Frame::window_update(0, 0x7fff_ffff)]),
        ("CONTINUATION without HEADERS", &[Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, [])]),
        ("another stream within a header block", &[Frame::new(kind::HEADERS, flag::END_STREAM, 1, []), Frame::ping(1)]),
        ("PUSH_PROMISE of a client", &[get(1), Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [0, 0, 0, 2])]),
        ("SETTINGS on a stream", &[Frame::new(kind::SETTINGS, 0, 1, [])]),
        ("SETTINGS of a wrong length", &[Frame::new(kind::SETTINGS, 0, 0, [0; 5])]),
        ("a frame size below the least", &[Frame::settings(&[(5, 100)])]),
        ("a window above the largest", &[Frame::settings(&[(4, 0x8000_0000)])]),
        ("push neither on nor off", &[Frame::settings(&[(2, 2)])]),
        ("PING of a wrong length", &[Frame::new(kind::PING, 0, 0, [0; 7])]),
        ("PING on a stream", &[Frame::new(kind::PING, 0, 1, [0; 8])]),
        ("GOAWAY on a stream", &[Frame::new(kind::GOAWAY, 0, 1, [0; 8])]),
        ("a frame above the largest", &[Frame::new(kind::DATA, 0, 1, vec![0; 16_385])]),
        ("padding longer than its frame", &[get(1), Frame::new(kind::DATA, flag::PADDED, 1, [9, 0])]),
        ("bytes that no table has", &[Frame::headers(1, flag::END_STREAM, [0xff, 0xff, 0xff, 0x7f])]),
    ];
    let (origin, proxy) = echo();
    for (name, frames) in games {
        let mut client = rude(&proxy);
        for frame in *frames {
            let _ = client.try_send(frame);
        }
        let end =
            client.next_of(|frame| frame.code().is_some_and(|code| code != code::NO_ERROR && code != code::CANCEL));
        assert!(end.is_ok(), "{name}: {end:?}");
    }
    assert_serves(&proxy, "after all games");
    assert!(origin.seen().iter().all(|seen| ["/game", "/honest"].contains(&seen.head.target())));
}

/// HTTP/1.1 and nonsense where the preface should be.
#[test]
fn what_is_no_preface_ends_the_connection() {
    let (origin, proxy) = echo();
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n",
        "\0\0\0\u{4}\0\0\0\0\0",
    ] {
        let mut wire = proxy.connect();
        let _ = wire.try_send(bytes);
        wire.shutdown_write();
        let answer = wire.read_until_close();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{bytes:?}: {:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(origin.count(), 0);
    assert_serves(&proxy, "after all");
}

/// As many as were announced are worked for at once, one more is refused in a
/// way that says it may come again, and the others never know.
#[test]
fn a_stream_too_many_is_refused() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        sidegate_harness::Reply::ok("done")
    });
    let config = TO_H1.run(|| ConfigBuilder::to(origin.address()));
    let proxy = TO_H1.run(|| proxy(&config));
    let mut client = rude(&proxy);
    for number in 0..100 {
        client.send(&get(2 * number + 1));
    }
    origin.wait("a hundred requests", |origin| origin.count() == 100);
    client.send(&get(201));
    assert_eq!(client.ending(201), Ending::Reset(code::REFUSED_STREAM));
    gate.open();
    let mut answered = 0;
    while answered < 100 {
        let frame = client.next_of(|frame| frame.kind == kind::HEADERS).unwrap();
        assert_eq!(frame.field(":status"), Some("200"), "stream {}", frame.stream);
        answered += 1;
    }
    assert_eq!(origin.count(), 100);
    client.send(&get(203));
    assert_eq!(client.ending(203), Ending::Answered(200));
}
