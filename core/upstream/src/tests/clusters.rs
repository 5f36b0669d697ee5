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
