//! A guard's reply that does not go out lets nothing else pass: in C and in
//! Rust, whatever `on_fault` says, and without coming nearer to a bypass.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, WireError, artifact, until};

use super::{Module, entry, faults};

const POLICIES: [&str; 3] = ["reply-500", "pass", "reset"];

struct Guard {
    origin: Origin,
    proxy: Proxy,
}

impl Guard {
    fn new(filter: Value) -> Self {
        let origin = Origin::echo();
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        Guard { origin, proxy }
    }

    /// Status of the answer; `None` if the connection ended without a whole
    /// one.
    fn ask(&self, hook: &str, reply: &str, then: &str, more: &str) -> Option<u16> {
        let mut client = self.proxy.connect();
        client.send(format!(
            "GET /guarded HTTP/1.1\r\nHost: a\r\nX-In: {hook}\r\nX-Reply: {reply}\r\nX-Then: {then}\r\n{more}\r\n"
        ));
        match client.try_response("GET") {
            Ok(got) => Some(got.status()),
            Err(WireError::Closed | WireError::Reset) => None,
            Err(other) => panic!("{hook} {reply} {then}: {other:?}"),
        }
    }
}

/// The guard of each language under a policy, with what only it can do.
fn guards(policy: &Value) -> Vec<(Guard, &'static str, &'static [&'static str])> {
    let c = Module::compile_file("tests/e2e/modules/refuse.c");
    let rust = artifact("libprobe.so");
    vec![
        (Guard::new(c.entry("refuse", policy)), "C", &["unknown"]),
        (Guard::new(entry(&rust, "refuse", policy)), "Rust", &["panic", "pass-on"]),
    ]
}

#[test]
fn a_refused_reply_is_500_whatever_follows() {
    let refused = ["99", "600", "403 content-length", "403 x:y", "403 transfer-encoding"];
    for policy in POLICIES {
        for (guard, language, more) in guards(&json!({"on_fault": policy})) {
            let mut asked = 0;
            for reply in refused {
                for then in ["stop", "continue", "pending", "terminate", "fault"].iter().chain(more) {
                    for hook in ["request", "response"] {
                        let got = guard.ask(hook, reply, then, "");
                        assert_eq!(got, Some(500), "{language} {policy}: {reply} in {hook}, then {then}");
                        asked += 1;
                    }
                }
            }
            // Half of them never went on.
            assert_eq!(guard.origin.count(), asked / 2, "{language} {policy}");
            until("the faults in the count", || (faults(&guard.proxy) == Some(asked as u64)).then_some(()));
            assert_eq!(guard.ask("response-body", "99", "stop", ""), None, "{language} {policy}: a head is out");
            assert_eq!(guard.ask("request", "403", "stop", ""), Some(403), "{language}: a good one goes out");
        }
    }
}

#[test]
fn a_reply_that_is_dropped_is_500() {
    for policy in POLICIES {
        for (guard, language, more) in guards(&json!({"on_fault": policy})) {
            for then in ["continue", "pending", "fault"].iter().chain(more).filter(|then| **then != "pass-on") {
                for hook in ["request", "response"] {
                    let got = guard.ask(hook, "403", then, "");
                    assert_eq!(got, Some(500), "{language} {policy}: in {hook}, then {then}");
                }
            }
            assert_eq!(guard.ask("request", "403", "terminate", ""), None, "{language} {policy}");
            assert_eq!(guard.ask("none", "403", "stop", ""), Some(200), "{language} {policy}: nothing was asked for");
        }
    }
}

#[test]
fn a_reply_with_flags_or_on_another_stream_is_refused_too() {
    let c = Module::compile_file("tests/e2e/modules/refuse.c");
    let guard = Guard::new(c.entry("refuse", &json!({"on_fault": "pass"})));
    for (more, why) in [("X-Flags: 1\r\n", "flags: expected 0, found 0x1"), ("X-Stale: 1\r\n", "stream: it is not")] {
        assert_eq!(guard.ask("request", "403", "stop", more), Some(500), "{more}");
        until(why, || guard.proxy.logs().contains(&format!("its call `reply` was refused: {why}")).then_some(()));
    }
    assert_eq!(guard.origin.count(), 0);
}

#[test]
fn the_log_names_call_field_and_reason_and_no_value() {
    for (guard, language, _) in guards(&json!({})) {
        assert_eq!(guard.ask("request", "403 Content-Length", "stop", "X-Secret: hush\r\n"), Some(500));
        let line = until("the reason", || {
            guard.proxy.logs().lines().find(|line| line.contains("filter fault")).map(str::to_owned)
        });
        for part in
            ["its call `reply` was refused: field `", "ontent-", "ength`: framing and hop-by-hop", "answered Stop"]
        {
            assert!(line.contains(part), "{language}: {part} in {line}");
        }
        let access = guard.proxy.access_line("the answer", |line| line.path == "/guarded");
        assert!(access.status == 500 && access.has("FF"), "{language}: {access:?}");
    }
}

#[test]
fn a_guard_that_fails_closed_is_never_bypassed() {
    for (then, wanted) in [("bypass", 403), ("closed", 500)] {
        let quarantine = json!({"on_fault": "pass", "quarantine": {"faults": 3, "within": "60s", "then": then}});
        for (guard, language, _) in guards(&quarantine) {
            for _ in 0..6 {
                assert_eq!(guard.ask("request", "99", "stop", ""), Some(500), "{language} {then}");
            }
            assert_eq!(guard.ask("request", "403", "stop", ""), Some(wanted), "{language} {then}");
            assert_eq!(guard.origin.count(), 0, "{language} {then}");
        }
    }
}
