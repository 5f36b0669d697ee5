//! Which route a request takes.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Proxy};

use crate::support::answer;

/// A proxy whose virtual hosts answer with their own names.
fn hosts(domains: &[(&str, &[&str])]) -> Proxy {
    let mut config = ConfigBuilder::empty();
    for (name, domains) in domains {
        config = config.virtual_host(name, domains, json!([answer(json!({"prefix": "/"}), name)]));
    }
    Proxy::start(&config)
}

#[test]
pub(crate) fn the_most_specific_domain_wins_whatever_the_order() {
    let proxy = hosts(&[
        ("any", &["*"]),
        ("suffix", &["*.test"]),
        ("longer-suffix", &["*.b.test"]),
        ("suffix-port", &["*.test:81"]),
        ("exact", &["a.b.test"]),
        ("exact-port", &["a.b.test:81"]),
    ]);
    for (host, wanted) in [
        ("a.b.test:81", "exact-port"),
        ("a.b.test", "exact"),
        ("a.b.test:82", "exact"),
        ("A.B.Test", "exact"),
        ("c.test:81", "suffix-port"),
        ("c.b.test", "longer-suffix"),
        ("c.test", "suffix"),
        ("test", "any"),
        ("other", "any"),
    ] {
        let got = proxy.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!((got.status(), got.text().as_str()), (200, wanted), "Host: {host}");
    }
}

#[test]
pub(crate) fn routes_are_tried_in_order_and_by_kind() {
    let header = |name: &str, value: &str, regex: bool| json!({"name": name, "value": value, "regex": regex});
    let routes = json!([
        answer(json!({"path": "/Exact"}), "path"),
        answer(json!({"regex": "^/n/[0-9]+$"}), "regex"),
        answer(json!({"prefix": "/p", "headers": [header("method", "DELETE", false)]}), "method"),
        answer(json!({"prefix": "/p", "headers": [header("x-a", "1", false), header("x-b", "^b+$", true)]}), "headers"),
        answer(json!({"prefix": "/p"}), "prefix"),
        answer(json!({"headers": [header("x-only", "yes", false)]}), "headers-only"),
        answer(json!({"prefix": "/p/never"}), "shadowed"),
    ]);
    let proxy = Proxy::start(&ConfigBuilder::empty().virtual_host("all", &["*"], routes));
    for (request, fields, wanted) in [
        ("GET /exact", "", Some("path")),
        ("GET /exact?q", "", Some("path")),
        ("GET /exact/more", "", None),
        ("GET /n/12", "", Some("regex")),
        ("GET /n/1x", "", None),
        ("DELETE /p/1", "", Some("method")),
        ("GET /p/1", "X-A: 1\r\nX-B: bbb\r\n", Some("headers")),
        ("GET /p/1", "X-A: 1\r\nX-B: bbc\r\n", Some("prefix")),
        ("GET /p/1", "X-A: 1\r\n", Some("prefix")),
        ("GET /p/never", "", Some("prefix")),
        ("GET /P/1", "", None),
        ("GET /", "X-Only: yes\r\n", Some("headers-only")),
        ("GET /", "X-Only: Yes\r\n", None),
    ] {
        let got = proxy.exchange(format!("{request} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        match wanted {
            Some(body) => assert_eq!((got.status(), got.text().as_str()), (200, body), "{request} {fields:?}"),
            None => assert_eq!(got.status(), 404, "{request} {fields:?}"),
        }
    }
}

#[test]
pub(crate) fn variables_are_linked_by_and_and_or() {
    let is = |name: &str, value: &str, model: &str| json!({"name": name, "value": value, "model": model});
    let like = |name: &str, regex: &str| json!({"name": name, "regex": regex});
    let routes = json!([
        answer(
            json!({"variables": [is("request_arg_v", "2", "and"), is("method", "PUT", "OR"), is("cookie_v", "2", "")]}),
            "v2"
        ),
        answer(
            json!({"variables": [like("Http1_request_header_user-agent", "^curl/"), like("downstream_remote_ip", "^127\\.")]}),
            "curl"
        ),
        answer(json!({"variables": [is("x-mosn-path", "/exact", "and")], "headers": []}), "path"),
        answer(json!({"variables": [like("query", "^$"), like("request_header_x-empty", "^$")]}), "nothing"),
    ]);
    let proxy = Proxy::start(&ConfigBuilder::empty().virtual_host("all", &["*"], routes));
    for (request, fields, wanted) in [
        ("PUT /?v=2", "", Some("v2")),
        ("GET /?v=2", "", None),
        ("PUT /?v=3", "", None),
        ("GET /?x", "Cookie: a=1; v=2\r\n", Some("v2")),
        ("GET /?x", "Cookie: v=22\r\n", None),
        ("GET /?x", "User-Agent: curl/8\r\n", Some("curl")),
        ("GET /exact?x", "", Some("path")),
        ("GET /", "", Some("nothing")),
        ("GET /", "X-Empty: no\r\n", None),
    ] {
        let got = proxy.exchange(format!("{request} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        match wanted {
            Some(body) => assert_eq!((got.status(), got.text().as_str()), (200, body), "{request} {fields:?}"),
            None => assert_eq!(got.status(), 404, "{request} {fields:?}"),
        }
    }
}

#[test]
pub(crate) fn the_sole_service_header_of_mosn_files_means_any_value() {
    let routes = json!([answer(json!({"headers": [{"name": "service", "value": ".*"}]}), "service")]);
    let proxy = Proxy::start(&ConfigBuilder::empty().virtual_host("all", &["*"], routes));
    assert_eq!(proxy.get_with("/", "service: anything\r\n").status(), 200);
    assert_eq!(proxy.get("/").status(), 404);
}

#[test]
fn the_path_that_was_matched_is_the_path_that_is_sent() {
    let origin = sidegate_harness::Origin::echo();
    let routes = json!([
        {"match": {"prefix": "/private"}, "direct_response": {"status": 403}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
    ]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes));
    // `None`: it is the private path in disguise.
    for (sent, forwarded) in [
        ("/a/../x", Some("/x")),
        ("/a/./b", Some("/a/b")),
        ("/a/b/..", Some("/a/")),
        ("/a/b/.", Some("/a/b/")),
        ("/../../x", Some("/x")),
        ("/..", Some("/")),
        ("/a/%2e%2e/x", Some("/x")),
        ("/a/%2E%2e/x", Some("/x")),
        ("/a/.%2e/x", Some("/x")),
        ("/a/%2e/x", Some("/a/x")),
        ("/a%2fb", Some("/a%2fb")),
        ("/a%5cb", Some("/a%5cb")),
        ("//x", Some("/x")),
        ("/a//b///c//", Some("/a/b/c/")),
        ("/a//../b", Some("/a/b")),
        ("/..//x", Some("/x")),
        ("/a//%2f//b?c=//d", Some("/a/%2f/b?c=//d")),
        ("/%2fprivate", Some("/%2fprivate")),
        ("/a;p=1/b", Some("/a;p=1/b")),
        ("/%252e%252e/private", Some("/%252e%252e/private")),
        ("/a?x=/../y", Some("/a?x=/../y")),
        ("/a/...", Some("/a/...")),
        ("/a%20b", Some("/a%20b")),
        ("/private", None),
        ("/a/../private", None),
        ("/a/%2e%2e/private/x", None),
        ("/./private", None),
        ("//private", None),
        ("/a/..//private/x", None),
        ("//./%2e//private", None),
        ("/a//../..//private//x", None),
        ("/a/b/../../private", None),
    ] {
        let before = origin.count();
        let status = proxy.get(sent).status();
        match forwarded {
            Some(wanted) => {
                assert_eq!(status, 200, "{sent}");
                assert_eq!(origin.last().head.target(), wanted, "{sent}");
            }
            None => assert_eq!((status, origin.count()), (403, before), "{sent}"),
        }
    }
    for sent in ["/a%00b", "/%00"] {
        assert_eq!(proxy.get(sent).status(), 400, "{sent}");
    }
    let absolute = proxy.exchange("GET http://a//private HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.status(), 403);
    assert_eq!(proxy.access_line("merged", |line| line.path == "/%2fprivate").status, 200);
}

/// Keys of objects and signed URLs need their slashes.
#[test]
pub(crate) fn slashes_are_merged_unless_the_router_says_otherwise() {
    let origin = sidegate_harness::Origin::echo();
    let routes = json!([
        {"match": {"prefix": "/go"}, "redirect": {"response_code": 302, "host_redirect": "b.test"}},
        {"match": {"prefix": "/bucket/"}, "route": {"cluster_name": "origin", "prefix_rewrite": "/"}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
    ]);
    let config = || ConfigBuilder::to_routes(origin.address(), routes.clone());
    for (merge, cases) in [
        (None, [("//key//a", "/key/a"), ("/bucket//a//b", "/a/b"), ("/a//./b", "/a/b")]),
        (Some(true), [("//key//a", "/key/a"), ("/bucket//a//b", "/a/b"), ("/a//./b", "/a/b")]),
        (Some(false), [("//key//a", "//key//a"), ("/bucket//a//b", "//a//b"), ("/a//./b", "/a//b")]),
    ] {
        let config = merge.map_or_else(config, |merge| config().in_router("merge_slashes", json!(merge)));
        let proxy = Proxy::start(&config);
        for (sent, forwarded) in cases {
            assert_eq!(proxy.get(sent).status(), 200, "{merge:?} {sent}");
            assert_eq!(origin.last().head.target(), forwarded, "{merge:?} {sent}");
        }
        let got = proxy.get("/go//x?y=//z");
        let location = if merge == Some(false) { "http://b.test/go//x?y=//z" } else { "http://b.test/go/x?y=//z" };
        assert_eq!(got.header("location"), Some(location), "{merge:?}");
    }
}

/// A `Location` that begins with two slashes names another host.
#[test]
fn no_location_begins_with_two_slashes() {
    for merge in [true, false] {
        let routes = json!([{"match": {"prefix": "/"}, "redirect": {"scheme_redirect": "https"}}]);
        let config =
            ConfigBuilder::empty().virtual_host("all", &["*"], routes).in_router("merge_slashes", json!(merge));
        let proxy = Proxy::start(&config);
        for request in [
            "GET //evil.test/x HTTP/1.0\r\n\r\n",
            "GET /..//evil.test/x HTTP/1.0\r\n\r\n",
            "GET //evil.test/x HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let got = proxy.exchange(request);
            let location = got.header("location").unwrap().to_owned();
            assert!(!location.starts_with("//"), "{merge} {location}");
            assert!(location.starts_with('/') || location.starts_with("https://a/"), "{merge} {location}");
        }
    }
}

/// The dot of the DNS root does not lead past a virtual host.
#[test]
pub(crate) fn a_dot_at_the_end_of_a_host_does_not_count() {
    let origin = sidegate_harness::Origin::echo();
    let config = ConfigBuilder::empty()
        .cluster("origin", &[origin.address()])
        .virtual_host("guarded", &["api.test", "*.inner.test"], json!([{"direct_response": {"status": 403}}]))
        .virtual_host("dotted", &["dotted.test."], json!([{"direct_response": {"status": 204}}]))
        .virtual_host("all", &["*"], json!([{"route": {"cluster_name": "origin"}}]));
    let proxy = Proxy::start(&config);
    for (host, status) in [
        ("api.test", 403),
        ("api.test.", 403),
        ("API.test.:8080", 403),
        ("a.inner.test.", 403),
        ("dotted.test", 204),
        ("dotted.test.:1", 204),
        ("api.test..", 400),
        ("api.test..:8080", 400),
        ("a..inner.test", 400),
        ("other.test.", 200),
    ] {
        let got = proxy.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(got.status(), status, "{host}");
    }
    assert_eq!(origin.last().head.get("host"), Some("other.test."), "it is sent on as it came");
}
