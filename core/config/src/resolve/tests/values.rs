//! What good configurations become.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use sidegate_api::{Address, FaultPolicy, LbMetadata};
use sidegate_net::{AcceptMode, ListenerConfig, PortSharing};
use sidegate_proxy::{BodyPace, ForwardedFor, RequestIdPolicy, Timeouts, UpgradeProtocol};
use sidegate_router::{
    ClusterChoice, HashCookie, HashPolicy, HeaderName, MirrorPolicy, RetryOn, RetryPolicy, RouteAction, RouteId,
    VirtualHostId,
};
use sidegate_telemetry::{LogLevel, LogTarget};
use sidegate_upstream::{ClusterConfig, LbPolicy};

use super::support::{BASE, FakeRouteConfig, env, lines, load, load_with, registry, varied};
use crate::{ConfigFile, LoadMode, OpenListener, REDACTED};

pub(crate) const FULL: &str = "\
servers:
- default_log_path: /tmp/sidegate-test-never-opened.log
  default_log_level: debug
  processor: '2'
  graceful_timeout: 1m
  routers:
  - router_config_name: r
    virtual_hosts:
    - name: v
      domains: [a.com, '*.b.com:8080']
      per_filter_config: {demo: {of: host}}
      request_headers_to_add: [{header: {key: X-A, value: '%path%'}, append: false}]
      routers:
      - match: {path: /old}
        redirect: {path_redirect: /new}
      - match: {prefix: /api, headers: [{name: method, value: GET}]}
        route: {cluster_name: c, timeout: 3s, prefix_rewrite: /v2}
        per_filter_config: {demo: {of: route}}
      - direct_response: {status: 200, body: hi}
      - match: {variables: [{name: request_arg_v, value: '2', model: or}, {name: cookie_v, regex: '^2'}]}
        route:
          weighted_clusters: [{cluster: {name: c, weight: 9, metadata_match: {filter_metadata: {mosn.lb: {v: '1'}}}}}]
          metadata_match: {filter_metadata: {envoy.lb: {zone: a, v: '0'}}}
          retry_policy: {retry_on: true, retry_timeout: 1s, num_retries: 2, status_codes: [503, 502]}
          hash_policy: [{header: {key: X-User}}, {cookie: {name: s, path: /, ttl: 1h}}, {source_ip: {}}]
        request_mirror_policies: {cluster: d, percent: 10}
    - domains: ['*']
      routers: []
  listeners:
  - name: l
    address: /tmp/l.sock
    network: unix
    bind_port: true
    reuseport: true
    reuseport_overlap: true
    mode: '0660'
    connection_idle_timeout: '0'
    type: ingress
    filter_chains:
    - tls_context: {}
      filters:
      - type: connection_manager
        config: {router_config_name: r2, merge_slashes: false, virtual_hosts: [{name: x, domains: ['*'], routers: []}]}
      - type: proxy
        config:
          downstream_protocol: Auto
          upstream_protocol: Http2
          router_config_name: r
          extend_config: {Http1: {max_header_size: 16384, max_request_body_size: 1000}}
          timeouts: {request_header: 1s, request_body: '0', response: 5s, filter_pending: 2s, tunnel_idle: '0'}
          upgrades: [WebSocket, foo/1]
          limits: {max_headers: 50, max_buffered_body: 4096}
          forwarding: {x_forwarded_for: replace, x_request_id: pass}
    access_logs: [{log_path: stdout, log_format: '%path%'}, {log_path: /tmp/sidegate-test-access.log}]
    stream_filters:
    - {type: demo, config: {User: admin}, on_fault: pass}
    - {type: loadso, so_config: {so_path: libauth.so, filter: f, on_fault: reset}}
  - address: 127.0.0.1:0
    filter_chains: [{filters: [{type: proxy, config: {router_config_name: r2}}]}]
  - address: 127.0.0.1:0
    name: third
    filter_chains: [{filters: [{type: proxy, config: {router_config_name: r2}}]}]
cluster_manager:
  clusters:
  - name: c
    type: STATIC
    lb_type: LB_RANDOM
    max_request_per_conn: 7
    conn_buffer_limit_bytes: 32768
    connect_timeout: 2s
    idle_timeout: '0'
    hosts: [{address: '127.0.0.1:1', weight: 3, hostname: h}, {address: 'unix:/tmp/u'}]
    health_check: {service_name: ''}
    circuit_breakers: [{max_connections: 0}]
  - name: d
admin:
  address: {unix: /tmp/admin.sock, mode: '0660'}
  token: hush
  hosts: [sidegate.example, pod-1]
tracing: {enable: true, driver: SOFATracer}
";

#[test]
fn everything_set() {
    let config = load(FULL).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.workers, NonZeroUsize::new(2));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.target, LogTarget::File("/tmp/sidegate-test-never-opened.log".into()));
    assert_eq!(config.graceful_timeout, Duration::from_secs(60));
    let [first, second, third] = &config.listeners[..] else { panic!("three listeners") };
    assert_eq!(
        first.net,
        ListenerConfig {
            name: "l".into(),
            address: Address::Unix("/tmp/l.sock".into()),
            backlog: ListenerConfig::DEFAULT_BACKLOG,
            accept: AcceptMode::ReusePort(PortSharing::Overlap),
            socket_mode: Some(0o660),
            idle_timeout: None,
        }
    );
    assert_eq!(&*second.net.name, "127.0.0.1:0");
    assert_eq!(second.net.idle_timeout, Some(Duration::from_secs(90)));
    assert_eq!(third.timeouts, Timeouts::default());
    assert_eq!(
        (first.limits.max_header_bytes, first.limits.max_request_body, first.limits.max_headers),
        (16384, Some(1000), 50)
    );
    assert_eq!(first.limits.max_buffered_body, 4096);
    assert_eq!(first.timeouts.request_header, Some(Duration::from_secs(1)));
    assert_eq!(first.timeouts.request_body_idle, None);
    assert_eq!(first.timeouts.response_write_idle, Timeouts::default().response_write_idle);
    assert_eq!(first.timeouts.response, Some(Duration::from_secs(5)));
    assert_eq!(first.timeouts.filter_pending, Duration::from_secs(2));
    assert_eq!(first.timeouts.tunnel_idle, None);
    assert_eq!((first.timeouts.body_pace, first.timeouts.chunked_pace), (BodyPace::USUAL, BodyPace::NONE));
    let upgrades = |upgrades: &[UpgradeProtocol]| upgrades.iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(upgrades(&first.upgrades), ["WebSocket", "foo/1"]);
    assert_eq!(upgrades(&third.upgrades), ["websocket"]);
    assert_eq!(first.forwarding.forwarded_for, ForwardedFor::Replace);
    assert_eq!(first.forwarding.request_id, RequestIdPolicy::Pass);
    assert_eq!(first.access_logs.len(), 2);
    assert_eq!(first.access_logs[0].log(), Some(&LogTarget::Stdout));
    let filters: Vec<_> = first.filters.iter().map(|f| (&*f.name, f.on_fault)).collect();
    assert_eq!(filters, [("demo", FaultPolicy::Pass), ("libauth", FaultPolicy::Reset)]);
    assert_eq!(config.admin.as_ref().unwrap().address, Address::Unix("/tmp/admin.sock".into()));
    assert_eq!(config.admin.as_ref().unwrap().token.as_deref(), Some("hush"));
    let admin = config.admin.as_ref().unwrap();
    assert_eq!(
        (admin.socket_mode, &*admin.hosts),
        (Some(0o660), &["sidegate.example", "pod-1"].map(str::to_owned)[..])
    );
    assert!(!format!("{:?}", config.admin).contains("hush"));
    assert!(!Path::new("/tmp/sidegate-test-never-opened.log").exists());
    assert!(!Path::new("/tmp/sidegate-test-access.log").exists());
}

#[test]
fn clusters_and_their_defaults() {
    let config = load(FULL).unwrap();
    let [c, d] = &config.clusters[..] else { panic!("two clusters") };
    assert_eq!(c.lb, LbPolicy::Random);
    assert_eq!(c.max_requests_per_connection, NonZeroU32::new(7));
    assert_eq!((c.connect_timeout, c.idle_timeout), (Duration::from_secs(2), None));
    assert_eq!(c.conn_buffer_limit_bytes, Some(32768));
    let hosts: Vec<_> =
        c.hosts.iter().map(|h| (h.address.to_string(), h.weight.get(), h.hostname.as_deref())).collect();
    assert_eq!(hosts, [("127.0.0.1:1".into(), 3, Some("h")), ("unix:/tmp/u".into(), 1, None)]);
    assert_eq!(*d, ClusterConfig::new("d", vec![]));
}

#[test]
fn routes_and_what_filters_made_for_them() {
    let config = load(FULL).unwrap();
    assert_eq!(config.routers.iter().map(|r| &**r.name()).collect::<Vec<_>>(), ["r", "r2"]);
    let routes = config.listeners[0].routes.routes();
    assert!(matches!(routes[0].action(), RouteAction::Redirect(_)));
    assert!(matches!(routes[1].action(), RouteAction::Forward(f) if f.timeout == Some(Duration::from_secs(3))));
    assert!(matches!(routes[2].action(), RouteAction::DirectResponse(d) if d.status == 200 && d.body == "hi"));
    let made = &config.listeners[0].route_configs[0];
    let of = |route, host| {
        let object = made.get(RouteId(route), VirtualHostId(host))?;
        Some(object.as_any().downcast_ref::<FakeRouteConfig>().unwrap().0["of"].as_str().unwrap().to_owned())
    };
    assert_eq!([of(0, 0), of(1, 0), of(3, 1)], [Some("host".into()), Some("route".into()), None]);
    assert!(config.listeners[0].route_configs[1].get(RouteId(1), VirtualHostId(0)).is_none());
}

#[test]
fn policies_of_routes() {
    let config = load(FULL).unwrap();
    let route = &config.listeners[0].routes.routes()[3];
    assert_eq!(&**route.name(), "variables request_arg_v,cookie_v");
    let forward = route.forward().unwrap();
    let of =
        |pairs: &[(&str, &str)]| LbMetadata::new(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    let ClusterChoice::Weighted(clusters) = &forward.cluster else { panic!("{forward:?}") };
    let clusters: Vec<_> = clusters.iter().map(|c| (&*c.name, c.weight, c.subset.clone())).collect();
    assert_eq!(clusters, [("c", 9, of(&[("v", "1"), ("zone", "a")]))]);
    assert_eq!(forward.subset, of(&[("v", "0"), ("zone", "a")]));
    let retry = RetryPolicy {
        on: RetryOn::Failures,
        retries: 2,
        per_try_timeout: Some(Duration::from_secs(1)),
        statuses: vec![502, 503],
    };
    assert_eq!(forward.retry, retry);
    let cookie = HashCookie::new("s", "/", Some(Duration::from_secs(3600))).unwrap();
    let header = HeaderName::parse_readable("x-user").unwrap();
    assert_eq!(*forward.hash, [HashPolicy::Header(header), HashPolicy::Cookie(cookie), HashPolicy::SourceIp]);
    assert_eq!(route.mirror(), Some(&MirrorPolicy { cluster: "d".into(), percent: 10 }));
    let plain = config.listeners[0].routes.routes()[1].forward().unwrap();
    assert_eq!((plain.retry.clone(), plain.hash.len(), plain.subset.is_empty()), (RetryPolicy::default(), 0, true));
}

#[test]
fn keys_that_give_way_to_others_are_warned_about() {
    let text = varied(
        "      - match: {prefix: /}\n        route: {cluster_name: c}\n",
        "      - match: {prefix: /a, variables: [{name: method, value: GET}]}\n        \
         route: {cluster_name: c, weighted_clusters: [{cluster: {name: c, weight: 1}}]}\n      \
         - match: {variables: [{name: method, value: GET, regex: PUT}], headers: [{name: a, value: b}]}\n        \
         route: {cluster_name: c}\n        request_mirror_policies: {cluster: c}\n",
    );
    let config = load(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings: Vec<_> =
        config.warnings.iter().map(|w| (w.path.rsplit_once("routers[").unwrap().1, &*w.message)).collect();
    assert_eq!(
        warnings,
        [
            ("0].match.variables", "ignored beside `prefix`, as in MOSN"),
            ("0].route.cluster_name", "ignored beside `weighted_clusters`, as in MOSN"),
            ("1].match.variables[0].value", "ignored beside `regex`, as in MOSN"),
            ("1].match.headers", "ignored beside `variables`, as in MOSN"),
            ("1].request_mirror_policies", "mirrors nothing: `percent` is absent or 0"),
        ]
    );
}

#[test]
fn the_delay_of_a_drain_is_none_unless_given() {
    assert_eq!(load(BASE).unwrap().drain_delay, Duration::ZERO);
    let text = varied("default_log_level: INFO", "drain_delay: 5s");
    assert_eq!(load(&text).unwrap().drain_delay, Duration::from_secs(5));
}

#[test]
fn live_edits_that_nobody_may_make_are_warned_about() {
    let admin = "address: {socket_address: {address: 0.0.0.0, port_value: 34901}}";
    let warnings = |more: &str, address: &str| {
        let text = varied(admin, &format!("{address}\n  live_edit: {more}"));
        let warnings = load(&text).unwrap_or_else(|errors| panic!("{errors}")).warnings;
        warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.message)).collect::<Vec<_>>()
    };
    let nobody = "admin.live_edit: nobody may edit: there is neither a `token` nor a Unix socket";
    assert_eq!(warnings("true", admin), [nobody]);
    for (more, address) in [("false", admin), ("true\n  token: x", admin), ("true", "address: {unix: /tmp/a}")] {
        assert_eq!(warnings(more, address), [] as [&str; 0], "{more} {address}");
    }
}

#[test]
fn warnings_have_paths() {
    assert_eq!(
        lines(&load(FULL).unwrap().warnings),
        [
            "c.yaml:20:9: servers[0].routers[0].virtual_hosts[0].routers[3]: no request gets here: \
             the route at c.yaml:19:9 (servers[0].routers[0].virtual_hosts[0].routers[2]) takes all that could",
            "c.yaml:38:11: servers[0].listeners[0].type: known MOSN key that does nothing here: \
             ingress and egress are treated alike",
            "c.yaml:47:30: servers[0].listeners[0].filter_chains[0].filters[1].config.\
             upstream_protocol: ignored here, as in MOSN: requests go to hosts in what they came in, unless \
             `upstream_protocol` of the route or the cluster says otherwise",
            "c.yaml:74:23: cluster_manager.clusters[0].circuit_breakers: circuit breakers without a limit do nothing",
            "c.yaml:80:10: tracing: known MOSN key that does nothing here: there are no traces",
        ]
    );
}

#[test]
fn the_dump_has_no_secrets() {
    let config = load(FULL).unwrap();
    assert_eq!(config.dump["admin"]["token"], REDACTED);
    assert!(!config.dump.to_string().contains("hush"));
    assert_eq!(config.dump["servers"][0]["listeners"][0]["name"], "l");
}

#[test]
fn json_and_yaml_resolve_alike() {
    let json = ConfigFile::parse("c.yaml".as_ref(), FULL).unwrap().root_json().to_string();
    let (yaml, json) = (load(FULL).unwrap(), load_with("c.json", &json, LoadMode::Load).unwrap());
    // The whole table would show its hash seeds.
    let shown = |config: &crate::Config| {
        let routers = config.routers.iter().map(|r| format!("{} {:?}", r.name(), r.routes()));
        let listeners = config.listeners.iter().map(|l| {
            format!(
                "{:?} {} {:?} {:?} {:?} {:?} {:?}",
                l.net,
                l.routes.name(),
                l.filters,
                l.access_logs,
                l.limits,
                l.timeouts,
                l.forwarding
            )
        });
        (routers.collect::<Vec<_>>(), listeners.collect::<Vec<_>>())
    };
    assert_eq!(shown(&yaml), shown(&json));
    assert_eq!(yaml.clusters, json.clusters);
    assert_eq!((yaml.log, yaml.workers, yaml.admin, yaml.dump), (json.log, json.workers, json.admin, json.dump));
    let paths = |warnings: &[crate::Diagnostic]| warnings.iter().map(|w| w.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&yaml.warnings), paths(&json.warnings));
}

/// Replaces the `index`th node below `value`, counted in order.
pub(crate) fn replace_node(value: &mut Value, index: &mut usize, by: &Value) {
    if *index == 0 {
        *value = by.clone();
    }
    *index = index.wrapping_sub(1);
    match value {
        Value::Object(entries) => entries.values_mut().for_each(|v| replace_node(v, index, by)),
        Value::Array(elements) => elements.iter_mut().for_each(|v| replace_node(v, index, by)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_wrong_value_is_an_error_with_a_place(index in 0_usize..220, by in 0_usize..8) {
        let by = [
            json!(null), json!(true), json!(-1), json!(1e300), json!(""), json!("\u{0}é"), json!([[]]),
            json!({"": {"a": []}}),
        ][by].clone();
        let mut document = ConfigFile::parse("c.yaml".as_ref(), FULL).unwrap().root_json();
        replace_node(&mut document, &mut { index }, &by);
        match load_with("c.json", &document.to_string(), LoadMode::Load) {
            Ok(_) => {}
            Err(errors) => {
                prop_assert!(!errors.errors.is_empty());
                for error in errors.errors {
                    prop_assert!(error.position.is_some(), "{error}");
                    prop_assert!(!error.to_string().contains('\n'), "{error}");
                }
            }
        }
    }

    #[test]
    fn text_with_a_hole_never_panics(start in 0_usize..3000, length in 1_usize..40) {
        let text: String = FULL.chars().take(start).chain(FULL.chars().skip(start + length)).collect();
        let _ = load(&text);
    }
}

#[test]
fn without_loading_filters_are_checked_and_not_built() {
    let (registry, builder) = registry();
    let file = ConfigFile::parse("c.yaml".as_ref(), BASE).unwrap();
    let config = file.resolve(&registry, &env(), LoadMode::NoLoad, None).unwrap();
    assert!(config.listeners[0].filters.is_empty());
    assert_eq!((builder.checks.load(Ordering::Relaxed), builder.builds.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn one_file_has_one_name() {
    let entry = "- type: demo\n      config: {User: admin}";
    let twice = "- {type: x, so_config: {so_path: a.so, name: m}}\n    \
                 - {type: y, go_plugin_config: {so_path: ./a.so}}\n    \
                 - {type: z, name: third, so_config: {so_path: /work-dir/a.so}}";
    let config = load(&varied(entry, twice)).unwrap();
    assert_eq!(config.listeners[0].filters.iter().map(|f| &*f.name).collect::<Vec<_>>(), ["m", "m", "third"]);
}

#[test]
fn workers_can_be_asked_before_anything_else() {
    let workers = |text: &str| ConfigFile::parse("c.yaml".as_ref(), text).unwrap().workers();
    assert_eq!(workers(FULL), NonZeroUsize::new(2));
    assert_eq!(workers(BASE), None);
    assert_eq!(workers("servers: [{processor: auto}]"), None);
    assert_eq!(workers("servers: 3"), None);
}

#[test]
fn logs_are_opened_on_request() {
    let mut config =
        load(&varied("    filter_chains:\n", "    access_logs: [{log_path: stderr}]\n    filter_chains:\n")).unwrap();
    let sinks = sidegate_telemetry::LogSinks::new(sidegate_api::Metrics::new(1));
    let OpenListener { net, proxy, .. } = config.listeners.remove(0).open(&sinks).unwrap();
    assert_eq!(net.name, proxy.listener);
    assert_eq!((proxy.access_logs.len(), proxy.filters.len()), (1, 1));
}
