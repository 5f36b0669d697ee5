//! What is answered with LIMIT, and what is left as it was.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, until};

use super::{Module, probe};

#[test]
fn a_module_that_asks_for_too_much_is_refused_and_goes_on() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(probe("limits", &json!({}))));
    for _ in 0..3 {
        let got = proxy.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        let answers = got.json();
        let wanted = json!({
            "header": "Limit after some: true",
            "named": "Limit after some: true",
            "kept": "before",
            "first": "1000",
            "reply": "Err(Limit)",
            "append": "Limit",
            "replace": "Err(Limit)",
            "unchanged": "true",
        });
        assert_eq!((got.status(), &answers), (200, &wanted));
    }
    assert_eq!(origin.count(), 0);
    assert!(proxy.resident_bytes() < 256 << 20, "what was refused is not kept");
}

#[test]
fn a_module_that_logs_without_end_is_cut_and_counted() {
    let module = Module::compile("hostile");
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(module.entry("limits", &json!({}))));
    // The module itself checks that it is answered LIMIT, and faults otherwise.
    assert_eq!(proxy.get("/").status(), 200);
    assert!(super::counter(&proxy, "module_log_lines_lost_total") > 0);
    let lines = || proxy.logs().matches("again").count();
    until("the log's writer", || (lines() >= 900).then_some(()));
    assert!(lines() < 10_000, "{} lines of the module in the log", lines());
}
