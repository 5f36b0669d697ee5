//! Memory: held bodies, and what is left of them afterwards.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Wire, until};

use crate::modules::Module;

const MIB: usize = 1 << 20;

#[test]
fn memory_of_held_bodies_is_given_back_however_few_connections_there_were() {
    const CONNECTIONS: usize = 100;
    const BODY: usize = MIB - 64;
    let module = Module::compile("body");
    let origin = Origin::http(|_| sidegate_harness::Reply::ok("thanks"));
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("whole", &json!({})));
    let one_worker = ProxyOptions { workers: Some(1), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&config, &one_worker);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n");
    let body = vec![b'a'; BODY];
    let mut clients: Vec<Wire> = (0..CONNECTIONS).map(|_| proxy.connect()).collect();
    // Code and buffers that are touched once are no peak.
    for client in &mut clients {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(client.response().status(), 200);
    }
    let before = proxy.resident_bytes();
    for client in &mut clients {
        client.send(&head).send(&body[..BODY - 1]);
    }
    let peak = until("the bodies to be held", || {
        let now = proxy.resident_bytes();
        (now > before + CONNECTIONS * BODY * 9 / 10).then_some(now)
    });
    for client in &mut clients {
        client.send("a");
        assert_eq!(client.response().status(), 200);
    }
    let after = until("the memory to be given back", || {
        let now = proxy.resident_bytes();
        (now < before + 12 * MIB).then_some(now)
    });
    eprintln!("before {before}, peak {peak}, after {after}");
}
