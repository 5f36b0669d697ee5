//! Pages of metrics beside the admin interface, and what they leave out.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Message, Origin, Proxy, Wire, until};

fn get(address: SocketAddr, path: &str, fields: &str) -> Message {
    let request = format!("GET {path} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n{fields}\r\n");
    Wire::connect(address).send(request).response()
}

fn sink(more: Value) -> Value {
    let mut config = json!({"port": 0, "address": "127.0.0.1"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"type": "prometheus", "config": config})
}

/// A proxy with these metrics that has served one request.
fn served(metrics: Value) -> (Origin, Proxy) {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("metrics", metrics));
    assert_eq!(proxy.get("/").status(), 200);
    proxy.access_line("the request", |line| line.status == 200);
    (origin, proxy)
}

/// Name and labels of each sample.
fn series(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

fn has(page: &str, name: &str) -> bool {
    series(page).iter().any(|series| series.split('{').next() == Some(name))
}

#[test]
pub(crate) fn durations_of_upstream_requests_are_summed_in_nanoseconds() {
    let (_origin, proxy) = served(json!({}));
    let text = proxy.admin_get("/metrics").text();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{cluster=\"origin\"} "));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse::<f64>().unwrap()
    };
    let (millis, nanos) = (value("upstream_request_duration_time_sum"), value("upstream_request_duration_time_total"));
    assert_eq!(value("upstream_request_duration_time_count"), 1.0);
    assert!((nanos - millis * 1e6).abs() < 1e3 && nanos > 1e3, "{millis} ms, {nanos} ns");
}

#[test]
fn a_sink_serves_one_page() {
    let (_origin, proxy) = served(json!({"sinks": [
        sink(json!({})),
        sink(json!({"endpoint": "/m/e", "percentiles": [50, 99], "disable_collect_process": true}))
    ]}));
    let addresses = proxy.metrics();
    let [first, second] = addresses[..] else { panic!("two sinks, not {addresses:?}") };
    let page = get(first, "/metrics", "");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = page.text();
    assert!(has(&text, "process_open_fds") && has(&text, "downstream_request_total"), "{text}");
    assert!(text.contains("downstream_request_time_bucket{listener=\"main\",le=\"+Inf\"} 1\n"), "{text}");
    assert!(!text.contains("percentile"), "{text}");

    let text = get(second, "/m/e?x=y", "").text();
    assert!(!has(&text, "process_open_fds") && has(&text, "sidegate_build_info"), "{text}");
    for percentile in ["P50", "P99"] {
        let wanted = format!("downstream_request_time{{listener=\"main\",percentile=\"{percentile}\"}}");
        assert!(series(&text).contains(&wanted.as_str()), "{wanted} is missing in {text}");
    }

    assert!(text.contains("# TYPE downstream_request_time gauge\n") && !text.contains("request_time_bucket"), "{text}");

    assert_eq!(get(second, "/metrics", "").status(), 404);
    assert_eq!(get(first, "/api/v1/config_dump", "").status(), 404, "the rest is on the admin interface alone");
    let post = "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(Wire::connect(first).send(post).response().status(), 405);
}

#[test]
fn what_is_excluded_is_nowhere() {
    let (_origin, proxy) = served(json!({
        "sinks": [sink(json!({}))],
        "stats_matcher": {"exclusion_labels": ["host", "listener"], "exclusion_keys": ["request_time"]}
    }));
    let glob = proxy.admin_get("/api/v1/stats_glob?key=*").text();
    for page in [get(proxy.metrics()[0], "/metrics", "").text(), proxy.admin_get("/metrics").text()] {
        assert!(!page.contains("host=") && !page.contains("listener=") && !has(&page, "downstream_request_time_sum"));
        assert!(page.contains("downstream_request_total{proxy=\"global\"} 1\n"), "{page}");
        assert!(page.contains("upstream_request_total{cluster=\"origin\"} 1\n"), "{page}");
    }
    assert!(!glob.contains("listener.main") && glob.contains("downstream.proxy.global.request_total:1\n"), "{glob}");
}

#[test]
fn rejecting_all_leaves_the_process() {
    let (_origin, proxy) = served(json!({"sinks": [sink(json!({}))], "stats_matcher": {"reject_all": true}}));
    let page = get(proxy.metrics()[0], "/metrics", "").text();
    let strangers: Vec<&str> = series(&page).into_iter().filter(|name| !name.starts_with("process_")).collect();
    assert!(matches!(strangers[..], [name] if name.starts_with("sidegate_build_info")), "{strangers:?}");
    assert_eq!(proxy.admin_get("/api/v1/stats").json(), json!({}));
}

#[test]
fn open_metrics_for_those_who_accept_it() {
    let (_origin, proxy) = served(json!({"sinks": [sink(json!({"percentiles": [95]}))]}));
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3\r\n";
    let sink = proxy.metrics()[0];
    let page = get(sink, "/metrics", accept);
    assert_eq!(page.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = page.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(series(&text), series(&get(sink, "/metrics", "").text()), "the series are the same");
    let admin = get(proxy.admin(), "/stats/prometheus", accept);
    assert_eq!(admin.header("content-type"), page.header("content-type"));
}

#[test]
fn an_address_in_use_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let origin = Origin::echo();
    let dir = sidegate_harness::TempDir::new();
    let config = ConfigBuilder::to(origin.address()).top("metrics", json!({"sinks": [sink(json!({"port": port}))]}));
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate_harness::sidegate(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.output().contains(&format!("127.0.0.1:{port}")), "{}", outcome.output());
}

#[test]
fn lost_lines_of_the_process_log_are_counted() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).in_server("default_log_path", json!("/dev/full"));
    let proxy = Proxy::start(&config);
    until("the count", || {
        let page = proxy.admin_get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix("sidegate_process_log_dropped_total "))?;
        (line.parse::<u64>().unwrap() > 0).then_some(())
    });
}

/// Prometheus' own rules, as `promtool check metrics` has them. MOSN's names
/// break some of them and stay as they are; ours keep all.
#[test]
fn our_own_series_keep_prometheus_rules() {
    let (_origin, proxy) = served(json!({}));
    let page = proxy.admin_get("/metrics").text();
    let kinds: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(name, _)| name.starts_with("sidegate_"))
        .collect();
    assert!(kinds.len() > 5, "{page}");
    for (name, kind) in kinds {
        let help = format!("# HELP {name} ");
        let text = page.lines().find_map(|line| line.strip_prefix(&help));
        assert!(text.is_some_and(|text| !text.is_empty()), "{name} has no HELP text");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(!["_count", "_sum", "_bucket", "_info_total"].iter().any(|end| name.ends_with(end)), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        for word in name.split('_') {
            let no_word = ["counter", "gauge", "histogram", "summary", "ms", "milliseconds", "nanoseconds", "minutes"];
            assert!(!no_word.contains(&word), "{name} has a type or another unit than the base unit in it");
        }
    }
    if let Some(complaints) = promtool(&page) {
        let ours: Vec<&str> = complaints.lines().filter(|line| line.starts_with("sidegate_")).collect();
        assert!(ours.is_empty(), "{ours:#?}");
        let help: Vec<&str> = complaints.lines().filter(|line| line.contains("no help text")).collect();
        assert!(help.is_empty(), "{help:#?}");
    }
}

/// What `promtool check metrics` says of `page`; `None` if it is not there.
fn promtool(page: &str) -> Option<String> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("skipped in part: promtool is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("error while linting"), "{text}");
    Some(text)
}

#[test]
fn bytes_of_clients_are_those_of_the_wire() {
    let origin = sidegate_harness::Origin::http(|_| sidegate_harness::Reply::ok("hello"));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut wire = proxy.connect();
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    wire.send(request).send(request).send(last);
    let sent = (2 * request.len() + last.len()) as f64;
    let got = wire.read_until_close().len() as f64;
    let read = |name: &str| {
        let page = proxy.admin_get("/metrics").text();
        let wanted = format!("{name}{{listener=\"main\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&wanted)?.parse::<f64>().ok()).unwrap()
    };
    let counted = || (read("downstream_bytes_read_total"), read("downstream_bytes_write_total"));
    sidegate_harness::until("all bytes in the counters", || (counted() == (sent, got)).then_some(()));
}

#[test]
pub(crate) fn a_request_fails_by_the_proxys_own_doing() {
    let origin = sidegate_harness::Origin::http(|_| sidegate_harness::Reply::new(503));
    let proxy = Proxy::start(&ConfigBuilder::to_routes(
        origin.address(),
        json!([{"match": {"path": "/up"}, "route": {"cluster_name": "origin"}}]),
    ));
    assert_eq!(proxy.get("/up").status(), 503);
    assert_eq!(proxy.get("/none").status(), 404);
    let failed = || {
        let page = proxy.admin_get("/metrics").text();
        let of = |name: &str| {
            let wanted = format!("{name}{{listener=\"main\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&wanted)?.parse::<u64>().ok()).unwrap()
        };
        (of("downstream_request_503_total"), of("downstream_request_404_total"), of("downstream_request_failed"))
    };
    sidegate_harness::until("both in the counters", || (failed() == (1, 1, 1)).then_some(()));
}

/// Value of the series `key`, as the page of the admin interface has it; 0 if
/// it is not there.
fn value(proxy: &Proxy, key: &str) -> f64 {
    let page = proxy.admin_get("/metrics").text();
    let found = page.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or(0.0)
}

#[test]
pub(crate) fn routes_have_requests_classes_and_time() {
    let origin =
        Origin::http(|seen| sidegate_harness::Reply::new(if seen.head.target() == "/a?500" { 500 } else { 200 }));
    let routes = json!([
        {"match": {"path": "/a"}, "route": {"cluster_name": "origin"}},
        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
    ]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes));
    for (target, status) in [("/a", 200), ("/a?500", 500), ("/a", 200), ("/other", 404)] {
        assert_eq!(proxy.get(target).status(), status);
    }
    let page = proxy.admin_get("/metrics").text();
    let of_a = page
        .lines()
        .find_map(|line| line.strip_prefix("sidegate_route_requests_total")?.split_once(",class="))
        .unwrap();
    let labels = of_a.0.to_owned();
    assert!(
        labels.starts_with("{listener=\"main\",virtual_host=\"") && labels.ends_with("route=\"path /a\""),
        "{labels}"
    );
    let requests = |class: &str| value(&proxy, &format!("sidegate_route_requests_total{labels},class=\"{class}\"}}"));
    until("the requests in the counters", || ((requests("2xx"), requests("5xx")) == (2.0, 1.0)).then_some(()));
    assert_eq!((requests("4xx"), requests("none")), (0.0, 0.0));
    let name = "sidegate_route_request_duration_seconds";
    assert_eq!(value(&proxy, &format!("{name}_count{labels}}}")), 3.0);
    assert_eq!(value(&proxy, &format!("{name}_bucket{labels},le=\"+Inf\"}}")), 3.0);
    let sum = value(&proxy, &format!("{name}_sum{labels}}}"));
    assert!(sum > 0.0 && sum < 60.0, "seconds: {sum}");
}

#[test]
pub(crate) fn routes_beyond_the_bound_are_counted_together() {
    let origin = Origin::echo();
    let route = |n: usize| json!({"match": {"path": format!("/{n}")}, "route": {"cluster_name": "origin"}});
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), (0..300).map(route).collect()));
    for target in ["/0", "/255", "/256", "/299"] {
        assert_eq!(proxy.get(target).status(), 200);
    }
    let requests = |route: &str| {
        let page = proxy.admin_get("/metrics").text();
        let wanted = format!("route=\"{route}\",class=\"2xx\"}} ");
        page.lines().find_map(|line| line.split_once(&*wanted)?.1.parse::<u64>().ok())
    };
    until("the requests in the counters", || (requests("(others)") == Some(2)).then_some(()));
    assert_eq!((requests("path /0"), requests("path /255"), requests("path /256")), (Some(1), Some(1), None));
}

#[test]
pub(crate) fn replies_of_filters_are_counted_by_status() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address())
        .filter(json!({"type": "demo", "config": {"X-Door": "open"}}))
        .filter(json!({"type": "payload_limit", "config": {"max_entity_size": 3, "http_status": 413}}));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 403);
    assert_eq!(proxy.get("/").status(), 403);
    assert_eq!(proxy.get_with("/", "X-Door: open\r\n").status(), 200);
    let large = "POST / HTTP/1.1\r\nHost: a\r\nX-Door: open\r\nContent-Length: 4\r\n\r\nabcd";
    assert_eq!(proxy.exchange(large).status(), 413);
    let replies = |filter: &str, status: u16| {
        let key = format!("sidegate_filter_replies_total{{listener=\"main\",filter=\"{filter}\",status=\"{status}\"}}");
        value(&proxy, &key)
    };
    assert_eq!((replies("demo", 403), replies("payload_limit", 413), replies("demo", 200)), (2.0, 1.0, 0.0));
}
