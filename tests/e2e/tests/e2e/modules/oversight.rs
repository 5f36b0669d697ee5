//! The way back from quarantine, and hooks that are held against the clock.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, TempDir, until};

use super::hangs::{self, trouble};
use super::{Module, counter, faults};

/// What the admin page says of the only module.
fn status(proxy: &Proxy) -> Value {
    proxy.admin_get("/api/v1/modules").json()["modules"][0].clone()
}

fn quarantine(proxy: &Proxy) -> Value {
    status(proxy)["quarantine"][0]["state"].clone()
}

#[test]
fn a_filter_comes_back_from_quarantine_on_trial() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let rule = json!({"quarantine": {"faults": 2, "within": "10m", "then": "closed", "for": "50ms"}});
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &rule));
    let proxy = Proxy::start(&config.timeout("filter_pending", "100ms"));
    let get = |fields: &str| proxy.get_with("/", fields);
    let fault = "X-Do: fault\r\n";
    assert_eq!(
        (quarantine(&proxy), status(&proxy)["quarantine"][0]["seconds_left"].clone()),
        (json!("serving"), json!(null))
    );
    // A fault by itself and one that the proxy finds both count.
    assert_eq!((get(fault).status(), get("X-Do: pending\r\n").status()), (500, 500));
    assert_eq!(faults(&proxy), Some(2));
    // It was taken out, and comes back by the first stream that does well.
    until("the filter's return", || (get("").status() == 200).then_some(()));
    // The client has its answer a moment before the stream has ended.
    until("the end of that stream", || (quarantine(&proxy) == "on_trial").then_some(()));
    assert_eq!(counter(&proxy, "module_filters_quarantined"), 0);
    for _ in 0..5 {
        assert_eq!(get("").status(), 200);
    }
    // The next fault is one too many.
    assert_eq!((get(fault).status(), counter(&proxy, "module_quarantines_total")), (500, 2));
    // Until a stream tries it again, and fails: out again, by one fault.
    until("a trial that fails", || (get(fault).text() == "filter_fault\n").then_some(()));
    assert_eq!((counter(&proxy, "module_quarantines_total"), counter(&proxy, "module_filters_quarantined")), (3, 1));
    assert_eq!(quarantine(&proxy), "quarantined");
    for words in ["too many faults, the last was", "is in service again, on trial", "it was tried again and failed"] {
        until(words, || proxy.logs().contains(words).then_some(()));
    }
}

/// Whatever it changes: nothing, another part of the file, or the module.
#[test]
fn a_reload_ends_a_quarantine() {
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let rule = json!({"quarantine": {"faults": 1, "within": "10m", "then": "closed"}});
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &rule));
    let proxy = Proxy::start(&config);
    for order in ["/api/v1/config/reload", "/api/v1/modules/libfault/reload", "/api/v1/config/reload"] {
        assert_eq!(proxy.get_with("/", "X-Do: fault\r\n").status(), 500, "{order}");
        assert_eq!((proxy.get_with("/", "").status(), quarantine(&proxy)), (500, json!("quarantined")), "{order}");
        let answer = proxy.admin_call("POST", order, "", "");
        assert_eq!(answer.status(), 200, "{order}: {}", answer.text());
        assert_eq!((proxy.get_with("/", "").status(), quarantine(&proxy)), (200, json!("serving")), "{order}");
    }
    assert_eq!(counter(&proxy, "module_filters_quarantined"), 0);
}

#[test]
fn a_slow_hook_is_counted_and_named() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    let dir = TempDir::new();
    let proxy = Proxy::start(&hangs::config(&origin, trouble(&module, &dir.join("released"), "")));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Do: hang\r\nX-In: request_headers\r\n\r\n");
    until("the hook", || dir.join("released.hangs").exists().then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(15));
    dir.write("released", "");
    assert_eq!(client.response().status(), 200);
    let series =
        "sidegate_filter_slow_hooks_total{module=\"libtrouble\",filter=\"libtrouble\",hook=\"on_request_headers\"}";
    let page = proxy.admin_get("/stats/prometheus").text();
    assert!(page.contains(&format!("{series} 1\n")), "{page}");
    let parts = ["held its worker up: on_request_headers took", "more than 10ms (`slow_hook`)", "libtrouble"];
    until("its line", || {
        let logs = proxy.logs();
        logs.lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    });
    let status = status(&proxy);
    let hooks = status["hooks"].as_array().unwrap();
    let headers = hooks.iter().find(|hook| hook["hook"] == "on_request_headers").unwrap();
    assert_eq!((&headers["filter"], &headers["slow"], &headers["calls"]), (&json!("libtrouble"), &json!(1), &json!(1)));
    assert!(headers["longest_seconds"].as_f64().unwrap() >= 0.015, "{headers}");
}

/// Nearly every call takes as long as the bound here: a clock may stand still
/// during the shortest. Each stream is either sampled or stood for.
#[test]
fn hooks_are_timed_by_streams_that_stand_for_others() {
    const STREAMS: u64 = 400;
    let module = Module::compile("fault");
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({"slow_hook": "1ns"})));
    let proxy = Proxy::start(&config.in_server("processor", json!(1)));
    let mut client = proxy.connect();
    for _ in 0..STREAMS {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
    }
    until("the end of the last filter", || (status(&proxy)["streams"] == 0).then_some(()));
    let page = proxy.admin_get("/stats/prometheus").text();
    assert!(page.contains("# TYPE sidegate_filter_hook_seconds histogram"), "{page}");
    let of = |series: &str| -> f64 {
        let line = page.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}: {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    // The filter wants the request's head in all three phases.
    for (hook, each) in [("create_filter", 1), ("on_request_headers", 3), ("on_response_headers", 1), ("destroy", 1)] {
        let labels = format!("module=\"libfault\",filter=\"libfault\",hook=\"{hook}\"");
        let slow = of(&format!("sidegate_filter_slow_hooks_total{{{labels}}}"));
        assert!((1..=STREAMS * each).contains(&(slow as u64)), "{hook}: {slow}");
        let seen = of(&format!("sidegate_filter_hook_seconds_count{{{labels}}}"));
        assert!(((STREAMS - 127) * each..=STREAMS * each).contains(&(seen as u64)), "{hook}: {seen}");
        assert!(of(&format!("sidegate_filter_hook_seconds_sum{{{labels}}}")) > 0.0, "{hook}");
        assert_eq!(of(&format!("sidegate_filter_hook_seconds_bucket{{{labels},le=\"+Inf\"}}")), seen, "{hook}");
    }
    // However often: a line per hook.
    let told = proxy.logs().matches("held its worker up: on_request_headers").count();
    assert!(told <= 2, "{told} lines");
}
