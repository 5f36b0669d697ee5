//! Sockets to hosts, up to where requests may go over them.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;

use sidegate_api::{Protocol, TlsAgreed, TlsMeters};
use sidegate_net::{Socket, connect};
use sidegate_tls::Failure;
use sidegate_upstream::HostTls;

use crate::view::ClusterView;

/// How far a dial has come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Progress {
    Connecting,
    /// The host has taken the connection, and is to speak TLS.
    Shaking,
}

impl Progress {
    /// The error of a dial that was given up.
    #[cold]
    pub(super) fn timeout(self) -> io::Error {
        match self {
            Progress::Connecting => io::ErrorKind::TimedOut.into(),
            Progress::Shaking => Failure::timeout().into(),
        }
    }
}

/// A socket to the host at `position` over which `protocol` may be spoken. The
/// caller bounds the time.
pub(super) async fn dial(
    cluster: &ClusterView,
    position: usize,
    protocol: Protocol,
    progress: &Cell<Progress>,
) -> io::Result<Socket> {
    let member = &cluster.cluster.members()[position];
    let socket = connect(member.host.address()).await?;
    match cluster.cluster.tls(member) {
        None => Ok(socket),
        // Boxed: connections in clear text are not to be as large.
        Some(tls) => {
            progress.set(Progress::Shaking);
            Box::pin(secure(socket, tls, protocol, cluster)).await
        }
    }
}

async fn secure(socket: Socket, tls: HostTls, protocol: Protocol, cluster: &ClusterView) -> io::Result<Socket> {
    let counted = cluster.cluster.tls_meters().map(TlsMeters::begin);
    let shaken = shake(socket, tls, protocol).await;
    match (shaken, counted) {
        (Ok((socket, agreed)), counted) => {
            counted.into_iter().for_each(|counted| counted.finished(&agreed));
            Ok(socket)
        }
        (Err(failure), counted) => {
            counted.into_iter().for_each(|counted| counted.failed(failure.reason.label()));
            Err(failure.into())
        }
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
