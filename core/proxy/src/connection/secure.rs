//! The beginning of connections that speak TLS.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sidegate_api::{Address, ClientCertificate, Handshake, Spoken, TlsInfo, TlsMeters};
use sidegate_net::{Deadline, ListenerState, RunPhase, Socket, WorkerContext};
use sidegate_stream::h1::Server;
use sidegate_tls::{ClearText, Failure, Limits, ListenerTls, Reason, Session};

use super::{LAST_CALL, LINGER, LINGER_BYTES, SHORT_LINGER, Turn, silence_allowed};
use crate::slots::ListenerSlot;
use crate::view::ListenerView;

/// The first byte of a handshake of TLS, with which no protocol of text begins.
const HANDSHAKE: u8 = 0x16;
/// While others wait for a place, a client that has one must go on this fast:
/// longer than the longest way there and back.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that may bring requests.
pub(super) struct Secured {
    pub socket: Socket,
    /// What is spoken on it, as far as both sides have agreed.
    pub spoken: Spoken,
    /// `None`: clear text, on a port that takes both.
    pub info: Option<Box<TlsInfo>>,
}

/// Goes through the handshake with a client; `None` if nothing comes of it.
pub(super) async fn secure(
    worker: &WorkerContext,
    slot: &ListenerSlot,
    entrance: &ListenerState,
    tls: &ListenerTls,
    spoken: Spoken,
    mut socket: Socket,
    remote: &Address,
) -> Option<Secured> {
    let timer = worker.deadlines.register();
    if tls.clear_text == ClearText::Served {
        timer.set(slot.with(|listener| silence_allowed(listener, entrance, Turn::First))?);
        let first = poll_fn(|cx| match socket.poll_first_byte(cx) {
            Poll::Ready(first) => Poll::Ready(first.ok().flatten()),
            Poll::Pending => timer.poll(cx).map(|()| None),
        });
        if first.await? != HANDSHAKE {
            return Some(Secured { socket, spoken, info: None });
        }
    }
    let meters = slot.with(|listener| listener.stats.tls.clone()).flatten();
    let counted = meters.as_ref().map(TlsMeters::begin);
    socket.start_tls(Session::server(tls.contexts.get(), &tls.limits));
    let shaken = shake(entrance, &tls.limits, &timer, &mut socket, counted.as_ref()).await;
    if let Err(failure) = shaken {
        if let Some(counted) = counted {
            counted.failed(failure.reason.label());
        }
        refused(slot, &failure, &socket, remote);
        if was_answered(&failure) {
            socket.drop_tls();
            linger(worker, &timer, Server::new(socket, worker.buffers.clone())).await;
        }
        return None;
    }
    let agreed = socket.tls_agreed()?;
    let session = socket.session()?;
    let certificate = match (session.peer(), session.agreed()?.certificate) {
        (Some(_), _) => ClientCertificate::Verified,
        (None, true) => ClientCertificate::Unverified,
        (None, false) => ClientCertificate::None,
    };
    if let Some(counted) = counted {
        counted.finished_with(&agreed, certificate);
    }
    let info = TlsInfo {
        agreed,
        server_name: session.agreed()?.server_name.unwrap_or_default().to_owned(),
        peer: socket.peer(),
        own: session.context()?.own().clone(),
    };
    if let Some(meters) = &meters {
        socket.count_tls_failure(meters);
    }
    let spoken = match agreed.alpn {
        "h2" => Spoken::Http2,
        "http/1.1" => Spoken::Http1,
        _ => spoken,
    };
    Some(Secured { socket, spoken, info: Some(Box::new(info)) })
}

/// Goes through a handshake, step by step, once there is a place for it. Who
/// has sent nothing holds none, and little memory.
async fn shake(
    entrance: &ListenerState,
    limits: &Limits,
    timer: &Deadline,
    socket: &mut Socket,
    counted: Option<&Handshake>,
) -> Result<(), Failure> {
    let end = Instant::now() + limits.handshake_timeout;
    timer.set(Some(limits.handshake_timeout));
    in_time_of(entrance, timer, |cx| socket.poll_handshake_wakes(cx)).await.ok_or_else(Failure::timeout)?;
    let mut place = entrance.handshakes.ask(limits.handshakes);
    if !place.is_there() {
        if entrance.handshakes.waiting() > limits.waiting {
            return Err(Failure::crowded());
        }
        let waits = counted.map(Handshake::waits);
        in_time(timer, |cx| place.poll(cx)).await.ok_or_else(Failure::timeout)?;
        drop(waits);
    }
    loop {
        {
            let mut turn = pin!(entrance.handshake_steps.step(limits.steps));
            in_time(timer, |cx| turn.as_mut().poll(cx)).await.ok_or_else(Failure::timeout)?;
        }
        if let Poll::Ready(shaken) = poll_fn(|cx| Poll::Ready(socket.poll_handshake(cx))).await {
            return shaken;
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            timer.set(Some(left.min(PATIENCE)));
            if in_time_of(entrance, timer, |cx| socket.poll_handshake_wakes(cx)).await.is_some() {
                break;
            }
            if left <= PATIENCE || entrance.phase() != RunPhase::Running {
                return Err(Failure::timeout());
            }
            if entrance.handshakes.waiting() > 0 {
                return Err(Failure::crowded());
            }
        }
        timer.set(Some(end.saturating_duration_since(Instant::now())));
    }
}

/// The same of a client that may go on for a last while during a drain.
async fn in_time_of<T>(
    entrance: &ListenerState,
    timer: &Deadline,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let mut known = RunPhase::Running;
    in_time(timer, |cx| {
        if entrance.phase() != known {
            known = entrance.phase();
            timer.set(Some(LAST_CALL));
        }
        poll(cx)
    })
    .await
}

/// `None`: the time is over.
async fn in_time<T>(timer: &Deadline, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}

/// Whether the client was told what is wrong: an alert, or a word in clear
/// text.
fn was_answered(failure: &Failure) -> bool {
    !matches!(failure.reason, Reason::Truncated | Reason::Connection | Reason::Timeout | Reason::Crowded)
}

/// Closing with unread bytes would reset the connection and could take the
/// answer with it: clients of TLS 1.3 send their request at once.
#[cold]
async fn linger(worker: &WorkerContext, timer: &Deadline, mut down: Server) {
    timer.set(Some(if worker.ledger.is_tight() { SHORT_LINGER } else { LINGER }));
    let mut left = LINGER_BYTES;
    poll_fn(|cx| match down.poll_linger(cx, &mut left) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timer.poll(cx),
    })
    .await;
}

/// Says why nothing came of a handshake. Clients that go away before they have
/// said anything are checks of load balancers.
#[cold]
fn refused(slot: &ListenerSlot, failure: &Failure, socket: &Socket, remote: &Address) {
    let of_listener = |listener: &ListenerView| (listener.config.listener.clone(), listener.complaints.clone());
    let Some((listener, complaints)) = slot.with(of_listener) else { return };
    let (reason, why) = (failure.reason.label(), failure);
    let is_silent = matches!(failure.reason, Reason::Truncated | Reason::Connection)
        && !socket.session().is_some_and(Session::has_heard);
    if is_silent {
        tracing::debug!(listener = &*listener, peer = %remote, reason, %why, "no TLS session");
    } else if let Some(unsaid) = complaints.admit(Instant::now()) {
        tracing::info!(listener = &*listener, peer = %remote, reason, %why, unsaid, "no TLS session");
    }
}
