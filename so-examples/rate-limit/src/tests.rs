use std::time::Duration;

use serde_json::json;
use sidegate_sdk::testing::{Outcome, TestHost};

use super::RateLimit;

fn get(host: &TestHost) -> Outcome {
    host.request("GET", "/", &[]).run()
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let host = TestHost::new::<RateLimit>(json!({"requests": 2, "per": "1s", "burst": 3})).unwrap();
    let statuses: Vec<_> = (0..4).map(|_| get(&host).status().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    host.advance(Duration::from_millis(499));
    let refused = get(&host).response.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    host.advance(Duration::from_millis(2));
    assert_eq!(get(&host).status(), Some(200));
    assert_eq!(get(&host).status(), Some(429));
    assert_eq!(host.metric("rate_limit_requests_total", &[("result", "passed")]), Some(4.0));
    assert_eq!(host.metric("rate_limit_requests_total", &[("result", "limited")]), Some(3.0));
}

#[test]
fn the_bucket_holds_no_more_than_the_burst() {
    let host = TestHost::new::<RateLimit>(json!({"requests": 1, "per": "10s", "burst": 2})).unwrap();
    host.advance(Duration::from_secs(3600));
    let statuses: Vec<_> = (0..3).map(|_| get(&host).status().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(get(&host).response.unwrap().header("retry-after"), Some("10"));
}

#[test]
fn each_worker_has_its_share() {
    let host = TestHost::with_workers::<RateLimit>(json!({"requests": 4, "per": "1s"}), 2).unwrap();
    let on = |worker| host.request("GET", "/", &[]).worker(worker).run().status().unwrap();
    assert_eq!([on(0), on(0), on(0), on(1), on(1), on(1)], [200, 200, 429, 200, 200, 429]);
}

#[test]
fn a_route_may_have_its_own() {
    let host = TestHost::new::<RateLimit>(json!({"requests": 1, "per": "1s"})).unwrap();
    let on_route = || host.request("GET", "/", &[]).route_config(json!({"requests": 2, "per": "1s"})).run().status();
    assert_eq!(get(&host).status(), Some(200));
    assert_eq!(get(&host).status(), Some(429));
    assert_eq!(on_route(), Some(200));
}

#[test]
fn refuses_what_makes_no_sense() {
    let refused = |config| TestHost::new::<RateLimit>(config).err().unwrap().to_string();
    assert_eq!(refused(json!({"requests": 0, "per": "1s"})), "requests: expected a number above 0, found 0");
    assert_eq!(refused(json!({"requests": 1, "per": "0"})), "per: expected a duration above zero");
    assert!(refused(json!({"requests": 1, "per": 5})).starts_with("per: "));
}
