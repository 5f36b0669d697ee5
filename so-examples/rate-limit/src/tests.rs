use std::time::Duration;

use serde_json::json;
use sidegate_sdk::testing::{Outcome, TestHost};

use super::all_buckets::AllBuckets;
use super::bucket::Pace;
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
    assert!(refused(json!({"requests": 1, "per": "1s", "name": "all"})).starts_with("name: "));
    let host = limiter(1);
    let refused = |config| host.check_route_config(config).unwrap_err().path;
    assert_eq!(refused(json!({"requests": 1, "per": "1s", "name": "x".repeat(65_536)})), "name");
    assert_eq!(refused(json!({"requests": 0, "per": "1s"})), "requests");
    assert!(host.check_route_config(json!({"requests": 1, "per": "1s", "nme": "x"})).is_err());
}

fn statuses(count: usize, mut send: impl FnMut() -> Outcome) -> Vec<u16> {
    (0..count).map(|_| send().status().unwrap()).collect()
}

const LIMIT: &str = r#"{"requests": 3, "per": "1h"}"#;

fn limiter(workers: u32) -> TestHost {
    TestHost::with_workers::<RateLimit>(serde_json::from_str(LIMIT).unwrap(), workers).unwrap()
}

#[test]
fn what_was_taken_stays_taken_in_the_next_factory() {
    let before = limiter(1);
    assert_eq!(statuses(2, || get(&before)), [200, 200]);
    let after = limiter(1);
    assert_eq!(after.inherit(&before), Ok(true));
    assert_eq!(statuses(2, || get(&after)), [200, 429]);
    // What drips in meanwhile counts: a token in 20 minutes.
    after.advance(Duration::from_secs(1200));
    let last = limiter(1);
    assert_eq!(last.inherit(&after), Ok(true));
    assert_eq!(statuses(2, || get(&last)), [200, 429]);
}

#[test]
fn a_smaller_limit_takes_over_no_more_than_it_holds() {
    let before = TestHost::new::<RateLimit>(json!({"requests": 100, "per": "100h"})).unwrap();
    assert!(statuses(100, || get(&before)).iter().all(|status| *status == 200));
    let after = TestHost::new::<RateLimit>(json!({"requests": 1, "per": "10s"})).unwrap();
    assert_eq!(after.inherit(&before), Ok(true));
    assert_eq!(get(&after).response.unwrap().header("retry-after"), Some("10"));
}

#[test]
fn limits_with_a_name_are_shared_and_carried_over() {
    const PACE: Pace = Pace { token: 10, whole: 20 };
    let now = Duration::from_secs(1);
    let before = AllBuckets::new(1);
    let (login, other, login_again) = (before.named("login"), before.named("other"), before.named("login"));
    let _nameless = before.named("").unwrap();
    assert!(login.as_ref().unwrap().take(0, PACE, now).is_ok());
    assert!(login_again.unwrap().take(0, PACE, now).is_ok());
    assert!(login.as_ref().unwrap().take(0, PACE, now).is_err(), "both names are one limit");
    drop(other);

    // Settings of routes are made before the state comes.
    let after = AllBuckets::new(1);
    let (login, new) = (after.named("login").unwrap(), after.named("new").unwrap());
    let state = before.export();
    assert_eq!(state.len(), 5 + 10 + 10 + "login".len(), "what nobody has any more does not go over");
    after.import(&state).unwrap();
    assert!(login.take(0, PACE, now).is_err());
    assert!(new.take(0, PACE, now).is_ok() && after.own().take(0, PACE, now).is_ok());
    assert!(after.named(&"x".repeat(65_536)).is_err());
}

#[test]
fn each_worker_takes_over_its_own() {
    let before = limiter(3);
    let on = |host: &TestHost, worker| host.request("GET", "/", &[]).worker(worker).run().status().unwrap();
    assert_eq!([on(&before, 0), on(&before, 2)], [200, 200]);
    let after = limiter(3);
    assert_eq!(after.inherit(&before), Ok(true));
    assert_eq!([on(&after, 0), on(&after, 1), on(&after, 2)], [429, 200, 429]);
    let refused = limiter(2).inherit(&before).unwrap_err();
    assert_eq!(refused, "expected buckets of 2 workers, found those of 3");
}

#[test]
fn foreign_bytes_are_refused_as_a_whole() {
    let before = limiter(1);
    assert_eq!(statuses(3, || get(&before)), [200, 200, 200]);
    let state = before.export_state().unwrap().unwrap();
    let after = limiter(1);
    for end in 0..state.len() {
        // Without any entry it is the state of a filter without limits.
        assert_eq!(after.import_state(&state[..end]).is_ok(), end == 5, "{end} bytes");
    }
    assert_eq!(after.import_state(b"\x02").unwrap_err(), "expected version 1, found 2");
    assert!(after.import_state(b"\x01\xff\xff\xff\xff").unwrap_err().contains("found those of 4294967295"));
    let with = |more: &[u8]| [&state[..], more].concat();
    for more in [&b"\x01"[..], b"\xff\xff", b"\x01\x00\xff\0\0\0\0\0\0\0\0", b"\x02\x00ab\0\0\0\0\0\0\0"] {
        assert!(after.import_state(&with(more)).is_err(), "{more:?}");
    }
    assert_eq!(get(&after).status(), Some(200), "nothing of all that was taken over");
    // A time that no version of ours would write is an empty bucket, not one
    // that never fills.
    let never = [&state[..7], &[0xff; 8]].concat();
    assert_eq!(after.import_state(&never), Ok(()));
    assert_eq!(get(&after).response.unwrap().header("retry-after"), Some("1200"));
    after.advance(Duration::from_secs(1201));
    assert_eq!(statuses(2, || get(&after)), [200, 429]);
}
