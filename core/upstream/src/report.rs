//! What becomes of attempts: ejection of hosts and their return.

use std::sync::PoisonError;
use std::time::Instant;

use crate::cluster::{Cluster, Member};
use crate::host::{Health, Host, Reason};
use crate::lb::Measured;
use crate::outlier::{Counted, Ejected, HostReport, OutlierConfig};
use crate::policy::LbPolicy;
use crate::registry::EjectionMetrics;

impl Cluster {
    /// Tells what came of an attempt at the member at `position` that began at
    /// `started`: to be called once per attempt, when its response head is
    /// there or it failed. Costs one branch in a cluster that does not eject
    /// hosts; without a failure it writes nothing.
    #[inline]
    pub fn report(&self, position: usize, outcome: HostReport, started: Instant) {
        if self.config.outlier.is_some() || self.config.lb == LbPolicy::PeakEwma {
            self.judge(position, outcome, started);
        }
    }

    fn judge(&self, position: usize, outcome: HostReport, started: Instant) {
        let Some(Member { host, .. }) = self.members().get(position) else { return };
        if self.config.lb == LbPolicy::PeakEwma {
            let now = Instant::now();
            let of = if outcome.is_failure() { Measured::Failure } else { Measured::Response };
            host.latency.observe(now, now.saturating_duration_since(started), of);
        }
        if let (Some(config), Some(metrics)) = (&self.config.outlier, &self.ejections)
            && host.streaks.count(outcome, config)
        {
            self.eject(host, config, metrics);
        }
    }

    /// Takes `host` out for a while, if enough others stay. Holds a lock: a
    /// host that fails this often is rare.
    #[cold]
    fn eject(&self, host: &Host, config: &OutlierConfig, metrics: &EjectionMetrics) {
        let _one_at_a_time = self.shared.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        host.streaks.clear();
        if host.is_out_for(Reason::Ejected) {
            return;
        }
        let ejected = self.members().iter().filter(|member| member.host.is_out_for(Reason::Ejected)).count();
        let last = host.health() == Health::Healthy && self.healthy_hosts() <= 1;
        if last || !config.allows(ejected, self.members().len()) {
            return;
        }
        let duration = {
            let mut ejection = host.ejection();
            ejection.times = ejection.times.saturating_add(1);
            let duration = config.duration(ejection.times);
            let until = Instant::now() + duration;
            ejection.now = Some(Ejected { until, _counted: Counted::new(&metrics.active) });
            duration
        };
        host.take_out(Reason::Ejected);
        metrics.total.inc();
        tracing::warn!(cluster = &**self.name(), host = host.text().as_str(), ?duration, "host ejected");
    }

    /// Lets hosts back whose time is up, and forgets an ejection of those that
    /// were well for another interval. To be called every
    /// [`OutlierConfig::interval`].
    pub fn review_ejections(&self, now: Instant) {
        self.let_back(|ejected| ejected.until <= now);
    }

    /// Lets all hosts back: for a cluster that ejects none any more.
    pub fn end_ejections(&self) {
        self.let_back(|_| true);
    }

    fn let_back(&self, is_over: impl Fn(&Ejected) -> bool) {
        for Member { host, .. } in self.all_members() {
            let mut ejection = host.ejection();
            match &ejection.now {
                Some(ejected) if !is_over(ejected) => {}
                Some(_) => {
                    ejection.now = None;
                    host.streaks.clear();
                    host.lift(Reason::Ejected);
                    tracing::info!(cluster = &**self.name(), host = host.text().as_str(), "ejected host is back");
                }
                None => ejection.times = ejection.times.saturating_sub(1),
            }
        }
    }
}
