//! Origins: threads that speak raw HTTP/1.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::{Conn, Message};

/// A listening origin; its threads end when their connections do.
pub struct Origin {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Message>>>,
    connections: Arc<AtomicUsize>,
}

/// A 200 with this body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

impl Origin {
    /// Answers each whole request with what `answer` makes of it.
    pub fn new(answer: impl Fn(&Message) -> String + Send + Sync + 'static) -> Self {
        Self::raw(move |mut conn, _, requests| {
            while let Ok(request) = conn.try_message(true) {
                let answer = answer(&request);
                requests.lock().unwrap().push(request);
                conn.send(answer);
            }
        })
    }

    /// Says "hello" to everything.
    pub fn hello() -> Self {
        Self::new(|_| ok("hello"))
    }

    /// One that says when `/slow` came and answers it when told.
    pub fn slow() -> (Self, Receiver<()>, Sender<()>) {
        let (sender, reached) = channel();
        let (go, gate) = channel::<()>();
        let (sender, gate) = (Mutex::new(sender), Mutex::new(gate));
        let origin = Origin::raw(move |mut conn, _, _| {
            while let Ok(request) = conn.try_message(true) {
                if request.start.contains("/slow") {
                    sender.lock().unwrap().send(()).unwrap();
                    // The test may be over.
                    if gate.lock().unwrap().recv().is_err() {
                        return;
                    }
                }
                conn.send(ok("done"));
            }
        });
        (origin, reached, go)
    }

    /// Sends bodies back.
    pub fn echo() -> Self {
        Self::new(|request| ok(&request.body))
    }

    /// Runs `serve` on a thread per connection, with the connection's number
    /// from 0.
    pub fn raw(serve: impl Fn(Conn, usize, &Mutex<Vec<Message>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Message>>>::default();
        let connections = Arc::<AtomicUsize>::default();
        let (seen, count, serve) = (requests.clone(), connections.clone(), Arc::new(serve));
        // Accepts until the process ends: a blocked accept harms nobody.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (seen, serve) = (seen.clone(), serve.clone());
                std::thread::spawn(move || serve(Conn::new(stream.unwrap()), number, &seen));
            }
        });
        Origin { address, requests, connections }
    }

    /// An address that refuses connections.
    pub fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request that came.
    pub fn request(&self) -> Message {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().unwrap()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
