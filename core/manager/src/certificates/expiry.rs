//! When certificates, CAs and lists end: as series, and as words ahead.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use sidegate_api::{Gauge, Metrics};
use sidegate_tls::Expiring;

use super::{Held, Owner};

/// `sidegate_tls_expiry_timestamp_seconds` of each listener and cluster.
pub(super) struct Expiries {
    metrics: Metrics,
    /// By kind and name of the owner, and what ends.
    gauges: HashMap<(&'static str, Box<str>, Expiring), Gauge>,
}

impl Expiries {
    pub fn new(metrics: &Metrics) -> Self {
        Expiries { metrics: metrics.clone(), gauges: HashMap::new() }
    }

    /// Shows when the first of each kind ends of what each owner holds; what is
    /// held no more is shown no more.
    pub fn show(&mut self, held: &[Held<'_>], now: SystemTime) {
        let mut gauges = HashMap::new();
        for ((owner, what), until) in soonest(held, now) {
            let key = (owner.kind(), Box::from(owner.name()), what);
            let known = self.gauges.remove(&key);
            let labels = [(owner.kind(), owner.name()), ("kind", what.label())];
            let gauge = known.or_else(|| self.metrics.gauge("sidegate_tls_expiry_timestamp_seconds", &labels).ok());
            let Some(gauge) = gauge else { continue };
            let seconds = until.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            gauge.set(i64::try_from(seconds).unwrap_or(i64::MAX));
            gauges.insert(key, gauge);
        }
        self.gauges = gauges;
    }
}

/// When the first of each kind ends.
fn soonest<'a>(held: &[Held<'a>], now: SystemTime) -> BTreeMap<(Owner<'a>, Expiring), SystemTime> {
    let mut soonest = BTreeMap::new();
    for Held { owner, holdings, .. } in held {
        for expiry in Expiring::ALL.into_iter().filter_map(|what| holdings.soonest(what, now)) {
            let until = soonest.entry((*owner, expiry.what)).or_insert(expiry.until);
            *until = expiry.until.min(*until);
        }
    }
    soonest
}

/// Says what has ended and what is about to, a line for each context.
pub(super) fn complain(held: &[Held<'_>], now: SystemTime) {
    for (of, from, words) in complaints(held, now) {
        tracing::warn!(of, from, "{words}");
    }
}

/// Who has it, where it is from, and what is to be said.
fn complaints(held: &[Held<'_>], now: SystemTime) -> Vec<(String, String, String)> {
    let (mut seen, mut complaints) = (HashSet::new(), Vec::new());
    for context in held.iter().filter(|context| seen.insert(context.id)) {
        let warnings = context.holdings.warnings(now);
        let said = warnings.map(|(expiry, words)| (super::owners(held, context.id), expiry.from.shown(), words));
        complaints.extend(said);
    }
    complaints
}
