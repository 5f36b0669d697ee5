//! One client's connection.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Instant;

use crate::response::{Progress, ResponseReader};
use crate::tls::{Link, Tls};

/// A connection to the proxy, with at most one request on it.
pub(crate) struct Client {
    pub(crate) link: Link,
    reader: ResponseReader,
    /// Since when its request counts; `None`: it has none.
    since: Option<Instant>,
    /// The request on its way, and how much of it is sent.
    sending: Option<(usize, usize)>,
}

/// What a client came to.
pub(crate) enum Turn {
    /// Its reply, or its turn to send, is still to come.
    Waiting,
    /// A whole reply, to the request that counts since then.
    Replied { status: u16, since: Instant },
    /// The connection is of no more use.
    Broken,
}

impl Client {
    pub(crate) fn connect(port: u16, tls: Option<&Tls>) -> io::Result<Client> {
        // On the loopback a connection is made at once or not at all.
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let link = Link::new(socket, tls.map(Tls::session).transpose()?);
        Ok(Client { link, reader: ResponseReader::default(), since: None, sending: None })
    }

    /// Whether it has a request.
    pub(crate) fn is_busy(&self) -> bool {
        self.since.is_some()
    }

    /// Sends `requests[which]`, which was due at `since`.
    pub(crate) fn request(&mut self, requests: &[Vec<u8>], which: usize, since: Instant) -> Turn {
        self.since = Some(since);
        self.sending = Some((which, 0));
        self.send(requests)
    }

    /// Does what became possible.
    pub(crate) fn turn(&mut self, requests: &[Vec<u8>], buffer: &mut [u8], records: &mut [u8]) -> Turn {
        if let Turn::Broken = self.send(requests) {
            return Turn::Broken;
        }
        loop {
            let count = match self.link.read(buffer, records) {
                Ok(0) => return Turn::Broken,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Turn::Broken,
            };
            let Some(since) = self.since else { return Turn::Broken };
            match self.reader.read(&buffer[..count]) {
                Ok(Progress::Whole { status }) => {
                    self.since = None;
                    return Turn::Replied { status, since };
                }
                Ok(Progress::More) if count < buffer.len() && !self.link.is_secured() => return Turn::Waiting,
                Ok(Progress::More) => {}
                Err(_) => return Turn::Broken,
            }
        }
    }

    fn send(&mut self, requests: &[Vec<u8>]) -> Turn {
        let Some((which, mut sent)) = self.sending else { return Turn::Waiting };
        let bytes = &requests[which];
        while sent < bytes.len() {
            match self.link.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.sending = Some((which, sent));
                    return Turn::Waiting;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Turn::Broken,
            }
        }
        self.sending = None;
        Turn::Waiting
    }
}
