//! `mirror`.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy};

/// Mirrors `POST /` with this filter to two hosts; answers with the copies
/// that each got once there are `expected`. The origin gets `to_origin`.
fn copies(filter: Value, expected: usize, to_origin: usize) -> [usize; 2] {
    let (origin, one, two) = (Origin::echo(), Origin::echo(), Origin::echo());
    let routes = json!([{
        "match": {"prefix": "/"},
        "route": {"cluster_name": "origin"},
        "request_mirror_policies": {"cluster": "shadow", "percent": 100},
    }]);
    let config = ConfigBuilder::to_routes(origin.address(), routes)
        .cluster("shadow", &[one.address(), two.address()])
        .filter(filter);
    let proxy = Proxy::start(&config);
    let reply = proxy.exchange("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!((reply.status(), origin.count()), (200, to_origin));
    let done = |origin: &Origin| origin.seen().iter().filter(|seen| seen.complete).count();
    one.wait("all copies", |one| done(one) + done(&two) >= expected);
    for seen in one.seen().iter().chain(&two.seen()) {
        assert_eq!((seen.head.target(), &seen.body[..]), ("/x", &b"body"[..]));
    }
    // None is still to come: they are counted when they are begun.
    let metrics = proxy.admin_get("/metrics").text();
    let sent = format!("downstream_request_mirrored_total{{listener=\"main\"}} {expected}");
    assert!(metrics.lines().any(|line| line == sent), "no {sent} in {metrics}");
    [one.count(), two.count()]
}

#[test]
pub(crate) fn requests_are_copied_as_often_as_the_filter_says() {
    assert_eq!(copies(json!({"type": "mirror", "config": {"amplification": 3}}), 3, 1).iter().sum::<usize>(), 3);
    assert_eq!(copies(json!({"type": "mirror"}), 1, 1).iter().sum::<usize>(), 1);
}

#[test]
pub(crate) fn a_broadcast_reaches_every_host_once_and_the_origin_not_at_all() {
    assert_eq!(copies(json!({"type": "mirror", "config": {"broadcast": true, "amplification": 7}}), 2, 0), [1, 1]);
}
