//! A module that walks at random through the whole ABI, under load.

use std::time::Duration;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, Signal, Wire, WireError, until};

use super::{Module, counter};

/// Of a proxy that a memory checker slows down.
const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: u64 = 8;
const FILTERS: [&str; 5] = ["heads", "observes", "streams", "wholes", "mixed"];

/// A number that depends on `seed` alone.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Framings of all kinds. What arrives is checked by the harness: a request
/// that can be read in two ways fails the test.
fn origin() -> Origin {
    Origin::http(|seen| {
        let body = "o".repeat(match seen.body.len() % 7 {
            0 => 0,
            1..5 => 100,
            _ => 70_000,
        });
        let reply = Reply::ok(body).header("X-Walk", "origin").header("Server", "origin");
        match seen.head.fields.len() % 5 {
            0 => Reply::new(204),
            1 => reply.chunked(),
            2 => reply.chunked().trailer("X-Walk", "sum"),
            3 => reply.close(),
            _ => reply,
        }
    })
}

fn request(random: &mut Random) -> (&'static str, String) {
    let target = ["/", "/route", "/a/b?c=d", "/%7Ewalk"][random.below(4) as usize];
    let head = |method: &str| format!("{method} {target} HTTP/1.1\r\nHost: walk.test\r\nX-Walk: client\r\n");
    let body = "b".repeat([0, 1, 500, 20_000, 150_000][random.below(5) as usize]);
    match random.below(5) {
        0 => ("GET", head("GET") + "\r\n"),
        1 => ("HEAD", head("HEAD") + "\r\n"),
        2 => ("POST", format!("{}Content-Length: {}\r\n\r\n{body}", head("POST"), body.len())),
        3 => ("PUT", format!("{}Transfer-Encoding: chunked\r\n\r\n3\r\nput\r\n0\r\n\r\n", head("PUT"))),
        _ => {
            let mut text = head("POST") + "TE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n";
            for piece in body.as_bytes().chunks(4000) {
                text += &format!("{:x}\r\n{}\r\n", piece.len(), str::from_utf8(piece).unwrap());
            }
            ("POST", text + "0\r\nX-Walk: trailer\r\n\r\n")
        }
    }
}

/// One client's requests. Any answer is fine, and so is none; a hang or bytes
/// that are no HTTP are not.
fn client(proxy: &Proxy, seed: u64, requests: u64) {
    let mut random = Random(seed);
    let mut connection: Option<Wire> = None;
    for _ in 0..requests {
        let mut wire = connection.take().unwrap_or_else(|| proxy.connect());
        wire.set_patience(PATIENCE);
        let (method, text) = request(&mut random);
        let cut = if random.below(20) == 0 { random.below(text.len() as u64) as usize } else { text.len() };
        let sent = wire.try_send(&text[..cut]);
        if cut < text.len() {
            wire.reset();
            continue;
        }
        match wire.try_response(method) {
            Ok(got) if sent.is_ok() && !got.header("connection").is_some_and(|value| value.contains("close")) => {
                connection = Some(wire);
            }
            Ok(_) | Err(WireError::Closed | WireError::Reset | WireError::Truncated { .. }) => {}
            Err(other) => panic!("seed {seed}: {method}: {other:?}"),
        }
    }
}

fn walk(seed: u64, requests: u64) {
    let module = Module::compile("walk");
    let origin = origin();
    let routes = json!([
        {"match": {"prefix": "/route"}, "route": {"cluster_name": "origin"}, "per_filter_config": {"walk": {"a": 1}}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
    ]);
    let mut config = ConfigBuilder::to_routes(origin.address(), routes);
    for (index, filter) in (0_u64..).zip(FILTERS) {
        let mut entry: Value = module.entry(filter, &json!({"name": "walk"}));
        entry["so_config"]["on_fault"] = ["reply-500", "pass", "reset"][(index + seed) as usize % 3].into();
        entry["config"] = json!({"seed": seed * 100 + index});
        config = config.filter(entry);
    }
    let config = config.timeout("filter_pending", "100ms").limit("max_buffered_body", 100_000);
    let mut proxy = Proxy::start(&config);
    std::thread::scope(|scope| {
        for number in 1..=CLIENTS {
            let proxy = &proxy;
            scope.spawn(move || client(proxy, seed * 1000 + number, requests / CLIENTS));
        }
    });
    until("the end of every stream", || {
        let modules = proxy.admin_get("/api/v1/modules").json();
        (modules["modules"][0]["streams"] == 0).then_some(())
    });
    let count = |name| counter(&proxy, name);
    let (made, destroyed) = (count("walk_made"), count("walk_destroyed"));
    assert_eq!(made, destroyed, "seed {seed}: filters made and destroyed");
    assert!(made >= requests && count("walk_completed") <= made, "seed {seed}: {made} filters");
    assert!(count("walk_calls") > requests, "seed {seed}: the module made calls");
    proxy.signal(Signal::TERM);
    let end = proxy.wait_exit();
    assert_eq!(end.code(), Some(0), "seed {seed}: {end}");
    assert!(!proxy.logs().contains("panicked"), "seed {seed}: the host panicked:\n{}", proxy.logs());
}

#[test]
fn a_random_walk_through_the_abi_breaks_nothing() {
    for seed in 1..=3 {
        walk(seed, 400);
    }
}

/// The same for longer; `tests/modules/walk.sh` runs it with memory checkers.
/// `WALK_SEED` says where to begin, `WALK_REQUESTS` how long a walk is.
#[test]
#[ignore = "takes minutes"]
fn a_long_random_walk_breaks_nothing() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = number("WALK_SEED", 1000);
    for seed in first..first + 5 {
        walk(seed, number("WALK_REQUESTS", 5000));
    }
}
