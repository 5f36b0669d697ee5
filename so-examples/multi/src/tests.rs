use serde_json::json;
use sidegate_sdk::testing::TestHost;

use super::{Paywall, Plan};

#[test]
fn a_key_names_its_plan() {
    let host = TestHost::new::<Plan>(json!({"header": "X-Api-Key", "plans": {"paid": ["a"], "free": ["b"]}})).unwrap();
    let run = |headers: &[(&str, &str)]| host.request("GET", "/", headers).run();
    let known = run(&[("x-api-key", "a"), ("x-plan", "gold")]);
    assert_eq!(known.named("plan"), Some("paid"));
    assert_eq!(known.upstream.unwrap().header("x-plan"), Some("paid"));
    assert_eq!(run(&[("x-api-key", "c")]).status(), Some(401));
    assert_eq!(host.metric("plan_unknown_keys_total", &[]), Some(1.0));
    let without = run(&[("x-plan", "gold")]);
    assert_eq!(without.named("plan"), None);
    assert_eq!(without.upstream.unwrap().header("x-plan"), None);
}

#[test]
fn a_key_has_one_plan() {
    let refused = TestHost::new::<Plan>(json!({"header": "k", "plans": {"a": ["1", "1"]}})).err().unwrap();
    assert_eq!(refused.to_string(), "plans.a[1]: this key belongs to plan `a` already");
}

#[test]
fn some_paths_cost() {
    let host = TestHost::new::<Paywall>(json!({"paths": ["/reports"], "plans": ["paid"]})).unwrap();
    let status = |path: &str, plan: Option<&str>| {
        let request = host.request("GET", path, &[]);
        match plan {
            Some(plan) => request.named("plan", plan).run().status(),
            None => request.run().status(),
        }
    };
    assert_eq!(status("/", None), Some(200));
    assert_eq!(status("/reports/1", None), Some(401));
    assert_eq!(status("/reports/1", Some("free")), Some(402));
    assert_eq!(status("/reports/1", Some("paid")), Some(200));
    let refused = TestHost::new::<Paywall>(json!({"paths": ["/a", "b"], "plans": []})).err().unwrap();
    assert_eq!(refused.path, "paths[1]");
}
