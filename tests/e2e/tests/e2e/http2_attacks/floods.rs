//! Floods of frames that cost the sender nothing: each connection that sends
//! one ends with GOAWAY, its kind is counted, memory stays, others are served.

use sidegate_harness::{Frame, block, code, flag, kind, until};

use super::{assert_serves, echo, metric, rude};

/// What resident memory may grow by in a flood, whatever it is: what a hundred
/// streams take and the allocator keeps. It does not grow with more floods.
const ROOM: usize = 16 << 20;

struct Flood {
    name: &'static str,
    /// What a turn sends.
    frames: fn(u32) -> Vec<Frame>,
    turns: u32,
    /// What it is counted as; any of them.
    kinds: &'static [&'static str],
}

fn get(stream: u32, flags: u8) -> Frame {
    Frame::headers(
        stream,
        flags,
        block(&[(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/flood")]),
    )
}

fn stream(turn: u32) -> u32 {
    2 * turn + 1
}

/// Runs a flood, and says what of it was not as it should be.
fn judge(flood: &Flood) -> Result<(), String> {
    let (_origin, proxy) = echo();
    assert_serves(&proxy, "before");
    let before = proxy.resident_bytes();
    let mut client = rude(&proxy);
    let taken = client.flood(flood.frames, flood.turns);
    let ended = client.next_of(|frame| frame.kind == kind::GOAWAY && frame.code() != Some(code::NO_ERROR));
    let ended = ended.map_err(|why| format!("after {taken} of {} turns no GOAWAY: {why}", flood.turns))?;
    let grown = proxy.resident_bytes().saturating_sub(before);
    if grown > ROOM {
        return Err(format!("{grown} bytes of memory more"));
    }
    let families: Vec<String> =
        flood.kinds.iter().map(|kind| format!("downstream_http2_refused_{kind}_total")).collect();
    until(&format!("{}: one of {families:?} (GOAWAY was {:?})", flood.name, ended.code()), || {
        (families.iter().map(|family| metric(&proxy, family)).sum::<f64>() == 1.0).then_some(())
    });
    assert_serves(&proxy, flood.name);
    Ok(())
}

#[track_caller]
fn run(floods: &[Flood]) {
    let mut wrong = Vec::new();
    for flood in floods {
        if let Err(why) = judge(flood) {
            wrong.push(format!("- {}: {why}", flood.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} floods went wrong:\n{}", wrong.len(), floods.len(), wrong.join("\n"));
}

#[test]
fn rapid_resets() {
    run(&[
        Flood {
            name: "HEADERS and RST_STREAM",
            frames: |turn| vec![get(stream(turn), flag::END_STREAM), Frame::reset(stream(turn), code::CANCEL)],
            turns: 10_000,
            kinds: &["reset"],
        },
        Flood {
            name: "HEADERS with a body to come, and RST_STREAM",
            frames: |turn| vec![get(stream(turn), 0), Frame::reset(stream(turn), code::CANCEL)],
            turns: 10_000,
            kinds: &["reset"],
        },
        Flood {
            name: "RST_STREAM of a stream that ended long ago",
            frames: |turn| match turn {
                0 => vec![get(1, flag::END_STREAM)],
                _ => vec![Frame::reset(1, code::CANCEL)],
            },
            turns: 10_000,
            kinds: &["reset", "protocol"],
        },
    ]);
}

/// The client has us do the resetting (CVE-2025-8671).
#[test]
fn provoked_resets() {
    run(&[
        Flood {
            name: "WINDOW_UPDATE by nothing",
            frames: |turn| vec![get(stream(turn), flag::END_STREAM), Frame::window_update(stream(turn), 0)],
            turns: 10_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "WINDOW_UPDATE beyond the largest window",
            frames: |turn| vec![get(stream(turn), flag::END_STREAM), Frame::window_update(stream(turn), 0x7fff_ffff)],
            turns: 10_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "DATA after the end of the stream",
            frames: |turn| vec![get(stream(turn), flag::END_STREAM), Frame::data(stream(turn), 0, "x")],
            turns: 10_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "HEADERS after the end of the stream",
            frames: |turn| vec![get(stream(turn), flag::END_STREAM), get(stream(turn), flag::END_STREAM)],
            turns: 10_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "PRIORITY of a stream on itself",
            frames: |turn| {
                let depends = [stream(turn).to_be_bytes().as_slice(), &[15]].concat();
                vec![get(stream(turn), flag::END_STREAM), Frame::new(kind::PRIORITY, 0, stream(turn), depends)]
            },
            turns: 10_000,
            kinds: &["provoked_reset", "protocol", "other"],
        },
        Flood {
            name: "PRIORITY of a wrong length",
            frames: |turn| vec![get(stream(turn), 0), Frame::new(kind::PRIORITY, 0, stream(turn), [0; 4])],
            turns: 10_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "a body longer than announced",
            frames: |turn| {
                let fields = [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":authority", "test"),
                    (":path", "/"),
                    ("content-length", "1"),
                ];
                vec![Frame::headers(stream(turn), 0, block(&fields)), Frame::data(stream(turn), 0, "xx")]
            },
            turns: 10_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "heads that are no requests",
            frames: |turn| {
                let fields = [
                    (":method", "GET"),
                    (":scheme", "http"),
                    (":authority", "test"),
                    (":path", "/"),
                    ("connection", "close"),
                ];
                vec![Frame::headers(stream(turn), flag::END_STREAM, block(&fields))]
            },
            turns: 20_000,
            kinds: &["provoked_reset", "protocol"],
        },
        Flood {
            name: "more streams than are allowed",
            frames: |turn| vec![get(stream(turn), 0)],
            turns: 20_000,
            kinds: &["provoked_reset", "protocol"],
        },
    ]);
}

#[test]
fn continuations() {
    fn open(turn: u32) -> Option<Vec<Frame>> {
        let head = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")]);
        (turn == 0).then(|| vec![Frame::new(kind::HEADERS, flag::END_STREAM, 1, head)])
    }
    run(&[
        Flood {
            name: "CONTINUATION without bytes",
            frames: |turn| open(turn).unwrap_or_else(|| vec![Frame::new(kind::CONTINUATION, 0, 1, [])]),
            turns: 100_000,
            kinds: &["continuation", "protocol"],
        },
        Flood {
            name: "CONTINUATION of a byte",
            frames: |turn| open(turn).unwrap_or_else(|| vec![Frame::new(kind::CONTINUATION, 0, 1, [0x82])]),
            turns: 100_000,
            kinds: &["continuation", "protocol"],
        },
        Flood {
            name: "CONTINUATION as large as it may be",
            frames: |turn| {
                let field = block(&[("a".repeat(1000), "b".repeat(15_000))]);
                open(turn).unwrap_or_else(|| vec![Frame::new(kind::CONTINUATION, 0, 1, field)])
            },
            turns: 10_000,
            kinds: &["continuation", "protocol"],
        },
    ]);
}

#[test]
fn frames_that_carry_nothing() {
    run(&[
        Flood {
            name: "DATA without bytes",
            frames: |turn| match turn {
                0 => vec![get(1, 0)],
                _ => vec![Frame::data(1, 0, "")],
            },
            turns: 100_000,
            kinds: &["empty_data"],
        },
        Flood { name: "PING", frames: |turn| vec![Frame::ping(turn.into())], turns: 100_000, kinds: &["ping"] },
        Flood {
            name: "answers to no PING",
            frames: |turn| vec![Frame::new(kind::PING, flag::ACK, 0, u64::from(turn).to_be_bytes())],
            turns: 100_000,
            kinds: &["ping", "protocol"],
        },
        Flood { name: "SETTINGS", frames: |_| vec![Frame::settings(&[])], turns: 100_000, kinds: &["settings"] },
        Flood {
            name: "SETTINGS that move all windows",
            frames: |turn| vec![Frame::settings(&[(4, 1000 + turn % 2)])],
            turns: 100_000,
            kinds: &["settings"],
        },
        Flood {
            name: "answers to no SETTINGS",
            frames: |_| vec![Frame::new(kind::SETTINGS, flag::ACK, 0, [])],
            turns: 100_000,
            kinds: &["settings", "protocol"],
        },
        Flood {
            name: "PRIORITY",
            frames: |turn| vec![Frame::new(kind::PRIORITY, 0, stream(turn % 1000), [0, 0, 0, 0, 15])],
            turns: 100_000,
            kinds: &["other"],
        },
        Flood {
            name: "frames of a kind that is not known",
            frames: |_| vec![Frame::new(0xbe, 0, 0, [0; 100])],
            turns: 100_000,
            kinds: &["other"],
        },
        Flood {
            name: "WINDOW_UPDATE of the connection by a byte",
            frames: |_| vec![Frame::window_update(0, 1)],
            turns: 100_000,
            kinds: &["window_update"],
        },
    ]);
}

/// A page that is asked for with a window of a byte, and then byte by byte.
#[test]
fn a_window_that_opens_byte_by_byte() {
    let (_origin, proxy) = echo();
    let before = proxy.resident_bytes();
    let mut client = rude(&proxy);
    client.send(&Frame::settings(&[(4, 0)]));
    client.send(&get(1, flag::END_STREAM));
    client.flood(|_| vec![Frame::window_update(1, 1)], 100_000);
    let ended = client.next_of(|frame| frame.kind == kind::GOAWAY || frame.has(flag::END_STREAM) && frame.stream == 1);
    // The reply of some 200 bytes may be through before the bound is reached.
    ended.unwrap_or_else(|why| panic!("neither an end of the reply nor GOAWAY: {why}"));
    assert!(proxy.resident_bytes().saturating_sub(before) < ROOM);
    assert_serves(&proxy, "a window of a byte");
}

/// A flood ends one connection, and its neighbours go on.
#[test]
fn a_hundred_connections_that_flood_leave_the_honest_ones_alone() {
    let (_origin, proxy) = echo();
    let honest = super::honest(&proxy);
    assert_eq!(honest.get("/first").status(), 200);
    let before = proxy.resident_bytes();
    for _ in 0..100 {
        let mut client = rude(&proxy);
        client.flood(|turn| vec![get(stream(turn), flag::END_STREAM), Frame::reset(stream(turn), code::CANCEL)], 1000);
        assert_eq!(honest.get("/meanwhile").status(), 200);
    }
    until("all are counted", || (metric(&proxy, "downstream_http2_refused_reset_total") == 100.0).then_some(()));
    assert!(proxy.resident_bytes().saturating_sub(before) < ROOM);
    assert_eq!(honest.ended(), None);
}
