//! Bodies that are not as long as announced, and heads that are none.

use std::cell::RefCell;
use std::rc::Rc;

use sidegate_api::Http2Settings;
use sidegate_stream::BodyFault;

use crate::kit::*;

fn post(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = POST.to_vec();
    for (name, value) in fields {
        block.extend_from_slice(&[0x00, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

#[test]
fn bodies_are_as_long_as_announced() {
    run(async {
        for (length, pieces) in
            [("5", &[(0, "abc"), (END_STREAM, "")][..]), ("5", &[(0, "abcdef")]), ("0", &[(0, "a")])]
        {
            let faults = Rc::<RefCell<Vec<bool>>>::default();
            let seen = faults.clone();
            let (socket, log, _) = connect(Http2Settings::downstream(), move |mut request: Request| {
                let seen = seen.clone();
                async move {
                    let refused = matches!(request.body().await, Err(BodyFault::Refused(_)));
                    seen.borrow_mut().push(refused);
                }
            })
            .await;
            let mut raw = RawClient::greet(socket, &[]).await;
            raw.send(HEADERS, END_HEADERS, 1, &post(&[("content-length", length)])).await;
            for (flags, piece) in pieces {
                raw.send(DATA, *flags, 1, piece.as_bytes()).await;
            }
            let reset = raw.next_of(&[RST_STREAM, HEADERS, GOAWAY]).await;
            assert_eq!((reset.kind, reset.code()), (RST_STREAM, PROTOCOL_ERROR), "{length} {pieces:?}");
            until(|| log.closed.get() == log.accepted.get()).await;
            assert!(faults.borrow().iter().all(|refused| *refused), "{length} {pieces:?}");
        }
    });
}

/// The crate resets these; they are counted, since nobody else knows of them.
#[test]
fn heads_that_break_the_protocol_are_no_requests() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), ok).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        let heads = [
            post(&[("connection", "close")]),
            post(&[("transfer-encoding", "chunked")]),
            post(&[("upgrade", "websocket")]),
            post(&[("keep-alive", "5")]),
            post(&[("proxy-connection", "close")]),
            post(&[("te", "gzip")]),
            post(&[("content-length", "5"), ("content-length", "6")]),
            post(&[("content-length", "+5")]),
            post(&[(":path", "/again")]),
            post(&[("x", "1"), (":scheme", "http")]),
            // Without a path, a scheme, a method.
            vec![0x82, 0x86, 0x41, 1, b'a'],
            vec![0x82, 0x84, 0x41, 1, b'a'],
            vec![0x86, 0x84, 0x41, 1, b'a'],
            // A path that is none.
            [&[0x82, 0x86, 0x44, 3][..], b"a/b", &[0x41, 1, b'a']].concat(),
            [&[0x82, 0x86, 0x44, 4][..], b"/a b", &[0x41, 1, b'a']].concat(),
            // Extended CONNECT, which was not offered.
            post(&[(":protocol", "websocket")]),
        ];
        let count = heads.len() as u64;
        for (number, block) in heads.into_iter().enumerate() {
            let stream = 2 * number as u32 + 1;
            raw.send(HEADERS, END_HEADERS | END_STREAM, stream, &block).await;
            let reset = raw.next_of(&[RST_STREAM, HEADERS, GOAWAY]).await;
            assert_eq!((reset.kind, reset.stream), (RST_STREAM, stream), "{block:?}");
        }
        assert_eq!((connection.borrow().counts().opened, log.accepted.get()), (count, 0));
        assert_eq!(connection.borrow().counts().resets_sent, count);
    });
}

/// These the crate lets pass, or the rules are ours: they can be answered.
#[test]
fn heads_that_break_our_rules_can_be_answered() {
    run(async {
        let refused = Rc::<RefCell<Vec<(u16, &'static str)>>>::default();
        let seen = refused.clone();
        let (socket, log, _) = connect(Http2Settings::downstream(), move |request: Request| {
            if let Err(error) = request.start {
                seen.borrow_mut().push((error.status, error.details));
            }
            ok(request)
        })
        .await;
        let mut raw = RawClient::greet(socket, &[]).await;
        let path = |path: &str| [&[0x82, 0x86, 0x44, path.len() as u8], path.as_bytes(), &[0x41, 1, b'a']].concat();
        let heads = [
            (post(&[("host", "b")]), (400, "host_differs")),
            (post(&[("x", " edge")]), (400, "header_value_invalid")),
            (path("/%00"), (400, "nul_in_path")),
            (path("/a\\b"), (400, "backslash_in_path")),
            (vec![0x82, 0x86, 0x84], (400, "host_missing")),
            // CONNECT a
            (vec![0x42, 7, b'C', b'O', b'N', b'N', b'E', b'C', b'T', 0x41, 1, b'a'], (501, "connect_unsupported")),
        ];
        let expected: Vec<_> = heads.iter().map(|(_, refusal)| *refusal).collect();
        for (number, (block, _)) in heads.into_iter().enumerate() {
            raw.send(HEADERS, END_HEADERS | END_STREAM, 2 * number as u32 + 1, &block).await;
            assert_eq!(raw.next_of(&[RST_STREAM, HEADERS, GOAWAY]).await.kind, HEADERS, "{block:?}");
        }
        assert_eq!(*refused.borrow(), expected);
        assert_eq!(log.accepted.get(), expected.len());
    });
}
