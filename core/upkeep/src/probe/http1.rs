//! The request of a check in HTTP/1.1.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sidegate_upstream::HttpProbe;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Failure, user_agent};

/// Sends the request; the status of the response.
pub(super) async fn ask<S>(stream: S, probe: &HttpProbe, host: &str) -> Result<u16, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::broken)?;
    let request = Request::builder()
        .method(probe.method.as_str())
        .uri(&*probe.path)
        .header("host", probe.authority.as_deref().unwrap_or(host))
        .header("user-agent", user_agent())
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
    Ok(response.map_err(Failure::broken)?.status().as_u16())
}
