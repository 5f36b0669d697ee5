//! Makes the filters of one place in a chain, and the sessions they share.

use std::any::Any;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use sidegate_api::{
    FilterConfigError, FilterFault, Interests, RouteFilterConfig, StreamFilter, StreamFilterFactory, WorkerIndex,
};
use tokio::sync::mpsc;

use super::filter::Filter;
use super::known::Known;
use super::order::{Order, Queue};
use super::session::Session;
use super::settings::StreamingSettings;
use crate::filter::Use;
use crate::plugin::Plugin;

/// JSON that a route has for this filter.
pub(crate) struct RouteConfig(pub(crate) String);

impl RouteFilterConfig for RouteConfig {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
pub(crate) struct StreamingFactory {
    usage: Arc<Use>,
    settings: Arc<StreamingSettings>,
    /// Of each worker, from its first stream on; empty where nothing is run.
    lines: Box<[OnceLock<Lines>]>,
    /// What all of them owe the plugin.
    queue: Queue,
}

/// A worker's sessions, which it takes in turn.
#[derive(Debug)]
struct Lines {
    all: Box<[Arc<Line>]>,
    turn: AtomicUsize,
}

/// A worker's end of a session.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    pub(crate) known: Arc<Known>,
    pub(crate) queue: Queue,
    next: AtomicU64,
}

impl Line {
    /// Number of a new stream.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn order(&self, order: Order) {
        // Who waits is told by the drop of what it waits for.
        let _ = self.orders.send(order);
    }
}

impl Lines {
    /// Begins sessions on the runtime of the caller.
    fn begin(plugin: &Plugin, usage: &Use, settings: &Arc<StreamingSettings>, queue: &Queue) -> Self {
        let line = |_| {
            let (orders, received) = mpsc::unbounded_channel();
            let known = Arc::new(Known::default());
            let timeout = usage.settings.timeout;
            let session = Session::new(plugin.shared.clone(), settings.clone(), timeout, known.clone(), received);
            tokio::spawn(session.run());
            Arc::new(Line { orders, known, queue: queue.clone(), next: AtomicU64::new(1) })
        };
        Lines { all: (0..settings.calls).map(line).collect(), turn: AtomicUsize::new(0) }
    }

    fn next(&self) -> Option<Arc<Line>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.all.get(turn % self.all.len().max(1)).cloned()
    }
}

impl StreamingFactory {
    pub(crate) fn new(usage: Arc<Use>, workers: usize) -> Self {
        let settings = usage.settings.streaming.as_deref().cloned();
        let settings = Arc::new(settings.unwrap_or_else(|| StreamingSettings::plain(&usage.settings)));
        let workers = if usage.plugin.is_some() { workers } else { 0 };
        let lines = (0..workers).map(|_| OnceLock::new()).collect();
        StreamingFactory { usage, settings, lines, queue: Queue::default() }
    }

    fn line(&self, worker: WorkerIndex) -> Option<Arc<Line>> {
        let (lines, plugin) = self.lines.get(worker.0).zip(self.usage.plugin.as_ref())?;
        lines.get_or_init(|| Lines::begin(plugin, &self.usage, &self.settings, &self.queue)).next()
    }
}

impl StreamFilterFactory for StreamingFactory {
    fn interests(&self) -> Interests {
        match self.settings.falls_back {
            // MOSN's call may be what it comes to.
            true => self.usage.settings.interests(),
            false => self.settings.hooks.interests(),
        }
    }

    fn create_filter(&self, worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter::new(self.usage.clone(), self.settings.clone(), worker, self.line(worker))))
    }

    fn create_route_config(&self, value: &Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        Ok(Arc::new(RouteConfig(value.to_string())))
    }
}
