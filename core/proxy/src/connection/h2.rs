//! A connection of HTTP/2: its own task accepts streams and moves their frames;
//! between streams it holds no kit and nothing of a configuration.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sidegate_api::Http2Settings;
use sidegate_net::{Deadline, RunPhase, Socket, WorkerContext};
use sidegate_overload::{IdleTask, IdleVisit};
use sidegate_stream::Reason;
use sidegate_stream::h2::{ConnectionFault, Counts, ServerConnection};

use super::h2_stream::Connection;
use super::watch::{Pulse, Watchdog};
use super::{Here, LAST_CALL, LINGER, LINGER_BYTES, SHORT_LINGER, StreamRunners, Turn, silence_allowed};
use crate::slots::ListenerSlot;
use crate::view::ListenerView;

/// Idle time after which memory is given back that the next burst would need
/// again.
const SETTLE: Duration = Duration::from_secs(1);

/// How a connection came to its end.
enum Ended {
    /// In order, or by the client.
    Closed,
    Faulty(ConnectionFault),
    /// The client takes nothing, or does not answer.
    Dead,
    /// The connection failed.
    Failed,
}

/// Serves `socket`, from which `early` bytes were read before, to its end.
pub(super) async fn serve(
    worker: Rc<WorkerContext>,
    runners: Rc<StreamRunners>,
    slot: Rc<ListenerSlot>,
    here: Here,
    socket: Socket,
    early: Vec<u8>,
) {
    let Some(settings) = slot.with(|listener| listener.config.http2) else { return };
    let shared = Connection::new(worker.clone(), runners, slot, here);
    let mut cut = Cut { shared: shared.clone(), armed: true };
    let mut driver = Driver::new(shared, socket, early, &settings);
    let ended = poll_fn(|cx| driver.poll(cx)).await;
    cut.armed = false;
    match ended {
        Ended::Dead => driver.down.reset_on_close(),
        Ended::Failed => {}
        Ended::Closed | Ended::Faulty(_) => {
            if let Ended::Faulty(fault) = &ended {
                driver.tell_fault(fault);
            }
            // One that ended in order has nothing more to say that would count.
            let short = worker.ledger.is_tight() || matches!(ended, Ended::Closed);
            driver.silence.set(Some(if short { SHORT_LINGER } else { LINGER }));
            let mut left = LINGER_BYTES;
            poll_fn(|cx| match driver.down.poll_close(cx, &mut left) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => driver.silence.poll(cx),
            })
            .await;
        }
    }
    driver.tell();
}

/// Ends the streams of a connection whose task is dropped: the drain time is
/// up, or a bug unwound through it.
struct Cut {
    shared: Rc<Connection>,
    armed: bool,
}

impl Drop for Cut {
    fn drop(&mut self) {
        if self.armed {
            self.shared.abort_streams();
        }
    }
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Serving,
    /// It takes no more streams.
    Leaving,
}

struct Driver {
    shared: Rc<Connection>,
    down: ServerConnection,
    course: Course,
    turn: Turn,
    /// While no stream is open.
    visit: Option<IdleVisit>,
    /// How long it may be idle, or take to end.
    silence: Deadline,
    /// Memory is kept so long.
    settle: Option<Deadline>,
    life: Option<Deadline>,
    age_grace: Duration,
    pulse: Option<Pulse>,
    /// A client that takes nothing.
    stuck: Watchdog,
    /// A head that does not come to its end.
    head: Watchdog,
    accepted: u64,
    /// What statistics know.
    told: Counts,
    told_refused: u64,
}

impl Driver {
    fn new(shared: Rc<Connection>, socket: Socket, early: Vec<u8>, settings: &Http2Settings) -> Self {
        let deadlines = &shared.worker.deadlines;
        let life = settings.max_age.map(|age| {
            let life = deadlines.register();
            life.set(Some(age));
            life
        });
        Driver {
            down: ServerConnection::new(socket, early, settings),
            course: Course::Serving,
            turn: Turn::First,
            visit: None,
            silence: deadlines.register(),
            settle: None,
            life,
            age_grace: settings.age_grace,
            pulse: settings.keepalive.map(|keepalive| Pulse::new(deadlines, keepalive)),
            stuck: Watchdog::new(deadlines),
            head: Watchdog::new(deadlines),
            accepted: 0,
            told: Counts::default(),
            told_refused: 0,
            shared,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.shared.note_waker(cx.waker());
        loop {
            while let Poll::Ready(accepted) = self.down.poll_accept(cx) {
                match accepted {
                    Ok(Some(incoming)) => {
                        self.accepted += 1;
                        self.turn = Turn::Later;
                        self.shared.spawn(incoming);
                    }
                    Ok(None) => return Poll::Ready(Ended::Closed),
                    Err(ConnectionFault::Io(_)) => return Poll::Ready(Ended::Failed),
                    Err(fault) => return Poll::Ready(Ended::Faulty(fault)),
                }
            }
            self.tell();
            match ready!(self.poll_rest(cx)) {
                Next::Drive => {}
                Next::End(ended) => return Poll::Ready(ended),
            }
        }
    }

    /// Everything but frames.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let end = |ended| Poll::Ready(Next::End(ended));
        self.note_idle();
        if self.course == Course::Serving && self.shared.here.entrance.phase() != RunPhase::Running {
            return self.leave(None);
        }
        if let Some(visit) = &mut self.visit {
            match self.shared.worker.ledger.idle.heed(visit) {
                None => {}
                Some(IdleTask::Close) => return self.leave(Some(LAST_CALL)),
                Some(IdleTask::Slim) => self.down.slim(),
            }
        }
        if self.silence.poll(cx).is_ready() {
            return match self.course {
                Course::Serving if self.down.is_open() => self.leave(Some(LAST_CALL)),
                _ => {
                    self.shared.abort_streams();
                    self.down.abort(None);
                    end(Ended::Closed)
                }
            };
        }
        if let Some(settle) = &self.settle
            && settle.poll(cx).is_ready()
        {
            settle.set(None);
            self.down.slim();
        }
        if let Some(life) = &self.life
            && life.poll(cx).is_ready()
        {
            self.life = None;
            return self.leave(Some(self.age_grace));
        }
        if let Some(pulse) = &mut self.pulse {
            let mut sent = false;
            if pulse.poll(cx, &mut self.down, &mut sent).is_ready() {
                self.shared.here.counted.0.http2.ping_timed_out();
                return end(Ended::Dead);
            }
            if sent {
                return Poll::Ready(Next::Drive);
            }
        }
        self.poll_stalls(cx)
    }

    /// What the client leaves undone in the middle.
    fn poll_stalls(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let (stuck, head) = (self.down.stuck_since(), self.down.head_since());
        let bounds = |listener: &ListenerView| {
            let timeouts = &listener.config.timeouts;
            (timeouts.response_write_idle, timeouts.request_header)
        };
        // Most of the time there is nothing to look up.
        let (write, header) = match (stuck, head) {
            (None, None) => (None, None),
            _ => self.shared.slot.with(bounds).unwrap_or_default(),
        };
        if self.stuck.poll(cx, stuck, write).is_ready() {
            return Poll::Ready(Next::End(Ended::Dead));
        }
        if self.head.poll(cx, head, header).is_ready() {
            self.down.abort(Some(Reason::TooMuch));
            return Poll::Ready(Next::End(Ended::Faulty(ConnectionFault::SlowHead)));
        }
        Poll::Pending
    }

    /// Takes no more streams; `grace`: how long it may still take to end.
    fn leave(&mut self, grace: Option<Duration>) -> Poll<Next> {
        self.course = Course::Leaving;
        self.down.go_away();
        let idle = self.visit.take().is_some();
        self.silence.set(if idle { Some(LAST_CALL) } else { grace });
        Poll::Ready(Next::Drive)
    }

    /// Whether streams are open may have changed.
    fn note_idle(&mut self) {
        let idle = self.shared.open() == 0 && !self.down.has_streams();
        match (self.course, idle, self.visit.is_some()) {
            (Course::Serving, true, false) => {
                let worker = &self.shared.worker;
                let entrance = &self.shared.here.entrance;
                let allowed = |listener: &ListenerView| silence_allowed(listener, entrance, self.turn);
                self.silence.set(self.shared.slot.with(allowed).unwrap_or(Some(Duration::ZERO)));
                self.visit = Some(worker.ledger.idle.enter(entrance.id()));
                if self.turn == Turn::Later {
                    self.settle.get_or_insert_with(|| worker.deadlines.register()).set(Some(SETTLE));
                }
            }
            (Course::Serving, false, true) => {
                self.visit = None;
                self.silence.set(None);
                if let Some(settle) = &self.settle {
                    settle.set(None);
                }
            }
            (Course::Leaving, true, _) if !self.silence.is_set() => self.silence.set(Some(LAST_CALL)),
            _ => {}
        }
    }

    /// Brings statistics up to date.
    fn tell(&mut self) {
        let here = &self.shared.here;
        here.counted.traffic(self.down.new_traffic());
        let counts = self.down.counts();
        // A head that is not whole may become a request.
        let refused = match self.down.head_since() {
            None => counts.opened.saturating_sub(self.accepted),
            Some(_) => self.told_refused,
        };
        let stats = &here.counted.0.http2;
        if counts != self.told || refused > self.told_refused {
            stats.opened(counts.opened - self.told.opened);
            stats
                .resets(counts.resets_received - self.told.resets_received, counts.resets_sent - self.told.resets_sent);
            stats.goaways(
                counts.goaways_received - self.told.goaways_received,
                counts.goaways_sent - self.told.goaways_sent,
            );
            stats.heads_refused(refused.saturating_sub(self.told_refused));
            self.told = counts;
            self.told_refused = self.told_refused.max(refused);
        }
    }

    #[cold]
    fn tell_fault(&self, fault: &ConnectionFault) {
        let here = &self.shared.here;
        tracing::debug!(%fault, remote = here.info.remote.as_str(), "HTTP/2 connection ended");
        here.counted.0.http2.refused(fault.name());
    }
}

enum Next {
    /// Frames may have to go out.
    Drive,
    End(Ended),
}
