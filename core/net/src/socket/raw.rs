//! What the kernel knows as a socket.

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use rustix::net::RecvFlags;
use sidegate_api::Address;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::PeerEnd;

/// A stream of bytes as they go over the network.
#[derive(Debug)]
pub(super) enum Raw {
    /// TCP, without delay.
    Tcp(TcpStream),
    /// Unix stream.
    Unix(UnixStream),
}

impl Raw {
    /// Takes over an accepted, non-blocking descriptor.
    pub fn from_fd(fd: OwnedFd, address: &Address) -> io::Result<Raw> {
        match address {
            Address::Tcp(_) => {
                let stream = std::net::TcpStream::from(fd);
                stream.set_nodelay(true)?;
                Ok(Raw::Tcp(TcpStream::from_std(stream)?))
            }
            Address::Unix(_) => Ok(Raw::Unix(UnixStream::from_std(std::os::unix::net::UnixStream::from(fd))?)),
        }
    }

    /// Our address.
    pub fn local_address(&self) -> io::Result<Address> {
        match self {
            Raw::Tcp(stream) => stream.local_addr().map(Address::Tcp),
            Raw::Unix(stream) => {
                Ok(Address::Unix(stream.local_addr()?.as_pathname().map(Into::into).unwrap_or_default()))
            }
        }
    }

    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Raw::Tcp(stream) => stream.poll_read_ready(cx),
            Raw::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Raw::Tcp(stream) => Pin::new(stream).poll_read(cx, room),
            Raw::Unix(stream) => Pin::new(stream).poll_read(cx, room),
        }
    }

    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Raw::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Raw::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Raw::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Raw::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// What the kernel has told of the peer's end, without a read.
    pub fn peer_end(&self) -> PeerEnd {
        let mut cx = Context::from_waker(Waker::noop());
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
        let ready = match self {
            Raw::Tcp(stream) => pin!(stream.ready(interest)).poll(&mut cx),
            Raw::Unix(stream) => pin!(stream.ready(interest)).poll(&mut cx),
        };
        match ready {
            Poll::Pending => PeerEnd::Open,
            Poll::Ready(Err(_)) => PeerEnd::Gone,
            Poll::Ready(Ok(ready)) if ready.is_write_closed() || ready.is_error() => PeerEnd::Gone,
            Poll::Ready(Ok(ready)) if ready.is_read_closed() => PeerEnd::Ended,
            Poll::Ready(Ok(_)) => PeerEnd::Open,
        }
    }

    /// Makes the coming close a reset instead of a regular end.
    pub fn reset_on_close(&self) {
        if let Raw::Tcp(stream) = self {
            // Best effort: without it the close is a regular one.
            let _ = rustix::net::sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO));
        }
    }

    /// Looks at the first bytes that wait, and leaves them there.
    pub fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Raw::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || Ok(rustix::net::recv(stream, bytes, RecvFlags::PEEK)?.0))
            }
            Raw::Unix(stream) => {
                stream.try_io(Interest::READABLE, || Ok(rustix::net::recv(stream, bytes, RecvFlags::PEEK)?.0))
            }
        }
    }
}

/// Reads and writes what can be at once.
impl Read for &Raw {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Raw::Tcp(stream) => stream.try_read(bytes),
            Raw::Unix(stream) => stream.try_read(bytes),
        }
    }
}

impl Write for &Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Raw::Tcp(stream) => stream.try_write_vectored(slices),
            Raw::Unix(stream) => stream.try_write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
