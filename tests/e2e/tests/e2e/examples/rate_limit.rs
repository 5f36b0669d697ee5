use serde_json::json;
use sidegate_harness::{Call, Origin};

use super::Example;

/// A minute for a token: none comes back while the test runs. On one
/// connection, which has one of two workers and half of the burst.
#[test]
pub(crate) fn requests_above_the_burst_are_told_when_to_come_back() {
    let origin = Origin::echo();
    let example = Example::run_with("rate-limit", &origin, |config| {
        let own = &mut config["servers"][0]["routers"][0]["virtual_hosts"][0]["routers"][0]["per_filter_config"];
        own["rate-limit"] = json!({"requests": 2, "per": "1m", "burst": 6});
    });
    let mut client = example.connect();
    let mut get = |path: &str| client.call(&Call::get(path));
    let statuses: Vec<u16> = (0..4).map(|_| get("/login").status()).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    let refused = get("/login/again");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // Another route, another bucket.
    assert_eq!(get("/").status(), 200);
    assert_eq!(origin.count(), 4);
    assert_eq!(example.metric("rate_limit_requests_total{module=\"librate_limit\",result=\"limited\"}"), 2.0);
}

/// What a client took stays taken in the next generation of the module, on
/// the connection that it keeps.
#[test]
pub(crate) fn a_reload_of_the_module_gives_no_new_burst() {
    let origin = Origin::echo();
    let example = Example::run_with("rate-limit", &origin, |config| {
        let own = &mut config["servers"][0]["routers"][0]["virtual_hosts"][0]["routers"][0]["per_filter_config"];
        own["rate-limit"] = json!({"requests": 2, "per": "1h", "burst": 6, "name": "login"});
    });
    let mut client = example.connect();
    let mut get = || client.call(&Call::get("/login")).status();
    assert_eq!([get(), get(), get(), get()], [200, 200, 200, 429]);
    for generation in 2..4 {
        let answer = example.proxy.admin_call("POST", "/api/v1/modules/librate_limit/reload", "", "");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let modules = example.proxy.admin_get("/api/v1/modules").json();
        assert_eq!(modules["modules"][0]["generation"], generation, "{modules}");
        assert_eq!(get(), 429);
    }
    let carried = "sidegate_module_handovers_total{module=\"librate_limit\",filter=\"rate-limit\",result=\"carried\"}";
    assert_eq!(example.metric(carried), 2.0);
}
