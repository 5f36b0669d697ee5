//! What may be on its way, in both directions.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use sidegate_api::{Headers, Http2Settings, ResponseHead};
use sidegate_stream::{Announced, BodyEvent, Data, Last};

use crate::kit::*;

/// Window is given back for bytes that were taken, not for bytes that came.
#[test]
fn a_client_may_send_what_is_taken() {
    run(async {
        let take = Rc::new(Cell::new(false));
        let may_take = take.clone();
        let settings = Http2Settings { stream_window: 100_000, ..Http2Settings::downstream() };
        let (socket, _, _) = connect(settings, move |mut request: Request| {
            let take = may_take.clone();
            async move {
                let mut trailers = Headers::new();
                let first = poll_fn(|cx| request.stream.poll_body(cx, &mut trailers)).await.unwrap();
                assert!(matches!(first, BodyEvent::Data(1..)));
                until(|| take.get()).await;
                ok(request).await;
            }
        })
        .await;
        let mut raw = RawClient::greet(socket, &[]).await;
        let announced = raw.next_of(&[SETTINGS]).await;
        let window = [&4_u16.to_be_bytes()[..], &100_000_u32.to_be_bytes()].concat();
        assert!(announced.payload.chunks(6).any(|setting| setting == window));
        raw.send(SETTINGS, 1, 0, b"").await;
        raw.send(HEADERS, END_HEADERS, 1, POST).await;
        for _ in 0..10 {
            raw.send(DATA, 0, 1, &[b'd'; 10_000]).await;
        }
        raw.send(PING, 0, 0, b"12345678").await;
        // Nothing but the connection's first window came before the answer.
        loop {
            match raw.next().await.unwrap() {
                Frame { kind: PING, .. } => break,
                Frame { kind: WINDOW_UPDATE, stream, .. } => assert_eq!(stream, 0),
                _ => {}
            }
        }
        take.set(true);
        loop {
            let update = raw.next_of(&[WINDOW_UPDATE]).await;
            if update.stream == 1 {
                break;
            }
        }
        raw.send(DATA, END_STREAM, 1, b"end").await;
        assert_eq!(raw.next_of(&[HEADERS]).await.stream, 1);
    });
}

#[test]
fn a_client_gets_what_its_window_takes() {
    run(async {
        let (socket, _, _) = connect(Http2Settings::downstream(), |mut request: Request| async move {
            let body = vec![b'r'; 100_000];
            request.answer(&body, &[]).await.unwrap();
        })
        .await;
        let mut raw = RawClient::greet(socket, &[(4, 5)]).await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        raw.next_of(&[HEADERS]).await;
        assert_eq!(raw.next_of(&[DATA]).await.payload.len(), 5);
        raw.send(WINDOW_UPDATE, 0, 1, &7_u32.to_be_bytes()).await;
        assert_eq!(raw.next_of(&[DATA]).await.payload.len(), 7);
        raw.send(WINDOW_UPDATE, 0, 1, &200_000_u32.to_be_bytes()).await;
        raw.send(WINDOW_UPDATE, 0, 0, &200_000_u32.to_be_bytes()).await;
        let mut received = 12;
        loop {
            let data = raw.next_of(&[DATA]).await;
            received += data.payload.len();
            if data.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(received, 100_000);
    });
}

/// A stream whose client gives no window holds one piece, and says so.
#[test]
fn little_is_held_for_a_client_that_takes_nothing() {
    run(async {
        let held = Rc::new(Cell::new(0));
        let seen = held.clone();
        let (socket, _, _) = connect(Http2Settings::downstream(), move |mut request: Request| {
            let seen = seen.clone();
            async move {
                let head = ResponseHead { status: 200, ..ResponseHead::default() };
                request.stream.start(b"d", &head, Announced::Open, Last::No);
                let body = vec![b'r'; 1 << 20];
                let mut taken = 0;
                poll_fn(|cx| {
                    while let Poll::Ready(sent) = request.stream.poll_send(cx, Data::Slice(&body)) {
                        taken += sent.unwrap();
                    }
                    Poll::Ready(())
                })
                .await;
                assert_eq!(request.stream.waiting_capacity(), taken);
                assert!(!request.stream.is_flushed());
                seen.set(taken);
                wait(request).await;
            }
        })
        .await;
        let mut raw = RawClient::greet(socket, &[(4, 0)]).await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        raw.next_of(&[HEADERS]).await;
        until(|| held.get() > 0).await;
        assert!(held.get() <= 64 * 1024, "{}", held.get());
    });
}

/// Window a byte at a time makes us send a byte at a time: so many are borne.
#[test]
fn window_drips_are_bounded() {
    run(async {
        let (socket, log, _) = connect(Http2Settings::downstream(), |mut request: Request| async move {
            let _ = request.answer(&vec![b'r'; 1 << 20], &[]).await;
        })
        .await;
        let mut raw = RawClient::greet(socket, &[(4, 0)]).await;
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        let drip = frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
        let code = raw.flood(|_| drip.repeat(100), 10_000).await;
        assert_eq!(code, Some(ENHANCE_YOUR_CALM));
        until(|| log.fault() != "open").await;
        assert_eq!(log.fault(), "window_update");
    });
}

/// A client that reads nothing at all is known to.
#[test]
fn a_socket_that_takes_nothing_is_seen() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), |mut request: Request| async move {
            let _ = request.answer(&vec![b'r'; 64 << 20], &[]).await;
        })
        .await;
        let whole = (1_u32 << 31) - 1;
        let mut raw = RawClient::greet(socket, &[(4, whole)]).await;
        raw.send(WINDOW_UPDATE, 0, 0, &(whole - 65_535).to_be_bytes()).await;
        assert!(connection.borrow().stuck_since().is_none());
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, GET).await;
        until(|| connection.borrow().stuck_since().is_some()).await;
        drop(raw);
        until(|| log.fault() != "open" && log.open.get() == 0).await;
    });
}

#[test]
fn a_head_that_is_not_whole_is_seen() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), ok).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        raw.send(HEADERS, END_STREAM, 1, GET).await;
        until(|| connection.borrow().head_since().is_some()).await;
        raw.send(CONTINUATION, END_HEADERS, 1, b"").await;
        until(|| log.accepted.get() == 1).await;
        assert!(connection.borrow().head_since().is_none());
    });
}
