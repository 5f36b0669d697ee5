//! `sidegate health`: what an image without a shell asks.

use std::net::TcpListener;

use sidegate_harness::{Outcome, Signal, TempDir, sidegate, until};

use crate::support::echo_pair;

fn health(options: &[&str]) -> Outcome {
    sidegate([&["health"], options].concat())
}

#[test]
fn a_process_that_serves_is_ready_and_one_that_drains_is_not() {
    let (_origin, mut proxy) = echo_pair();
    let admin = proxy.admin().to_string();
    for options in [&["--admin", &admin][..], &["--admin", &admin, "--live"]] {
        let outcome = health(options);
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    }
    // A connection under way keeps it draining.
    let mut wire = proxy.connect();
    wire.send("GET / HTTP/1.1\r\nhost: a\r\n");
    proxy.signal(Signal::TERM);
    until("not to be ready", || (health(&["--admin", &admin]).code == Some(1)).then_some(()));
    drop(wire);
    proxy.wait_exit();
    let outcome = health(&["--admin", &admin, "--timeout", "1"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("cannot reach"), "{}", outcome.output());
}

#[test]
fn who_is_no_sidegate_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let outcome = health(&["--admin", &address, "--timeout", "1"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
}

#[test]
fn the_configuration_says_where_to_ask() {
    let dir = TempDir::new();
    let none = dir.write("none.yaml", "servers: []\n");
    let outcome = health(&["-c", none.to_str().unwrap()]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("--admin"), "{}", outcome.output());
    let any = "servers: []\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n";
    let any = dir.write("any.yaml", any);
    let outcome = health(&["-c", any.to_str().unwrap()]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("port 0"), "{}", outcome.output());
    let nobody = health(&[]);
    assert_eq!(nobody.code, Some(2), "{}", nobody.output());
    assert!(nobody.stderr.contains("--admin <ADMIN>|--config <FILE>"), "{}", nobody.stderr);
    assert_eq!(health(&["--admin", "127.0.0.1:1", "-c", any.to_str().unwrap()]).code, Some(2), "two of them");
}
