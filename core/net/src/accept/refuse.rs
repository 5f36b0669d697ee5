//! How a listening socket stops to take connections before it is closed.
//!
//! A plain close resets whoever has connected since the last look at the
//! queue. So the socket first lets nobody new in, and then its queue is emptied
//! for good.

use std::net::Shutdown;
use std::os::fd::OwnedFd;

use sidegate_api::Address;
use socket2::{SockFilter, SockRef};

/// How far nobody new comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// What is in the queue is all there is.
    AtOnce,
    /// Handshakes that have begun may still end.
    AfterHandshakes,
}

/// Lets nobody new begin to connect to the listening `socket`.
pub(super) fn refuse_more(socket: &OwnedFd, address: &Address) -> Refusal {
    let socket = SockRef::from(socket);
    match address {
        Address::Unix(_) => {
            // Who connects from now on is refused; the queue stays. An error
            // leaves what a close without it would be.
            let _ = socket.shutdown(Shutdown::Read);
            Refusal::AtOnce
        }
        Address::Tcp(_) => {
            // A SYN that is dropped is sent again a second later, and then
            // meets whoever listens by then. Where filters are not to be had,
            // as in some sandboxes, the queue is emptied all the same.
            if let Err(error) = socket.attach_filter(&FIRST_SYN_ONLY_DROPPED) {
                tracing::debug!(%address, %error, "cannot hold new connections back while the listener closes");
            }
            Refusal::AfterHandshakes
        }
    }
}

/// Byte of a TCP header in which its flags are. A filter of a TCP socket sees
/// packets from that header on.
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Classic BPF (`linux/bpf_common.h`): load a byte of the packet, AND, jump if
/// equal, return.
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Drops what begins a connection and passes everything else: the last packet
/// of a handshake, and all packets of those connections, which inherit the
/// filter.
const FIRST_SYN_ONLY_DROPPED: [SockFilter; 5] = [
    SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
    SockFilter::new(AND, 0, 0, SYN | ACK),
    SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
    SockFilter::new(RETURN, 0, 0, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
];

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_tcp_socket_keeps_its_queue_and_takes_nobody_new() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut inside = TcpStream::connect(address).unwrap();
        let socket = OwnedFd::from(listener);
        assert_eq!(refuse_more(&socket, &Address::Tcp(address)), Refusal::AfterHandshakes);
        let late = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let error = late.connect_timeout(&address.into(), Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        inside.write_all(b"hi").unwrap();
        let mut read = [0; 2];
        accepted.set_nonblocking(false).unwrap();
        accepted.read_exact(&mut read).unwrap();
        accepted.write_all(&read).unwrap();
        inside.read_exact(&mut read).unwrap();
        drop(listener);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_unix_socket_keeps_its_queue_and_refuses_who_comes() {
        let directory = std::env::temp_dir().join(format!("sidegate-refuse-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let socket = OwnedFd::from(UnixListener::bind(&path).unwrap());
        let mut inside = UnixStream::connect(&path).unwrap();
        assert_eq!(refuse_more(&socket, &Address::Unix(path.clone())), Refusal::AtOnce);
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let (mut accepted, _) = UnixListener::from(socket).accept().unwrap();
        inside.write_all(b"hi").unwrap();
        let mut read = [0; 2];
        accepted.read_exact(&mut read).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
