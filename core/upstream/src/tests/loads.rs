//! Least load.

use std::time::{Duration, Instant};

use super::*;

fn count(balancer: &mut Balancer, picks: usize) -> Vec<usize> {
    let mut counts = vec![0; balancer.cluster().members().len()];
    for _ in 0..picks {
        counts[balancer.pick(&but(&TriedHosts::new())).expect("a host")] += 1;
    }
    counts
}

fn begin(cluster: &Cluster, position: usize, requests: usize) {
    (0..requests).for_each(|_| cluster.members()[position].host.metrics().request_active.inc());
}

#[test]
fn of_two_the_one_with_fewer_requests() {
    let cluster = cluster(LbPolicy::LeastRequest, &[1, 1]);
    begin(&cluster, 0, 1);
    let mut balancer = Balancer::new(cluster.clone(), Seed(1));
    assert_eq!(count(&mut balancer, 50), [0, 50]);
    begin(&cluster, 1, 2);
    assert_eq!(count(&mut balancer, 50), [50, 0]);
}

#[test]
fn of_two_the_one_with_fewer_connections() {
    let cluster = cluster(LbPolicy::LeastConnection, &[1, 1]);
    cluster.members()[1].host.metrics().connection_active.inc();
    begin(&cluster, 0, 5);
    assert_eq!(count(&mut Balancer::new(cluster, Seed(1)), 50), [50, 0]);
}

#[test]
fn of_many_the_most_loaded_one_never() {
    let cluster = cluster(LbPolicy::LeastRequest, &[1; 10]);
    begin(&cluster, 3, 10);
    let counts = count(&mut Balancer::new(cluster, Seed(1)), 10_000);
    assert_eq!(counts[3], 0, "{counts:?}");
    assert!(counts.iter().enumerate().all(|(at, &n)| at == 3 || (900..1400).contains(&n)), "{counts:?}");
}

#[test]
fn a_heavy_host_bears_more() {
    let cluster = cluster(LbPolicy::LeastRequest, &[3, 1]);
    begin(&cluster, 0, 2);
    begin(&cluster, 1, 1);
    assert_eq!(count(&mut Balancer::new(cluster, Seed(1)), 20), [20, 0]);
}

#[test]
fn without_load_shares_are_those_of_the_weights() {
    for weights in [&[3, 1][..], &[3, 1, 3, 1]] {
        let counts = count(&mut Balancer::new(cluster(LbPolicy::LeastRequest, weights), Seed(1)), 40_000);
        let total: u64 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(weights) {
            let share = 40_000.0 * *weight as f64 / total as f64;
            assert!((*count as f64 - share).abs() < 0.05 * share, "{counts:?} for {weights:?}");
        }
    }
}

#[test]
fn a_bias_of_zero_leaves_the_weights() {
    let lb_options = LbOptions { active_request_bias: 0.0, ..LbOptions::default() };
    let config = ClusterConfig { lb_options, ..config(LbPolicy::LeastRequest, &[1, 1]) };
    let cluster = Arc::new(Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap());
    begin(&cluster, 0, 100);
    let counts = count(&mut Balancer::new(cluster, Seed(1)), 10_000);
    assert!(counts.iter().all(|n| (4700..5300).contains(n)), "{counts:?}");
}

#[test]
fn a_host_that_is_slow_or_fails_is_avoided_and_one_that_is_unknown_is_tried() {
    let cluster = cluster(LbPolicy::PeakEwma, &[1, 1, 1]);
    let mut balancer = Balancer::new(cluster.clone(), Seed(1));
    let ago = |millis| Instant::now() - Duration::from_millis(millis);
    cluster.report(0, HostReport::Status(200), ago(500));
    cluster.report(1, HostReport::Reset, ago(0));
    // Two of three are drawn: the unknown one wins wherever it is drawn.
    let counts = count(&mut balancer, 3000);
    assert_eq!(counts[1], 0, "{counts:?}");
    assert!(counts[2] > counts[0], "{counts:?}");
    cluster.report(2, HostReport::Status(200), ago(5000));
    let counts = count(&mut balancer, 3000);
    assert!(counts[2] == 0 && counts[0] > counts[1], "{counts:?}");
}
