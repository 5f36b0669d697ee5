//! Makes the filters of one place in a chain, and the sessions they share.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
use crate::call::Call;
use crate::filter::Use;

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
    /// Empty where nothing is run.
    lines: Vec<Arc<Line>>,
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

impl StreamingFactory {
    pub(crate) fn new(usage: Arc<Use>) -> Self {
        let settings = usage.settings.streaming.as_deref().cloned().map(Arc::new);
        let Some((settings, (plugin, calls))) = settings.clone().zip(usage.plugin.as_ref()) else {
            let settings = settings.unwrap_or_else(|| Arc::new(StreamingSettings::plain(&usage.settings)));
            return StreamingFactory { usage, settings, lines: Vec::new() };
        };
        let line = |_| {
            let (orders, received) = mpsc::unbounded_channel();
            let known = Arc::new(Known::default());
            let session =
                Session::new(plugin.shared.clone(), settings.clone(), usage.settings.timeout, known.clone(), received);
            calls.send(Call::Session(Box::new(session)));
            Arc::new(Line { orders, known, queue: Queue::default(), next: AtomicU64::new(1) })
        };
        let lines = (0..settings.calls).map(line).collect();
        StreamingFactory { usage, settings, lines }
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
        let line = self.lines.get(worker.0 % self.lines.len().max(1)).cloned();
        Ok(Box::new(Filter::new(self.usage.clone(), self.settings.clone(), line)))
    }

    fn create_route_config(&self, value: &Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        Ok(Arc::new(RouteConfig(value.to_string())))
    }
}
