use proptest::prelude::*;
use sidegate_api::{Address, Metrics};

use super::*;
use crate::{Cluster, ClusterConfig, HostConfig, HostRegistry, HostWeight};

const SLOTS: u32 = 5003;

/// Hosts at these ports with these weights.
fn members(hosts: &[(u16, u64)]) -> Vec<Member> {
    let hosts = hosts.iter().map(|&(port, weight)| HostConfig {
        weight: HostWeight::new(weight).unwrap(),
        ..HostConfig::new(Address::parse(&format!("10.0.0.1:{port}")).unwrap())
    });
    let config = ClusterConfig::new("c", hosts.collect());
    Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap().members().to_vec()
}

/// Slots by port, so that tables of different hosts compare.
fn owners(hosts: &[(u16, u64)]) -> Vec<u16> {
    let members = members(hosts);
    Maglev::new(&members, SLOTS).slots.iter().map(|&at| hosts[at as usize].0).collect()
}

fn count(owners: &[u16], port: u16) -> usize {
    owners.iter().filter(|owner| **owner == port).count()
}

#[test]
fn shares_follow_weights() {
    let equal: Vec<_> = (1..=20).map(|port| (port, 7)).collect();
    let table = owners(&equal);
    for (port, _) in equal {
        let share = count(&table, port);
        assert!((SLOTS as usize / 20..=SLOTS as usize / 20 + 1).contains(&share), "{share}");
    }
    let hosts = [(1, 1), (2, 2), (3, 5)];
    let table = owners(&hosts);
    for (port, weight) in hosts {
        let (found, share) = (count(&table, port), SLOTS as usize * weight as usize / 8);
        assert!(found.abs_diff(share) <= 2, "{found} of {share}");
    }
}

#[test]
fn the_configured_order_does_not_matter() {
    let (one, other) = ([(1, 1), (2, 3), (3, 2)], [(3, 2), (1, 1), (2, 3)]);
    assert_eq!(owners(&one), owners(&other));
}

#[test]
fn the_table_is_the_same_in_every_version() {
    // Sidecars of different versions must send a user to the same host.
    assert_eq!(stable_hash(b""), mix(0xcbf2_9ce4_8422_2325));
    assert_eq!(stable_hash(b"a user"), 1_111_720_057_971_282_417);
    assert_eq!(owners(&[(1, 1), (2, 1), (3, 1)])[..12], [1, 3, 2, 1, 1, 2, 2, 3, 1, 3, 2, 3]);
}

#[test]
fn no_host_no_slot() {
    let table = Maglev::new(&[], SLOTS);
    assert_eq!(table.pick(1, |_| true), None);
    let table = Maglev::new(&members(&[(1, 1)]), SLOTS);
    assert_eq!(table.pick(1, |_| true), Some(0));
    assert_eq!(table.pick(1, |_| false), None);
}

/// What a host leaves while it is out is spread over the others, and returns
/// with it.
#[test]
fn a_host_that_is_out_takes_nothing_from_the_others() {
    let hosts: Vec<_> = (1..=10).map(|port| (port, 1)).collect();
    let table = Maglev::new(&members(&hosts), SLOTS);
    let mut taken = vec![0; 10];
    for hash in 0..10_000 {
        let before = table.pick(hash, |_| true).unwrap();
        let after = table.pick(hash, |host| host != 3).unwrap();
        assert!(before == 3 || before == after);
        assert_ne!(after, 3);
        assert_eq!(Some(after), table.pick(hash, |host| host != 3));
        if before == 3 {
            taken[after] += 1;
        }
    }
    assert!(taken.iter().enumerate().all(|(host, &n)| host == 3 || (50..200).contains(&n)), "{taken:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whoever_is_usable_is_found(
        flags in prop::collection::vec(any::<bool>(), 1..300),
        hash in any::<u64>(),
    ) {
        let hosts: Vec<_> = (1..).zip(&flags).map(|(port, _)| (port, 1)).collect();
        let table = Maglev::new(&members(&hosts), SLOTS);
        match table.pick(hash, |host| flags[host]) {
            Some(host) => prop_assert!(flags[host]),
            None => prop_assert!(!flags.contains(&true)),
        }
    }

    /// Maglev gives up perfect stability for even shares: besides those of the
    /// host itself a few slots change hands.
    #[test]
    fn little_changes_when_a_host_comes_or_goes(count in 2_usize..40, gone in any::<prop::sample::Index>()) {
        let hosts: Vec<_> = (1..=count as u16).map(|port| (port, 1)).collect();
        let mut fewer = hosts.clone();
        let (port, _) = fewer.remove(gone.index(count));
        let (all, rest) = (owners(&hosts), owners(&fewer));
        let moved = all.iter().zip(&rest).filter(|(before, after)| **before != port && before != after).count();
        prop_assert!(moved * 100 <= SLOTS as usize * 25, "{moved} of {SLOTS} moved without need");
    }
}
