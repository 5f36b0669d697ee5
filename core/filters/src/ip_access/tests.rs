use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::json;
use sidegate_api::{Address, ConnectionInfo, PeerText, Protocol};

use super::*;
use crate::testing::{Bench, Outcome, errors};

fn from(bench: Bench, remote: &str) -> Bench {
    let mut bench = bench;
    bench.stream.info.connection = Some(Rc::new(ConnectionInfo {
        id: 7,
        listener: "main".into(),
        remote: PeerText::new(Address::parse(remote).unwrap()),
        local: PeerText::new(Address::parse("127.0.0.1:80").unwrap()),
        protocol: Protocol::Http11,
        tls: None,
    }));
    bench
}

fn outcome(config: serde_json::Value, remote: &str, header: Option<&str>) -> Outcome {
    let mut bench = from(Bench::new::<IpAccess>(config), remote);
    if let Some(value) = header {
        bench = bench.header("x-forwarded-for", value);
    }
    bench.request()
}

#[test]
fn the_first_entry_with_the_address_decides() {
    let config = json!({"default_action": "deny", "ips": [
        {"action": "deny", "addrs": ["10.0.0.7", "2001:db8::7"]},
        {"action": "allow", "addrs": ["10.0.0.0/8", "2001:db8::/32", "192.168.1.5/16"]},
    ]});
    for (remote, allowed) in [
        ("10.0.0.7:1", false),
        ("10.0.0.8:1", true),
        ("10.255.255.255:1", true),
        ("11.0.0.0:1", false),
        ("192.168.200.1:1", true),
        ("[::ffff:10.0.0.8]:1", true),
        ("[::ffff:10.0.0.7]:1", false),
        ("[2001:db8::8]:1", true),
        ("[2001:db8::7]:1", false),
        ("[2001:db9::]:1", false),
        ("unix:/tmp/x", false),
    ] {
        let wanted = if allowed { Outcome::Continue } else { Outcome::Reply(403) };
        assert_eq!(outcome(config.clone(), remote, None), wanted, "{remote}");
    }
    assert_eq!(outcome(json!({}), "10.0.0.7:1", None), Outcome::Continue);
    assert_eq!(outcome(json!({}), "unix:/tmp/x", None), Outcome::Continue);
}

#[test]
fn of_a_forwarded_list_the_last_element_counts() {
    let config = json!({"header": "X-Forwarded-For", "ips": [{"action": "deny", "addrs": ["10.0.0.7"]}]});
    for (header, allowed) in [
        (Some("10.0.0.8"), true),
        (Some("10.0.0.7"), false),
        (Some("10.0.0.7, 10.0.0.8"), true),
        (Some("10.0.0.8,10.0.0.7"), false),
        (Some("10.0.0.7:4711"), false),
        (Some("[::ffff:10.0.0.7]:4711"), false),
        (Some("[::ffff:10.0.0.7]"), false),
        (Some("unknown"), false),
        (Some(""), false),
        (Some("10.0.0.8,"), false),
        (None, true),
    ] {
        let wanted = if allowed { Outcome::Continue } else { Outcome::Reply(403) };
        assert_eq!(outcome(config.clone(), "127.0.0.1:1", header), wanted, "{header:?}");
    }
    // Two fields are one list.
    let bench = Bench::new::<IpAccess>(config).header("x-forwarded-for", "10.0.0.8");
    assert_eq!(from(bench.header("x-forwarded-for", "10.0.0.7"), "127.0.0.1:1").request(), Outcome::Reply(403));
}

#[test]
fn mistakes_are_named() {
    let config = json!({"default_action": "drop", "header": "a b", "ips": [
        {"action": "deny", "addrs": ["10.0.0.0/33", "example.test"]},
        {"addrs": "10.0.0.1"},
    ]});
    let found = errors::<IpAccess>(config);
    let paths: Vec<_> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "config.default_action",
            "config.header",
            "config.ips[0].addrs[0]",
            "config.ips[0].addrs[1]",
            "config.ips[1].action",
            "config.ips[1].addrs"
        ]
    );
}

fn any_network() -> impl Strategy<Value = IpNet> {
    // Few bits, so that networks overlap and touch.
    let v4 = (0_u32..256, 22_u8..=32).prop_map(|(low, len)| (IpAddr::V4(Ipv4Addr::from(low << 2)), len));
    let v6 = (0_u128..256, 118_u8..=128).prop_map(|(low, len)| (IpAddr::V6(Ipv6Addr::from(low << 2)), len));
    prop_oneof![v4, v6].prop_map(|(address, len)| IpNet::new(address, len).unwrap())
}

proptest! {
    #[test]
    fn ranges_hold_what_their_networks_hold(
        networks in proptest::collection::vec(any_network(), 0..20),
        asked in 0_u32..1100,
    ) {
        let ranges = Ranges::new(networks.iter().copied());
        for address in [IpAddr::V4(Ipv4Addr::from(asked)), IpAddr::V6(Ipv6Addr::from(u128::from(asked)))] {
            let wanted = networks.iter().any(|network| network.contains(&address));
            prop_assert_eq!(ranges.contains(address), wanted, "{}", address);
        }
    }

    #[test]
    fn any_header_value_is_an_address_or_not(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = claimed(&value);
    }
}
