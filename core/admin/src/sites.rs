//! What is served where: the admin interface, and pages of metrics alone.

use std::future::Future;
use std::sync::Arc;

use sidegate_api::{Address, Method, RequestHead};
use sidegate_telemetry::{PageFormat, PageOptions, page};

use crate::access::Peer;
use crate::endpoints::{Call, Effect, Endpoint};
use crate::query::Query;
use crate::reply::Reply;
use crate::server::{Body, HttpServer, Site};
use crate::{AdminAccess, AdminSource, BindError, SocketMode};

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
    /// Binds `address` and nothing else; `mode` is for a Unix socket.
    pub fn bind(address: &Address, mode: SocketMode) -> Result<Self, BindError> {
        HttpServer::bind(address, mode).map(AdminServer)
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_address(&self) -> &Address {
        self.0.local_address()
    }

    /// Serves until `shutdown` is there, then lets answers in progress end for
    /// a moment. Runs on the current tokio runtime.
    pub async fn run(
        self,
        source: Arc<dyn AdminSource>,
        access: AdminAccess,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        self.0.run(Arc::new(AdminSite { source, access }), shutdown).await
    }
}

impl MetricsServer {
    /// Binds `address` and nothing else.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        HttpServer::bind(address, SocketMode::default()).map(MetricsServer)
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
    access: AdminAccess,
}

impl Site for AdminSite {
    fn admit(&self, head: &RequestHead, peer: Peer) -> Result<Body, Reply> {
        Endpoint::admit(head, peer, &self.access).map(|endpoint| match endpoint.effect {
            Effect::Probes | Effect::Reads => Body::Ignored,
            Effect::Changes => Body::Needed,
        })
    }

    fn reply(&self, head: &RequestHead, body: &[u8]) -> Reply {
        let query = Query::parse(head.query().unwrap_or_default());
        match Endpoint::find(head.path()) {
            Some(endpoint) => endpoint.call(&Call { source: &*self.source, query, accept: accept(head), body }),
            None => Reply::text(404, "not found"),
        }
    }
}

struct MetricsSite {
    source: Arc<dyn AdminSource>,
    page: MetricsPage,
}

impl Site for MetricsSite {
    fn admit(&self, head: &RequestHead, _: Peer) -> Result<Body, Reply> {
        if head.path() != self.page.endpoint {
            return Err(Reply::text(404, format!("not found; metrics are at {}", self.page.endpoint)));
        }
        if !matches!(head.method, Method::Get | Method::Head) {
            return Err(Reply::method_not_allowed(Effect::Probes.methods()));
        }
        Ok(Body::Ignored)
    }

    fn reply(&self, head: &RequestHead, _: &[u8]) -> Reply {
        let format = PageFormat::negotiate(accept(head));
        Reply::metrics(page(self.source.stats(), &self.source.version(), &self.page.options, format), format)
    }
}

fn accept(head: &RequestHead) -> Option<&str> {
    head.headers.get(b"accept").and_then(|value| std::str::from_utf8(value).ok())
}
