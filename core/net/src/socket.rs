//! A connected stream socket: what TLS will later wrap.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use sidegate_api::Address;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::ReadBuffer;

/// A connected socket on this worker's reactor.
#[derive(Debug)]
pub enum Socket {
    /// TCP, without delay.
    Tcp(TcpStream),
    /// Unix stream.
    Unix(UnixStream),
}

impl Socket {
    /// Takes over an accepted, non-blocking descriptor.
    pub fn from_fd(fd: OwnedFd, address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(_) => {
                let stream = std::net::TcpStream::from(fd);
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(TcpStream::from_std(stream)?))
            }
            Address::Unix(_) => Ok(Socket::Unix(UnixStream::from_std(std::os::unix::net::UnixStream::from(fd))?)),
        }
    }

    /// Our address.
    pub fn local_address(&self) -> io::Result<Address> {
        match self {
            Socket::Tcp(stream) => stream.local_addr().map(Address::Tcp),
            Socket::Unix(stream) => {
                Ok(Address::Unix(stream.local_addr()?.as_pathname().map(Into::into).unwrap_or_default()))
            }
        }
    }

    /// Ready when there are bytes, an end or an error to read. Needs no
    /// buffer, so an idle connection holds none.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Reads into `buffer`, which grows to at most `max` bytes. 0: the peer
    /// has ended its side, or the buffer is full.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuffer, max: usize) -> Poll<io::Result<usize>> {
        if !buffer.has_memory() {
            // Memory is borrowed only once there is something to read: a
            // stream that waits for its upstream holds none.
            ready!(self.poll_readable(cx))?;
        }
        let mut room = ReadBuf::new(buffer.room(max));
        let result = match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut room),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut room),
        };
        ready!(result)?;
        let count = room.filled().len();
        buffer.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Writes some of `slices`; the count is never 0 for non-empty slices.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let count = match self {
            Socket::Tcp(stream) => ready!(Pin::new(stream).poll_write_vectored(cx, slices))?,
            Socket::Unix(stream) => ready!(Pin::new(stream).poll_write_vectored(cx, slices))?,
        };
        if count == 0 && slices.iter().any(|s| !s.is_empty()) {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(count))
    }

    /// Sends our end of stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Makes the coming close a reset instead of a regular end, so that the
    /// peer cannot mistake a cut message for a whole one.
    pub fn reset_on_close(&self) {
        if let Socket::Tcp(stream) = self {
            // Best effort: without it the close is a regular one.
            let _ = rustix::net::sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO));
        }
    }

    /// Whether a connection that should be silent is still so: no bytes, no
    /// end, no error waits. Costs a system call only if the reactor has seen
    /// something.
    pub fn is_quiet(&self, cx: &mut Context<'_>) -> bool {
        if self.poll_readable(cx).is_pending() {
            return true;
        }
        let mut byte = [0_u8; 1];
        let peeked = match self {
            Socket::Tcp(stream) => stream
                .try_io(tokio::io::Interest::READABLE, || Ok(rustix::net::recv(stream, &mut byte, RecvFlags::PEEK)?.0)),
            Socket::Unix(stream) => stream
                .try_io(tokio::io::Interest::READABLE, || Ok(rustix::net::recv(stream, &mut byte, RecvFlags::PEEK)?.0)),
        };
        matches!(peeked, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Connects to `address`. The caller bounds the time.
pub async fn connect(address: &Address) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Socket::Tcp(stream))
        }
        Address::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
    }
}
