//! What is served where: the admin interface, and pages of metrics alone.

use std::future::Future;
use std::sync::Arc;

use sidegate_api::{Address, Method, RequestHead};
use sidegate_telemetry::{PageFormat, PageOptions, page};
use tokio::sync::watch;

use crate::access::Peer;
use crate::endpoints::{Call, Effect, Endpoint};
use crate::query::Query;
use crate::reply::{Answer, Reply};
use crate::server::{Body, HttpServer, Site};
use crate::slot::Slot;
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

    /// Its other end is gone once nobody listens on the address any more;
    /// answers in progress may still be sent then.
    pub fn closed(&self) -> watch::Receiver<()> {
        self.0.closed()
    }

    /// Serves until `shutdown` is there, then lets answers in progress end for
    /// a moment. Runs on the current tokio runtime.
    pub async fn run(
        self,
        source: Arc<dyn AdminSource>,
        access: impl Into<Slot<AdminAccess>>,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        self.0.run(Arc::new(AdminSite { source, access: access.into() }), shutdown).await
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

    /// Its other end is gone once nobody listens on the address any more;
    /// answers in progress may still be sent then.
    pub fn closed(&self) -> watch::Receiver<()> {
        self.0.closed()
    }

    /// Serves until `shutdown` is there, as [`AdminServer::run`] does.
    pub async fn run(
        self,
        source: Arc<dyn AdminSource>,
        page: impl Into<Slot<MetricsPage>>,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        self.0.run(Arc::new(MetricsSite { source, page: page.into() }), shutdown).await
    }
}

struct AdminSite {
    source: Arc<dyn AdminSource>,
    access: Slot<AdminAccess>,
}

impl Site for AdminSite {
    fn admit(&self, head: &RequestHead, peer: Peer) -> Result<Body, Reply> {
        Endpoint::admit(head, peer, &self.access.get()).map(|endpoint| match endpoint.effect {
            Effect::Probes | Effect::Reads | Effect::AsMosn(_) => Body::Ignored,
            Effect::Changes | Effect::Edits(_) => Body::Needed(endpoint.max_body),
        })
    }

    fn reply(&self, head: &RequestHead, peer: Peer, body: &[u8]) -> Answer {
        let query = Query::parse(head.query().unwrap_or_default());
        let Ok((endpoint, names)) = Endpoint::find(head) else { return Reply::text(404, "not found").into() };
        let editor = match endpoint.effect {
            // What is allowed may have changed while the body came.
            Effect::Edits(_) => match self.access.get().check_edit(peer, head) {
                Ok(editor) => Some(editor),
                Err(refusal) => return Reply::text(403, refusal.to_string()).into(),
            },
            Effect::Probes | Effect::Reads | Effect::Changes | Effect::AsMosn(_) => None,
        };
        let (name, address) = (&*names.name, &*names.address);
        let accept = accept(head);
        endpoint.call(&Call { source: &*self.source, query, name, address, editor, head, accept, peer, body })
    }
}

struct MetricsSite {
    source: Arc<dyn AdminSource>,
    page: Slot<MetricsPage>,
}

impl Site for MetricsSite {
    fn admit(&self, head: &RequestHead, _: Peer) -> Result<Body, Reply> {
        let page = self.page.get();
        if head.path() != page.endpoint {
            return Err(Reply::text(404, format!("not found; metrics are at {}", page.endpoint)));
        }
        if !matches!(head.method, Method::Get | Method::Head) {
            return Err(Reply::method_not_allowed(Effect::Probes.methods().to_owned()));
        }
        Ok(Body::Ignored)
    }

    fn reply(&self, head: &RequestHead, _: Peer, _: &[u8]) -> Answer {
        let (format, shown) = (PageFormat::negotiate(accept(head)), self.page.get());
        Reply::metrics(page(self.source.stats(), &self.source.version(), &shown.options, format), format).into()
    }
}

fn accept(head: &RequestHead) -> Option<&str> {
    head.headers.get(b"accept").and_then(|value| std::str::from_utf8(value).ok())
}
