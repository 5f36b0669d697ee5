//! Plugins that take calls and do not answer them, and say nothing of their
//! health.

use serde_json::json;
use sidegate_harness::{Origin, until};

use super::{asks, await_log, await_state, failures, faults, pid_of, start, status};

#[test]
fn one_that_answers_no_calls_is_started_again() {
    let origin = Origin::echo();
    let proxy = start(&origin, "plain", json!({"timeout": "200ms", "max_timeouts": 3, "restart_backoff": "0s"}));
    let first = pid_of(&status(&proxy));
    assert_eq!(proxy.call(&asks("hang")).status(), 500);
    let told = status(&proxy)["last_error"].as_str().unwrap_or_default().to_owned();
    assert!(told.starts_with("no answer in 200ms"), "{told}");
    until("another process", || {
        proxy.call(&asks("hang"));
        (status(&proxy)["restarts"].as_u64() > Some(0)).then_some(())
    });
    assert!(failures(&proxy, "timeout") >= 3.0);
    assert!(faults(&proxy, "hang") >= 1.0);
    await_log(&proxy, "calls in time");
    until("an answer of the next", || (proxy.call(&asks("deny")).status() == 403).then_some(()));
    assert_ne!(pid_of(&await_state(&proxy, "up")), first);
}

#[test]
fn one_that_answers_now_and_then_is_not() {
    let origin = Origin::echo();
    let proxy = start(&origin, "plain", json!({"timeout": "1s", "max_timeouts": 2}));
    for _ in 0..2 {
        assert_eq!(proxy.call(&asks("hang")).status(), 500);
        // Whatever the machine is busy with, in the end there is an answer.
        until("an answer", || (proxy.call(&asks("deny")).status() == 403).then_some(()));
    }
    assert_eq!(status(&proxy)["state"], "up");
}

#[test]
fn it_may_be_left_alone() {
    let origin = Origin::echo();
    let proxy = start(&origin, "plain", json!({"timeout": "100ms", "max_timeouts": 0}));
    for _ in 0..15 {
        assert_eq!(proxy.call(&asks("hang")).status(), 500);
    }
    assert_eq!((&status(&proxy)["restarts"], faults(&proxy, "hang")), (&json!(0), 0.0));
}
