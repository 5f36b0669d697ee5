//! An upstream server whose behaviour the test writes, one thread per
//! connection.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::json;

use crate::wait::PATIENCE;
use crate::{Framing, H2Origin, Head, Message, Pair, Reply, Spoken, Wire, WireError};

/// A request as an origin saw it, noted as soon as its head was there.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Start line and fields.
    pub head: Head,
    /// How its body was delimited; over HTTP/2, whose frames end it, `Chunked`
    /// stands for a body whose length was not announced.
    pub framing: Framing,
    /// The body, once complete.
    pub body: Vec<u8>,
    /// Trailers, once complete.
    pub trailers: Vec<(String, String)>,
    /// Whether the end of the request arrived.
    pub complete: bool,
}

/// The server. Dropping it closes its connections, and fails the test if one
/// of its scripts failed.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    /// Does everything instead, where the test's hosts speak HTTP/2.
    other: Option<H2Origin>,
}

/// A connection that a script has in hand.
pub struct OriginConnection {
    wire: Wire,
    shared: Arc<Shared>,
    /// Number of the connection, from 0.
    pub index: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopping: bool,
    /// One place per connection so far; empty once its script has ended.
    streams: Vec<Option<TcpStream>>,
    seen: Vec<Seen>,
    failures: Vec<String>,
}

type Script = dyn Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync;

impl Origin {
    /// Runs `script` once per connection. What it answers with `?` is a fact
    /// of life (the proxy closed); what it panics with fails the test.
    pub fn scripted(script: impl Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync + 'static) -> Self {
        Self::scripted_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// The same at an address of the test's choice.
    pub fn scripted_on(
        listener: TcpListener,
        script: impl Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let acceptor = {
            let (shared, script): (_, Arc<Script>) = (shared.clone(), Arc::new(script));
            std::thread::spawn(move || accept(&listener, &shared, &script))
        };
        Origin { address, shared, acceptor: Some(acceptor), other: None }
    }

    /// Answers each request with what `handler` makes of it, keep-alive; over
    /// HTTP/2 if [`Pair::current`] has hosts speak it.
    pub fn http(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        if Pair::current().up == Spoken::Http2 {
            let origin = H2Origin::http(handler);
            return Origin { address: origin.address(), shared: Arc::default(), acceptor: None, other: Some(origin) };
        }
        Self::http1(handler)
    }

    /// The same over HTTP/1.1 in any case: for hosts of whom modules ask
    /// something themselves.
    pub fn http1(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::scripted(move |connection| {
            loop {
                let seen = connection.request()?;
                let reply = handler(&seen);
                // A client that went away is none of the origin's business.
                if connection.try_send(reply.to_bytes(seen.head.method() == "HEAD")).is_err() || reply.closes() {
                    return Ok(());
                }
            }
        })
    }

    /// Answers 200 with what it saw, as JSON: `method`, `target`, `headers`
    /// (pairs), `body_length`, `body` (if short), `trailers`, `connection`.
    pub fn echo() -> Self {
        Self::http(|seen| {
            let body = json!({
                "method": seen.head.method(),
                "target": seen.head.target(),
                "headers": seen.head.fields,
                "body_length": seen.body.len(),
                "body": String::from_utf8_lossy(&seen.body[..seen.body.len().min(1024)]),
                "trailers": seen.trailers,
                "connection": seen.connection,
            });
            Reply::ok(body.to_string()).header("Content-Type", "application/json")
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests so far, those included whose end did not come.
    pub fn seen(&self) -> Vec<Seen> {
        if let Some(other) = &self.other {
            return other.seen();
        }
        self.shared.lock().seen.clone()
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        if let Some(other) = &self.other {
            return other.count();
        }
        self.shared.lock().seen.len()
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        if let Some(other) = &self.other {
            return other.connections();
        }
        self.shared.lock().streams.len()
    }

    /// Number of connections whose script still runs.
    pub fn open_connections(&self) -> usize {
        if let Some(other) = &self.other {
            return other.open_connections();
        }
        self.shared.lock().streams.iter().flatten().count()
    }

    /// The last request; panics if there is none.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the origin saw no request")
    }

    /// Waits until `condition` holds for this origin.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&Origin) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {PATIENCE:?} in vain for the origin: {what}");
            let state = self.shared.lock();
            // The condition was judged without the lock, so a change in between could be missed: wake up at times.
            let _ = self.shared.changed.wait_timeout(state, left.min(PATIENCE / 100)).unwrap();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if self.other.is_some() {
            return;
        }
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            for stream in state.streams.iter().flatten() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let failures = std::mem::take(&mut self.shared.lock().failures);
        if !failures.is_empty() && !std::thread::panicking() {
            panic!("origin: {}", failures.join("; "));
        }
    }
}

impl OriginConnection {
    /// Reads the head of a request and notes it; [`Self::finish`] reads on.
    pub fn head(&mut self) -> Result<Head, WireError> {
        let head = self.wire.read_head()?;
        let framing = match head.request_framing() {
            Ok(framing) => framing,
            Err(why) => {
                let why = format!("the proxy sent a request that can be read in two ways: {why}");
                self.shared.fail(why.clone());
                return Err(WireError::Malformed(why));
            }
        };
        self.shared.note(Seen {
            connection: self.index,
            head: head.clone(),
            framing,
            body: Vec::new(),
            trailers: Vec::new(),
            complete: framing == Framing::None,
        });
        Ok(head)
    }

    /// Reads the body of the request whose head was read last.
    pub fn finish(&mut self, head: Head) -> Result<Seen, WireError> {
        let framing = head.request_framing().map_err(WireError::Malformed)?;
        let message = self.wire.read_body(head, framing)?;
        Ok(self.shared.complete(self.index, message))
    }

    /// Reads a whole request.
    pub fn request(&mut self) -> Result<Seen, WireError> {
        let head = self.head()?;
        self.finish(head)
    }

    /// Makes the end of the script a reset instead of a close.
    pub fn abort(&self) {
        self.wire.reset_on_close();
    }

    /// Sends a reply.
    pub fn reply(&mut self, reply: &Reply) -> Result<(), WireError> {
        self.wire.try_send(reply.to_bytes(false)).map_err(|_| WireError::Closed)
    }
}

impl Deref for OriginConnection {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for OriginConnection {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn note(&self, seen: Seen) {
        self.lock().seen.push(seen);
        self.changed.notify_all();
    }

    fn complete(&self, connection: usize, message: Message) -> Seen {
        let mut state = self.lock();
        let seen = state.seen.iter_mut().rev().find(|seen| seen.connection == connection);
        let seen = seen.expect("the head was noted before");
        seen.body = message.body;
        seen.trailers = message.trailers;
        seen.complete = true;
        let copy = seen.clone();
        drop(state);
        self.changed.notify_all();
        copy
    }

    fn fail(&self, why: String) {
        self.lock().failures.push(why);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<Script>) {
    loop {
        let Ok((stream, _)) = listener.accept() else { return };
        let mut state = shared.lock();
        if state.stopping {
            return;
        }
        let index = state.streams.len();
        state.streams.push(Some(stream.try_clone().unwrap()));
        drop(state);
        shared.changed.notify_all();
        let (shared, script) = (shared.clone(), script.clone());
        std::thread::spawn(move || {
            let mut connection = OriginConnection { wire: Wire::over(stream), shared: shared.clone(), index };
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| script(&mut connection)));
            match run {
                Ok(Err(WireError::Malformed(why))) => shared.fail(format!("bytes that are no request: {why}")),
                Ok(_) => {}
                Err(panic) => shared.fail(panic_text(&panic)),
            }
            let mut state = shared.lock();
            state.streams[index] = None;
            drop((connection, state));
            shared.changed.notify_all();
        });
    }
}

pub(crate) fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a script panicked".to_owned())
}
