//! One check of one host.

mod http1;
mod http2;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::uri::Scheme;
use sidegate_api::{Address, VERSION};
use sidegate_net::{Shortage, Socket};
use sidegate_upstream::{HostTls, HttpProbe, Probe, ProbeProtocol};
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
    /// The connection or the exchange broke, or what came is no HTTP.
    Broken(Box<dyn Error + Send + Sync>),
    /// A status that is not expected.
    Status(u16),
}

impl Failure {
    fn broken(error: impl Error + Send + Sync + 'static) -> Self {
        Failure::Broken(Box::new(error))
    }

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
                ask(secure(address, tls, probe.protocol).await?, probe, Scheme::HTTPS, &address.to_string()).await
            }
            (Probe::Http(probe), Address::Tcp(to)) => {
                let to = SocketAddr::new(to.ip(), probe.port.map_or(to.port(), u16::from));
                ask(connect(TcpStream::connect(to), &Address::Tcp(to)).await?, probe, Scheme::HTTP, &to.to_string())
                    .await
            }
            (Probe::Http(probe), Address::Unix(path)) => {
                ask(connect(UnixStream::connect(path), address).await?, probe, Scheme::HTTP, "localhost").await
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
async fn secure(address: &Address, tls: &HostTls, protocol: ProbeProtocol) -> Result<Socket, Failure> {
    let mut socket = connect(sidegate_net::connect(address), address).await?;
    let unreachable = |failure: sidegate_tls::Failure| Failure::Unreachable(failure.into());
    let wanted = match protocol {
        ProbeProtocol::Http1 => "http/1.1",
        ProbeProtocol::Http2 => "h2",
    };
    socket.start_tls(tls.session(&[wanted]).map_err(unreachable)?);
    poll_fn(|cx| socket.poll_handshake(cx)).await.map_err(unreachable)?;
    let agreed = socket.session().and_then(|session| session.agreed()?.alpn);
    // A host that speaks of none speaks what is asked for.
    match agreed.is_none_or(|agreed| agreed == wanted.as_bytes()) {
        true => Ok(socket),
        false => Err(unreachable(sidegate_tls::Failure::alpn())),
    }
}

/// Sends the request and looks at the head of the response.
async fn ask<S>(stream: S, probe: &HttpProbe, scheme: Scheme, host: &str) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let status = match probe.protocol {
        ProbeProtocol::Http1 => http1::ask(stream, probe, host).await?,
        ProbeProtocol::Http2 => http2::ask(stream, probe, scheme, host).await?,
    };
    if probe.codes.iter().any(|range| range.contains(&status)) { Ok(()) } else { Err(Failure::Status(status)) }
}

fn user_agent() -> String {
    format!("sidegate/{VERSION} health-check")
}
