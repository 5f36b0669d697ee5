use serde_json::{Value, json};
use sidegate_harness::{Call, Gate, Origin, Reply, Signal, until};

use super::Example;

const SERIES: &str = "async_check_answers_total{module=\"libasync_check\",answer=";

fn run(origin: &Origin, checker: &Origin, more: Value) -> Example {
    Example::run_with("async-check", origin, |config| {
        let filter = &mut config["servers"][0]["listeners"][0]["stream_filters"][0]["config"];
        filter["address"] = checker.address().to_string().into();
        // A loaded machine must not look like a server that fails.
        filter["timeout"] = "10s".into();
        for (key, value) in more.as_object().unwrap() {
            filter[key] = value.clone();
        }
    })
}

#[test]
pub(crate) fn the_server_decides_and_verdicts_are_kept() {
    let origin = Origin::echo();
    let checker = Origin::http1(|seen| match seen.head.get("authorization") {
        Some("good") => Reply::ok(""),
        Some("bad") => Reply::new(403),
        _ => Reply::new(500),
    });
    let example = run(&origin, &checker, json!({}));
    // One connection is one worker and one cache.
    let mut client = example.connect();
    for (credential, status) in [("good", 200), ("bad", 403), ("good", 200), ("bad", 403), ("odd", 503), ("odd", 503)] {
        let got = client.call(&Call::get("/x").header("Authorization", credential));
        assert_eq!(got.status(), status, "{credential}");
    }
    assert_eq!(example.get("/", "").status(), 403);
    assert_eq!((origin.count(), checker.count()), (2, 4));
    assert_eq!(checker.last().head.target(), "/check");
    assert_eq!(example.metric(&format!("{SERIES}\"cached\"")), 2.0);
}

#[test]
pub(crate) fn waiting_holds_up_nobody_and_has_its_bounds() {
    let origin = Origin::echo();
    let gate = Gate::new();
    let held = gate.clone();
    let checker = Origin::http1(move |_| {
        held.wait();
        Reply::ok("")
    });
    let example = run(&origin, &checker, json!({"threads": 1, "queue": 1}));
    let ask = || example.connect().begin(&Call::get("/").header("Authorization", "b"));
    let mut first = ask();
    checker.wait("the first question", |checker| checker.count() == 1);
    // One of them waits for the thread, the other finds no room.
    let mut others = [ask(), ask()];
    until("a refusal", || (example.metric(&format!("{SERIES}\"failed\"")) == 1.0).then_some(()));
    // Workers go on with others meanwhile, which get no credential checked.
    for _ in 0..4 {
        assert_eq!(example.get("/", "").status(), 403);
    }
    gate.open();
    assert_eq!(first.message().status(), 200);
    let mut statuses = others.each_mut().map(|other| other.message().status());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[test]
pub(crate) fn the_proxy_ends_while_a_request_waits() {
    let origin = Origin::echo();
    let gate = Gate::new();
    let held = gate.clone();
    let checker = Origin::http1(move |_| {
        held.wait();
        Reply::ok("")
    });
    let mut example = run(&origin, &checker, json!({"timeout": "1s"}));
    let begun = example.connect().begin(&Call::get("/").header("Authorization", "b"));
    checker.wait("the question", |checker| checker.count() == 1);
    drop(begun);
    example.proxy.signal(Signal::TERM);
    assert!(example.proxy.wait_exit().success());
    gate.open();
}
