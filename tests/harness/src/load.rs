//! Clients that ask again and again while something else happens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::{Message, Wire, until};

/// Clients on keep-alive connections, each with one request at a time. No
/// request may fail.
pub struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    /// So many clients that GET `path` with Host `test`; `check` says what is
    /// wrong with a response. A client whose connection is to be closed, as a
    /// response says, makes another.
    pub fn start(
        address: SocketAddr,
        clients: usize,
        path: &str,
        check: impl Fn(&Message) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let check = Arc::new(check);
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        let client = |_| {
            let (stop, served, check, request) = (stop.clone(), served.clone(), check.clone(), request.clone());
            std::thread::spawn(move || {
                let mut wire = Wire::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    wire.try_send(&request).map_err(|error| format!("cannot send: {error}"))?;
                    let response = wire.try_response("GET").map_err(|error| format!("no response: {error}"))?;
                    check(&response)?;
                    served.fetch_add(1, Ordering::Relaxed);
                    if response.head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                        wire = Wire::connect(address);
                    }
                }
                Ok(())
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, served, clients }
    }

    /// Requests that were answered so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Waits until so many more were answered.
    #[track_caller]
    pub fn more(&self, count: u64) {
        let wanted = self.served() + count;
        until("answers", || {
            let ended = self.clients.iter().any(JoinHandle::is_finished);
            (self.served() >= wanted || ended).then_some(())
        });
    }

    /// Ends all clients; panics if a request of one failed. Gives how many
    /// there were.
    #[track_caller]
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            if let Err(why) = client.join().expect("a client panicked") {
                panic!("after {} answers: {why}", self.served.load(Ordering::Relaxed));
            }
        }
        self.served.load(Ordering::Relaxed)
    }
}
