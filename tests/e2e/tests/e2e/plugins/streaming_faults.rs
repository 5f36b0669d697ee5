//! What goes wrong with the streaming protocol, and what becomes of traffic.

use serde_json::{Value, json};
use sidegate_harness::{Call, ConfigBuilder, Origin, Proxy, until};

use super::streaming::{asks, entry, start};
use super::{await_log, status};

fn failures(proxy: &Proxy, reason: &str) -> f64 {
    let series = format!("sidegate_plugin_call_failures_total{{plugin=\"sidegate-test-streams\",reason=\"{reason}\"}}");
    proxy.metric(&series).unwrap_or(0.0)
}

fn raw(origin: &Origin, more: Value) -> Proxy {
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry("raw", json!({"response_headers": true}), more)))
}

fn fault(what: &str) -> Call {
    Call::get("/").header("x-fault", what)
}

#[test]
fn who_breaks_the_protocol_fails_and_goes_on() {
    let origin = Origin::echo();
    let proxy = raw(&origin, json!({}));
    for (count, what) in ["unknown", "twice", "order", "credit", "empty", "action", "interest"].iter().enumerate() {
        assert_eq!(proxy.call(&fault(what)).status(), 500, "{what}");
        until("the count", || (failures(&proxy, "bad_answer") == (count + 1) as f64).then_some(()));
        assert_eq!(proxy.call(&fault("")).status(), 200, "after {what}");
    }
    await_log(&proxy, "plugin breaks the protocol: it speaks of stream");
    assert_eq!(proxy.call(&fault("end")).status(), 500);
    assert_eq!(failures(&proxy, "lost"), 1.0);
    assert_eq!(proxy.call(&fault("")).status(), 200);
    // It is one process all the time: only calls were ended.
    assert_eq!(status(&proxy)["restarts"], 0);
}

#[test]
fn a_fault_of_one_stream_is_no_others() {
    let origin = Origin::echo();
    let proxy = raw(&origin, json!({}));
    let mut other = proxy.connect();
    other.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n");
    until("a head that has passed", || (status(&proxy)["calls"] == 1).then_some(()));
    for what in ["twice", "order", "credit"] {
        assert_eq!(proxy.call(&fault(what)).status(), 500, "{what}");
    }
    assert_eq!(other.send("abc").response().status(), 200);
}

#[test]
fn traffic_goes_on_unasked_where_that_is_allowed() {
    let origin = Origin::echo();
    let proxy = raw(&origin, json!({"on_error": "allow"}));
    for what in ["unknown", "twice", "order", "end"] {
        assert_eq!(proxy.call(&fault(what)).status(), 200, "{what}");
    }
}

#[test]
fn a_plugin_that_is_slow_holds_up_its_streams_alone() {
    let origin = Origin::echo();
    let proxy = start(&origin, json!({}), json!({"timeout": "300ms"}));
    let hung = Call::get("/").header("x-do", "head.hang");
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let hung = scope.spawn(|| proxy.call(&hung).status());
        let quick: Vec<u16> = (0..5).map(|_| proxy.call(&asks("head.set=x-a:1")).status()).collect();
        let mut all = quick;
        all.push(hung.join().unwrap());
        all
    });
    assert_eq!(answers, [200, 200, 200, 200, 200, 500]);
    assert_eq!(failures(&proxy, "timeout"), 1.0);
    // The stream's end reaches the plugin, and what it says later is skipped.
    assert_eq!(proxy.call(&asks("head.wait=400")).status(), 500);
    assert_eq!(proxy.call(&asks("")).status(), 200);
}

#[test]
fn a_plugin_that_dies_in_mid_stream_loses_what_was_on_it() {
    let origin = Origin::echo();
    let streaming = json!({"request_body": "stream"});
    let proxy = start(&origin, streaming, json!({"restart_backoff": "10ms"}));
    let mut other = proxy.connect();
    other.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\na");
    until("a head and a chunk that have passed", || (status(&proxy)["calls"] == 2).then_some(()));
    assert_eq!(proxy.call(&asks("head.die")).status(), 500);
    // Its stream was on the plugin that is no more; the request is on its way.
    let answer = other.send("bc").try_response("POST");
    assert!(answer.ok().is_none_or(|answer| answer.status() == 500));
    until("a plugin that is up again", || (proxy.call(&asks("head.set=x-a:1")).status() == 200).then_some(()));
    assert!(failures(&proxy, "lost") >= 2.0);
}

#[test]
fn a_configuration_that_the_plugin_refuses_fails_what_is_asked() {
    let origin = Origin::echo();
    let proxy = start(&origin, json!({"config": "refuse"}), json!({}));
    assert_eq!(proxy.call(&asks("")).status(), 500);
    assert!(failures(&proxy, "error") >= 1.0);
    await_log(&proxy, "as it was told");
}

#[test]
fn a_plugin_without_the_protocol_is_said_to_have_none() {
    let origin = Origin::echo();
    let mut filter = entry("", json!({}), json!({}));
    filter["config"]["command"] = json!(sidegate_harness::artifact(super::PROGRAM).display().to_string());
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    assert_eq!(proxy.call(&Call::get("/")).status(), 500);
    await_log(&proxy, "it does not serve sidegate.plugin.v1");
}

#[test]
fn a_large_body_is_in_memory_in_part_only() {
    const SIZE: usize = 32 << 20;
    let origin = Origin::http(|seen| sidegate_harness::Reply::ok(seen.body.len().to_string()));
    let proxy = start(&origin, json!({"request_body": "stream", "window": 65536}), json!({}));
    let before = proxy.resident_bytes();
    // The plugin is slower than the client.
    let call = Call::post("/", vec![b'x'; SIZE]).header("x-do", "body.wait=1");
    assert_eq!(proxy.call(&call).text(), SIZE.to_string());
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(grown < SIZE / 3, "{grown} bytes more");
}

#[test]
fn an_answer_larger_than_bodies_may_be_is_none() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).limit("max_buffered_body", 100_000);
    let proxy = Proxy::start(&config.filter(entry("", json!({"request_body": "whole"}), json!({}))));
    let post = |deeds: &str| Call::post("/", "x").header("x-do", deeds);
    assert_eq!(proxy.call(&post("body.grow=100000")).status(), 200);
    assert_eq!(proxy.call(&post("body.grow=100001")).status(), 500);
    assert_eq!(proxy.call(&post("head.flood=5000000")).status(), 500);
    assert_eq!(failures(&proxy, "bad_answer"), 2.0);
}

/// What is only shown waits for no answer, so that nothing but these bounds ends
/// what a plugin is owed that reads nothing.
#[test]
fn a_plugin_that_reads_nothing_is_owed_a_bounded_number_of_bytes() {
    let origin = Origin::echo();
    let observed = json!({"phases": [], "request_body": "observe", "window": 1_048_576});
    let more = json!({"timeout": "100ms", "max_timeouts": 0});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry("deaf", observed, more)));
    let one = Call::post("/", vec![b'x'; 1 << 20]);
    // 64 MiB, and what connection and call hold.
    let refused = (0..100).position(|_| proxy.call(&one).status() == 500).expect("a request that is too much");
    assert!(refused >= 60, "{refused} requests of a mebibyte");
    assert!(failures(&proxy, "too_many") >= 1.0);
    await_log(&proxy, "bytes wait already for the plugin to read them");
    // Then it is taken for one that hangs, and another is asked.
    await_log(&proxy, "it read nothing of a call for 10s");
    until("requests that pass again", || (proxy.call(&one).status() == 200).then_some(()));
    assert_eq!(status(&proxy)["restarts"], 1);
}
