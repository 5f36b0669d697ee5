//! One check: a GET with the credential, of which only the status counts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{OnceLock, Weak};
use std::time::{Duration, Instant};

use sidegate_sdk::config::HeaderName;
use sidegate_sdk::{Logger, ResumeHandle};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Refused,
    /// Nobody knows: no answer in time, or one that is none.
    Failed,
}

/// What a filter hands to a thread.
pub struct Question {
    pub credential: Vec<u8>,
    pub deadline: Instant,
    /// Gone if the filter is, because the client left.
    pub verdict: Weak<OnceLock<Verdict>>,
    pub waiting: ResumeHandle,
}

/// Whom a thread asks.
pub struct Server {
    pub address: SocketAddr,
    pub path: String,
    pub header: HeaderName,
}

impl Server {
    pub fn answer(&self, question: Question, logger: Logger) {
        let Some(slot) = question.verdict.upgrade() else { return };
        let verdict = match self.ask(&question) {
            Ok(200..=299) => Verdict::Allowed,
            Ok(401 | 403) => Verdict::Refused,
            Ok(status) => {
                sidegate_sdk::warn!(logger, "{} answers {status}", self.address);
                Verdict::Failed
            }
            Err(error) => {
                sidegate_sdk::warn!(logger, "no answer from {}: {error}", self.address);
                Verdict::Failed
            }
        };
        // The verdict first: the hook that resuming starts looks at it. Both
        // may find that the stream has gone meanwhile, which is fine.
        let _ = slot.set(verdict);
        let _ = question.waiting.resume();
    }

    fn ask(&self, question: &Question) -> io::Result<u16> {
        let mut stream = TcpStream::connect_timeout(&self.address, left(question.deadline)?)?;
        // The host has seen to it that a header value ends no line.
        let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.path, self.address);
        let request = [head.as_bytes(), self.header.as_bytes(), b": ", &question.credential, b"\r\n\r\n"].concat();
        stream.set_write_timeout(Some(left(question.deadline)?))?;
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        let mut part = [0; 512];
        loop {
            if let Some(status) = status(&answer)? {
                return Ok(status);
            }
            stream.set_read_timeout(Some(left(question.deadline)?))?;
            match stream.read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => answer.extend_from_slice(&part[..count]),
            }
        }
    }
}

/// Time left; a time-out of zero would mean none.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// The status in `HTTP/1.1 200 OK`, once there is enough of it.
fn status(answer: &[u8]) -> io::Result<Option<u16>> {
    const LENGTH: usize = "HTTP/1.1 200".len();
    let Some(start) = answer.get(..LENGTH) else { return Ok(None) };
    let digits = start.strip_prefix(b"HTTP/1.1 ").or(start.strip_prefix(b"HTTP/1.0 "));
    let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "expected an HTTP/1 response"))
}
