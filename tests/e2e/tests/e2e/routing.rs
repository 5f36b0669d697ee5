//! What happens to a request because of its route: replies, headers,
//! rewrites, hosts.

use serde_json::json;
use sidegate_harness::{BlackHole, ConfigBuilder, Gate, Origin, Proxy, Reply, curl};

use crate::support::{answer, echo_pair, refusing_address, route};

#[test]
fn curl_gets_the_origins_answer() {
    let (origin, proxy) = echo_pair();
    let url = format!("http://{}/a/b?c=d&e", proxy.address());
    let got = curl(&["-H", "X-One: 1", "-d", "hello", &url]);
    assert_eq!((got.status, got.code), (200, 0), "{}", got.body);
    let seen = origin.last();
    assert_eq!(seen.head.start, "POST /a/b?c=d&e HTTP/1.1");
    assert_eq!((seen.head.get("x-one"), seen.body.as_slice()), (Some("1"), &b"hello"[..]));
}

#[test]
pub(crate) fn no_route_is_404() {
    let origin = Origin::echo();
    let config = ConfigBuilder::empty().cluster("origin", &[origin.address()]).virtual_host(
        "one",
        &["known.test"],
        json!([route("/known", json!({}))]),
    );
    let proxy = Proxy::start(&config);
    for (host, path) in [("unknown.test", "/known"), ("known.test", "/other")] {
        let got = proxy.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(got.status(), 404, "{host}{path}");
    }
    assert_eq!(origin.count(), 0);
    let line = proxy.access_line("404", |line| line.path == "/other");
    assert!(line.status == 404 && line.has("NR"), "{line:?}");
}

#[test]
fn a_404_keeps_the_connection() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), json!([route("/known", json!({}))])));
    let mut client = proxy.connect();
    client.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 404);
    client.send("GET /known HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
}

#[test]
pub(crate) fn a_refusing_host_is_502() {
    let proxy = Proxy::start(&ConfigBuilder::to(refusing_address()));
    assert_eq!(proxy.get("/").status(), 502);
    let line = proxy.access_line("502", |line| line.status == 502);
    assert!(line.has("UF"), "{line:?}");
}

#[test]
pub(crate) fn a_refusing_host_is_passed_over_for_one_that_works() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).in_cluster(
        "hosts",
        json!([
            {"address": refusing_address().to_string()},
            {"address": origin.address().to_string()}
        ]),
    );
    let proxy = Proxy::start(&config);
    let statuses: Vec<u16> = (0..6).map(|_| proxy.get("/").status()).collect();
    assert_eq!(statuses, [200; 6], "connecting failed before anything was sent, so another host can be tried");
}

#[test]
pub(crate) fn a_cluster_without_hosts_is_502() {
    let config =
        ConfigBuilder::empty().cluster("origin", &[]).virtual_host("all", &["*"], json!([route("/", json!({}))]));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 502);
    let line = proxy.access_line("502", |line| line.status == 502);
    assert!(line.has("UH"), "{line:?}");
}

#[test]
fn a_late_response_is_504() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    let routes = json!([route("/", json!({"timeout": "300ms"}))]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes));
    let mut client = proxy.connect();
    let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!(got.status(), 504);
    let line = proxy.access_line("504", |line| line.status == 504);
    assert!(line.has("UT"), "{line:?}");
    gate.open();
}

#[test]
pub(crate) fn a_silent_host_is_504_after_the_connect_timeout() {
    let hole = BlackHole::open();
    let config = ConfigBuilder::to(hole.address()).in_cluster("connect_timeout", json!("300ms"));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 504);
    let line = proxy.access_line("504", |line| line.status == 504);
    assert!(line.has("UF") || line.has("UT"), "{line:?}");
}

#[test]
pub(crate) fn redirects_answer_with_the_new_location() {
    let cases = [
        (json!({"path_redirect": "/new"}), 301, "http://a.test/new?q=1"),
        (json!({"response_code": 302, "host_redirect": "b.test"}), 302, "http://b.test/old?q=1"),
        (json!({"response_code": 307, "scheme_redirect": "https"}), 307, "https://a.test/old?q=1"),
        (
            json!({"response_code": 308, "scheme_redirect": "https", "host_redirect": "b.test", "path_redirect": "/n"}),
            308,
            "https://b.test/n?q=1",
        ),
        // Its own query takes the place of the request's.
        (json!({"path_redirect": "/new?own=1&more"}), 301, "http://a.test/new?own=1&more"),
        (json!({"path_redirect": "/new?"}), 301, "http://a.test/new?"),
    ];
    for (redirect, status, location) in cases {
        let routes = json!([{"match": {"prefix": "/"}, "redirect": redirect}]);
        let proxy = Proxy::start(&ConfigBuilder::empty().virtual_host("all", &["*"], routes));
        let got = proxy.exchange("GET /old?q=1 HTTP/1.1\r\nHost: a.test\r\nX-Secret: 1\r\n\r\n");
        assert_eq!((got.status(), got.header("location")), (status, Some(location)), "{redirect}");
        assert_eq!(got.header("x-secret"), None, "request headers are not echoed");
    }
}

#[test]
fn direct_responses_need_no_origin() {
    let routes = json!([
        {"match": {"prefix": "/made"}, "direct_response": {"status": 418, "body": "made here"}},
        {"match": {"prefix": "/bare"}, "direct_response": {"status": 204}}
    ]);
    let proxy = Proxy::start(&ConfigBuilder::empty().virtual_host("all", &["*"], routes));
    let mut client = proxy.connect();
    let got = client.send("GET /made HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!((got.status(), got.text().as_str()), (418, "made here"));
    let got = client.send("HEAD /made HTTP/1.1\r\nHost: a\r\n\r\n").response_to("HEAD");
    assert_eq!(got.status(), 418);
    assert!(matches!(got.header("content-length"), Some("9") | None), "{:?}", got.head);
    let got = client.send("GET /bare HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!((got.status(), got.body.len()), (204, 0));
    assert!(!got.head.has("content-length") && !got.head.has("transfer-encoding"), "{:?}", got.head);
    let line = proxy.access_line("direct", |line| line.path == "/made");
    assert!(line.has("DR"), "{line:?}");
}

#[test]
pub(crate) fn headers_are_added_and_removed_at_all_three_levels() {
    let origin = Origin::http(|seen| {
        Reply::ok("x").header("x-up", "1").header("x-gone", "1").header("x-saw", &seen.head.all("x-list").join("|"))
    });
    let add = |key: &str, value: &str, append: bool| json!({"header": {"key": key, "value": value}, "append": append});
    let config = ConfigBuilder::empty()
        .cluster("origin", &[origin.address()])
        .in_router("request_headers_to_add", json!([add("x-list", "router", true)]))
        .in_router("response_headers_to_add", json!([add("x-level", "router", true)]))
        .virtual_host_object(json!({
            "name": "all", "domains": ["*"],
            "request_headers_to_add": [add("x-list", "host", true)],
            "response_headers_to_remove": ["x-gone"],
            "routers": [{
                "match": {"prefix": "/"},
                "route": {
                    "cluster_name": "origin",
                    "request_headers_to_add": [add("x-list", "route", true), add("x-set", "new", false)],
                    "request_headers_to_remove": ["x-bad"],
                    "response_headers_to_add": [add("x-up", "2", false)]
                }
            }]
        }));
    let proxy = Proxy::start(&config);
    let got = proxy.get_with("/", "X-List: client\r\nX-Set: old\r\nX-Bad: 1\r\n");
    let seen = origin.last();
    let joined = seen.head.all("x-list").join(",").replace(' ', "");
    let mut list: Vec<&str> = joined.split(',').collect();
    assert_eq!(list.remove(0), "client", "what the client sent comes first: {joined}");
    list.sort_unstable();
    assert_eq!(list, ["host", "route", "router"]);
    assert_eq!(seen.head.all("x-set"), ["new"]);
    assert!(!seen.head.has("x-bad"));
    assert_eq!(got.head.all("x-up"), ["2"]);
    assert_eq!(got.header("x-level"), Some("router"));
    assert!(!got.head.has("x-gone"));
}

#[test]
pub(crate) fn rewrites_change_what_the_origin_gets() {
    let origin = Origin::echo();
    let routes = json!([
        route("/old/", json!({"prefix_rewrite": "/new/"})),
        route(
            "/num/",
            json!({"regex_rewrite": {"pattern": {"regex": "^/num/([0-9]+)/(.*)$"}, "substitution": "/$2/$1"}})
        ),
        route("/host/", json!({"host_rewrite": "inner.test"})),
        route("/", json!({})),
    ]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes));
    for (sent, target, host, before) in [
        ("/old/a?q=/old/", "/new/a?q=/old/", "test", Some("/old/a")),
        ("/num/12/x", "/x/12", "test", Some("/num/12/x")),
        ("/num/x", "/num/x", "test", None),
        ("/host/a", "/host/a", "inner.test", None),
        ("/plain", "/plain", "test", None),
    ] {
        assert_eq!(proxy.get(sent).status(), 200);
        let seen = origin.last();
        assert_eq!((seen.head.target(), seen.head.get("host")), (target, Some(host)), "{sent}");
        assert_eq!(seen.head.get("x-mosn-original-path"), before, "{sent}");
    }
}

#[test]
fn hosts_take_turns_by_weight() {
    let (one, three) = (Origin::echo(), Origin::echo());
    let config = ConfigBuilder::to(one.address()).in_cluster("lb_type", json!("LB_WEIGHTED_ROUNDROBIN")).in_cluster(
        "hosts",
        json!([
            {"address": one.address().to_string(), "weight": 1},
            {"address": three.address().to_string(), "weight": 3}
        ]),
    );
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for _ in 0..40 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!((one.count(), three.count()), (10, 30));
}

#[test]
fn round_robin_alternates() {
    let (a, b) = (Origin::echo(), Origin::echo());
    let proxy = Proxy::start(&ConfigBuilder::empty().cluster("origin", &[a.address(), b.address()]).virtual_host(
        "all",
        &["*"],
        json!([route("/", json!({}))]),
    ));
    let mut client = proxy.connect();
    for _ in 0..10 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!((a.count(), b.count()), (5, 5));
}

#[test]
fn random_uses_all_hosts() {
    let (a, b) = (Origin::echo(), Origin::echo());
    let config = ConfigBuilder::empty()
        .cluster("origin", &[a.address(), b.address()])
        .in_cluster("lb_type", json!("LB_RANDOM"))
        .virtual_host("all", &["*"], json!([answer(json!({"prefix": "/no"}), "x"), route("/", json!({}))]));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for _ in 0..64 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    assert!(a.count() > 0 && b.count() > 0, "{} and {}", a.count(), b.count());
}
