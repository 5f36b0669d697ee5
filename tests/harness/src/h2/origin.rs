//! An HTTP/2 server that keeps the rules, whose streams a test scripts; one
//! thread per stream.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::client::{next_data, send};
use super::driver::{Driver, wait};
use super::{H2Error, head};
use crate::origin::panic_text;
use crate::{Reply, Seen, until};

/// The server. Dropping it closes its connections, and fails the test if one
/// of its scripts failed.
pub struct H2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Ended by hand when dropped, before failures are looked at.
    driver: Option<Driver>,
}

/// A stream that a script has in hand.
pub struct H2Exchange {
    /// Its request; body and trailers once [`Self::finish`] has read them.
    pub seen: Seen,
    /// Its number.
    pub stream: u32,
    handle: Handle,
    /// Place of the request among all that were seen.
    place: usize,
    receiving: RecvStream,
    respond: SendResponse<Bytes>,
    sending: Option<SendStream<Bytes>>,
    shared: Arc<Shared>,
}

type Script = dyn Fn(&mut H2Exchange) -> Result<(), H2Error> + Send + Sync;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: usize,
    open: BTreeMap<usize, UnboundedSender<Order>>,
    seen: Vec<Seen>,
    resets: Vec<u32>,
    failures: Vec<String>,
}

/// What a connection is told.
enum Order {
    GoAway,
    Fail(u32),
    Close,
    Window(u32),
}

impl H2Origin {
    /// Runs `script` once per stream. What it answers with `?` is a fact of
    /// life (the proxy reset the stream); what it panics with fails the test.
    pub fn scripted(script: impl Fn(&mut H2Exchange) -> Result<(), H2Error> + Send + Sync + 'static) -> H2Origin {
        Self::scripted_with(&Builder::new(), script)
    }

    /// The same with settings of the test's.
    pub fn scripted_with(
        settings: &Builder,
        script: impl Fn(&mut H2Exchange) -> Result<(), H2Error> + Send + Sync + 'static,
    ) -> H2Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (driver, shared) = (Driver::start(), Arc::new(Shared::default()));
        let script: Arc<Script> = Arc::new(script);
        driver.handle().spawn(accept(listener, settings.clone(), shared.clone(), script));
        H2Origin { address, shared, driver: Some(driver) }
    }

    /// Answers each request with what `handler` makes of it.
    pub fn http(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> H2Origin {
        Self::http_with(&Builder::new(), handler)
    }

    /// The same with settings of the test's.
    pub fn http_with(settings: &Builder, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> H2Origin {
        Self::scripted_with(settings, move |exchange| {
            exchange.finish()?;
            let reply = handler(&exchange.seen);
            exchange.reply(&reply)
        })
    }

    /// Answers 200 with what it saw, as [`crate::Origin::echo`].
    pub fn echo() -> H2Origin {
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
        self.shared.lock().seen.clone()
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        self.shared.lock().seen.len()
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Number of connections that are open.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// The codes with which the proxy reset streams that a script was at, in
    /// order.
    pub fn resets(&self) -> Vec<u32> {
        self.shared.lock().resets.clone()
    }

    /// The last request; panics if there is none.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.shared.lock().seen.last().cloned().expect("the origin saw no request")
    }

    /// Waits until `condition` holds for this origin.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&H2Origin) -> bool) {
        until(&format!("the origin: {what}"), || condition(self).then_some(()));
    }

    /// Sends GOAWAY on all connections; streams that are open may end.
    pub fn go_away(&self) {
        self.order(|| Order::GoAway);
    }

    /// Ends all connections with GOAWAY and an error code.
    pub fn fail(&self, code: u32) {
        self.order(|| Order::Fail(code));
    }

    /// Closes all connections without a word.
    pub fn close(&self) {
        self.order(|| Order::Close);
    }

    /// Sends SETTINGS with another window for streams.
    pub fn set_window(&self, bytes: u32) {
        self.order(|| Order::Window(bytes));
    }

    /// What failed so far, which then does not fail the test.
    pub fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().failures)
    }

    fn order(&self, order: impl Fn() -> Order) {
        for orders in self.shared.lock().open.values() {
            let _ = orders.send(order());
        }
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.driver.take();
        let failures = self.take_failures();
        if !failures.is_empty() && !std::thread::panicking() {
            panic!("origin: {}", failures.join("; "));
        }
    }
}

impl H2Exchange {
    /// The next piece of the request's body, `None` at its end; gives its
    /// window back.
    pub fn data(&mut self) -> Result<Option<Vec<u8>>, H2Error> {
        let data = wait(&self.handle, next_data(&mut self.receiving));
        self.noting(data)
    }

    /// Reads the rest of the request into [`Self::seen`].
    pub fn finish(&mut self) -> Result<(), H2Error> {
        while let Some(data) = self.data()? {
            self.seen.body.extend_from_slice(&data);
        }
        let receiving = &mut self.receiving;
        let trailers = wait(&self.handle, async { Ok(receiving.trailers().await?) });
        let trailers = self.noting(trailers)?;
        self.seen.trailers = trailers.map(|map| head::pairs(&map)).unwrap_or_default();
        self.seen.complete = true;
        self.shared.lock().seen[self.place] = self.seen.clone();
        Ok(())
    }

    /// Sends an informational response.
    pub fn interim(&mut self, status: u16, fields: &[(&str, &str)]) -> Result<(), H2Error> {
        Ok(self.respond.send_informational(response(status, &owned(fields)))?)
    }

    /// Sends the response's head; the stream ends with it if `end`.
    pub fn respond(&mut self, status: u16, fields: &[(&str, &str)], end: bool) -> Result<(), H2Error> {
        self.sending = Some(self.respond.send_response(response(status, &owned(fields)), end)?);
        Ok(())
    }

    /// Sends a piece of the body, as the proxy's windows allow.
    pub fn send(&mut self, data: impl Into<Vec<u8>>) -> Result<(), H2Error> {
        let sending = self.sending.as_mut().expect("respond first");
        let sent = wait(&self.handle, send(sending, Bytes::from(data.into()), false));
        self.noting(sent)
    }

    /// Ends the response.
    pub fn end(&mut self) -> Result<(), H2Error> {
        let sending = self.sending.as_mut().expect("respond first");
        Ok(sending.send_data(Bytes::new(), true)?)
    }

    /// Ends the response with trailers.
    pub fn end_with(&mut self, trailers: &[(&str, &str)]) -> Result<(), H2Error> {
        let sending = self.sending.as_mut().expect("respond first");
        Ok(sending.send_trailers(head::map(&owned(trailers)))?)
    }

    /// Sends a whole reply.
    pub fn reply(&mut self, reply: &Reply) -> Result<(), H2Error> {
        let bodiless = reply.get_body().is_empty() && reply.get_trailers().is_empty();
        let silent = self.seen.head.method() == "HEAD" || matches!(reply.get_status(), 204 | 304);
        let head = response(reply.get_status(), &reply.h2_fields());
        let mut sending = self.respond.send_response(head, bodiless || silent)?;
        if bodiless || silent {
            return Ok(());
        }
        let end = reply.get_trailers().is_empty();
        let sent = wait(&self.handle, send(&mut sending, Bytes::from(reply.get_body().to_vec()), end));
        self.noting(sent)?;
        if !end {
            sending.send_trailers(head::map(reply.get_trailers()))?;
        }
        Ok(())
    }

    /// Resets the stream.
    pub fn reset(&mut self, code: u32) {
        self.respond.send_reset(code.into());
    }

    /// Waits until the proxy resets the stream, and says with which code.
    pub fn wait_reset(&mut self) -> Result<u32, H2Error> {
        let (respond, sending) = (&mut self.respond, &mut self.sending);
        let code = wait(&self.handle, async {
            Ok(poll_fn(|cx| match sending {
                Some(sending) => sending.poll_reset(cx),
                None => respond.poll_reset(cx),
            })
            .await?)
        })?;
        self.shared.lock().resets.push(code.into());
        Ok(code.into())
    }

    /// Notes a reset of the stream by the proxy.
    fn noting<T>(&self, outcome: Result<T, H2Error>) -> Result<T, H2Error> {
        if let Err(H2Error::Reset(code)) = &outcome {
            self.shared.lock().resets.push(*code);
        }
        outcome
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn response(status: u16, fields: &[(String, String)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = head::map(fields);
    response
}

async fn accept(listener: TcpListener, settings: Builder, shared: Arc<Shared>, script: Arc<Script>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((socket, _)) = listener.accept().await {
        let (orders, told) = unbounded_channel();
        let index = {
            let mut state = shared.lock();
            let index = state.connections;
            state.connections += 1;
            state.open.insert(index, orders);
            index
        };
        let (settings, shared, script) = (settings.clone(), shared.clone(), script.clone());
        tokio::spawn(async move {
            serve(socket, index, &settings, told, &shared, &script).await;
            shared.lock().open.remove(&index);
        });
    }
}

async fn serve(
    socket: TcpStream,
    index: usize,
    settings: &Builder,
    mut told: UnboundedReceiver<Order>,
    shared: &Arc<Shared>,
    script: &Arc<Script>,
) {
    let _ = socket.set_nodelay(true);
    let mut connection = match settings.handshake(socket).await {
        Ok(connection) => connection,
        Err(error) if error.is_io() => return,
        Err(error) => {
            shared.lock().failures.push(format!("bytes that are no HTTP/2: {error}"));
            return;
        }
    };
    loop {
        tokio::select! {
            order = told.recv() => match order {
                Some(Order::GoAway) => connection.graceful_shutdown(),
                Some(Order::Fail(code)) => connection.abrupt_shutdown(code.into()),
                Some(Order::Window(bytes)) => drop(connection.set_initial_window_size(bytes)),
                Some(Order::Close) | None => return,
            },
            stream = connection.accept() => match stream {
                Some(Ok((request, respond))) => run(request, respond, index, shared.clone(), script.clone()),
                Some(Err(error)) => {
                    // An error that we found is the proxy's fault.
                    if error.is_library() && !error.is_remote() && !error.is_io() {
                        shared.lock().failures.push(format!("the proxy broke a rule of HTTP/2: {error}"));
                    }
                    return;
                }
                None => return,
            },
        }
    }
}

fn run(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    connection: usize,
    shared: Arc<Shared>,
    script: Arc<Script>,
) {
    let (parts, receiving) = request.into_parts();
    let ended = receiving.is_end_stream();
    let seen = Seen {
        connection,
        head: head::of_request(&parts),
        framing: head::framing(&parts.headers, ended),
        body: Vec::new(),
        trailers: Vec::new(),
        complete: ended,
    };
    let place = {
        let mut state = shared.lock();
        state.seen.push(seen.clone());
        state.seen.len() - 1
    };
    let stream = respond.stream_id().as_u32();
    let handle = Handle::current();
    let mut exchange = H2Exchange { seen, stream, handle, place, receiving, respond, sending: None, shared };
    std::thread::spawn(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| script(&mut exchange))) {
            exchange.shared.lock().failures.push(panic_text(&panic));
        }
    });
}
