//! A raw HTTP/1 peer: client and origin read messages alike.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// One message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub start: String,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub trailers: Vec<(String, String)>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Regular,
    Reset,
}

/// A connection with what was read from it.
pub struct Conn {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    pub fn length(&self) -> Option<usize> {
        self.header("content-length").map(|l| l.parse().unwrap())
    }
}

impl Conn {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Conn { stream, buffer: Vec::new() }
    }

    pub fn to(address: SocketAddr) -> Self {
        Conn::new(TcpStream::connect(address).unwrap())
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(text.as_ref()).unwrap();
        self
    }

    /// A request without body and its response.
    pub fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).response()
    }

    /// A request with a lengthed body and its response.
    pub fn post(&mut self, path: &str, body: &str) -> Message {
        self.send_post(path, body).response()
    }

    pub fn send_post(&mut self, path: &str, body: &str) -> &mut Self {
        let length = body.len();
        self.send(format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}"))
    }

    /// The next message, a response to anything but HEAD, or a request.
    pub fn response(&mut self) -> Message {
        self.try_message(true).unwrap()
    }

    /// The next message if one comes whole.
    pub fn try_message(&mut self, with_body: bool) -> io::Result<Message> {
        let mut message = self.try_head()?;
        let bodiless =
            message.start.starts_with("HTTP") && (message.status() < 200 || matches!(message.status(), 204 | 304));
        if !with_body || bodiless {
            return Ok(message);
        }
        if message.is_chunked() {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap(), 16)
                    .unwrap_or_else(|_| panic!("bad chunk line {line:?} after {:?}", message.body));
                if size == 0 {
                    break;
                }
                message.body += &self.text(size)?;
                assert_eq!(self.line()?, "");
            }
            message.trailers = self.fields()?;
        } else if let Some(length) = message.length() {
            message.body = self.text(length)?;
        } else if message.start.starts_with("HTTP") {
            while self.fill()? > 0 {}
            message.body = String::from_utf8(std::mem::take(&mut self.buffer)).unwrap();
        }
        Ok(message)
    }

    pub fn try_head(&mut self) -> io::Result<Message> {
        let start = self.line()?;
        Ok(Message { start, headers: self.fields()?, body: String::new(), trailers: Vec::new() })
    }

    pub fn head(&mut self) -> Message {
        self.try_head().unwrap()
    }

    fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let Some((name, value)) = line.split_once(": ") else {
                panic!("{line:?} is no field; behind it {:?}", String::from_utf8_lossy(&self.buffer));
            };
            fields.push((name.to_owned(), value.to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8(self.buffer[..at].to_vec()).unwrap();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            self.more()?;
        }
    }

    /// The next `count` bytes.
    pub fn text(&mut self, count: usize) -> io::Result<String> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(String::from_utf8(self.buffer.drain(..count).collect()).unwrap())
    }

    fn more(&mut self) -> io::Result<()> {
        if self.fill()? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16384];
        let count = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Everything up to the end, and how it ended.
    pub fn rest(&mut self) -> (String, End) {
        let end = loop {
            match self.fill() {
                Ok(0) => break End::Regular,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => break End::Reset,
                Err(e) => panic!("neither end nor reset: {e}"),
            }
        };
        (String::from_utf8(std::mem::take(&mut self.buffer)).unwrap(), end)
    }

    /// The peer ends the connection without sending anything more.
    pub fn expect_end(&mut self) {
        let (rest, _) = self.rest();
        assert_eq!(rest, "");
    }

    /// Leaves without waiting for anything.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    pub fn end_writing(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }
}
