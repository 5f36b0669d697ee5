use std::time::Duration;

use serde_json::json;

use super::Fault;
use crate::testing::{Bench, Outcome, errors};

#[test]
fn a_delay_then_an_abort() {
    let config = json!({
        "delay": {"percentage": 100, "fixed_delay": "1h"},
        "abort": {"percentage": 100, "status": 503},
    });
    let mut bench = Bench::new::<Fault>(config);
    assert_eq!(bench.request(), Outcome::Waits(Some(Duration::from_secs(3600))));
    assert_eq!(bench.resume(), Outcome::Reply(503));
}

#[test]
fn a_request_that_is_routed_again_is_hit_once() {
    let mut bench = Bench::new::<Fault>(json!({"delay": {"percentage": 100, "fixed_delay": "1s"}}));
    assert_eq!(bench.request(), Outcome::Waits(Some(Duration::from_secs(1))));
    assert_eq!(bench.resume(), Outcome::Continue);
    assert_eq!(bench.request(), Outcome::Continue);
}

#[test]
fn only_what_it_is_for_is_hit() {
    let config = json!({
        "abort": {"percentage": 100, "status": 503},
        "upstream_cluster": "a",
        "headers": [{"name": "X-User", "value": "^t", "regex": true}, {"name": "host", "value": "example.test"}],
    });
    let hit = |cluster: &str, user: &str| {
        let mut bench = Bench::new::<Fault>(config.clone()).header("x-user", user);
        bench.stream.info.cluster = Some(cluster.into());
        bench.request()
    };
    assert_eq!(hit("a", "tom"), Outcome::Reply(503));
    assert_eq!(hit("b", "tom"), Outcome::Continue);
    assert_eq!(hit("a", "jim"), Outcome::Continue);
    let mut without = Bench::new::<Fault>(config.clone());
    without.stream.info.cluster = Some("a".into());
    assert_eq!(without.request(), Outcome::Continue);
}

#[test]
fn a_routes_settings_replace_the_filters() {
    let config = json!({"abort": {"percentage": 100, "status": 503}});
    assert_eq!(Bench::new::<Fault>(config.clone()).on_route(json!({})).request(), Outcome::Continue);
    let other = json!({"abort": {"percentage": 100, "status": 418}});
    assert_eq!(Bench::new::<Fault>(config).on_route(other).request(), Outcome::Reply(418));
}

#[test]
fn nothing_happens_at_0_percent_or_without_a_time() {
    for config in [
        json!({}),
        json!({"abort": {"status": 503}}),
        json!({"abort": {}, "delay": {}}),
        json!({"abort": {"status": 0, "percentage": 0}, "delay": {"fixed_delay": "0s", "percentage": 0}}),
        json!({"abort": null, "delay": null, "headers": null, "nobody_knows": null}),
        json!({"delay": {"percentage": 100}}),
        json!({"delay": {"percentage": 0, "fixed_delay": "1s"}}),
    ] {
        assert_eq!(Bench::new::<Fault>(config.clone()).request(), Outcome::Continue, "{config}");
    }
}

#[test]
fn mistakes_are_named() {
    let config = json!({
        "delay": {"percentage": 101, "fixed_delay": "3"},
        "abort": {"percentage": 5},
        "headers": [{"name": "a b"}, {"name": "x", "value": "(", "regex": true}],
    });
    let found = errors::<Fault>(config);
    let paths: Vec<_> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "config.delay.fixed_delay",
            "config.delay.percentage",
            "config.abort.status",
            "config.headers[0].name",
            "config.headers[1].value"
        ]
    );
    assert!(found[4].contains("unclosed group"), "{found:?}");
    let status = errors::<Fault>(json!({"abort": {"status": 100}}));
    assert_eq!(status, ["config.abort.status: expected a status from 200 to 599, found 100"]);
    let bench = Bench::new::<Fault>(json!({}));
    let error = bench.factory.create_route_config(&json!({"delay": {"percentage": -1}})).err().unwrap();
    assert_eq!(error.path, "delay.percentage");
}
