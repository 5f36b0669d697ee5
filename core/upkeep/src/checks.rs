//! Active health checks: one task per host.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{Address, Counter, MetricError, Metrics, UpDown};
use sidegate_telemetry::LogSinks;
use sidegate_upstream::{Cluster, Health, HealthCheckConfig, Host, HostTls, Reason, Seed};

use crate::events::Events;
use crate::probe::{Failure, check};
use crate::task::Task;

/// The checks of all clusters.
#[derive(Debug)]
pub(crate) struct Checks {
    metrics: Metrics,
    sinks: LogSinks,
    clusters: HashMap<Arc<str>, Checked>,
}

/// The checks of one cluster.
#[derive(Debug)]
struct Checked {
    config: Arc<HealthCheckConfig>,
    stats: Arc<Stats>,
    events: Events,
    hosts: HashMap<Address, Watched>,
}

/// A host that is checked, and how.
#[derive(Debug)]
struct Watched {
    host: Arc<Host>,
    tls: Option<HostTls>,
    #[allow(dead_code, reason = "the checks end when it is dropped")]
    task: Task,
}

/// MOSN's series of health checks, without `passive_failure` and
/// `verify_cluster`, which nothing here could count.
#[derive(Debug)]
struct Stats {
    attempt: Counter,
    success: Counter,
    failure: Counter,
    active_failure: Counter,
    network_failure: Counter,
    /// MOSN's spelling.
    healty: UpDown,
}

impl Checks {
    pub(crate) fn new(metrics: Metrics, sinks: LogSinks) -> Self {
        Checks { metrics, sinks, clusters: HashMap::new() }
    }

    pub(crate) fn adopt_one(&mut self, cluster: &Cluster) {
        let Some(config) = &cluster.config().health_check else {
            self.forget(cluster.name());
            // Nobody would bring them back.
            cluster.all_members().for_each(|member| member.host.set_health(Health::Healthy));
            return;
        };
        let known = self.clusters.remove(cluster.name()).filter(|known| *known.config == *config);
        match known.map_or_else(|| self.begin(cluster.name(), config), Ok) {
            Ok(mut checked) => {
                checked.adopt(cluster);
                self.clusters.insert(cluster.name().clone(), checked);
            }
            Err(error) => tracing::error!(cluster = &**cluster.name(), %error, "hosts are not checked"),
        }
    }

    pub(crate) fn forget(&mut self, cluster: &str) {
        self.clusters.remove(cluster);
    }

    fn begin(&self, cluster: &Arc<str>, config: &HealthCheckConfig) -> Result<Checked, MetricError> {
        let service = config.service.clone();
        Ok(Checked {
            stats: Arc::new(Stats::new(&self.metrics, &service)?),
            events: Events::new(cluster.clone(), service, config.event_log.as_deref(), &self.sinks),
            config: Arc::new(config.clone()),
            hosts: HashMap::new(),
        })
    }
}

impl Checked {
    fn adopt(&mut self, cluster: &Cluster) {
        let mut before = std::mem::take(&mut self.hosts);
        for member in cluster.all_members() {
            let address = member.host.address().clone();
            let tls = cluster.tls(member);
            let same = |known: &Watched| Arc::ptr_eq(&known.host, &member.host) && known.tls == tls;
            let running = before.remove(&address).filter(same).unwrap_or_else(|| {
                let (config, stats) = (self.config.clone(), self.stats.clone());
                let host = member.host.clone();
                let task = Task::spawn(watch_over(host.clone(), tls.clone(), config, stats, self.events.clone()));
                Watched { host, tls, task }
            });
            self.hosts.insert(address, running);
        }
    }
}

impl Stats {
    fn new(metrics: &Metrics, service: &str) -> Result<Self, MetricError> {
        metrics.together(&[("service", service)], |series| {
            Ok(Stats {
                attempt: series.counter("healthcheck_attempt")?,
                success: series.counter("healthcheck_success")?,
                failure: series.counter("healthcheck_failure")?,
                active_failure: series.counter("healthcheck_active_failure")?,
                network_failure: series.counter("healthcheck_network_failure")?,
                healty: series.up_down("healthcheck_healty")?,
            })
        })
    }
}

/// One host in `healthcheck_healty`; taken back when its checks end, too.
struct CountedHealthy(Arc<Stats>);

impl CountedHealthy {
    fn new(stats: &Arc<Stats>) -> Self {
        stats.healty.inc();
        CountedHealthy(stats.clone())
    }
}

impl Drop for CountedHealthy {
    fn drop(&mut self) {
        self.0.healty.dec();
    }
}

/// Checks `host` until the task is stopped.
async fn watch_over(
    host: Arc<Host>,
    tls: Option<HostTls>,
    config: Arc<HealthCheckConfig>,
    stats: Arc<Stats>,
    events: Events,
) {
    let mut streak = Streak::default();
    // Why a check was not made was told.
    let mut exhausted = false;
    let mut counted = (!host.is_out_for(Reason::FailedCheck)).then(|| CountedHealthy::new(&stats));
    tokio::time::sleep(config.initial_delay).await;
    loop {
        stats.attempt.inc();
        let result = check(host.address(), &config.probe, config.timeout, tls.as_ref()).await;
        if let Err(ours) = &result
            && ours.is_ours()
        {
            // The host stays what it was taken for, and its streak what it is.
            if !std::mem::replace(&mut exhausted, true) {
                let host = host.text().as_str();
                tracing::warn!(service = &*config.service, host, why = %ours, "host cannot be checked");
            }
            tokio::time::sleep(config.interval + jitter(config.interval_jitter)).await;
            continue;
        }
        exhausted = false;
        match &result {
            Ok(()) => stats.success.inc(),
            Err(failure) => {
                stats.failure.inc();
                if failure.is_network() { stats.network_failure.inc() } else { stats.active_failure.inc() }
            }
        }
        let now = if counted.is_some() { Health::Healthy } else { Health::Unhealthy };
        if let Some(health) = streak.next(now, &result, &config) {
            counted = (health == Health::Healthy).then(|| CountedHealthy::new(&stats));
            host.set_health(health);
            events.changed(&host, health, result.as_ref().err());
        }
        tokio::time::sleep(config.interval + jitter(config.interval_jitter)).await;
    }
}

/// Results in a row that speak against what the host is taken for.
#[derive(Debug, Default)]
struct Streak(u32);

impl Streak {
    /// What the host is from now on, if that is not what it is `now`.
    fn next(&mut self, now: Health, result: &Result<(), Failure>, config: &HealthCheckConfig) -> Option<Health> {
        let (other, threshold) = match (now, result) {
            (Health::Healthy, Err(_)) => (Health::Unhealthy, config.unhealthy_threshold),
            (Health::Unhealthy, Ok(())) => (Health::Healthy, config.healthy_threshold),
            (Health::Healthy, Ok(())) | (Health::Unhealthy, Err(_)) => {
                self.0 = 0;
                return None;
            }
        };
        self.0 += 1;
        if self.0 < threshold.get() {
            return None;
        }
        self.0 = 0;
        Some(other)
    }
}

/// From nothing up to `most`.
fn jitter(most: Duration) -> Duration {
    let part = (Seed::random().0 >> 11) as f64 / (1_u64 << 53) as f64;
    most.mul_f64(part)
}

#[cfg(test)]
mod tests {
    use sidegate_upstream::{ClusterConfig, HostConfig, HostRegistry};

    use super::*;

    /// Hosts on these ports, checked once an hour.
    fn cluster(name: &str, ports: &[u16], hosts: &HostRegistry) -> Cluster {
        let of_ports = ports.iter().map(|&port| HostConfig::new(Address::Tcp(([127, 0, 0, 1], port).into())));
        let hour = Duration::from_secs(3600);
        let check = HealthCheckConfig { initial_delay: hour, interval: hour, ..HealthCheckConfig::new(name) };
        let config = ClusterConfig { health_check: Some(check), ..ClusterConfig::new(name, of_ports.collect()) };
        Cluster::new(config, hosts).unwrap()
    }

    /// The tasks of a cluster's hosts, by port.
    fn tasks(checks: &Checks, cluster: &str) -> Vec<(u16, tokio::task::Id)> {
        let hosts = checks.clusters.get(cluster).map(|checked| &checked.hosts);
        let task = |(address, host): (&Address, &Watched)| (address.socket_addr().unwrap().port(), host.task.id());
        let mut tasks: Vec<_> = hosts.into_iter().flatten().map(task).collect();
        tasks.sort_unstable_by_key(|(port, _)| *port);
        tasks
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_cluster_changes_and_goes_and_the_others_are_checked_on() {
        let metrics = Metrics::new(1);
        let hosts = HostRegistry::new(metrics.clone());
        let mut checks = Checks::new(metrics.clone(), LogSinks::new(metrics));
        let (a, b) = (cluster("a", &[1, 2], &hosts), cluster("b", &[1], &hosts));
        checks.adopt_one(&a);
        checks.adopt_one(&b);
        let (of_a, of_b) = (tasks(&checks, "a"), tasks(&checks, "b"));
        assert_eq!((of_a.len(), of_b.len()), (2, 1));
        let changed = cluster("a", &[2, 3], &hosts);
        checks.adopt_one(&changed);
        let now = tasks(&checks, "a");
        assert_eq!((now[0], now[1].0), (of_a[1], 3), "the check of a host that stays goes on");
        // Unchecked, and a host that was out is in again.
        changed.members()[0].host.set_health(Health::Unhealthy);
        let config = ClusterConfig { health_check: None, ..changed.config().clone() };
        checks.adopt_one(&Cluster::new(config, &hosts).unwrap());
        assert_eq!((tasks(&checks, "a"), changed.members()[0].host.health()), (vec![], Health::Healthy));
        assert_eq!(tasks(&checks, "b"), of_b);
        checks.forget("b");
        checks.forget("c");
        assert_eq!(tasks(&checks, "b"), vec![]);
    }

    #[test]
    fn only_so_many_results_in_a_row_change_a_host() {
        let config = HealthCheckConfig {
            healthy_threshold: std::num::NonZeroU32::new(2).unwrap(),
            unhealthy_threshold: std::num::NonZeroU32::new(3).unwrap(),
            ..HealthCheckConfig::new("s")
        };
        let mut now = Health::Healthy;
        let mut streak = Streak::default();
        let mut seen = String::new();
        for result in "..xx.xxx.x.x..x..xxx".chars() {
            let result = if result == '.' { Ok(()) } else { Err(Failure::TimedOut) };
            now = streak.next(now, &result, &config).unwrap_or(now);
            seen.push(if now == Health::Healthy { '+' } else { '-' });
        }
        assert_eq!(seen, "+++++++------++++++-");
    }

    #[test]
    fn jitter_is_within_its_bound() {
        for _ in 0..100 {
            assert!(jitter(Duration::from_millis(5)) < Duration::from_millis(5));
        }
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }
}
