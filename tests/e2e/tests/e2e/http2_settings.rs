//! What the configuration says of HTTP/2 is what peers are told, and what a
//! reload makes of it.

use std::net::TcpListener;

use serde_json::{Value, json};
use sidegate_harness::{
    ConfigBuilder, Frames, H2Client, H2Origin, Origin, Proxy, ProxyOptions, Reply, TempDir, Wire, binary, kind,
    repository, run, setting, sidegate, until,
};

/// The settings of a SETTINGS frame.
fn announced(payload: &[u8]) -> Vec<(u16, u32)> {
    let each = payload.chunks_exact(6);
    each.map(|pair| (u16::from_be_bytes([pair[0], pair[1]]), u32::from_be_bytes(pair[2..6].try_into().unwrap())))
        .collect()
}

/// What the peer says at once: its settings, and how much window a connection
/// gets beyond the first 65,535 bytes.
fn greeting(peer: &mut Frames) -> (Vec<(u16, u32)>, u32) {
    let settings = peer.next_of(|frame| frame.kind == kind::SETTINGS && frame.flags == 0).unwrap();
    let window = peer.next_of(|frame| frame.kind == kind::WINDOW_UPDATE && frame.stream == 0).unwrap();
    (announced(&settings.payload), u32::from_be_bytes(window.payload.try_into().unwrap()))
}

#[track_caller]
fn says(settings: &[(u16, u32)], wanted: &[(u16, u32)]) {
    for pair in wanted {
        assert!(settings.contains(pair), "{pair:?} is not among {settings:?}");
    }
}

#[test]
fn clients_are_told_what_is_configured_and_a_reload_changes_it_for_new_connections() {
    let origin = Origin::echo();
    let config = |streams: u32| {
        ConfigBuilder::to(origin.address()).in_proxy("downstream_protocol", json!("Http2")).in_proxy(
            "http2_protocol_options",
            json!({
                "max_concurrent_streams": streams,
                "initial_stream_window_size": 100_000,
                "initial_connection_window_size": 200_000,
                "max_frame_size": 20_000,
                "max_header_list_size": 5000,
            }),
        )
    };
    let mut proxy = Proxy::start(&config(7));
    let mut first = Frames::connect(proxy.address());
    let (settings, window) = greeting(&mut first);
    says(
        &settings,
        &[
            (setting::MAX_CONCURRENT_STREAMS, 7),
            (setting::INITIAL_WINDOW_SIZE, 100_000),
            (setting::MAX_FRAME_SIZE, 20_000),
            (setting::MAX_HEADER_LIST_SIZE, 5000),
        ],
    );
    assert_eq!(window, 200_000 - 65_535);
    let answer = proxy.reload(&config(9));
    assert_eq!(answer["changes"]["listeners"]["changed"][0]["what"], json!([{"part": "http2_protocol_options"}]));
    // Who is connected stays so.
    assert!(first.is_alive());
    says(&greeting(&mut Frames::connect(proxy.address())).0, &[(setting::MAX_CONCURRENT_STREAMS, 9)]);
}

#[test]
fn without_a_word_the_settings_are_safe() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_proxy("downstream_protocol", json!("Auto")));
    let (settings, window) = greeting(&mut Frames::connect(proxy.address()));
    let wanted = [
        (setting::MAX_CONCURRENT_STREAMS, 100),
        (setting::INITIAL_WINDOW_SIZE, 256 * 1024),
        (setting::MAX_HEADER_LIST_SIZE, 64 * 1024),
    ];
    says(&settings, &wanted);
    // 16,384 goes without saying.
    assert!(settings.iter().all(|(name, value)| *name != setting::MAX_FRAME_SIZE || *value == 16_384), "{settings:?}");
    assert_eq!(window, 1024 * 1024 - 65_535);
}

#[test]
fn hosts_are_told_what_is_configured() {
    for (options, wanted, more_window) in [
        (
            json!({
                "initial_stream_window_size": 300_000,
                "initial_connection_window_size": 400_000,
                "max_frame_size": 30_000,
                "max_header_list_size": 9000,
            }),
            &[
                (setting::ENABLE_PUSH, 0),
                (setting::INITIAL_WINDOW_SIZE, 300_000),
                (setting::MAX_FRAME_SIZE, 30_000),
                (setting::MAX_HEADER_LIST_SIZE, 9000),
            ][..],
            400_000 - 65_535,
        ),
        (
            json!({}),
            &[
                (setting::ENABLE_PUSH, 0),
                (setting::INITIAL_WINDOW_SIZE, 1024 * 1024),
                (setting::MAX_HEADER_LIST_SIZE, 64 * 1024),
            ],
            16 * 1024 * 1024 - 65_535,
        ),
    ] {
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = ConfigBuilder::to(host.local_addr().unwrap())
            .in_cluster("upstream_protocol", json!("Http2"))
            .in_cluster("http2_protocol_options", options);
        let proxy = Proxy::start(&config);
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (stream, _) = host.accept().unwrap();
        let mut peer = Frames::serve(Wire::over(stream), &[]).unwrap();
        let (settings, window) = greeting(&mut peer);
        says(&settings, wanted);
        assert_eq!(window, more_window);
    }
}

#[test]
fn the_protocol_of_a_listener_and_a_cluster_changes_while_it_runs() {
    let (one, two) = (Origin::http(|_| Reply::ok("over 1")), H2Origin::http(|_| Reply::ok("over 2")));
    let config = |down: &str, up: &str, origin| {
        ConfigBuilder::to(origin)
            .in_proxy("downstream_protocol", json!(down))
            .in_cluster("upstream_protocol", json!(up))
            .in_listener(
                "access_logs",
                json!([{"log_path": "access.log", "log_format": "%protocol% %upstream_protocol%"}]),
            )
    };
    let mut proxy = Proxy::start(&config("Http1", "Http1", one.address()));
    let mut old = proxy.connect();
    let mut ask = || old.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().text();
    assert_eq!(ask(), "over 1");
    let answer = proxy.reload(&config("Http2", "Http2", two.address()));
    let lines = answer["changes"]["lines"].to_string();
    assert!(lines.contains("downstream_protocol") && lines.contains("http"), "{lines}");
    // A connection goes on in what it began with; its requests take the new way.
    assert_eq!(ask(), "over 2");
    assert_eq!(H2Client::connect(proxy.address()).get("/").text(), "over 2");
    until("the lines", || (proxy.access_log_text().lines().count() == 3).then_some(()));
    assert_eq!(proxy.access_log_text(), "HTTP/1.1 HTTP/1.1\nHTTP/1.1 HTTP/2\nHTTP/2 HTTP/2\n");
}

/// Whatever a client sends in HTTP/1 to who speaks HTTP/2 alone.
#[test]
fn a_listener_of_http2_alone_ends_other_connections() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Http2"))
        .in_cluster("upstream_protocol", json!("Http1"));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until_close();
    assert_eq!(origin.count(), 0);
    assert_eq!(H2Client::connect(proxy.address()).get("/").status(), 200);
}

/// Without pings a host that is gone without a word is found by the requests
/// that it does not answer; those after them do not wait for it.
#[test]
fn a_connection_that_stays_silent_gets_no_further_request() {
    let origin = H2Origin::scripted(|exchange| {
        if exchange.seen.head.target() == "/silence" {
            exchange.wait_reset()?;
            return Ok(());
        }
        exchange.finish()?;
        exchange.reply(&Reply::ok("here"))
    });
    let config = ConfigBuilder::to(origin.address())
        .in_cluster("upstream_protocol", json!("Http2"))
        .timeout("response", "300ms");
    let options = ProxyOptions { workers: Some(1), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&config, &options);
    // The second one: by now the host has said all that it says by itself.
    for _ in 0..2 {
        assert_eq!(proxy.get("/").text(), "here");
    }
    assert_eq!((proxy.get("/silence").status(), origin.connections()), (504, 1));
    assert_eq!((proxy.get("/").text(), origin.connections()), ("here".to_owned(), 2));
    until("the first one is closed", || (origin.open_connections() == 1).then_some(()));
}

#[test]
fn the_example_with_http2_on_both_sides_runs() {
    let origin = H2Origin::echo();
    let text = std::fs::read_to_string(repository().join("docs/examples/http2.json")).unwrap();
    let dir = TempDir::new();
    let file = dir.write("checked.json", &text);
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{}", outcome.output());
    let moved = text
        .replace("127.0.0.1:8080", &origin.address().to_string())
        .replace("127.0.0.1:2046", "127.0.0.1:0")
        .replace("34901", "0");
    let file = dir.write("config.json", moved);
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    let response = H2Client::connect(proxy.listener("ingress")).get("/a");
    let seen: Value = response.json();
    assert_eq!((response.status(), &seen["target"]), (200, &json!("/a")));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn check_against_says_what_would_change() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address());
    let proxy = Proxy::start(&config);
    let changed = config
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_cluster("http2_protocol_options", json!({"max_concurrent_streams": 5}));
    let file = proxy.dir().write("new.json", changed.build(proxy.dir().path()).to_string());
    let outcome = run(std::process::Command::new(binary())
        .arg("check")
        .arg("-c")
        .arg(&file)
        .arg("--against")
        .arg(proxy.admin().to_string()));
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    for line in ["~ listener main: downstream_protocol", "~ cluster origin: connections"] {
        assert!(outcome.stdout.lines().any(|found| found == line), "{line} is not in {}", outcome.stdout);
    }
}
