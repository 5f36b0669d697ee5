//! The filters of a listener and what they made for its routes, as streams
//! hold them.

use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::RouteFilterConfig;
use sidegate_router::{RouteId, VirtualHostId};

use super::attached::{Attached, Told};
use crate::{FilterEntry, ProxyConfig, RouteSet};

/// Everything of a configuration that may come from modules. A stream gives it
/// up with its last filter, and not at its own end: a tunnel that no filter
/// sees keeps no module in the process.
#[derive(Debug)]
pub(crate) struct Filters {
    config: Arc<ProxyConfig>,
    attached: Rc<Attached>,
    routes: Arc<RouteSet>,
}

impl Filters {
    /// `None`: the listener has none.
    pub(crate) fn new(config: &Arc<ProxyConfig>, attached: &Rc<Attached>, routes: &Arc<RouteSet>) -> Option<Rc<Self>> {
        let (config, attached, routes) = (config.clone(), attached.clone(), routes.clone());
        (!config.filters.is_empty()).then(|| Rc::new(Filters { config, attached, routes }))
    }

    /// In configured order.
    #[inline]
    pub(crate) fn entries(&self) -> &[FilterEntry] {
        &self.config.filters
    }

    /// Whether the filter at `index` has no state of this worker.
    pub(crate) fn was_refused(&self, index: usize) -> bool {
        self.attached.told(index).is_none()
    }

    /// What keeps the filter at `index` attached to this worker.
    pub(crate) fn told(&self, index: usize) -> Option<Rc<Told>> {
        self.attached.told(index).cloned()
    }

    /// The `per_filter_config` object of the filter at `index` for a route, or
    /// else for its virtual host.
    pub(crate) fn route_config(
        &self,
        index: usize,
        route: Option<(RouteId, VirtualHostId)>,
    ) -> Option<&Arc<dyn RouteFilterConfig>> {
        let (route, virtual_host) = route?;
        self.routes.route_configs.get(index)?.get(route, virtual_host)
    }
}
