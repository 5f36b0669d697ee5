//! `flowControlFilter`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, Reply, TempDir, repository, sidegate, until};

fn filter(rules: Value) -> Value {
    json!({"type": "flowControlFilter", "config": {"global_switch": true, "rules": rules}})
}

fn counted(proxy: &Proxy, key: &str) -> Option<String> {
    let page = proxy.admin_get("/metrics").text();
    page.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
}

#[test]
pub(crate) fn one_request_per_interval_passes_and_the_others_are_told() {
    let origin = Origin::echo();
    let mut filter = filter(json!([{"resource": "/test", "threshold": 1, "statIntervalInMs": 3_600_000}]));
    filter["config"]["action"] = json!({"status": 500, "body": "blocked"});
    // Whichever worker has a connection: all count together.
    let config = ConfigBuilder::to(origin.address()).filter(filter).in_server("processor", json!(2));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/test?a=1").status(), 200);
    for _ in 0..4 {
        let refused = proxy.get("/test?a=2");
        assert_eq!((refused.status(), refused.text().as_str()), (500, "blocked"));
    }
    assert_eq!((proxy.get("/other").status(), origin.count()), (200, 2));
    let line = proxy.access_line("of a refusal", |line| line.details == "flow_control");
    assert!(line.has("FR") && line.path == "/test", "{line:?}");
    let key = "sidegate_flow_control_refused_total{filter=\"flowControlFilter\",resource=\"/test\"}";
    assert_eq!(counted(&proxy, key).as_deref(), Some("4"));
}

#[test]
fn a_connection_outlives_its_refusals() {
    let origin = Origin::echo();
    let proxy =
        Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter(json!([{"resource": "/no", "threshold": 0}]))));
    let mut client = proxy.connect();
    for (path, status) in [("/no", 509), ("/yes", 200), ("/no", 509), ("/yes", 200)] {
        assert_eq!(client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).response().status(), status);
    }
}

#[test]
pub(crate) fn after_the_interval_requests_pass_again() {
    let origin = Origin::echo();
    let rules = json!([{"resource": "/", "threshold": 1, "statIntervalInMs": 300}]);
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter(rules)));
    let start = Instant::now();
    assert_eq!(proxy.get("/").status(), 200);
    until("a request passes again", || (proxy.get("/").status() == 200).then_some(()));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn paced_requests_wait_for_their_place() {
    let origin = Origin::echo();
    let rules = json!([{"resource": "/", "threshold": 10, "controlBehavior": 1, "maxQueueingTimeMs": 60_000}]);
    // Waiting for a place is no fault, even if filters may not be pending so long.
    let config = ConfigBuilder::to(origin.address()).filter(filter(rules)).timeout("filter_pending", "50ms");
    let proxy = Proxy::start(&config);
    let start = Instant::now();
    let mut clients: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert!(start.elapsed() >= Duration::from_millis(400));
}

/// An origin that answers `/held` only once the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::http(move |seen| {
        if seen.head.target() == "/held" {
            gate.wait();
        }
        Reply::ok("done")
    })
}

#[test]
fn a_request_in_progress_counts_until_it_ends_however_it_does() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let rules = json!([{"resource": "/held", "grade": 0, "threshold": 1}]);
    let config = ConfigBuilder::to(origin.address()).filter(filter(rules)).in_server("processor", json!(2));
    let proxy = Proxy::start(&config);
    let send = || {
        let mut client = proxy.connect();
        client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
        client
    };
    let in_progress = |count| origin.wait("the request is there", |origin| origin.count() == count);

    // The client resets the connection.
    let client = send();
    in_progress(1);
    assert_eq!(proxy.get("/held").status(), 509);
    client.reset();
    let mut client = until("its place is free", || {
        let before = proxy.access_log().len();
        let client = send();
        let logged = || proxy.access_log().len() > before;
        until("it is refused or there", || (logged() || origin.count() == 2).then_some(()));
        (origin.count() == 2).then_some(client)
    });

    // It ends well; the connection goes on and holds no place.
    assert_eq!(proxy.get("/held").status(), 509);
    gate.open();
    assert_eq!(client.response().status(), 200);
    for _ in 0..3 {
        assert_eq!(client.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n").response().status(), 200);
    }
    until("its place is free", || (proxy.get("/held").status() == 200).then_some(()));
}

#[test]
fn places_are_free_after_every_kind_of_end() {
    // Closes without an answer, answers nothing in time, breaks off its body.
    let origin = Origin::http(|seen| match seen.head.target() {
        "/ok" => Reply::ok("x"),
        _ => Reply::ok("short").header("content-length", "100").close(),
    });
    let rules = ["/ok", "/cut", "/none"].map(|path| json!({"resource": path, "grade": 0, "threshold": 1}));
    let routes = json!([
        {"match": {"prefix": "/none"}, "route": {"cluster_name": "none"}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}},
    ]);
    let dead = "127.0.0.1:1".parse().unwrap();
    let config = ConfigBuilder::to_routes(origin.address(), routes)
        .cluster("none", &[dead])
        .filter(filter(json!(rules)))
        .in_server("processor", json!(1));
    let proxy = Proxy::start(&config);
    for path in ["/ok", "/none", "/cut"] {
        let mut seen = 0;
        until("five requests passed", || {
            let raw = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            let mut client = proxy.connect();
            client.send(raw);
            client.read_until_close();
            seen += 1;
            let lines = proxy.access_log();
            let passed = lines.iter().filter(|line| line.path == path && line.details != "flow_control").count();
            (passed >= 5 && seen >= 5).then_some(())
        });
    }
}

#[test]
pub(crate) fn arguments_and_headers_have_limits_of_their_own() {
    let origin = Origin::echo();
    for (kind, name) in [("ARG", "tenant"), ("HEADER", "x-tenant")] {
        let mut filter = filter(json!([{"resource": "blue", "threshold": 0}]));
        filter["config"]["limit_key_type"] = kind.into();
        filter["config"]["limit_key_name"] = name.into();
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        let status =
            |tenant: &str| proxy.get_with(&format!("/?tenant={tenant}"), &format!("X-Tenant: {tenant}\r\n")).status();
        assert_eq!([status("blue"), status("green"), proxy.get("/").status()], [509, 200, 200], "{kind}");
    }
}

#[test]
fn mosns_sample_passes_the_check_and_limits() {
    let path = repository().join("../shared/mosn-configs/all/examples/codes/flowcontrol-sample/server_config.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: the collection of MOSN configurations is not beside this checkout");
        return;
    };
    let origin = Origin::echo();
    let text = text
        .replace("127.0.0.1:2046", "127.0.0.1:0")
        .replace("127.0.0.1:8080", &origin.address().to_string())
        .replace("\"0.0.0.0\"", "\"127.0.0.1\"")
        .replace("34902", "0");
    let dir = TempDir::new();
    let file = dir.write("config.json", text);
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    let proxy = Proxy::run(dir, &file, &Default::default());
    let address = proxy.listener("serverListener");
    let statuses: Vec<u16> = (0..3)
        .map(|_| {
            let mut client = sidegate_harness::Wire::connect(address);
            client.send("GET /test HTTP/1.1\r\nHost: a\r\n\r\n").response().status()
        })
        .collect();
    // On a machine that stands still for a second the others pass too.
    assert!(statuses[0] == 200 && statuses[1..].iter().all(|status| matches!(status, 200 | 500)), "{statuses:?}");
}

#[test]
fn a_tunnel_holds_its_place_until_it_ends() {
    let origin = Origin::scripted(|connection| {
        let head = connection.head()?;
        connection.finish(head)?;
        connection.reply(&Reply::new(101).header("upgrade", "websocket").header("connection", "upgrade"))?;
        // Until the other side is gone.
        connection.request().map(drop)
    });
    let rules = json!([{"resource": "/tunnel", "grade": 0, "threshold": 1}]);
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter(rules)));
    let ask = || {
        let mut client = proxy.connect();
        client.send("GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        let status = client.response().status();
        (client, status)
    };
    let (tunnel, status) = ask();
    assert_eq!(status, 101);
    for _ in 0..3 {
        assert_eq!(ask().1, 509);
    }
    tunnel.reset();
    until("its place is free", || (ask().1 == 101).then_some(()));
}
