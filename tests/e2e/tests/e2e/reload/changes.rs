//! Listeners, clusters, routes and filters that are added, changed and removed.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Load, Origin, Proxy, Reply, Wire, until};

use super::{built, said, saying, says_one_of, with_listener};
use crate::support::{answer, route};

#[test]
fn routes_change_under_load() {
    let mut proxy = Proxy::start(&saying("0"));
    let load = Load::start(proxy.address(), 4, "/", says_one_of(&["0", "1"]));
    let mut kept = proxy.connect();
    let mut ask = || kept.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().text();
    assert_eq!(ask(), "0");
    for round in 1..=10_u64 {
        load.more(20);
        let word = (round % 2).to_string();
        let taken = proxy.reload(&saying(&word));
        assert_eq!((&taken["number"], &taken["unchanged"]), (&json!(round + 1), &json!(false)), "{taken:#}");
        assert_eq!(taken["changes"]["routers"]["changed"][0]["name"], "routes", "{taken:#}");
        // Whoever asks after the answer gets the new ones, on the old
        // connection too.
        assert_eq!((ask(), said(proxy.address())), (word.clone(), word));
    }
    load.stop();
}

#[test]
fn listeners_come_and_go_while_others_serve() {
    let mut proxy = Proxy::start(&saying("x"));
    let one = built(&proxy, &saying("x"));
    let load = Load::start(proxy.address(), 4, "/", says_one_of(&["x"]));
    for _ in 0..5 {
        proxy.write_value(&with_listener(&one, "more", "127.0.0.1:0"));
        let taken = proxy.reload_file();
        assert_eq!(taken["changes"]["listeners"]["added"], json!(["more"]));
        let more = proxy.listener("more");
        let mut idle = Wire::connect(more);
        assert_eq!(idle.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().text(), "x");
        proxy.write_value(&one);
        let taken = proxy.reload_file();
        assert_eq!(taken["changes"]["listeners"]["removed"], json!(["more"]));
        assert_eq!(taken["draining"][0]["listener"], "more", "{taken:#}");
        // What is idle ends; nobody new is taken.
        idle.expect_close();
        assert!(std::net::TcpStream::connect(more).is_err());
        load.more(10);
    }
    until("the end of the drains", || {
        (proxy.admin_get("/api/v1/config").json()["draining"] == json!([])).then_some(())
    });
    load.stop();
}

#[test]
fn requests_of_a_removed_listener_finish_within_their_time() {
    let gate = sidegate_harness::Gate::new();
    let (opened, arrived) = (gate.clone(), sidegate_harness::Gate::new());
    let seen = arrived.clone();
    let origin = Origin::http(move |_| {
        seen.open();
        opened.wait();
        Reply::ok("late")
    });
    let config = ConfigBuilder::to(origin.address());
    let mut proxy = Proxy::start(&config);
    let one = built(&proxy, &config);
    proxy.write_value(&with_listener(&one, "more", "127.0.0.1:0"));
    proxy.reload_file();
    let mut client = Wire::connect(proxy.listener("more"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    arrived.wait();
    proxy.write_value(&one);
    let taken = proxy.reload_file();
    assert_eq!(taken["draining"], json!([{"listener": "more", "connections": 1}]));
    gate.open();
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (200, "late"));
    client.expect_close();
}

#[test]
fn what_a_removed_listener_does_not_finish_in_time_is_cut() {
    let never = sidegate_harness::Gate::new();
    let (closed, arrived) = (never.clone(), sidegate_harness::Gate::new());
    let seen = arrived.clone();
    let origin = Origin::http(move |_| {
        seen.open();
        closed.wait();
        Reply::ok("never")
    });
    let config = ConfigBuilder::to(origin.address()).in_server("graceful_timeout", json!("100ms"));
    let mut proxy = Proxy::start(&config);
    let one = built(&proxy, &config);
    proxy.write_value(&with_listener(&one, "more", "127.0.0.1:0"));
    proxy.reload_file();
    let mut client = Wire::connect(proxy.listener("more"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    arrived.wait();
    proxy.write_value(&one);
    proxy.reload_file();
    client.expect_close();
    until("the line about it", || proxy.logs().contains("streams of a removed listener are cut").then_some(()));
    never.open();
}

#[test]
fn clusters_come_go_and_change_and_what_stays_is_not_forgotten() {
    let (one, other) = (Origin::http(|_| Reply::ok("one")), Origin::http(|_| Reply::ok("other")));
    let config = |clusters: &[(&str, std::net::SocketAddr)], to: &str| {
        let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": to}}]);
        let base = ConfigBuilder::empty().virtual_host("all", &["*"], routes);
        clusters.iter().fold(base, |config, (name, at)| config.cluster(name, &[*at]))
    };
    let mut proxy = Proxy::start(&config(&[("a", one.address())], "a"));
    let load = Load::start(proxy.address(), 4, "/", says_one_of(&["one", "other"]));
    load.more(20);
    let requests = |proxy: &Proxy, cluster: &str| {
        proxy.metric(&format!("upstream_request_total{{cluster=\"{cluster}\"}}")).unwrap_or(0.0)
    };
    let before = requests(&proxy, "a");
    let taken = proxy.reload(&config(&[("a", one.address()), ("b", other.address())], "b"));
    assert_eq!(taken["changes"]["clusters"]["added"], json!(["b"]));
    assert_eq!(said(proxy.address()), "other");
    assert!(requests(&proxy, "a") >= before, "series of a cluster that stays go on");
    // Another host in the same cluster.
    let taken = proxy.reload(&config(&[("a", one.address()), ("b", one.address())], "b"));
    assert_eq!(taken["changes"]["clusters"]["changed"][0]["name"], "b");
    assert_eq!(said(proxy.address()), "one");
    assert_eq!(proxy.admin_get("/api/v1/hosts?cluster=b").json()["clusters"]["b"]["total"], 1);
    let taken = proxy.reload(&config(&[("a", one.address())], "a"));
    assert_eq!(taken["changes"]["clusters"]["removed"], json!(["b"]));
    assert_eq!(proxy.admin_get("/api/v1/hosts?cluster=b").status(), 404);
    load.more(20);
    load.stop();
}

#[test]
fn an_unchanged_cluster_keeps_its_connections() {
    let origin = Origin::echo();
    let config = |more: &str| {
        let routes = json!([answer(json!({"path": "/who"}), more), route("/", json!({}))]);
        ConfigBuilder::to_routes(origin.address(), routes)
    };
    let mut proxy =
        Proxy::start_with(&config("0"), &sidegate_harness::ProxyOptions { workers: Some(1), ..Default::default() });
    let mut client = proxy.connect();
    for round in 0..5 {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().status(), 200);
        proxy.reload(&config(&(round + 1).to_string()));
    }
    assert_eq!(origin.connections(), 1, "a pool outlives reloads");
}

#[test]
fn filters_are_added_changed_and_removed() {
    let fault = |status: u16| json!({"type": "fault", "config": {"abort": {"status": status, "percentage": 100}}});
    let mut proxy = Proxy::start(&saying("x"));
    assert_eq!(proxy.get("/").status(), 200);
    let taken = proxy.reload(&saying("x").filter(fault(418)));
    assert_eq!(taken["changes"]["listeners"]["changed"][0]["name"], "main");
    assert_eq!(proxy.get("/").status(), 418);
    proxy.reload(&saying("x").filter(fault(429)));
    assert_eq!(proxy.get("/").status(), 429);
    proxy.reload(&saying("x"));
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn settings_of_a_listener_change_and_its_connections_stay() {
    let mut proxy = Proxy::start(&saying("x"));
    let mut client = proxy.connect();
    let mut ask = |count: usize| {
        let fields = "X: x\r\n".repeat(count);
        client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")).response().status()
    };
    assert_eq!(ask(50), 200);
    proxy.reload(&saying("x").limit("max_headers", 20));
    assert_eq!(ask(2), 200, "the same connection");
    assert_eq!(ask(50), 431);
}

#[test]
fn nothing_that_differs_is_no_new_configuration() {
    let mut proxy = Proxy::start(&saying("x"));
    let taken = proxy.reload_file();
    assert_eq!((&taken["unchanged"], &taken["number"]), (&json!(true), &json!(1)));
    assert_eq!(taken["changes"]["same"], true);
    assert_eq!(proxy.metric("sidegate_config_reload_total{result=\"unchanged\"}"), Some(1.0));
    assert_eq!(proxy.number(), 1);
}

#[test]
fn a_host_that_is_out_when_it_is_added_gets_no_request() {
    let well = Origin::http(|_| Reply::new(200).body("well"));
    // It serves, and says that it should not.
    let ill = Origin::http(|seen| match seen.head.target() {
        "/health" => Reply::new(503),
        _ => Reply::new(200).body("ill"),
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "many"}}]);
    let of_hosts = |hosts: &[std::net::SocketAddr]| {
        let check = json!({
            "protocol": "Http1", "service_name": "many", "interval": "1h", "unhealthy_threshold": 3,
            "check_config": {"http_check_config": {"path": "/health"}}
        });
        let all = ConfigBuilder::empty().virtual_host("all", &["*"], routes.clone());
        all.cluster("many", hosts).in_cluster("health_check", check)
    };
    let mut proxy = Proxy::start(&of_hosts(&[well.address()]));
    let load = Load::start(proxy.address(), 2, "/", says_one_of(&["well"]));
    load.more(10);
    proxy.reload(&of_hosts(&[well.address(), ill.address()]));
    load.more(100);
    load.stop();
    let many = &proxy.admin_get("/api/v1/hosts").json()["clusters"]["many"];
    assert_eq!((&many["total"], &many["healthy"]), (&json!(2), &json!(1)), "{many:#}");
}
