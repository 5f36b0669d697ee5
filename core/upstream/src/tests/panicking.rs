//! What happens when too few hosts are well.

use super::*;

/// Which hosts are chosen.
fn chosen(cluster: &Arc<Cluster>, balancer: &mut Balancer, subset: &LbMetadata) -> Vec<usize> {
    let tried = TriedHosts::new();
    let mut seen: Vec<usize> =
        (0..400u64).filter_map(|hash| balancer.pick(&Choice { tried: &tried, hash: Some(hash), subset })).collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.iter().all(|position| *position < cluster.members().len()));
    seen
}

const ALL: [LbPolicy; 6] = [
    LbPolicy::Random,
    LbPolicy::RoundRobin,
    LbPolicy::LeastRequest,
    LbPolicy::LeastConnection,
    LbPolicy::PeakEwma,
    LbPolicy::Maglev,
];

/// With the default threshold.
fn panicking(config: ClusterConfig) -> ClusterConfig {
    ClusterConfig { panic_threshold: PanicThreshold::default(), ..config }
}

fn level(metrics: &Metrics, name: &str) -> i64 {
    metrics.up_down(name, &[("cluster", "c")]).unwrap().get()
}

#[test]
fn with_half_of_the_hosts_well_the_others_are_left_out_and_with_fewer_all_are_used() {
    let any = LbMetadata::default();
    for lb in ALL {
        for weights in [[1, 1, 1, 1], [1, 2, 3, 4]] {
            let metrics = Metrics::new(1);
            let config = panicking(config(lb, &weights));
            let cluster = Arc::new(Cluster::new(config, &HostRegistry::new(metrics.clone())).unwrap());
            let mut balancer = Balancer::new(cluster.clone(), Seed(7));
            let host = |position: usize| &cluster.members()[position].host;
            assert_eq!(chosen(&cluster, &mut balancer, &any), [0, 1, 2, 3], "{lb:?}");
            host(0).set_health(Health::Unhealthy);
            host(1).take_out(Reason::Ejected);
            assert_eq!(chosen(&cluster, &mut balancer, &any), [2, 3], "{lb:?}");
            assert!(!balancer.may_use(0) && balancer.may_use(3));
            assert_eq!(level(&metrics, "upstream_lb_panic_active"), 0);
            host(3).set_health(Health::Unhealthy);
            assert_eq!(chosen(&cluster, &mut balancer, &any), [0, 1, 2, 3], "{lb:?}");
            assert!(balancer.may_use(0));
            assert_eq!(level(&metrics, "upstream_lb_panic_active"), 1);
            assert_eq!(metrics.counter("upstream_lb_healthy_panic_total", &[("cluster", "c")]).unwrap().get(), 400);
            // One that was out for two reasons is out until both are gone.
            host(1).set_health(Health::Unhealthy);
            host(1).lift(Reason::Ejected);
            host(0).set_health(Health::Healthy);
            assert_eq!(chosen(&cluster, &mut balancer, &any), [0, 2], "{lb:?}");
            assert_eq!(level(&metrics, "upstream_lb_panic_active"), 0);
        }
    }
}

#[test]
fn without_a_threshold_hosts_that_are_out_stay_out() {
    let any = LbMetadata::default();
    for lb in ALL {
        let cluster = cluster(lb, &[1, 1]);
        let mut balancer = Balancer::new(cluster.clone(), Seed(7));
        cluster.members()[0].host.set_health(Health::Unhealthy);
        assert_eq!(chosen(&cluster, &mut balancer, &any), [1], "{lb:?}");
        cluster.members()[1].host.set_health(Health::Unhealthy);
        assert_eq!(chosen(&cluster, &mut balancer, &any), [0; 0], "{lb:?}");
    }
}

#[test]
fn each_subset_panics_for_itself() {
    let of = |value: &str| LbMetadata::new([(Arc::from("zone"), Arc::from(value))]);
    let mut config = panicking(config(LbPolicy::RoundRobin, &[1; 5]));
    for (position, host) in config.hosts.iter_mut().enumerate() {
        host.metadata = of(if position < 2 { "a" } else { "b" });
    }
    config.subsets = Some(SubsetConfig { selectors: vec![vec![Arc::from("zone")]], fallback: SubsetFallback::Any });
    let metrics = Metrics::new(1);
    let cluster = Arc::new(Cluster::new(config, &HostRegistry::new(metrics.clone())).unwrap());
    let mut balancer = Balancer::new(cluster.clone(), Seed(7));
    let host = |position: usize| &cluster.members()[position].host;
    host(0).set_health(Health::Unhealthy);
    host(1).set_health(Health::Unhealthy);
    cluster.review_panic();
    assert_eq!(level(&metrics, "upstream_lb_panic_active"), 1, "of the subset, not of the cluster");
    assert_eq!(chosen(&cluster, &mut balancer, &of("a")), [0, 1]);
    assert_eq!(chosen(&cluster, &mut balancer, &of("b")), [2, 3, 4]);
    assert_eq!(chosen(&cluster, &mut balancer, &of("c")), [2, 3, 4], "the fallback is the cluster");
    host(2).set_health(Health::Unhealthy);
    assert_eq!(chosen(&cluster, &mut balancer, &of("b")), [3, 4]);
    assert_eq!(chosen(&cluster, &mut balancer, &of("c")), [0, 1, 2, 3, 4]);
    drop(balancer);
    drop(cluster);
    assert_eq!(level(&metrics, "upstream_lb_panic_active"), 0, "it ends with its cluster");
}
