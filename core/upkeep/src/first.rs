//! The first check of hosts that are about to be used.

use std::sync::Arc;
use std::time::Duration;

use sidegate_upstream::{Cluster, Health, HealthCheckConfig, Host, HostTls};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::probe::check;

/// Checks at the same time. Each takes a descriptor.
const AT_ONCE: usize = 64;

/// Checks the hosts of `clusters` that `is_new` says nobody has checked, once
/// each, so that none that is out gets a request. Hosts whose check fails are
/// out from the beginning, however many failures take a known one out; those
/// that were not checked before `patience` ended, or are not to be checked at
/// once (`initial_delay`), are in until a later check says otherwise.
pub async fn check_first(clusters: &[Arc<Cluster>], is_new: impl Fn(&Arc<Host>) -> bool, patience: Duration) {
    let deadline = Instant::now() + patience;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut checks = JoinSet::new();
    for cluster in clusters {
        let Some(config) = cluster.config().health_check.as_ref().filter(|config| config.initial_delay.is_zero())
        else {
            continue;
        };
        let config = Arc::new(config.clone());
        for member in cluster.members().iter().filter(|member| is_new(&member.host)) {
            let (room, host) = (room.clone(), (member.host.clone(), cluster.tls(member)));
            checks.spawn(first(room, host, config.clone(), cluster.name().clone()));
        }
    }
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline, checks.join_next()).await {}
    if !checks.is_empty() {
        tracing::warn!(hosts = checks.len(), "hosts begin to serve before their first check");
    }
}

async fn first(
    room: Arc<Semaphore>,
    (host, tls): (Arc<Host>, Option<HostTls>),
    config: Arc<HealthCheckConfig>,
    cluster: Arc<str>,
) {
    let Ok(_permit) = room.acquire().await else { return };
    match check(host.address(), &config.probe, config.timeout, tls.as_ref()).await {
        Err(failure) if !failure.is_ours() => {
            host.set_health(Health::Unhealthy);
            let host = host.text().as_str();
            tracing::warn!(cluster = &*cluster, host, why = %failure, "host begins unhealthy");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use sidegate_api::{Address, Metrics};
    use sidegate_upstream::{ClusterConfig, HostConfig, HostRegistry};
    use tokio::net::TcpListener;

    use super::*;

    /// Of hosts at these addresses, checked by connecting.
    fn cluster(hosts: &[std::net::SocketAddr], check: HealthCheckConfig) -> Arc<Cluster> {
        let hosts = hosts.iter().map(|host| HostConfig::new(Address::Tcp(*host))).collect();
        let config = ClusterConfig { health_check: Some(check), ..ClusterConfig::new("c", hosts) };
        Arc::new(Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap())
    }

    /// One that listens and one that does not.
    async fn hosts() -> (TcpListener, Vec<std::net::SocketAddr>) {
        let up = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let down = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let addresses = vec![up.local_addr().unwrap(), down];
        (up, addresses)
    }

    fn healths(cluster: &Cluster) -> Vec<Health> {
        cluster.members().iter().map(|member| member.host.health()).collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_bad_check_takes_a_new_host_out() {
        const PATIENCE: Duration = Duration::from_secs(20);
        let (_up, addresses) = hosts().await;
        let many = std::num::NonZeroU32::new(3).unwrap();
        let check = HealthCheckConfig { unhealthy_threshold: many, ..HealthCheckConfig::new("s") };
        let known = cluster(&addresses, check.clone());
        check_first(std::slice::from_ref(&known), |_| false, PATIENCE).await;
        assert_eq!(healths(&known), [Health::Healthy, Health::Healthy], "known hosts are somebody else's");
        check_first(std::slice::from_ref(&known), |_| true, PATIENCE).await;
        assert_eq!(healths(&known), [Health::Healthy, Health::Unhealthy]);
        let later = cluster(&addresses, HealthCheckConfig { initial_delay: PATIENCE, ..check });
        check_first(std::slice::from_ref(&later), |_| true, PATIENCE).await;
        assert_eq!(healths(&later), [Health::Healthy, Health::Healthy], "not before its time");
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn nobody_waits_longer_than_is_due() {
        // It takes connections and answers nothing.
        let (up, _) = hosts().await;
        let probe = sidegate_upstream::Probe::Http(sidegate_upstream::HttpProbe::new("/"));
        let hour = Duration::from_secs(3600);
        let check = HealthCheckConfig { probe, timeout: hour, ..HealthCheckConfig::new("s") };
        let silent = cluster(&[up.local_addr().unwrap()], check);
        let begun = Instant::now();
        check_first(std::slice::from_ref(&silent), |_| true, Duration::from_secs(5)).await;
        assert_eq!((begun.elapsed().as_secs(), healths(&silent)), (5, vec![Health::Healthy]));
    }
}
