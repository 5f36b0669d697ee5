//! The accept thread: the one place where connections enter.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use sidegate_api::Address;
use sidegate_files::SocketFile;
use sidegate_overload::Gate;
use sidegate_watch::{Listening, Role, Watched};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::arrivals::Arrival;
use crate::shortage::Taker;
use crate::workers::Dispatcher;
use crate::{AcceptMode, BoundListener, Service, Workers};

/// Pause after running out of descriptors or memory; accepting at once would
/// fail again and burn the core.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// How often a closed gate is looked at again.
const GATE_PAUSE: Duration = Duration::from_millis(20);
/// How often a full listener asks for room, and after how long without asking
/// that is worth a line again.
const ROOM_EVERY: Duration = Duration::from_millis(200);
const TELL_AFTER: Duration = Duration::from_secs(60);
/// Connections taken in one go before other listeners get a turn.
const BATCH: usize = 64;

/// Stops accepting when told to, or when dropped.
#[derive(Debug)]
pub struct AcceptHandle {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl AcceptHandle {
    /// Accepts what already waits in the queues, closes the listeners, and
    /// returns when that is done.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
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

/// Starts to accept on `listeners` for `workers`.
pub fn start_accepting<S: Service>(listeners: Vec<BoundListener>, workers: &Workers<S>) -> io::Result<AcceptHandle> {
    let (stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut loops = Vec::new();
    {
        let _entered = runtime.enter();
        for (index, mut listener) in listeners.into_iter().enumerate() {
            let address = Arc::new(listener.address);
            let gate = workers.gate();
            for (number, fd) in listener.sockets.into_iter().enumerate() {
                loops.push(AcceptLoop {
                    _listening: Listening::note(&fd),
                    socket: watch_readable(fd)?,
                    listener: index,
                    address: address.clone(),
                    _file: listener.file.take(),
                    target: match listener.config.accept {
                        AcceptMode::Balanced => None,
                        AcceptMode::ReusePort(_) => Some(number),
                    },
                    dispatcher: workers.dispatcher(),
                    gate: gate.clone(),
                    asked: None,
                    stopped: stopped.clone(),
                });
            }
        }
    }
    let thread = std::thread::Builder::new().name("accept".into()).spawn(move || {
        let _watched = Watched::new("accept", Role::Jobs).on_this_thread();
        runtime.block_on(async {
            let tasks: Vec<_> = loops.into_iter().map(|accept| tokio::spawn(accept.run())).collect();
            for task in tasks {
                if task.await.is_err() {
                    tracing::error!("accepting ended by a panic");
                }
            }
        });
    })?;
    Ok(AcceptHandle { stop, thread: Some(thread) })
}

// `AsyncFd::new` is deprecated for descriptor types that can lie about their
// descriptor; `OwnedFd` cannot, and the replacement is an unsafe function.
#[allow(deprecated)]
fn watch_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

struct AcceptLoop<S: Service> {
    /// Goes before the socket does.
    _listening: Listening,
    socket: AsyncFd<OwnedFd>,
    listener: usize,
    address: Arc<Address>,
    /// Removed with the socket.
    _file: Option<SocketFile>,
    /// The worker for all connections of this socket; `None`: the one with the
    /// fewest.
    target: Option<usize>,
    dispatcher: Dispatcher<S>,
    gate: Gate,
    /// When room was last asked for.
    asked: Option<Instant>,
    stopped: watch::Receiver<bool>,
}

impl<S: Service> AcceptLoop<S> {
    async fn run(mut self) {
        loop {
            let ready = tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stop| *stop) => break,
                ready = self.socket.readable() => ready,
            };
            let Ok(mut guard) = ready else { break };
            let (listener, listen) = (self.listener, &self.address);
            let outcome = accept_batch(
                self.socket.get_ref(),
                || self.gate.is_open(),
                |fd, remote| {
                    // Dropping the descriptor closes the connection of a client
                    // that has too many.
                    let Ok(ticket) = self.gate.admit(remote.as_ref().and_then(Address::ip)) else { return };
                    let arrival = Arrival { fd, listener, remote, listen: listen.clone(), ticket };
                    match self.target {
                        Some(worker) => self.dispatcher.send_to(worker, arrival),
                        None => self.dispatcher.hand_over(arrival),
                    }
                },
            );
            match outcome {
                Batch::Full => tokio::task::yield_now().await,
                Batch::Empty => guard.clear_ready(),
                // Whoever waits stays in the queue, where clients and the
                // kernel see it.
                Batch::GateClosed => {
                    drop(guard);
                    self.make_room();
                    tokio::time::sleep(GATE_PAUSE).await;
                }
                Batch::Last => {
                    drop(guard);
                    self.await_room().await;
                }
                Batch::Failed(error) => {
                    drop(guard);
                    tracing::warn!(address = %self.address, %error, "cannot accept; trying again");
                    self.dispatcher.peers.ask_for_descriptors();
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
        self.empty_queue();
    }

    /// Has idle connections make room for whoever waits, if it is the
    /// listener's own limit that keeps them out.
    #[cold]
    fn make_room(&mut self) {
        let since = self.asked.map(|asked| asked.elapsed());
        let recently = since.is_some_and(|since| since < ROOM_EVERY);
        if recently || !self.gate.wants_room() || !is_awaited(self.socket.get_ref()) {
            return;
        }
        if since.is_none_or(|since| since > TELL_AFTER) {
            tracing::warn!(address = %self.address, "overload: the listener has all its connections; idle ones close");
        }
        self.asked = Some(Instant::now());
        self.gate.ask_for_room(self.listener);
    }

    /// Until a client's descriptor can be spared. Clients wait in the queue of
    /// the system meanwhile.
    #[cold]
    async fn await_room(&mut self) {
        let has_room = |this: &Self| Taker::Accept.has_room(this.socket.get_ref().as_fd());
        if has_room(self) {
            return;
        }
        tracing::warn!(address = %self.address, "too few descriptors are left; new connections wait");
        while !has_room(self) {
            self.dispatcher.peers.ask_for_descriptors();
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(EXHAUSTED_PAUSE) => {}
            }
        }
        tracing::info!(address = %self.address, "accepting again");
    }

    /// Connections that completed their handshake are served, not reset.
    fn empty_queue(&mut self) {
        while let Batch::Full | Batch::Last = accept_batch(
            self.socket.get_ref(),
            || true,
            |fd, remote| {
                let Ok(ticket) = self.gate.admit(remote.as_ref().and_then(Address::ip)) else { return };
                let arrival = Arrival { fd, listener: self.listener, remote, listen: self.address.clone(), ticket };
                self.dispatcher.hand_over(arrival);
            },
        ) {}
    }
}

/// Whether a client waits in the queue of this socket.
fn is_awaited(socket: &impl AsFd) -> bool {
    let mut waits = [PollFd::new(socket, PollFlags::IN)];
    rustix::event::poll(&mut waits, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

enum Batch {
    /// More may wait.
    Full,
    /// Nothing waits.
    Empty,
    /// No connection may come in now.
    GateClosed,
    /// There are too few descriptors for another one.
    Last,
    /// Out of descriptors or memory, or the socket is broken.
    Failed(io::Error),
}

fn accept_batch(
    socket: &OwnedFd,
    is_open: impl Fn() -> bool,
    mut hand_over: impl FnMut(OwnedFd, Option<Address>),
) -> Batch {
    for _ in 0..BATCH {
        if !is_open() {
            return Batch::GateClosed;
        }
        match acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((fd, remote)) => {
                let last = Taker::Accept.exceeds(fd.as_fd());
                hand_over(fd, remote.and_then(address_of));
                if last {
                    return Batch::Last;
                }
            }
            Err(rustix::io::Errno::AGAIN) => return Batch::Empty,
            // The client gave up while it waited.
            Err(rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => {}
            Err(error) => return Batch::Failed(error.into()),
        }
    }
    Batch::Full
}

fn address_of(remote: SocketAddrAny) -> Option<Address> {
    std::net::SocketAddr::try_from(remote).ok().map(Address::Tcp)
}
