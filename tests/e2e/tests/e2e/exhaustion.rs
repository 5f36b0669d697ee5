//! What is ours to lack: descriptors and ports. No host is blamed for it, and
//! the admin interface goes on.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, ProxyOptions, Reply, Wire, until};

/// Descriptors of the process: about 25 are in use when it starts, clients may
/// come up to number 80, upstream connections up to 112.
const DESCRIPTORS: u32 = 128;

/// An origin that answers `/held` when the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::http(move |seen| {
        if seen.head.target().starts_with("/held") {
            gate.wait();
        }
        Reply::ok("done")
    })
}

fn start(config: &ConfigBuilder) -> Proxy {
    Proxy::start_with(config, &ProxyOptions { descriptors: Some(DESCRIPTORS), ..ProxyOptions::default() })
}

fn metric(proxy: &Proxy, series: &str) -> f64 {
    let text = proxy.admin_get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

/// Whose failures would show at once.
fn strict(config: ConfigBuilder) -> ConfigBuilder {
    config
        .in_cluster("healthy_panic_threshold", json!(0))
        .in_cluster(
            "health_check",
            json!({"service_name": "s", "interval": "20ms", "protocol": "Http1",
            "check_config": {"http_check_config": {"path": "/health"}}}),
        )
        .in_cluster("outlier_detection", json!({"consecutive_local_origin_failure": 1, "max_ejection_percent": 100}))
}

#[test]
fn without_descriptors_no_host_is_blamed_and_the_admin_interface_answers() {
    let gate = Gate::new();
    let origins = [holding(&gate), holding(&gate)];
    let config = strict(ConfigBuilder::empty().cluster("many", &origins.each_ref().map(Origin::address))).virtual_host(
        "all",
        &["*"],
        json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "many"}}]),
    );
    let proxy = start(&config);
    // All are connected, as far as they know: some wait to be accepted.
    let mut clients: Vec<Wire> = (0..DESCRIPTORS).map(|_| proxy.connect()).collect();
    until("no room for clients", || proxy.logs().contains("new connections wait").then_some(()));
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /held/{number} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    until("some go without a connection", || {
        (metric(&proxy, "upstream_connection_exhausted_total{cluster=\"many\"}") > 0.0).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(proxy.admin_get("/ready").status(), 200);
    }
    let checks = metric(&proxy, "healthcheck_success{service=\"s\"}");
    until("hosts are still checked", || (metric(&proxy, "healthcheck_success{service=\"s\"}") > checks).then_some(()));
    gate.open();
    let mut statuses = Vec::new();
    for mut client in clients {
        let answer = client.response();
        statuses.push(answer.status());
        assert!(matches!((answer.status(), answer.text().trim()), (200, "done") | (503, "out_of_descriptors")));
    }
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    until("every request is logged", || (proxy.access_log().len() == statuses.len()).then_some(()));
    for line in proxy.access_log() {
        match line.status {
            200 => assert!(line.flags.is_empty(), "{line:?}"),
            _ => assert_eq!((line.flags.as_slice(), &*line.details), (&["RX".to_owned()][..], "out_of_descriptors")),
        }
    }
    for series in [
        "healthcheck_failure{service=\"s\"}",
        "upstream_ejections_total{cluster=\"many\"}",
        "upstream_connection_con_fail{cluster=\"many\"}",
    ] {
        assert_eq!(metric(&proxy, series), 0.0, "{series}");
    }
    until("all is well again", || (proxy.get("/").status() == 200).then_some(()));
    assert!(proxy.logs().contains("accepting again"), "{}", proxy.logs());
}

/// The descriptors that are set aside can be used up, too: by those who connect
/// to the admin interface and say nothing.
#[test]
fn readiness_is_told_with_no_descriptor_left() {
    let origin = Origin::echo();
    let options = ProxyOptions { descriptors: Some(64), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&ConfigBuilder::to(origin.address()), &options);
    let clients: Vec<Wire> = (0..64).map(|_| proxy.connect()).collect();
    until("no room for clients", || proxy.logs().contains("new connections wait").then_some(()));
    let silent: Vec<Wire> = (0..60).map(|_| Wire::connect(proxy.admin())).collect();
    for _ in 0..5 {
        assert_eq!(proxy.admin_get("/ready").status(), 200);
    }
    drop((clients, silent));
    until("all is well again", || (proxy.get("/").status() == 200).then_some(()));
}

#[test]
fn idle_upstream_connections_go_first() {
    let gates = [Gate::new(), Gate::new()];
    let origins = gates.each_ref().map(holding);
    let config = ConfigBuilder::empty()
        .cluster("a", &[origins[0].address()])
        .cluster("b", &[origins[1].address()])
        .virtual_host(
            "all",
            &["*"],
            json!([
                {"match": {"prefix": "/held/a"}, "route": {"cluster_name": "a"}},
                {"match": {"prefix": "/held/b"}, "route": {"cluster_name": "b"}},
            ]),
        );
    let proxy = start(&config);
    let mut clients: Vec<Wire> = (0..35).map(|_| proxy.connect()).collect();
    let hold = |clients: &mut [Wire], name: &str, number: usize| {
        for client in clients {
            client.send(format!("GET /held/{name} HTTP/1.1\r\nHost: test\r\n\r\n"));
        }
        origins[number].wait("the requests", |origin| origin.count() >= 30);
    };
    hold(&mut clients[..30], "a", 0);
    gates[0].open();
    for client in &mut clients[..30] {
        assert_eq!(client.response().status(), 200);
    }
    // As many connections to the other cluster are only there if those that
    // wait in the pools of the first go, on whichever worker.
    hold(&mut clients, "b", 1);
    origins[1].wait("the last requests", |origin| origin.count() == 35);
    gates[1].open();
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert!(metric(&proxy, "upstream_connection_local_close{cluster=\"a\"}") > 0.0);
    assert_eq!(metric(&proxy, "upstream_connection_exhausted_total{cluster=\"b\"}"), 0.0);
}

/// Local ports that a network of its own has for everything.
const PORTS: &str = "40000 40023";

/// Runs the next test in a network of its own with few ports. Needs the right
/// to make one.
#[test]
fn without_ports_no_host_is_blamed() {
    // Ports of connections that have ended are free at once: the test itself
    // asks the admin interface often.
    let set = |key: &str, value: &str| format!("echo '{value}' > /proc/sys/net/ipv4/{key}");
    let (range, ended) = (set("ip_local_port_range", PORTS), set("tcp_max_tw_buckets", "0"));
    let prepare = format!("ip link set lo up && {range} && {ended}");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
        command
    };
    if !unshare(&prepare).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no right to make a network");
        return;
    }
    let inner = "exhaustion::within_a_network_with_few_ports";
    let script = format!("{prepare} && exec \"$0\" --exact {inner} --ignored --nocapture");
    let output = unshare(&script).env("SIDEGATE_FEW_PORTS", "1").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "is run by the test above"]
fn within_a_network_with_few_ports() {
    if std::env::var_os("SIDEGATE_FEW_PORTS").is_none() {
        return;
    }
    let gate = Gate::new();
    let origins = [holding(&gate), holding(&gate)];
    let config = strict(ConfigBuilder::empty().cluster("many", &origins.each_ref().map(Origin::address)))
        .in_listener("address", json!("0.0.0.0:0"))
        .virtual_host("all", &["*"], json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "many"}}]));
    let proxy = Proxy::start(&config);
    // From each of our ports one connection per address of the proxy.
    let mut clients: Vec<Wire> =
        (1..60_u8).map(|last| Wire::connect(SocketAddr::from(([127, 0, 0, last], proxy.address().port())))).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /held/{number} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    until("some go without a port", || {
        (metric(&proxy, "upstream_connection_exhausted_total{cluster=\"many\"}") > 0.0).then_some(())
    });
    until("they are answered", || proxy.access_log().iter().any(|line| line.status == 503).then_some(()));
    gate.open();
    let mut statuses = Vec::new();
    for mut client in clients {
        let answer = client.response();
        statuses.push(answer.status());
        assert!(matches!((answer.status(), answer.text().trim()), (200, "done") | (503, "out_of_ports")), "{answer:?}");
    }
    assert!(statuses.iter().filter(|status| **status == 200).count() > 20, "both hosts were used: {statuses:?}");
    for line in proxy.access_log().iter().filter(|line| line.status == 503) {
        assert_eq!((line.flags.as_slice(), &*line.details), (&["RX".to_owned()][..], "out_of_ports"));
    }
    for series in [
        "healthcheck_failure{service=\"s\"}",
        "upstream_ejections_total{cluster=\"many\"}",
        "upstream_connection_con_fail{cluster=\"many\"}",
    ] {
        assert_eq!(metric(&proxy, series), 0.0, "{series}");
    }
}
