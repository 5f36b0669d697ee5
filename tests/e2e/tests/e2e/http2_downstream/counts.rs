//! What metrics and logs say of HTTP/2.

use serde_json::json;
use sidegate_harness::{Call, Ending, Frame, Frames, H2Client, Origin, Proxy, Signal, flag, kind, until};

use super::{Said, config, series, with};

#[test]
fn requests_and_streams_are_counted() {
    let origin = Origin::echo();
    let said = Said::new();
    let proxy = Proxy::start(&said.in_config(config(&origin)));
    let client = H2Client::connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.call(&Call::post("/counted", "hello")).status(), 200);
    }
    let expected = [
        ("downstream_connection_total", 1),
        ("downstream_connection_active", 1),
        ("downstream_request_total", 3),
        ("downstream_request_200_total", 3),
        ("downstream_request_active", 0),
        ("downstream_http2_streams_total", 3),
        ("downstream_http2_resets_sent_total", 0),
        ("downstream_http2_heads_refused_total", 0),
    ];
    for (name, value) in expected {
        until(name, || (series(&proxy, name) == value).then_some(()));
    }
    // Bytes are those of the wire: more than the three bodies, both ways.
    for name in ["downstream_bytes_read_total", "downstream_bytes_write_total"] {
        until(name, || (series(&proxy, name) > 3 * (9 + 5)).then_some(()));
    }
    assert!(said.of("/counted").starts_with("HTTP/2 5 "));
}

/// No log has those; a counter does.
#[test]
fn heads_that_the_crate_resets_are_counted() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin));
    let mut frames = Frames::connect(proxy.address());
    for stream in [1, 3] {
        frames.request(stream, flag::END_STREAM, "GET", "/", &[("connection", "close")]);
        frames.ending(stream);
    }
    frames.request(5, flag::END_STREAM, "GET", "/", &[]);
    frames.ending(5);
    for (name, value) in [
        ("downstream_http2_streams_total", 3),
        ("downstream_http2_heads_refused_total", 2),
        ("downstream_http2_resets_sent_total", 2),
        ("downstream_request_total", 1),
    ] {
        until(name, || (series(&proxy, name) == value).then_some(()));
    }
}

/// The crate warns of each of these frames.
#[test]
fn a_client_does_not_write_the_log() {
    let origin = Origin::echo();
    let mut proxy = Proxy::start(&config(&origin));
    let mut frames = Frames::connect(proxy.address());
    for number in 0..20_u64 {
        frames.send(&Frame::new(kind::PING, flag::ACK, 0, number.to_be_bytes()));
    }
    frames.request(1, flag::END_STREAM, "GET", "/", &[]);
    assert_eq!(frames.ending(1), Ending::Answered(200));
    drop(frames);
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_exit().success());
    let log = proxy.logs();
    assert!(log.contains("running") && !log.contains("PING"), "{log}");
}

/// What is wrong with some streams bounds the pace of a connection, not its
/// life, which others share.
#[test]
fn a_connection_outlives_many_streams_that_were_refused() {
    let origin = Origin::echo();
    let options = json!({"frame_limits": {"provoked_resets": {"burst": 10_000}}});
    let proxy = Proxy::start(&with(&origin, options));
    let mut frames = Frames::connect(proxy.address());
    for number in 0..1500 {
        let stream = 2 * number + 1;
        frames.request(stream, flag::END_STREAM, "GET", "/", &[("connection", "close")]);
        assert!(matches!(frames.ending(stream), Ending::Reset(_)), "{number}");
    }
    frames.request(3001, flag::END_STREAM, "GET", "/", &[]);
    assert_eq!(frames.ending(3001), Ending::Answered(200));
}
