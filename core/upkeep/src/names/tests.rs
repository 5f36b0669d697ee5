use super::*;

fn named(name: &str, port: u16) -> NamedHost {
    NamedHost {
        name: name.into(),
        port,
        hostname: None,
        weight: Default::default(),
        metadata: Default::default(),
        clear_text: false,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn config() -> DnsConfig {
    let fixed = HostConfig::new(Address::parse("10.0.0.1:80").unwrap());
    DnsConfig { fixed: vec![fixed], ..DnsConfig::new(vec![named("a.example", 80), named("b.example", 80)]) }
}

#[test]
fn hosts_are_those_by_address_and_all_addresses_of_names_once() {
    let known = Addresses(vec![vec![ip("10.0.0.1"), ip("10.0.0.2")], vec![ip("10.0.0.2"), ip("::1")]]);
    let hosts = known.hosts(&config());
    let shown: Vec<_> =
        hosts.iter().map(|h| (h.address.to_string(), h.name.as_deref(), h.hostname.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("10.0.0.1:80".into(), None, None),
            ("10.0.0.2:80".into(), Some("a.example"), Some("a.example")),
            ("[::1]:80".into(), Some("b.example"), Some("b.example")),
        ]
    );
}

#[test]
fn what_a_cluster_has_is_known_to_its_names() {
    let config = config();
    let known = Addresses(vec![vec![ip("10.0.0.2")], vec![ip("::1"), ip("::2")]]);
    assert_eq!(Addresses::of(&config, &known.hosts(&config)).0, known.0);
    assert_eq!(Addresses::of(&config, &config.fixed).0, vec![Vec::<IpAddr>::new(); 2]);
}

#[test]
fn names_are_asked_for_again_in_time() {
    let now = Instant::now();
    let answer = Answer { addresses: vec![], valid_until: now + Duration::from_secs(30) };
    let stale = Answer { addresses: vec![], valid_until: now };
    let rate = Duration::from_secs(5);
    let pause = |ttl, answer| Timing { refresh_rate: rate, ttl }.pause(answer, now);
    assert_eq!(pause(Ttl::Ignore, Some(&answer)), rate);
    assert_eq!(pause(Ttl::Respect, Some(&answer)), Duration::from_secs(31));
    assert_eq!(pause(Ttl::Respect, Some(&stale)), Duration::from_secs(1));
    assert_eq!(pause(Ttl::Respect, None), rate);
}
