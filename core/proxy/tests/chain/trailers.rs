//! Trailers, both ways.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use sidegate_api::{
    BodyInterest, EditError, EndOfStream, FilterCx, HeaderMapKind, LocalReply, Protocol, ReceiverPhase, Status,
};

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
                let added = cx.add_header(HeaderMapKind::ResponseTrailers, b"x-t", b"1");
                assert_eq!(added.is_ok(), cx.stream().info.protocol == Protocol::Http11, "1.0 knows no trailers");
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

#[test]
fn set_with_the_head_they_make_any_message_chunked() {
    for (request, body) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", ""),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody", "body"),
    ] {
        for answer in
            ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]
        {
            let origin = Origin::new(|_| answer.into());
            let script = Script::new("a").phases(&[ReceiverPhase::AfterRoute]).response().hook(|at, cx| {
                let map = match at {
                    At::ResponseHeaders => HeaderMapKind::ResponseTrailers,
                    _ => HeaderMapKind::RequestTrailers,
                };
                cx.add_header(map, b"x-t", b"1").unwrap();
                Status::Continue
            });
            let rig = Rig::new(&[origin.address], vec![script]);
            let mut client = rig.connect();
            for _ in 0..2 {
                let reply = client.send(request).response();
                let wanted = answer.split("\r\n\r\n").nth(1).unwrap();
                assert_eq!((&*reply.body, reply.trailer("x-t"), reply.is_chunked()), (wanted, Some("1"), true));
            }
            let seen = &origin.requests()[1];
            assert_eq!((&*seen.body, seen.trailer("x-t"), seen.is_chunked()), (body, Some("1"), true));
        }
    }
}

#[test]
fn behind_a_head_with_a_length_they_are_refused() {
    let origin = Origin::hello();
    let script =
        Script::new("a").request_body(BodyInterest::Observe).response_body(BodyInterest::Observe).hook(|at, cx| {
            let map = match at {
                At::ResponseBody(_) => HeaderMapKind::ResponseTrailers,
                _ => HeaderMapKind::RequestTrailers,
            };
            assert_eq!(cx.add_header(map, b"x-t", b"1"), Err(EditError::NotNow), "{at:?}");
            assert_eq!(cx.remove_header(map, b"x-t"), Err(EditError::NotNow), "{at:?}");
            Status::Continue
        });
    let rig = Rig::new(&[origin.address], vec![script]);
    let reply = rig.connect().post("/", "body");
    assert_eq!((&*reply.body, reply.is_chunked(), rig.faults("a")), ("hello", false, 0));
    assert_eq!(origin.request().body, "body");
}

#[test]
fn responses_without_body_refuse_them() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        let origin = Origin::new(|_| answer.into());
        let script = Script::new("a").response().hook(|_, cx| {
            let added = cx.add_header(HeaderMapKind::ResponseTrailers, b"x-t", b"1");
            assert_eq!(added, Err(EditError::NotNow));
            Status::Continue
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let mut client = rig.connect();
        client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert!(client.try_message(false).unwrap().status() < 400, "{method} {answer}");
        assert_eq!(rig.faults("a"), 0);
    }
}
