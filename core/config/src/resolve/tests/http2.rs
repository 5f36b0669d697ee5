//! Protocols of both sides, and settings of HTTP/2.

use std::time::Duration;

use sidegate_api::{FrameLimit, FrameLimits, Http2Settings, KeepAlive, Spoken};
use sidegate_router::RouteAction;

use super::support::{BASE, lines, load, varied};
use crate::Config;

fn loaded(text: &str) -> Config {
    load(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn with_proxy(more: &str) -> String {
    varied("{router_config_name: r}", &format!("{{router_config_name: r, {more}}}"))
}

#[test]
fn what_clients_speak_is_one_name_or_a_list() {
    for (said, spoken, warning) in [
        ("''", Spoken::Http1, None),
        ("Http1", Spoken::Http1, None),
        ("Http2", Spoken::Http2, None),
        ("Auto", Spoken::Auto, None),
        ("'Http1,Http2'", Spoken::Auto, None),
        ("'Http2 , Http1'", Spoken::Auto, None),
        ("'Http2,Http2'", Spoken::Http2, None),
        ("'Auto,Http1'", Spoken::Auto, None),
        ("'Http2,bolt,dubbo'", Spoken::Http2, Some("not served here: bolt, dubbo; found string \"Http2,bolt,dubbo\"")),
        ("'X,Http1'", Spoken::Http1, Some("not served here: X; found string \"X,Http1\"")),
    ] {
        let config = loaded(&with_proxy(&format!("downstream_protocol: {said}")));
        assert_eq!(config.listeners[0].downstream, spoken, "{said}");
        let found: Vec<&str> = config.warnings.iter().map(|warning| &*warning.message).collect();
        assert_eq!(found, Vec::from_iter(warning), "{said}");
    }
    assert_eq!(loaded(BASE).listeners[0].downstream, Spoken::Http1);
}

#[test]
fn the_key_that_mosn_never_reads_is_warned_about_where_it_would_matter() {
    for (downstream, upstream, warns) in [
        ("Http1", "Http1", false),
        ("Http2", "Http2", false),
        ("Auto", "Auto", false),
        ("Http2", "Auto", false),
        ("Http1", "''", false),
        ("Http1", "Http2", true),
        ("Http2", "Http1", true),
        ("Auto", "Http1", true),
        ("Http1", "X", true),
    ] {
        let config = with_proxy(&format!("downstream_protocol: {downstream}, upstream_protocol: {upstream}"));
        let warnings = lines(&loaded(&config).warnings);
        assert_eq!(warnings.len(), usize::from(warns), "{downstream} {upstream}: {warnings:?}");
        assert!(
            warnings.iter().all(|line| line.contains(".upstream_protocol: ignored here, as in MOSN")),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_hosts_are_spoken_to_in_is_of_the_route_or_else_of_the_cluster() {
    let of_route = |config: &Config| match &config.routers[0].routes()[0].action() {
        RouteAction::Forward(forward) => forward.upstream_protocol,
        other => panic!("{other:?}"),
    };
    let config = loaded(BASE);
    assert_eq!((of_route(&config), config.clusters[0].upstream_protocol), (None, Spoken::Auto));
    for (said, spoken) in
        [("''", None), ("Http1", Some(Spoken::Http1)), ("Http2", Some(Spoken::Http2)), ("Auto", Some(Spoken::Auto))]
    {
        let config = loaded(&varied("cluster_name: c}", &format!("cluster_name: c, upstream_protocol: {said}}}")));
        assert_eq!((of_route(&config), config.warnings.len()), (spoken, 0), "{said}");
        let config = loaded(&varied("  - name: c\n", &format!("  - name: c\n    upstream_protocol: {said}\n")));
        assert_eq!(config.clusters[0].upstream_protocol, spoken.unwrap_or(Spoken::Auto), "{said}");
    }
}

const EVERYTHING: &str = "{max_concurrent_streams: 1, initial_stream_window_size: 2147483647, \
    initial_connection_window_size: 2147483647, max_frame_size: 16777215, max_header_list_size: 16777216, \
    connection_keepalive: {interval: 1m}, max_connection_duration: 2h, \
    frame_limits: {resets: {burst: 4}, provoked_resets: {per_second: 5}, pings: {burst: 6, per_second: 7}, \
    settings: {burst: 8}, other: {burst: 9}, window_updates: {burst: 10}, empty_data: {per_second: 0}, headers: {burst: 12}, continuations: 11}}";

fn everything(default: Http2Settings) -> Http2Settings {
    let frames = FrameLimits::new();
    Http2Settings {
        max_concurrent_streams: 1,
        stream_window: 2_147_483_647,
        connection_window: 2_147_483_647,
        max_frame_size: 16_777_215,
        max_header_list_bytes: 16_777_216,
        keepalive: Some(KeepAlive { interval: Duration::from_secs(60), timeout: Duration::from_secs(20) }),
        max_age: Some(Duration::from_secs(7200)),
        age_grace: default.age_grace,
        frames: FrameLimits {
            resets: FrameLimit { burst: 4, ..frames.resets },
            provoked_resets: FrameLimit { per_second: 5, ..frames.provoked_resets },
            pings: FrameLimit { burst: 6, per_second: 7 },
            settings: FrameLimit { burst: 8, ..frames.settings },
            other: FrameLimit { burst: 9, ..frames.other },
            window_updates: FrameLimit { burst: 10, ..frames.window_updates },
            empty_data: FrameLimit { per_second: 0, ..frames.empty_data },
            headers: FrameLimit { burst: 12, ..frames.headers },
            continuations: 11,
        },
    }
}

#[test]
fn every_setting_of_http2_is_read_on_both_sides() {
    let config = loaded(&with_proxy(&format!("downstream_protocol: Http2, http2_protocol_options: {EVERYTHING}")));
    assert_eq!(config.listeners[0].http2, everything(Http2Settings::downstream()));
    assert_eq!(lines(&config.warnings), [""; 0]);
    let cluster = format!("  - name: c\n    http2_protocol_options: {EVERYTHING}\n");
    let config = loaded(&varied("  - name: c\n", &cluster));
    assert_eq!(config.clusters[0].http2, everything(Http2Settings::upstream()));
    // What is not said is safe at the edge.
    let config = loaded(BASE);
    assert_eq!(config.listeners[0].http2, Http2Settings::downstream());
    assert_eq!(config.clusters[0].http2, Http2Settings::upstream());
    let config =
        loaded(&with_proxy("downstream_protocol: Http2, http2_protocol_options: {max_connection_duration: 0}"));
    assert_eq!(config.listeners[0].http2, Http2Settings::downstream());
    let config =
        loaded(&with_proxy("downstream_protocol: Http2, http2_protocol_options: {max_connection_duration_grace: 3s}"));
    assert_eq!(config.listeners[0].http2.age_grace, Duration::from_secs(3));
    // What large heads take in frames follows from their size.
    let config = loaded(&with_proxy(
        "downstream_protocol: Auto, http2_protocol_options: {max_header_list_size: 1048576, frame_limits: {}}",
    ));
    assert_eq!(config.listeners[0].http2.frames.continuations, 80);
}

#[test]
fn settings_without_effect_are_warned_about() {
    let warnings = |text: &str| lines(&loaded(text).warnings);
    let options = "servers[0].listeners[0].filter_chains[0].filters[0].config.http2_protocol_options";
    assert_eq!(
        warnings(&with_proxy("http2_protocol_options: {max_concurrent_streams: 5}")),
        [format!("c.yaml:18:65: {options}: `downstream_protocol` is Http1, so no client speaks HTTP/2 here")]
    );
    assert_eq!(
        warnings(&with_proxy(
            "downstream_protocol: Http2, http2_protocol_options: {initial_stream_window_size: 2000000}"
        )),
        [format!(
            "c.yaml:18:122: {options}.initial_stream_window_size: no stream gets more than its connection has; \
             `initial_connection_window_size` is 1048576, found number 2000000"
        )]
    );
    let cluster = |spoken| format!("  - name: c\n    upstream_protocol: {spoken}\n    http2_protocol_options: {{}}\n");
    let warned = warnings(&varied("  - name: c\n", &cluster("Http1")));
    assert!(matches!(&warned[..], [line] if line.contains("`upstream_protocol` is Http1")), "{warned:?}");
    for spoken in ["Http2", "Auto"] {
        assert_eq!(warnings(&varied("  - name: c\n", &cluster(spoken))), [""; 0], "{spoken}");
    }
    for fine in [
        "downstream_protocol: Http2, extend_config: {http2_use_stream: true}",
        "downstream_protocol: Auto, extend_config: {Http2: {http2_use_stream: false}, Http1: {max_header_size: 9000}}",
        "downstream_protocol: Auto, http2_protocol_options: {}",
    ] {
        assert_eq!(warnings(&with_proxy(fine)), [""; 0], "{fine}");
    }
}
