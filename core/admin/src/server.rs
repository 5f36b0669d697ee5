//! Listening, and one task per connection.

mod listener;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use sidegate_api::Address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub use self::listener::BindError;
use self::listener::{Accepted, BoundListener};
use crate::access::Peer;
use crate::endpoints::{Call, Effect, Endpoint};
use crate::query::Query;
use crate::reply::Reply;
use crate::{AdminSource, AdminToken};

/// Connections at a time; more wait in the socket's queue.
const MAX_CONNECTIONS: usize = 64;
const MAX_BODY: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
/// For a request head, waiting on a kept-alive connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// After this a connection is closed as soon as its answer is written, so that
/// no client holds a place for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// For the last answer.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// A bound admin address. Binding comes early, so that a start fails before
/// anything else happens; serving comes when there is something to tell.
#[derive(Debug)]
pub struct AdminServer {
    listener: BoundListener,
}

#[derive(Clone)]
struct Shared {
    source: Arc<dyn AdminSource>,
    token: Option<AdminToken>,
}

impl AdminServer {
    /// Binds `address` and nothing else.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        Ok(AdminServer { listener: BoundListener::bind(address)? })
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_address(&self) -> &Address {
        self.listener.local_address()
    }

    /// Serves until `shutdown` is there, then lets answers in progress end for
    /// a few seconds. Runs on the current tokio runtime.
    pub async fn run(
        self,
        source: Arc<dyn AdminSource>,
        token: Option<AdminToken>,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let listener = self.listener.into_tokio()?;
        let shared = Shared { source, token };
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
            let (shared, on_closing) = (shared.clone(), on_closing.clone());
            match accepted {
                Ok(Accepted::Tcp(stream, peer)) => tokio::spawn(async move {
                    serve_connection(stream, Peer::Ip(peer), shared, on_closing).await;
                    drop(place);
                }),
                Ok(Accepted::Unix(stream)) => tokio::spawn(async move {
                    serve_connection(stream, Peer::Unix, shared, on_closing).await;
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
    shared: Shared,
    mut on_closing: watch::Receiver<()>,
) {
    let service = service_fn(|request| respond(request, peer, &shared));
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

async fn respond(request: Request<Incoming>, peer: Peer, shared: &Shared) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(reply(request, peer, shared).await.into_response())
}

async fn reply(request: Request<Incoming>, peer: Peer, shared: &Shared) -> Reply {
    let (head, body) = request.into_parts();
    // RFC 9112 section 3.2; hyper leaves it to its user.
    if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
        return Reply::bad_request("exactly one Host field is needed");
    }
    let admitted = Endpoint::admit(&head.method, head.uri.path(), &head.headers, peer, shared.token.as_ref());
    let endpoint = match admitted {
        Ok(endpoint) => endpoint,
        Err(reply) => return reply,
    };
    let body = match endpoint.effect {
        Effect::Reads => Bytes::new(),
        Effect::Changes => match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return Reply::text(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {MAX_BODY} bytes"));
            }
            Ok(Err(_)) => return Reply::bad_request("the body could not be read"),
            Err(_) => return Reply::text(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        },
    };
    let query = Query::parse(head.uri.query().unwrap_or_default());
    endpoint.call(&Call { source: &*shared.source, query, body: &body })
}
