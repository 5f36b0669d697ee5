//! A module that does not return: it is named, others serve on, and the
//! process ends when it is told to.

use std::path::Path;

use serde_json::{Value, json};
use sidegate_harness::{Background, ConfigBuilder, Origin, Proxy, ProxyOptions, Signal, TempDir, Wire, until};

use super::{Module, counter};

/// Exit code of a process that something held up.
const HELD_UP: Option<i32> = Some(70);

/// The filter, with what it does where; a hang ends when `until` is there.
pub(crate) fn trouble(module: &Module, until: &Path, what: &str) -> Value {
    let mut entry = module.entry("", &json!({}));
    entry["config"] = json!({"what": format!("until:{} {what}", until.display())});
    entry
}

pub(super) fn config(origin: &Origin, filter: Value) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).filter(filter)
}

fn hang_in(proxy: &Proxy, hook: &str) -> Wire {
    let mut client = proxy.connect();
    client.send(format!("POST /hang HTTP/1.1\r\nHost: a\r\nX-Do: hang\r\nX-In: {hook}\r\nContent-Length: 2\r\n\r\nhi"));
    client
}

fn line_of<'l>(logs: &'l str, parts: &[&str]) -> Option<&'l str> {
    logs.lines().find(|line| parts.iter().all(|part| line.contains(part)))
}

#[track_caller]
fn await_line(proxy: &Proxy, parts: &[&str]) -> String {
    until(&format!("a line with {parts:?}"), || line_of(&proxy.logs(), parts).map(str::to_owned))
}

/// Sends SIGTERM until the process ends: the one after a second counts.
fn end_at_once(proxy: &mut Proxy) -> Option<i32> {
    until("the end of the process", || {
        if proxy.try_exit().is_none() {
            proxy.signal(Signal::TERM);
        }
        proxy.try_exit()
    })
    .code()
}

fn stuck(proxy: &Proxy) -> u64 {
    let page = proxy.admin_get("/stats/prometheus").text();
    let lines = page.lines().filter(|line| line.starts_with("sidegate_worker_stuck{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_worker_that_hangs_is_named_and_passed_over_until_it_goes_on() {
    let module = Module::compile("trouble");
    for reuseport in [false, true] {
        let dir = TempDir::new();
        let released = dir.join("released");
        let origin = Origin::echo();
        let config = config(&origin, trouble(&module, &released, "")).in_listener("reuseport", json!(reuseport));
        let proxy = Proxy::start(&config);
        assert_eq!(stuck(&proxy), 0);
        let mut hanging = hang_in(&proxy, "request_body");
        until("the hang", || dir.join("released.hangs").exists().then_some(()));
        // Connections that come while nobody knows yet: some go to that worker.
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let clients: Vec<Wire> = (0..16)
            .map(|_| {
                let mut client = proxy.connect();
                client.send(request);
                client
            })
            .collect();
        let line = await_line(&proxy, &["hangs in module libtrouble", "on_request_body", "(sha256 "]);
        assert!(line.contains("worker-") && line.contains(", filter libtrouble"), "{line}");
        for mut client in clients {
            assert_eq!(client.response().status(), 200, "reuseport {reuseport}");
        }
        for _ in 0..16 {
            assert_eq!(proxy.exchange(request).status(), 200, "reuseport {reuseport}");
        }
        assert_eq!(stuck(&proxy), 1);
        let live = proxy.admin_get("/live");
        assert_eq!((live.status(), proxy.admin_get("/ready").status()), (200, 200), "the other one serves");
        assert!(live.text().contains("hangs: worker-") && live.text().contains("on_request_body"), "{}", live.text());
        dir.write("released", "");
        assert_eq!(hanging.response().status(), 200);
        await_line(&proxy, &["goes on after"]);
        until("the metric", || (stuck(&proxy) == 0).then_some(()));
        assert_eq!(proxy.admin_get("/live").text(), "live\n");
        assert_eq!(proxy.logs().matches(" hangs in ").count(), 1, "one incident, one line");
    }
}

#[test]
fn with_all_workers_hanging_nothing_is_ready_or_live_and_the_waiting_are_served_later() {
    let module = Module::compile("trouble");
    let dir = TempDir::new();
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin, trouble(&module, &dir.join("released"), "")));
    let mut first = hang_in(&proxy, "request_headers");
    await_line(&proxy, &["hangs in", "on_request_headers"]);
    let mut second = hang_in(&proxy, "complete");
    await_line(&proxy, &["hangs in", "on_complete"]);
    let status = |path: &str| proxy.admin_get(path).status();
    until("nothing to be ready", || (status("/ready") == 503).then_some(()));
    let live = proxy.admin_get("/live");
    assert_eq!(live.status(), 503);
    for wanted in ["all workers hang", "hangs: worker-0 in module libtrouble", "hangs: worker-1 in module libtrouble"] {
        assert!(live.text().contains(wanted), "{wanted} is missing in {}", live.text());
    }
    let mut waiting = proxy.connect();
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    dir.write("released", "");
    for client in [&mut first, &mut second, &mut waiting] {
        assert_eq!(client.response().status(), 200);
    }
    until("all to be well", || ((status("/ready"), status("/live")) == (200, 200)).then_some(()));
}

#[test]
fn the_end_of_the_graceful_timeout_ends_whatever_hangs() {
    let module = Module::compile("trouble");
    let never = Path::new("/nonexistent/never");
    let origin = Origin::echo();
    // Spinning as well as sleeping, and while a worker comes.
    for (hang, wanted) in [("hang", "on_request_headers"), ("spin", "on_request_headers"), ("attach", "worker_attach")]
    {
        let what = if hang == "attach" { "attach:hang" } else { "" };
        let config = config(&origin, trouble(&module, never, what)).in_server("graceful_timeout", json!("1s"));
        let mut proxy = Proxy::start(&config);
        let mut client = proxy.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Do: {hang}\r\nX-In: request_headers\r\n\r\n"));
        await_line(&proxy, &["hangs in module libtrouble", wanted]);
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.wait_exit().code(), HELD_UP, "{hang}");
        assert!(line_of(&proxy.logs(), &["worker-", wanted, "does not end"]).is_some(), "{}", proxy.logs());
    }
}

#[test]
fn a_second_signal_ends_whatever_hangs() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    let filter = trouble(&module, Path::new("/nonexistent/never"), "");
    let mut proxy = Proxy::start(&config(&origin, filter).in_server("graceful_timeout", json!("600s")));
    let _hanging = hang_in(&proxy, "response_headers");
    await_line(&proxy, &["hangs in", "on_response_headers"]);
    proxy.signal(Signal::TERM);
    until("the drain", || (proxy.admin_get("/ready").text() == "draining\n").then_some(()));
    assert_eq!(proxy.admin_get("/live").status(), 200, "admin goes on");
    assert_eq!(end_at_once(&mut proxy), HELD_UP);
}

#[test]
fn a_factory_that_hangs_at_its_end_is_named_and_does_not_hold_the_process() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    let filter = trouble(&module, Path::new("/nonexistent/never"), "destroy:hang");
    let config = config(&origin, filter).in_server("graceful_timeout", json!("1s"));
    let mut proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 200);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), HELD_UP);
    let wanted = ["module-control in module libtrouble", "destroy (factory)", "does not end"];
    assert!(line_of(&proxy.logs(), &wanted).is_some(), "{}", proxy.logs());
    // A check makes factories, and destroys them, too.
    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate_harness::sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, HELD_UP, "{}", outcome.output());
    assert!(line_of(&outcome.stderr, &wanted).is_some(), "{}", outcome.output());
}

#[test]
fn a_library_that_hangs_while_the_process_ends_does_not_hold_it() {
    let module = Module::compile_with("tests/modules/trouble.c", &["-DDESTRUCTOR=\"hang\""]);
    let origin = Origin::echo();
    let filter = trouble(&module, Path::new("/nonexistent/never"), "");
    let mut proxy = Proxy::start(&config(&origin, filter).in_server("graceful_timeout", json!("1s")));
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), HELD_UP);
    // It leaves the process before the end, and hangs there.
    assert!(line_of(&proxy.logs(), &["module-control", "does not end"]).is_some(), "{}", proxy.logs());
}

#[test]
fn a_start_that_hangs_names_the_module_and_listens_to_signals() {
    let origin = Origin::echo();
    let never = Path::new("/nonexistent/never");
    let plain = Module::compile("trouble");
    let constructor = Module::compile_with("tests/modules/trouble.c", &["-DCONSTRUCTOR=\"hang\""]);
    let starts = [(&constructor, "", "its initializers"), (&plain, "create:hang", "create_filter_factory")];
    for (module, what, wanted) in starts {
        for command in ["run", "check"] {
            let dir = TempDir::new();
            let config = config(&origin, trouble(module, never, what)).build(dir.path());
            let file = dir.write("config.json", config.to_string());
            let mut process = Background::sidegate(&[command.as_ref(), "-c".as_ref(), file.as_os_str()]);
            let named = ["module-control hangs in module libtrouble", wanted];
            until("its name", || line_of(&process.stderr(), &named).map(|_| ()));
            process.signal(Signal::TERM);
            assert_eq!(process.wait(), Some(1), "{command}: {}", process.stderr());
            let line = line_of(&process.stderr(), &["ended by a signal before"]).is_some();
            assert!(line, "{command}: {}", process.stderr());
        }
    }
}

#[test]
fn a_module_that_is_slow_but_returns_is_no_error() {
    let module = Module::compile("trouble");
    let dir = TempDir::new();
    let origin = Origin::echo();
    let options = ProxyOptions { workers: Some(1), ..ProxyOptions::default() };
    let mut proxy = Proxy::start_with(&config(&origin, trouble(&module, &dir.join("released"), "")), &options);
    let mut hanging = hang_in(&proxy, "destroy");
    await_line(&proxy, &["hangs in", "destroy (filter)"]);
    dir.write("released", "");
    assert_eq!(hanging.response().status(), 200);
    await_line(&proxy, &["goes on after"]);
    assert_eq!(counter(&proxy, "sidegate_worker_stuck_total"), 1);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}
