//! The peers with each other, without a proxy between them.

use super::{Ending, Frame, Frames, H2Client, H2Error, H2Origin, code, flag, kind};
use crate::{Call, Reply, Wire};

#[test]
fn bodies_trailers_and_interim_answers_pass() {
    let origin = H2Origin::scripted(|exchange| {
        exchange.interim(103, &[("link", "</a>")])?;
        exchange.finish()?;
        let body = exchange.seen.body.clone();
        exchange.respond(200, &[("x-a", "1")], false)?;
        exchange.send(body)?;
        exchange.end_with(&[("x-t", "2")])
    });
    let client = H2Client::connect(origin.address());
    let body = vec![b'x'; 1 << 20];
    let got = client.call(&Call::post("/up", body.clone()).header("X-B", "3").trailer("x-u", "4"));
    assert_eq!((got.status(), got.interim.as_slice(), got.header("x-a")), (200, &[103][..], Some("1")));
    assert_eq!((got.body == body, got.trailer("x-t")), (true, Some("2")));
    let seen = origin.last();
    assert_eq!(seen.head.start, "POST /up HTTP/2");
    assert_eq!((seen.head.get("host"), seen.head.get("x-b")), (Some("test"), Some("3")));
    assert_eq!(seen.trailers, [("x-u".to_owned(), "4".to_owned())]);
    assert!(seen.complete);
}

#[test]
fn replies_are_those_of_http_1() {
    let origin = H2Origin::http(|seen| match seen.head.target() {
        "/204" => Reply::new(204),
        "/open" => Reply::ok("abc").chunked(),
        _ => Reply::ok("abc"),
    });
    let client = H2Client::connect(origin.address());
    assert_eq!(client.get("/").header("content-length"), Some("3"));
    assert_eq!(client.get("/open").header("content-length"), None);
    assert_eq!((client.get("/204").status(), client.get("/204").body.len()), (204, 0));
    let got = client.call(&Call::new("HEAD", "/"));
    assert_eq!((got.header("content-length"), got.body.len()), (Some("3"), 0));
}

#[test]
fn resets_and_goaway_carry_their_codes() {
    let origin = H2Origin::scripted(|exchange| match exchange.seen.head.target() {
        "/refuse" => {
            exchange.reset(code::REFUSED_STREAM);
            Ok(())
        }
        _ => exchange.wait_reset().map(drop),
    });
    let client = H2Client::connect(origin.address());
    assert_eq!(client.try_call(&Call::get("/refuse")), Err(H2Error::Reset(code::REFUSED_STREAM)));
    let mut stream = client.open(&Call::get("/wait")).unwrap();
    stream.reset(code::CANCEL);
    origin.wait("a reset", |origin| origin.resets() == [code::CANCEL]);
    origin.fail(code::ENHANCE_YOUR_CALM);
    assert_eq!(client.wait_end(), Err(H2Error::GoneAway(code::ENHANCE_YOUR_CALM)));
}

#[test]
fn frames_say_what_they_are_told() {
    let origin = H2Origin::echo();
    let mut frames = Frames::connect(origin.address());
    frames.request(1, flag::END_STREAM, "GET", "/raw", &[("x", "y")]);
    assert_eq!(frames.ending(1), Ending::Answered(200));
    assert!(frames.is_alive());
    // A connection field is malformed.
    frames.request(3, flag::END_STREAM, "GET", "/raw", &[("connection", "close")]);
    assert_eq!(frames.ending(3), Ending::Reset(code::PROTOCOL_ERROR));
    // DATA on stream 0 is the connection's end.
    frames.send(&Frame::data(0, 0, "x"));
    assert_eq!(frames.ending(5), Ending::GoneAway(code::PROTOCOL_ERROR));
    origin.wait("the broken rule", |origin| origin.take_failures().len() == 1);
}

#[test]
fn frames_serve_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut frames = Frames::serve(Wire::over(listener.accept().unwrap().0), &[]).unwrap();
        let request = frames.next_of(|frame| frame.kind == kind::HEADERS).unwrap();
        assert_eq!((request.field(":path"), request.field(":authority")), (Some("/x"), Some("test")));
        let block = super::block(&[(":status", "204")]);
        frames.send(&Frame::headers(request.stream, flag::END_STREAM, block));
        frames.next_frame().map(drop)
    });
    assert_eq!(H2Client::connect(address).get("/x").status(), 204);
    assert!(server.join().is_ok());
}
