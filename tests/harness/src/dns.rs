//! A DNS server whose answers the test decides.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Answers questions for IPv4 addresses over UDP. What it does not know does
/// not exist; other types have no records.
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    records: Mutex<HashMap<String, Vec<Ipv4Addr>>>,
    failing: AtomicBool,
    questions: AtomicUsize,
    stopping: AtomicBool,
}

impl Default for Dns {
    fn default() -> Self {
        Self::new()
    }
}

impl Dns {
    /// A server that knows no name.
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Only so that the thread looks whether it is to end.
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        let thread = std::thread::spawn(move || serve(&socket, &served));
        Dns { address, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets `name` have these addresses from now on.
    pub fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.shared.records.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    /// Whether every question gets SERVFAIL from now on.
    pub fn fail(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::SeqCst);
    }

    /// Number of questions so far.
    pub fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut packet = [0; 1500];
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
        if let Some(answer) = answer(&packet[..length], shared) {
            let _ = socket.send_to(&answer, from);
        }
        shared.questions.fetch_add(1, Ordering::SeqCst);
    }
}

/// `None` if `packet` is no question (RFC 1035, section 4.1).
fn answer(packet: &[u8], shared: &Shared) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const TYPE_A: [u8; 2] = [0, 1];
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(packet.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let question = packet.get(HEADER..at + 4)?;
    let records = shared.records.lock().unwrap();
    let known = records.get(&name);
    let is_a = packet.get(at..at + 2)? == TYPE_A;
    let addresses = known.filter(|_| is_a).map_or(&[][..], Vec::as_slice);
    let code = match known {
        _ if shared.failing.load(Ordering::SeqCst) => 2,
        Some(_) => 0,
        None => 3,
    };
    let addresses = if code == 0 { addresses } else { &[] };
    let mut answer = packet[..2].to_vec();
    // Response, recursion desired and available; one question.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        // The name of the question, type A, class IN, 1 s, 4 bytes.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
