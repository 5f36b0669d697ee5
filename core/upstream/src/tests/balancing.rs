use proptest::prelude::*;

use super::*;

pub(super) const POLICIES: [LbPolicy; 6] = [
    LbPolicy::Random,
    LbPolicy::RoundRobin,
    LbPolicy::LeastRequest,
    LbPolicy::LeastConnection,
    LbPolicy::PeakEwma,
    LbPolicy::Maglev,
];

/// Not consistent hashing, whose tables take long to make: it has tests of its
/// own.
fn policy() -> impl Strategy<Value = LbPolicy> {
    prop::sample::select(&POLICIES[..5])
}

fn count(balancer: &mut Balancer, picks: usize) -> Vec<usize> {
    let mut counts = vec![0; balancer.cluster().members().len()];
    for _ in 0..picks {
        counts[balancer.pick(&but(&TriedHosts::new())).expect("a host")] += 1;
    }
    counts
}

fn tried(positions: impl IntoIterator<Item = usize>) -> TriedHosts {
    let mut tried = TriedHosts::new();
    positions.into_iter().for_each(|position| tried.insert(position));
    tried
}

/// Shares of `weights` in `picks`, those of hosts that are out left at 0.
fn shares(weights: &[u64], out: &[usize], picks: usize) -> Vec<f64> {
    let usable = |position: &usize| !out.contains(position);
    let total: u64 = (0..weights.len()).filter(usable).map(|p| weights[p]).sum();
    (0..weights.len()).map(|p| if usable(&p) { picks as f64 * weights[p] as f64 / total as f64 } else { 0.0 }).collect()
}

#[test]
fn equal_hosts_take_turns_from_a_place_that_the_seed_chooses() {
    let cluster = cluster(LbPolicy::RoundRobin, &[7, 7, 7]);
    let mut starts = [0; 3];
    for seed in 0..300 {
        let mut balancer = Balancer::new(cluster.clone(), Seed(seed));
        let picks: Vec<usize> = (0..6).map(|_| balancer.pick(&but(&TriedHosts::new())).unwrap()).collect();
        starts[picks[0]] += 1;
        for pair in picks.windows(2) {
            assert_eq!(pair[1], (pair[0] + 1) % 3);
        }
    }
    assert!(starts.iter().all(|&n| n > 60), "{starts:?}");
}

/// A primary and its backups.
#[test]
fn each_request_begins_at_the_first_host() {
    let cluster = cluster(LbPolicy::FirstOfRequest, &[1, 9, 9]);
    let mut balancer = Balancer::new(cluster.clone(), Seed(1));
    assert_eq!(count(&mut balancer, 20), [20, 0, 0], "weights say nothing");
    assert_eq!(balancer.pick(&but(&tried([0]))), Some(1));
    assert_eq!(balancer.pick(&but(&tried([0, 1]))), Some(2));
    assert_eq!(balancer.pick(&but(&tried([0, 1, 2]))), None);
    assert_eq!(balancer.pick(&but(&TriedHosts::new())), Some(0));
    cluster.members()[0].host.set_health(Health::Unhealthy);
    assert_eq!(count(&mut balancer, 20), [0, 20, 0]);
    cluster.members()[0].host.set_health(Health::Healthy);
    assert_eq!(count(&mut balancer, 20), [20, 0, 0]);
}

#[test]
fn a_host_that_is_out_leaves_the_others_in_turn() {
    let cluster = cluster(LbPolicy::RoundRobin, &[1, 1, 1]);
    cluster.members()[1].host.set_health(Health::Unhealthy);
    let mut balancer = Balancer::new(cluster.clone(), Seed(1));
    assert_eq!(count(&mut balancer, 100), [50, 0, 50]);
    cluster.members()[1].host.set_health(Health::Healthy);
    assert_eq!(count(&mut balancer, 99), [33, 33, 33]);
}

#[test]
fn a_heavy_host_that_comes_back_gets_its_share_and_no_burst() {
    let cluster = cluster(LbPolicy::RoundRobin, &[100, 1, 1]);
    let mut balancer = Balancer::new(cluster.clone(), Seed(1));
    cluster.members()[0].host.set_health(Health::Unhealthy);
    assert_eq!(count(&mut balancer, 10_000)[0], 0);
    cluster.members()[0].host.set_health(Health::Healthy);
    let counts = count(&mut balancer, 1020);
    assert!(counts[1] >= 8 && counts[2] >= 8, "{counts:?}");
}

#[test]
fn no_host_no_choice() {
    for lb in POLICIES {
        for weights in [&[][..], &[1], &[1, 1], &[1, 2, 3]] {
            let cluster = cluster(lb, weights);
            let mut balancer = Balancer::new(cluster.clone(), Seed(3));
            assert_eq!(balancer.pick(&but(&tried(0..weights.len()))), None);
            cluster.members().iter().for_each(|member| member.host.set_health(Health::Unhealthy));
            assert_eq!(balancer.pick(&but(&TriedHosts::new())), None);
            cluster.members().iter().for_each(|member| member.host.set_health(Health::Healthy));
            assert_eq!(balancer.pick(&but(&TriedHosts::new())).is_some(), !weights.is_empty());
        }
    }
}

/// The balancer of a cluster with these hosts, by port, and weights.
fn of_ports(lb: LbPolicy, hosts: &[(usize, u64)]) -> Arc<Cluster> {
    let hosts = hosts.iter().map(|&(port, weight)| HostConfig {
        weight: HostWeight::new(weight).unwrap(),
        ..HostConfig::new(address(port))
    });
    let config = ClusterConfig { hosts: hosts.collect(), ..config(lb, &[]) };
    Arc::new(Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap())
}

/// Ports in the order in which they are chosen.
fn ports(balancer: &mut Balancer, picks: usize) -> Vec<u16> {
    let picked = (0..picks).map(|_| balancer.pick(&but(&TriedHosts::new())).unwrap());
    let positions: Vec<usize> = picked.collect();
    let port = |position: usize| balancer.cluster().members()[position].host.address().socket_addr().unwrap().port();
    positions.into_iter().map(port).collect()
}

#[test]
fn turns_go_on_where_they_were_for_hosts_that_stay() {
    let equal = |ports: &[usize]| {
        let hosts: Vec<_> = ports.iter().map(|&port| (port, 1)).collect();
        of_ports(LbPolicy::RoundRobin, &hosts)
    };
    for seed in 0..20 {
        let mut balancer = Balancer::new(equal(&[1, 2, 3, 4]), Seed(seed));
        while ports(&mut balancer, 1) != [2] {}
        // One is added in front, and the next in turn is gone.
        let mut changed = balancer.following(equal(&[9, 1, 2, 4]));
        assert_eq!(ports(&mut changed, 4), [4, 9, 1, 2]);
        assert_eq!(ports(&mut changed.following(equal(&[7])), 2), [7, 7]);
    }
}

/// A cluster that changes before each choice: nobody is chosen again and again.
#[test]
fn changes_do_not_disturb_the_shares() {
    let hosts = [(1, 1), (2, 2), (3, 5)];
    let mut balancer = Balancer::new(of_ports(LbPolicy::RoundRobin, &hosts), Seed(1));
    let mut counts = [0; 3];
    for turn in 0..800 {
        let mut now: Vec<_> = hosts.to_vec();
        now.rotate_left(turn % 3);
        balancer = balancer.following(of_ports(LbPolicy::RoundRobin, &now));
        counts[usize::from(ports(&mut balancer, 1)[0]) - 1] += 1;
    }
    for (count, share) in counts.into_iter().zip([100_i32, 200, 500]) {
        assert!((count - share).abs() <= 2, "{counts:?}");
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(Seed::random(), Seed::random());
}

proptest! {
    #[test]
    fn never_a_host_that_is_out(
        lb in policy(),
        weights in prop::collection::vec(1_u64..=128, 1..100),
        flags in prop::collection::vec((any::<bool>(), any::<bool>()), 100),
        seed in any::<u64>(),
    ) {
        let cluster = cluster(lb, &weights);
        for (member, (healthy, _)) in cluster.members().iter().zip(&flags) {
            member.host.set_health(if *healthy { Health::Healthy } else { Health::Unhealthy });
        }
        let was_tried = |position: usize| flags[position].1;
        let tried = tried((0..weights.len()).filter(|&position| was_tried(position)));
        let usable = (0..weights.len()).filter(|&position| flags[position].0 && !was_tried(position)).count();
        let mut balancer = Balancer::new(cluster, Seed(seed));
        for _ in 0..50 {
            match balancer.pick(&but(&tried)) {
                Some(position) => prop_assert!(flags[position].0 && !was_tried(position)),
                None => prop_assert_eq!(usable, 0),
            }
        }
    }

    #[test]
    fn trying_one_after_the_other_reaches_every_host_once(
        lb in policy(),
        weights in prop::collection::vec(1_u64..=128, 0..100),
        seed in any::<u64>(),
    ) {
        let mut balancer = Balancer::new(cluster(lb, &weights), Seed(seed));
        let mut tried = TriedHosts::new();
        while let Some(position) = balancer.pick(&but(&tried)) {
            prop_assert!(!tried.contains(position));
            tried.insert(position);
        }
        prop_assert_eq!(tried.len(), weights.len());
    }

    #[test]
    fn turns_follow_weights_closely_at_every_moment(
        weights in prop::collection::vec(1_u64..=128, 1..12),
        picks in 1_usize..3000,
        seed in any::<u64>(),
    ) {
        let mut balancer = Balancer::new(cluster(LbPolicy::RoundRobin, &weights), Seed(seed));
        let counts = count(&mut balancer, picks);
        let total: u64 = weights.iter().sum();
        for ((count, share), weight) in counts.iter().zip(shares(&weights, &[], picks)).zip(&weights) {
            // Deadlines are off by one turn at most, of this host and, in
            // proportion, of all others together.
            let slack = 2.0 + weights.len() as f64 * *weight as f64 / total as f64;
            prop_assert!((*count as f64 - share).abs() <= slack, "{counts:?} for {weights:?}");
        }
    }

    #[test]
    fn equal_hosts_get_equal_counts_in_every_full_cycle(hosts in 1_usize..80, cycles in 1_usize..5, seed in any::<u64>()) {
        let mut balancer = Balancer::new(cluster(LbPolicy::RoundRobin, &vec![3; hosts]), Seed(seed));
        prop_assert_eq!(count(&mut balancer, hosts * cycles), vec![cycles; hosts]);
    }

    #[test]
    fn tried_hosts_are_a_set(positions in prop::collection::vec(0_usize..200, 0..50)) {
        let mut tried = tried(positions.iter().copied());
        for position in 0..260 {
            prop_assert_eq!(tried.contains(position), positions.contains(&position));
        }
        let distinct: std::collections::BTreeSet<_> = positions.iter().collect();
        prop_assert_eq!(tried.len(), distinct.len());
        tried.clear();
        prop_assert!(tried.is_empty());
    }
}

/// Fixed seeds, so that a bound of five standard deviations never fails by
/// chance.
#[test]
fn random_choice_follows_weights_also_while_hosts_are_out() {
    const PICKS: usize = 60_000;
    for weights in [&[1, 1, 1, 1][..], &[1, 2, 3, 4], &[128, 1, 1], &[5, 5, 1, 128, 64]] {
        for out in [&[][..], &[0], &[0, 2]] {
            let cluster = cluster(LbPolicy::Random, weights);
            out.iter().for_each(|&position| cluster.members()[position].host.set_health(Health::Unhealthy));
            let counts = count(&mut Balancer::new(cluster, Seed(7)), PICKS);
            for (count, share) in counts.iter().zip(shares(weights, out, PICKS)) {
                assert!(
                    (*count as f64 - share).abs() <= 5.0 * share.sqrt(),
                    "{counts:?} for {weights:?} without {out:?}"
                );
            }
        }
    }
}
