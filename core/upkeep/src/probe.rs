//! One check of one host.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sidegate_api::{Address, VERSION};
use sidegate_net::{Shortage, Socket};
use sidegate_upstream::{HostTls, HttpProbe, Probe};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Why a check failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing came in time.
    TimedOut,
    /// No connection.
    Unreachable(io::Error),
    /// No connection for a reason of our own: nothing is known of the host.
    Exhausted(Shortage, io::Error),
    /// The connection broke, or what came is no HTTP.
    Broken(hyper::Error),
    /// A status that is not expected.
    Status(u16),
}

impl Failure {
    /// Whether it says nothing about the host.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Failure::Exhausted(..))
    }

    /// Whether the host gave no answer at all.
    pub(crate) fn is_network(&self) -> bool {
        !matches!(self, Failure::Status(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::TimedOut => f.write_str("no answer in time"),
            Failure::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Failure::Exhausted(shortage, error) => write!(f, "cannot connect, out of {shortage}: {error}"),
            Failure::Broken(error) => write!(f, "no response: {error}"),
            Failure::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// Checks the host at `address` once.
pub(crate) async fn check(
    address: &Address,
    probe: &Probe,
    timeout: Duration,
    tls: Option<&HostTls>,
) -> Result<(), Failure> {
    let checked = async {
        match (probe, address) {
            (Probe::Connect, Address::Tcp(to)) => connect(TcpStream::connect(*to), address).await.map(drop),
            (Probe::Connect, Address::Unix(path)) => connect(UnixStream::connect(path), address).await.map(drop),
            // Another port is that of somebody else, who speaks clear text.
            (Probe::Http(probe), _) if let (Some(tls), None) = (tls, probe.port) => {
                ask(secure(address, tls).await?, probe, &address.to_string()).await
            }
            (Probe::Http(probe), Address::Tcp(to)) => {
                let to = SocketAddr::new(to.ip(), probe.port.map_or(to.port(), u16::from));
                ask(connect(TcpStream::connect(to), &Address::Tcp(to)).await?, probe, &to.to_string()).await
            }
            (Probe::Http(probe), Address::Unix(path)) => {
                ask(connect(UnixStream::connect(path), address).await?, probe, "localhost").await
            }
        }
    };
    tokio::time::timeout(timeout, checked).await.unwrap_or(Err(Failure::TimedOut))
}

async fn connect<S>(connecting: impl Future<Output = io::Result<S>>, to: &Address) -> Result<S, Failure> {
    connecting.await.map_err(|error| match Shortage::of(&error, to) {
        Some(shortage) => Failure::Exhausted(shortage, error),
        None => Failure::Unreachable(error),
    })
}

/// A connection over which requests go in TLS.
async fn secure(address: &Address, tls: &HostTls) -> Result<Socket, Failure> {
    let mut socket = connect(sidegate_net::connect(address), address).await?;
    let unreachable = |failure: sidegate_tls::Failure| Failure::Unreachable(failure.into());
    socket.start_tls(tls.session(&["http/1.1"]).map_err(unreachable)?);
    poll_fn(|cx| socket.poll_handshake(cx)).await.map_err(unreachable)?;
    Ok(socket)
}

/// Sends the request and looks at the head of the response.
async fn ask<S>(stream: S, probe: &HttpProbe, host: &str) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::Broken)?;
    let request = Request::builder()
        .method(probe.method.as_str())
        .uri(&*probe.path)
        .header("host", probe.authority.as_deref().unwrap_or(host))
        .header("user-agent", format!("sidegate/{VERSION} health-check"))
        .header("connection", "close")
        .body(Empty::<Bytes>::new());
    // What the configuration takes are visible characters; a path that is no
    // URI all the same gets no answer, and the log says so.
    let request = request.map_err(|error| Failure::Unreachable(io::Error::other(error)))?;
    let mut answered = pin!(requests.send_request(request));
    let response = tokio::select! {
        biased;
        response = &mut answered => response,
        // It may end with the last byte of the response.
        _ = connection => answered.await,
    };
    let response = response.map_err(Failure::Broken)?;
    let status = response.status().as_u16();
    if probe.codes.iter().any(|range| range.contains(&status)) { Ok(()) } else { Err(Failure::Status(status)) }
}
