//! The streaming protocol: every hook and every change, by the plugin in
//! tests/plugins/streams.

use serde_json::{Value, json};
use sidegate_harness::{Call, ConfigBuilder, Origin, Proxy, Reply, artifact, until};

use super::{await_log, merge, status};

/// A filter whose plugin begins as `how` says, with these settings of the
/// protocol and others.
pub(super) fn entry(how: &str, streaming: Value, more: Value) -> Value {
    let mut config = json!({
        "command": artifact("sidegate-test-streams").display().to_string(),
        "args": [how],
        "protocol": "sidegate",
        "streaming": streaming,
        // A loaded machine must not look like a plugin that hangs.
        "timeout": "15s",
    });
    merge(&mut config, more);
    json!({"type": "plugin", "name": "streams", "config": config})
}

pub(super) fn start(origin: &Origin, streaming: Value, more: Value) -> Proxy {
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry("", streaming, more)))
}

pub(super) fn asks(deeds: &str) -> Call {
    Call::get("/").header("x-do", deeds)
}

fn told(origin: &Origin) -> String {
    origin.last().head.get("x-told").expect("what it was told").to_owned()
}

#[test]
fn heads_go_to_the_plugin_and_back() {
    let origin = Origin::http(|_| Reply::ok("hello").header("X-Up", "1"));
    let proxy = start(&origin, json!({"response_headers": true}), json!({}));
    let call = asks("head.set=x-new:1,head.add=x-two:b,head.remove=x-gone,head.target=/there?q=1,rhead.set=x-r:2")
        .header("X-Two", "a")
        .header("X-Gone", "1");
    let answer = proxy.call(&call);
    assert_eq!((answer.status(), answer.text().as_str(), answer.header("x-r")), (200, "hello", Some("2")));
    let head = origin.last().head;
    assert_eq!((head.target(), head.get("x-new"), head.has("x-gone")), ("/there?q=1", Some("1"), false));
    assert_eq!(head.all("x-two"), ["a", "b"]);
    let answer = proxy.call(&asks("rhead.remove=x-up,rhead.status=202"));
    assert_eq!((answer.status(), answer.header("x-up")), (202, None));
    assert_eq!(status(&proxy)["calls"], 4);
}

#[test]
fn the_plugin_sees_names_values_variables_and_its_configuration() {
    let origin = Origin::echo();
    let streaming = json!({"variables": ["request_id", "scheme"], "config": {"a": [1, "b"]}});
    let proxy = start(&origin, streaming, json!({}));
    proxy.call(&asks("head.tell").header("X-Ab", "1").header("X-Ab", "2, 3"));
    let told = told(&origin);
    for part in [
        "head(1 GET test / ",
        "fields:x-ab=1;x-ab=2, 3",
        // Configured, and asked for by the program itself.
        "6=http",
        "17=127.0.0.1",
        "config:{\"a\":[1,\"b\"]}",
        "end:true",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn the_plugin_replies_ends_and_routes_again() {
    let origin = Origin::echo();
    let other = Origin::http(|_| Reply::ok("the other"));
    let routes = json!([
        {"match": {"prefix": "/other"}, "route": {"cluster_name": "other"}, "per_filter_config": {"streams": {"r": 1}}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}},
    ]);
    let config = ConfigBuilder::to_routes(origin.address(), routes).cluster("other", &[other.address()]);
    let proxy = Proxy::start(&config.filter(entry("", json!({"phases": ["after_route"]}), json!({}))));
    let answer = proxy.call(&asks("head.reply=418:short and stout"));
    assert_eq!(
        (answer.status(), answer.text().as_str(), answer.header("x-by")),
        (418, "short and stout", Some("plugin"))
    );
    assert_eq!(proxy.access_line("the reply", |line| line.status == 418).details, "plugin_replied");
    let answer = proxy.call(&asks("head.rematch=/other/x,head.tell"));
    assert_eq!(answer.text(), "the other");
    assert!(other.last().head.get("x-told").unwrap().contains("route:{\"r\":1}"));
    assert_eq!(origin.count(), 0);
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nHost: test\r\nx-do: head.terminate\r\n\r\n");
    wire.expect_close();
    assert_eq!(proxy.call(&asks("head.stop")).status(), 200);
}

#[test]
fn bodies_are_streamed_both_ways() {
    let origin = Origin::echo();
    let streaming = json!({"request_body": "stream", "response_headers": true, "response_body": "stream"});
    let proxy = start(&origin, streaming, json!({}));
    let large: Vec<u8> = (0..700_000u32).map(|n| b'a' + (n % 26) as u8).collect();
    let answer = proxy.call(&Call::post("/", large.clone()).header("x-do", "body.upper"));
    assert_eq!(answer.status(), 200);
    assert!(origin.last().body == large.to_ascii_uppercase());
    let answer = proxy.call(&asks("rbody.replace=made"));
    assert!(answer.text().contains("made"), "{}", answer.text());
    // An answer of many pieces.
    proxy.call(&Call::post("/", "x").header("x-do", "body.grow=3000000"));
    assert_eq!(origin.last().body.len() % 3_000_000, 0);
}

#[test]
fn whole_bodies_come_in_pieces_and_are_one() {
    let origin = Origin::echo();
    let streaming = json!({"request_body": "whole", "window": 16384});
    let proxy = start(&origin, streaming, json!({}));
    let large = vec![b'x'; 900_000];
    let call = Call::post("/", large.clone()).open().trailer("X-Sum", "1");
    proxy.call(&call.clone().header("x-do", "body.upper,body.trailer=x-more:2"));
    let seen = origin.last();
    assert!(seen.body == large.to_ascii_uppercase());
    let mut trailers: Vec<_> =
        seen.trailers.iter().map(|(name, value)| format!("{}={value}", name.to_ascii_lowercase())).collect();
    trailers.sort();
    assert_eq!(trailers, ["x-more=2", "x-sum=1"]);
    let answer = proxy.call(&call.header("x-do", "body.reply=413:too much"));
    assert_eq!((answer.status(), answer.text().as_str()), (413, "too much"));
    assert_eq!(origin.count(), 1);
}

#[test]
fn observed_bodies_pass_as_they_are_and_are_counted_in_the_end() {
    let origin = Origin::echo();
    let streaming = json!({"request_body": "observe", "window": 16384, "completion": true});
    let proxy = start(&origin, streaming, json!({}));
    let large = vec![b'x'; 900_000];
    assert_eq!(proxy.call(&Call::post("/", large.clone()).header("x-do", "body.upper,body.wait=1")).status(), 200);
    let seen = origin.last();
    assert!(seen.body == large);
    assert_eq!(seen.head.get("content-length"), Some("900000"));
    await_log(&proxy, "completion status:200");
    await_log(&proxy, "received:900000");
}

#[test]
fn trailers_are_shown_and_changed() {
    let origin = Origin::http(|_| Reply::ok("x").chunked().trailer("X-End", "1"));
    let streaming = json!({"request_trailers": true, "response_headers": true, "response_trailers": true});
    let proxy = start(&origin, streaming, json!({}));
    let call = Call::post("/", "abc").open().trailer("X-Sum", "1");
    let call = call.header("x-do", "trailers.set=x-sum:2,rtrailers.set=x-end:2,rtrailers.add=x-more:3");
    let answer = proxy.call(&call);
    assert_eq!(answer.status(), 200);
    let of = |trailers: &[(String, String)], name: &str| {
        trailers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    assert_eq!(of(&origin.last().trailers, "x-sum").as_deref(), Some("2"));
    assert_eq!(of(&answer.trailers, "x-end").as_deref(), Some("2"));
    assert_eq!(of(&answer.trailers, "x-more").as_deref(), Some("3"));
}

#[test]
fn a_plugin_may_want_less_than_is_configured() {
    let origin = Origin::echo();
    let streaming = json!({"request_body": "stream", "response_headers": true, "completion": true});
    let proxy = start(&origin, streaming.clone(), json!({}));
    let body = Call::post("/", "abc");
    proxy.call(&body.clone().header("x-do", "head.nobodies,body.upper,rhead.set=x-r:1"));
    assert_eq!(origin.last().body, b"abc");
    let answer = proxy.call(&body.clone().header("x-do", "head.none,body.upper,rhead.set=x-r:1"));
    assert_eq!((answer.header("x-r"), origin.last().body.as_slice()), (None, b"abc".as_slice()));
    await_log(&proxy, "completion status:200");
    // Said in general, by `Describe`.
    let config = ConfigBuilder::to(origin.address()).filter(entry("heads", streaming, json!({})));
    let proxy = Proxy::start(&config);
    let answer = proxy.call(&body.header("x-do", "head.set=x-h:1,body.upper,rhead.set=x-r:1"));
    let seen = origin.last();
    assert_eq!(
        (answer.header("x-r"), seen.head.get("x-h"), seen.body.as_slice()),
        (None, Some("1"), b"abc".as_slice())
    );
}

#[test]
fn who_speaks_both_is_asked_by_the_streaming_protocol_and_who_does_not_by_mosns() {
    let origin = Origin::echo();
    let auto = json!({"protocol": "auto", "send_body": true, "direction": "both"});
    let proxy = start(&origin, json!({"config": {"x": 1}}), auto.clone());
    proxy.call(&asks("head.tell,head.set=x-h:1"));
    assert!(told(&origin).contains("config:{\"x\":1}"), "by ours");
    let mosn = json!({
        "type": "plugin",
        "config": {
            "command": artifact(super::PROGRAM).display().to_string(),
            "protocol": "auto", "send_body": true, "timeout": "15s",
        },
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(mosn));
    let call = Call::post("/", "abc").header("X-Do", "double,tell");
    assert_eq!(proxy.call(&call).status(), 200);
    assert_eq!(origin.last().body, b"abcabc");
    assert_eq!(proxy.call(&super::asks("deny")).status(), 403);
    // A program made with the kit answers MOSN's call too.
    let kit = json!({
        "type": "plugin",
        "config": {
            "command": artifact("sidegate-test-streams").display().to_string(), "send_body": true, "timeout": "15s",
        },
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(kit));
    let call = Call::post("/", "abc").header("X-Do", "head.set=x-h:1,head.remove=x-gone,head.target=/t,body.upper");
    assert_eq!(proxy.call(&call.header("X-Gone", "1")).status(), 200);
    let seen = origin.last();
    assert_eq!((seen.head.target(), seen.head.get("x-h"), seen.head.has("x-gone")), ("/t", Some("1"), false));
    assert_eq!(seen.body, b"ABC");
    assert_eq!(proxy.call(&Call::get("/").header("X-Do", "head.reply=401:no")).status(), 403);
}

#[test]
fn many_streams_share_few_calls() {
    let origin = Origin::echo();
    let proxy = start(&origin, json!({"grpc_streams": 2, "response_headers": true}), json!({}));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (proxy, origin) = (&proxy, &origin);
            scope.spawn(move || {
                for call in 0..20 {
                    let mine = format!("{thread}-{call}");
                    let deeds = format!("head.wait=1,head.set=x-mine:{mine},rhead.set=x-mine:{mine}");
                    let answer = proxy.call(&asks(&deeds));
                    assert_eq!((answer.status(), answer.header("x-mine")), (200, Some(mine.as_str())));
                    assert!(origin.seen().iter().any(|seen| seen.head.get("x-mine") == Some(mine.as_str())));
                }
            });
        }
    });
    let all = until("all calls in the status", || Some(status(&proxy)).filter(|status| status["in_flight"] == 0));
    assert_eq!(all["calls"], 320);
}
