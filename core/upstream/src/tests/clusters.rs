use std::collections::HashSet;
use std::time::Duration;

use sidegate_api::MetricBounds;

use super::*;

#[test]
fn hosts_outlive_the_snapshots_they_appear_in() {
    let registry = HostRegistry::new(Metrics::new(1));
    let old = Cluster::new(config(LbPolicy::Random, &[1, 1]), &registry).unwrap();
    old.members()[1].host.set_health(Health::Unhealthy);
    old.members()[1].host.metrics().request_active.inc();
    let new = Cluster::new(config(LbPolicy::RoundRobin, &[1, 9, 9]), &registry).unwrap();
    assert!(Arc::ptr_eq(&old.members()[1].host, &new.members()[1].host));
    assert_eq!(new.members()[1].host.health(), Health::Unhealthy);
    assert_eq!(new.members()[1].host.metrics().request_active.get(), 1);
    assert_eq!(new.members()[1].weight.get(), 9);

    drop(new);
    registry.sweep();
    assert_eq!(registry.len(), 2);
    drop(old);
    registry.sweep();
    assert!(registry.is_empty());
}

#[test]
fn one_address_in_two_clusters_is_two_hosts() {
    let registry = HostRegistry::new(Metrics::new(1));
    let a = Cluster::new(config(LbPolicy::Random, &[1]), &registry).unwrap();
    let b = Cluster::new(ClusterConfig { name: "d".into(), ..config(LbPolicy::Random, &[1]) }, &registry).unwrap();
    a.members()[0].host.set_health(Health::Unhealthy);
    assert_eq!(b.members()[0].host.health(), Health::Healthy);
}

#[test]
fn counting_reaches_host_and_cluster() {
    let metrics = Metrics::new(1);
    let registry = HostRegistry::new(metrics.clone());
    let cluster = Cluster::new(config(LbPolicy::Random, &[1, 1]), &registry).unwrap();
    for member in cluster.members() {
        member.host.count(|m| m.request_total.inc());
    }
    assert_eq!(cluster.metrics().request_total.get(), 2);
    let totals: Vec<_> = metrics
        .read()
        .into_iter()
        .filter(|series| &*series.name == "upstream_request_total")
        .map(|series| (series.labels.to_vec(), series.value))
        .collect();
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let one = sidegate_api::SeriesValue::Counter(1);
    assert_eq!(
        totals,
        [
            (vec![label("cluster", "c")], sidegate_api::SeriesValue::Counter(2)),
            (vec![label("cluster", "c"), label("host", "127.0.0.1:1")], one.clone()),
            (vec![label("cluster", "c"), label("host", "127.0.0.1:2")], one),
        ]
    );
}

/// Departed series go with the next definition.
fn forgetful() -> Metrics {
    let at_once = MetricBounds { unread: Duration::ZERO, departed: 0, ..MetricBounds::default() };
    Metrics::with_bounds(1, at_once)
}

#[test]
fn clusters_and_hosts_that_come_and_go_leave_nothing() {
    let metrics = forgetful();
    let registry = HostRegistry::new(metrics.clone());
    let named = |name: &str, hosts: Vec<HostConfig>| ClusterConfig {
        outlier: Some(OutlierConfig::default()),
        ..ClusterConfig::new(name, hosts)
    };
    let stays = Cluster::new(named("stays", vec![HostConfig::new(address(1))]), &registry).unwrap();
    stays.members()[0].host.count(|m| m.request_total.inc());
    let mut cells = Vec::new();
    for round in 0..2000 {
        let hosts = (0..3).map(|n| HostConfig::new(address(1 + round * 3 + n))).collect();
        let cluster = Cluster::new(named(&format!("c{round}"), hosts), &registry).unwrap();
        for member in cluster.members() {
            assert_eq!(member.host.metrics().request_total.get(), 0);
            member.host.count(|m| m.request_total.inc());
        }
        assert_eq!(cluster.metrics().request_total.get(), 3);
        cells.push((metrics.cells(), registry.len()));
    }
    assert_eq!(cells[10], cells[1999]);
    registry.sweep();
    assert_eq!(registry.len(), 1);
    assert_eq!(stays.metrics().request_total.get(), 1);
    let clusters = metrics.read().into_iter().map(|one| one.labels[0].1.clone()).collect::<HashSet<_>>();
    assert_eq!(clusters, HashSet::from(["stays".to_owned()]));
}

#[test]
fn a_host_that_stays_counts_on_and_one_that_goes_is_freed() {
    let metrics = forgetful();
    let registry = HostRegistry::new(metrics.clone());
    let of = |ports: &[usize]| {
        let hosts = ports.iter().map(|&port| HostConfig::new(address(port))).collect();
        Cluster::new(ClusterConfig::new("c", hosts), &registry).unwrap()
    };
    let mut cluster = of(&[1, 2]);
    cluster.members().iter().for_each(|member| member.host.count(|m| m.request_total.inc()));
    for _ in 0..10 {
        cluster = of(&[2, 3]);
    }
    cluster.members()[0].host.count(|m| m.request_total.inc());
    let totals: Vec<_> = metrics
        .read()
        .into_iter()
        .filter(|series| &*series.name == "upstream_request_total")
        .map(|series| (series.labels.last().unwrap().1.clone(), series.value))
        .collect();
    let count = |of: &str, count| (of.to_owned(), sidegate_api::SeriesValue::Counter(count));
    assert_eq!(totals, [count("c", 3), count("127.0.0.1:2", 2), count("127.0.0.1:3", 0)]);
}

#[test]
fn a_cluster_that_is_found_by_name_later_has_room_for_all() {
    let cells = 33 * 3 + 5;
    let metrics = Metrics::with_bounds(1, MetricBounds { cells, ..MetricBounds::default() });
    let registry = HostRegistry::new(metrics.clone());
    let of = |ports: &[usize], dns| {
        let hosts = ports.iter().map(|&port| HostConfig::new(address(port))).collect();
        Cluster::new(ClusterConfig { dns, ..ClusterConfig::new("c", hosts) }, &registry)
    };
    let before = of(&[1], None).unwrap();
    let dns = DnsConfig {
        names: Vec::new(),
        fixed: Vec::new(),
        refresh_rate: Duration::from_secs(5),
        ttl: Ttl::Ignore,
        family: LookupFamily::default(),
        resolver: Resolver::File { path: "/etc/resolv.conf".into(), port: None },
    };
    let found = of(&[1, 2, 3], Some(dns)).unwrap();
    found.members().iter().for_each(|member| member.host.count(|m| m.request_total.inc()));
    assert_eq!(found.members()[2].host.metrics().request_total.get(), 2, "those without room share");
    assert!(of(&[1, 4], None).unwrap().members()[1].host.metrics().request_total.get() == 2);
    drop(before);
}

#[test]
fn an_address_twice_is_refused() {
    let mut config = config(LbPolicy::Random, &[1, 1, 1]);
    config.hosts[2].address = config.hosts[0].address.clone();
    config.hosts.push(HostConfig::new(address(2)));
    assert_eq!(config.duplicate_hosts().collect::<Vec<_>>(), [2, 3]);
    let error = Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap_err();
    assert_eq!(error, ClusterError::DuplicateHost { cluster: "c".into(), address: address(1), position: 2 });
    assert_eq!(error.to_string(), "host 127.0.0.1:1 is listed twice in cluster `c`");
}

#[test]
fn names_and_ranges_of_the_configuration() {
    assert_eq!(LbPolicy::parse("LB_WEIGHTED_ROUNDROBIN"), Ok(LbPolicy::RoundRobin));
    assert_eq!(LbPolicy::parse("LB_REQUEST_ROUNDROBIN"), Ok(LbPolicy::FirstOfRequest));
    assert_eq!(LbPolicy::parse("LB_ORIGINAL_DST"), Err(LbPolicyError::Unsupported));
    assert_eq!(LbPolicy::parse("LB_RANDUM"), Err(LbPolicyError::Unknown));
    for lb in super::balancing::POLICIES {
        assert_eq!(LbPolicy::parse(lb.as_str()), Ok(lb));
    }
    assert_eq!(ClusterKind::parse("ORIGINAL_DST"), Err(ClusterKindError::Unsupported));
    assert_eq!(ClusterKind::parse("SIMPEL"), Err(ClusterKindError::Unknown));
    for kind in [ClusterKind::Simple, ClusterKind::Static, ClusterKind::Eds, ClusterKind::StrictDns] {
        assert_eq!(ClusterKind::parse(kind.as_str()), Ok(kind));
    }
    for (weight, valid) in [(0, false), (1, true), (128, true), (129, false), (257, false)] {
        assert_eq!(HostWeight::new(weight).is_ok(), valid, "{weight}");
    }
    let defaults = ClusterConfig::new("c", Vec::new());
    assert_eq!(defaults.max_requests_per_connection.map(u32::from), Some(1024));
}

#[test]
fn a_host_is_well_since_it_came_back() {
    let cluster = cluster(LbPolicy::Random, &[1]);
    let host = &cluster.members()[0].host;
    let made = std::time::Instant::now();
    while host.well_for() < std::time::Duration::from_millis(5) {}
    host.set_health(Health::Unhealthy);
    host.set_health(Health::Healthy);
    assert!(host.well_for() < made.elapsed());
    let since = host.well_for();
    // The same news again begins nothing anew.
    host.set_health(Health::Healthy);
    assert!(host.well_for() >= since);
}

#[test]
fn a_drained_host_is_chosen_by_nobody_and_looked_after_by_all() {
    let registry = HostRegistry::new(Metrics::new(1));
    let with = |duties: [HostDuty; 3]| {
        let hosts = duties.into_iter().enumerate().map(|(at, duty)| HostConfig {
            duty,
            metadata: LbMetadata::new([("v".into(), "1".into())]),
            ..HostConfig::new(address(at + 1))
        });
        let subsets = SubsetConfig { selectors: vec![vec!["v".into()]], fallback: SubsetFallback::None };
        let config = ClusterConfig { subsets: Some(subsets), ..ClusterConfig::new("c", hosts.collect()) };
        Arc::new(Cluster::new(config, &registry).unwrap())
    };
    let before = with([HostDuty::Serves; 3]);
    let after = with([HostDuty::Serves, HostDuty::Drained, HostDuty::Serves]);
    let ports = |members: &[Member]| -> Vec<u16> {
        members.iter().map(|member| member.host.address().socket_addr().unwrap().port()).collect()
    };
    assert_eq!((ports(after.members()), ports(after.drained())), (vec![1, 3], vec![2]));
    assert!(Arc::ptr_eq(&before.members()[1].host, &after.drained()[0].host));
    assert_eq!(after.all_members().count(), 3);
    // Not in panic either, whatever is asked for.
    after.members().iter().for_each(|member| member.host.set_health(Health::Unhealthy));
    let mut balancer = Balancer::new(before, Seed(1)).following(after.clone());
    let wanted = LbMetadata::new([("v".into(), "1".into())]);
    for subset in [&LbMetadata::default(), &wanted] {
        let tried = TriedHosts::default();
        let chosen: Vec<_> =
            (0..4).map(|_| balancer.pick(&Choice { tried: &tried, hash: None, subset }).unwrap()).collect();
        assert!(chosen.contains(&0) && chosen.contains(&1), "{chosen:?}");
        assert!(chosen.iter().all(|at| *at < 2), "{chosen:?}");
    }
    // It comes back to what it was.
    let again = with([HostDuty::Serves; 3]);
    assert!(Arc::ptr_eq(&again.members()[1].host, &after.drained()[0].host));
}
