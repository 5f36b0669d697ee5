//! A TCP connection on which a test writes any bytes and reads strictly.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::message::chunk_size;
use crate::wait::PATIENCE;
use crate::{Framing, Head, Message};

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// The peer closed before the first byte of a message.
    Closed,
    /// The peer closed (or reset) in the middle of one.
    Truncated {
        /// Body bytes that arrived.
        body: Vec<u8>,
    },
    /// The peer reset the connection before the first byte of a message.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// The bytes are no HTTP/1 message.
    Malformed(String),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Closed => f.write_str("closed"),
            WireError::Truncated { body } => write!(f, "cut off after {} body bytes", body.len()),
            WireError::Reset => f.write_str("reset"),
            WireError::Timeout => f.write_str("timed out"),
            WireError::Malformed(what) => write!(f, "malformed: {what}"),
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects to `address`.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
        Self::over(stream)
    }

    /// Takes an accepted connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let mut wire = Wire { stream, buffer: Vec::new() };
        wire.set_patience(PATIENCE);
        wire
    }

    /// How long reads and writes wait.
    pub fn set_patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        self.stream.set_write_timeout(Some(patience)).unwrap();
    }

    /// Asks the kernel for a small receive buffer, so that a peer that does
    /// not read is felt early.
    pub fn shrink_receive_buffer(&self, bytes: usize) {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, bytes).unwrap();
    }

    /// The underlying socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Writes all of `bytes`; panics if the peer does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(e) = self.try_send(bytes) {
            panic!("cannot send: {e}");
        }
        self
    }

    /// Writes all of `bytes`.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Writes `piece` again and again until the peer has taken none for
    /// `quiet`, or until `limit` bytes went; answers how many went.
    pub fn send_until_stalled(&mut self, piece: &[u8], limit: usize, quiet: Duration) -> usize {
        self.stream.set_write_timeout(Some(quiet)).unwrap();
        let mut sent = 0;
        while sent < limit {
            match self.stream.write(piece) {
                Ok(n) => sent += n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => panic!("peer closed instead of taking no more: {e}"),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// Closes our writing half.
    pub fn shutdown_write(&mut self) -> &mut Self {
        // The peer may have closed already, which is no failure of this call.
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.reset_on_close();
    }

    /// Makes the close, when it comes, a reset.
    pub fn reset_on_close(&self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// Reads a response to GET.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// Reads a final response to `method`; those before it are counted in
    /// `interim`.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Message {
        self.try_response(method).unwrap_or_else(|e| panic!("no response: {e}"))
    }

    /// The same, with the failure as a value.
    pub fn try_response(&mut self, method: &str) -> Result<Message, WireError> {
        let mut interim = Vec::new();
        loop {
            let head = self.read_head()?;
            match head.status() {
                0 => return Err(WireError::Malformed(format!("status line {:?}", head.start))),
                101 => {}
                status @ 100..200 => {
                    interim.push(status);
                    continue;
                }
                _ => {}
            }
            let framing = head.response_framing(method).map_err(WireError::Malformed)?;
            let mut message = self.read_body(head, framing)?;
            message.interim = interim;
            return Ok(message);
        }
    }

    /// Reads a request.
    pub fn try_request(&mut self) -> Result<Message, WireError> {
        let head = self.read_head()?;
        let framing = head.request_framing().map_err(WireError::Malformed)?;
        self.read_body(head, framing)
    }

    /// Reads a start line and fields.
    pub fn read_head(&mut self) -> Result<Head, WireError> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let raw: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Head::parse(&raw).map_err(WireError::Malformed);
            }
            if self.buffer.len() > 1 << 20 {
                return Err(WireError::Malformed("head above 1 MiB".into()));
            }
            self.fill()?;
        }
    }

    /// Reads a body delimited by `framing`.
    pub fn read_body(&mut self, head: Head, framing: Framing) -> Result<Message, WireError> {
        let mut message = Message { head, framing, body: Vec::new(), trailers: Vec::new(), interim: Vec::new() };
        let done = match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.take(&mut message.body, length),
            Framing::UntilClose => self.take_rest(&mut message.body),
            Framing::Chunked => self.take_chunks(&mut message),
        };
        match done {
            Ok(()) => Ok(message),
            Err(WireError::Closed | WireError::Reset) => Err(WireError::Truncated { body: message.body }),
            Err(other) => Err(other),
        }
    }

    /// Reads exactly `count` bytes.
    pub fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        let mut out = Vec::new();
        self.take(&mut out, count as u64)?;
        Ok(out)
    }

    /// Reads what there is, at least one byte.
    pub fn read_some(&mut self) -> Result<Vec<u8>, WireError> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads everything until the peer closes; a reset counts as closing.
    #[track_caller]
    pub fn read_until_close(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.take_rest(&mut out) {
            Ok(()) | Err(WireError::Reset) => out,
            Err(e) => panic!("peer did not close: {e}; until then it sent {:?}", String::from_utf8_lossy(&out)),
        }
    }

    /// Panics unless the peer closes without sending anything more.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let rest = self.read_until_close();
        assert!(rest.is_empty(), "peer sent more before closing: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Panics if anything arrives, or the peer closes, within `time`. Only
    /// for "nothing happens", where there is no condition to wait for.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        self.stream.set_read_timeout(Some(time)).unwrap();
        match self.read_some() {
            Err(WireError::Timeout) => {}
            Ok(bytes) => panic!("peer sent {:?}", String::from_utf8_lossy(&bytes)),
            Err(e) => panic!("peer ended {:?} too early: {e}", deadline.saturating_duration_since(Instant::now())),
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    fn take_chunks(&mut self, message: &mut Message) -> Result<(), WireError> {
        loop {
            let line = self.line()?;
            match chunk_size(&line).map_err(WireError::Malformed)? {
                0 => break,
                size => self.take(&mut message.body, size)?,
            }
            let end = self.line()?;
            if !end.is_empty() {
                return Err(WireError::Malformed("no CRLF after a chunk".into()));
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            let text: String = line.iter().map(|&b| b as char).collect();
            let (name, value) =
                text.split_once(':').ok_or_else(|| WireError::Malformed(format!("trailer line {text:?}")))?;
            message.trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n") {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return match line.pop() {
                    Some(b'\r') if !line.contains(&b'\r') => Ok(line),
                    _ => Err(WireError::Malformed(format!("bare LF or CR in {:?}", String::from_utf8_lossy(&line)))),
                };
            }
            if self.buffer.len() > 1 << 16 {
                return Err(WireError::Malformed("line above 64 KiB".into()));
            }
            self.fill_inside()?;
        }
    }

    fn take(&mut self, out: &mut Vec<u8>, count: u64) -> Result<(), WireError> {
        let mut left = count;
        loop {
            let now = left.min(self.buffer.len() as u64) as usize;
            out.extend(self.buffer.drain(..now));
            left -= now as u64;
            if left == 0 {
                return Ok(());
            }
            self.fill_inside()?;
        }
    }

    fn take_rest(&mut self, out: &mut Vec<u8>) -> Result<(), WireError> {
        loop {
            out.append(&mut self.buffer);
            match self.fill_inside() {
                Ok(()) => {}
                Err(WireError::Closed) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    /// Reads more of a head: an end in its middle is a truncation.
    fn fill(&mut self) -> Result<(), WireError> {
        let begun = !self.buffer.is_empty();
        match self.fill_inside() {
            Err(WireError::Closed | WireError::Reset) if begun => Err(WireError::Truncated { body: Vec::new() }),
            other => other,
        }
    }

    fn fill_inside(&mut self) -> Result<(), WireError> {
        let mut chunk = [0; 32 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(WireError::Closed),
                Ok(n) => {
                    self.buffer.extend_from_slice(&chunk[..n]);
                    return Ok(());
                }
                Err(e) => match e.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(WireError::Timeout),
                    _ => return Err(WireError::Reset),
                },
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn reading(bytes: &[u8]) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = Wire::connect(listener.local_addr().unwrap());
        sender.send(bytes);
        Wire::over(listener.accept().unwrap().0)
    }

    #[test]
    fn a_body_cut_short_is_not_a_message() {
        for raw in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            let error = reading(raw.as_bytes()).try_response("GET").unwrap_err();
            assert_eq!(error, WireError::Truncated { body: b"abc".to_vec() }, "{raw}");
        }
        assert_eq!(reading(b"").try_response("GET"), Err(WireError::Closed));
        assert_eq!(
            reading(b"HTTP/1.1 200 OK\r\nA").try_response("GET"),
            Err(WireError::Truncated { body: Vec::new() })
        );
    }

    #[test]
    fn interim_responses_are_passed_over_and_counted() {
        let raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
        let message = reading(raw).response();
        assert_eq!((message.status(), message.interim.as_slice()), (200, &[100][..]));
        assert_eq!((message.text().as_str(), message.trailer("x-t")), ("abc", Some("1")));
    }

    #[test]
    fn lenient_chunking_is_malformed() {
        for body in ["3;ext\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcX\r\n0\r\n\r\n"] {
            let raw = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert!(matches!(reading(raw.as_bytes()).try_response("GET"), Err(WireError::Malformed(_))), "{body:?}");
        }
    }
}
