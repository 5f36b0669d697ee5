//! Subsets of hosts.

use proptest::prelude::*;

use super::*;

fn metadata(pairs: &[(&str, &str)]) -> LbMetadata {
    LbMetadata::new(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())))
}

/// Hosts with this metadata, chosen in turn.
fn cluster(hosts: &[LbMetadata], selectors: &[&[&str]], fallback: SubsetFallback, lb: LbPolicy) -> Arc<Cluster> {
    let mut config = config(lb, &vec![1; hosts.len()]);
    config.hosts.iter_mut().zip(hosts).for_each(|(host, metadata)| host.metadata = metadata.clone());
    let selectors = selectors.iter().map(|keys| keys.iter().map(|key| Arc::from(*key)).collect()).collect();
    config.subsets = Some(SubsetConfig { selectors, fallback });
    Arc::new(Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap())
}

/// Positions that many choices reach.
fn reached(cluster: &Arc<Cluster>, wanted: &LbMetadata) -> Vec<usize> {
    let mut balancer = Balancer::new(cluster.clone(), Seed(1));
    let tried = TriedHosts::new();
    let picks = (0..100).filter_map(|_| balancer.pick(&Choice { tried: &tried, hash: None, subset: wanted }));
    let reached: std::collections::BTreeSet<usize> = picks.collect();
    reached.into_iter().collect()
}

fn three() -> [LbMetadata; 3] {
    [
        metadata(&[("zone", "a"), ("version", "1")]),
        metadata(&[("zone", "b"), ("version", "1")]),
        metadata(&[("zone", "a"), ("version", "2")]),
    ]
}

#[test]
fn keys_and_values_must_be_exactly_those_of_a_subset() {
    let cluster = cluster(
        &three(),
        &[&["version", "zone"], &["zone"], &["zone"], &["unknown"], &[]],
        SubsetFallback::None,
        LbPolicy::RoundRobin,
    );
    for (wanted, expected) in [
        (&[("zone", "a")][..], &[0, 2][..]),
        (&[("zone", "b")], &[1]),
        (&[("zone", "a"), ("version", "2")], &[2]),
        // No selector has this key alone.
        (&[("version", "1")], &[]),
        (&[("zone", "c")], &[]),
        (&[("zone", "a"), ("version", "1"), ("more", "x")], &[]),
        // Who wants nothing gets any.
        (&[], &[0, 1, 2]),
    ] {
        assert_eq!(reached(&cluster, &metadata(wanted)), expected, "{wanted:?}");
    }
}

#[test]
fn what_no_subset_is_for_goes_where_the_fallback_says() {
    let default = |pairs: &[(&str, &str)]| SubsetFallback::Default(metadata(pairs));
    for (fallback, expected) in [
        (SubsetFallback::None, &[][..]),
        (SubsetFallback::Any, &[0, 1, 2]),
        (default(&[("version", "1")]), &[0, 1]),
        (default(&[("version", "3")]), &[]),
        (default(&[]), &[0, 1, 2]),
    ] {
        let cluster = cluster(&three(), &[&["zone"]], fallback.clone(), LbPolicy::Random);
        assert_eq!(reached(&cluster, &metadata(&[("zone", "z")])), expected, "{fallback:?}");
        assert_eq!(reached(&cluster, &LbMetadata::default()), [0, 1, 2], "{fallback:?}");
    }
}

#[test]
fn a_subset_whose_hosts_are_out_is_not_left() {
    for lb in super::balancing::POLICIES {
        let cluster = cluster(&three(), &[&["zone"]], SubsetFallback::Any, lb);
        cluster.members()[1].host.set_health(Health::Unhealthy);
        assert_eq!(reached(&cluster, &metadata(&[("zone", "b")])), [0; 0], "{lb:?}");
        assert_eq!(reached(&cluster, &metadata(&[("zone", "a")])), [0, 2], "{lb:?}");
    }
}

proptest! {
    #[test]
    fn subsets_are_what_filtering_gives(
        hosts in prop::collection::vec((0_u8..3, 0_u8..3), 1..40),
        wanted in (0_u8..4, 0_u8..4),
    ) {
        let pair = |(zone, version): (u8, u8)| metadata(&[("zone", &zone.to_string()), ("version", &version.to_string())]);
        let of: Vec<LbMetadata> = hosts.iter().map(|host| pair(*host)).collect();
        let cluster = cluster(&of, &[&["zone", "version"]], SubsetFallback::None, LbPolicy::RoundRobin);
        let expected: Vec<usize> = (0..hosts.len()).filter(|&position| hosts[position] == wanted).collect();
        prop_assert_eq!(reached(&cluster, &pair(wanted)), expected);
    }
}
