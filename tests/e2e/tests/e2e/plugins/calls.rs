//! What goes to a plugin and what comes of its answer.

use serde_json::json;
use sidegate_harness::{Call, Origin, Reply, until};

use super::{asks, config, failures, start, status};
use sidegate_harness::Proxy;

#[test]
fn a_plugin_lets_pass_or_refuses() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    assert_eq!(proxy.call(&asks("")).status(), 200);
    let refused = proxy.call(&asks("deny"));
    assert_eq!((refused.status(), origin.count()), (403, 1));
    let line = proxy.access_line("the refusal", |line| line.status == 403);
    assert_eq!(line.details, "plugin_denied");
    assert_eq!(status(&proxy)["calls"], 2);
}

#[test]
fn a_plugin_that_takes_one_connection_is_asked_by_that() {
    let origin = Origin::echo();
    let proxy = start(&origin, "single", json!({}));
    // Where another one was tried while it still listened, the call on that is lost.
    until("an answer on each worker", || (0..20).all(|_| proxy.call(&asks("deny")).status() == 403).then_some(()));
    assert_eq!(status(&proxy)["restarts"], 0);
}

#[test]
fn a_plugin_sees_the_head_and_its_fields_as_mosn_writes_them() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    let call = asks("tell").header("X-Two", "1").header("X-Two", "2").header("Cookie", "a=b");
    proxy.call(&call);
    let told = origin.last().head.get("x-told").expect("what it was told").to_owned();
    assert!(told.starts_with("request header("), "{told}");
    for part in [":method=GET", ":path=/", "Host=test", "X-Two=1, 2", "Cookie=a=b", "trailer()", "body()"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn names_may_be_lower_case_and_pseudo_fields_left_out() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"header_names": "lower", "pseudo_headers": false}));
    // It looks for `X-Do`, which is not there.
    assert_eq!(proxy.call(&asks("deny")).status(), 200);
}

#[test]
fn fields_are_set_removed_and_left_as_they_are() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    let call = asks("echo,set=X-New:n,set=X-Gone:,set=X-Old:changed,set=Host:other.test,set=:path:/elsewhere?q=1")
        .header("X-Gone", "1")
        .header("X-Old", "old")
        .header("X-Two", "1")
        .header("X-Two", "2");
    assert_eq!(proxy.call(&call).status(), 200);
    let head = origin.last().head;
    assert_eq!(head.target(), "/elsewhere?q=1");
    assert_eq!(
        (head.get("x-new"), head.get("x-old"), head.get("host")),
        (Some("n"), Some("changed"), Some("other.test"))
    );
    assert!(!head.has("x-gone"));
    // What came back as it went is what the client sent.
    assert_eq!(head.all("x-two"), ["1", "2"]);
}

#[test]
fn a_path_that_a_plugin_sets_has_a_clients_form() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    for (set, seen) in [("/a/../b/%2e%2e/c?..", "/c?.."), ("/../../etc", "/etc"), ("/%61", "/a"), ("/plain", "/plain")]
    {
        assert_eq!(proxy.call(&asks(&format!("set=:path:{set}"))).status(), 200, "{set}");
        assert_eq!(origin.last().head.target(), seen, "{set}");
    }
    for refused in ["/a%00", "/a%2", "/a\\b", "a"] {
        assert_eq!(proxy.call(&asks(&format!("set=:path:{refused}"))).status(), 500, "{refused}");
    }
    assert_eq!((origin.count(), failures(&proxy, "bad_answer")), (4, 4.0));
}

#[test]
fn what_cannot_be_edited_is_a_failed_call() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    for deed in ["set=Transfer-Encoding:chunked", "set=Content-Length:7", "set=:unknown:x", "set=:path:no-slash"] {
        assert_eq!(proxy.call(&asks(deed)).status(), 500, "{deed}");
    }
    assert_eq!((origin.count(), failures(&proxy, "bad_answer")), (0, 4.0));
}

#[test]
fn bodies_and_trailers_go_to_the_plugin_and_back() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"send_body": true}));
    let call = Call::post("/", "abc").header("X-Do", "tell,double");
    assert_eq!(proxy.call(&call).status(), 200);
    let seen = origin.last();
    assert_eq!(seen.body, b"abcabc");
    let told = seen.head.get("x-told").unwrap().to_owned();
    assert!(told.contains("body(abc)"), "{told}");
    let call = Call::post("/", "abc")
        .open()
        .trailer("X-Sum", "1")
        .trailer("X-Drop", "1")
        .header("X-Do", "tell,trailer=X-Sum:2,trailer=X-Drop:,trailer=X-Add:3");
    assert_eq!(proxy.call(&call).status(), 200);
    let seen = origin.last();
    assert_eq!(seen.body, b"abc");
    let told = seen.head.get("x-told").unwrap().to_owned();
    assert!(told.contains("trailer(X-Drop=1;X-Sum=1)"), "{told}");
    let mut trailers: Vec<(String, String)> =
        seen.trailers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    trailers.sort();
    assert_eq!(trailers, [("x-add".into(), "3".into()), ("x-sum".into(), "2".into())]);
}

#[test]
fn a_request_without_a_body_may_be_refused_or_given_one() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"send_body": true}));
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    assert_eq!(proxy.call(&asks("")).status(), 200);
    assert_eq!(origin.last().body, b"");
    assert_eq!(proxy.call(&asks("body=made")).status(), 200);
    assert_eq!(origin.last().body, b"made");
}

#[test]
fn nothing_of_a_refused_body_goes_upstream() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"send_body": true}));
    assert_eq!(proxy.call(&Call::post("/", "abc").header("X-Do", "deny")).status(), 403);
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_tunnel_is_asked_for_too_where_bodies_are_sent() {
    let origin = Origin::echo();
    let proxy =
        Proxy::start(&config(&origin, "", json!({"send_body": true})).in_proxy("upgrades", json!(["websocket"])));
    let mut wire = proxy.connect();
    let answer = wire
        .send("GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Do: deny\r\n\r\n")
        .response();
    assert_eq!((answer.status(), origin.count()), (403, 0));
}

#[test]
fn responses_are_shown_where_that_is_wanted() {
    let origin = Origin::http(|seen| {
        let reply = Reply::ok("from upstream").header("X-Up", "1");
        match seen.head.get("x-ask") {
            Some(deeds) => reply.header("X-Do", deeds),
            None => reply,
        }
    });
    let ask = |deeds: &str| Call::get("/").header("X-Ask", deeds);
    let proxy = start(&origin, "", json!({"direction": "response"}));
    let answer = proxy.call(&ask("tell,set=X-Up:,set=:status:202"));
    assert_eq!((answer.status(), answer.header("x-up"), answer.text().as_str()), (202, None, "from upstream"));
    let told = answer.header("x-told").unwrap();
    assert!(told.starts_with("response header(:status=200;") && told.contains("X-Up=1"), "{told}");
    assert_eq!(proxy.call(&ask("deny")).status(), 403);
    // What is a request's is not shown.
    assert_eq!(proxy.call(&asks("deny")).status(), 200);

    let proxy = start(&origin, "", json!({"direction": "both", "send_body": true}));
    let answer = proxy.call(&ask("tell,double"));
    assert_eq!(answer.text(), "from upstreamfrom upstream");
    assert!(answer.header("x-told").unwrap().contains("body(from upstream)"));
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    let head = proxy.call(&Call::new("HEAD", "/").header("X-Ask", "set=X-Seen:1"));
    assert_eq!((head.status(), head.header("x-seen")), (200, Some("1")));
}

#[test]
fn a_refusal_by_the_plugin_is_not_shown_to_it() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"direction": "both"}));
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    assert_eq!(status(&proxy)["calls"], 1);
}

#[test]
fn the_environment_is_clean_and_no_descriptor_is_passed_on() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"env": {"GREETING": "hello"}, "max_procs": 3}));
    proxy.call(&asks("env,fds"));
    let head = origin.last().head;
    let mut names: Vec<&str> =
        head.get("x-env").unwrap().split(' ').map(|pair| pair.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "GREETING",
            "MOSN_LOGBASE",
            "MOSN_PLUGIN",
            "MOSN_PROCS",
            "PLUGIN_MAX_PORT",
            "PLUGIN_MIN_PORT",
            "PLUGIN_PROTOCOL_VERSIONS"
        ]
    );
    assert!(head.get("x-env").unwrap().contains("MOSN_PROCS=3"));
    // Three streams, and what it opened itself: its runtime's, its sockets, and the folder it reads.
    assert!(head.get("x-fds").unwrap().parse::<u32>().unwrap() < 14, "{:?}", head.get("x-fds"));
}

#[test]
fn a_plugin_at_a_unix_socket_is_called_like_any_other() {
    let origin = Origin::echo();
    for (how, address) in [("unix", "unix:/"), ("plain", "127.0.0.1:")] {
        let proxy = start(&origin, how, json!({}));
        assert_eq!(proxy.call(&asks("deny")).status(), 403);
        let status = status(&proxy);
        assert!(status["address"].as_str().unwrap().starts_with(address), "{status}");
        assert_eq!(status["healthy"], if how == "plain" { json!(null) } else { json!(true) });
    }
}
