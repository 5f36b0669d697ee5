//! The service behind the proxy: fixed replies of three sizes, and one in chunks of one
//! byte.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::chunks::{ChunkReader, chunked};

/// What is answered, made once.
pub(crate) struct Replies {
    small: Vec<u8>,
    ten_kib: Vec<u8>,
    one_mib: Vec<u8>,
    chunks: Vec<u8>,
}

impl Replies {
    pub(crate) fn new() -> Replies {
        Replies {
            small: reply(b"hello from the origin\n"),
            ten_kib: reply(&[b'x'; 10 * 1024]),
            one_mib: reply(&vec![b'x'; 1024 * 1024]),
            chunks: reply_of("Transfer-Encoding: chunked", &chunked(&[b'x'; 64 * 1024], 1)),
        }
    }
}

fn reply(body: &[u8]) -> Vec<u8> {
    reply_of(&format!("Content-Length: {}", body.len()), body)
}

fn reply_of(framing: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: ends\r\nDate: Sat, 21 Nov 2026 09:00:00 GMT\r\nContent-Type: text/plain\r\n\
         {framing}\r\nConnection: keep-alive\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A connection from the proxy.
pub(crate) struct OriginConnection {
    socket: TcpStream,
    /// A head that is not whole yet.
    head: Vec<u8>,
    /// What is still to come of the request's body.
    body: Body,
    reply: Reply,
    /// Which of the replies is on its way, and how much of it is sent.
    sending: Option<(Reply, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    Small,
    TenKib,
    OneMib,
    Chunks,
}

#[derive(Clone, Copy)]
enum Body {
    Left(u64),
    Chunks(ChunkReader),
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
pub(crate) enum Life {
    Open,
    Over,
}

impl OriginConnection {
    pub(crate) fn new(socket: TcpStream) -> OriginConnection {
        OriginConnection { socket, head: Vec::new(), body: Body::Left(0), reply: Reply::Small, sending: None }
    }

    /// Does what became possible.
    pub(crate) fn turn(&mut self, replies: &Replies, buffer: &mut [u8]) -> Life {
        if self.send(replies) == Life::Over {
            return Life::Over;
        }
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Life::Over,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Life::Open,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Life::Over,
            };
            if self.take(&buffer[..count], replies) == Life::Over {
                return Life::Over;
            }
            // Edge-triggered: what comes after a short read makes an edge of
            // its own.
            if count < buffer.len() {
                return Life::Open;
            }
        }
    }

    /// Proxies do not pipeline: bytes belong to one request.
    fn take(&mut self, bytes: &[u8], replies: &Replies) -> Life {
        let joined;
        let mut body = bytes;
        if let Body::Left(0) = self.body {
            let text = if self.head.is_empty() {
                bytes
            } else {
                self.head.extend_from_slice(bytes);
                joined = std::mem::take(&mut self.head);
                &joined
            };
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut fields);
            match request.parse(text) {
                Ok(httparse::Status::Complete(end)) => {
                    let field = |name| request.headers.iter().find(|f| f.name.eq_ignore_ascii_case(name));
                    let length = field("content-length");
                    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
                    self.body = match field("transfer-encoding") {
                        Some(_) => Body::Chunks(ChunkReader::new()),
                        None => Body::Left(length.unwrap_or(0)),
                    };
                    body = &text[end..];
                    self.reply = match request.path {
                        Some("/10k") => Reply::TenKib,
                        Some("/1m") => Reply::OneMib,
                        Some("/chunks") => Reply::Chunks,
                        _ => Reply::Small,
                    };
                }
                Ok(httparse::Status::Partial) => {
                    self.head = text.to_vec();
                    return Life::Open;
                }
                Err(_) => return Life::Over,
            }
        }
        let over = match &mut self.body {
            Body::Left(left) => {
                *left = left.saturating_sub(body.len() as u64);
                Some(*left == 0)
            }
            Body::Chunks(chunks) => chunks.read(body),
        };
        match over {
            Some(true) => self.body = Body::Left(0),
            Some(false) => return Life::Open,
            None => return Life::Over,
        }
        self.sending = Some((self.reply, 0));
        self.send(replies)
    }

    fn send(&mut self, replies: &Replies) -> Life {
        let Some((reply, mut sent)) = self.sending else { return Life::Open };
        let bytes = match reply {
            Reply::Small => &replies.small,
            Reply::TenKib => &replies.ten_kib,
            Reply::OneMib => &replies.one_mib,
            Reply::Chunks => &replies.chunks,
        };
        while sent < bytes.len() {
            match self.socket.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.sending = Some((reply, sent));
                    return Life::Open;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Life::Over,
            }
        }
        self.sending = None;
        Life::Open
    }
}
