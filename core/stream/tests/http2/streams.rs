//! One request and its response on a connection.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use sidegate_api::{Headers, Method};
use sidegate_stream::h2::Http2Settings;
use sidegate_stream::{Announced, BodyFault, ClientError, Data, Expect, RequestStart, Trailers};

use crate::kit::*;

#[test]
fn a_request_and_its_response_with_trailers() {
    run(async {
        let port = Port::new().await;
        let address = port.address();
        tokio::task::spawn_local(async move {
            let mut host = h2::server::handshake(port.accept().await).await.unwrap();
            let (request, mut respond) = host.accept().await.unwrap().unwrap();
            let served = tokio::task::spawn_local(async move {
                assert_eq!(request.uri().to_string(), "http://host/p?q");
                assert_eq!(request.headers()["te"], "trailers");
                let mut body = request.into_body();
                let mut received = Vec::new();
                while let Some(data) = body.data().await {
                    received.extend_from_slice(&data.unwrap());
                }
                assert_eq!(received, b"request");
                assert_eq!(body.trailers().await.unwrap().unwrap()["x-sum"], "1");
                let response = http::Response::builder().status(201).header("x", "1").body(()).unwrap();
                let mut send = respond.send_response(response, false).unwrap();
                send.send_data(Bytes::from_static(b"response"), false).unwrap();
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                send.send_trailers(trailers).unwrap();
            });
            while host.accept().await.is_some() {}
            served.await.unwrap();
        });
        let (connection, _) = open(&address, &Http2Settings::upstream()).await;
        let mut stream = connection.stream(None).unwrap();
        assert!(!stream.is_reused());
        let start = RequestStart { trailers: Trailers::Wanted, ..START };
        stream.start(&head(Method::Post, "/p?q"), Announced::Open, &start);
        assert!(stream.carries_trailers() && !stream.is_answered());
        send(&mut stream, b"request").await;
        let mut trailers = Headers::new();
        trailers.add(b"x-sum", b"1").unwrap();
        stream.finish(&trailers);
        let (response, start) = next_head(&mut stream).await.unwrap();
        assert_eq!((response.status, response.headers.get(b"x")), (201, Some(&b"1"[..])));
        assert_eq!(start.body, Announced::Open);
        let (received, trailers) = body(&mut stream).await.unwrap();
        assert_eq!(received, b"response");
        assert_eq!(trailers.get(b"grpc-status"), Some(&b"0"[..]));
        assert!(stream.is_body_done() && stream.is_answered());
        assert_eq!(stream.traffic().read, (3 + 2 + 8 + 12) as u64);
        drop(stream);
        assert!(connection.stream(None).unwrap().is_reused());
    });
}

#[test]
fn end_of_stream_rides_on_the_last_chunk() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        let mut stream = connection.stream(None).unwrap();
        stream.start(&head(Method::Post, "/"), Announced::Length(6), &START);
        send(&mut stream, b"one").await;
        send(&mut stream, b"two").await;
        stream.finish(&Headers::new());
        let id = host.request().await;
        let frames = [host.next_of(&[DATA]).await, host.next_of(&[DATA]).await];
        let expected = [(0, b"one".to_vec()), (END_STREAM, b"two".to_vec())];
        assert_eq!(frames.map(|frame| (frame.flags, frame.payload)), expected);
        host.answer(id, b"done").await;
        assert_eq!(whole(&mut stream).await, b"done");
    });
}

#[test]
fn requests_without_a_body_are_one_frame_and_what_is_flushed_goes_out() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        for body in [Announced::Nothing, Announced::Length(0)] {
            let mut stream = connection.stream(None).unwrap();
            stream.start(&head(Method::Get, "/"), body, &START);
            assert_eq!(host.next_of(&[HEADERS]).await.flags & END_STREAM, END_STREAM);
        }
        let mut stream = connection.stream(None).unwrap();
        stream.start(&head(Method::Post, "/"), Announced::Open, &START);
        send(&mut stream, b"x").await;
        assert!(!stream.is_flushed());
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
        assert_eq!(host.next_of(&[DATA]).await.payload, b"x");
        stream.finish(&Headers::new());
        let last = host.next_of(&[DATA]).await;
        assert_eq!((last.flags, last.payload.len()), (END_STREAM, 0));
    });
}

#[test]
fn informational_heads_come_out_in_order_and_are_bounded() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        let mut stream = connection.stream(None).unwrap();
        let start = RequestStart { expect: Expect::Continue, ..START };
        stream.start(&head(Method::Post, "/"), Announced::Length(1), &start);
        let id = host.request().await;
        host.send(HEADERS, END_HEADERS, id, &[&field(":status", "100")[..]].concat()).await;
        host.send(HEADERS, END_HEADERS, id, &[field(":status", "103"), field("link", "x")].concat()).await;
        assert_eq!(next_head(&mut stream).await.unwrap().0.status, 100);
        assert!(stream.is_answered());
        let (hints, start) = next_head(&mut stream).await.unwrap();
        assert_eq!((hints.status, hints.headers.get(b"link")), (103, Some(&b"x"[..])));
        assert_eq!(start.body, Announced::Nothing);
        for _ in 0..40 {
            host.send(HEADERS, END_HEADERS, id, &field(":status", "103")).await;
        }
        let error = loop {
            if let Err(error) = next_head(&mut stream).await {
                break error;
            }
        };
        assert_eq!(error.to_string(), "response refused: too_many_interim_responses");
        assert_eq!(host.next_of(&[RST_STREAM]).await.stream, id);
    });
}

#[test]
fn bodies_that_are_not_as_long_as_announced_are_refused() {
    run(async {
        for (length, body_sent, flags) in [("5", &b"1234"[..], END_STREAM), ("5", b"123456", 0), ("5", b"", END_STREAM)]
        {
            let (connection, mut host) = Port::new().await.pair().await;
            let mut stream = connection.stream(None).unwrap();
            get(&mut stream);
            let id = host.request().await;
            host.send(HEADERS, END_HEADERS, id, &[OK, &field("content-length", length)].concat()).await;
            let (_, start) = next_head(&mut stream).await.unwrap();
            assert_eq!(start.body, Announced::Length(5));
            host.send(DATA, flags, id, body_sent).await;
            let fault = body(&mut stream).await.unwrap_err();
            assert!(matches!(fault, BodyFault::Refused(error) if error.details == "body_length_differs"), "{fault:?}");
            assert_eq!(host.next_of(&[RST_STREAM]).await.payload, 1_u32.to_be_bytes(), "PROTOCOL_ERROR");
            assert!(!connection.is_leaving(), "other streams go on");
        }
    });
}

#[test]
fn bodies_where_none_may_be_are_refused() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.send(HEADERS, END_HEADERS, id, &field(":status", "204")).await;
        host.send(DATA, END_STREAM, id, b"x").await;
        let error = next_head(&mut stream).await.unwrap_err();
        assert_eq!(error.to_string(), "response refused: body_length_differs");
        // Nothing came: the head is good once that is sure.
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.send(HEADERS, END_HEADERS, id, &field(":status", "204")).await;
        host.send(DATA, END_STREAM, id, b"").await;
        assert_eq!(next_head(&mut stream).await.unwrap().1.body, Announced::Nothing);
        assert!(body(&mut stream).await.unwrap().0.is_empty());
    });
}

#[test]
fn resets_say_whether_the_request_was_looked_at() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        const INTERNAL_ERROR: u32 = 2;
        const REFUSED_STREAM: u32 = 7;
        for (code, processed) in [(REFUSED_STREAM, false), (INTERNAL_ERROR, true)] {
            let mut stream = connection.stream(None).unwrap();
            get(&mut stream);
            let id = host.request().await;
            host.reset(id, code).await;
            let error = next_head(&mut stream).await.unwrap_err();
            match processed {
                false => assert!(matches!(error, ClientError::NotProcessed), "{error:?}"),
                true => assert!(matches!(error, ClientError::Reset), "{error:?}"),
            }
        }
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.send(HEADERS, END_HEADERS, id, OK).await;
        next_head(&mut stream).await.unwrap();
        host.reset(id, REFUSED_STREAM).await;
        let fault = body(&mut stream).await.unwrap_err();
        assert!(matches!(fault, BodyFault::Io(error) if error.kind() == std::io::ErrorKind::ConnectionReset));
    });
}

#[test]
fn a_stream_that_nobody_wants_any_more_is_cancelled() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        drop(stream);
        let reset = host.next_of(&[RST_STREAM]).await;
        assert_eq!((reset.stream, &reset.payload[..]), (id, &CANCEL[..]));
        // In the middle of a response.
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.send(HEADERS, END_HEADERS, id, OK).await;
        host.send(DATA, 0, id, b"some").await;
        next_head(&mut stream).await.unwrap();
        drop(stream);
        let reset = host.next_of(&[RST_STREAM]).await;
        assert_eq!((reset.stream, &reset.payload[..]), (id, &CANCEL[..]));
        assert_eq!(connection.streams(), 0);
        // A whole one is not.
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.answer(id, b"x").await;
        whole(&mut stream).await;
        drop(stream);
        host.send(PING, 0, 0, &[0; 8]).await;
        assert_eq!(host.next_of(&[RST_STREAM, PING]).await.kind, PING);
    });
}

#[test]
fn sending_waits_for_the_hosts_window_and_reading_gives_ours_back() {
    run(async {
        let port = Port::new().await;
        let settings = Http2Settings { stream_window: 65_535, connection_window: 65_535, ..Http2Settings::upstream() };
        let (connection, host) = port.pair_with(&settings).await;
        const INITIAL_WINDOW: u16 = 4;
        let mut host = host.greet(&[(INITIAL_WINDOW, 10)]).await;
        // The settings are known once they are acknowledged.
        host.next_of(&[SETTINGS]).await;
        while host.next_of(&[SETTINGS]).await.flags == 0 {}
        let mut stream = connection.stream(None).unwrap();
        stream.start(&head(Method::Post, "/"), Announced::Length(16), &START);
        let sent = poll_fn(|cx| stream.poll_send(cx, Data::Slice(b"0123456789abcdef"))).await.unwrap();
        assert_eq!(sent, 10);
        let more = poll_fn(|cx| Poll::Ready(stream.poll_send(cx, Data::Slice(b"abcdef")))).await;
        assert!(more.is_pending());
        let id = host.request().await;
        assert_eq!(host.next_of(&[DATA]).await.payload, b"0123456789");
        host.send(WINDOW_UPDATE, 0, id, &100_u32.to_be_bytes()).await;
        send(&mut stream, b"abcdef").await;
        stream.finish(&Headers::new());
        assert_eq!(host.next_of(&[DATA]).await.payload, b"abcdef");
        // More than the window, while it is read.
        host.send(HEADERS, END_HEADERS, id, OK).await;
        next_head(&mut stream).await.unwrap();
        let (mut sent, mut window) = (0, 65_535);
        let reading = tokio::task::spawn_local(async move { body(&mut stream).await.unwrap().0.len() });
        while sent < 300_000 {
            if window >= 16_384 {
                host.send(DATA, 0, id, &[b'x'; 16_384]).await;
                (sent, window) = (sent + 16_384, window - 16_384);
                continue;
            }
            let update = host.next_of(&[WINDOW_UPDATE]).await;
            if update.stream == id {
                window += i32::from_be_bytes(update.payload.try_into().unwrap());
            }
        }
        host.send(DATA, END_STREAM, id, b"").await;
        assert_eq!(reading.await.unwrap(), sent as usize);
    });
}

#[test]
fn what_http2_cannot_say_fails_one_request_only() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        let mut stream = connection.stream(None).unwrap();
        let mut request = head(Method::Get, "/");
        request.authority = "not a host".into();
        stream.start(&request, Announced::Nothing, &START);
        assert!(matches!(next_head(&mut stream).await, Err(ClientError::Io(_))));
        drop(stream);
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.answer(id, b"x").await;
        assert_eq!(whole(&mut stream).await, b"x");
    });
}

#[test]
fn a_go_ahead_comes_before_the_body() {
    run(async {
        let port = Port::new().await;
        let address = port.address();
        tokio::task::spawn_local(async move {
            let mut host = h2::server::handshake(port.accept().await).await.unwrap();
            let (request, mut respond) = host.accept().await.unwrap().unwrap();
            let served = tokio::task::spawn_local(async move {
                for status in [103, 100] {
                    respond.send_informational(http::Response::builder().status(status).body(()).unwrap()).unwrap();
                }
                let mut body = request.into_body();
                let data = body.data().await.unwrap().unwrap();
                let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                send.send_data(data, true).unwrap();
            });
            while host.accept().await.is_some() {}
            served.await.unwrap();
        });
        let (connection, _) = open(&address, &Http2Settings::upstream()).await;
        let mut stream = connection.stream(None).unwrap();
        let start = RequestStart { expect: Expect::Continue, ..START };
        stream.start(&head(Method::Post, "/"), Announced::Length(4), &start);
        assert_eq!(next_head(&mut stream).await.unwrap().0.status, 103);
        assert_eq!(next_head(&mut stream).await.unwrap().0.status, 100);
        send(&mut stream, b"body").await;
        stream.finish(&Headers::new());
        assert_eq!(whole(&mut stream).await, b"body");
    });
}
