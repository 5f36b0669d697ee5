//! What a few bytes of a client make the proxy hold.

use sidegate_harness::{
    ConfigBuilder, Ending, Frame, Frames, Origin, Proxy, Reply, block, flag, kind, literal, setting,
};

use super::{TO_H1, assert_serves, echo, proxy, rude};

const MIB: usize = 1 << 20;

/// Grown memory in MiB, once the proxy has dealt with all that `client` sent.
fn grown(proxy: &Proxy, before: usize) -> usize {
    proxy.resident_bytes().saturating_sub(before) / MIB
}

fn warm(proxy: &Proxy) -> usize {
    for _ in 0..20 {
        assert_serves(proxy, "before");
    }
    proxy.resident_bytes()
}

/// A field of 4 kB in the dynamic table, and then references to it of a byte
/// each: 64 MiB that came as 20 kB.
#[test]
fn references_to_a_large_field_do_not_grow_into_one_head() {
    let (origin, proxy) = echo();
    let before = warm(&proxy);
    for _ in 0..20 {
        let mut client = rude(&proxy);
        let own = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/bomb")]);
        let mut bomb = [own, literal(b"x-bomb", "y".repeat(4000).as_bytes(), true)].concat();
        bomb.extend(std::iter::repeat_n(0x80 | 62, 12_000));
        client.send(&Frame::headers(1, flag::END_STREAM, bomb));
        match client.ending(1) {
            Ending::Answered(431) | Ending::Reset(_) | Ending::GoneAway(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(grown(&proxy, before) < 8, "{} MiB for 20 bombs of 16 kB", grown(&proxy, before));
    assert!(origin.seen().iter().all(|seen| seen.head.target() != "/bomb"));
    assert_serves(&proxy, "after the bombs");
}

/// Thousands of fields, of which each costs the receiver more than it is long;
/// and a cookie in as many crumbs.
#[test]
fn thousands_of_tiny_fields_are_refused() {
    for name in ["a", "cookie"] {
        let (origin, proxy) = echo();
        let before = warm(&proxy);
        for _ in 0..20 {
            let mut client = rude(&proxy);
            let own = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/bomb")]);
            let mut bomb = [own, literal(name.as_bytes(), b"", true)].concat();
            bomb.extend(std::iter::repeat_n(0x80 | 62, 15_000));
            client.send(&Frame::headers(1, flag::END_STREAM, bomb));
            match client.ending(1) {
                Ending::Answered(431) | Ending::Reset(_) | Ending::GoneAway(_) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
        assert!(grown(&proxy, before) < 8, "{name}: {} MiB", grown(&proxy, before));
        assert!(origin.seen().iter().all(|seen| seen.head.target() != "/bomb"), "{name}");
    }
}

/// A hundred connections that each begin a head and leave it.
#[test]
fn heads_that_never_end_hold_little() {
    let (_origin, proxy) = echo();
    let before = warm(&proxy);
    let field = block(&[("x", "y".repeat(15_000))]);
    let mut held: Vec<Frames> = Vec::new();
    for _ in 0..100 {
        let mut client = rude(&proxy);
        let own = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")]);
        client.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, own));
        client.send(&Frame::new(kind::CONTINUATION, 0, 1, field.clone()));
        held.push(client);
    }
    assert_serves(&proxy, "beside them");
    // 15 kB each were sent.
    assert!(grown(&proxy, before) < 15, "{} MiB for 1.5 MB", grown(&proxy, before));
}

/// Ten connections of a hundred streams each ask for 10 MiB and take nothing.
#[test]
fn windows_of_nothing_hold_little() {
    let origin = Origin::http(|_| Reply::ok(vec![b'x'; 10 * MIB]));
    let config = TO_H1.run(|| ConfigBuilder::to(origin.address()));
    let proxy = TO_H1.run(|| proxy(&config));
    let before = proxy.resident_bytes();
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = Frames::connect_with(proxy.address(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        for number in 0..50 {
            client.request(2 * number + 1, flag::END_STREAM, "GET", "/large", &[]);
        }
        held.push(client);
    }
    origin.wait("all requests", |origin| origin.count() == 250);
    // All heads come, and no byte of the bodies.
    for client in &mut held {
        for _ in 0..50 {
            client.next_of(|frame| frame.kind == kind::HEADERS).unwrap();
        }
        assert!(client.is_alive());
    }
    let held_bytes = proxy.resident_bytes().saturating_sub(before);
    assert!(held_bytes < 250 * 160 * 1024, "{} KiB a stream", held_bytes / 1024 / 250);
}

/// Uploads to a host that takes nothing: what a connection may have held is
/// its window, however many streams it opens.
#[test]
fn uploads_to_a_host_that_takes_nothing_are_stopped_by_the_window() {
    let origin = Origin::scripted(|connection| {
        connection.head()?;
        connection.read_head().map(drop)
    });
    let config = TO_H1.run(|| ConfigBuilder::to(origin.address()));
    let proxy = TO_H1.run(|| proxy(&config));
    let before = proxy.resident_bytes();
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = rude(&proxy);
        let mut sent = 0;
        for number in 0..20 {
            client.request(2 * number + 1, 0, "POST", "/stall", &[("content-length", "1000000")]);
        }
        // Within the windows that the proxy gave: 64 KiB of the connection to begin with, and what it adds.
        let mut window = 65_535_usize;
        let mut turn = 0;
        while sent + 16_384 <= window && sent < 4 * MIB {
            client.send(&Frame::data(2 * (turn % 20) + 1, 0, vec![b'x'; 16_384]));
            sent += 16_384;
            turn += 1;
            if sent + 16_384 > window {
                while let Some(more) = window_update(&mut client) {
                    window += more;
                }
            }
        }
        held.push(client);
    }
    let held_bytes = proxy.resident_bytes().saturating_sub(before);
    assert!(held_bytes < 5 * 3 * MIB, "{} KiB a connection", held_bytes / 1024 / 5);
}

/// What the proxy adds to the connection's window until it answers a PING.
fn window_update(client: &mut Frames) -> Option<usize> {
    client.send(&Frame::ping(7));
    let mut added = None;
    client
        .next_of(|frame| {
            if frame.kind == kind::WINDOW_UPDATE && frame.stream == 0 {
                let bytes = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                added = Some(added.unwrap_or(0) + bytes as usize);
            }
            frame.kind == kind::PING && frame.has(flag::ACK)
        })
        .unwrap();
    added
}
