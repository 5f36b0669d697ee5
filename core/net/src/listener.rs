//! Binding listening sockets.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use sidegate_api::Address;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{AcceptMode, ListenerConfig};

/// A listening socket, not yet accepting.
#[derive(Debug)]
pub struct BoundListener {
    /// Its configuration.
    pub config: Arc<ListenerConfig>,
    /// The address it got: the port is real where the configuration says 0.
    pub address: Address,
    /// One socket, or one per worker with [`AcceptMode::ReusePort`].
    pub sockets: Vec<OwnedFd>,
}

/// A listening socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("listener \"{listener}\": cannot listen on {address}: {source}{hint}")]
pub struct BindError {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Its address.
    pub address: Address,
    /// Extra advice, or empty.
    pub hint: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// Binds and listens. A second process on the same address fails here, loudly.
pub fn bind(config: Arc<ListenerConfig>, workers: usize) -> Result<BoundListener, BindError> {
    let result = match &config.address {
        Address::Tcp(_) => bind_tcp(&config, workers),
        Address::Unix(path) => bind_unix(&config, path),
    };
    result.map(|(address, sockets)| BoundListener { config: config.clone(), address, sockets }).map_err(|source| {
        BindError {
            listener: config.name.clone(),
            address: config.address.clone(),
            hint: match source.kind() {
                io::ErrorKind::AddrInUse => " (another process holds it, or an earlier one has not ended)",
                io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
                _ => "",
            },
            source,
        }
    })
}

fn bind_tcp(config: &ListenerConfig, workers: usize) -> io::Result<(Address, Vec<OwnedFd>)> {
    let mut address = config.address.socket_addr().ok_or(io::ErrorKind::InvalidInput)?;
    let count = match config.accept {
        AcceptMode::Balanced => 1,
        AcceptMode::ReusePort => workers,
    };
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), None)?;
        // Lets a restart bind while old connections are in TIME_WAIT; a live
        // listener on the port still makes bind fail.
        socket.set_reuse_address(true)?;
        if config.accept == AcceptMode::ReusePort {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            address = bound;
        }
        sockets.push(socket.into());
    }
    Ok((Address::Tcp(address), sockets))
}

fn bind_unix(config: &ListenerConfig, path: &Path) -> io::Result<(Address, Vec<OwnedFd>)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    let address = SockAddr::unix(path)?;
    if let Err(error) = socket.bind(&address) {
        // A socket file that nobody listens on is left from a process that
        // ended; one that answers is in use.
        let stale = error.kind() == io::ErrorKind::AddrInUse
            && std::os::unix::net::UnixStream::connect(path)
                .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        if !stale {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    Ok((config.address.clone(), vec![socket.into()]))
}
