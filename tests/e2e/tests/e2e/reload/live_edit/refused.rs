//! Edits that are refused, and who may make some.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sidegate_harness::Proxy;

use super::{HOSTS, TOKEN, admin, edit, edits, etag, marked, of, saying, shown, to, try_edit};

#[test]
fn who_may_not_edit_changes_nothing() {
    let origin = saying("x");
    let proxy = Proxy::start(&to(&[origin.address()]));
    let tag = format!("If-Match: {}\r\n", etag(&proxy));
    let web = format!("{tag}Origin: http://localhost\r\n");
    for (fields, words) in [
        (tag.clone(), "over a Unix socket by the user"),
        (format!("{tag}Authorization: Bearer wrong\r\n"), "the token is wrong"),
        (web, "over a Unix socket by the user"),
    ] {
        for (method, path) in
            [("POST", HOSTS.to_owned()), ("PATCH", of(origin.address())), ("DELETE", of(origin.address()))]
        {
            let refused = proxy.admin_call(method, &path, &fields, "");
            assert_eq!(refused.status(), 403, "{method}");
            assert!(refused.text().contains(words), "{}", refused.text());
        }
    }
    // The token alone is not enough either.
    let mut off = admin();
    off["live_edit"] = json!(false);
    let closed = Proxy::start(&to(&[origin.address()]).top("admin", off));
    let refused = closed.admin_call("DELETE", &of(origin.address()), &format!("{TOKEN}{tag}"), "");
    assert_eq!((refused.status(), refused.text().contains("admin.live_edit")), (403, true));
    assert!(closed.admin_get(HOSTS).status() == 200 && shown(&closed, origin.address()).is_some());
    // A reload opens it, and closes it.
    let mut proxy = closed;
    proxy.reload(&to(&[origin.address()]));
    edit(&proxy, "PATCH", &of(origin.address()), &json!({"weight": 2}));
    let mut off = admin();
    off["live_edit"] = json!(false);
    proxy.reload(&to(&[origin.address()]).top("admin", off));
    assert_eq!(try_edit(&proxy, "PATCH", &of(origin.address()), "{\"weight\": 3}").status(), 403);
}

#[test]
fn a_unix_peer_of_the_same_user_needs_no_token() {
    let (origin, other) = (saying("x"), saying("y"));
    let directory = sidegate_harness::TempDir::new();
    let path = directory.join("admin.sock");
    let admin = json!({"address": {"unix": path}, "live_edit": true});
    let proxy = Proxy::start(&to(&[origin.address()]).top("admin", admin));
    let ask = |method: &str, path_of: &str, fields: &str, body: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path_of} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), body.to_owned())
    };
    let body = json!({"address": other.address().to_string()}).to_string();
    assert_eq!(ask("POST", HOSTS, "If-Match: *\r\nOrigin: http://a.example\r\n", &body).0, 403);
    assert_eq!(ask("POST", HOSTS, "", &body).0, 428);
    let added = ask("POST", HOSTS, "If-Match: *\r\n", &body);
    assert_eq!(added.0, 200, "{}", added.1);
    let shown: Value = serde_json::from_str(&ask("GET", HOSTS, "", "").1).unwrap();
    let user = shown["live_edit"]["by"].as_str().unwrap();
    assert!(user.strip_prefix("user ").is_some_and(|id| id.parse::<u32>().is_ok()), "{user}");
    assert!(proxy.logs().contains(user));
}

#[test]
fn what_makes_no_sense_is_refused_with_words() {
    let origin = saying("x");
    let host = json!({"address": "localhost:1"});
    let named = json!({"name": "named", "type": "STRICT_DNS", "lb_type": "LB_ROUNDROBIN", "hosts": [host]});
    let proxy = Proxy::start(&to(&[origin.address()]).cluster_object(named));
    let here = of(origin.address());
    let at = origin.address().to_string();
    let added = |body: Value| body.to_string();
    let cases: Vec<(&str, &str, String, u16, &str)> = vec![
        ("POST", HOSTS, added(json!({"address": at})), 409, "already"),
        ("POST", HOSTS, added(json!({"address": "nowhere"})), 400, "expected IP:port"),
        ("POST", HOSTS, added(json!({"address": "name.example:80"})), 400, "expected IP:port"),
        ("POST", HOSTS, added(json!({"address": format!("unix:/{}", "a".repeat(200))})), 400, "socket path"),
        ("POST", HOSTS, added(json!({"address": 7})), 400, "expected a string in `address`"),
        ("POST", HOSTS, added(json!({"weight": 7})), 400, "`address` is missing"),
        ("POST", HOSTS, added(json!({"address": "127.0.0.1:1", "so_path": "/x"})), 400, "unknown key \"so_path\""),
        ("POST", HOSTS, added(json!({"address": "127.0.0.1:1", "weight": 129})), 422, "from 1 to 128, found 129"),
        ("POST", HOSTS, added(json!({"address": "127.0.0.1:1", "metadata": {"a": 1}})), 400, "filter_metadata"),
        ("POST", HOSTS, "[]".to_owned(), 400, "expected a JSON object"),
        ("POST", HOSTS, "{".to_owned(), 400, "expected a JSON object"),
        ("POST", "/api/v1/clusters/none/hosts", added(json!({"address": at})), 404, "no cluster is called \"none\""),
        ("POST", "/api/v1/clusters/named/hosts", added(json!({"address": at})), 422, "STRICT_DNS"),
        ("PATCH", &here, added(json!({"weight": 0})), 422, "from 1 to 128, found 0"),
        ("PATCH", &here, added(json!({"weight": -1})), 400, "expected an integer"),
        ("PATCH", &here, added(json!({"weight": 1.5})), 400, "expected an integer"),
        ("PATCH", &here, added(json!({"drained": 1})), 400, "true or false"),
        ("PATCH", &here, added(json!({})), 400, "expected `weight`, `drained` or both"),
        ("PATCH", &here, added(json!({"address": at, "weight": 1})), 400, "unknown key \"address\""),
        ("PATCH", "/api/v1/clusters/c/hosts/127.0.0.1:1", added(json!({"weight": 1})), 404, "has no host"),
        ("DELETE", "/api/v1/clusters/c/hosts/127.0.0.1:1", String::new(), 404, "has no host"),
        ("DELETE", "/api/v1/clusters/c/hosts/x", String::new(), 400, "expected IP:port"),
        ("DELETE", &here, "{}".to_owned(), 400, "expected no body"),
        ("POST", HOSTS, " ".repeat(70_000), 413, "too large"),
    ];
    let before = (etag(&proxy), proxy.number());
    for (method, path, body, status, words) in &cases {
        let fields = format!("{TOKEN}If-Match: *\r\n");
        let answer = proxy.admin_call(method, path, &fields, body);
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status(), *status, "{method} {path} {shown}: {}", answer.text());
        let text = match *status {
            413 => answer.text(),
            _ => answer.json()["errors"][0]["message"].as_str().unwrap().to_owned(),
        };
        assert!(text.contains(words), "{method} {path} {shown}: {text}");
    }
    // What hosts are meant is said, and rightly.
    for (tag, status) in [
        ("", 428),
        ("If-Match: \"0\"\r\n", 412),
        (&*format!("If-Match: W/{}\r\n", before.0), 412),
        ("If-Match: 0\r\n", 400),
    ] {
        let answer = proxy.admin_call("DELETE", &here, &format!("{TOKEN}{tag}"), "");
        assert_eq!(answer.status(), status, "{tag}: {}", answer.text());
    }
    assert_eq!((etag(&proxy), proxy.number(), marked(&proxy)), (before.0.clone(), 1, Value::Null));
    let put = proxy.admin_call("PUT", &here, TOKEN, "");
    assert_eq!((put.status(), put.header("allow")), (405, Some("PATCH, DELETE")));
    assert_eq!(proxy.admin_get("/api/v1/clusters/none/hosts").status(), 404);
    // One of several is enough.
    let several = format!("{TOKEN}If-Match: \"0\", {}\r\n", before.0);
    assert_eq!(proxy.admin_call("PATCH", &here, &several, "{\"weight\": 2}").status(), 200);
    assert!(proxy.logs().contains("live edit refused: "));
    assert!(edits(&proxy, "rejected") > 0.0);
}

#[test]
fn no_edit_is_lost_among_several_editors() {
    let origin = saying("x");
    let proxy = Proxy::start(&to(&[origin.address()]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut left = 10;
                while left > 0 {
                    let seen = proxy.admin_get(HOSTS);
                    let weight = seen.json()["hosts"][0]["weight"].as_u64().unwrap() + 1;
                    let fields = format!("{TOKEN}If-Match: {}\r\n", seen.header("etag").unwrap());
                    let body = json!({"weight": weight}).to_string();
                    match proxy.admin_call("PATCH", &of(origin.address()), &fields, &body).status() {
                        200 => left -= 1,
                        412 => {}
                        other => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert_eq!(shown(&proxy, origin.address()).unwrap()["weight"], 41);
    assert_eq!(edits(&proxy, "success"), 40.0);
}
