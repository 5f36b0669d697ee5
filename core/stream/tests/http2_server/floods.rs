//! Clients that send what costs us more than them: each is told to calm down,
//! soon.

use sidegate_api::{FrameLimit, FrameLimits, Http2Settings};

use crate::kit::*;

/// Floods a server whose streams wait; what the client was told, and the fault.
async fn flood(
    settings: Http2Settings,
    first: &[u8],
    next: impl FnMut(u32) -> Vec<u8>,
) -> (Option<u32>, &'static str, usize) {
    use tokio::io::AsyncWriteExt;
    let (socket, log, _) = connect(settings, wait).await;
    let mut raw = RawClient::greet(socket, &[]).await;
    raw.0.write_all(first).await.unwrap();
    let code = raw.flood(next, 200_000).await;
    until(|| log.fault() != "open" && log.open.get() == 0).await;
    (code, log.fault(), log.accepted.get())
}

fn odd(number: u32) -> u32 {
    2 * number + 1
}

#[test]
fn rapid_resets_of_clients() {
    run(async {
        let next = |number| {
            let reset = frame(RST_STREAM, 0, odd(number), &8_u32.to_be_bytes());
            [frame(HEADERS, END_HEADERS | END_STREAM, odd(number), GET), reset].concat()
        };
        let (code, fault, accepted) = flood(Http2Settings::downstream(), b"", next).await;
        assert_eq!((code, fault), (Some(ENHANCE_YOUR_CALM), "reset"));
        assert!(accepted < 1000, "{accepted}");
    });
}

/// The client makes the server do it, by breaking the protocol on each stream.
#[test]
fn rapid_resets_that_are_provoked() {
    run(async {
        let whole = (1_u32 << 31) - 1;
        let overflow = |number| frame(WINDOW_UPDATE, 0, odd(number), &whole.to_be_bytes());
        let zero = |number| frame(WINDOW_UPDATE, 0, odd(number), &0_u32.to_be_bytes());
        let closed = |number| frame(DATA, 0, odd(number), b"after the end");
        type Provoke<'a> = &'a dyn Fn(u32) -> Vec<u8>;
        let kinds: [(&str, u8, Provoke<'_>); 3] = [
            ("overflow", END_HEADERS, &overflow),
            ("zero", END_HEADERS, &zero),
            ("closed", END_HEADERS | END_STREAM, &closed),
        ];
        for (name, flags, provoke) in kinds {
            let next = |number| [frame(HEADERS, flags, odd(number), POST), provoke(number)].concat();
            let (code, fault, accepted) = flood(Http2Settings::downstream(), b"", next).await;
            // Some of this the crate takes for a fault of the connection at once.
            let expected = [Some(ENHANCE_YOUR_CALM), Some(PROTOCOL_ERROR), Some(5)];
            assert!(expected.contains(&code), "{name}: {code:?}");
            assert!(["provoked_reset", "reset", "protocol_error", "stream_closed"].contains(&fault), "{name}: {fault}");
            assert!(accepted < 1000, "{name}: {accepted}");
        }
    });
}

#[test]
fn endless_heads() {
    run(async {
        let first = frame(HEADERS, 0, 1, GET);
        // Literals without index that are never the last.
        let block = [&[0x00, 1, b'x', 1][..], b"y"].concat();
        let next = |_| frame(CONTINUATION, 0, 1, &block);
        let (code, fault, accepted) = flood(Http2Settings::downstream(), &first, next).await;
        assert_eq!((code, fault, accepted), (Some(ENHANCE_YOUR_CALM), "continuation", 0));
    });
}

#[test]
fn empty_continuations() {
    run(async {
        let first = frame(HEADERS, 0, 1, GET);
        let (code, fault, _) = flood(Http2Settings::downstream(), &first, |_| frame(CONTINUATION, 0, 1, b"")).await;
        assert_eq!((code, fault), (Some(ENHANCE_YOUR_CALM), "continuation"));
    });
}

#[test]
fn frames_without_content() {
    run(async {
        let open = frame(HEADERS, END_HEADERS, 1, POST);
        let one = 1_u32.to_be_bytes();
        let priority = [0, 0, 0, 0, 15];
        for (fault, first, flood_frame) in [
            ("ping", &b""[..], frame(PING, 0, 0, b"12345678")),
            ("ping", b"", frame(PING, 1, 0, b"12345678")),
            ("settings", b"", frame(SETTINGS, 0, 0, b"")),
            ("settings", &open, frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
            ("window_update", b"", frame(WINDOW_UPDATE, 0, 0, &one)),
            ("window_update", &open, frame(WINDOW_UPDATE, 0, 1, &one)),
            ("empty_data", &open, frame(DATA, 0, 1, b"")),
            ("other", &open, frame(PRIORITY, 0, 1, &priority)),
            ("other", b"", frame(0x10, 0, 0, b"\0\0\0\x01u=1")),
            ("other", b"", frame(0xbe, 0, 0, b"")),
        ] {
            let (code, named, _) = flood(Http2Settings::downstream(), first, |_| flood_frame.clone()).await;
            assert_eq!((code, named), (Some(ENHANCE_YOUR_CALM), fault), "{flood_frame:?}");
        }
    });
}

/// Padding counts as no content.
#[test]
fn data_of_padding_alone() {
    run(async {
        let open = frame(HEADERS, END_HEADERS, 1, POST);
        let padded = frame(DATA, 8, 1, &[3, 0, 0, 0]);
        let (code, fault, _) = flood(Http2Settings::downstream(), &open, |_| padded.clone()).await;
        assert!(code.is_some(), "{fault}");
    });
}

/// One entry of the table, named again and again: a byte each.
#[test]
fn heads_that_grow_when_they_are_read() {
    run(async {
        let settings = Http2Settings::downstream();
        let (socket, log, connection) = connect(settings, ok).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        // Leaves the table alone.
        let get = &[0x82, 0x86, 0x84, 0x01, 1, b'a'][..];
        // `x: vv…` goes into the table, and stands there as number 62.
        let entry = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'v'; 4000]].concat();
        let some = [get, &entry, &[0xbe; 20]].concat();
        raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &some).await;
        // Over the limit, within reason: RFC 6585 has a status for it.
        let head = raw.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
        assert_eq!((head.kind, head.stream), (HEADERS, 1));
        raw.send(HEADERS, END_HEADERS | END_STREAM, 3, get).await;
        until(|| log.accepted.get() == 1).await;
        assert_eq!(connection.borrow().counts().opened, 2);
        // Out of all proportion.
        let bomb = [get, &[0xbe; 8000]].concat();
        raw.send(HEADERS, END_HEADERS | END_STREAM, 5, &bomb).await;
        let goaway = raw.next_of(&[GOAWAY]).await;
        assert_ne!(goaway.code(), NO_ERROR);
        until(|| log.fault() != "open").await;
    });
}

#[test]
fn games_with_stream_numbers() {
    run(async {
        for (numbers, kind) in [
            (&[2_u32][..], HEADERS),
            (&[0], HEADERS),
            (&[5, 3], HEADERS),
            (&[5, 5], HEADERS),
            (&[7], DATA),
            (&[7], RST_STREAM),
            (&[7], WINDOW_UPDATE),
            (&[0], DATA),
            (&[0], RST_STREAM),
            (&[0], CONTINUATION),
            (&[1], PING),
            (&[1], SETTINGS),
        ] {
            let (socket, log, _) = connect(Http2Settings::downstream(), ok).await;
            let mut raw = RawClient::greet(socket, &[]).await;
            let payload: &[u8] = match kind {
                HEADERS | CONTINUATION => GET,
                RST_STREAM | WINDOW_UPDATE => &[0, 0, 0, 1],
                PING => b"12345678",
                _ => b"",
            };
            for number in numbers {
                let flags = if kind == HEADERS { END_HEADERS | END_STREAM } else { 0 };
                raw.send(kind, flags, *number, payload).await;
            }
            let goaway = raw.next_of(&[GOAWAY, RST_STREAM]).await;
            assert!([PROTOCOL_ERROR, 5].contains(&goaway.code()), "{kind} {numbers:?}: {goaway:?}");
            if goaway.kind == GOAWAY {
                until(|| log.fault() != "open").await;
            }
        }
    });
}

/// The same frames, as honest clients send them.
#[test]
fn honest_clients_pass() {
    run(async {
        let (socket, log, connection) = connect(Http2Settings::downstream(), ok).await;
        let mut raw = RawClient::greet(socket, &[(4, 100_000)]).await;
        let crumb = |number: u32| {
            let value = format!("crumb{number:02}=1");
            [&[0x00, 6][..], b"cookie", &[value.len() as u8], value.as_bytes()].concat()
        };
        let field = |number: u32| {
            let name = format!("x-{number:02}");
            [&[0x00, name.len() as u8][..], name.as_bytes(), &[1, b'v']].concat()
        };
        let block = [GET.to_vec(), (0..90).flat_map(crumb).collect(), (0..15).flat_map(field).collect()].concat();
        for number in 0..500 {
            let stream = odd(number);
            raw.send(PRIORITY, 0, stream, &[0, 0, 0, 0, 15]).await;
            raw.send(HEADERS, 0, stream, &block[..1000]).await;
            raw.send(CONTINUATION, END_HEADERS, stream, &block[1000..]).await;
            raw.send(DATA, 0, stream, b"d").await;
            raw.send(DATA, END_STREAM, stream, b"").await;
            raw.send(PING, 0, 0, b"12345678").await;
            raw.send(WINDOW_UPDATE, 0, 0, &100_u32.to_be_bytes()).await;
            assert_eq!(raw.next_of(&[HEADERS, GOAWAY, RST_STREAM]).await.kind, HEADERS);
            assert_eq!(raw.next_of(&[DATA, GOAWAY, RST_STREAM]).await.kind, DATA);
        }
        until(|| log.closed.get() == 500).await;
        let counts = connection.borrow().counts();
        assert_eq!((counts.opened, counts.resets_sent), (500, 0));
    });
}

#[test]
fn bounds_are_those_of_the_settings() {
    run(async {
        let few = FrameLimit { burst: 3, per_second: 0 };
        let settings =
            Http2Settings { frames: FrameLimits { pings: few, ..FrameLimits::new() }, ..Http2Settings::downstream() };
        let (socket, log, _) = connect(settings, ok).await;
        let mut raw = RawClient::greet(socket, &[]).await;
        for _ in 0..3 {
            raw.send(PING, 0, 0, b"12345678").await;
            raw.next_of(&[PING]).await;
        }
        assert_eq!(log.fault(), "open");
        raw.send(PING, 0, 0, b"12345678").await;
        assert_eq!(raw.next_of(&[PING, GOAWAY]).await.code(), ENHANCE_YOUR_CALM);
    });
}
