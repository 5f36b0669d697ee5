//! The beginning of connections that speak TLS.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use sidegate_api::{Address, ClientCertificate, Spoken, TlsInfo, TlsMeters};
use sidegate_net::{Deadline, ListenerState, Socket, WorkerContext};
use sidegate_stream::h1::Server;
use sidegate_tls::{ClearText, Failure, ListenerTls, Reason, Session};

use super::{LINGER, LINGER_BYTES, SHORT_LINGER, Turn, silence_allowed};
use crate::slots::ListenerSlot;
use crate::view::ListenerView;

/// The first byte of a handshake of TLS, with which no protocol of text begins.
const HANDSHAKE: u8 = 0x16;

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
    timer.set(Some(tls.limits.handshake_timeout));
    let shaken = poll_fn(|cx| match socket.poll_handshake(cx) {
        Poll::Ready(shaken) => Poll::Ready(shaken),
        Poll::Pending => timer.poll(cx).map(|()| Err(Failure::timeout())),
    });
    if let Err(failure) = shaken.await {
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
        peer_subject: session.peer().map(|peer| peer.subject().to_owned()),
    };
    let spoken = match agreed.alpn {
        "h2" => Spoken::Http2,
        "http/1.1" => Spoken::Http1,
        _ => spoken,
    };
    Some(Secured { socket, spoken, info: Some(Box::new(info)) })
}

/// Whether the client was told what is wrong: an alert, or a word in clear
/// text.
fn was_answered(failure: &Failure) -> bool {
    !matches!(failure.reason, Reason::Truncated | Reason::Connection | Reason::Timeout)
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
