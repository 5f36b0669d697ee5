//! How many retries a cluster bears: what keeps failures from becoming an
//! avalanche.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sidegate_api::{Counter, MetricError, Metrics};

use crate::breakers::{Overflow, Permit};
use crate::cluster::Cluster;

/// Bound on the retries in progress, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryLimit {
    /// A share of the requests.
    Budget(RetryBudget),
    /// `max_retries`: so many, whatever the load.
    Fixed(NonZeroU32),
}

/// `retry_budget`, in Envoy's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries in progress, in percent of the requests in progress.
    pub percent: u8,
    /// So many are always allowed: with few requests a share of them is none.
    pub min_concurrency: u32,
}

impl Default for RetryBudget {
    /// Envoy's defaults.
    fn default() -> Self {
        RetryBudget { percent: 20, min_concurrency: 3 }
    }
}

impl Default for RetryLimit {
    /// Envoy's default without a budget are 3 retries; a share of the requests
    /// fits clusters of any size.
    fn default() -> Self {
        RetryLimit::Budget(RetryBudget::default())
    }
}

impl RetryLimit {
    /// Retries that `active` requests allow.
    fn at(self, active: u64) -> u32 {
        match self {
            RetryLimit::Fixed(limit) => limit.get(),
            RetryLimit::Budget(budget) => {
                let share = active.saturating_mul(budget.percent.into()) / 100;
                u32::try_from(share).unwrap_or(u32::MAX).max(budget.min_concurrency)
            }
        }
    }
}

/// MOSN's series of a cluster's retries.
#[derive(Debug)]
pub(crate) struct RetryMetrics {
    retried: Counter,
    refused: Counter,
    /// Requests between two attempts: they are in progress, too.
    between: Arc<AtomicU32>,
}

/// A request that may be sent again; given back on drop.
#[derive(Debug)]
#[must_use = "dropping it gives it back"]
pub struct RetryPermit {
    _permit: Permit,
    between: Option<Between>,
}

#[derive(Debug)]
struct Between(Arc<AtomicU32>);

impl RetryPermit {
    /// The request is on its way again, and counted with all others.
    pub fn sent(&mut self) {
        self.between = None;
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RetryMetrics {
    pub(crate) fn new(metrics: &Metrics, cluster: &str) -> Result<Self, MetricError> {
        metrics.together(&[("cluster", cluster)], |series| {
            Ok(RetryMetrics {
                retried: series.counter("upstream_request_retry")?,
                refused: series.counter("upstream_request_retry_overflow")?,
                between: Arc::default(),
            })
        })
    }
}

impl Cluster {
    /// One retry more. Counted, whether it is allowed or not.
    #[cold]
    pub fn retry(&self) -> Result<RetryPermit, Overflow> {
        let metrics = &self.shared.retries;
        let between = metrics.between.load(Ordering::Relaxed);
        let active = u64::try_from(self.metrics().request_active.get()).unwrap_or(0) + u64::from(between);
        match self.breakers().retry(self.config.breakers.retries.at(active)) {
            Ok(permit) => {
                metrics.retried.inc();
                metrics.between.fetch_add(1, Ordering::Relaxed);
                Ok(RetryPermit { _permit: permit, between: Some(Between(metrics.between.clone())) })
            }
            Err(overflow) => {
                metrics.refused.inc();
                Err(overflow)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_but_never_fewer_than_a_few() {
        let limit = RetryLimit::default();
        for (active, allowed) in [(0, 3), (1, 3), (15, 3), (19, 3), (20, 4), (100, 20), (1004, 200)] {
            assert_eq!(limit.at(active), allowed, "{active}");
        }
        let none = RetryLimit::Budget(RetryBudget { percent: 0, min_concurrency: 0 });
        assert_eq!(none.at(1000), 0);
        let all = RetryLimit::Budget(RetryBudget { percent: 100, min_concurrency: 0 });
        assert_eq!((all.at(7), all.at(u64::MAX)), (7, u32::MAX));
        assert_eq!(RetryLimit::Fixed(NonZeroU32::MIN).at(1000), 1);
    }
}
