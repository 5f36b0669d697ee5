//! What is served where: the admin interface, and pages of metrics alone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap};
use hyper::{Method, Request, StatusCode};
use sidegate_api::Address;
use sidegate_telemetry::{PageFormat, PageOptions, page};
use tokio::time::timeout;

use crate::access::Peer;
use crate::endpoints::{Call, Effect, Endpoint};
use crate::query::Query;
use crate::reply::Reply;
use crate::server::{HttpServer, Site};
use crate::{AdminSource, AdminToken, BindError};

const MAX_BODY: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The admin interface on a bound address.
#[derive(Debug)]
pub struct AdminServer(HttpServer);

/// A page of metrics, and nothing else, on a bound address: MOSN's `prometheus`
/// sink.
#[derive(Debug)]
pub struct MetricsServer(HttpServer);

/// Where the page is and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPage {
    /// Path, beginning with `/`.
    pub endpoint: String,
    /// What the page holds beside the statistics.
    pub options: PageOptions,
}

impl AdminServer {
    /// Binds `address` and nothing else.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        HttpServer::bind(address).map(AdminServer)
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_address(&self) -> &Address {
        self.0.local_address()
    }

    /// Serves until `shutdown` is there, then lets answers in progress end for
    /// a few seconds. Runs on the current tokio runtime.
    pub async fn run(
        self,
        source: Arc<dyn AdminSource>,
        token: Option<AdminToken>,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        self.0.run(Arc::new(AdminSite { source, token }), shutdown).await
    }
}

impl MetricsServer {
    /// Binds `address` and nothing else.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        HttpServer::bind(address).map(MetricsServer)
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_address(&self) -> &Address {
        self.0.local_address()
    }

    /// Serves until `shutdown` is there, as [`AdminServer::run`] does.
    pub async fn run(
        self,
        source: Arc<dyn AdminSource>,
        page: MetricsPage,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        self.0.run(Arc::new(MetricsSite { source, page }), shutdown).await
    }
}

struct AdminSite {
    source: Arc<dyn AdminSource>,
    token: Option<AdminToken>,
}

impl Site for AdminSite {
    async fn reply(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        let (head, body) = request.into_parts();
        let endpoint = match Endpoint::admit(&head.method, head.uri.path(), &head.headers, peer, self.token.as_ref()) {
            Ok(endpoint) => endpoint,
            Err(reply) => return reply,
        };
        let body = match endpoint.effect {
            Effect::Reads => Bytes::new(),
            Effect::Changes => match read_body(body).await {
                Ok(body) => body,
                Err(reply) => return reply,
            },
        };
        let query = Query::parse(head.uri.query().unwrap_or_default());
        endpoint.call(&Call { source: &*self.source, query, accept: accept(&head.headers), body: &body })
    }
}

struct MetricsSite {
    source: Arc<dyn AdminSource>,
    page: MetricsPage,
}

impl Site for MetricsSite {
    async fn reply(&self, request: Request<Incoming>, _: Peer) -> Reply {
        if request.uri().path() != self.page.endpoint {
            let text = format!("not found; metrics are at {}", self.page.endpoint);
            return Reply::text(StatusCode::NOT_FOUND, text);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Reply::method_not_allowed(Effect::Reads.methods());
        }
        let format = PageFormat::negotiate(accept(request.headers()));
        Reply::metrics(page(&self.source.stats(), &self.source.version(), &self.page.options, format), format)
    }
}

fn accept(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCEPT)?.to_str().ok()
}

async fn read_body(body: Incoming) -> Result<Bytes, Reply> {
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Reply::text(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {MAX_BODY} bytes")))
        }
        Ok(Err(_)) => Err(Reply::bad_request("the body could not be read")),
        Err(_) => Err(Reply::text(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}
