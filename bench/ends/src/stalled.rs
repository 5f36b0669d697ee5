//! Clients that begin a handshake and do not go on.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::plan::{Plan, Stalled};
use crate::tls::Tls;

/// They hold their connections until this is dropped; whether the proxy still
/// does is its own affair.
pub(crate) struct Crowd {
    port: u16,
    hello: Vec<u8>,
    arriving: usize,
    standing: usize,
    sockets: Vec<TcpStream>,
}

impl Crowd {
    /// Those that stand are there when this is done.
    pub(crate) fn gather(plan: &Plan, tls: Option<&Tls>) -> io::Result<Crowd> {
        let Stalled { standing, arriving } = plan.stalled;
        let mut hello = Vec::new();
        if let Some(tls) = tls {
            tls.session()?.write_tls(&mut hello)?;
        } else if standing + arriving > 0 {
            return Err(io::Error::other("only clients of TLS can begin a handshake"));
        }
        let sockets = Vec::with_capacity(standing + arriving);
        let mut crowd = Crowd { port: plan.port, hello, arriving, standing, sockets };
        for _ in 0..standing {
            crowd.join(crowd.hello.len() / 2)?;
        }
        Ok(crowd)
    }

    /// More come, as `part` of the time is over; one at most, so that nobody
    /// else waits.
    pub(crate) fn arrive(&mut self, part: f64) -> io::Result<()> {
        let due = self.standing + (self.arriving as f64 * part.clamp(0.0, 1.0)) as usize;
        if self.sockets.len() < due {
            self.join(self.hello.len())?;
        }
        Ok(())
    }

    fn join(&mut self, bytes: usize) -> io::Result<()> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        // A proxy that does not want it says so by closing.
        let _ = socket.write_all(&self.hello[..bytes]);
        self.sockets.push(socket);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }
}
