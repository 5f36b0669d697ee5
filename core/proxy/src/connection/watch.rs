//! What an HTTP/2 connection is watched for.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sidegate_api::KeepAlive;
use sidegate_net::{Deadline, Deadlines};
use sidegate_stream::h2::ServerConnection;

/// A deadline for something that goes on since a certain time, if it does. It
/// has a place among the worker's deadlines only once it was needed.
#[derive(Debug)]
pub(super) struct Watchdog {
    deadlines: Rc<Deadlines>,
    place: Option<Deadline>,
    since: Option<Instant>,
}

impl Watchdog {
    pub(super) fn new(deadlines: &Rc<Deadlines>) -> Self {
        Watchdog { deadlines: deadlines.clone(), place: None, since: None }
    }

    /// Ready when what goes on `since` then has gone on for longer than
    /// `bound`.
    pub(super) fn poll(&mut self, cx: &Context<'_>, since: Option<Instant>, bound: Option<Duration>) -> Poll<()> {
        if since != self.since {
            self.since = since;
            let place = self.place.get_or_insert_with(|| self.deadlines.register());
            place.set(bound.filter(|_| since.is_some()));
        }
        match &self.place {
            Some(place) if since.is_some() => place.poll(cx),
            _ => Poll::Pending,
        }
    }
}

/// Asks a silent client whether it is there.
#[derive(Debug)]
pub(super) struct Pulse {
    keepalive: KeepAlive,
    timer: Deadline,
    /// Bytes that had been read when the timer was set.
    heard: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Listening,
    /// For the answer to a ping.
    Waiting,
}

impl Pulse {
    pub(super) fn new(deadlines: &Rc<Deadlines>, keepalive: KeepAlive) -> Self {
        let timer = deadlines.register();
        timer.set(Some(keepalive.interval));
        Pulse { keepalive, timer, heard: 0, state: State::Listening }
    }

    /// Ready when the client did not answer in time. Whoever gets `Pending`
    /// drives the connection once more if a ping was sent: see the flag.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, down: &mut ServerConnection, sent: &mut bool) -> Poll<()> {
        if self.state == State::Waiting && down.poll_pong(cx).is_ready() {
            self.listen(down);
        }
        while self.timer.poll(cx).is_ready() {
            // Whatever it sends shows that it lives.
            if down.bytes_read() != self.heard {
                self.listen(down);
            } else if self.state == State::Waiting {
                return Poll::Ready(());
            } else {
                down.ping();
                *sent = true;
                self.state = State::Waiting;
                self.timer.set(Some(self.keepalive.timeout));
            }
        }
        Poll::Pending
    }

    fn listen(&mut self, down: &ServerConnection) {
        self.heard = down.bytes_read();
        self.state = State::Listening;
        self.timer.set(Some(self.keepalive.interval));
    }
}
