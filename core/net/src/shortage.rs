//! What this process or machine may run out of, and what is set aside.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use sidegate_api::Address;

/// Something of our own ran out: it says nothing about the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Descriptors, of the process (EMFILE) or of the machine (ENFILE).
    Descriptors,
    /// Memory of the kernel for sockets (ENOMEM, ENOBUFS), or places in its
    /// watch lists (ENOSPC).
    Memory,
    /// Local ports for connections to this address (EADDRNOTAVAIL).
    Ports,
}

/// No descriptor may be taken of those that are set aside.
#[derive(Debug, thiserror::Error)]
#[error("too few descriptors are left")]
struct Reserved;

impl Shortage {
    /// Whether a connection to `peer` failed with `error` for a reason of our
    /// own.
    pub fn of(error: &io::Error, peer: &Address) -> Option<Self> {
        match Self::of_any(error)? {
            Shortage::Ports if !has_local_address(peer) => None,
            shortage => Some(shortage),
        }
    }

    /// The same where the address does not matter.
    fn of_any(error: &io::Error) -> Option<Self> {
        if error.get_ref().is_some_and(|inner| inner.is::<Reserved>()) {
            return Some(Shortage::Descriptors);
        }
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(Shortage::Descriptors),
            Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC => Some(Shortage::Memory),
            Errno::ADDRNOTAVAIL => Some(Shortage::Ports),
            _ => None,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shortage::Descriptors => "descriptors",
            Shortage::Memory => "memory for sockets",
            Shortage::Ports => "local ports",
        })
    }
}

/// `EADDRNOTAVAIL` is also what a machine without any address of the peer's
/// family says, and there the peer cannot be reached at all. A UDP socket asks
/// the same of the routing table and takes no TCP port; nothing is sent.
#[cold]
fn has_local_address(peer: &Address) -> bool {
    let Address::Tcp(peer) = peer else { return true };
    let any = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    match UdpSocket::bind(any).and_then(|socket| socket.connect(peer)) {
        Ok(()) => true,
        Err(error) => Errno::from_io_error(&error) != Some(Errno::ADDRNOTAVAIL),
    }
}

/// Who wants a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    /// The accept thread, for a client.
    Accept,
    /// A worker, for an upstream connection.
    Connect,
}

/// The most that is set aside for all that is no traffic: the admin interface,
/// pages of metrics, health checks, DNS, logs.
const CONTROL_MOST: u64 = 128;

impl Taker {
    /// How many descriptors must be left when this one takes one. Clients leave
    /// a quarter for the connections that their requests need.
    fn leaves(self, limit: u64) -> u64 {
        let control = (limit / 8).min(CONTROL_MOST);
        match self {
            Taker::Connect => control,
            Taker::Accept => control + limit / 4,
        }
    }

    /// Whether `fd`, which was just opened, is one too many. The system gives
    /// the lowest free number, so with this one as many are open as its number
    /// says: nobody has to count.
    pub(crate) fn exceeds(self, fd: BorrowedFd<'_>) -> bool {
        let Some(limit) = getrlimit(Resource::Nofile).current else { return false };
        let number = u64::try_from(fd.as_raw_fd()).unwrap_or(0);
        number >= limit.saturating_sub(self.leaves(limit))
    }

    /// Whether one more can be taken; `like` is any open descriptor.
    pub(crate) fn has_room(self, like: BorrowedFd<'_>) -> bool {
        rustix::io::fcntl_dupfd_cloexec(like, 0).is_ok_and(|fd| !self.exceeds(fd.as_fd()))
    }

    /// An error if `fd` is one too many.
    pub(crate) fn check(self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if self.exceeds(fd) { Err(io::Error::other(Reserved)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_and_what_is_the_peers() {
        let peer = Address::parse("127.0.0.1:1").unwrap();
        let of = |errno: Errno| Shortage::of(&errno.into(), &peer);
        for (errno, expected) in [
            (Errno::MFILE, Shortage::Descriptors),
            (Errno::NFILE, Shortage::Descriptors),
            (Errno::NOMEM, Shortage::Memory),
            (Errno::NOBUFS, Shortage::Memory),
            (Errno::NOSPC, Shortage::Memory),
            (Errno::ADDRNOTAVAIL, Shortage::Ports),
        ] {
            assert_eq!(of(errno), Some(expected), "{errno:?}");
        }
        for errno in [
            Errno::CONNREFUSED,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::TIMEDOUT,
            Errno::CONNRESET,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOENT,
            Errno::AGAIN,
        ] {
            assert_eq!(of(errno), None, "{errno:?}");
        }
        assert_eq!(Shortage::of(&io::Error::other(Reserved), &peer), Some(Shortage::Descriptors));
        assert_eq!(Shortage::of(&io::ErrorKind::TimedOut.into(), &peer), None);
        assert_eq!(Shortage::of(&io::Error::other("tls"), &peer), None);
    }

    #[test]
    fn clients_leave_room_for_upstreams_and_both_for_the_rest() {
        for (limit, accept, connect) in [(64, 24, 8), (256, 96, 32), (1024, 384, 128), (1 << 20, 262_272, 128)] {
            assert_eq!((Taker::Accept.leaves(limit), Taker::Connect.leaves(limit)), (accept, connect), "{limit}");
        }
    }
}
