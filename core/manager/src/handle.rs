//! The door, as everybody outside sees it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sidegate_net::{AcceptHandle, Workers};
use sidegate_proxy::ProxyService;
use tokio::sync::{mpsc, oneshot};

use crate::history::Version;
use crate::{HostsVersion, Origin, Refused, Update, Why};

/// What came of a change. Several that asked for the same may get one.
pub type Answer = Result<Arc<Applied>, Arc<Refused>>;

/// A change that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What runs now.
    pub version: Version,
    /// It ran before: nothing differed.
    pub unchanged: bool,
    /// What differs from before.
    pub changes: Value,
    /// The same in one line.
    pub summary: String,
    /// Listeners that are gone, and how many connections each had left.
    pub draining: Vec<(Arc<str>, usize)>,
    /// Findings that are no errors, as JSON.
    pub warnings: Vec<Value>,
    /// Clusters whose hosts had been edited, and are those of the file again.
    pub edits_dropped: Vec<Arc<str>>,
    /// What the hosts are now that they were edited.
    pub hosts: Option<HostsVersion>,
}

/// Gives changes in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ManagerHandle {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// What the manager gives back at its end.
#[derive(Debug)]
pub struct Ended {
    /// `None`: something still uses them, and they end by themselves.
    pub workers: Option<Workers<ProxyService>>,
    /// To be stopped.
    pub accepting: AcceptHandle,
}

#[derive(Debug)]
pub(crate) enum Order {
    Change(Update, Origin, oneshot::Sender<Answer>),
    /// Files of TLS have changed.
    Certificates,
    /// Nothing but hosts changes from now on.
    Drain,
    End(oneshot::Sender<Ended>),
}

impl ManagerHandle {
    /// Asks for a change and waits for what comes of it. The change is made
    /// whether or not anybody waits.
    pub fn apply(&self, update: Update, by: Origin) -> impl Future<Output = Answer> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        // One that has ended drops the order, which is seen below.
        let _ = self.orders.send(Order::Change(update, by, answer));
        async move {
            let over = || Arc::new(Refused::because(Why::Draining, "the process is ending"));
            answered.await.unwrap_or_else(|_| Err(over()))
        }
    }

    /// From now on changes are refused, but for those of hosts.
    pub fn drain(&self) {
        let _ = self.orders.send(Order::Drain);
    }

    /// Ends the manager; `None`: it ended by a panic.
    pub async fn end(&self) -> Option<Ended> {
        let (answer, ended) = oneshot::channel();
        let _ = self.orders.send(Order::End(answer));
        ended.await.ok()
    }
}

impl Applied {
    /// For tools.
    pub fn to_json(&self) -> Map<String, Value> {
        let draining: Vec<Value> = self
            .draining
            .iter()
            .map(|(name, connections)| json!({ "listener": &**name, "connections": connections }))
            .collect();
        let mut body = Map::new();
        body.insert("ok".to_owned(), true.into());
        body.append(&mut self.version.to_json());
        body.insert("unchanged".to_owned(), self.unchanged.into());
        body.insert("changes".to_owned(), self.changes.clone());
        body.insert("draining".to_owned(), draining.into());
        let dropped: Vec<&str> = self.edits_dropped.iter().map(|name| &**name).collect();
        body.insert("live_edits_dropped".to_owned(), dropped.into());
        body.insert("errors".to_owned(), json!([]));
        body.insert("warnings".to_owned(), self.warnings.clone().into());
        body
    }
}
