//! Limits of the process: the stream that meets one is refused, the others of
//! its connection go on.

use serde_json::{Value, json};
use sidegate_harness::{Call, Gate, H2Client, Message, Origin, Proxy, Reply, until};

use super::config;
use crate::modules::Module;

/// A stream of its connection that is refused at `limit`; the next is not.
#[track_caller]
fn refused(proxy: &Proxy, got: &Message, path: &str, limit: &str) {
    assert_eq!((got.status(), got.text().to_lowercase().trim_end_matches(['!', '\n'])), (503, limit));
    let line = proxy.access_line("503", |line| line.path == path);
    assert!(line.has("OM") && line.details == limit, "{line:?}");
}

fn used(proxy: &Proxy, limit: &str) -> usize {
    let series = format!("sidegate_overload_used{{limit=\"{limit}\"}}");
    proxy.metric(&series).unwrap_or_default() as usize
}

fn overloaded(origin: &Origin, overload: Value) -> sidegate_harness::ConfigBuilder {
    config(origin).top("overload", overload)
}

#[test]
fn above_the_limit_of_streams() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |seen| {
        if seen.head.target() == "/held" {
            held.wait();
        }
        Reply::ok("done")
    });
    let proxy = Proxy::start(&overloaded(&origin, json!({"streams": 1})));
    let client = H2Client::connect(proxy.address());
    let mut first = client.open(&Call::get("/held")).unwrap();
    origin.wait("the held request", |origin| origin.count() == 1);
    refused(&proxy, &client.get("/refused"), "/refused", "overload_streams");
    gate.open();
    assert_eq!(first.message().unwrap().status(), 200);
    until("the place to be free", || (client.get("/next").status() == 200).then_some(()));
}

#[test]
fn above_the_limit_of_pending_filters() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let config = overloaded(&origin, json!({"pending_filters": 1})).filter(module.entry("", &json!({})));
    let proxy = Proxy::start(&config);
    let client = H2Client::connect(proxy.address());
    let waiting = client.open(&Call::get("/waits").header("x-wait", "stale")).unwrap();
    until("the filter to wait", || (used(&proxy, "pending_filters") == 1).then_some(()));
    let got = client.call(&Call::get("/refused").header("x-wait", "later"));
    refused(&proxy, &got, "/refused", "overload_pending_filters");
    assert_eq!(client.get("/plain").status(), 200);
    drop(waiting);
    let again = Call::get("/again").header("x-wait", "later");
    until("the place to be free", || (client.call(&again).status() == 200).then_some(()));
}

#[test]
fn who_wants_to_hold_more_than_is_left() {
    const HELD: usize = 900_000;
    let module = Module::compile("body");
    let origin = Origin::http(|_| Reply::ok("done"));
    let overload = json!({"buffered_bytes": 1 << 20, "actions": {"reset_streams": 0}});
    let proxy = Proxy::start(&overloaded(&origin, overload).filter(module.entry("whole", &json!({}))));
    let client = H2Client::connect(proxy.address());
    let large = |path| Call::new("POST", path).header("content-length", &HELD.to_string());
    let mut first = client.open_for_body(&large("/first")).unwrap();
    first.send(vec![b'h'; HELD - 1]).unwrap();
    until("the body to be held", || (used(&proxy, "buffered_bytes") >= HELD).then_some(()));
    let mut second = client.open_for_body(&large("/second")).unwrap();
    // It may be answered before it has said everything.
    let _ = second.send(vec![b'h'; HELD]);
    refused(&proxy, &second.message().unwrap(), "/second", "overload_buffered_bytes");
    assert_eq!(client.call(&Call::post("/small", "small")).status(), 200);
    first.send("h").unwrap();
    first.finish().unwrap();
    assert_eq!(first.message().unwrap().status(), 200);
}
