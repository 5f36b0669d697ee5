//! The queue of one listening socket, and what is done with who waits there.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use sidegate_api::Address;
use sidegate_files::SocketFile;
use sidegate_overload::Gate;
use sidegate_watch::Listening;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::arrivals::Arrival;
use super::refuse::{Refusal, refuse_more};
use crate::Service;
use crate::listeners::{ListenerTicket, SharedListener};
use crate::shortage::Taker;
use crate::worker::Dispatcher;

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
/// How long clients that were in the middle of their handshake when a socket
/// begins to close may take for the rest: a round trip.
const HANDSHAKES: Duration = Duration::from_millis(10);

// `AsyncFd::new` is deprecated for descriptor types that can lie about their
// descriptor; `OwnedFd` cannot, and the replacement is an unsafe function.
#[allow(deprecated)]
pub(super) fn watch_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// One socket and its way to the workers.
pub(super) struct AcceptLoop<S: Service> {
    /// Goes before the socket does.
    pub(super) _listening: Listening,
    pub(super) socket: AsyncFd<OwnedFd>,
    pub(super) listener: Arc<SharedListener>,
    pub(super) address: Arc<Address>,
    /// Removed with the socket.
    pub(super) _file: Option<SocketFile>,
    /// The worker for all connections of this socket; `None`: the one with the
    /// fewest.
    pub(super) target: Option<usize>,
    pub(super) dispatcher: Dispatcher<S>,
    pub(super) gate: Gate,
    /// When room was last asked for.
    pub(super) asked: Option<Instant>,
    pub(super) stopped: watch::Receiver<bool>,
}

impl<S: Service> AcceptLoop<S> {
    /// Accepts until it is told to stop; then nothing waits in the queue, and
    /// the socket is closed.
    pub(super) async fn run(mut self) {
        loop {
            let ready = tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stop| *stop) => break,
                ready = self.socket.readable() => ready,
            };
            let Ok(mut guard) = ready else { break };
            let (listener, listen) = (&self.listener, &self.address);
            let outcome = accept_batch(
                self.socket.get_ref(),
                || self.gate.is_open(),
                |fd, remote| {
                    // Dropping the descriptor closes the connection of a client
                    // that has too many.
                    let Ok(ticket) = self.gate.admit(remote.as_ref().and_then(Address::ip)) else { return };
                    let listener = ListenerTicket::new(listener);
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
        self.close().await;
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
        self.gate.ask_for_room(self.listener.id);
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

    /// Closes the socket without a connection lost: whoever has connected is
    /// served, and who comes later is refused.
    async fn close(mut self) {
        match refuse_more(self.socket.get_ref(), &self.address) {
            Refusal::AtOnce => self.empty_queue(),
            Refusal::AfterHandshakes => {
                self.empty_queue();
                tokio::time::sleep(HANDSHAKES).await;
                self.empty_queue();
            }
        }
    }

    /// Connections that completed their handshake are served, not reset.
    fn empty_queue(&mut self) {
        while let Batch::Full | Batch::Last = accept_batch(
            self.socket.get_ref(),
            || true,
            |fd, remote| {
                let Ok(ticket) = self.gate.admit(remote.as_ref().and_then(Address::ip)) else { return };
                let listener = ListenerTicket::new(&self.listener);
                let arrival = Arrival { fd, listener, remote, listen: self.address.clone(), ticket };
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
