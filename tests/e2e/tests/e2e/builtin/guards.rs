//! `ip_access` and `payload_limit`.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Framing, Origin, Proxy};

use crate::support::{chunked, pattern, route};

fn statuses(filter: Value, fields: &[&str]) -> (Vec<u16>, usize) {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    let statuses = fields.iter().map(|fields| proxy.get_with("/", fields).status()).collect();
    (statuses, origin.count())
}

#[test]
pub(crate) fn addresses_are_let_in_or_not() {
    let deny = json!({"type": "ip_access", "config": {"ips": [{"action": "deny", "addrs": ["127.0.0.0/8"]}]}});
    assert_eq!(statuses(deny, &[""]), (vec![403], 0));
    let allow = json!({"type": "ip_access", "config": {
        "default_action": "deny", "ips": [{"action": "allow", "addrs": ["127.0.0.1", "::1"]}]}});
    assert_eq!(statuses(allow, &[""]), (vec![200], 1));
}

#[test]
pub(crate) fn the_last_forwarded_address_counts() {
    let filter = json!({"type": "ip_access", "config": {"header": "x-forwarded-for", "ips": [
        {"action": "deny", "addrs": ["10.1.0.0/16"]}]}});
    let fields = [
        "X-Forwarded-For: 10.1.2.3\r\n",
        "X-Forwarded-For: 10.1.2.3, 10.2.0.1\r\n",
        "X-Forwarded-For: 10.2.0.1\r\nX-Forwarded-For: 10.1.2.3\r\n",
        "X-Forwarded-For: nobody\r\n",
        "",
    ];
    assert_eq!(statuses(filter, &fields), (vec![403, 200, 403, 403, 200], 2));
}

fn limited(config: Value, per_route: Option<Value>) -> (Origin, Proxy) {
    let origin = Origin::echo();
    let mut own = route("/own", json!({}));
    if let Some(per_route) = per_route {
        own["per_filter_config"] = json!({"payload_limit": per_route});
    }
    let routes = json!([own, route("/", json!({}))]);
    let filter = json!({"type": "payload_limit", "config": config});
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes).filter(filter));
    (origin, proxy)
}

fn post(path: &str, length: usize) -> Vec<u8> {
    let mut raw = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    raw.extend(pattern(length));
    raw
}

#[test]
fn an_announced_body_is_refused_before_it_is_sent() {
    let (origin, proxy) = limited(json!({"max_entity_size": 1000}), Some(json!({"max_entity_size ": 5000})));
    assert_eq!(proxy.exchange(post("/", 1000)).json()["body_length"], 1000);
    assert_eq!(origin.last().framing, Framing::Length(1000), "the length stays known");
    assert_eq!(proxy.exchange(post("/own", 5000)).status(), 200);
    let before = origin.count();
    assert_eq!(proxy.exchange(post("/", 1001)).status(), 413);
    assert_eq!(proxy.exchange(post("/own", 5001)).status(), 413);
    // A client that asks first is told first.
    let head = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n";
    let refusal = proxy.exchange(head);
    assert_eq!((refusal.status(), refusal.interim.len(), origin.count()), (413, 0, before));
}

#[test]
fn a_body_without_length_is_counted() {
    let (origin, proxy) = limited(json!({"max_entity_size": 100_000, "http_status": 509}), None);
    let head = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let send = |length: usize| {
        let mut raw = head.as_bytes().to_vec();
        raw.extend(chunked(&pattern(length), 7000, ""));
        proxy.exchange(raw)
    };
    assert_eq!(send(100_000).json()["body_length"], 100_000);
    let refusal = send(100_001);
    assert_eq!((refusal.status(), refusal.text()), (509, "request body too large\n".to_owned()));
    origin.wait("the end of the refused request's connection", |origin| origin.open_connections() <= 1);
    assert!(origin.seen().iter().filter(|seen| seen.complete).all(|seen| seen.body.len() == 100_000));
}
