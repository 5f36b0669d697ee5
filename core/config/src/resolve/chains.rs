//! From entries of filter chains to factories: those of the configuration
//! before where nothing changed, new ones elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_api::{BuildEnv, Counter, MetricError, Registry, StreamFilterBuilder};
use sidegate_proxy::{FilterEntry, RouteConfigs};
use sidegate_telemetry::FilterReplies;

use super::LoadMode;
use super::filters::{answers_as, builder, check_route_configs, report, route_configs};
use super::router::Router;
use super::stream_filter::FilterAt;
use crate::diagnostic::{Finding, kind};
use crate::reuse::{FilterCache, FilterIdentity, FilterPlace, Kept, Succession};

/// What makes the chains of one configuration.
pub(crate) struct Chains<'r> {
    pub registry: &'r Registry,
    pub env: &'r BuildEnv,
    pub mode: LoadMode,
    /// What runs.
    pub before: Option<&'r FilterCache>,
    /// What the next configuration may take over.
    pub cache: FilterCache,
    /// Factories in the place of others.
    pub successions: Vec<Succession>,
}

/// The chain of one listener.
pub(super) struct Chain {
    pub identities: Vec<Arc<FilterIdentity>>,
    /// None of them with [`LoadMode::NoLoad`].
    pub entries: Vec<FilterEntry>,
    /// What they made for the routes, by their place in the chain.
    pub route_configs: Vec<RouteConfigs>,
}

impl<'r> Chains<'r> {
    /// Of a configuration that follows the one of `before`.
    pub fn new(
        registry: &'r Registry,
        env: &'r BuildEnv,
        mode: LoadMode,
        before: Option<&'r FilterCache>,
        cache: FilterCache,
    ) -> Self {
        Chains { registry, env, mode, before, cache, successions: Vec::new() }
    }

    /// Makes a chain and the objects for its routes; `None` after errors were
    /// reported.
    pub(super) fn chain(&mut self, read: Vec<FilterAt<'_>>, listener: &Arc<str>, router: &Router<'_>) -> Option<Chain> {
        let (mut entries, mut route_configs) = (Vec::new(), Vec::new());
        let mut identities = Vec::with_capacity(read.len());
        let mut failed = false;
        for (place, filter) in places(listener, &read).into_iter().zip(&read) {
            let builder = builder(filter, self.registry)?;
            let fingerprint = builder.fingerprint(&filter.spec, self.env);
            let identity = Arc::new(FilterIdentity { spec: filter.spec.clone(), fingerprint });
            identities.push(identity.clone());
            if !check_route_configs(filter, builder.as_ref(), self.env, router) {
                failed = true;
                continue;
            }
            if self.mode == LoadMode::Load {
                // All of them, even after one failed: each reports its own
                // errors.
                match self.entry(filter, place, identity, builder.as_ref(), router) {
                    Some((entry, configs)) => {
                        entries.push(entry);
                        route_configs.push(configs);
                    }
                    None => failed = true,
                }
            }
        }
        (!failed).then_some(Chain { identities, entries, route_configs })
    }

    /// Builds what is new in a chain for the sake of its errors: mistakes
    /// elsewhere do not hide those that only building finds.
    pub(super) fn try_chain(&self, read: &[FilterAt<'_>], good: &[bool], listener: &Arc<str>) {
        for ((place, filter), _) in places(listener, read).into_iter().zip(read).zip(good).filter(|(_, good)| **good) {
            let Some(builder) = self.registry.builder_for(&filter.spec) else { continue };
            let fingerprint = builder.fingerprint(&filter.spec, self.env);
            let identity = FilterIdentity { spec: filter.spec.clone(), fingerprint };
            if self.running(&place, &identity, builder.as_ref()).is_none() {
                report(&filter.at, builder.build(&filter.spec, self.env).err().unwrap_or_default());
            }
        }
    }

    /// What is in use at `place` and may stay.
    fn running(
        &self,
        place: &FilterPlace,
        identity: &FilterIdentity,
        builder: &dyn StreamFilterBuilder,
    ) -> Option<&Kept> {
        self.before?.same(place, identity, self.env.workers).filter(|_| !builder.renews(&identity.spec))
    }

    fn entry(
        &mut self,
        filter: &FilterAt<'_>,
        place: FilterPlace,
        identity: Arc<FilterIdentity>,
        builder: &dyn StreamFilterBuilder,
        router: &Router<'_>,
    ) -> Option<(FilterEntry, RouteConfigs)> {
        let kept = match self.running(&place, &identity, builder) {
            Some(running) => {
                let paid = self.env.regexes.pay_again(running.compiled);
                paid.map_err(|refused| filter.at.error(Finding::said(kind::BAD_VALUE, refused.to_string()))).ok()?;
                Kept { identity, ..running.clone() }
            }
            None => self.build(filter, &place, identity, builder)?,
        };
        let configs = route_configs(&filter.spec.name, kept.factory.as_ref(), router)?;
        let entry = FilterEntry {
            name: place.filter.clone(),
            answers_as: answers_as(&filter.spec),
            factory: kept.factory.clone(),
            on_fault: filter.spec.on_fault,
            faults: kept.faults.clone(),
            replies: kept.replies.clone(),
        };
        self.cache.keep(place, kept);
        Some((entry, configs))
    }

    fn build(
        &mut self,
        filter: &FilterAt<'_>,
        place: &FilterPlace,
        identity: Arc<FilterIdentity>,
        builder: &dyn StreamFilterBuilder,
    ) -> Option<Kept> {
        let affordable = self.env.regexes.left();
        let factory = builder.build(&filter.spec, self.env).map_err(|errors| report(&filter.at, errors)).ok()?;
        let compiled = affordable.saturating_sub(self.env.regexes.left());
        let (faults, replies) = match self.before.and_then(|before| before.counters(place)) {
            Some(counters) => counters,
            None => self.counters(filter, place)?,
        };
        if let Some(predecessor) = self.before.and_then(|before| before.predecessor(place, &filter.spec)) {
            self.successions.push(Succession { place: place.clone(), factory: factory.clone(), predecessor });
        }
        Some(Kept { identity, factory, faults, replies, compiled })
    }

    fn counters(&self, filter: &FilterAt<'_>, place: &FilterPlace) -> Option<(Counter, Arc<FilterReplies>)> {
        let labels = [("listener", &*place.listener), ("filter", &*place.filter)];
        let faults = self.env.metrics.counter("sidegate_filter_faults_total", &labels);
        let refused = |problem: MetricError| filter.at.error(Finding::said(kind::BAD_VALUE, problem.to_string()));
        let faults = faults.map_err(refused).ok()?;
        Some((faults, Arc::new(FilterReplies::new(&self.env.metrics, &place.listener, &place.filter))))
    }
}

/// The places of a listener's filters, in order.
fn places(listener: &Arc<str>, filters: &[FilterAt<'_>]) -> Vec<FilterPlace> {
    let mut seen = HashMap::<&str, usize>::new();
    let mut places = Vec::with_capacity(filters.len());
    for filter in filters {
        let name = filter.spec.name.as_str();
        let of_name = seen.entry(name).or_default();
        places.push(FilterPlace { listener: listener.clone(), filter: name.into(), nth: *of_name });
        *of_name += 1;
    }
    places
}
