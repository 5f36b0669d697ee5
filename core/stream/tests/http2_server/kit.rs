//! A server on a port of its own, and clients that speak in frames.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{Address, Headers, Http2Settings, RequestHead, ResponseHead};
use sidegate_net::Socket;
use sidegate_stream::h2::{ConnectionFault, Incoming, PREFACE, ServerConnection, ServerStream};
use sidegate_stream::{Announced, BodyEvent, BodyFault, Data, End, Last, Limits, RequestError, RequestStart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// `GET http://a/`, compressed.
pub const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
/// `POST http://a/`, compressed.
pub const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// Runs a test on one thread, as a worker would; nothing takes that long.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs") };
    LocalSet::new().block_on(&runtime, bounded);
}

/// What became of a connection.
#[derive(Default)]
pub struct Log {
    /// How it ended, once it has: in order, or by which fault.
    pub ended: RefCell<Option<Result<(), ConnectionFault>>>,
    /// Heads that were accepted.
    pub accepted: Cell<usize>,
    /// Streams that are being served.
    pub open: Cell<usize>,
    /// Streams that are served no more.
    pub closed: Cell<usize>,
}

impl Log {
    /// The word for the fault.
    pub fn fault(&self) -> &'static str {
        match &*self.ended.borrow() {
            Some(Err(fault)) => fault.name(),
            Some(Ok(())) => "closed",
            None => "open",
        }
    }
}

/// Waits for a condition that other tasks of this thread bring about.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// One connection: a client's end, and the server driven by a task that calls
/// `serve` for each stream.
pub async fn connect<F, S>(settings: Http2Settings, serve: F) -> (TcpStream, Rc<Log>, Rc<RefCell<ServerConnection>>)
where
    F: Fn(Request) -> S + 'static,
    S: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let client = client.unwrap();
    client.set_nodelay(true).unwrap();
    let fd = OwnedFd::from(accepted.unwrap().0.into_std().unwrap());
    let socket = Socket::from_fd(fd, &Address::Tcp(address)).unwrap();
    let connection = Rc::new(RefCell::new(ServerConnection::new(socket, Vec::new(), &settings)));
    let log = Rc::<Log>::default();
    tokio::task::spawn_local(drive(connection.clone(), log.clone(), serve));
    (client, log, connection)
}

async fn drive<F, S>(connection: Rc<RefCell<ServerConnection>>, log: Rc<Log>, serve: F)
where
    F: Fn(Request) -> S + 'static,
    S: Future<Output = ()> + 'static,
{
    let ended = loop {
        match poll_fn(|cx| connection.borrow_mut().poll_accept(cx)).await {
            Ok(Some(incoming)) => {
                log.accepted.set(log.accepted.get() + 1);
                log.open.set(log.open.get() + 1);
                let (log, served) = (log.clone(), serve(Request::open(incoming)));
                tokio::task::spawn_local(async move {
                    served.await;
                    log.open.set(log.open.get() - 1);
                    log.closed.set(log.closed.get() + 1);
                });
            }
            Ok(None) => break Ok(()),
            Err(fault) => break Err(fault),
        }
    };
    let mut left = 1 << 20;
    let close = poll_fn(|cx| connection.borrow_mut().poll_close(cx, &mut left));
    let _ = tokio::time::timeout(Duration::from_millis(100), close).await;
    *log.ended.borrow_mut() = Some(ended);
}

/// A request with its head read.
pub struct Request {
    pub head: RequestHead,
    pub start: Result<RequestStart, RequestError>,
    pub stream: ServerStream,
}

impl Request {
    fn open(incoming: Incoming) -> Self {
        let mut head = RequestHead::default();
        let (stream, start) = incoming.open(&Limits::default(), &mut head);
        Request { head, start, stream }
    }

    /// Its body and trailers.
    pub async fn body(&mut self) -> Result<(Vec<u8>, Headers), BodyFault> {
        let (mut body, mut trailers) = (Vec::new(), Headers::new());
        loop {
            match poll_fn(|cx| self.stream.poll_body(cx, &mut trailers)).await? {
                BodyEvent::Data(count) => {
                    body.extend_from_slice(&self.stream.data().as_slice()[..count]);
                    self.stream.consume(count);
                }
                BodyEvent::End => return Ok((body, trailers)),
            }
        }
    }

    /// Answers with `body`, as far as the client takes it.
    pub async fn answer(&mut self, body: &[u8], trailers: &[(&str, &str)]) -> std::io::Result<()> {
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        let announced = if trailers.is_empty() { Announced::Length(body.len() as u64) } else { Announced::Open };
        self.stream.start(DATE, &head, announced, Last::No);
        self.send(body).await?;
        let mut fields = Headers::new();
        for (name, value) in trailers {
            fields.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        self.stream.finish(&fields);
        poll_fn(|cx| self.stream.poll_flush(cx)).await
    }

    pub async fn send(&mut self, mut body: &[u8]) -> std::io::Result<()> {
        while !body.is_empty() {
            let sent = poll_fn(|cx| self.stream.poll_send(cx, Data::Slice(body))).await?;
            body = &body[sent..];
        }
        Ok(())
    }
}

/// Reads the request and answers `ok`.
pub async fn ok(mut request: Request) {
    if request.body().await.is_ok() {
        let _ = request.answer(b"ok", &[]).await;
    }
    request.stream.end(End::Reusable);
}

/// Waits until the client has gone.
pub async fn wait(mut request: Request) {
    poll_fn(|cx| request.stream.poll_gone(cx)).await;
}

/// A frame as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A client that speaks in frames.
pub struct RawClient(pub TcpStream);

impl RawClient {
    /// Sends the preface and SETTINGS, each a number and a value.
    pub async fn greet(mut socket: TcpStream, settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        socket.write_all(PREFACE).await.unwrap();
        socket.write_all(&frame(SETTINGS, 0, 0, &payload)).await.unwrap();
        RawClient(socket)
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.write_all(&frame(kind, flags, stream, payload)).await.unwrap();
    }

    /// The next frame of any kind; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of one of these kinds.
    pub async fn next_of(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection has ended");
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    }

    /// Sends `flood` over and over while it reads, at most `most` times, and
    /// returns the code of the GOAWAY that comes.
    pub async fn flood(self, mut flood: impl FnMut(u32) -> Vec<u8>, most: u32) -> Option<u32> {
        let (read, mut write) = self.0.into_split();
        let reading = async {
            let mut read = tokio::io::BufReader::new(read);
            let mut code = None;
            loop {
                let mut head = [0; 9];
                if read.read_exact(&mut head).await.is_err() {
                    return code;
                }
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                if read.read_exact(&mut payload).await.is_err() {
                    return code;
                }
                if head[3] == GOAWAY {
                    code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
                }
            }
        };
        let writing = async {
            for number in 0..most {
                if write.write_all(&flood(number)).await.is_err() {
                    break;
                }
            }
            // Only the server ends it.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            code = reading => code,
            () = writing => None,
        }
    }
}
