//! Listening, and one task per connection.

mod listener;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use sidegate_api::Address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use self::listener::BindError;
use self::listener::{Accepted, BoundListener};
use crate::access::Peer;
use crate::reply::Reply;

/// Connections at a time; more wait in the socket's queue.
const MAX_CONNECTIONS: usize = 64;
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
/// For a request head, waiting on a kept-alive connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// After this a connection is closed as soon as its answer is written, so that
/// no client holds a place for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// For the last answer.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// A bound address. Binding comes early, so that a start fails before anything
/// else happens; serving comes when there is something to tell.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: BoundListener,
}

/// What a server answers.
pub(crate) trait Site: Send + Sync + 'static {
    /// Answers one request.
    fn reply(&self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Reply> + Send;
}

impl HttpServer {
    /// Binds `address` and nothing else.
    pub(crate) fn bind(address: &Address) -> Result<Self, BindError> {
        Ok(HttpServer { listener: BoundListener::bind(address)? })
    }

    /// The address, with the port that the system chose for port 0.
    pub(crate) fn local_address(&self) -> &Address {
        self.listener.local_address()
    }

    /// Serves until `shutdown` is there, then lets answers in progress end for
    /// a few seconds. Runs on the current tokio runtime.
    pub(crate) async fn run(self, site: Arc<impl Site>, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let listener = self.listener.into_tokio()?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (closing, on_closing) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            let place = tokio::select! {
                () = &mut shutdown => break,
                // The semaphore is never closed.
                place = places.clone().acquire_owned() => place.ok(),
            };
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            let (site, on_closing) = (site.clone(), on_closing.clone());
            match accepted {
                Ok(Accepted::Tcp(stream, peer)) => tokio::spawn(async move {
                    serve_connection(stream, Peer::Ip(peer), site, on_closing).await;
                    drop(place);
                }),
                Ok(Accepted::Unix(stream)) => tokio::spawn(async move {
                    serve_connection(stream, Peer::Unix, site, on_closing).await;
                    drop(place);
                }),
                Err(error) => {
                    // A client that went away, or no descriptors left: trying
                    // again at once would only burn the processor.
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(Duration::from_millis(100)) => continue,
                    }
                }
            };
        }
        drop(listener);
        drop(on_closing);
        // Each connection's task holds a receiver and looks for this end.
        let _ = closing.send(());
        let _ = timeout(CLOSING_TIME, closing.closed()).await;
        Ok(())
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    site: Arc<impl Site>,
    mut on_closing: watch::Receiver<()>,
) {
    let service = service_fn(|request| respond(request, peer, &*site));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD)
        .max_buf_size(2 * MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = on_closing.changed() => None,
        () = tokio::time::sleep(CONNECTION_LIFE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(CLOSING_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, ?peer, "admin: connection ended");
    }
}

async fn respond(
    request: Request<Incoming>,
    peer: Peer,
    site: &impl Site,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // RFC 9112 section 3.2; hyper leaves it to its user.
    let has_host = request.version() != Version::HTTP_11 || request.headers().get_all(HOST).iter().count() == 1;
    let reply = match has_host {
        true => site.reply(request, peer).await,
        false => Reply::bad_request("exactly one Host field is needed"),
    };
    Ok(reply.into_response())
}
