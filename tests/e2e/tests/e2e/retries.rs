//! Requests that are sent again, and copies of requests.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, Reply, until};

use crate::support::refusing_address;

/// A route to `main` with more keys inside `route`, and beside it.
fn routes(route: Value, beside: Value) -> Value {
    let mut entry = json!({"match": {"prefix": "/"}, "route": {"cluster_name": "main"}});
    for (key, value) in route.as_object().unwrap() {
        entry["route"][key] = value.clone();
    }
    for (key, value) in beside.as_object().unwrap() {
        entry[key] = value.clone();
    }
    json!([entry])
}

fn failing() -> Origin {
    Origin::http(|_| Reply::new(503).body("failed"))
}

#[test]
fn a_failure_is_tried_at_another_host() {
    let (ill, well) = (failing(), Origin::echo());
    let policy = json!({"retry_policy": {"retry_on": true, "num_retries": 1}});
    let config = ConfigBuilder::empty()
        .cluster("main", &[ill.address(), well.address()])
        .virtual_host("all", &["*"], routes(policy, json!({})))
        .in_listener("access_logs", json!([]));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for number in 0..10 {
        client.send(format!("PUT /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
        let got = client.response();
        assert_eq!((got.status(), &got.json()["body"]), (200, &json!("body")), "{}", got.text());
    }
    // Where the turn begins is by chance; an attempt that fails takes one too.
    assert!(ill.count() >= 9 && well.count() == 10, "{} {}", ill.count(), well.count());
    // What has an effect is not repeated.
    let statuses: Vec<u16> = (0..2)
        .map(|_| client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").response().status())
        .collect();
    assert!(statuses.contains(&503) && statuses.contains(&200), "{statuses:?}");
}

#[test]
pub(crate) fn a_host_that_refuses_is_passed_over_without_a_policy_or_a_flag() {
    let well = Origin::echo();
    let config = ConfigBuilder::empty()
        .cluster("main", &[refusing_address(), well.address(), refusing_address()])
        .virtual_host("all", &["*"], routes(json!({}), json!({})));
    let proxy = Proxy::start(&config);
    for number in 0..6 {
        let path = format!("/{number}");
        assert_eq!(proxy.get(&path).status(), 200);
        let line = proxy.access_line("served", |line| line.path == path);
        assert_eq!((line.status, line.flags.len(), line.details.as_str()), (200, 0, "-"), "{line:?}");
    }
}

/// Metric of cluster `main`.
fn metric(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.admin_get("/metrics").text();
    let series = format!("{name}{{cluster=\"main\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).expect("the series").parse().unwrap()
}

#[test]
fn a_cluster_that_fails_is_not_drowned_in_retries() {
    // Both attempts of a request are held, so that all are in progress at once.
    for (requests, limits, retries) in [
        (12, json!([]), 3),
        (40, json!([]), 8),
        (12, json!([{"max_retries": 5}]), 5),
        (12, json!([{"max_retries": 5, "retry_budget": {"budget_percent": 50}}]), 6),
        (12, json!([{"retry_budget": {"budget_percent": 0, "min_retry_concurrency": 0}}]), 0),
    ] {
        let (first, again) = (Gate::new(), Gate::new());
        let gates = (first.clone(), again.clone());
        let seen = std::sync::Mutex::new(std::collections::HashSet::new());
        let origin = Origin::http(move |request| {
            let is_first = seen.lock().unwrap().insert(request.head.target().to_owned());
            if is_first {
                gates.0.wait()
            } else {
                gates.1.wait()
            }
            Reply::new(503).body("failed")
        });
        let policy = json!({"retry_policy": {"retry_on": true, "num_retries": 1}});
        let config = ConfigBuilder::empty()
            .cluster("main", &[origin.address()])
            .in_cluster("circuit_breakers", limits.clone())
            .virtual_host("all", &["*"], routes(policy, json!({})));
        let proxy = Proxy::start(&config);
        let mut clients: Vec<_> = (0..requests)
            .map(|number| {
                let mut client = proxy.connect();
                client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
                client
            })
            .collect();
        origin.wait("all requests", |origin| origin.count() == requests);
        first.open();
        until("each is repeated or given up", || {
            let decided = metric(&proxy, "upstream_request_retry") + metric(&proxy, "upstream_request_retry_overflow");
            (decided == requests as u64).then_some(())
        });
        let repeated = metric(&proxy, "upstream_request_retry");
        again.open();
        for client in &mut clients {
            let got = client.response();
            assert_eq!((got.status(), got.text().as_str()), (503, "failed"));
        }
        assert_eq!(repeated, retries, "{requests} {limits}");
        assert_eq!(origin.count() as u64, requests as u64 + repeated);
    }
}

#[test]
pub(crate) fn attempts_are_in_the_access_log() {
    let ill = failing();
    let policy = json!({"retry_policy": {"retry_on": true, "num_retries": 2, "status_codes": [503]}});
    let config =
        ConfigBuilder::empty().cluster("main", &[ill.address()]).virtual_host("all", &["*"], routes(policy, json!({})));
    let dir = sidegate_harness::TempDir::new();
    let log = dir.join("attempts.log");
    let config = config
        .in_listener("access_logs", json!([{"log_path": log, "log_format": "%response_code% %upstream_attempts%"}]));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 503);
    let text = until("the access log", || std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(text, "503 3\n");
    assert_eq!(ill.count(), 3);
}

#[test]
fn requests_are_mirrored() {
    let (main, shadow) = (Origin::echo(), failing());
    let mirror = json!({"request_mirror_policies": {"cluster": "shadow", "percent": 100}});
    let config = ConfigBuilder::empty()
        .cluster("main", &[main.address()])
        .cluster("shadow", &[shadow.address()])
        .virtual_host("all", &["*"], routes(json!({"prefix_rewrite": "/in/"}), mirror));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    client.send("POST /a HTTP/1.1\r\nHost: Example.com\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.response().status(), 200);
    let copy = until("the copy", || shadow.seen().into_iter().find(|seen| seen.complete));
    assert_eq!(copy.head.start, "POST /in/a HTTP/1.1");
    assert_eq!((copy.head.get("host"), copy.body.as_slice()), (Some("example.com"), &b"body"[..]));
    let text = proxy.admin_get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with("downstream_request_mirrored_total{listener=\"main\"}"));
    assert_eq!(line.and_then(|line| line.split(' ').nth(1)), Some("1"), "{text}");
}

#[test]
fn a_shadow_that_is_not_there_harms_nobody() {
    let main = Origin::echo();
    let mirror = json!({"request_mirror_policies": {"cluster": "shadow", "percent": 100}});
    let config = ConfigBuilder::empty()
        .cluster("main", &[main.address()])
        .cluster("shadow", &[refusing_address()])
        .virtual_host("all", &["*"], routes(json!({}), mirror));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for _ in 0..20 {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
    }
}

/// Requests that are sent again until something ends them: 7 s of pauses.
fn persistent(ill: &Origin) -> ConfigBuilder {
    let policy = json!({"retry_policy": {"retry_on": true, "num_retries": 30}});
    ConfigBuilder::empty().cluster("main", &[ill.address()]).virtual_host("all", &["*"], routes(policy, json!({})))
}

#[test]
fn attempts_end_when_the_client_has_gone() {
    for (what, request) in [
        ("alone", "GET /gone HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("with a body", "PUT /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody".to_owned()),
        (
            "in front of another",
            "GET /gone HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
    ] {
        let ill = failing();
        let proxy = Proxy::start(&persistent(&ill));
        let mut client = proxy.connect();
        client.send(request);
        ill.wait("an attempt", |ill| ill.count() > 0);
        client.shutdown_write();
        let line = proxy.access_line(what, |line| line.path == "/gone");
        assert_eq!((line.flags.as_slice(), line.details.as_str()), (&["DC".to_owned()][..], "client_closed"), "{what}");
        // In two seconds there is time for twelve.
        assert!(ill.count() <= 22, "{what}: {} attempts", ill.count());
    }
}

#[test]
fn attempts_end_at_once_when_the_client_resets() {
    let ill = failing();
    let proxy = Proxy::start(&persistent(&ill));
    let mut client = proxy.connect();
    client.send("GET /reset HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    ill.wait("an attempt", |ill| ill.count() > 0);
    client.reset();
    let line = proxy.access_line("the reset", |line| line.path == "/reset");
    assert!(line.has("DC"), "{line:?}");
    assert!(ill.count() <= 15, "{} attempts", ill.count());
}
