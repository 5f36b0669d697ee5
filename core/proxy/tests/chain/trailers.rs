//! Trailers, both ways.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use sidegate_api::{BodyInterest, EndOfStream, FilterCx, HeaderMapKind, LocalReply, ReceiverPhase, Status};

use crate::kit::{At, Origin, PATIENCE, Rig, Script};

const REQUEST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n";

fn origin() -> Origin {
    Origin::new(|_| {
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n".into()
    })
}

fn edit(cx: &mut FilterCx<'_>, kind: HeaderMapKind) {
    assert_eq!(cx.header(kind, b"x-a"), Some(&b"1"[..]));
    cx.set_header(kind, b"x-a", b"9").unwrap();
    assert_eq!(cx.remove_header(kind, b"x-b"), Ok(1));
    cx.add_header(kind, b"x-c", b"3").unwrap();
    for forbidden in [&b"content-length"[..], b"host", b"authorization", b"transfer-encoding"] {
        assert!(cx.add_header(kind, forbidden, b"1").is_err());
    }
}

#[test]
fn they_pass_untouched() {
    for body in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        let origin = origin();
        let rig = Rig::new(&[origin.address], vec![Script::new("a").request_body(body).response_body(body)]);
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.send(REQUEST).response();
            assert_eq!((reply.trailer("x-a"), reply.trailer("x-b"), reply.is_chunked()), (Some("1"), Some("2"), true));
        }
        let seen = &origin.requests()[0];
        assert_eq!((&*seen.body, seen.trailer("x-a"), seen.trailer("x-b")), ("body", Some("1"), Some("2")));
    }
}

#[test]
fn filters_edit_them() {
    for body in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        let origin = origin();
        let script = Script::new("a").request_body(body).response_body(body).trailers().hook(|at, cx| {
            match at {
                At::Trailers => edit(cx, HeaderMapKind::RequestTrailers),
                At::ResponseTrailers => edit(cx, HeaderMapKind::ResponseTrailers),
                _ => {}
            }
            Status::Continue
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let reply = rig.connect().send(REQUEST).response();
        let expected = [("x-a", "9"), ("x-c", "3")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(reply.trailers, expected, "{body:?}");
        assert_eq!(origin.request().trailers, expected, "{body:?}");
    }
}

#[test]
fn filters_add_them_where_there_were_none() {
    for body in [BodyInterest::Stream, BodyInterest::Whole] {
        let origin = Origin::hello();
        let script = Script::new("a").request_body(body).response_body(body).hook(|at, cx| {
            match at {
                At::Body(EndOfStream::End) => cx.add_header(HeaderMapKind::RequestTrailers, b"x-t", b"1").unwrap(),
                At::ResponseBody(EndOfStream::End) => {
                    cx.add_header(HeaderMapKind::ResponseTrailers, b"x-t", b"2").unwrap();
                }
                _ => {}
            }
            Status::Continue
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.post("/", "body");
            assert_eq!(
                (&*reply.body, reply.trailer("x-t"), reply.is_chunked()),
                ("hello", Some("2"), true),
                "{body:?}"
            );
        }
        let seen = &origin.requests()[0];
        assert_eq!((&*seen.body, seen.trailer("x-t"), seen.is_chunked()), ("body", Some("1"), true), "{body:?}");
    }
}

#[test]
fn local_replies_can_have_trailers_with_and_without_a_body() {
    for text in ["text", ""] {
        let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).response().hook(move |at, cx| match at {
            At::ResponseHeaders => {
                cx.add_header(HeaderMapKind::ResponseTrailers, b"x-t", b"1").unwrap();
                Status::Continue
            }
            _ => {
                cx.reply(LocalReply::text(403, "no", text)).unwrap();
                Status::Stop
            }
        });
        let rig = Rig::new(&[], vec![script]);
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.get("/");
            assert_eq!((reply.status(), &*reply.body, reply.trailer("x-t")), (403, text, Some("1")));
        }
        client.send("GET / HTTP/1.0\r\n\r\n");
        let reply = client.response();
        assert_eq!((&*reply.body, reply.trailers.len(), reply.is_chunked()), (text, 0, false));
    }
}

#[test]
fn http_1_0_clients_get_none() {
    let origin = origin();
    for body in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
        let rig = Rig::new(&[origin.address], vec![Script::new("a").response_body(body)]);
        let mut client = rig.connect();
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.response().body, "hello");
    }
}

#[test]
fn filters_see_both_maps_at_the_end() {
    let origin = origin();
    let (sender, seen) = channel();
    let sender = Mutex::new(sender);
    let script = Script::new("a").complete(move |cx, _| {
        let of = |kind| cx.header(kind, b"x-b").map(<[u8]>::to_vec);
        let both = (of(HeaderMapKind::RequestTrailers), of(HeaderMapKind::ResponseTrailers));
        sender.lock().unwrap().send(both).unwrap();
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    rig.connect().send(REQUEST).response();
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), (Some(b"2".to_vec()), Some(b"2".to_vec())));
}
