//! Factories that go on into the next configuration.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use sidegate_api::{Counter, FilterSpec, Fingerprint, RegexBudget, StreamFilterFactory};
use sidegate_telemetry::FilterReplies;
use sidegate_tls::KeyLog;

use crate::resolve::{ContextMaker, ReadParts};

/// A place in a chain that has the same name in the next configuration,
/// wherever its entry stands there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilterPlace {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Name of the filter.
    pub filter: Arc<str>,
    /// Which of the filters of that name in that chain, from 0.
    pub nth: usize,
}

/// An entry of a chain and what stands behind it: equal ones make equal
/// filters.
#[derive(Clone, PartialEq)]
pub struct FilterIdentity {
    /// The entry.
    pub spec: FilterSpec,
    /// Files that its builder read.
    pub fingerprint: Fingerprint,
}

/// Without settings, which may hold secrets.
impl fmt::Debug for FilterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterIdentity").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

/// The factories of a configuration, for the next one to take over where
/// nothing changed. Holds them: whoever keeps it keeps their modules loaded.
#[derive(Default)]
pub struct FilterCache {
    /// Factories are made for a number of workers.
    workers: usize,
    /// Factories pay for the settings of routes from it for as long as they
    /// live.
    regexes: RegexBudget,
    kept: HashMap<FilterPlace, Kept>,
    /// Clusters and routes as they were read.
    parts: ReadParts,
    /// What contexts of TLS are made with, for as long as the process lives.
    contexts: ContextMaker,
}

/// What belongs to one place.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub identity: Arc<FilterIdentity>,
    pub factory: Arc<dyn StreamFilterFactory>,
    pub faults: Counter,
    pub replies: Arc<FilterReplies>,
    /// What its regular expressions took, in bytes.
    pub compiled: usize,
}

/// A factory that was made for a place where another one is in use.
#[derive(Debug, Clone)]
pub struct Succession {
    /// The place of both.
    pub place: FilterPlace,
    /// The new one.
    pub factory: Arc<dyn StreamFilterFactory>,
    /// The one in use: of the same module and filter, or of the same type.
    pub predecessor: Arc<dyn StreamFilterFactory>,
}

impl FilterCache {
    /// For a configuration of this many workers that follows `before`.
    pub(crate) fn following(
        before: Option<&FilterCache>,
        workers: usize,
        key_log: Option<Arc<dyn KeyLog>>,
    ) -> FilterCache {
        let regexes = before.map(|before| before.regexes.clone()).unwrap_or_default();
        regexes.refill();
        let contexts = before.map(|before| before.contexts.clone()).unwrap_or_default().telling(key_log);
        FilterCache { workers, regexes, kept: HashMap::new(), parts: ReadParts::default(), contexts }
    }

    /// What contexts of TLS are made with.
    pub fn contexts(&self) -> &ContextMaker {
        &self.contexts
    }

    pub(crate) fn read_parts(&self) -> &ReadParts {
        &self.parts
    }

    pub(crate) fn keep_parts(&mut self, parts: ReadParts) {
        self.parts = parts;
    }

    pub(crate) fn regexes(&self) -> &RegexBudget {
        &self.regexes
    }

    /// What is there for `place` and says the same.
    pub(crate) fn same(&self, place: &FilterPlace, identity: &FilterIdentity, workers: usize) -> Option<&Kept> {
        self.kept.get(place).filter(|kept| self.workers == workers && *kept.identity == *identity)
    }

    /// The factory that one for `spec` follows at `place`.
    pub(crate) fn predecessor(&self, place: &FilterPlace, spec: &FilterSpec) -> Option<Arc<dyn StreamFilterFactory>> {
        let kept = self.kept.get(place)?;
        let kin = match (&kept.identity.spec.module, &spec.module) {
            (Some(old), Some(new)) => old.name == new.name && old.filter == new.filter,
            (None, None) => kept.identity.spec.filter_type == spec.filter_type,
            _ => false,
        };
        kin.then(|| kept.factory.clone())
    }

    /// What counts faults and replies of the filter at `place`, whatever filter
    /// that was.
    pub(crate) fn counters(&self, place: &FilterPlace) -> Option<(Counter, Arc<FilterReplies>)> {
        self.kept.get(place).map(|kept| (kept.faults.clone(), kept.replies.clone()))
    }

    pub(crate) fn keep(&mut self, place: FilterPlace, kept: Kept) {
        self.kept.insert(place, kept);
    }

    /// The factory at `place`.
    pub fn factory(&self, place: &FilterPlace) -> Option<&Arc<dyn StreamFilterFactory>> {
        self.kept.get(place).map(|kept| &kept.factory)
    }

    /// All places with their factories, in no order.
    pub fn factories(&self) -> impl Iterator<Item = (&FilterPlace, &Arc<dyn StreamFilterFactory>)> {
        self.kept.iter().map(|(place, kept)| (place, &kept.factory))
    }
}

impl fmt::Debug for FilterCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterCache").field("places", &self.kept.len()).finish_non_exhaustive()
    }
}
