//! Statistics: `sidegate_overload_*`.

use sidegate_api::{Counter, Gauge, MetricError, Metrics};

use crate::pressure::Resource;
use crate::{Action, ResolvedLimits, Shortage};

/// Handles; none for tests and tools.
#[derive(Debug)]
pub(crate) struct Meters(Option<Box<Handles>>);

#[derive(Debug)]
struct Handles {
    /// In the order of [`Resource::ALL`].
    used: Vec<Gauge>,
    limits: Vec<Gauge>,
    /// In the order of [`Action::ALL`].
    active: Vec<Gauge>,
    begun: Vec<Counter>,
    /// In the order of [`Shortage::ALL`].
    refused: Vec<Counter>,
    closed_downstream: Counter,
    closed_upstream: Counter,
    streams_reset: Counter,
    clients_refused: Counter,
}

impl Meters {
    pub(crate) fn none() -> Self {
        Meters(None)
    }

    pub(crate) fn new(metrics: &Metrics, limits: &ResolvedLimits) -> Result<Self, MetricError> {
        let (mut used, mut gauges) = (Vec::new(), Vec::new());
        for resource in Resource::ALL {
            used.push(metrics.gauge("sidegate_overload_used", &[("limit", resource.name())])?);
            gauges.push(metrics.gauge("sidegate_overload_limit", &[("limit", resource.name())])?);
        }
        set_limits(&gauges, limits);
        let (mut active, mut begun) = (Vec::new(), Vec::new());
        for action in Action::ALL {
            let labels = [("action", action.name())];
            active.push(metrics.gauge("sidegate_overload_active", &labels)?);
            begun.push(metrics.counter("sidegate_overload_actions_total", &labels)?);
        }
        let mut refused = Vec::new();
        for shortage in Shortage::ALL {
            refused.push(metrics.counter("sidegate_overload_refused_streams_total", &[("limit", shortage.limit())])?);
        }
        let closed = |side| metrics.counter("sidegate_overload_closed_idle_total", &[("side", side)]);
        Ok(Meters(Some(Box::new(Handles {
            used,
            limits: gauges,
            active,
            begun,
            refused,
            closed_downstream: closed("downstream")?,
            closed_upstream: closed("upstream")?,
            streams_reset: metrics.counter("sidegate_overload_reset_streams_total", &[])?,
            clients_refused: metrics
                .counter("sidegate_overload_refused_connections_total", &[("limit", "connections.per_client")])?,
        }))))
    }

    /// Limits are these from now on.
    pub(crate) fn limits(&self, limits: &ResolvedLimits) {
        self.with(|handles| set_limits(&handles.limits, limits));
    }

    pub(crate) fn used(&self, resource: Resource, value: u64) {
        self.with(|handles| handles.used[resource as usize].set(figure(value)));
    }

    pub(crate) fn begun(&self, action: Action) {
        self.with(|handles| {
            handles.active[action as usize].set(1);
            handles.begun[action as usize].inc();
        });
    }

    pub(crate) fn ended(&self, action: Action) {
        self.with(|handles| handles.active[action as usize].set(0));
    }

    pub(crate) fn refused(&self, shortage: Shortage) {
        self.with(|handles| handles.refused[shortage as usize].inc());
    }

    pub(crate) fn idle_closed(&self, downstream: usize, upstream: usize) {
        self.with(|handles| {
            handles.closed_downstream.add(downstream as u64);
            handles.closed_upstream.add(upstream as u64);
        });
    }

    pub(crate) fn streams_reset(&self, count: usize) {
        self.with(|handles| handles.streams_reset.add(count as u64));
    }

    pub(crate) fn client_refused(&self) {
        self.with(|handles| handles.clients_refused.inc());
    }

    fn with(&self, use_handles: impl FnOnce(&Handles)) {
        if let Some(handles) = &self.0 {
            use_handles(handles);
        }
    }
}

/// None is 0, as in the configuration: a series that went would be shown a
/// little longer, with a limit that there is not.
fn set_limits(gauges: &[Gauge], limits: &ResolvedLimits) {
    for (gauge, resource) in gauges.iter().zip(Resource::ALL) {
        gauge.set(resource.limit(limits).map_or(0, figure));
    }
}

fn figure(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
