//! Connections are spread over workers.

use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, until};

const WORKERS: usize = 4;
const CONNECTIONS: usize = 8;

/// Connections of each worker, as the proxy counts them.
fn per_worker(proxy: &Proxy) -> Vec<usize> {
    let text = proxy.admin_get("/stats/prometheus").text();
    let of = |worker: usize| {
        let series = format!("sidegate_worker_connections_active{{worker=\"{worker}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series)).expect("a series per worker");
        value.parse::<f64>().expect("a number") as usize
    };
    (0..WORKERS).map(of).collect()
}

#[test]
fn few_long_lived_connections_leave_no_worker_idle() {
    let origin = Origin::echo();
    let options = ProxyOptions { workers: Some(WORKERS), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&ConfigBuilder::to(origin.address()), &options);
    for round in 0..100 {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let mut client = proxy.connect();
                assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
                client
            })
            .collect();
        assert_eq!(per_worker(&proxy), [CONNECTIONS / WORKERS; WORKERS], "round {round}");
        drop(clients);
        until("all connections to be closed", || per_worker(&proxy).iter().all(|n| *n == 0).then_some(()));
    }
}
