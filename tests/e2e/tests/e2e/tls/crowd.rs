//! Many handshakes at once, and many that never end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, PATIENCE, Proxy, ProxyOptions, Reply, Signal, until};

use super::{Ca, dial};

type Client = StreamOwned<ClientConnection, TcpStream>;

fn start(ca: &Ca, origin: &Origin, listener: &[(&str, Value)]) -> Proxy {
    let mut config = ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test"));
    for (key, value) in listener {
        config = config.in_listener(key, value.clone());
    }
    Proxy::start_with(&config, &ProxyOptions { workers: Some(1), ..Default::default() })
}

fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut client = ClientConnection::new(config.clone(), "a.test".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A client that sends `bytes` and no more.
fn silent(proxy: &Proxy, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

fn ask(client: &mut Client) {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nx") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

fn failures(proxy: &Proxy, reason: &str) -> f64 {
    let series = format!("downstream_tls_handshake_failures_total{{listener=\"main\",reason=\"{reason}\"}}");
    proxy.metric(&series).unwrap_or(0.0)
}

#[test]
fn half_handshakes_do_not_stop_who_is_served_and_are_turned_away() {
    const EACH: usize = 150;
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[("tls_handshake_timeout", json!("4s"))]);
    let config = ca.client(&[]);
    let mut kept = dial(&config, proxy.address(), "a.test");
    ask(&mut kept);
    let hello = hello(&config);
    let mut half = Vec::new();
    for _ in 0..EACH {
        // Nothing, a part of a hello, and one whose answer nobody takes.
        half.push(silent(&proxy, b""));
        half.push(silent(&proxy, &hello[..hello.len() / 2]));
        half.push(silent(&proxy, &hello));
        ask(&mut kept);
    }
    ask(&mut dial(&config, proxy.address(), "a.test"));
    for stream in &mut half {
        // What it is told, if anything, and then the end.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    until("each was turned away", || (failures(&proxy, "timeout") == 3.0 * EACH as f64).then_some(()));
    ask(&mut kept);
    ask(&mut dial(&config, proxy.address(), "a.test"));
}

#[test]
fn who_waits_gets_the_place_of_who_does_not_go_on() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[("tls_handshakes", json!(3)), ("tls_handshake_timeout", json!("30s"))]);
    let config = ca.client(&[]);
    let hello = hello(&config);
    let silent: Vec<_> = (0..3).map(|_| silent(&proxy, &hello)).collect();
    // Those who have said nothing have no place.
    let mute = TcpStream::connect(proxy.address()).unwrap();
    let active = "downstream_tls_handshakes_active{listener=\"main\"}";
    until("all have come", || (proxy.metric(active)? == 4.0).then_some(()));
    let mut client = dial(&config, proxy.address(), "a.test");
    let asks = std::thread::spawn(move || ask(&mut client));
    let waiting = "downstream_tls_handshakes_waiting{listener=\"main\"}";
    until("one waits", || (proxy.metric(waiting)? == 1.0).then_some(()));
    asks.join().unwrap();
    assert!(failures(&proxy, "crowded") >= 1.0);
    assert_eq!(failures(&proxy, "timeout"), 0.0);
    until("nobody waits", || (proxy.metric(waiting)? == 0.0).then_some(()));
    drop((silent, mute));
}

#[test]
fn a_full_line_turns_away_at_once() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let limits = [("tls_handshakes", json!(1)), ("tls_handshakes_waiting", json!(0))];
    let proxy = start(&ca, &origin, &limits);
    let config = ca.client(&[]);
    let first = silent(&proxy, &hello(&config));
    let active = "downstream_tls_handshakes_active{listener=\"main\"}";
    until("it has come", || (proxy.metric(active)? == 1.0).then_some(()));
    // It has a place once it was answered.
    assert!(first.peek(&mut [0]).unwrap() > 0);
    let mut second = silent(&proxy, &hello(&config));
    let _ = second.read_to_end(&mut Vec::new());
    assert_eq!(failures(&proxy, "crowded"), 1.0);
    drop(first);
    until("the place is free", || (proxy.metric(active)? == 0.0).then_some(()));
    ask(&mut dial(&config, proxy.address(), "a.test"));
}

#[test]
fn a_handshake_may_be_no_larger_than_it_is_said() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[("tls_handshake_max_bytes", json!(1024))]);
    // A record of 2 KiB with a hello of 4, of which half a record comes.
    let mut large = vec![0x16, 3, 1, 8, 0, 1, 0, 16, 0];
    large.resize(1025, 0);
    let _ = silent(&proxy, &large).read_to_end(&mut Vec::new());
    until("a word in the metrics", || (failures(&proxy, "too_large") == 1.0).then_some(()));
}

#[test]
fn many_handshakes_at_once_all_come_to_their_end() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let limits = [("tls_handshakes", json!(2)), ("tls_handshake_steps", json!(1))];
    let proxy = start(&ca, &origin, &limits);
    let config = ca.client(&[]);
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let mut client = dial(&config, proxy.address(), "a.test");
            std::thread::spawn(move || ask(&mut client))
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(failures(&proxy, "crowded") + failures(&proxy, "timeout"), 0.0);
}

#[test]
fn half_handshakes_do_not_hold_a_drain_up() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let mut proxy = start(&ca, &origin, &[("tls_handshake_timeout", json!("50s"))]);
    let hello = hello(&ca.client(&[]));
    let _half = [silent(&proxy, b""), silent(&proxy, &hello[..20]), silent(&proxy, &hello)];
    let active = "downstream_tls_handshakes_active{listener=\"main\"}";
    until("all have come", || (proxy.metric(active)? == 3.0).then_some(()));
    proxy.signal(Signal::TERM);
    // Long before their time, or that of the drain, is up.
    assert!(proxy.wait_exit().success());
    assert!(!proxy.logs().contains("streams are cut"), "{}", proxy.logs());
}
