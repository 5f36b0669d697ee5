//! Honest requests, their ends, and goodbyes.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest};
use sidegate_api::Http2Settings;
use sidegate_stream::{Announced, BodyFault, End, Last, Reason};

use crate::kit::*;

type Client = h2::client::SendRequest<Bytes>;

async fn client(socket: tokio::net::TcpStream) -> Client {
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    client.ready().await.unwrap()
}

fn request(method: Method, path: &str) -> HttpRequest<()> {
    HttpRequest::builder().method(method).uri(format!("http://a{path}")).body(()).unwrap()
}

async fn body_of(response: http::Response<h2::RecvStream>) -> (Vec<u8>, Option<HeaderMap>) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    (bytes, body.trailers().await.unwrap())
}

#[test]
fn bodies_and_trailers_go_both_ways() {
    run(async {
        let (socket, log, _) = connect(Http2Settings::downstream(), |mut request: Request| async move {
            assert_eq!(request.start.unwrap().body, Announced::Open);
            let (body, trailers) = request.body().await.unwrap();
            assert!(request.stream.is_body_done());
            let checksum = String::from_utf8(trailers.get(b"checksum").unwrap().to_vec()).unwrap();
            request.answer(&body, &[("checksum", &checksum), ("x", "1")]).await.unwrap();
            request.stream.end(End::Reusable);
        })
        .await;
        let mut client = client(socket).await;
        let body: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let (response, mut send) = client.send_request(request(Method::POST, "/p"), false).unwrap();
        let sent = body.clone();
        tokio::task::spawn_local(async move {
            let mut sent = Bytes::from(sent);
            while !sent.is_empty() {
                send.reserve_capacity(sent.len());
                let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
                send.send_data(sent.split_to(room.min(sent.len())), false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("checksum", HeaderValue::from_static("abc"));
            send.send_trailers(trailers).unwrap();
        });
        let response = response.await.unwrap();
        assert_eq!(response.headers()["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
        let (received, trailers) = body_of(response).await;
        assert!(received == body);
        let trailers = trailers.unwrap();
        assert!(trailers["checksum"] == "abc" && trailers["x"] == "1");
        drop(client);
        until(|| log.fault() == "closed").await;
    });
}

/// No empty DATA frame ends a body that was known.
#[test]
fn the_end_rides_on_the_last_bytes() {
    run(async {
        let (socket, _, _) = connect(Http2Settings::downstream(), |request: Request| async move {
            let empty = request.head.path() == "/empty";
            let mut request = request;
            request.body().await.unwrap();
            request.answer(if empty { b"" } else { b"hello" }, &[]).await.unwrap();
            request.stream.end(End::Reusable);
        })
        .await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        let head = raw.next_of(&[HEADERS, DATA, RST_STREAM]).await;
        assert_eq!((head.kind, head.flags & END_STREAM), (HEADERS, 0));
        let data = raw.next_of(&[HEADERS, DATA, RST_STREAM]).await;
        assert_eq!((data.kind, data.flags, &*data.payload), (DATA, END_STREAM, &b"hello"[..]));
        // `:path: /empty`
        let empty = [&[0x82, 0x86, 0x44, 6][..], b"/empty", &[0x41, 1, b'a']].concat();
        raw.send(HEADERS, END_HEADERS | END_STREAM, 3, &empty).await;
        let head = raw.next_of(&[HEADERS, DATA, RST_STREAM]).await;
        assert_eq!((head.kind, head.stream, head.flags & END_STREAM), (HEADERS, 3, END_STREAM));
    });
}

#[test]
fn a_request_that_is_not_read_is_given_up_without_an_error() {
    run(async {
        let (socket, log, _) = connect(Http2Settings::downstream(), |mut request: Request| async move {
            request.answer(b"early", &[]).await.unwrap();
            request.stream.end(End::Finish);
        })
        .await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_HEADERS, 1, POST).await;
        raw.send(DATA, 0, 1, b"some").await;
        let kinds = [HEADERS, DATA, RST_STREAM, GOAWAY];
        assert_eq!(raw.next_of(&kinds).await.kind, HEADERS);
        let data = raw.next_of(&kinds).await;
        assert_eq!((data.kind, data.flags & END_STREAM), (DATA, END_STREAM));
        let reset = raw.next_of(&kinds).await;
        assert_eq!((reset.kind, reset.code()), (RST_STREAM, NO_ERROR));
        // The connection goes on.
        raw.send(HEADERS, END_HEADERS | END_STREAM, 3, GET).await;
        assert_eq!(raw.next_of(&kinds).await.stream, 3);
        assert_eq!(log.accepted.get(), 2);
    });
}

#[test]
fn reasons_of_a_cut_are_told() {
    run(async {
        let reasons = [
            (Reason::Cancel, 8),
            (Reason::Refused, 7),
            (Reason::Protocol, 1),
            (Reason::Internal, 2),
            (Reason::TooMuch, 11),
            (Reason::Http11Required, 13),
        ];
        let next = std::cell::Cell::new(0);
        let (socket, _, connection) = connect(Http2Settings::downstream(), move |mut request: Request| {
            let (reason, _) = reasons[next.replace(next.get() + 1)];
            async move {
                let head = sidegate_api::ResponseHead { status: 200, ..Default::default() };
                request.stream.start(b"d", &head, Announced::Length(10), Last::No);
                request.send(b"half").await.unwrap();
                request.stream.end(End::Reset(reason));
            }
        })
        .await;
        let mut raw = RawClient::greet(socket, &[]).await;
        for (number, (reason, code)) in reasons.into_iter().enumerate() {
            raw.send(HEADERS, END_HEADERS | END_STREAM, 2 * number as u32 + 1, GET).await;
            let reset = raw.next_of(&[RST_STREAM]).await;
            assert_eq!(reset.code(), code, "{reason:?}");
        }
        assert_eq!(connection.borrow().counts().resets_sent, reasons.len() as u64);
    });
}

#[test]
fn a_stream_that_is_dropped_is_reset() {
    run(async {
        let (socket, _, _) =
            connect(Http2Settings::downstream(), |request: Request| async move { drop(request) }).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        assert_eq!(raw.next_of(&[RST_STREAM]).await.stream, 1);
    });
}

#[test]
fn clients_that_leave_are_noticed() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), wait).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        for stream in [1, 3] {
            raw.send(HEADERS, END_HEADERS | END_STREAM, stream, GET).await;
        }
        until(|| log.open.get() == 2).await;
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;
        until(|| log.closed.get() == 1).await;
        assert_eq!(connection.borrow().counts().resets_received, 1);
        drop(raw);
        until(|| log.closed.get() == 2).await;
    });
}

#[test]
fn a_goodbye_lets_streams_end() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), ok).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_HEADERS, 1, POST).await;
        until(|| log.open.get() == 1).await;
        connection.borrow_mut().go_away();
        raw.send(PING, 0, 0, b"tellover").await;
        let first = raw.next_of(&[GOAWAY]).await;
        assert_eq!((first.payload[..4].to_vec(), first.code()), (vec![0x7f, 0xff, 0xff, 0xff], NO_ERROR));
        // The answer to its ping says that everything that was on its way is there.
        let ping = loop {
            let ping = raw.next_of(&[PING]).await;
            if ping.flags == 0 {
                break ping;
            }
        };
        raw.send(PING, 1, 0, &ping.payload).await;
        let last = raw.next_of(&[GOAWAY]).await;
        assert_eq!((last.payload[..4].to_vec(), last.code()), (vec![0, 0, 0, 1], NO_ERROR));
        raw.send(DATA, END_STREAM, 1, b"rest").await;
        assert_eq!(raw.next_of(&[HEADERS]).await.stream, 1);
        while raw.next().await.is_some() {}
        drop(raw);
        until(|| log.fault() == "closed").await;
        assert_eq!(log.closed.get(), 1);
    });
}

#[test]
fn an_end_now_cuts_streams() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), wait).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_HEADERS, 1, POST).await;
        until(|| log.open.get() == 1).await;
        connection.borrow_mut().abort(Some(Reason::TooMuch));
        raw.send(PING, 0, 0, b"wake you").await;
        assert_eq!(raw.next_of(&[GOAWAY]).await.code(), ENHANCE_YOUR_CALM);
        until(|| log.closed.get() == 1).await;
    });
}

#[test]
fn pings_are_answered_and_sent() {
    run(async {
        let (socket, _, connection) = connect(Http2Settings::downstream(), ok).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(PING, 0, 0, b"12345678").await;
        let pong = raw.next_of(&[PING]).await;
        assert_eq!((pong.flags, &*pong.payload), (1, &b"12345678"[..]));
        connection.borrow_mut().ping();
        raw.send(PING, 0, 0, b"wake you").await;
        let ping = loop {
            let ping = raw.next_of(&[PING]).await;
            if ping.flags == 0 {
                break ping;
            }
        };
        raw.send(PING, 1, 0, &ping.payload).await;
        std::future::poll_fn(|cx| connection.borrow_mut().poll_pong(cx)).await;
    });
}

#[test]
fn a_second_response_or_late_bytes_do_no_harm() {
    run(async {
        let (socket, log, _) = connect(Http2Settings::downstream(), |mut request: Request| async move {
            request.answer(b"", &[]).await.unwrap();
            assert!(request.answer(b"again", &[]).await.is_ok());
            assert!(matches!(request.body().await, Ok(_) | Err(BodyFault::Io(_))));
        })
        .await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        let head = raw.next_of(&[HEADERS]).await;
        assert_eq!(head.flags & END_STREAM, END_STREAM);
        until(|| log.closed.get() == 1).await;
    });
}
