//! An address that never answers a connection attempt.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

/// A listening socket whose accept queue is full, so that the kernel drops
/// further attempts without a word.
pub struct BlackHole {
    address: SocketAddr,
    _listener: OwnedFd,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens one on a free port.
    pub fn open() -> Self {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        listen(&listener, 0).unwrap();
        let address: SocketAddr = SocketAddrV4::try_from(getsockname(&listener).unwrap()).unwrap().into();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(stream);
            assert!(queued.len() < 64, "the accept queue does not fill");
        }
        BlackHole { address, _listener: listener, _queued: queued }
    }

    /// Where connecting takes for ever.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
