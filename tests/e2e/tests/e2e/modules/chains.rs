//! Several filters: of one module, of several, under several listeners.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, TempDir, Wire, artifact};

use super::{entry, probe};

fn tag(tag: &str) -> Value {
    probe("tag", &json!({"tag": tag}))
}

#[test]
pub(crate) fn filters_of_one_module_run_in_their_order_with_their_own_configurations() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(tag("a")).filter(tag("b")).filter(tag("c"));
    let proxy = Proxy::start(&config);
    let got = proxy.get("/");
    assert_eq!(origin.last().head.all("x-tags"), ["a", "b", "c"]);
    assert_eq!(got.head.all("x-tags"), ["a", "b", "c"], "responses pass in configured order, as in MOSN");
    let modules = proxy.admin_get("/api/v1/modules").json();
    assert_eq!(modules["modules"].as_array().unwrap().len(), 1, "one file is one module: {modules}");
    let page = proxy.admin_get("/stats/prometheus").text();
    for tag in ["a", "b", "c"] {
        let series = format!("tag_requests_total{{module=\"libprobe\",tag=\"{tag}\"}} 1");
        assert!(page.contains(&series), "no {series} in\n{page}");
    }
}

#[test]
fn one_module_serves_several_listeners_with_different_configurations() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let mut config = ConfigBuilder::to(origin.address()).filter(tag("first")).build(dir.path());
    let listeners = config["servers"][0]["listeners"].as_array_mut().unwrap();
    let mut second = listeners[0].clone();
    second["name"] = json!("second");
    second["stream_filters"] = json!([tag("second"), tag("more")]);
    listeners.push(second);
    let file = dir.write("config.json", config.to_string());
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    for (listener, tags) in [("main", &["first"][..]), ("second", &["second", "more"]), ("main", &["first"])] {
        let mut client = Wire::connect(proxy.listener(listener));
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200, "{listener}");
        assert_eq!(origin.last().head.all("x-tags"), tags, "{listener}");
    }
}

#[test]
pub(crate) fn named_variables_pass_between_filters_and_between_modules() {
    // The same bytes under another name are another module with data of its own.
    let dir = TempDir::new();
    let copy = dir.join("libother.so");
    std::fs::copy(artifact("libprobe.so"), &copy).unwrap();
    let mut other = entry(&copy, "share", &json!({}));
    other["config"] = json!({"show": ["user", "role"], "set": {"User": "bob"}});
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address())
        .filter(probe("share", &json!({"set": {"user": "ann"}, "show": ["user"]})))
        .filter(other);
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        let got = proxy.get("/");
        let seen = origin.last();
        // The second module overwrites what the first one showed before.
        assert_eq!(seen.head.get("x-named-user"), Some("ann"), "set by the first module");
        assert_eq!(seen.head.get("x-named-role"), Some("(none)"));
        assert_eq!(got.header("x-named-user"), Some("bob"), "names are compared without case");
    }
    assert_eq!(proxy.admin_get("/api/v1/modules").json()["modules"].as_array().unwrap().len(), 2);
    // Variables are the stream's: the next one begins without.
    let first = ConfigBuilder::to(origin.address()).filter(probe("share", &json!({"show": ["user"]})));
    Proxy::start(&first).get("/");
    assert_eq!(origin.last().head.get("x-named-user"), Some("(none)"));
}

#[test]
fn each_worker_has_a_state_of_its_own() {
    const WORKERS: usize = 3;
    let config = ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).filter(probe("state", &json!({})));
    let mut proxy = Proxy::start_with(&config, &ProxyOptions { workers: Some(WORKERS), ..ProxyOptions::default() });
    let mut counts = [0_u64; WORKERS];
    let mut clients: Vec<_> = (0..4 * WORKERS).map(|_| proxy.connect()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().json();
            let worker = got["worker"].as_u64().unwrap() as usize;
            counts[worker] += 1;
            assert_eq!((got["count"].as_u64(), got["workers"].as_u64()), (Some(counts[worker]), Some(WORKERS as u64)));
        }
    }
    assert_eq!(counts, [5 * 4; WORKERS], "connections are spread evenly");
    assert_eq!(super::counter(&proxy, "state_attached"), WORKERS as u64);
    drop(clients);
    proxy.signal(sidegate_harness::Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    let logs = proxy.logs();
    for worker in 0..WORKERS {
        let line = format!("worker {worker} detached on its own thread: true");
        assert_eq!(logs.matches(&line).count(), 1, "{line}\n{logs}");
    }
}
