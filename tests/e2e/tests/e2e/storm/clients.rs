//! Clients that check every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use sidegate_harness::{Message, Wire, until};

use crate::support::pattern;

/// Keep-alive connections with plain requests.
const PLAIN: usize = 6;
/// Connections whose streams wait in the module.
const PENDING: usize = 2;
/// Connections with bodies in chunks.
const BODIES: usize = 2;
/// Upgraded connections, open all the time.
const UPGRADED: usize = 2;
/// Connections with one request each, one after the other.
const SHORT: usize = 1;

/// Which numbers answers may have.
pub struct Stamps {
    least: AtomicU32,
    most: AtomicU32,
}

impl Stamps {
    pub fn new(stamp: u32) -> Self {
        Stamps { least: stamp.into(), most: stamp.into() }
    }

    /// A reload begins: from now on streams may have it.
    pub fn may_be(&self, stamp: u32) {
        self.most.store(stamp, Ordering::SeqCst);
    }

    /// It was answered: streams that begin now have it.
    pub fn must_be(&self, stamp: u32) {
        self.least.store(stamp, Ordering::SeqCst);
    }
}

/// Streams that were served, and echoes through tunnels.
#[derive(Debug, Default)]
pub struct Served {
    plain: AtomicU64,
    pending: AtomicU64,
    bodies: AtomicU64,
    upgraded: AtomicU64,
    short: AtomicU64,
}

impl Served {
    fn counts(&self) -> [u64; 5] {
        [&self.plain, &self.pending, &self.bodies, &self.upgraded, &self.short].map(|n| n.load(Ordering::Relaxed))
    }

    pub fn is_complete(&self) -> bool {
        self.counts().iter().all(|count| *count > 0)
    }
}

pub struct Clients<'scope> {
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
    served: Arc<Served>,
}

/// What a client does until it is stopped.
type Run<'env> = fn(&Client<'env>);

/// What all clients have.
#[derive(Clone)]
struct Client<'env> {
    address: SocketAddr,
    stamps: &'env Stamps,
    stop: &'env AtomicBool,
    served: Arc<Served>,
}

impl<'scope> Clients<'scope> {
    pub fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        address: SocketAddr,
        stamps: &'env Stamps,
        stop: &'env AtomicBool,
    ) -> Self {
        let served = Arc::<Served>::default();
        let client = Client { address, stamps, stop, served: served.clone() };
        let mut threads = Vec::new();
        let kinds: [(usize, Run<'env>); 5] = [
            (PLAIN, Client::plain),
            (PENDING, Client::pending),
            (BODIES, Client::bodies),
            (UPGRADED, Client::upgraded),
            (SHORT, Client::short),
        ];
        for (count, run) in kinds {
            for _ in 0..count {
                let client = client.clone();
                threads.push(scope.spawn(move || run(&client)));
            }
        }
        Clients { threads, served }
    }

    /// So that reloads do not begin before there is load.
    pub fn wait_until_all_are_served(&self) {
        until("requests of each kind", || {
            self.check();
            self.served.is_complete().then_some(())
        });
    }

    /// Fails as soon as one has failed, and not only at the end.
    pub fn check(&self) {
        assert!(!self.threads.iter().any(ScopedJoinHandle::is_finished), "a client failed; its words are above");
    }

    pub fn join(self) -> Arc<Served> {
        for thread in self.threads {
            assert!(thread.join().is_ok(), "a client failed; its words are above");
        }
        self.served
    }
}

impl Client<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Sends `parts` one after the other and checks the answer.
    fn exchange(&self, wire: &mut Wire, method: &str, parts: &[&[u8]], body: &[u8]) {
        let least = self.stamps.least.load(Ordering::SeqCst);
        parts.iter().for_each(|part| {
            wire.send(part);
        });
        let answer = wire.response_to(method);
        let most = self.stamps.most.load(Ordering::SeqCst);
        assert_eq!(answer.status(), 200, "{answer:?}");
        let stamp = number(&answer, "x-stamp");
        assert!((least..=most).contains(&stamp), "stamp {stamp}, and {least} to {most} may be");
        assert_eq!(number(&answer, "x-origin-stamp"), stamp, "two generations in one stream");
        assert!(answer.body == body, "another body: {} bytes in place of {}", answer.body.len(), body.len());
    }

    fn plain(&self) {
        let mut wire = Wire::connect(self.address);
        while self.goes_on() {
            self.exchange(&mut wire, "GET", &[b"GET /plain HTTP/1.1\r\nHost: test\r\n\r\n"], b"");
            self.served.plain.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn pending(&self) {
        let mut wire = Wire::connect(self.address);
        while self.goes_on() {
            self.exchange(&mut wire, "GET", &[b"GET /pending HTTP/1.1\r\nHost: test\r\nX-Wait: 1\r\n\r\n"], b"");
            self.served.pending.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn bodies(&self) {
        let body = pattern(100_000);
        let chunks: Vec<Vec<u8>> = body.chunks(16 * 1024).map(chunk).collect();
        let head = b"POST /body HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
        let mut parts = vec![head];
        parts.extend(chunks.iter().map(Vec::as_slice));
        parts.push(b"0\r\n\r\n");
        let mut wire = Wire::connect(self.address);
        while self.goes_on() {
            self.exchange(&mut wire, "POST", &parts, &body);
            self.served.bodies.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn upgraded(&self) {
        let mut wire = Wire::connect(self.address);
        wire.send("GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(wire.response().status(), 101);
        let message = pattern(1000);
        while self.goes_on() {
            wire.send(&message);
            let back = wire.read_exact(message.len()).expect("the tunnel ended");
            assert!(back == message, "other bytes through the tunnel");
            self.served.upgraded.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn short(&self) {
        while self.goes_on() {
            let mut wire = Wire::connect(self.address);
            let request = b"GET /short HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
            self.exchange(&mut wire, "GET", &[request], b"");
            self.served.short.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn number(answer: &Message, name: &str) -> u32 {
    let value = answer.header(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}"))
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
