//! Sockets to hosts, up to where requests may go over them.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use sidegate_api::{Handshake, Protocol, TlsAgreed, TlsMeters};
use sidegate_net::{Socket, connect};
use sidegate_tls::Failure;
use sidegate_upstream::HostTls;

use crate::view::ClusterView;

/// How far a dial has come, for whoever gives it up.
#[derive(Default)]
pub(super) struct Progress {
    /// The host has taken the connection, and is to speak TLS.
    shaking: Cell<bool>,
    counted: Cell<Option<Handshake>>,
}

impl Progress {
    /// The error of a dial that takes too long.
    #[cold]
    pub(super) fn timeout(&self) -> io::Error {
        if !self.shaking.get() {
            return io::ErrorKind::TimedOut.into();
        }
        self.failed(Failure::timeout())
    }

    fn failed(&self, failure: Failure) -> io::Error {
        if let Some(counted) = self.counted.take() {
            counted.failed(failure.reason.label());
        }
        failure.into()
    }
}

/// A socket to the host at `position` over which `protocol` may be spoken; in
/// TLS under `name`, if there is one. The caller bounds the time.
pub(super) async fn dial(
    cluster: &ClusterView,
    position: usize,
    name: Option<&Arc<str>>,
    protocol: Protocol,
    progress: &Progress,
) -> io::Result<Socket> {
    let member = &cluster.cluster.members()[position];
    let socket = connect(member.host.address()).await?;
    match cluster.cluster.tls(member) {
        None => Ok(socket),
        // Boxed: connections in clear text are not to be as large.
        Some(tls) => {
            let tls = match name {
                Some(name) => tls.under(name),
                None => tls,
            };
            progress.shaking.set(true);
            progress.counted.set(cluster.cluster.tls_meters().map(TlsMeters::begin));
            Box::pin(secure(socket, tls, protocol, progress)).await
        }
    }
}

async fn secure(socket: Socket, tls: HostTls, protocol: Protocol, progress: &Progress) -> io::Result<Socket> {
    match shake(socket, tls, protocol).await {
        Ok((mut socket, agreed)) => {
            if let Some(counted) = progress.counted.take() {
                socket.count_tls_failure(counted.meters());
                counted.finished(&agreed);
            }
            Ok(socket)
        }
        Err(failure) => Err(progress.failed(failure)),
    }
}

async fn shake(mut socket: Socket, tls: HostTls, protocol: Protocol) -> Result<(Socket, TlsAgreed), Failure> {
    let wanted = if protocol == Protocol::Http2 { "h2" } else { "http/1.1" };
    socket.start_tls(tls.session(&[wanted])?);
    poll_fn(|cx| socket.poll_handshake(cx)).await?;
    let agreed = socket.tls_agreed().ok_or_else(Failure::alpn)?;
    // A host that speaks of none speaks what is asked for.
    match agreed.alpn {
        "" => Ok((socket, agreed)),
        alpn if alpn == wanted => Ok((socket, agreed)),
        _ => Err(Failure::alpn()),
    }
}
