//! The request of a check in HTTP/2; in clear text by prior knowledge (RFC 9113
//! section 3.3).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use h2::client::{Builder, Connection};
use http::uri::Scheme;
use http::{Request, Uri};
use sidegate_upstream::HttpProbe;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Failure, user_agent};

/// Bytes of the response's head; the crate takes 16 MiB. Of the body no more
/// comes than its windows have, 64 KiB.
const MAX_HEAD: u32 = 64 * 1024;

/// Sends the request; the status of the response.
pub(super) async fn ask<S>(stream: S, probe: &HttpProbe, scheme: Scheme, host: &str) -> Result<u16, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(probe, scheme, host).map_err(|error| Failure::Unreachable(io::Error::other(error)))?;
    let mut builder = Builder::new();
    builder.enable_push(false).max_header_list_size(MAX_HEAD);
    let (requests, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(Failure::broken)?;
    let mut connection = pin!(connection);
    let mut requests = requests.ready().await.map_err(Failure::broken)?;
    let (mut answered, _) = requests.send_request(request, true).map_err(Failure::broken)?;
    let response = tokio::select! {
        biased;
        response = &mut answered => response,
        // It may end with the last byte of the response.
        _ = &mut connection => (&mut answered).await,
    };
    let status = response.map_err(Failure::broken)?.status().as_u16();
    drop((answered, requests));
    take_leave(connection).await;
    Ok(status)
}

fn request(probe: &HttpProbe, scheme: Scheme, host: &str) -> Result<Request<()>, http::Error> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(probe.authority.as_deref().unwrap_or(host))
        .path_and_query(&*probe.path)
        .build()?;
    Request::builder().method(probe.method.as_str()).uri(uri).header("user-agent", user_agent()).body(())
}

/// Tells the host that this was all, as far as that goes without waiting for
/// it: first the reset of a body that nobody reads, then `GOAWAY`.
async fn take_leave<S>(mut connection: Pin<&mut Connection<S, Bytes>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        for _ in 0..2 {
            if connection.as_mut().poll(cx).is_ready() {
                break;
            }
        }
        Poll::Ready(())
    })
    .await;
}
