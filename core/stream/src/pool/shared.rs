//! Upstream connections of one worker to one host that many streams share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::PoolLimits;
use super::handed::Handed;
use crate::h2::{ClientConnection, ClientStream, Cut};

/// Connections in the order in which they were made.
///
/// A stream goes to the first that has room, not to the one with the fewest:
/// many streams on one connection share its reads and writes, and those behind
/// it run dry and age out. One worker has them all, so more of them would not
/// use more processors.
#[derive(Debug)]
pub struct SharedPool {
    limits: Cell<PoolLimits>,
    /// Those that take streams; others are only kept by the streams they have.
    connections: RefCell<Vec<Rc<ClientConnection>>>,
    /// In the order in which they came. Nobody is here while there is room: a
    /// place that comes up is handed to the first at once. Woken and left to
    /// take it, each would wait for its task's turn, and those who come
    /// meanwhile would stand behind: a line that never ends.
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
    /// Somebody makes a connection; others wait for it.
    connecting: Cell<bool>,
    /// Who makes it, while that cannot begin. Comes before all others.
    connector: RefCell<Option<Rc<Handed<ClientStream>>>>,
    closed: Cell<bool>,
    /// Nobody gets a place just now.
    gives_way: Cell<bool>,
    /// Streams that the host took on one connection when it last said so.
    told: Cell<Option<u32>>,
}

/// A place or the turn to connect, or why there is no way to the host.
type Waiter = Handed<Result<Taken, ErrorKind>>;

/// What a pool has for a request.
#[derive(Debug)]
pub enum Taken {
    /// A place on a connection.
    Ready(ClientStream),
    /// None, and it is the caller's turn to make one.
    Connect(Connecting),
    /// None, and somebody else is at it.
    Wait(InLine),
}

/// The turn to make a connection; goes to the next one on drop.
#[derive(Debug)]
pub struct Connecting {
    pool: Rc<SharedPool>,
    spared: Rc<Handed<ClientStream>>,
}

/// A place behind those who wait already; given up on drop.
#[derive(Debug)]
pub struct InLine {
    pool: Rc<SharedPool>,
    waiter: Rc<Waiter>,
}

impl SharedPool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Rc<Self> {
        Rc::new(SharedPool {
            limits: Cell::new(limits),
            connections: RefCell::default(),
            waiters: RefCell::default(),
            connecting: Cell::new(false),
            connector: RefCell::default(),
            closed: Cell::new(false),
            gives_way: Cell::new(false),
            told: Cell::new(None),
        })
    }

    /// A place for a request, or how to come to one.
    pub fn take(self: &Rc<Self>) -> Taken {
        if self.waiters.borrow().is_empty() {
            if let Some(stream) = self.ready() {
                return Taken::Ready(stream);
            }
            if !self.connecting.replace(true) {
                return Taken::Connect(Connecting::new(self));
            }
        }
        let waiter = Rc::new(Waiter::default());
        self.waiters.borrow_mut().push_back(waiter.clone());
        Taken::Wait(InLine { pool: self.clone(), waiter })
    }

    fn ready(&self) -> Option<ClientStream> {
        if self.gives_way.get() {
            return None;
        }
        let max_requests = self.limits.get().max_requests;
        loop {
            // Taking the last place of one changes the list.
            let first = self.connections.borrow().iter().find(|connection| connection.has_room()).cloned()?;
            if let Some(stream) = first.stream(max_requests) {
                return Some(stream);
            }
        }
    }

    /// Applies a new configuration to later streams.
    pub fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// Connections that take streams.
    pub fn connections(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Those that have none.
    pub fn idle(&self) -> usize {
        self.connections.borrow().iter().filter(|connection| connection.streams() == 0).count()
    }

    /// Since when the connection was seen to be idle that was so for longest.
    pub fn oldest(&self) -> Option<Instant> {
        self.connections.borrow().iter().filter_map(|connection| connection.idle_since()).min()
    }

    /// Whether somebody makes a connection, or waits until it may begin.
    pub fn is_connecting(&self) -> bool {
        self.connecting.get()
    }

    /// Gives nobody a place for `time`, so that connections may run out of
    /// streams and make room for others. Who comes waits.
    pub fn give_way(self: &Rc<Self>, time: Duration) {
        if self.gives_way.replace(true) {
            return;
        }
        let pool = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(time).await;
            if let Some(pool) = pool.upgrade() {
                pool.gives_way.set(false);
                pool.has_room_again();
            }
        });
    }

    /// Closes an idle connection; whether there was one.
    pub fn drop_one(&self) -> bool {
        self.cut_one(Cut::Closing)
    }

    /// Resets an idle connection, which leaves nothing of it behind: its port
    /// is free at once. Whether there was one.
    pub fn reset_one(&self) -> bool {
        self.cut_one(Cut::Resetting)
    }

    fn cut_one(&self, how: Cut) -> bool {
        // Who waits here needs none of its own, unless it is another's turn.
        let awaited = self.connecting.get() || !self.waiters.borrow().is_empty();
        if awaited && !self.gives_way.get() {
            return false;
        }
        let mut connections = self.connections.borrow_mut();
        // The last ones are those that can be spared.
        let Some(at) = connections.iter().rposition(|connection| connection.streams() == 0) else { return false };
        let connection = connections.remove(at);
        drop(connections);
        connection.cut(how);
        true
    }

    /// Closes what has been idle for too long, is too old or was closed by the
    /// host. Called about once a second.
    pub fn sweep(&self, now: Instant) {
        let timeout = self.limits.get().idle_timeout;
        let all = self.connections.borrow().clone();
        for connection in all {
            connection.look_over(now, timeout);
        }
    }

    /// Keeps no connection from now on; those in use end with their streams.
    pub fn close(&self) {
        self.closed.set(true);
        let all = self.connections.take();
        for connection in all {
            connection.close();
        }
    }

    /// A connection takes no more streams.
    pub(crate) fn forget(self: &Rc<Self>, connection: &ClientConnection) {
        self.connections.borrow_mut().retain(|known| !std::ptr::eq(&**known, connection));
        self.serve();
    }

    /// The host takes so many streams on a connection.
    pub(crate) fn learn(&self, streams: u32) {
        self.told.set(Some(streams));
    }

    /// A connection has a place again.
    #[inline]
    pub(crate) fn has_room_again(self: &Rc<Self>) {
        if !self.waiters.borrow().is_empty() || self.connector.borrow().is_some() {
            self.serve();
        }
    }

    /// Hands what there is to those who wait.
    fn serve(self: &Rc<Self>) {
        while self.connector.borrow().is_some() {
            let Some(stream) = self.ready() else { return };
            // Taking a place may have brought us here once more.
            match self.connector.take() {
                Some(connector) => connector.hand(stream),
                None => drop(stream),
            }
        }
        while !self.waiters.borrow().is_empty() {
            let taken = match self.ready() {
                Some(stream) => Taken::Ready(stream),
                None if !self.connecting.replace(true) => Taken::Connect(Connecting::new(self)),
                None => return,
            };
            let first = self.waiters.borrow_mut().pop_front();
            match first {
                Some(first) => first.hand(Ok(taken)),
                None => drop(taken),
            }
        }
    }
}

impl Connecting {
    fn new(pool: &Rc<SharedPool>) -> Self {
        Connecting { pool: pool.clone(), spared: Rc::default() }
    }

    /// A place that has come up meanwhile: for who may not begin yet.
    pub fn poll_spared(&self, cx: &mut Context<'_>) -> Poll<ClientStream> {
        if let Poll::Ready(stream) = self.spared.poll(cx) {
            return Poll::Ready(stream);
        }
        match self.pool.ready() {
            Some(stream) => Poll::Ready(stream),
            None => {
                self.pool.connector.replace(Some(self.spared.clone()));
                Poll::Pending
            }
        }
    }

    /// The connection is there. A place on it for who made it, the others for
    /// who waits; none if it is lost already.
    pub fn made(self, connection: Rc<ClientConnection>) -> Option<ClientStream> {
        connection.joins(&self.pool, self.pool.told.get());
        // It was this one's turn.
        self.pool.gives_way.set(false);
        self.pool.connections.borrow_mut().push(connection.clone());
        let stream = connection.stream(self.pool.limits.get().max_requests);
        if self.pool.closed.get() {
            self.pool.connections.borrow_mut().retain(|known| !Rc::ptr_eq(known, &connection));
            connection.close();
        }
        stream
    }

    /// There is no way to the host: nobody else needs to try.
    pub fn failed(self, why: ErrorKind) {
        for waiter in self.pool.waiters.take() {
            waiter.hand(Err(why));
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.pool.connecting.set(false);
        self.pool.connector.take();
        self.pool.serve();
    }
}

impl InLine {
    /// A place, or the turn to connect, when it is this one's; or why there is
    /// no way to the host.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Taken, ErrorKind>> {
        self.waiter.poll(cx)
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        // What it has not fetched goes to others, by itself.
        if self.waiter.take().is_none() {
            self.pool.waiters.borrow_mut().retain(|known| !Rc::ptr_eq(known, &self.waiter));
        }
    }
}
