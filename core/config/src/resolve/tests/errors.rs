//! Bad configurations and the exact lines they give.

use std::sync::atomic::Ordering;

use super::support::{BASE, errors, lines, load, load_with, registry, varied};
use crate::LoadMode;

/// Replacements in the base configuration, and the lines each gives.
fn check(table: &[(&str, &str, &str)]) {
    let mut wrong = String::new();
    for (from, to, expected) in table {
        let found = errors(&varied(from, to));
        let expected: Vec<_> = expected.lines().collect();
        if found != expected {
            wrong.push_str(&format!("{to}\n  expected {expected:#?}\n  found    {found:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn servers_and_listeners() {
    check(&[
        ("    address: 127.0.0.1:2046", "    addres: 127.0.0.1:2046", "c.yaml:14:5: servers[0].listeners[0].addres: unknown key; did you mean \"address\"?"),
        ("127.0.0.1:2046", "127.0.0.1", "c.yaml:14:14: servers[0].listeners[0].address: expected IP:port, :port, localhost:port or unix:/path, found string \"127.0.0.1\""),
        ("127.0.0.1:2046", "3", "c.yaml:14:14: servers[0].listeners[0].address: expected a string, found number 3"),
        ("127.0.0.1:2046", "127.0.0.1:2046\n    network: udp", "c.yaml:15:14: servers[0].listeners[0].network: UDP listeners are not available yet; expected \"tcp\" or \"unix\", found \"udp\""),
        ("127.0.0.1:2046", "127.0.0.1:2046\n    network: sctp", "c.yaml:15:14: servers[0].listeners[0].network: expected \"tcp\" or \"unix\", found string \"sctp\""),
        ("127.0.0.1:2046", "127.0.0.1:2046\n    bind_port: false", "c.yaml:15:16: servers[0].listeners[0].bind_port: listeners that take redirected connections are not available yet; expected true, found false"),
        ("127.0.0.1:2046", "127.0.0.1:2046\n    use_original_dst: tproxy", "c.yaml:15:23: servers[0].listeners[0].use_original_dst: not available yet: redirected connections would not reach their original destination; expected no such key, found string \"tproxy\""),
        ("127.0.0.1:2046", "127.0.0.1:2046\n    connection_idle_timeout: 90", "c.yaml:15:30: servers[0].listeners[0].connection_idle_timeout: expected a duration string such as \"30s\", found number 90"),
        ("127.0.0.1:2046", "127.0.0.1:2046\n    access_logs: [{log_path: a, log_format: '%stat_time%'}]", "c.yaml:15:45: servers[0].listeners[0].access_logs[0].log_format: unknown variable `%stat_time%` at byte 0; did you mean `%start_time%`? (found string \"%stat_time%\")"),
        ("port_value: 34901", "port_value: 2046, ADDRESS: 127.0.0.1", "c.yaml:28:66: admin.address.socket_address.ADDRESS: key stands twice, \"address\" and \"ADDRESS\" are the same; the first is at c.yaml:28:30"),
        ("0.0.0.0, port_value: 34901", "127.0.0.1, port_value: 2046", "c.yaml:28:12: admin.address: listener address \"127.0.0.1:2046\" is given twice; the first is at c.yaml:14:14 (servers[0].listeners[0].address)"),
        ("default_log_level: INFO", "default_log_level: LOUD", "c.yaml:3:22: servers[0].default_log_level: expected one of FATAL, ERROR, WARN, INFO, DEBUG, TRACE, found string \"LOUD\""),
        ("default_log_level: INFO", "processor: many", "c.yaml:3:14: servers[0].processor: expected a number of workers from 1 to 1024, or \"auto\", found string \"many\""),
        ("default_log_level: INFO", "graceful_timeout: ''", "c.yaml:3:21: servers[0].graceful_timeout: expected a duration such as \"30s\", found string \"\""),
        ("admin:\n", "dynamic_resources: {ads_config: {}}\nadmin:\n", "c.yaml:27:20: dynamic_resources: not available yet: there is no xDS, the configuration is this file alone; expected no such key, found an object"),
        ("admin:\n", "admin:\n  token: 'two words'\n", "c.yaml:28:10: admin.token: expected visible ASCII characters without blanks, found a string that is not shown"),
        ("    - filters:\n", "    - filters: []\n    - filters:\n", "c.yaml:16:7: servers[0].listeners[0].filter_chains: expected exactly one filter chain, found 2\nc.yaml:16:16: servers[0].listeners[0].filter_chains[0].filters: expected exactly one `proxy` filter, found 0"),
        ("    - filters:\n", "    - tls_context: {status: true}\n      filters:\n", "c.yaml:16:29: servers[0].listeners[0].filter_chains[0].tls_context.status: TLS is not available yet; expected `status` false or no TLS context, found true"),
        ("type: proxy", "type: tcp_proxy", "c.yaml:17:15: servers[0].listeners[0].filter_chains[0].filters[0].type: network filter \"tcp_proxy\" is not available yet; expected \"proxy\""),
        ("type: proxy", "type: prxy", "c.yaml:17:15: servers[0].listeners[0].filter_chains[0].filters[0].type: network filter type \"prxy\" is not registered; expected \"proxy\""),
        ("type: proxy", "type: connection_manager", "c.yaml:17:9: servers[0].listeners[0].filter_chains[0].filters: expected exactly one `proxy` filter, found 0\nc.yaml:18:38: servers[0].listeners[0].filter_chains[0].filters[0].config.router_config_name: router name \"r\" is given twice; the first is at c.yaml:5:25 (servers[0].routers[0].router_config_name)"),
    ]);
}

#[test]
fn the_proxy_filter() {
    let config = "{router_config_name: r}";
    check(&[
        (config, "{router_config_name: rr}", "c.yaml:18:38: servers[0].listeners[0].filter_chains[0].filters[0].config.router_config_name: router \"rr\" is not defined; did you mean \"r\"?"),
        (config, "{}", "c.yaml:18:17: servers[0].listeners[0].filter_chains[0].filters[0].config.router_config_name: required key is missing; expected the name of a router"),
        (config, "{router_config_name: r, downstream_protocol: Http2}", "c.yaml:18:62: servers[0].listeners[0].filter_chains[0].filters[0].config.downstream_protocol: this protocol is not available yet; expected \"Http1\" or \"Auto\", found string \"Http2\""),
        (config, "{router_config_name: r, downstream_protocol: Htp1}", "c.yaml:18:62: servers[0].listeners[0].filter_chains[0].filters[0].config.downstream_protocol: expected \"Http1\" or \"Auto\", found string \"Htp1\"; did you mean \"Http1\"?"),
        (config, "{router_config_name: r, extend_config: {Http1: {max_header_size: big}}}", "c.yaml:18:82: servers[0].listeners[0].filter_chains[0].filters[0].config.extend_config.Http1.max_header_size: expected an integer from 0 to 1099511627776, found string \"big\""),
        (config, "{router_config_name: r, timeouts: {filter_pending: 0s}}", "c.yaml:18:68: servers[0].listeners[0].filter_chains[0].filters[0].config.timeouts.filter_pending: expected a duration above zero, found string \"0s\""),
        (config, "{router_config_name: r, timeouts: {response: -1s}}", "c.yaml:18:62: servers[0].listeners[0].filter_chains[0].filters[0].config.timeouts.response: expected a duration that is not negative, found string \"-1s\""),
        (config, "{router_config_name: r, limits: {max_headers: 0}}", "c.yaml:18:63: servers[0].listeners[0].filter_chains[0].filters[0].config.limits.max_headers: expected an integer from 1 to 10000, found number 0"),
        (config, "{router_config_name: r, forwarding: {x_forwarded_for: add}}", "c.yaml:18:71: servers[0].listeners[0].filter_chains[0].filters[0].config.forwarding.x_forwarded_for: expected \"append\", \"replace\", \"remove\" or \"pass\", found string \"add\""),
    ]);
}

#[test]
fn routers() {
    let route = "route: {cluster_name: c}";
    check(&[
        (route, "route: {cluster_name: cc}", "c.yaml:11:31: servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name: cluster \"cc\" is not defined; did you mean \"c\"?"),
        (route, "route: {}", "c.yaml:10:9: servers[0].routers[0].virtual_hosts[0].routers[0]: expected `route`, `redirect` or `direct_response`, found none of them"),
        (route, "route: {weighted_clusters: [{cluster: {name: c, weight: 1}}]}", "c.yaml:11:36: servers[0].routers[0].virtual_hosts[0].routers[0].route.weighted_clusters: not available yet: all requests would go to one cluster; expected no such key, found an array"),
        (route, "route: {cluster_name: c, upstream_protocol: Http2}", "c.yaml:11:53: servers[0].routers[0].virtual_hosts[0].routers[0].route.upstream_protocol: this upstream protocol is not available yet; expected \"Http1\" or \"Auto\", found string \"Http2\""),
        (route, "route: {cluster_name: c, timeout: 5}", "c.yaml:11:43: servers[0].routers[0].virtual_hosts[0].routers[0].route.timeout: expected a duration string such as \"30s\", found number 5"),
        (route, "route: {cluster_name: c, request_headers_to_add: [{header: {key: connection, value: x}}]}", "c.yaml:11:74: servers[0].routers[0].virtual_hosts[0].routers[0].route.request_headers_to_add[0].header.key: framing and hop-by-hop header fields belong to the proxy, found string \"connection\""),
        (route, "route: {cluster_name: c, request_headers_to_add: [{header: {key: a, value: '%nope%'}}]}", "c.yaml:11:84: servers[0].routers[0].virtual_hosts[0].routers[0].route.request_headers_to_add[0].header.value: `%nope%` is no variable, found string \"%nope%\""),
        (route, "route: {cluster_name: c, regex_rewrite: {pattern: {regex: '('}, substitution: x}}", "c.yaml:11:67: servers[0].routers[0].virtual_hosts[0].routers[0].route.regex_rewrite.pattern.regex: expected a regular expression: unclosed group, found string \"(\""),
        (route, "route: {cluster_name: c}\n        redirect: {path_redirect: /x}", "c.yaml:10:9: servers[0].routers[0].virtual_hosts[0].routers[0]: expected one of `route`, `redirect` and `direct_response`, found several of them"),
        (route, "redirect: {response_code: 200, path_redirect: /x}", "c.yaml:11:35: servers[0].routers[0].virtual_hosts[0].routers[0].redirect.response_code: expected 301, 302, 303, 307 or 308, found number 200"),
        (route, "redirect: {response_code: 302}", "c.yaml:10:9: servers[0].routers[0].virtual_hosts[0].routers[0]: expected path_redirect, host_redirect or scheme_redirect: this redirect leads back to where it began"),
        (route, "direct_response: {status: 99}", "c.yaml:11:35: servers[0].routers[0].virtual_hosts[0].routers[0].direct_response.status: expected a status code from 200 to 599, found 99"),
        ("match: {prefix: /}", "match: {regex: '['}", "c.yaml:10:24: servers[0].routers[0].virtual_hosts[0].routers[0].match.regex: expected a regular expression: unclosed character class, found string \"[\""),
        ("match: {prefix: /}", "match: {prefix: x}", "c.yaml:10:25: servers[0].routers[0].virtual_hosts[0].routers[0].match.prefix: expected a path that starts with `/`, in ASCII without blanks, `?` and `#`, found string \"x\""),
        ("match: {prefix: /}", "match: {headers: [{name: 'a b', value: x}]}", "c.yaml:10:34: servers[0].routers[0].virtual_hosts[0].routers[0].match.headers[0].name: expected a header name, found string \"a b\""),
        ("match: {prefix: /}", "match: {variables: [{name: x}]}", "c.yaml:10:28: servers[0].routers[0].virtual_hosts[0].routers[0].match.variables: not available yet: the route would match other requests; expected no such key, found an array"),
        ("domains: ['*']", "domains: []", "c.yaml:8:16: servers[0].routers[0].virtual_hosts[0].domains: expected at least one domain, found none"),
        ("domains: ['*']", "domains: ['a b']", "c.yaml:8:17: servers[0].routers[0].virtual_hosts[0].domains[0]: expected host, host:port, *.suffix, *.suffix:port or *, found string \"a b\""),
        ("domains: ['*']", "domains: [a.com]\n    - name: w\n      domains: [A.com]", "c.yaml:10:17: servers[0].routers[0].virtual_hosts[1].domains[0]: domain \"a.com\" is given twice; the first is at c.yaml:8:17 (servers[0].routers[0].virtual_hosts[0].domains[0])"),
        ("domains: ['*']", "domains: [a.com]\n    - name: v\n      domains: [b.com]", "c.yaml:9:13: servers[0].routers[0].virtual_hosts[1].name: virtual host name \"v\" is given twice; the first is at c.yaml:7:13 (servers[0].routers[0].virtual_hosts[0].name)"),
        ("    - name: v\n", "    - name: v\n      per_filter_config: {dmo: {}}\n", "c.yaml:8:32: servers[0].routers[0].virtual_hosts[0].per_filter_config.dmo: no listener that uses this router has a filter called \"dmo\"; did you mean \"demo\"?"),
        ("    - name: v\n", "    - name: v\n      per_filter_config: {demo: {bad: 1}}\n", "c.yaml:8:39: servers[0].routers[0].virtual_hosts[0].per_filter_config.demo.bad: expected nothing bad"),
    ]);
    let twice = BASE.replace("  listeners:\n", "  - router_config_name: r\n  listeners:\n");
    assert_eq!(errors(&twice), ["x"]);
}

#[test]
fn clusters() {
    let host = "- address: 127.0.0.1:8080";
    check(&[
        ("  - name: c\n", "  - type: SIMPLE\n", "c.yaml:11:31: servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name: cluster \"c\" is not defined; no cluster is\nc.yaml:24:5: cluster_manager.clusters[0].name: required key is missing; expected the cluster's name"),
        ("  - name: c\n", "  - name: c\n    lb_type: LB_RANDM\n", "c.yaml:25:14: cluster_manager.clusters[0].lb_type: expected LB_RANDOM, LB_ROUNDROBIN or LB_WEIGHTED_ROUNDROBIN, found string \"LB_RANDM\"; did you mean \"LB_RANDOM\"?"),
        ("  - name: c\n", "  - name: c\n    lb_type: LB_MAGLEV\n", "c.yaml:25:14: cluster_manager.clusters[0].lb_type: this lb_type is not supported yet; expected LB_RANDOM, LB_ROUNDROBIN or LB_WEIGHTED_ROUNDROBIN, found string \"LB_MAGLEV\""),
        ("  - name: c\n", "  - name: c\n    type: EDS\n", "c.yaml:25:11: cluster_manager.clusters[0].type: this cluster type is not supported yet; expected SIMPLE or STATIC, found string \"EDS\""),
        ("  - name: c\n", "  - name: c\n    connect_timeout: 10\n", "c.yaml:25:22: cluster_manager.clusters[0].connect_timeout: expected a duration string such as \"30s\", found number 10"),
        ("  - name: c\n", "  - name: c\n    tls_context: {status: true}\n", "c.yaml:25:27: cluster_manager.clusters[0].tls_context.status: TLS is not available yet; expected `status` false or no TLS context, found true"),
        ("  - name: c\n", "  - name: c\n    health_check: {service_name: s}\n", "c.yaml:25:19: cluster_manager.clusters[0].health_check: not available yet: hosts are not health-checked, requests would reach sick ones; expected no health check, found one"),
        ("  - name: c\n", "  - name: c\n    circuit_breakers: [{max_connections: 5}]\n", "c.yaml:25:23: cluster_manager.clusters[0].circuit_breakers: not available yet: its limits would not be kept; expected no limits, found some"),
        ("  - name: c\n", "  - name: c\n  - Name: c\n", "c.yaml:25:11: cluster_manager.clusters[1].Name: cluster name \"c\" is given twice; the first is at c.yaml:24:11 (cluster_manager.clusters[0].name)"),
        (host, "- address: example.com:80", "c.yaml:26:16: cluster_manager.clusters[0].hosts[0].address: expected IP:port, :port, localhost:port or unix:/path, found string \"example.com:80\""),
        (host, "- {address: '127.0.0.1:1', weight: 129}", "c.yaml:26:40: cluster_manager.clusters[0].hosts[0].weight: expected a weight from 1 to 128, found 129"),
        (host, "- address: 127.0.0.1:8080\n    - address: 127.0.0.1:8080", "c.yaml:27:16: cluster_manager.clusters[0].hosts[1].address: host \"127.0.0.1:8080\" is given twice; the first is at c.yaml:26:16 (cluster_manager.clusters[0].hosts[0].address)"),
    ]);
}

#[test]
fn stream_filters() {
    let entry = "- type: demo\n      config: {User: admin}";
    check(&[
        ("type: demo", "type: demoo", "c.yaml:20:13: servers[0].listeners[0].stream_filters[0].type: stream filter type \"demoo\" is not registered; did you mean \"demo\"?"),
        ("type: demo", "type: gzip", "c.yaml:20:13: servers[0].listeners[0].stream_filters[0].type: MOSN's stream filter \"gzip\" is not available yet; registered are demo"),
        ("type: demo", "type: loadso", "c.yaml:20:13: servers[0].listeners[0].stream_filters[0].type: a filter of type \"loadso\" comes from a module; expected `so_config` with its `so_path`"),
        ("{User: admin}", "{User: admin, n: 3}", "c.yaml:21:32: servers[0].listeners[0].stream_filters[0].config.n: expected a string, found 3"),
        ("{User: admin}", "{User: admin, refuse: 'yes'}", "c.yaml:21:37: servers[0].listeners[0].stream_filters[0].config.refuse: the factory refused"),
        ("{User: admin}", "[]", "c.yaml:21:15: servers[0].listeners[0].stream_filters[0].config: expected an object, found an array"),
        (entry, "- {type: x, so_config: {}}", "c.yaml:20:28: servers[0].listeners[0].stream_filters[0].so_config.so_path: required key is missing; expected the path of a shared library"),
        (entry, "- {type: x, go_plugin_config: {so_path: a/missing.so}}", "c.yaml:20:45: servers[0].listeners[0].stream_filters[0].go_plugin_config.so_path: no such file"),
        (entry, "- {type: x, so_config: {so_path: 'a b.so'}}", "c.yaml:20:38: servers[0].listeners[0].stream_filters[0].so_config.so_path: expected a file name of letters, digits, '.', '_' and '-', or a `name` beside it, found string \"a b.so\""),
        (entry, "- {type: x, so_config: {so_path: a.so, sha256: abc}}", "c.yaml:20:52: servers[0].listeners[0].stream_filters[0].so_config.sha256: expected 64 hexadecimal digits, found string \"abc\""),
        (entry, "- {type: x, so_config: {so_path: a.so, on_fault: ignore}}", "c.yaml:20:54: servers[0].listeners[0].stream_filters[0].so_config.on_fault: expected \"reply-500\", \"pass\" or \"reset\", found string \"ignore\""),
        (entry, "- {type: x, so_config: {so_path: a.so, quarantine: {faults: 0, within: 1s, then: closed}}}", "c.yaml:20:65: servers[0].listeners[0].stream_filters[0].so_config.quarantine.faults: expected an integer from 1 to 1000000, found number 0"),
        (entry, "- {type: x, so_config: {so_path: a.so}}\n    - {type: x, so_config: {so_path: b/a.so}}", "c.yaml:21:38: servers[0].listeners[0].stream_filters[1].so_config.so_path: module name \"a\" is given twice, to /work-dir/a.so at c.yaml:20:38 (servers[0].listeners[0].stream_filters[0].so_config.so_path) and to /work-dir/b/a.so"),
        (entry, "- {type: x, so_config: {so_path: a.so}}\n    - {type: x, so_config: {so_path: ./a.so, name: b}}", "c.yaml:21:52: servers[0].listeners[0].stream_filters[1].so_config.name: a module has one name; this file is called \"a\" at c.yaml:20:38 (servers[0].listeners[0].stream_filters[0].so_config.so_path)"),
        (entry, "- {type: x, so_config: {so_path: a.so}, go_plugin_config: {so_path: a.so}}", "c.yaml:20:28: servers[0].listeners[0].stream_filters[0].so_config: expected one of `so_config` and `go_plugin_config`, found both"),
    ]);
}

#[test]
fn documents() {
    for (text, expected) in [
        ("", "x"),
        ("[]", "x"),
        ("a: 1\na: 2\nservers: []", "x"),
        ("a: [", "x"),
    ] {
        assert_eq!(errors(text)[0], expected, "{text}");
    }
    let error = load_with("c.json", "{\n  \"servers\": [},\n}", LoadMode::Load).unwrap_err();
    assert_eq!(error.to_string(), "c.json:2:15: expected a value, found '}'");
}

#[test]
fn everything_is_reported_at_once_and_nothing_is_built_then() {
    let text = BASE
        .replace("cluster_name: c", "cluster_name: nope")
        .replace("127.0.0.1:2046", "127.0.0.1")
        .replace("{User: admin}", "{User: 7}")
        .replace("default_log_level: INFO", "default_log_levl: INFO")
        .replace("127.0.0.1:8080", "localhost")
        .replace("port_value: 34901", "port_value: 70000");
    assert_eq!(errors(&text), [""]);
    let (registry, builder) = registry();
    let file = crate::ConfigFile::parse("c.yaml".as_ref(), &text).unwrap();
    assert!(file.resolve(&registry, &super::support::env(), LoadMode::Load).is_err());
    assert_eq!((builder.checks.load(Ordering::Relaxed), builder.builds.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn errors_for_machines() {
    let errors = load(&varied("cluster_name: c", "cluster_name: d")).unwrap_err();
    assert_eq!(
        errors.to_json(),
        serde_json::json!([{
            "file": "c.yaml",
            "line": 11,
            "column": 30,
            "path": "servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name",
            "kind": "undefined",
            "message": "cluster \"d\" is not defined; did you mean \"c\"?",
            "expected": "the name of a cluster",
            "found": "string \"d\"",
        }])
    );
}

#[test]
fn an_error_in_a_definition_is_not_repeated_where_it_is_used() {
    let text = varied("127.0.0.1:8080", "nowhere").replace("match: {prefix: /}", "match: {prefix: x}");
    assert_eq!(errors(&text).len(), 2, "{:?}", lines(&load(&text).unwrap_err().errors));
}
