//! One request of an HTTP/2 connection, in a task of its own while it runs.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use sidegate_api::Protocol;
use sidegate_net::WorkerContext;
use sidegate_stream::h2::Incoming;
use sidegate_stream::{Downstream, End};

use super::refusal::Refusal;
use super::runners::{Runner, Work};
use super::{Here, StreamRunners};
use crate::phases::run;
use crate::slots::{Current, ListenerSlot};
use crate::stream::{Arrival, Kit, Stream};

/// What the tasks of one connection share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) worker: Rc<WorkerContext>,
    runners: Rc<StreamRunners>,
    pub(super) slot: Rc<ListenerSlot>,
    pub(super) here: Here,
    /// Streams in progress.
    open: Cell<usize>,
    /// Of the connection's task.
    waker: RefCell<Option<Waker>>,
    /// Runners of streams, by their places.
    tasks: RefCell<Vec<Option<Rc<Runner<OneStream>>>>>,
    free: RefCell<Vec<usize>>,
}

impl Connection {
    pub(super) fn new(
        worker: Rc<WorkerContext>,
        runners: Rc<StreamRunners>,
        slot: Rc<ListenerSlot>,
        here: Here,
    ) -> Rc<Self> {
        Rc::new(Connection {
            worker,
            runners,
            slot,
            here,
            open: Cell::new(0),
            waker: RefCell::default(),
            tasks: RefCell::default(),
            free: RefCell::default(),
        })
    }

    /// Streams in progress.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// `waker` is woken when the last stream has ended.
    pub(super) fn note_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        match &*known {
            Some(known) if known.will_wake(waker) => {}
            _ => *known = Some(waker.clone()),
        }
    }

    /// Begins a stream. A panic in it is its own.
    pub(super) fn spawn(self: &Rc<Self>, incoming: Incoming) {
        self.open.set(self.open.get() + 1);
        let mut tasks = self.tasks.borrow_mut();
        let place = self.free.borrow_mut().pop().unwrap_or_else(|| {
            tasks.push(None);
            tasks.len() - 1
        });
        let open = Open { connection: self.clone(), place };
        tasks[place] = Some(self.runners.run(&self.worker, OneStream { open, incoming }));
    }

    /// Ends all streams at once: the drain time is up.
    pub(super) fn abort_streams(&self) {
        let tasks = self.tasks.take();
        tasks.iter().flatten().for_each(|runner| runner.abort());
    }

    fn ended(&self, place: usize) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(place) {
            *task = None;
            self.free.borrow_mut().push(place);
        }
        let left = self.open.get() - 1;
        self.open.set(left);
        if left == 0
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// A stream in progress, however it ends.
struct Open {
    connection: Rc<Connection>,
    place: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.ended(self.place);
    }
}

/// A request whose head nobody has looked at.
pub(crate) struct OneStream {
    open: Open,
    incoming: Incoming,
}

impl Work for OneStream {
    async fn run(self, kit: &mut Kit) {
        carry(self.open, self.incoming, kit).await;
    }
}

async fn carry(open: Open, incoming: Incoming, kit: &mut Kit) {
    let Connection { worker, slot, here, .. } = &*open.connection;
    let Some(Current { listener, routes, filters }) = slot.current() else {
        incoming.refuse();
        return;
    };
    kit.state.info.connection = Some(here.info.clone());
    kit.state.info.start = Some(Instant::now());
    kit.state.request.scheme = here.info.scheme();
    let limits = listener.http2_request_limits(&routes);
    let (mut carrier, read) = incoming.open(&limits, &mut kit.state.request);
    kit.state.info.protocol = Protocol::Http2;
    let start = match read {
        Ok(start) => start,
        Err(error) => {
            let client = Downstream::H2(&mut carrier);
            Refusal::from(error).answer(worker, &listener, client, &mut kit.state, &kit.timers).await;
            return;
        }
    };
    listener.stats.request_started();
    kit.chain.begin(filters);
    let arrival = Arrival {
        worker,
        entrance: &here.entrance,
        listener: &listener,
        routes: &routes,
        client: Downstream::H2(&mut carrier),
        start,
    };
    let mut stream = Stream::new(arrival, kit);
    let end = run::run(&mut stream).await;
    drop(stream);
    if let End::Reset(_) = end {
        // What the client may have is not to be lost to the reset: the
        // connection's task has its turn in between.
        poll_fn(|cx| {
            carrier.push(cx);
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
    }
    carrier.end(end);
}
