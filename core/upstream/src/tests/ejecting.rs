//! Passive ejection.

use std::time::{Duration, Instant};

use sidegate_api::SeriesValue;

use super::*;

const OK: HostReport = HostReport::Status(200);
const BAD: HostReport = HostReport::Status(500);
const GATEWAY: HostReport = HostReport::Status(503);

/// A cluster of so many hosts that ejects them.
fn ejecting(hosts: usize, outlier: OutlierConfig) -> (Cluster, Metrics) {
    let metrics = Metrics::new(1);
    let config = ClusterConfig { outlier: Some(outlier), ..config(LbPolicy::Random, &vec![1; hosts]) };
    (Cluster::new(config, &HostRegistry::new(metrics.clone())).unwrap(), metrics)
}

fn report(cluster: &Cluster, position: usize, outcomes: &[HostReport]) {
    outcomes.iter().for_each(|outcome| cluster.report(position, *outcome, Instant::now()));
}

fn is_out(cluster: &Cluster, position: usize) -> bool {
    cluster.members()[position].host.is_out_for(Reason::Ejected)
}

fn value(metrics: &Metrics, name: &str) -> i64 {
    let series = metrics.read().into_iter().find(|series| &*series.name == name).expect("the series");
    match series.value {
        SeriesValue::Counter(total) => total as i64,
        SeriesValue::Gauge(level) => level,
        SeriesValue::Histogram { .. } => panic!("a histogram"),
    }
}

#[test]
fn so_many_failures_in_a_row() {
    let only = |c5xx, gateway, local| OutlierConfig {
        consecutive_5xx: c5xx,
        consecutive_gateway_failure: gateway,
        consecutive_local_origin_failure: local,
        ..OutlierConfig::default()
    };
    let local = [HostReport::ConnectFailure, HostReport::Timeout, HostReport::Reset];
    for (outlier, outcomes, out) in [
        (only(3, 0, 0), &[BAD, BAD, BAD][..], true),
        (only(3, 0, 0), &[BAD, BAD], false),
        (only(3, 0, 0), &[BAD, BAD, OK, BAD, BAD], false),
        (only(3, 0, 0), &[BAD, BAD, HostReport::Status(404), BAD], false),
        (only(3, 0, 0), &[BAD, GATEWAY, HostReport::Reset], true),
        (only(0, 3, 0), &[GATEWAY, GATEWAY, HostReport::Timeout], true),
        (only(0, 3, 0), &[GATEWAY, GATEWAY, BAD, GATEWAY], false),
        (only(0, 3, 0), &[BAD, BAD, BAD, BAD], false),
        (only(0, 0, 3), &local, true),
        (only(0, 0, 3), &[HostReport::Reset, HostReport::Reset, BAD, HostReport::Reset], false),
        (only(0, 0, 0), &local, false),
    ] {
        let (cluster, metrics) = ejecting(3, outlier);
        report(&cluster, 1, outcomes);
        assert_eq!(is_out(&cluster, 1), out, "{outcomes:?}");
        assert_eq!(value(&metrics, "upstream_ejections_total"), i64::from(out));
        assert!(!is_out(&cluster, 0) && !is_out(&cluster, 2));
    }
}

#[test]
fn a_share_of_the_hosts_at_most_but_one_and_never_the_last() {
    for (hosts, percent, expected) in
        [(10, 10, 1), (10, 30, 3), (2, 10, 1), (2, 100, 1), (1, 100, 0), (5, 0, 0), (3, 50, 2), (10, 100, 9)]
    {
        let one = OutlierConfig { consecutive_5xx: 1, max_ejection_percent: percent, ..OutlierConfig::default() };
        let (cluster, metrics) = ejecting(hosts, one);
        (0..hosts).for_each(|position| report(&cluster, position, &[BAD]));
        assert_eq!(hosts - cluster.healthy_hosts(), expected, "{percent} % of {hosts}");
        assert_eq!(value(&metrics, "upstream_ejections_active"), expected as i64);
    }
}

/// A host that failed its checks is no help.
#[test]
fn the_last_one_that_may_be_chosen_stays_too() {
    let one = OutlierConfig { consecutive_5xx: 1, max_ejection_percent: 100, ..OutlierConfig::default() };
    let (cluster, _) = ejecting(2, one);
    cluster.members()[0].host.set_health(Health::Unhealthy);
    report(&cluster, 1, &[BAD]);
    assert!(!is_out(&cluster, 1));
    report(&cluster, 0, &[BAD]);
    assert!(is_out(&cluster, 0));
    cluster.members()[0].host.set_health(Health::Healthy);
    assert_eq!(cluster.members()[0].host.health(), Health::Unhealthy);
}

#[test]
fn each_ejection_is_longer_and_good_times_make_the_next_one_shorter() {
    let base = Duration::from_secs(10);
    let one = OutlierConfig {
        consecutive_5xx: 1,
        base_ejection_time: base,
        max_ejection_time: base * 3,
        ..OutlierConfig::default()
    };
    let (cluster, metrics) = ejecting(2, one);
    let second = Duration::from_secs(1);
    let lasts = |multiple: u32| {
        let begin = Instant::now();
        report(&cluster, 0, &[BAD]);
        assert!(is_out(&cluster, 0));
        cluster.review_ejections(begin + base * multiple - second);
        assert!(is_out(&cluster, 0), "shorter than {multiple} times");
        cluster.review_ejections(begin + base * multiple + second);
        assert!(!is_out(&cluster, 0), "longer than {multiple} times");
    };
    lasts(1);
    lasts(2);
    lasts(3);
    lasts(3);
    // Three good intervals: of four times one is left.
    (0..3).for_each(|_| cluster.review_ejections(Instant::now()));
    lasts(2);
    assert_eq!((value(&metrics, "upstream_ejections_total"), value(&metrics, "upstream_ejections_active")), (5, 0));
}

#[test]
fn ejections_outlive_snapshots_and_end_with_their_configuration_or_host() {
    let metrics = Metrics::new(1);
    let registry = HostRegistry::new(metrics.clone());
    let one = OutlierConfig { consecutive_5xx: 1, ..OutlierConfig::default() };
    let config = |hosts: usize, outlier| ClusterConfig { outlier, ..config(LbPolicy::Random, &vec![1; hosts]) };
    let old = Cluster::new(config(2, Some(one.clone())), &registry).unwrap();
    report(&old, 0, &[BAD]);
    let new = Cluster::new(config(3, Some(one)), &registry).unwrap();
    assert!(is_out(&new, 0));
    let off = Cluster::new(config(3, None), &registry).unwrap();
    off.end_ejections();
    assert!(!is_out(&new, 0));
    assert_eq!(value(&metrics, "upstream_ejections_active"), 0);
    report(&new, 0, &[BAD]);
    assert_eq!(value(&metrics, "upstream_ejections_active"), 1);
    drop((old, new, off));
    assert_eq!(value(&metrics, "upstream_ejections_active"), 0);
}

#[test]
fn a_cluster_that_does_not_eject_takes_reports_and_does_nothing() {
    let cluster = cluster(LbPolicy::Random, &[1, 1]);
    report(&cluster, 0, &[BAD; 100]);
    report(&cluster, 7, &[BAD]);
    assert_eq!(cluster.healthy_hosts(), 2);
}
