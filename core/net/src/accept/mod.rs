//! The accept thread: the one place where connections enter.

mod arrivals;
mod queue;
mod refuse;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use sidegate_watch::{Listening, Role, Watched};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use arrivals::{Arrival, Arrivals};
use queue::{AcceptLoop, watch_readable};

use crate::worker::Dispatcher;
use crate::{AcceptMode, BoundListener, ListenerId, Service, Workers};

/// Adds and removes listeners while others accept. Stops accepting when told
/// to, or when dropped.
#[derive(Debug)]
pub struct AcceptHandle {
    /// `None` once it stops.
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Add(Box<BoundListener>, oneshot::Sender<io::Result<()>>),
    Remove(ListenerId, oneshot::Sender<bool>),
}

impl AcceptHandle {
    /// Begins to accept on `listener`. Workers must know it by then.
    pub async fn add(&self, listener: BoundListener) -> io::Result<()> {
        let (answer, added) = oneshot::channel();
        self.order(Order::Add(Box::new(listener), answer))?;
        added.await.map_err(|_| over())?
    }

    /// Accepts what waits for this listener, and closes its sockets and its
    /// file: when this returns its address is free, and all its connections are
    /// on their way to workers. `false`: it does not accept.
    pub async fn remove(&self, listener: ListenerId) -> bool {
        let (answer, removed) = oneshot::channel();
        if self.order(Order::Remove(listener, answer)).is_err() {
            return false;
        }
        removed.await.unwrap_or(false)
    }

    /// Does the same for all listeners, and returns when that is done.
    pub fn stop(mut self) {
        self.end();
    }

    fn order(&self, order: Order) -> io::Result<()> {
        let orders = self.orders.as_ref().ok_or_else(over)?;
        orders.send(order).map_err(|_| over())
    }

    fn end(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the accept thread ended by a panic");
        }
    }
}

impl Drop for AcceptHandle {
    fn drop(&mut self) {
        self.end();
    }
}

fn over() -> io::Error {
    io::Error::other("accepting has ended")
}

/// Starts to accept on `listeners` for `workers`.
pub fn start_accepting<S: Service>(listeners: Vec<BoundListener>, workers: &Workers<S>) -> io::Result<AcceptHandle> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut accepting = Accepting { dispatcher: workers.dispatcher(), open: HashMap::new() };
    {
        let _entered = runtime.enter();
        for listener in listeners {
            accepting.add(listener)?;
        }
    }
    let thread = std::thread::Builder::new().name("accept".into()).spawn(move || {
        let _watched = Watched::new("accept", Role::Jobs).on_this_thread();
        runtime.block_on(accepting.run(inbox));
    })?;
    Ok(AcceptHandle { orders: Some(orders), thread: Some(thread) })
}

/// The listeners that accept.
struct Accepting<S: Service> {
    dispatcher: Dispatcher<S>,
    open: HashMap<ListenerId, Open>,
}

/// One of them.
struct Open {
    stop: watch::Sender<bool>,
    /// One per socket.
    loops: Vec<tokio::task::JoinHandle<()>>,
}

impl<S: Service> Accepting<S> {
    /// Until nobody can give orders any more.
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Add(listener, answer) => {
                    // Who gave the order may have gone meanwhile.
                    let _ = answer.send(self.add(*listener));
                }
                Order::Remove(id, answer) => {
                    let open = self.open.remove(&id);
                    let was_open = open.is_some();
                    close(open).await;
                    let _ = answer.send(was_open);
                }
            }
        }
        close(self.open.into_values()).await;
    }

    /// To be called within the thread's runtime.
    fn add(&mut self, mut listener: BoundListener) -> io::Result<()> {
        if self.open.contains_key(&listener.id) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (stop, stopped) = watch::channel(false);
        let address = Arc::new(listener.address);
        let gate = self.dispatcher.gate();
        let shared = self.dispatcher.listener(listener.id);
        let mut loops = Vec::with_capacity(listener.sockets.len());
        for (number, fd) in listener.sockets.into_iter().enumerate() {
            loops.push(AcceptLoop {
                _listening: Listening::note(&fd),
                socket: watch_readable(fd)?,
                listener: shared.clone(),
                address: address.clone(),
                _file: listener.file.take(),
                target: match listener.config.accept {
                    AcceptMode::Balanced => None,
                    AcceptMode::ReusePort(_) => Some(number),
                },
                dispatcher: self.dispatcher.clone(),
                gate: gate.clone(),
                asked: None,
                stopped: stopped.clone(),
            });
        }
        let loops = loops.into_iter().map(|accept| tokio::spawn(accept.run())).collect();
        self.open.insert(listener.id, Open { stop, loops });
        Ok(())
    }
}

/// Closes these listeners, all at once.
async fn close(open: impl IntoIterator<Item = Open>) {
    let closing: Vec<Open> = open.into_iter().collect();
    for open in &closing {
        open.stop.send_replace(true);
    }
    for accept in closing.into_iter().flat_map(|open| open.loops) {
        if accept.await.is_err() {
            tracing::error!("accepting ended by a panic");
        }
    }
}
