//! Many clusters, routes and hosts: they start, are checked, serve and are
//! counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Dns, Origin, Proxy, TempDir, Wire, sidegate, until};

/// A cluster with a host each, all of them at `origin`, and a route to each.
fn many(count: usize, origin: SocketAddr) -> ConfigBuilder {
    let routes: Vec<Value> = (0..count)
        .map(|n| json!({"match": {"path": format!("/r{n}")}, "route": {"cluster_name": format!("c{n}")}}))
        .collect();
    let config = ConfigBuilder::empty().virtual_host("all", &["*"], json!(routes));
    (0..count).fold(config, |config, n| config.cluster(&format!("c{n}"), &[origin]))
}

/// A large page of the admin interface.
fn page(proxy: &Proxy, path: &str) -> String {
    let mut client = Wire::connect(proxy.admin());
    client.set_patience(Duration::from_secs(60));
    let bytes = client.send(format!("GET {path} HTTP/1.0\r\n\r\n")).read_until_close();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

fn lines(page: &str, of: &str) -> usize {
    page.lines().filter(|line| line.starts_with(of)).count()
}

/// Runs `work` while a client asks the proxy and the admin interface again and
/// again; how often both answered.
fn while_serving<T>(proxy: &Proxy, path: &str, work: impl FnOnce() -> T) -> (T, usize) {
    let (ended, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                assert_eq!(proxy.get(path).status(), 200);
                assert_eq!(proxy.admin_get("/ready").status(), 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        let result = work();
        ended.store(true, Ordering::Relaxed);
        result
    });
    (result, answered.into_inner())
}

#[test]
fn ten_thousand_clusters_and_routes_are_checked_served_and_counted() {
    const COUNT: usize = 10_000;
    let origin = Origin::echo();
    let config = many(COUNT, origin.address());
    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let checked = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(checked.code, Some(0), "{}", checked.output());

    let proxy = Proxy::start(&config);
    for route in [0, COUNT / 2, COUNT - 1] {
        assert_eq!(proxy.get(&format!("/r{route}")).status(), 200, "{route}");
    }
    assert_eq!(proxy.get("/nothing").status(), 404);
    let (metrics, answered) = while_serving(&proxy, "/r17", || page(&proxy, "/metrics"));
    assert!(answered > 0, "the page held up everything else");
    // Each cluster and each host.
    assert_eq!(lines(&metrics, "upstream_request_total{"), 2 * COUNT);
    assert_eq!(lines(&metrics, "# TYPE upstream_request_total "), 1);
    for of in ["cluster=\"c0\"", "cluster=\"c9999\"", &format!("cluster=\"c5000\",host=\"{}\"", origin.address())] {
        let wanted = format!("\nupstream_request_total{{{of}}} 1\n");
        assert!(metrics.contains(&wanted), "{wanted}");
    }
    assert_eq!(lines(&metrics, "sidegate_route_requests_total{"), 257 * 7, "routes have a bound of their own");
    let stats: Value = serde_json::from_str(&page(&proxy, "/api/v1/stats?key=c77.")).unwrap();
    assert_eq!(stats["upstream"].as_object().unwrap().len(), 2);
}

#[test]
#[ignore = "slow: a page has hundreds of megabytes"]
fn a_hundred_thousand_hosts_have_series() {
    const HOSTS: usize = 100_000;
    let origin = Origin::echo();
    let address = |n: usize| SocketAddr::from(([127, 1 + (n >> 16) as u8, (n >> 8) as u8, n as u8], 9));
    let hosts: Vec<SocketAddr> = (0..HOSTS).map(address).collect();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).cluster("many", &hosts));
    assert_eq!(proxy.get("/").status(), 200);
    let mib = |bytes: usize| bytes >> 20;
    let before = mib(proxy.resident_bytes());
    let (metrics, answered) = while_serving(&proxy, "/", || page(&proxy, "/metrics"));
    let after = mib(proxy.resident_bytes());
    assert_eq!(lines(&metrics, "upstream_request_total{cluster=\"many\",host="), HOSTS);
    assert!(answered > 0, "the page held up everything else");
    eprintln!("{} MiB of text, {before} MiB resident before, {after} MiB after", mib(metrics.len()));
    assert!(before < 400 && after < before + 100, "{before} MiB, then {after} MiB");
}

/// A name that moves on and on: each host is shown with its last values, and
/// gone a minute later.
#[test]
#[ignore = "slow: takes a minute"]
fn series_of_hosts_that_a_name_has_left_go() {
    const HOSTS: u8 = 200;
    let origin = Origin::echo();
    let dns = Dns::new();
    let name = "moving.test.example";
    let port = origin.address().port();
    dns.set(name, &[Ipv4Addr::LOCALHOST]);
    let cluster = json!({
        "name": "moving", "type": "STRICT_DNS", "dns_refresh_rate": "10ms",
        "dns_resolvers": {"servers": ["127.0.0.1"], "port": dns.address().port()},
        "hosts": [{"address": format!("{name}:{port}")}],
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "moving"}}]);
    let config = ConfigBuilder::empty().cluster_object(cluster).virtual_host("all", &["*"], routes);
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/").status(), 200);
    let shown = |page: &str| -> Vec<String> {
        let totals =
            page.lines().filter_map(|line| line.strip_prefix("upstream_request_total{cluster=\"moving\",host="));
        totals.filter(|line| !line.contains("other")).map(str::to_owned).collect()
    };
    let line = |last: u8, count: u8| format!("\"127.0.0.{last}:{port}\"}} {count}");
    for last in 2..=HOSTS {
        dns.set(name, &[Ipv4Addr::new(127, 0, 0, last)]);
        until("the next host", || {
            let page = proxy.admin_get("/api/v1/hosts?cluster=moving").text();
            page.contains(&format!("127.0.0.{last}:")).then_some(())
        });
    }
    let all = shown(&page(&proxy, "/metrics"));
    assert_eq!((all.len(), all.contains(&line(1, 1))), (usize::from(HOSTS), true), "{all:?}");
    let deadline = Instant::now() + Duration::from_secs(120);
    while shown(&page(&proxy, "/metrics")) != [line(HOSTS, 0)] {
        assert!(Instant::now() < deadline, "{:?}", shown(&page(&proxy, "/metrics")));
        thread::park_timeout(Duration::from_secs(1));
    }
    // Who comes back begins anew.
    dns.set(name, &[Ipv4Addr::LOCALHOST]);
    until("the first host again", || shown(&page(&proxy, "/metrics")).contains(&line(1, 0)).then_some(()));
}
