use proptest::prelude::*;

use super::*;

fn socket(name: &str, address: &str) -> Socket {
    Socket {
        kind: SocketKind::Listener,
        name: name.into(),
        address: Address::parse(address).unwrap(),
        bound: None,
        accept: AcceptMode::Balanced,
        mode: None,
    }
}

fn plan(running: &[(&str, &str)], wanted: &[(&str, &str)]) -> SocketPlan {
    let sockets = |list: &[(&str, &str)]| list.iter().map(|(name, at)| socket(name, at)).collect::<Vec<_>>();
    SocketPlan::new(&sockets(running), &sockets(wanted))
}

fn kept(pairs: &[(usize, usize)]) -> Vec<Kept> {
    pairs.iter().map(|&(wanted, running)| Kept { wanted, running }).collect()
}

#[test]
fn what_stays_is_kept_and_the_rest_comes_and_goes() {
    let found = plan(
        &[("a", "127.0.0.1:80"), ("b", "127.0.0.1:81"), ("any", "127.0.0.1:0")],
        &[("c", "127.0.0.1:82"), ("any", "127.0.0.1:0"), ("a", "127.0.0.1:80")],
    );
    assert_eq!(found.kept, kept(&[(1, 2), (2, 0)]));
    assert_eq!((found.fresh, found.moved, found.removed), (vec![0], vec![], vec![1]));
}

#[test]
fn another_name_takes_the_socket_over_unless_the_port_was_any() {
    let found = plan(&[("a", "127.0.0.1:80"), ("x", "127.0.0.1:0")], &[("b", "127.0.0.1:80"), ("y", "127.0.0.1:0")]);
    assert_eq!(found.kept, kept(&[(0, 0)]));
    assert_eq!((found.fresh, found.removed), (vec![1], vec![1]));
    // Two that change their names lose no connection either.
    let swapped =
        plan(&[("a", "127.0.0.1:80"), ("b", "127.0.0.1:81")], &[("b", "127.0.0.1:80"), ("a", "127.0.0.1:81")]);
    assert_eq!(swapped.kept, kept(&[(0, 0), (1, 1)]));
}

#[test]
fn overlapping_addresses_move_together() {
    let found = plan(
        &[("a", "127.0.0.1:80"), ("b", "127.0.0.2:80"), ("c", "127.0.0.1:90")],
        &[("all", "0.0.0.0:80"), ("d", "127.0.0.1:91")],
    );
    assert_eq!(found.moved, [Moved { closed: vec![0, 1], bound: vec![0] }]);
    assert_eq!((found.fresh, found.removed), (vec![1], vec![2]));
    // From one to two, of which each waits for it.
    let found = plan(&[("all", "0.0.0.0:80")], &[("a", "127.0.0.1:80"), ("b", "127.0.0.2:80")]);
    assert_eq!(found.moved, [Moved { closed: vec![0], bound: vec![0, 1] }]);
}

#[test]
fn the_same_address_in_another_manner_is_another_socket() {
    let running = [socket("a", "unix:/a")];
    let wanted = [Socket { mode: Some(0o600), ..socket("a", "unix:/a") }];
    assert_eq!(SocketPlan::new(&running, &wanted).moved, [Moved { closed: vec![0], bound: vec![0] }]);
    let admin = [Socket { kind: SocketKind::Admin, ..socket("admin", "127.0.0.1:80") }];
    let found = SocketPlan::new(&admin, &[socket("a", "127.0.0.1:80")]);
    assert_eq!(found.moved, [Moved { closed: vec![0], bound: vec![0] }], "another kind is no other name");
}

#[test]
fn the_real_port_is_what_is_in_the_way() {
    let running = [Socket { bound: Some(Address::parse("127.0.0.1:4000").unwrap()), ..socket("a", "127.0.0.1:0") }];
    let found = SocketPlan::new(&running, &[socket("a", "127.0.0.1:4000")]);
    assert_eq!(found.moved, [Moved { closed: vec![0], bound: vec![0] }]);
}

fn sockets() -> impl Strategy<Value = Vec<Socket>> {
    let hosts = prop_oneof![Just("127.0.0.1"), Just("127.0.0.2"), Just("0.0.0.0"), Just("[::]")];
    proptest::collection::vec(("[a-d]", hosts, 0..3_u16), 0..6).prop_map(|list| {
        let mut sockets: Vec<Socket> = Vec::new();
        for (name, host, port) in list {
            let one = socket(&name, &format!("{host}:{port}"));
            let clashes = |known: &Socket| known.name == one.name || known.is_in_the_way_of(&one);
            if !sockets.iter().any(clashes) {
                sockets.push(one);
            }
        }
        sockets
    })
}

proptest! {
    #[test]
    fn every_socket_has_one_fate_and_nothing_is_bound_over_another(running in sockets(), wanted in sockets()) {
        let plan = SocketPlan::new(&running, &wanted);
        let closed = plan.moved.iter().flat_map(|group| &group.closed);
        let mut old: Vec<usize> =
            plan.kept.iter().map(|kept| kept.running).chain(plan.removed.iter().copied()).chain(closed.copied()).collect();
        old.sort_unstable();
        prop_assert_eq!(old, (0..running.len()).collect::<Vec<_>>());
        let moved = plan.moved.iter().flat_map(|group| &group.bound);
        let mut new: Vec<usize> =
            plan.kept.iter().map(|kept| kept.wanted).chain(plan.fresh.iter().copied()).chain(moved.copied()).collect();
        new.sort_unstable();
        prop_assert_eq!(new, (0..wanted.len()).collect::<Vec<_>>());
        for fresh in &plan.fresh {
            let going = plan.removed.iter().chain(plan.moved.iter().flat_map(|group| &group.closed));
            for place in going {
                prop_assert!(!running[*place].is_in_the_way_of(&wanted[*fresh]));
            }
        }
    }

    #[test]
    fn the_same_again_changes_nothing(sockets in sockets()) {
        let plan = SocketPlan::new(&sockets, &sockets);
        prop_assert_eq!(plan.kept.len(), sockets.len());
        prop_assert_eq!(plan, SocketPlan { kept: kept(&(0..sockets.len()).map(|n| (n, n)).collect::<Vec<_>>()), ..SocketPlan::default() });
    }
}
