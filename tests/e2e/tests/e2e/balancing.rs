//! Which host gets a request: load, hash, subset, name.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Dns, Gate, Origin, Proxy, ProxyOptions, Reply, TempDir, until};

use crate::support::refusing_address;

/// An origin that answers with `name`.
fn named(name: &'static str) -> Origin {
    Origin::http(move |_| Reply::ok(name))
}

/// A configuration with this route to cluster `many` and this cluster.
fn config(route: Value, cluster: Value) -> ConfigBuilder {
    let mut entry = json!({"match": {"prefix": "/"}, "route": {"cluster_name": "many"}});
    for (key, value) in route.as_object().unwrap() {
        entry["route"][key] = value.clone();
    }
    let mut object = json!({"name": "many"});
    for (key, value) in cluster.as_object().unwrap() {
        object[key] = value.clone();
    }
    ConfigBuilder::empty().cluster_object(object).virtual_host("all", &["*"], json!([entry]))
}

fn body(proxy: &Proxy, fields: &str) -> String {
    String::from_utf8(proxy.get_with("/", fields).body).unwrap()
}

#[test]
fn what_is_too_much_gets_503_and_the_rest_goes_on() {
    for limit in ["max_requests", "max_connections"] {
        let gate = Gate::new();
        let waiting = gate.clone();
        let origin = Origin::http(move |seen| {
            if seen.head.target() == "/held" {
                waiting.wait();
            }
            Reply::ok("done")
        });
        let hosts = json!([{"address": origin.address().to_string()}]);
        let proxy = Proxy::start(&config(
            json!({}),
            json!({"hosts": hosts, "connect_timeout": "50ms", "circuit_breakers": [{limit: 1}]}),
        ));
        let mut held = proxy.connect();
        held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        origin.wait("the held request", |origin| origin.count() == 1);
        assert_eq!(proxy.get("/refused").status(), 503, "{limit}");
        assert!(proxy.access_line(limit, |line| line.path == "/refused").has("UO"), "{limit}");
        gate.open();
        assert_eq!(held.response().body, b"done");
        until("the limit is free", || (proxy.get("/").status() == 200).then_some(()));
        assert!(origin.seen().iter().all(|seen| seen.head.target() != "/refused"));
    }
}

#[test]
fn no_request_is_refused_while_another_worker_keeps_a_connection() {
    let origin = Origin::echo();
    let hosts = json!([{"address": origin.address().to_string()}]);
    let cluster = json!({"hosts": hosts, "circuit_breakers": [{"max_connections": 1}]});
    let options = ProxyOptions { workers: Some(4), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&config(json!({}), cluster), &options);
    // On connections of their own, and in turn on some that stay.
    let mut kept: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for round in 0..60 {
        assert_eq!(proxy.get("/").status(), 200, "round {round}");
        let client = &mut kept[round % 8];
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200, "round {round}");
    }
    until("one connection", || {
        let text = proxy.admin_get("/metrics").text();
        text.contains("upstream_connection_active{cluster=\"many\"} 1\n").then_some(())
    });
}

#[test]
fn requests_at_the_limit_wait_for_each_other_and_all_get_their_turn() {
    let origin = Origin::http(|seen| {
        // So long the connection is in use.
        std::thread::sleep(std::time::Duration::from_millis(2));
        Reply::ok(seen.head.target().to_owned())
    });
    let hosts = json!([{"address": origin.address().to_string()}]);
    let cluster = json!({"hosts": hosts, "circuit_breakers": [{"max_connections": 2}]});
    let proxy = Proxy::start(&config(json!({}), cluster));
    let clients: Vec<_> = (0..16)
        .map(|number| {
            let mut client = proxy.connect();
            std::thread::spawn(move || {
                for turn in 0..20 {
                    let path = format!("/{number}/{turn}");
                    let got = client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
                    assert_eq!((got.status(), got.text()), (200, path));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let text = proxy.admin_get("/metrics").text();
    let made = text.lines().find_map(|line| line.strip_prefix("upstream_connection_total{cluster=\"many\"} "));
    // From hand to hand: far fewer handshakes than requests.
    assert!(made.unwrap().parse::<u32>().unwrap() < 160, "{made:?} of 320");
}

#[test]
fn no_more_than_so_many_wait() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::http(move |_| {
        waiting.wait();
        Reply::ok("done")
    });
    let hosts = json!([{"address": origin.address().to_string()}]);
    let limits = json!([{"max_connections": 1, "max_pending_requests": 1}]);
    let proxy = Proxy::start(&config(json!({}), json!({"hosts": hosts, "circuit_breakers": limits})));
    let get = |path: &str| {
        let mut client = proxy.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    };
    let mut first = get("/first");
    origin.wait("the first request", |origin| origin.count() == 1);
    let mut others = [get("/second"), get("/third")];
    let refused = proxy.access_line("one too many", |line| line.status == 503);
    assert_eq!((refused.has("UO"), &*refused.details), (true, "max_pending_requests"));
    gate.open();
    assert_eq!(first.response().status(), 200);
    let mut statuses = others.each_mut().map(|client| client.response().status());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

/// Of each host of the cluster.
fn active_requests(proxy: &Proxy) -> Vec<u64> {
    let dump = proxy.admin_get("/api/v1/config_dump?cluster=many").json();
    dump["health"].as_array().unwrap().iter().map(|host| host["active_requests"].as_u64().unwrap()).collect()
}

#[test]
fn the_idle_host_gets_the_requests_while_the_other_works() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let busy = Origin::http(move |_| {
        waiting.wait();
        Reply::ok("busy")
    });
    let idle = named("idle");
    let hosts = json!([{"address": busy.address().to_string()}, {"address": idle.address().to_string()}]);
    let proxy = Proxy::start(&config(json!({}), json!({"lb_type": "LB_LEAST_REQUEST", "hosts": hosts})));
    let mut held = proxy.connect();
    until("one request is at the busy host", || {
        let before = busy.count() + idle.count();
        held = proxy.connect();
        held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        until("it arrived", || (busy.count() + idle.count() > before).then_some(()));
        if busy.count() == 0 {
            // The idle one took it: with nothing to do both are alike.
            assert_eq!(held.response().status(), 200);
        }
        (busy.count() > 0).then_some(())
    });
    for _ in 0..20 {
        // A response is with the client a little before it is over.
        until("the idle host is idle", || (active_requests(&proxy) == [1, 0]).then_some(()));
        assert_eq!(body(&proxy, ""), "idle");
    }
    gate.open();
    assert_eq!(held.response().body, b"busy");
}

#[test]
pub(crate) fn the_same_header_goes_to_the_same_host() {
    let origins = [named("a"), named("b"), named("c"), named("d")];
    let hosts: Vec<Value> = origins.iter().map(|o| json!({"address": o.address().to_string()})).collect();
    let policy = json!({"hash_policy": [{"header": {"key": "x-user"}}]});
    let proxy = Proxy::start(&config(policy, json!({"lb_type": "LB_MAGLEV", "hosts": hosts})));
    let mut used = BTreeSet::new();
    for user in 0..16 {
        let field = format!("X-User: {user}\r\n");
        let first = body(&proxy, &field);
        for _ in 0..5 {
            assert_eq!(body(&proxy, &field), first, "user {user}");
        }
        used.insert(first);
    }
    assert!(used.len() >= 2, "{used:?}");
}

fn with_zone(origin: &Origin, zone: &str) -> Value {
    json!({
        "address": origin.address().to_string(),
        "metadata": {"filter_metadata": {"mosn.lb": {"zone": zone}}},
    })
}

#[test]
pub(crate) fn a_subset_is_never_left() {
    let (a, b) = (named("a"), named("b"));
    let hosts = json!([with_zone(&a, "east"), with_zone(&b, "west")]);
    for (wanted, policy, expected) in [
        (json!({"zone": "west"}), json!({"fall_back_policy": 1}), Some("b")),
        (json!({"zone": "east"}), json!({"fall_back_policy": 0}), Some("a")),
        (json!({"zone": "north"}), json!({"fall_back_policy": 2, "default_subset": {"zone": "west"}}), Some("b")),
        (json!({"zone": "north"}), json!({"fall_back_policy": 0}), None),
        (json!({"zone": "north"}), json!({}), None),
    ] {
        let mut subsets = policy.clone();
        subsets["subset_selectors"] = json!([["zone"]]);
        let route = json!({"metadata_match": {"filter_metadata": {"mosn.lb": wanted}}});
        let proxy = Proxy::start(&config(route, json!({"hosts": hosts, "lb_subset_config": subsets})));
        for _ in 0..4 {
            let answer = proxy.get("/");
            match expected {
                Some(name) => assert_eq!(answer.body, name.as_bytes(), "{wanted} {policy}"),
                None => assert_eq!(answer.status(), 502, "{wanted} {policy}"),
            }
        }
    }
}

/// As MOSN counts: subsets that selectors made, and choices by the fallback.
#[test]
pub(crate) fn subsets_and_fallbacks_are_counted() {
    let (a, b) = (named("a"), named("b"));
    let hosts = json!([with_zone(&a, "east"), with_zone(&b, "west")]);
    for (wanted, policy, fallbacks) in [
        (json!({"zone": "west"}), json!({"fall_back_policy": 1}), 0),
        (json!({"zone": "north"}), json!({"fall_back_policy": 1}), 3),
        (json!({"zone": "north"}), json!({"fall_back_policy": 2, "default_subset": {"zone": "west"}}), 3),
        (json!({"zone": "north"}), json!({"fall_back_policy": 0}), 0),
        (json!({}), json!({"fall_back_policy": 1}), 0),
    ] {
        let mut subsets = policy.clone();
        subsets["subset_selectors"] = json!([["zone"], ["zone", "stage"], ["zone"]]);
        let route = json!({"metadata_match": {"filter_metadata": {"mosn.lb": wanted}}});
        let proxy = Proxy::start(&config(route, json!({"hosts": hosts, "lb_subset_config": subsets})));
        for _ in 0..3 {
            proxy.get("/");
        }
        let metrics = proxy.admin_get("/metrics").text();
        for (name, expected) in [("created", 2), ("fallback", fallbacks)] {
            let line = metrics.lines().find(|line| line.starts_with(&format!("upstream_lb_subsets_{name}{{")));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            assert_eq!(value, Some(f64::from(expected)), "{name} {wanted} {policy}: {line:?}");
        }
    }
    let plain = Proxy::start(&config(json!({}), json!({"hosts": [with_zone(&a, "east")]})));
    assert!(!plain.admin_get("/metrics").text().contains("upstream_lb_subsets_"));
}

/// Only a route that asks for metadata may find none: others get any host.
#[test]
pub(crate) fn a_route_without_metadata_gets_any_host_of_a_cluster_with_subsets() {
    let (a, b) = (named("a"), named("b"));
    let hosts = json!([with_zone(&a, "east"), with_zone(&b, "west")]);
    for policy in [
        json!({}),
        json!({"fall_back_policy": 0}),
        json!({"fall_back_policy": 1}),
        json!({"fall_back_policy": 2, "default_subset": {"zone": "north"}}),
    ] {
        let mut subsets = policy.clone();
        subsets["subset_selectors"] = json!([["zone"]]);
        let proxy = Proxy::start(&config(json!({}), json!({"hosts": hosts, "lb_subset_config": subsets})));
        let answers: BTreeSet<_> = (0..8).map(|_| proxy.get("/").text()).collect();
        assert_eq!(answers, BTreeSet::from(["a".to_owned(), "b".to_owned()]), "{policy}");
    }
}

/// `LB_REQUEST_ROUNDROBIN`: the first host that works, anew for each request.
#[test]
fn a_primary_host_has_backups() {
    let (primary, backup) = (named("primary"), named("backup"));
    let with = |first: SocketAddr| {
        let hosts = json!([{"address": first.to_string()}, {"address": backup.address().to_string(), "weight": 9}]);
        Proxy::start(&config(json!({}), json!({"lb_type": "LB_REQUEST_ROUNDROBIN", "hosts": hosts})))
    };
    let proxy = with(primary.address());
    let mut clients: Vec<_> = (0..6).map(|_| proxy.connect()).collect();
    for client in clients.iter_mut().chain(&mut [proxy.connect()]) {
        let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
        assert_eq!(got.text(), "primary");
    }
    assert_eq!(backup.count(), 0);
    let proxy = with(refusing_address());
    for _ in 0..4 {
        assert_eq!(proxy.get("/").text(), "backup");
    }
}

#[test]
fn hosts_may_be_unix_sockets() {
    let dir = TempDir::new();
    let path = dir.join("host.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        String::from_utf8(head).unwrap()
    });
    let hosts = json!([{"address": format!("unix:{}", path.display())}]);
    let proxy = Proxy::start(&config(json!({}), json!({"hosts": hosts})));
    assert_eq!(proxy.get("/over-unix").body, b"hi");
    assert!(server.join().unwrap().starts_with("GET /over-unix HTTP/1.1\r\n"));
}

/// A host whose name moved away is left alone, and the new one is looked after.
#[test]
fn checks_follow_a_name() {
    let (one, two) = two_on_one_port();
    let dns = Dns::new();
    let name = "checked.test.example";
    let local = |last| Ipv4Addr::new(127, 0, 0, last);
    dns.set(name, &[local(1)]);
    let cluster = json!({
        "type": "STRICT_DNS",
        "dns_refresh_rate": "20ms",
        "dns_resolvers": {"servers": ["127.0.0.1"], "port": dns.address().port()},
        "health_check": {
            "service_name": "s", "protocol": "Http1", "interval": "10ms",
            "check_config": {"http_check_config": {"path": "/"}},
        },
        "hosts": [{"address": format!("{name}:{}", one.address().port())}],
    });
    let proxy = Proxy::start(&config(json!({}), cluster));
    one.wait("checks", |origin| origin.count() > 2);
    dns.set(name, &[local(2)]);
    two.wait("checks", |origin| origin.count() > 0);
    // One that had begun may still come to its end.
    let hosts = proxy.admin_get("/api/v1/config_dump?cluster=many").json();
    assert_eq!(hosts["health"][0]["address"], two.address().to_string());
    let (before, at_two) = (one.connections(), two.count());
    two.wait("more checks", |origin| origin.count() > at_two + 10);
    assert!(one.connections() <= before + 1, "the old host is checked still");
}

/// Two origins on one port, at different addresses of the loopback network.
fn two_on_one_port() -> (Origin, Origin) {
    let address = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    until("a port that is free at both addresses", || {
        let one = TcpListener::bind(address(1)).unwrap();
        let port = one.local_addr().unwrap().port();
        let two = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).ok()?;
        let named = |listener, name: &'static str| {
            Origin::scripted_on(listener, move |connection| {
                loop {
                    connection.request()?;
                    connection.reply(&Reply::ok(name))?;
                }
            })
        };
        Some((named(one, "one"), named(two, "two")))
    })
}

#[test]
fn traffic_follows_a_name() {
    let (one, _two) = two_on_one_port();
    let dns = Dns::new();
    let name = "api.test.example";
    let local = |last| Ipv4Addr::new(127, 0, 0, last);
    dns.set(name, &[local(1)]);
    let cluster = json!({
        "type": "STRICT_DNS",
        "dns_refresh_rate": "20ms",
        "dns_resolvers": {"servers": ["127.0.0.1"], "port": dns.address().port().to_string(), "timeout": 1},
        "hosts": [{"address": format!("{name}:{}", one.address().port())}],
    });
    let proxy = Proxy::start(&config(json!({"auto_host_rewrite": true}), cluster));
    assert_eq!(body(&proxy, ""), "one", "names are resolved before the process serves");
    assert_eq!(one.last().head.get("host"), Some(name));

    dns.set(name, &[local(2)]);
    until("traffic moves", || (body(&proxy, "") == "two").then_some(()));
    assert_eq!(body(&proxy, ""), "two");

    // While nobody answers, and while the name is gone, the hosts stay.
    let asked = dns.questions();
    dns.fail(true);
    until("failed questions", || (dns.questions() > asked + 5).then_some(()));
    assert_eq!(body(&proxy, ""), "two");

    dns.fail(false);
    dns.set(name, &[local(1), local(2)]);
    let both = until("both take turns", || {
        let got: BTreeSet<String> = (0..4).map(|_| body(&proxy, "")).collect();
        (got.len() == 2).then_some(got)
    });
    assert_eq!(both, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
}
