//! HTTP/2 to HTTP/1.1: bodies whose length was announced, and no others.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderName, HeaderValue, Request, Response, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Failure, body};

const READ: usize = 16 * 1024;

pub(crate) struct Pool {
    origin: u16,
    idle: RefCell<Vec<Upstream>>,
}

/// A connection and the room its heads take.
struct Upstream {
    socket: TcpStream,
    head: Vec<u8>,
    buffer: BytesMut,
}

impl Pool {
    pub(crate) fn new(origin: u16) -> Pool {
        Pool { origin, idle: RefCell::new(Vec::new()) }
    }

    async fn take(&self) -> Result<Upstream, Failure> {
        let idle = self.idle.borrow_mut().pop();
        if let Some(idle) = idle {
            return Ok(idle);
        }
        let socket = TcpStream::connect(("127.0.0.1", self.origin)).await?;
        socket.set_nodelay(true)?;
        Ok(Upstream { socket, head: Vec::new(), buffer: BytesMut::new() })
    }
}

pub(crate) async fn relay(
    pool: &Pool,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), Failure> {
    let mut upstream = pool.take().await?;
    let (head, mut upload) = request.into_parts();
    write_head(&mut upstream.head, &head)?;
    upstream.socket.write_all(&upstream.head).await?;
    while let Some(data) = upload.data().await {
        let data = data?;
        upstream.socket.write_all(&data).await?;
        upload.flow_control().release_capacity(data.len())?;
    }
    let (response, mut left) = upstream.read_head().await?;
    let mut stream = respond.send_response(response, left == 0)?;
    while left > 0 {
        if upstream.buffer.is_empty() {
            upstream.read_more().await?;
        }
        let part = upstream.buffer.split_to(upstream.buffer.len().min(left)).freeze();
        left -= part.len();
        body::send(&mut stream, part, left == 0).await?;
    }
    pool.idle.borrow_mut().push(upstream);
    Ok(())
}

fn write_head(out: &mut Vec<u8>, head: &http::request::Parts) -> Result<(), Failure> {
    out.clear();
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.uri.path_and_query().ok_or("no path")?.as_str().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.uri.authority().ok_or("no authority")?.as_str().as_bytes());
    for (name, value) in &head.headers {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
    Ok(())
}

impl Upstream {
    async fn read_more(&mut self) -> Result<(), Failure> {
        self.buffer.reserve(READ);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err("the origin closed".into()),
            _ => Ok(()),
        }
    }

    /// The head and the length of its body.
    async fn read_head(&mut self) -> Result<(Response<()>, usize), Failure> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut parsed = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(end) = parsed.parse(&self.buffer)? {
                let mut response = Response::builder().status(parsed.code.ok_or("no status")?);
                let mut length = None;
                for field in parsed.headers.iter() {
                    let name = HeaderName::from_bytes(field.name.as_bytes())?;
                    if name == header::CONTENT_LENGTH {
                        length = Some(std::str::from_utf8(field.value)?.parse()?);
                    }
                    if name == header::CONNECTION {
                        continue;
                    }
                    response = response.header(name, HeaderValue::from_bytes(field.value)?);
                }
                let response = response.body(())?;
                let _ = self.buffer.split_to(end);
                return Ok((response, length.ok_or("no length")?));
            }
            self.read_more().await?;
        }
    }
}
