//! What minor 1 of the module ABI appended, and who is told to have answered.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Framing, Origin, Proxy, ProxyOptions, Reply, TempDir, artifact, until};

use super::{Module, entry};

fn module() -> Module {
    Module::compile_file("tests/e2e/modules/minor1.c")
}

#[test]
pub(crate) fn an_injector_leaves_the_length_of_other_bodies_alone() {
    let module = module();
    let origin = Origin::http(|seen| {
        let kind = if seen.head.target() == "/page" { "text/html; charset=utf-8" } else { "image/png" };
        Reply::ok("0123456789").header("Content-Type", kind)
    });
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("inject", &json!({})));
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        let page = proxy.get("/page");
        assert_eq!(page.text(), "0123456789<!-- injected -->");
        let image = proxy.get("/image");
        assert_eq!((image.text(), image.framing), ("0123456789".to_owned(), Framing::Length(10)));
    }
}

#[test]
fn a_filter_sees_the_target_as_it_was_sent() {
    let module = module();
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(module.entry("shows", &json!({}))));
    for target in ["/plain?q=/../x", "/a/./b/../c?d", "/%7Euser", "http://a/abs/../x"] {
        let got = proxy.exchange(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(got.status(), 200, "{target}");
        assert_eq!(origin.last().head.get("x-original"), Some(target));
    }
}

#[test]
pub(crate) fn filter_and_module_that_answered_are_in_the_log() {
    let (module, refuse) = (module(), Module::compile_file("tests/e2e/modules/refuse.c"));
    let origin = Origin::echo();
    let dir = TempDir::new();
    let log = dir.join("who.log");
    let format = "%path% %response_code% %reply_filter% %reply_module%";
    let config = ConfigBuilder::to(origin.address())
        .filter(module.entry("logs", &json!({})))
        .filter(refuse.entry("refuse", &json!({"name": "first"})))
        .filter(entry(&artifact("libprobe.so"), "refuse", &json!({"name": "second"})))
        .in_listener("access_logs", json!([{"log_path": log, "log_format": format}]));
    let proxy = Proxy::start(&config);
    let ask = |path: &str, reply: &str, then: &str| {
        let fields = format!("X-In: request\r\nX-Reply: {reply}\r\nX-Then: {then}\r\n");
        proxy.get_with(path, &fields);
    };
    ask("/taken", "403", "stop");
    ask("/refused", "99", "stop");
    proxy.get("/passed");
    let lines = until("three lines", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() >= 3).then_some(text)
    });
    for line in ["/taken 403 refuse first", "/refused 500 refuse first", "/passed 200 - -"] {
        assert!(lines.lines().any(|known| known == line), "no `{line}` in\n{lines}");
    }
    for line in ["answered by refuse of first", "answered by nobody of none"] {
        until(line, || proxy.logs().contains(line).then_some(()));
    }
}

#[test]
pub(crate) fn two_modules_that_answer_alike_can_be_told_apart() {
    let refuse = Module::compile_file("tests/e2e/modules/refuse.c");
    let probe = artifact("libprobe.so");
    for (name, filter) in [
        ("c", refuse.entry("refuse", &json!({"name": "in-c"}))),
        ("rust", entry(&probe, "refuse", &json!({"name": "in-rust"}))),
    ] {
        let (origin, dir) = (Origin::echo(), TempDir::new());
        let log = dir.join("who.log");
        let config = ConfigBuilder::to(origin.address()).filter(filter).in_listener(
            "access_logs",
            json!([{"log_path": log, "log_format": "%response_code% %response_flags% %response_details% %reply_module%"}]),
        );
        let proxy = Proxy::start(&config);
        let got = proxy.get_with("/", "X-In: request\r\nX-Reply: 403\r\nX-Then: stop\r\n");
        assert_eq!(got.status(), 403);
        let line = until("the line", || std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
        assert_eq!(line.trim_end(), format!("403 FR module_reply in-{name}"));
    }
}

#[test]
fn a_filter_that_wants_nothing_is_refused_by_name() {
    let module = module();
    let origin = Origin::echo();
    let dir = TempDir::new();
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("nothing", &json!({}))).build(dir.path());
    let file = dir.write("config.json", config.to_string());
    let said = Proxy::try_run(dir, &file, &ProxyOptions::default()).err().unwrap();
    assert!(said.contains("filter `nothing` wants no hook at all") && said.contains("libminor1.so"), "{said}");
}
