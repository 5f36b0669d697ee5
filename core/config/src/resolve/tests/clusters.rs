//! Clusters with everything set, and what is off.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use sidegate_api::LbMetadata;
use sidegate_upstream::{
    BreakerConfig, ClusterConfig, ClusterKind, HealthCheckConfig, HttpProbe, LbOptions, LbPolicy, LookupFamily,
    OutlierConfig, Probe, ProbeMethod, ProbeProtocol, Resolver, ResolverServers, RetryBudget, RetryLimit, SlowStart,
    SubsetConfig, SubsetFallback, Ttl,
};

use super::support::{BASE, lines, load};

/// The base with these keys for its cluster, which has a host.
fn cluster(keys: &str) -> (ClusterConfig, Vec<String>) {
    let text = BASE.replace("  - name: c\n", &format!("  - name: c\n{keys}"));
    let mut config = load(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings = lines(&config.warnings).into_iter();
    let short = |line: String| line.split_once(".clusters[0].").map(|(_, rest)| rest.to_owned()).unwrap_or(line);
    (config.clusters.remove(0), warnings.map(short).collect())
}

fn metadata(pairs: &[(&str, &str)]) -> LbMetadata {
    LbMetadata::new(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())))
}

#[test]
fn health_checks() {
    let (config, warnings) = cluster(
        "    health_check:
      protocol: Http1
      service_name: s
      timeout: 2s
      interval: 3s
      interval_jitter: 4ms
      initial_delay_seconds: 5
      healthy_threshold: 6
      unhealthy_threshold: 7
      event_log_path: /tmp/e.log
      check_config:
        http_check_config:
          port: 8
          timeout: 1s
          path: health?x
          method: HEAD
          scheme: http
          domain: d.example
          codes: [{Start: 200, End: 299}, {start: 401}]
",
    );
    let probe = HttpProbe {
        protocol: ProbeProtocol::Http1,
        port: NonZeroU16::new(8),
        path: "/health?x".into(),
        method: ProbeMethod::Head,
        authority: Some("d.example".into()),
        codes: vec![200..=299, 401..=401],
    };
    let expected = HealthCheckConfig {
        service: "s".into(),
        probe: Probe::Http(probe),
        timeout: Duration::from_secs(1),
        interval: Duration::from_secs(3),
        interval_jitter: Duration::from_millis(4),
        initial_delay: Duration::from_secs(5),
        healthy_threshold: NonZeroU32::new(6).unwrap(),
        unhealthy_threshold: NonZeroU32::new(7).unwrap(),
        event_log: Some("/tmp/e.log".into()),
    };
    assert_eq!(config.health_check, Some(expected));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn health_checks_by_default() {
    for keys in
        ["{service_name: s}", "{service_name: s, timeout: '0', interval: 0s, protocol: TCP, healthy_threshold: 0}"]
    {
        let (config, warnings) = cluster(&format!("    health_check: {keys}\n"));
        assert_eq!(config.health_check, Some(HealthCheckConfig::new("s")));
        assert_eq!(warnings, [""; 0], "{keys}");
    }
    let (config, warnings) = cluster("    health_check: {timeout: 1s}\n");
    assert_eq!(config.health_check, None);
    assert_eq!(warnings, ["health_check: health checks are off here: `service_name` is empty"]);
}

#[test]
fn checks_speak_what_the_cluster_speaks_or_what_they_are_told_to() {
    use ProbeProtocol::{Http1, Http2};
    for (upstream, codec, expected) in [
        ("", "", Http1),
        ("upstream_protocol: Auto", "", Http1),
        ("upstream_protocol: Http1", "", Http1),
        ("upstream_protocol: Http2", "", Http2),
        ("upstream_protocol: Http2", "codec_client_type: ''", Http2),
        ("upstream_protocol: Http2", "codec_client_type: HTTP1", Http1),
        ("upstream_protocol: Http1", "codec_client_type: HTTP2", Http2),
        ("", "codec_client_type: HTTP2", Http2),
    ] {
        let check = format!(
            "    health_check: {{service_name: s, protocol: Http1, check_config: {{http_check_config: {{{codec}}}}}}}\n"
        );
        // Whichever comes first.
        for keys in [format!("    {upstream}\n{check}"), format!("{check}    {upstream}\n")] {
            let (config, warnings) = cluster(&keys);
            let expected = HttpProbe { protocol: expected, ..HttpProbe::new("/") };
            assert_eq!(config.health_check.unwrap().probe, Probe::Http(expected), "{keys}");
            assert_eq!(warnings, [""; 0], "{keys}");
        }
    }
}

/// MOSN's own example writes `http1` and gets connects only.
#[test]
fn checks_that_ask_for_requests_and_get_none_are_warned_about() {
    for (keys, place) in [
        ("{service_name: s, protocol: http1, check_config: {http_check_config: {path: /}}}", "health_check.protocol"),
        ("{service_name: s, protocol: Http1}", "health_check"),
        ("{service_name: s, protocol: SofaRpc}", "health_check.protocol"),
        ("{service_name: s, check_config: {http_check_config: {path: /}}}", "health_check"),
    ] {
        let (config, warnings) = cluster(&format!("    health_check: {keys}\n"));
        assert_eq!(config.health_check.unwrap().probe, Probe::Connect, "{keys}");
        assert_eq!(warnings.len(), 1, "{keys}: {warnings:?}");
        assert!(
            warnings[0].starts_with(&format!("{place}: ")) && warnings[0].contains("as in MOSN"),
            "{}",
            warnings[0]
        );
    }
}

#[test]
fn limits_and_ejection() {
    let (config, warnings) = cluster(
        "    circuit_breakers:
    - {max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: 0}
    - {max_requests: 9}
    outlier_detection:
      consecutive_5xx: 2
      consecutive_gateway_failure: 3
      consecutive_local_origin_failure: 0
      interval: 4s
      base_ejection_time: 5s
      max_ejection_time: 6s
      max_ejection_percent: 70
",
    );
    let limits = BreakerConfig {
        max_connections: NonZeroU32::new(1),
        max_pending_requests: NonZeroU32::new(2),
        max_requests: NonZeroU32::new(3),
        retries: RetryLimit::default(),
    };
    assert_eq!(config.breakers, limits);
    let ejection = OutlierConfig {
        consecutive_5xx: 2,
        consecutive_gateway_failure: 3,
        consecutive_local_origin_failure: 0,
        interval: Duration::from_secs(4),
        base_ejection_time: Duration::from_secs(5),
        max_ejection_time: Duration::from_secs(6),
        max_ejection_percent: 70,
    };
    assert_eq!(config.outlier, Some(ejection));
    assert_eq!(warnings, ["circuit_breakers[1]: only the first element counts, as in MOSN"]);
    assert_eq!(cluster("    outlier_detection: {}\n").0.outlier, Some(OutlierConfig::default()));
}

#[test]
fn retries_and_panic() {
    let retries = |keys: &str| {
        let (config, warnings) = cluster(&format!("    circuit_breakers: [{keys}]\n"));
        (config.breakers.retries, warnings.len())
    };
    let budget = |percent, min_concurrency| RetryLimit::Budget(RetryBudget { percent, min_concurrency });
    assert_eq!(cluster("").0.breakers.retries, budget(20, 3));
    assert_eq!(retries("{max_retries: 7}"), (RetryLimit::Fixed(NonZeroU32::new(7).unwrap()), 0));
    assert_eq!(retries("{max_requests: 7}"), (budget(20, 3), 0));
    assert_eq!(retries("{retry_budget: {}}"), (budget(20, 3), 0));
    assert_eq!(retries("{retry_budget: {budget_percent: 100, min_retry_concurrency: 0}}"), (budget(100, 0), 0));
    assert_eq!(retries("{max_retries: 7, retry_budget: {budget_percent: 5}}"), (budget(5, 3), 1));
    assert_eq!(cluster("").0.panic_threshold.percent(), 50);
    assert_eq!(cluster("    healthy_panic_threshold: 0\n").0.panic_threshold.percent(), 0);
}

#[test]
fn balancing() {
    let (config, _) =
        cluster("    lb_type: LB_LEAST_REQUEST\n    lbconfig: {choice_count: 5, active_request_bias: 0.5}\n");
    assert_eq!(config.lb, LbPolicy::LeastRequest);
    let options = LbOptions { choices: NonZeroUsize::new(5).unwrap(), active_request_bias: 0.5 };
    assert_eq!(config.lb_options, options);
    let slow = |keys: &str| cluster(&format!("    slow_start: {keys}\n")).0.slow_start;
    let duration = Duration::from_secs(9);
    assert_eq!(
        slow("{mode: duration, slow_start_duration: 9s, aggression: 1.5, min_weight_percent: 20}"),
        Some(SlowStart { duration, aggression: 1.5, min_weight_percent: 20.0 })
    );
    assert_eq!(
        slow("{slow_start_duration: 9s, aggression: 0}"),
        Some(SlowStart { duration, aggression: 1.0, min_weight_percent: 10.0 })
    );
    assert_eq!(slow("{mode: duration}"), None);
}

#[test]
fn subsets() {
    let text =
        "    lb_subset_config: {fall_back_policy: 2, default_subset: {v: '1'}, subset_selectors: [[zone, v], [v]]}\n";
    let (config, _) = cluster(text);
    let selectors = vec![vec!["zone".into(), "v".into()], vec!["v".into()]];
    let fallback = SubsetFallback::Default(metadata(&[("v", "1")]));
    assert_eq!(config.subsets, Some(SubsetConfig { selectors, fallback }));
    for (policy, fallback) in [("0", SubsetFallback::None), ("1", SubsetFallback::Any)] {
        let (config, _) = cluster(&format!("    lb_subset_config: {{fall_back_policy: {policy}}}\n"));
        assert_eq!(config.subsets, Some(SubsetConfig { selectors: vec![], fallback }));
    }
    assert_eq!(cluster("    lb_subset_config: {}\n").0.subsets, None);
    let text =
        BASE.replace("127.0.0.1:8080", "127.0.0.1:8080\n      metadata: {filter_metadata: {mosn.lb: {zone: a}}}");
    assert_eq!(load(&text).unwrap().clusters[0].hosts[0].metadata, metadata(&[("zone", "a")]));
}

#[test]
fn names() {
    let text = BASE.replace("127.0.0.1:8080", "API.example:8080\n      weight: 3").replace(
        "  - name: c\n",
        "  - name: c
    type: STRICT_DNS
    dns_refresh_rate: 2s
    respect_dns_ttl: true
    dns_lookup_family: V6_ONLY
    dns_resolvers: {servers: [127.0.0.1, '::1'], port: '5353', search: [a.example], ndots: 2, timeout: 3, attempts: 4}
    dns_resolver_file: /not/read
",
    );
    let config = load(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let cluster = &config.clusters[0];
    assert_eq!((cluster.kind, cluster.hosts.len()), (ClusterKind::StrictDns, 0));
    let dns = cluster.dns.as_ref().unwrap();
    let names: Vec<_> = dns.names.iter().map(|n| (&*n.name, n.port, n.weight.get())).collect();
    assert_eq!(names, [("api.example", 8080, 3)]);
    assert_eq!((dns.refresh_rate, dns.ttl, dns.family), (Duration::from_secs(2), Ttl::Respect, LookupFamily::V6Only));
    let servers = ResolverServers {
        servers: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        port: 5353,
        search: vec!["a.example".into()],
        ndots: 2,
        timeout: Duration::from_secs(3),
        attempts: 4,
    };
    assert_eq!(dns.resolver, Resolver::Servers(servers));
}

#[test]
fn names_by_default() {
    let text = BASE.replace("127.0.0.1:8080", "api").replace("  - name: c\n", "  - name: c\n    type: STRICT_DNS\n");
    let config = load(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let dns = config.clusters[0].dns.as_ref().unwrap();
    assert_eq!((&*dns.names[0].name, dns.names[0].port), ("api", 80));
    assert_eq!((dns.refresh_rate, dns.ttl, dns.family), (Duration::from_secs(5), Ttl::Ignore, LookupFamily::V4Only));
    assert_eq!(dns.resolver, Resolver::File { path: "/etc/resolv.conf".into(), port: None });
}

#[test]
fn what_does_nothing_is_said() {
    let (config, warnings) = cluster("    type: EDS\n    dns_refresh_rate: 1s\n    respect_dns_ttl: false\n");
    assert_eq!((config.kind, config.dns), (ClusterKind::Eds, None));
    assert_eq!(
        warnings,
        [
            "type: nothing discovers other hosts: those of `hosts` are all there are, as in MOSN",
            "dns_refresh_rate: only clusters of type STRICT_DNS resolve names",
        ]
    );
}
