//! The task that moves an upstream connection's bytes.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::Connection;
use h2::{Ping, PingPong};
use sidegate_net::{Deadline, Deadlines};

use super::connection::ClientConnection;
use super::watcher::Cause;
use crate::h2::{Guard, KeepAlive};

/// How long a host may take to read our goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    GoOn,
    /// Say goodbye.
    End,
    /// End at once.
    Cut,
}

pub(super) fn spawn(
    driven: Connection<Guard, Bytes>,
    guard: Guard,
    connection: Rc<ClientConnection>,
    keepalive: Option<KeepAlive>,
    deadlines: Rc<Deadlines>,
) {
    let mut drive = Drive { driven, guard, connection, pinger: None, deadlines, goodbye: None };
    if let Some(keepalive) = keepalive
        && let Some(ping) = drive.driven.ping_pong()
    {
        drive.pinger = Some(Pinger::new(ping, keepalive, drive.deadlines.register()));
    }
    tokio::task::spawn_local(async move {
        poll_fn(|cx| drive.poll(cx)).await;
    });
}

struct Drive {
    driven: Connection<Guard, Bytes>,
    guard: Guard,
    connection: Rc<ClientConnection>,
    pinger: Option<Pinger>,
    deadlines: Rc<Deadlines>,
    /// Until then the host may read our goodbye.
    goodbye: Option<Deadline>,
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.connection.closed();
    }
}

impl Drive {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let orders = self.connection.orders(cx);
        if orders == Orders::Cut {
            return Poll::Ready(());
        }
        let driven = Pin::new(&mut self.driven).poll(cx).map_err(Into::into);
        let ended = match (driven, self.guard.poll_write_out(cx)) {
            (Poll::Ready(ended), _) => Some(ended),
            (Poll::Pending, Poll::Ready(Err(error))) => Some(Err(Box::<dyn Error>::from(error))),
            (Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => None,
        };
        if let Some(ended) = ended {
            if let Err(error) = ended {
                tracing::debug!(connection = ?self.connection, %error, "an upstream connection failed");
            }
            return Poll::Ready(());
        }
        if let Some(kind) = self.guard.refused() {
            self.connection.ends(Cause::Flood(kind));
            return Poll::Ready(());
        }
        if orders == Orders::End {
            let deadlines = &self.deadlines;
            let goodbye = self.goodbye.get_or_insert_with(|| {
                let deadline = deadlines.register();
                deadline.set(Some(GOODBYE));
                deadline
            });
            return goodbye.poll(cx);
        }
        let goodbyes = self.guard.counts().goaways_received;
        self.connection.host_says(self.driven.max_concurrent_send_streams(), goodbyes);
        if self.connection.streams() == 0 {
            self.guard.release();
        }
        if let Some(pinger) = &mut self.pinger
            && pinger.poll(cx, self.guard.traffic().read).is_ready()
        {
            self.connection.ends(Cause::Silent);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// Asks a host that says nothing whether it is still there.
struct Pinger {
    ping: PingPong,
    times: KeepAlive,
    deadline: Deadline,
    state: Asked,
    /// Bytes that had come when the deadline was set.
    read: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

impl Pinger {
    fn new(ping: PingPong, times: KeepAlive, deadline: Deadline) -> Self {
        deadline.set(Some(times.interval));
        Pinger { ping, times, deadline, state: Asked::No, read: 0 }
    }

    /// Ready when the host is taken for dead; `read` bytes have come so far.
    fn poll(&mut self, cx: &mut Context<'_>, read: u64) -> Poll<()> {
        if self.state == Asked::Yes && self.ping.poll_pong(cx).is_ready() {
            self.wait(Asked::No, self.times.interval, read);
        }
        while self.deadline.poll(cx).is_ready() {
            match (self.state, read > self.read) {
                // Something came; the answer to a ping may stand behind it.
                (state, true) => {
                    let time = if state == Asked::No { self.times.interval } else { self.times.timeout };
                    self.wait(state, time, read);
                }
                (Asked::No, false) => {
                    if self.ping.send_ping(Ping::opaque()).is_err() {
                        // The connection is at its end.
                        self.deadline.set(None);
                        return Poll::Pending;
                    }
                    self.wait(Asked::Yes, self.times.timeout, read);
                    // Registers for the answer.
                    if self.ping.poll_pong(cx).is_ready() {
                        self.wait(Asked::No, self.times.interval, read);
                    }
                }
                (Asked::Yes, false) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn wait(&mut self, state: Asked, time: Duration, read: u64) {
        self.deadline.set(Some(time));
        (self.state, self.read) = (state, read);
    }
}
