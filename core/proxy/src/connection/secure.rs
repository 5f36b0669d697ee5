//! The beginning of connections that speak TLS.

use std::future::poll_fn;
use std::task::Poll;

use sidegate_api::{Spoken, TlsInfo};
use sidegate_net::{ListenerState, Socket, WorkerContext};
use sidegate_tls::{ClearText, Failure, ListenerTls, Reason, Session};

use super::{Turn, silence_allowed};
use crate::slots::ListenerSlot;

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
    socket.start_tls(Session::server(tls.contexts.clone(), &tls.limits));
    timer.set(Some(tls.limits.handshake_timeout));
    let shaken = poll_fn(|cx| match socket.poll_handshake(cx) {
        Poll::Ready(shaken) => Poll::Ready(shaken),
        Poll::Pending => timer.poll(cx).map(|()| Err(Failure::timeout())),
    });
    if let Err(failure) = shaken.await {
        refused(slot, &failure);
        return None;
    }
    let agreed = socket.tls_agreed()?;
    let session = socket.session()?;
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

/// Says why nothing came of a handshake. Clients that go away before they have
/// said anything are checks of load balancers.
#[cold]
fn refused(slot: &ListenerSlot, failure: &Failure) {
    let listener = slot.with(|listener| listener.config.listener.clone());
    let listener = listener.as_deref().unwrap_or_default();
    let (reason, why) = (failure.reason.label(), failure);
    match failure.reason {
        Reason::Truncated | Reason::Connection => tracing::debug!(listener, reason, %why, "no TLS session"),
        _ => tracing::info!(listener, reason, %why, "no TLS session"),
    }
}
