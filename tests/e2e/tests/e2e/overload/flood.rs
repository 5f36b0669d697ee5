//! Many connections that want to hold much, beside a few that want little.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply};
use socket2::{Domain, Socket, Type};

use crate::modules::Module;

const MIB: usize = 1 << 20;
/// What each connection of the flood sends of its body: a little less than a
/// filter may hold, and a byte less than it announces.
const SENT: usize = MIB - 64;

/// Connections that send almost all of a body and then wait.
struct Flood {
    stop: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

struct Sender {
    stream: TcpStream,
    /// What of the head is still to be sent.
    head: Vec<u8>,
    /// The same of the body.
    left: usize,
}

impl Flood {
    /// `total` connections, at most `at_once` of them open here.
    fn start(address: SocketAddr, total: usize, at_once: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (opened, refused) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let thread = std::thread::spawn({
            let (stop, opened, refused) = (stop.clone(), opened.clone(), refused.clone());
            move || {
                let piece = vec![b'f'; 64 << 10];
                let mut senders: Vec<Sender> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..200 {
                        if opened.load(Ordering::Relaxed) == total || senders.len() == at_once {
                            break;
                        }
                        let Some(sender) = Sender::open(address, opened.load(Ordering::Relaxed)) else { break };
                        senders.push(sender);
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                    let before = senders.len();
                    senders.retain_mut(|sender| sender.go_on(&piece));
                    refused.fetch_add(before - senders.len(), Ordering::Relaxed);
                    // Gives the proxy's cores a chance on a small machine.
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Flood { stop, opened, refused, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

impl Sender {
    /// From one of a few addresses, so that ports do not run out.
    fn open(address: SocketAddr, number: usize) -> Option<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + (number % 8) as u8));
        socket.bind(&SocketAddr::new(source, 0).into()).ok()?;
        socket.set_nonblocking(true).ok()?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(115) => return None,
            _ => {}
        }
        let head = format!("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", SENT + 1);
        Some(Sender { stream: socket.into(), head: head.into_bytes(), left: SENT })
    }

    /// Sends what the proxy takes; false once it has closed.
    fn go_on(&mut self, piece: &[u8]) -> bool {
        while !self.head.is_empty() {
            match self.stream.write(&self.head) {
                Ok(count) => drop(self.head.drain(..count)),
                Err(error) => return waits(error.kind()),
            }
        }
        while self.left > 0 {
            match self.stream.write(&piece[..self.left.min(piece.len())]) {
                Ok(count) => self.left -= count,
                Err(error) if waits(error.kind()) => break,
                Err(_) => return false,
            }
        }
        let mut answer = [0; 4096];
        loop {
            match self.stream.read(&mut answer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return waits(error.kind()),
            }
        }
    }
}

fn waits(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

/// The most memory that the process ever had resident.
fn peak_bytes(proxy: &Proxy) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// A flood of `connections` against a limit of `limit` bytes, and `honest`
/// requests meanwhile; the limit holds but for a tenth, and they are served.
fn withstand(limit: usize, connections: usize, at_once: usize, honest: usize) {
    let module = Module::compile("body");
    let origin = Origin::http(|_| Reply::ok("fine"));
    let config = ConfigBuilder::to(origin.address())
        .filter(module.entry("whole", &json!({})))
        .top("overload", json!({"memory": limit}));
    let proxy = Proxy::start(&config);
    let flood = Flood::start(proxy.address(), connections, at_once);
    let mut served = 0;
    let one = |number: usize| {
        let mut client = proxy.connect();
        client.set_patience(Duration::from_secs(60));
        let post = "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        let get = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(if number.is_multiple_of(2) { post } else { get });
        let got = client.response_to("GET");
        assert_eq!((got.status(), got.text().as_str()), (200, "FINE!"), "request {number}");
    };
    // They go on until the whole flood was there.
    while served < honest || flood.opened.load(Ordering::Relaxed) < connections {
        one(served);
        served += 1;
    }
    let peak = peak_bytes(&proxy);
    let page = proxy.admin_get("/stats/prometheus").text();
    let overload: Vec<&str> = page.lines().filter(|line| line.starts_with("sidegate_overload")).collect();
    let refused = flood.refused.load(Ordering::Relaxed);
    eprintln!(
        "limit {} MiB, peak {} MiB, {connections} connections of which {refused} were refused, {served} honest requests\n{}",
        limit / MIB,
        peak / MIB,
        overload.join("\n")
    );
    assert!(peak < limit + limit / 10, "{peak} bytes resident with a limit of {limit}");
    assert!(refused > 0, "the limit was never reached");
    flood.end();
}

#[test]
fn whoever_holds_little_is_served_beside_a_flood_of_those_who_hold_much() {
    withstand(128 * MIB, 400, 400, 100);
}

#[test]
#[ignore = "slow: 20 GiB go over the loopback"]
fn a_gibibyte_withstands_20000_connections_that_hold_a_mebibyte_each() {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(20_000);
    withstand(1024 * MIB, 20_000, (descriptors as usize).saturating_sub(200).min(20_000), 1000);
}
