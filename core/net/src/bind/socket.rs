//! Binding listening sockets.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use sidegate_api::Address;
use sidegate_files::{SocketFile, remove_stale};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{AcceptMode, ListenerConfig, ListenerId, PortSharing};

/// A listening socket, not yet accepting.
#[derive(Debug)]
pub struct BoundListener {
    /// What it is known by from now on.
    pub id: ListenerId,
    /// Its configuration.
    pub config: Arc<ListenerConfig>,
    /// The address it got: the port is real where the configuration says 0.
    pub address: Address,
    /// One socket, or one per worker with [`AcceptMode::ReusePort`].
    pub sockets: Vec<OwnedFd>,
    /// The file of a Unix socket, which goes with it.
    pub file: Option<SocketFile>,
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
pub fn bind(id: ListenerId, config: Arc<ListenerConfig>, workers: usize) -> Result<BoundListener, BindError> {
    let result = match &config.address {
        Address::Tcp(_) => bind_tcp(&config, workers).map(|(address, sockets)| (address, sockets, None)),
        Address::Unix(path) => bind_unix(&config, path),
    };
    match result {
        Ok((address, sockets, file)) => Ok(BoundListener { id, config, address, sockets, file }),
        Err(source) => Err(BindError {
            listener: config.name.clone(),
            address: config.address.clone(),
            hint: hint(&config, &source),
            source,
        }),
    }
}

fn hint(config: &ListenerConfig, error: &io::Error) -> &'static str {
    match (error.kind(), &config.address) {
        (io::ErrorKind::AddrInUse, Address::Unix(path)) if !is_socket(path) => {
            " (what is there is no socket, and stays as it is)"
        }
        (io::ErrorKind::AddrInUse, Address::Tcp(_)) if config.accept == AcceptMode::ReusePort(PortSharing::Alone) => {
            " (another process holds it; `reuseport_overlap` permits one of the same user beside this one)"
        }
        (io::ErrorKind::AddrInUse, _) => " (another process holds it, or an earlier one has not ended)",
        (io::ErrorKind::PermissionDenied, _) => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

fn bind_tcp(config: &ListenerConfig, workers: usize) -> io::Result<(Address, Vec<OwnedFd>)> {
    let mut address = config.address.socket_addr().ok_or(io::ErrorKind::InvalidInput)?;
    let count = match config.accept {
        AcceptMode::Balanced => 1,
        AcceptMode::ReusePort(sharing) => {
            if sharing == PortSharing::Alone {
                // Without the option a bind fails if anybody listens there;
                // with it, processes of one user share without a word.
                tcp_socket(address)?.bind(&address.into())?;
            }
            workers
        }
    };
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = tcp_socket(address)?;
        if matches!(config.accept, AcceptMode::ReusePort(_)) {
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

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), None)?;
    // Lets a restart bind while old connections are in TIME_WAIT; a live
    // listener on the port still makes bind fail.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn bind_unix(config: &ListenerConfig, path: &Path) -> io::Result<(Address, Vec<OwnedFd>, Option<SocketFile>)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    remove_stale(path)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    // Before anybody can connect.
    if let Some(mode) = config.socket_mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    Ok((config.address.clone(), vec![socket.into()], Some(file)))
}
