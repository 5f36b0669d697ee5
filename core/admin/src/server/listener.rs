//! The listening socket: TCP or Unix.

use std::fs;
use std::io;
use std::net::{self, IpAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net as unix;
use std::path::Path;

use sidegate_api::Address;
use sidegate_files::{SocketFile, remove_stale};
use sidegate_watch::Listening;
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// An address of the admin interface or of metrics cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin interface or metrics: {source}")]
pub struct BindError {
    /// The address.
    pub address: Address,
    /// Why.
    pub source: io::Error,
}

/// Who may connect to a Unix socket: permission bits of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub u32);

impl Default for SocketMode {
    /// Whoever may connect may change log levels: the owner alone.
    fn default() -> Self {
        SocketMode(0o600)
    }
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

#[derive(Debug)]
pub(super) struct BoundListener {
    /// Goes before the socket does.
    listening: Listening,
    socket: Socket,
    local: Address,
    file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(net::TcpListener),
    Unix(unix::UnixListener),
}

/// A listener on the runtime.
#[derive(Debug)]
pub(super) struct Listener {
    /// Goes before the socket does.
    _listening: Listening,
    socket: TokioSocket,
}

#[derive(Debug)]
enum TokioSocket {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removed when the listener goes.
        _file: Option<SocketFile>,
    },
}

/// A connection.
pub(super) enum Accepted {
    Tcp(TcpStream, IpAddr),
    /// With the user of the other end, if it can be told.
    Unix(UnixStream, Option<u32>),
}

impl BoundListener {
    pub(super) fn bind(address: &Address, mode: SocketMode) -> Result<Self, BindError> {
        let bound = match address {
            Address::Tcp(socket) => bind_tcp(*socket),
            Address::Unix(path) => bind_unix(path, mode),
        };
        bound.map_err(|source| BindError { address: address.clone(), source })
    }

    pub(super) fn local_address(&self) -> &Address {
        &self.local
    }

    /// Hands the socket to the current runtime.
    pub(super) fn into_tokio(self) -> io::Result<Listener> {
        let socket = match self.socket {
            Socket::Tcp(socket) => TokioSocket::Tcp(TcpListener::from_std(socket)?),
            Socket::Unix(socket) => TokioSocket::Unix { listener: UnixListener::from_std(socket)?, _file: self.file },
        };
        Ok(Listener { _listening: self.listening, socket })
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            TokioSocket::Tcp(socket) => socket.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer.ip())),
            TokioSocket::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| {
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                Accepted::Unix(stream, user)
            }),
        }
    }
}

fn bind_tcp(address: net::SocketAddr) -> io::Result<BoundListener> {
    let socket = net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    let local = Address::Tcp(socket.local_addr()?);
    Ok(BoundListener { listening: Listening::note(&socket), socket: Socket::Tcp(socket), local, file: None })
}

fn bind_unix(path: &Path, mode: SocketMode) -> io::Result<BoundListener> {
    remove_stale(path)?;
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    // Before it listens nobody can connect, whatever the mode is until here.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    socket.listen(BACKLOG)?;
    Ok(BoundListener {
        listening: Listening::note(&socket),
        socket: Socket::Unix(socket.into()),
        local: Address::Unix(path.to_path_buf()),
        file: Some(file),
    })
}
