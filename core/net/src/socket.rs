//! A connected stream socket: what TLS will later wrap.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use rustix::net::RecvFlags;
use sidegate_api::Address;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixSocket, UnixStream};

use crate::ReadBuffer;
use crate::shortage::Taker;

/// A connected socket on this worker's reactor.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    traffic: Traffic,
    /// The peer was seen to have ended its side, or to have failed.
    ended: Cell<bool>,
}

/// How a peer has ended its half of a connection, if it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// It has not.
    Open,
    /// It sends nothing more; it may still read.
    Ended,
    /// It reset the connection.
    Gone,
}

/// Bytes that went over a socket so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From the peer.
    pub read: u64,
    /// To the peer.
    pub written: u64,
}

#[derive(Debug)]
enum Stream {
    /// TCP, without delay.
    Tcp(TcpStream),
    /// Unix stream.
    Unix(UnixStream),
}

impl Socket {
    fn new(stream: Stream) -> Socket {
        Socket { stream, traffic: Traffic::default(), ended: Cell::new(false) }
    }

    /// Bytes that went over it so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether a read has shown that the peer ended its side or failed.
    pub fn peer_has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Takes over an accepted, non-blocking descriptor.
    pub fn from_fd(fd: OwnedFd, address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(_) => {
                let stream = std::net::TcpStream::from(fd);
                stream.set_nodelay(true)?;
                Ok(Socket::new(Stream::Tcp(TcpStream::from_std(stream)?)))
            }
            Address::Unix(_) => {
                Ok(Socket::new(Stream::Unix(UnixStream::from_std(std::os::unix::net::UnixStream::from(fd))?)))
            }
        }
    }

    /// Our address.
    pub fn local_address(&self) -> io::Result<Address> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().map(Address::Tcp),
            Stream::Unix(stream) => {
                Ok(Address::Unix(stream.local_addr()?.as_pathname().map(Into::into).unwrap_or_default()))
            }
        }
    }

    /// Ready when there are bytes, an end or an error to read. Needs no
    /// buffer, so an idle connection holds none.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.stream {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Unix(stream) => stream.poll_read_ready(cx),
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
        let result = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut room),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, &mut room),
        };
        if let Err(error) = ready!(result) {
            self.ended.set(true);
            return Poll::Ready(Err(error));
        }
        let count = room.filled().len();
        if count == 0 {
            self.ended.set(true);
        }
        buffer.advance(count);
        self.traffic.read += count as u64;
        Poll::Ready(Ok(count))
    }

    /// What the kernel has told of the peer's end, without a read: bytes that
    /// wait may stand in front of it.
    pub fn peer_end(&self) -> PeerEnd {
        let mut cx = Context::from_waker(Waker::noop());
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
        let ready = match &self.stream {
            Stream::Tcp(stream) => pin!(stream.ready(interest)).poll(&mut cx),
            Stream::Unix(stream) => pin!(stream.ready(interest)).poll(&mut cx),
        };
        match ready {
            Poll::Pending => PeerEnd::Open,
            Poll::Ready(Err(_)) => PeerEnd::Gone,
            Poll::Ready(Ok(ready)) if ready.is_write_closed() || ready.is_error() => PeerEnd::Gone,
            Poll::Ready(Ok(ready)) if ready.is_read_closed() => PeerEnd::Ended,
            Poll::Ready(Ok(_)) => PeerEnd::Open,
        }
    }

    /// Writes some of `slices`; the count is never 0 for non-empty slices.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let count = match &mut self.stream {
            Stream::Tcp(stream) => ready!(Pin::new(stream).poll_write_vectored(cx, slices))?,
            Stream::Unix(stream) => ready!(Pin::new(stream).poll_write_vectored(cx, slices))?,
        };
        if count == 0 && slices.iter().any(|s| !s.is_empty()) {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.traffic.written += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Sends our end of stream.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Makes the coming close a reset instead of a regular end, so that the
    /// peer cannot mistake a cut message for a whole one.
    pub fn reset_on_close(&self) {
        if let Stream::Tcp(stream) = &self.stream {
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
        let peeked = match &self.stream {
            Stream::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || Ok(rustix::net::recv(stream, &mut byte, RecvFlags::PEEK)?.0))
            }
            Stream::Unix(stream) => {
                stream.try_io(Interest::READABLE, || Ok(rustix::net::recv(stream, &mut byte, RecvFlags::PEEK)?.0))
            }
        };
        let quiet = matches!(&peeked, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        if !quiet && !matches!(peeked, Ok(1..)) {
            self.ended.set(true);
        }
        quiet
    }
}

/// For codecs that bring buffers of their own.
impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        let result = match &mut socket.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if let Err(error) = ready!(result) {
            socket.ended.set(true);
            return Poll::Ready(Err(error));
        }
        let count = buffer.filled().len() - before;
        if count == 0 && buffer.remaining() > 0 {
            socket.ended.set(true);
        }
        socket.traffic.read += count as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing waits in a socket.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::poll_shutdown(self.get_mut(), cx)
    }
}

/// Connects to `address`. The caller bounds the time. Fails without a packet
/// sent where too few descriptors are left; see [`crate::Shortage`].
pub async fn connect(address: &Address) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            Taker::Connect.check(socket.as_fd())?;
            let stream = socket.connect(*address).await?;
            stream.set_nodelay(true)?;
            Ok(Socket::new(Stream::Tcp(stream)))
        }
        Address::Unix(path) => {
            let socket = UnixSocket::new_stream()?;
            Taker::Connect.check(socket.as_fd())?;
            socket.connect(path).await.map(|stream| Socket::new(Stream::Unix(stream)))
        }
    }
}
