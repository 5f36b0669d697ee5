//! A client of admin interfaces: one request, one answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// More than that is no answer of ours.
const MAX_ANSWER: u64 = 64 << 20;

/// An admin interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminAddress {
    /// `HOST:PORT`, maybe with `http://` in front.
    Tcp(String),
    /// `unix:PATH`
    Unix(PathBuf),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("cannot reach the admin interface at {address}: {error}")]
    Unreachable { address: String, error: io::Error },
    #[error("expected an answer of an admin interface of Sidegate at {address}, found {found}")]
    Strange { address: String, found: String },
}

/// A request without its HTTP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    /// JSON, or nothing.
    pub(crate) body: &'a [u8],
    /// How long each step may take.
    pub(crate) patience: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl AdminAddress {
    /// As it is given on the command line.
    pub(crate) fn parse(text: &str) -> Result<AdminAddress, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(AdminAddress::Unix(path.into()));
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() && !authority.contains('/') => {
                Ok(AdminAddress::Tcp(authority.to_owned()))
            }
            _ => Err("expected HOST:PORT, http://HOST:PORT or unix:PATH".to_owned()),
        }
    }

    /// Sends `call` and reads the answer to its end.
    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let failed = |error| CallError::Unreachable { address: self.to_string(), error };
        let mut connection = self.connect(call.patience).map_err(failed)?;
        let authorization = call.token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        // HTTP/1.0: the answer ends with the connection and comes in one piece.
        let head = format!(
            "{} {} HTTP/1.0\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            call.method,
            call.path,
            self.host(),
            call.body.len()
        );
        let sent = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(call.body));
        let mut answer = Vec::new();
        let read = connection.take(MAX_ANSWER).read_to_end(&mut answer);
        match parse(&answer) {
            Some((status, body)) => Ok(Answer { status, body: body.to_vec() }),
            // Whoever refuses a body may close before all of it was sent.
            None => {
                sent.and(read.map(drop)).map_err(failed)?;
                Err(self.strange("something else"))
            }
        }
    }

    /// An answer, but none of ours.
    pub(crate) fn strange(&self, found: &str) -> CallError {
        CallError::Strange { address: self.to_string(), found: found.to_owned() }
    }

    fn connect(&self, patience: Duration) -> io::Result<Box<dyn Connection>> {
        match self {
            AdminAddress::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            }
            AdminAddress::Tcp(authority) => {
                let stream = connect_tcp(authority, patience)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Whether what goes there leaves this machine, or cannot be told not to.
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self {
            AdminAddress::Unix(_) => false,
            AdminAddress::Tcp(authority) => match authority.to_socket_addrs() {
                Ok(addresses) => addresses.into_iter().any(|address: SocketAddr| !address.ip().is_loopback()),
                Err(_) => true,
            },
        }
    }

    fn host(&self) -> &str {
        match self {
            AdminAddress::Unix(_) => "localhost",
            AdminAddress::Tcp(authority) => authority,
        }
    }
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AdminAddress::Tcp(authority) => f.write_str(authority),
            AdminAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

fn connect_tcp(authority: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = None;
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

/// Status and body.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?);
    let mut words = head.lines().next()?.split(' ');
    let is_http = words.next()?.starts_with("HTTP/1.");
    let status = words.next()?.parse().ok()?;
    is_http.then_some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_admin_interfaces() {
        let parse = AdminAddress::parse;
        assert_eq!(parse("127.0.0.1:34901"), Ok(AdminAddress::Tcp("127.0.0.1:34901".to_owned())));
        assert_eq!(parse("http://[::1]:34901/"), Ok(AdminAddress::Tcp("[::1]:34901".to_owned())));
        assert_eq!(parse("unix:/run/a.sock"), Ok(AdminAddress::Unix("/run/a.sock".into())));
        for wrong in ["", "unix:", "localhost", ":80", "a:b", "https://a:1", "a:1/path", "http://"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_and_unix_sockets_are_here() {
        for (address, elsewhere) in
            [("127.0.0.1:1", false), ("[::1]:1", false), ("unix:/x", false), ("192.0.2.1:1", true), ("0.0.0.0:1", true)]
        {
            assert_eq!(AdminAddress::parse(address).unwrap().is_elsewhere(), elsewhere, "{address}");
        }
    }

    #[test]
    fn answers_are_read_by_status_and_body() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n{}"), Some((200, &b"{}"[..])));
        for wrong in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert_eq!(parse(wrong), None);
        }
    }
}
