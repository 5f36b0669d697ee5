//! An upstream connection that many streams share.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Request;
use sidegate_api::{PeerIdentity, PeerText, RequestHead, TlsAgreed};
use sidegate_net::{Deadlines, PeerEnd, Socket, Traffic};

use sidegate_protocol::http2::{EncodeError, LastAuthority, encode_request};

use super::ClientStream;
use super::drive::{self, Orders};
use super::fault::Fault;
use super::watcher::{Cause, Noticed, Watcher};
use crate::h2::{Guard, Http2Settings, Role};
use crate::pool::SharedPool;
use crate::{ClosedBy, RequestStart};

/// Streams before the host has said how many it takes: RFC 9113 section 6.5.2
/// asks for no less than this.
const STREAMS_AT_FIRST: usize = 100;

/// Bytes of one request that may wait in the crate for a socket that takes
/// nothing.
const SEND_BUFFER: usize = 64 * 1024;

/// An upstream connection; a task of its own moves its bytes. It ends when the
/// host or the pool wants it to, each stream that it has in its own time.
pub struct ClientConnection {
    id: Option<u64>,
    local: Option<Arc<PeerText>>,
    tls: Option<TlsAgreed>,
    /// Of the handshake; the socket is the task's.
    peer: Option<Arc<dyn PeerIdentity>>,
    opened: Instant,
    max_age: Option<Duration>,
    /// Streams that we want on it at most.
    our_limit: u32,
    /// And the host.
    limit: Cell<u32>,
    /// The host has said something.
    settled: Cell<bool>,
    /// Places that are taken.
    streams: Cell<u32>,
    requests: Cell<u32>,
    /// When it was first seen to be idle since its last stream.
    idle_since: Cell<Option<Instant>>,
    phase: Cell<Phase>,
    /// What ended it, where nobody else says so.
    cause: Cell<Option<Cause>>,
    /// Gone once no stream may begin any more.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    authority: RefCell<LastAuthority>,
    /// Of the task that moves its bytes.
    task: RefCell<Option<Waker>>,
    /// Gone once it is closed.
    guard: RefCell<Option<Guard>>,
    /// `GOAWAY` frames that were looked at.
    goodbyes: Cell<u64>,
    /// Gone once it is closed, with what it holds.
    watcher: RefCell<Option<Box<dyn Watcher>>>,
    /// Where streams may wait for a place.
    pool: RefCell<Weak<SharedPool>>,
}

/// How a connection stands. It only goes down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It takes streams.
    Open,
    /// It has its last ones.
    Leaving,
    /// It is to end now, whatever it has.
    Cut,
    Closed,
}

impl ClientConnection {
    /// Begins a connection on `socket`, with a task of its own. Nothing of the
    /// host is waited for. `watcher` is told of its end and dropped with it.
    pub async fn open(
        socket: Socket,
        settings: &Http2Settings,
        deadlines: &Rc<Deadlines>,
        id: Option<u64>,
        watcher: Option<Box<dyn Watcher>>,
    ) -> io::Result<Rc<Self>> {
        let local = socket.local_address().ok().map(|address| Arc::new(PeerText::new(address)));
        let tls = socket.tls_agreed();
        let peer = socket.peer();
        let guard = Guard::new(socket, Bytes::new(), Role::Client, settings);
        let handshake = builder(settings).handshake(guard.clone());
        let (sender, driven) = handshake.await.map_err(|error| match error.get_io() {
            Some(error) => error.kind().into(),
            None => io::Error::from(io::ErrorKind::InvalidData),
        })?;
        let connection = Rc::new(ClientConnection {
            id,
            local,
            tls,
            peer,
            opened: Instant::now(),
            max_age: settings.max_age,
            our_limit: settings.max_concurrent_streams,
            limit: Cell::new(settings.max_concurrent_streams.min(STREAMS_AT_FIRST as u32)),
            settled: Cell::new(false),
            streams: Cell::new(0),
            requests: Cell::new(0),
            idle_since: Cell::new(None),
            phase: Cell::new(Phase::Open),
            cause: Cell::new(None),
            sender: RefCell::new(Some(sender)),
            authority: RefCell::default(),
            task: RefCell::new(None),
            guard: RefCell::new(Some(guard.clone())),
            goodbyes: Cell::new(0),
            watcher: RefCell::new(watcher),
            pool: RefCell::default(),
        });
        drive::spawn(driven, guard, connection.clone(), settings.keepalive, deadlines.clone());
        Ok(connection)
    }

    /// Its number in the process, where somebody gave it one.
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// Our end of it.
    pub fn local_address(&self) -> Option<Arc<PeerText>> {
        self.local.clone()
    }

    /// What was agreed on in TLS, if that is spoken.
    pub fn tls_agreed(&self) -> Option<TlsAgreed> {
        self.tls
    }

    /// Who the host is, if it speaks TLS and was verified.
    pub fn peer(&self) -> Option<Arc<dyn PeerIdentity>> {
        self.peer.clone()
    }

    /// Requests that it had.
    pub fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// Streams that it has.
    pub fn streams(&self) -> u32 {
        self.streams.get()
    }

    /// Bytes that went over it.
    pub fn traffic(&self) -> Traffic {
        self.with_guard(Guard::traffic).unwrap_or_default()
    }

    /// Whether it takes no more requests.
    pub fn is_leaving(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// A place for a request, if there is one. What idles and was closed by the
    /// host meanwhile has none.
    pub fn stream(self: &Rc<Self>, max_requests: Option<NonZeroU32>) -> Option<ClientStream> {
        if !self.has_room() {
            return None;
        }
        if self.streams.get() == 0 && self.host_has_ended() {
            self.leave_the_pool();
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        let requests = self.requests.get() + 1;
        self.requests.set(requests);
        self.idle_since.set(None);
        if max_requests.is_some_and(|max| requests >= max.get()) {
            self.leave_the_pool();
        }
        Some(ClientStream::new(self.clone()))
    }

    /// Whether one more stream may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.phase.get() == Phase::Open && self.streams.get() < self.limit.get()
    }

    /// Streams wait for its places in `pool`. The host took so many of them on
    /// other connections, and has not said yet how many on this one.
    pub(crate) fn joins(&self, pool: &Rc<SharedPool>, streams: Option<u32>) {
        self.pool.replace(Rc::downgrade(pool));
        if let Some(streams) = streams {
            self.limit.set(self.limit.get().min(streams.max(1)));
        }
    }

    /// Takes no more requests; ends with its last stream.
    pub fn close(&self) {
        if self.phase.get() == Phase::Open {
            self.leave_the_pool();
        }
    }

    /// Ends now. `Resetting` leaves nothing of it behind: its port is free at
    /// once.
    pub(crate) fn cut(&self, how: Cut) {
        if how == Cut::Resetting {
            self.with_guard(|guard| guard.with_socket(|socket| socket.reset_on_close()));
        }
        self.advance(Phase::Cut);
        self.wake();
    }

    /// Closes it if it has been without a stream for `timeout`, or is too old.
    pub(crate) fn look_over(&self, now: Instant, timeout: Option<Duration>) {
        if self.max_age.is_some_and(|age| now.duration_since(self.opened) >= age) {
            self.close();
        }
        if self.streams.get() > 0 || self.phase.get() != Phase::Open {
            return;
        }
        let since = self.idle_since.get().unwrap_or(now);
        self.idle_since.set(Some(since));
        if timeout.is_some_and(|timeout| now.duration_since(since) >= timeout) || self.host_has_ended() {
            self.close();
        }
    }

    /// Since when it was seen without a stream.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.idle_since.get().filter(|_| self.streams.get() == 0)
    }

    pub(super) fn encode(
        &self,
        head: &RequestHead,
        length: Option<u64>,
        start: &RequestStart,
    ) -> Result<Request<()>, EncodeError> {
        encode_request(head, length, start.expect, start.trailers, &mut self.authority.borrow_mut())
    }

    pub(super) fn send(
        &self,
        request: Request<()>,
        is_whole: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Fault> {
        let mut sender = self.sender.borrow_mut();
        let Some(sender) = sender.as_mut() else { return Err(Fault::NotProcessed) };
        // One that has a stream waiting to begin refuses others, and we count
        // them ourselves: then a copy that has none.
        let mut copy;
        let sender = match self.streams.get() > self.limit.get() / 2 {
            true => {
                copy = sender.clone();
                &mut copy
            }
            false => sender,
        };
        sender.send_request(request, is_whole).map_err(|error| {
            tracing::debug!(%error, "a stream could not begin");
            // No more stream numbers, or the host has said goodbye.
            self.advance(Phase::Leaving);
            self.wake();
            Fault::NotProcessed
        })
    }

    /// A stream has ended.
    pub(super) fn leave(&self) {
        self.streams.set(self.streams.get() - 1);
        if self.phase.get() == Phase::Leaving && self.streams.get() == 0 {
            self.wake();
        }
        self.tell_pool(SharedPool::has_room_again);
    }

    /// What a fault is if it is known why the connection ended.
    pub(super) fn blame(&self, fault: Fault) -> Fault {
        match (self.cause.get(), fault) {
            (Some(Cause::Silent), Fault::Closed | Fault::Io(_)) => Fault::Io(io::ErrorKind::TimedOut),
            (Some(Cause::Flood(_)), Fault::Closed | Fault::Io(_)) => Fault::Protocol,
            (_, fault) => fault,
        }
    }

    /// Whether the head of `stream` is larger than it may be.
    pub(super) fn had_large_head(&self, stream: u32) -> bool {
        self.with_guard(|guard| guard.had_large_head(stream)).unwrap_or_default()
    }

    pub(super) fn notice(&self, what: Noticed) {
        if let Some(watcher) = &*self.watcher.borrow() {
            watcher.noticed(what);
        }
    }

    /// The task of its bytes comes by: what it is to do.
    pub(super) fn orders(&self, cx: &Context<'_>) -> Orders {
        let mut task = self.task.borrow_mut();
        match &*task {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *task = Some(cx.waker().clone()),
        }
        match self.phase.get() {
            Phase::Open => Orders::GoOn,
            // A request that has its place may still begin, and finds no
            // sender.
            Phase::Leaving if self.streams.get() > 0 => Orders::GoOn,
            Phase::Leaving => {
                let sender = self.sender.take();
                drop(sender);
                Orders::End
            }
            Phase::Cut | Phase::Closed => Orders::Cut,
        }
    }

    /// What the host says now of how many streams it takes, and whether.
    pub(super) fn host_says(&self, streams: usize, goodbyes: u64) {
        let streams = u32::try_from(streams).unwrap_or(u32::MAX).min(self.our_limit);
        // Before its settings come that is what we said ourselves.
        if self.settled.get() || self.with_guard(|guard| guard.traffic().read) > Some(0) {
            self.settled.set(true);
            let before = self.limit.replace(streams);
            if streams != before {
                self.tell_pool(|pool| pool.learn(streams));
            }
            if streams > before {
                self.tell_pool(SharedPool::has_room_again);
            }
        }
        if goodbyes > self.goodbyes.replace(goodbyes) && self.phase.get() == Phase::Open {
            self.notice(Noticed::GoAway);
            self.leave_the_pool();
        }
    }

    /// It is ended because of `cause`.
    pub(super) fn ends(&self, cause: Cause) {
        self.cause.set(Some(cause));
        self.notice(match cause {
            Cause::Silent => Noticed::PingTimedOut,
            Cause::Flood(kind) => Noticed::Flood(kind),
        });
    }

    /// Its bytes do not move any more.
    pub(super) fn closed(&self) {
        let ended = self.with_guard(|guard| guard.with_socket(|socket| socket.peer_has_ended()));
        let by = if self.cause.get().is_none() && ended == Some(true) { ClosedBy::Peer } else { ClosedBy::Us };
        self.phase.set(Phase::Closed);
        let guard = self.guard.take();
        drop(guard);
        let sender = self.sender.take();
        drop(sender);
        self.tell_pool(|pool| pool.forget(self));
        let watcher = self.watcher.take();
        if let Some(watcher) = watcher {
            watcher.closed(by);
        }
    }

    /// Whether the kernel has told of the host's end.
    fn host_has_ended(&self) -> bool {
        self.with_guard(|guard| guard.with_socket(|socket| socket.peer_end())) != Some(PeerEnd::Open)
    }

    fn with_guard<R>(&self, look: impl FnOnce(&Guard) -> R) -> Option<R> {
        self.guard.borrow().as_ref().map(look)
    }

    fn leave_the_pool(&self) {
        self.advance(Phase::Leaving);
        self.tell_pool(|pool| pool.forget(self));
        self.wake();
    }

    fn advance(&self, phase: Phase) {
        self.phase.set(self.phase.get().max(phase));
    }

    fn tell_pool(&self, what: impl FnOnce(&Rc<SharedPool>)) {
        // Whom it tells may drop this pool.
        let pool = self.pool.borrow().upgrade();
        if let Some(pool) = pool {
            what(&pool);
        }
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// By a regular end.
    Closing,
    Resetting,
}

fn builder(settings: &Http2Settings) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(STREAMS_AT_FIRST)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.max_frame_size)
        .max_header_list_size(settings.max_header_list_bytes)
        // A bound for the whole life of a connection; the guard has one in time.
        .max_local_error_reset_streams(None)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

impl fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnection")
            .field("id", &self.id)
            .field("phase", &self.phase.get())
            .field("streams", &self.streams.get())
            .field("limit", &self.limit.get())
            .field("requests", &self.requests.get())
            .finish_non_exhaustive()
    }
}
