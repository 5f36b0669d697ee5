use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sidegate_api::SeriesValue;

use super::FlowControl;
use super::rules::{Rule, Rules, Verdict};
use super::settings::{FLOW_CONTROL, Settings};
use crate::settings;
use crate::testing::{Bench, Outcome, errors};

const MS: u64 = 1_000_000;

fn parsed(config: &Value) -> Settings {
    settings::read(config, "config", &FLOW_CONTROL, &Default::default(), Settings::read).unwrap()
}

fn rules(rules: Value) -> Arc<Rules> {
    let settings = parsed(&json!({"rules": rules}));
    Rules::new(settings.rules.iter().map(|rule| -> Rule { rule.start(None) }).collect())
}

/// Whether a request passes at once, and ends at once.
fn passes(rules: &Arc<Rules>, resource: &str, ms: u64) -> bool {
    rules.enter(resource).is_none_or(|mut passage| passage.go_on(ms * MS) == Verdict::Pass)
}

fn on(rules: Value) -> Value {
    json!({"global_switch": true, "rules": rules})
}

#[test]
fn mosns_example_lets_one_per_second_pass() {
    // `server_config.json` of its flowcontrol-sample.
    let config = json!({
        "app_name": "sample", "log_path": "/tmp/sentinel", "global_switch": true, "monitor": false,
        "limit_key_type": "PATH", "action": {"status": 500, "body": "blocked"},
        "rules": [{"resource": "/", "limitApp": "", "grade": 1, "threshold": 1, "strategy": 0}],
    });
    let mut bench = Bench::new::<FlowControl>(config);
    assert_eq!(bench.request(), Outcome::Continue);
    let mut others = bench.sibling();
    assert_eq!(others.request(), Outcome::Reply(500));
    assert_eq!(bench.request(), Outcome::Continue, "one that is routed again is not judged again");
    let counted = bench.metrics().into_iter().find(|one| one.name.as_ref() == "sidegate_flow_control_refused_total");
    assert_eq!(counted.unwrap().value, SeriesValue::Counter(1));
}

#[test]
fn without_the_switch_nothing_is_limited() {
    let bench = Bench::new::<FlowControl>(json!({"rules": [{"resource": "/", "threshold": 0}]}));
    assert!(!bench.factory.interests().phases.wanted());
    assert!(!Bench::new::<FlowControl>(on(json!([]))).factory.interests().phases.wanted());
}

#[test]
fn the_reply_is_mosns_unless_said_otherwise() {
    let rule = json!([{"resource": "/", "threshold": 0}]);
    for (action, status, body) in [
        (json!(null), 509, "current request is limited"),
        (json!({"status": 0}), 509, "current request is limited"),
        (json!({"status": 429, "body": ""}), 429, ""),
    ] {
        let mut config = on(rule.clone());
        config["action"] = action;
        let reply = Bench::new::<FlowControl>(config).request_reply().unwrap_err();
        assert_eq!((reply.status, reply.details, &*reply.body), (status, "flow_control", body.as_bytes()));
    }
}

#[test]
fn resources_are_paths_queries_arguments_and_headers() {
    for (kind, name, resource) in [
        ("PATH", None, "/a"),
        ("URI", None, "/a?x=1&tenant=b%20c"),
        ("ARG", None, "x=1&tenant=b%20c"),
        ("ARG", Some("tenant"), "b c"),
        ("HEADER", Some("X-User"), "tom"),
        ("HEADER", Some("host"), "example.test"),
    ] {
        for (resource, outcome) in [(resource, Outcome::Reply(509)), ("other", Outcome::Continue)] {
            let mut config = on(json!([{"resource": resource, "threshold": 0}]));
            config["limit_key_type"] = kind.into();
            config["limit_key_name"] = name.into();
            let mut bench = Bench::new::<FlowControl>(config).header("x-user", "tom");
            bench.stream.request.set_target("/a?x=1&tenant=b%20c");
            assert_eq!(bench.request(), outcome, "{kind} {name:?} {resource}");
        }
    }
}

#[test]
fn a_request_without_the_resource_passes() {
    for (kind, name) in [("ARG", None), ("ARG", Some("tenant")), ("HEADER", Some("x-user"))] {
        let mut config = on(json!([{"resource": "a", "threshold": 0}]));
        config["limit_key_type"] = kind.into();
        config["limit_key_name"] = name.into();
        assert_eq!(Bench::new::<FlowControl>(config).request(), Outcome::Continue);
    }
}

#[test]
fn requests_in_progress_are_counted_until_they_end() {
    for key in ["grade", "metricType"] {
        let rules = rules(json!([{"resource": "a", key: 0, "threshold": 2}]));
        let enter = || {
            let mut passage = rules.enter("a").unwrap();
            (passage.go_on(0) == Verdict::Pass).then_some(passage)
        };
        let (one, two) = (enter(), enter());
        assert!(one.is_some() && two.is_some() && enter().is_none() && enter().is_none());
        drop(one);
        let three = enter();
        assert!(three.is_some() && enter().is_none());
    }
}

#[test]
fn a_filter_that_is_dropped_ends_its_request() {
    let config = on(json!([{"resource": "/", "grade": 0, "threshold": 1}]));
    let mut first = Bench::new::<FlowControl>(config);
    assert_eq!(first.request(), Outcome::Continue);
    let mut second = first.sibling();
    assert_eq!(second.request(), Outcome::Reply(509));
    let mut third = second.sibling();
    drop(first);
    assert_eq!(third.request(), Outcome::Continue);
}

#[test]
fn paced_requests_wait_and_the_queue_is_bounded() {
    let rules = rules(json!([
        {"resource": "a", "threshold": 10, "controlBehavior": 1, "maxQueueingTimeMs": 150},
    ]));
    let go = |ms: u64| rules.enter("a").unwrap().go_on(ms * MS);
    let wait = |ms| Verdict::Wait(Duration::from_millis(ms));
    assert_eq!([go(0), go(0), go(50), go(50)], [Verdict::Pass, wait(100), wait(150), Verdict::Refused]);
    assert_eq!(go(5000), Verdict::Pass);
}

#[test]
fn a_request_that_waited_goes_on_with_the_next_rule() {
    let rules = rules(json!([
        {"resource": "a", "threshold": 10, "controlBehavior": 1, "maxQueueingTimeMs": 1000},
        {"resource": "a", "threshold": 1},
    ]));
    assert!(passes(&rules, "a", 0));
    let mut second = rules.enter("a").unwrap();
    assert_eq!(second.go_on(0), Verdict::Wait(Duration::from_millis(100)));
    assert_eq!(second.go_on(100 * MS), Verdict::Refused);
    let mut third = rules.enter("a").unwrap();
    assert_eq!(third.go_on(1100 * MS), Verdict::Pass);
}

#[test]
fn all_rules_of_a_resource_must_agree_and_a_refusal_costs_none_of_them() {
    let rules = rules(json!([
        {"resource": "a", "threshold": 5},
        {"resource": "a", "grade": 0, "threshold": 1},
    ]));
    let mut held = rules.enter("a").unwrap();
    assert_eq!(held.go_on(0), Verdict::Pass);
    assert!((0..20).all(|_| !passes(&rules, "a", 10)));
    drop(held);
    // Four of five are left: refused requests took none.
    assert_eq!((0..20).filter(|_| passes(&rules, "a", 20)).count(), 4);
}

#[test]
fn another_resource_may_be_what_counts() {
    let rate = rules(json!([
        {"resource": "write", "threshold": 2, "relationStrategy": 1, "refResource": "read"},
    ]));
    assert!((0..9).all(|_| passes(&rate, "write", 0)), "its own do not count");
    assert!(passes(&rate, "read", 10) && passes(&rate, "write", 20));
    assert!(passes(&rate, "read", 30) && !passes(&rate, "write", 40));
    assert!(passes(&rate, "read", 50), "and are not limited");
    assert!(passes(&rate, "write", 1200));

    let busy = rules(json!([
        {"resource": "write", "grade": 0, "threshold": 1, "strategy": 1, "refResource": "read"},
    ]));
    let mut read = busy.enter("read").unwrap();
    assert!(passes(&busy, "write", 0) && read.go_on(0) == Verdict::Pass && !passes(&busy, "write", 0));
    drop(read);
    assert!(passes(&busy, "write", 0));
}

#[test]
fn a_cold_resource_gets_less() {
    let rules = rules(json!([{"resource": "a", "threshold": 30, "tokenCalculateStrategy": 1, "warmUpPeriodSec": 3}]));
    // One request every 10 ms, for 30 s: more than is ever allowed.
    let passed: Vec<u64> = (0..3000).map(|at| at * 10).filter(|&ms| passes(&rules, "a", ms)).collect();
    let in_second = |second: u64| passed.iter().filter(|&&ms| ms / 1000 == second).count();
    assert_eq!(in_second(0), 10);
    assert!((28..=30).contains(&in_second(29)), "{}", in_second(29));
}

#[test]
fn paths_without_rules_are_free() {
    let rules = rules(json!([{"resource": "a", "threshold": 0}]));
    assert!(rules.enter("b").is_none() && !passes(&rules, "a", 0));
    assert!(passes(&rules_of_many(), "9999", 0) && !passes(&rules_of_many(), "9999x", 0));
}

fn rules_of_many() -> Arc<Rules> {
    let many = (0..10_000).flat_map(|n| [json!({"resource": format!("{n}"), "threshold": 1})]);
    rules(many.chain([json!({"resource": "9999x", "threshold": 0})]).collect())
}

#[test]
fn what_is_not_honoured_is_an_error_with_words() {
    let rule = |extra: Value| {
        let mut rule = json!({"resource": "/", "threshold": 1});
        rule.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"rules": [rule]})
    };
    let memory = "not available: rules do not look at memory (`overload` of the file does); expected 0";
    for (config, error) in [
        (json!({"monitor": true}), "config.monitor: not available: MOSN limits requests all the same; expected false"),
        (
            json!({"callback_name": "mine"}),
            "config.callback_name: not available: it names Go code that is linked to MOSN; expected \"\"",
        ),
        (
            json!({"dynamic_data_resources": [{"resource_type": "nacos"}]}),
            "config.dynamic_data_resources: not available: rules come from this file alone; nothing is fetched from Nacos",
        ),
        (json!({"limit_key_type": "HEADER"}), "config.limit_key_name: required key is missing; expected a header name"),
        (json!({"limit_key_name": "x"}), "config.limit_key_name: it has no meaning without `ARG` or `HEADER`"),
        (
            json!({"action": {"status": 100}}),
            "config.action.status: expected 0, or a status from 200 to 599, found 100",
        ),
        (
            rule(json!({"regex": true})),
            "config.rules[0].regex: not available: each resource has a rule of its own; expected false",
        ),
        (
            rule(json!({"limitApp": "orders"})),
            "config.rules[0].limitApp: not available: callers have no names here; expected \"\" or \"default\"",
        ),
        (
            rule(json!({"tokenCalculateStrategy": 2})),
            &*format!("config.rules[0].tokenCalculateStrategy: {memory} or 1"),
        ),
        (rule(json!({"memLowWaterMarkBytes": 1})), &*format!("config.rules[0].memLowWaterMarkBytes: {memory}")),
        (
            rule(json!({"strategy": 2})),
            "config.rules[0].strategy: not available: a request calls one resource, there are no chains; expected 0 or 1",
        ),
        (
            rule(json!({"relationStrategy": 1})),
            "config.rules[0].refResource: required key is missing; expected the resource that is counted",
        ),
        (
            rule(json!({"tokenCalculateStrategy": 1})),
            "config.rules[0].warmUpPeriodSec: required key is missing; expected seconds, from 1 up",
        ),
        (
            rule(json!({"tokenCalculateStrategy": 1, "warmUpPeriodSec": 1, "warmUpColdFactor": 1})),
            "config.rules[0].warmUpColdFactor: expected 0, or a factor from 2 up, found 1",
        ),
        (
            rule(json!({"grade": 0, "controlBehavior": 1})),
            "config.rules[0].controlBehavior: expected 0, as `grade` 0 counts requests in progress, found 1",
        ),
        (rule(json!({"threshold": -1})), "config.rules[0].threshold: expected a number from 0 to 8000000, found -1"),
        (rule(json!({"clusterMode": false})), "config.rules[0].clusterMode: unknown key; known here are "),
        (
            json!({"rules": [{"threshold": 1}]}),
            "config.rules[0].resource: required key is missing; expected a resource",
        ),
    ] {
        let errors = errors::<FlowControl>(config.clone());
        assert!(errors.len() == 1 && errors[0].starts_with(error), "{config}: {errors:#?}");
    }
}
