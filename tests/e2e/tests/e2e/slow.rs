//! Tests that take long; `make test-slow` runs them.

use std::time::Duration;

use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Wire, WireError, until};

use crate::support::echo_pair;

/// A generator whose whole run follows from its seed, so that a failure can be
/// had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        from[self.below(from.len())]
    }
}

const SEEDS: [&[u8]; 5] = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET http://b:80/x/../y HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: 1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nz",
];

const PIECES: [&[u8]; 28] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b":",
    b",",
    b";",
    b"0",
    b"1",
    b"-",
    b"+",
    b"0x",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: x\r\n",
    b"Host: b\r\n",
    b"Connection: content-length\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"\xff",
    b"%00",
];

fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(&SEEDS).to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        let until = (at + dice.below(6)).min(bytes.len());
        match dice.below(4) {
            0 => drop(bytes.drain(at..until)),
            1 => drop(bytes.splice(at..at, dice.pick(&PIECES).iter().copied())),
            2 => drop(bytes.splice(at..until, dice.pick(&PIECES).iter().copied())),
            _ => {
                let copy = bytes[at..until].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
        }
    }
    bytes
}

/// Whatever a client sends: what the proxy forwards can be read in one way
/// only (the origin and this client read strictly and fail otherwise), and
/// there is one answer for each request that the origin got whole.
#[test]
#[ignore = "slow"]
fn mutated_requests_are_never_forwarded_ambiguously() {
    const ROUNDS: usize = 20_000;
    const SEED: u64 = 0x5eed_5eed_5eed_5eed;
    let mut dice = Dice(SEED);
    let (origin, proxy) = echo_pair();
    let mut completed = 0;
    for round in 0..ROUNDS {
        let raw = mutated(&mut dice);
        let before = origin.count();
        let mut client = proxy.connect();
        client.set_patience(Duration::from_secs(15));
        let _ = client.try_send(&raw);
        client.shutdown_write();
        let mut good = 0;
        loop {
            let method = if raw.starts_with(b"HEAD") { "HEAD" } else { "GET" };
            match client.try_response(method) {
                Ok(got) if got.status() == 200 => good += 1,
                Ok(_) => {}
                Err(WireError::Closed | WireError::Reset) => break,
                Err(other) => panic!("round {round}, {:?}: {other}", String::from_utf8_lossy(&raw)),
            }
        }
        let whole = origin.seen().split_off(before).iter().filter(|seen| seen.complete).count();
        assert!(good <= whole, "round {round}, {:?}: {good} answers, {whole} requests", String::from_utf8_lossy(&raw));
        completed += whole;
    }
    assert!(
        completed > ROUNDS / 20,
        "only {completed} of {ROUNDS} got through: the mutations are too wild to tell much"
    );
}

#[test]
#[ignore = "slow"]
fn thousands_of_idle_connections_are_cheap_and_served() {
    const CONNECTIONS: usize = 8000;
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let before = proxy.resident_bytes();
    let mut idle: Vec<Wire> = (0..CONNECTIONS).map(|_| proxy.connect()).collect();
    for client in idle.iter_mut().step_by(10) {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    let each = proxy.resident_bytes().saturating_sub(before) / CONNECTIONS;
    assert!(each < 12 << 10, "{each} bytes per connection");
    assert_eq!(proxy.get("/").status(), 200);
    let peak = proxy.resident_bytes();
    drop(idle);
    until("most of the memory to be given back", || {
        let kept = proxy.resident_bytes().saturating_sub(before);
        (kept < (peak - before) / 2).then_some(())
    });
}

#[test]
#[ignore = "slow"]
fn defaults_bound_slow_clients() {
    // Patient, so that it is the proxy that ends the wait.
    let origin = Origin::scripted(|connection| {
        connection.set_patience(Duration::from_secs(200));
        connection.request().map(|_| ())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut silent = proxy.connect();
    let mut half = proxy.connect();
    half.send("GET / HTTP/1.1\r\nHo");
    let mut slow_body = proxy.connect();
    slow_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx");
    for client in [&mut silent, &mut half, &mut slow_body] {
        client.set_patience(Duration::from_secs(100));
        let said = client.read_until_close();
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&said));
    }
    assert!(origin.seen().iter().all(|seen| !seen.complete));
}

#[test]
#[ignore = "slow"]
fn memory_does_not_grow_with_requests() {
    let origin = Origin::echo();
    let one_worker = ProxyOptions { workers: Some(1), ..ProxyOptions::default() };
    let proxy = Proxy::start_with(&ConfigBuilder::to(origin.address()), &one_worker);
    let burst = |count: usize| {
        for _ in 0..count / 50 {
            let mut client = proxy.connect();
            for _ in 0..50 {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                assert_eq!(client.response().status(), 200);
            }
        }
    };
    burst(10_000);
    let before = proxy.resident_bytes();
    burst(50_000);
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} bytes more after 50,000 requests");
}
