//! Hosts that are written by hand, and a client of one request.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{Address, Headers, Method, Protocol, RequestHead, ResponseHead};
use sidegate_net::{Deadlines, connect};
use sidegate_stream::h2::{ClientConnection, ClientStream, Http2Settings, KeepAlive, Noticed, Watcher};
use sidegate_stream::{
    Announced, BodyEvent, BodyFault, ClientError, ClosedBy, Data, Expect, Limits, OnClose, RequestStart, ResponseStart,
    Trailers, Upgrade,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `:status: 200` of HPACK's static table.
pub const OK: &[u8] = &[0x88];

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// Runs a test on one thread, as a worker would; nothing takes that long.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test hangs") };
    LocalSet::new().block_on(&runtime, bounded);
}

/// A port to which hosts listen.
pub struct Port(TcpListener);

impl Port {
    pub async fn new() -> Self {
        Port(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn address(&self) -> Address {
        Address::Tcp(self.0.local_addr().unwrap())
    }

    pub async fn accept(&self) -> TcpStream {
        self.0.accept().await.unwrap().0
    }

    /// A connection to it with the usual settings, and its other end.
    pub async fn pair(&self) -> (Rc<ClientConnection>, RawHost) {
        let (connection, host) = self.pair_with(&Http2Settings::upstream()).await;
        (connection, host.greet(&[]).await)
    }

    /// The same with these; the host has said nothing yet.
    pub async fn pair_with(&self, settings: &Http2Settings) -> (Rc<ClientConnection>, RawHost) {
        let (connection, _) = open(&self.address(), settings).await;
        (connection, RawHost::new(self.accept().await).await)
    }
}

/// What was noticed of a connection.
pub type Log = Rc<RefCell<Vec<String>>>;

#[derive(Debug)]
struct Watching(Log);

impl OnClose for Watching {
    fn closed(&self, by: ClosedBy) {
        self.0.borrow_mut().push(format!("closed by {by:?}"));
    }
}

impl Watcher for Watching {
    fn noticed(&self, what: Noticed) {
        self.0.borrow_mut().push(format!("{what:?}"));
    }
}

pub async fn open(address: &Address, settings: &Http2Settings) -> (Rc<ClientConnection>, Log) {
    let deadlines = Deadlines::new();
    tokio::task::spawn_local(deadlines.clone().run());
    let log = Log::default();
    let socket = connect(address).await.unwrap();
    let watcher = Box::new(Watching(log.clone()));
    let connection = ClientConnection::open(socket, settings, &deadlines, Some(7), Some(watcher)).await.unwrap();
    (connection, log)
}

pub fn keepalive(milliseconds: u64) -> Http2Settings {
    let time = Duration::from_millis(milliseconds);
    Http2Settings { keepalive: Some(KeepAlive { interval: time, timeout: time }), ..Http2Settings::upstream() }
}

/// A frame as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A host that speaks in frames.
pub struct RawHost {
    socket: TcpStream,
}

impl RawHost {
    pub async fn new(mut socket: TcpStream) -> Self {
        let mut preface = [0; PREFACE.len()];
        socket.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        RawHost { socket }
    }

    /// Sends SETTINGS, each a number and a value.
    pub async fn greet(mut self, settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.send(SETTINGS, 0, 0, &payload).await;
        self
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).await.unwrap();
    }

    /// For who may be cut off meanwhile.
    pub async fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.socket.write_all(&frame).await
    }

    /// The next frame of any kind; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.socket.read_exact(&mut payload).await.ok()?;
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

    /// The stream of the next request.
    pub async fn request(&mut self) -> u32 {
        self.next_of(&[HEADERS]).await.stream
    }

    pub async fn answer(&mut self, stream: u32, body: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, OK).await;
        self.send(DATA, END_STREAM, stream, body).await;
    }

    pub async fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub async fn goodbye(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload).await;
    }
}

/// A field without compression.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x10, name.len() as u8];
    out.extend_from_slice(name.as_bytes());
    out.push(value.len() as u8);
    out.extend_from_slice(value.as_bytes());
    out
}

pub fn head(method: Method, target: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = method;
    head.scheme = "http";
    head.authority.push_str("host");
    head.set_target(target);
    head
}

pub const START: RequestStart = RequestStart {
    head_bytes: 0,
    version: Protocol::Http11,
    body: Announced::Nothing,
    expect: Expect::None,
    trailers: Trailers::Unasked,
    upgrade: Upgrade::None,
};

pub fn get(stream: &mut ClientStream) {
    stream.start(&head(Method::Get, "/"), Announced::Nothing, &START);
}

pub async fn next_head(stream: &mut ClientStream) -> Result<(ResponseHead, ResponseStart), ClientError> {
    let mut head = ResponseHead::default();
    let limits = Limits::default();
    let start = poll_fn(|cx| stream.poll_head(cx, &limits, &Method::Get, &mut head)).await?;
    Ok((head, start))
}

/// The body and its trailers.
pub async fn body(stream: &mut ClientStream) -> Result<(Vec<u8>, Headers), BodyFault> {
    let (mut all, mut trailers) = (Vec::new(), Headers::new());
    loop {
        match poll_fn(|cx| stream.poll_body(cx, &mut trailers)).await? {
            BodyEvent::Data(count) => {
                all.extend_from_slice(&stream.data().as_slice()[..count]);
                stream.consume(count);
            }
            BodyEvent::End => return Ok((all, trailers)),
        }
    }
}

pub async fn whole(stream: &mut ClientStream) -> Vec<u8> {
    assert_eq!(next_head(stream).await.unwrap().0.status, 200);
    body(stream).await.unwrap().0
}

/// Sends all of `data`, in pieces as the window allows.
pub async fn send(stream: &mut ClientStream, mut data: &[u8]) {
    while !data.is_empty() {
        let count = poll_fn(|cx| stream.poll_send(cx, Data::Slice(data))).await.unwrap();
        data = &data[count..];
    }
}

/// Lets the other tasks of the thread run.
pub async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
