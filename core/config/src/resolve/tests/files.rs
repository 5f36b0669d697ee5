//! MOSN's own example files, where they are at hand, and files on disk.

use std::path::PathBuf;

use sidegate_api::Slashes;

use super::support::{env, lines, registry};
use crate::{Config, ConfigErrors, LoadMode, load};

fn example(name: &str) -> Option<Result<Config, ConfigErrors>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/mosn-configs");
    if !root.is_dir() {
        eprintln!("skipped: {} is not there", root.display());
        return None;
    }
    Some(load(&root.join(name), &registry().0, &env(), LoadMode::Load))
}

#[test]
fn mosn_examples_load() {
    for (name, filters, port, warned) in [
        ("plugin/so/config.json", 1, 34901, vec![]),
        ("simple_streamfilter/config.json", 1, 34901, vec![]),
        ("http-sample/client_config.json", 0, 34901, vec!["disable_upgrade"]),
        ("http-sample/server_config.json", 0, 34902, vec!["disable_upgrade"]),
    ] {
        let Some(loaded) = example(name) else { return };
        let config = loaded.unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
        assert_eq!(config.listeners.len(), 1, "{name}");
        assert_eq!(config.listeners[0].filters.len(), filters, "{name}");
        assert_eq!(config.clusters.len(), 1, "{name}");
        assert_eq!(config.admin.unwrap().address.to_string(), format!("0.0.0.0:{port}"), "{name}");
        assert_eq!(config.warnings.iter().map(|w| w.path.as_str()).collect::<Vec<_>>(), warned, "{name}");
    }
}

#[test]
fn mosn_examples_that_need_more_are_refused_with_their_reason() {
    for (name, expected) in [
        ("plugin/cert_loader/config.json", "tls_context.type: certificates do not come from extensions here"),
        ("plugin/filter/config.json", "type: stream filter type \"demo_plugin\" is not registered"),
        (
            "tcpproxy-sample/config.json",
            "type: MOSN's network filter \"tcp_proxy\" is not in Sidegate: traffic that is no HTTP",
        ),
        (
            "uds-sample/client_config.json",
            "type: MOSN's network filter \"tcp_proxy\" is not in Sidegate: traffic that is no HTTP",
        ),
    ] {
        let Some(loaded) = example(name) else { return };
        let errors = lines(&loaded.unwrap_err().errors);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(expected), "{}", errors[0]);
    }
}

/// MOSN leaves out what it took away; a module may still bear the name.
#[test]
fn filters_that_mosn_took_away_are_left_out() {
    let text = super::support::varied(
        "    - type: demo\n",
        "    - {type: healthcheck, config: {passthrough: true}}\n    - type: demo\n",
    );
    let config = super::support::load(&text).unwrap();
    let names: Vec<_> = config.listeners[0].filters.iter().map(|filter| &*filter.name).collect();
    assert_eq!(names, ["demo"]);
    let warned = lines(&config.warnings);
    assert!(warned.len() == 1 && warned[0].contains("stream_filters[0].type: this filter is left out: "), "{warned:?}");
    let nearly = super::support::errors(&text.replace("healthcheck", "healthchecks"));
    assert!(nearly.len() == 1 && nearly[0].contains("is not registered"), "{nearly:?}");
}

/// The same router in both places: that of `routers` serves.
#[test]
fn routers_go_before_a_connection_manager() {
    let manager = "- type: connection_manager\n        config: {router_config_name: NAME, virtual_hosts: [{domains: \
                   ['*'], routers: [{direct_response: {status: 204}}]}], unknown: 1}\n      - type: proxy";
    let text = super::support::varied("- type: proxy", &manager.replace("NAME", "r"));
    let config = super::support::load(&text).unwrap();
    let routes = config.listeners[0].routes.routes();
    assert_eq!(routes.iter().map(|route| &**route.name()).collect::<Vec<_>>(), ["prefix /"]);
    assert_eq!(config.routers.len(), 1);
    assert_eq!(
        lines(&config.warnings),
        [
            "c.yaml:18:17: servers[0].listeners[0].filter_chains[0].filters[0].config: ignored: `routers` defines router \"r\" \
          too and goes before, as in MOSN"
        ]
    );
    // Two of them are still one too many.
    let other = manager.replace("NAME", "s").replace(", unknown: 1", "");
    let twice = format!("{}\n      {other}", other.replace("\n      - type: proxy", ""));
    let errors = super::support::errors(&super::support::varied("- type: proxy", &twice));
    assert!(errors.len() == 1 && errors[0].contains("router name \"s\" is given twice"), "{errors:?}");
}

#[test]
fn merging_of_slashes_is_said_per_router() {
    let with =
        |keys: &str| super::support::varied("router_config_name: r\n", &format!("router_config_name: r\n{keys}"));
    for (keys, slashes) in [
        ("", Slashes::Merge),
        ("    merge_slashes: true\n", Slashes::Merge),
        ("    merge_slashes: false\n", Slashes::Keep),
    ] {
        let config = super::support::load(&with(keys)).unwrap();
        assert_eq!(config.listeners[0].routes.slashes(), slashes, "{keys}");
    }
    let route = super::support::varied("match: {prefix: /}", "match: {path: //a}");
    let warnings = |text: &str| lines(&super::support::load(text).unwrap().warnings);
    assert_eq!(
        warnings(&route),
        [
            "c.yaml:10:9: servers[0].routers[0].virtual_hosts[0].routers[0]: no path has `//` by the time it is matched, so this \
          route is never taken; see `merge_slashes`"
        ]
    );
    let kept = route.replace("router_config_name: r\n", "router_config_name: r\n    merge_slashes: false\n");
    assert_eq!(warnings(&kept), [""; 0]);
}

/// Keys as older MOSN files and its reference page write them.
#[test]
fn keys_of_older_mosn_files_are_warned_about() {
    let text = super::support::BASE
        .replace(
            "  - name: c\n",
            "  - Name: c\n    sub_type: ''\n    spec: {}\n    circuit_breakers: [{priority: default}]\n",
        )
        .replace("  clusters:\n", "  auto_discovery: true\n  clusters:\n")
        .replace("    filter_chains:\n", "    log_level: DEBUG\n    inspector: true\n    filter_chains:\n")
        .replace(
            "    - filters:\n",
            "    - match: ''\n      tls_context: {status: false, verify_client: true}\n      filters:\n",
        )
        + "pprof: {debug: true}\nmetrics: {flush_interval: 500ms}\n";
    let config = super::support::load(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let paths: Vec<_> = config.warnings.iter().map(|warning| warning.path.rsplit('.').next().unwrap()).collect();
    assert_eq!(
        paths,
        ["log_level", "inspector", "tls_context", "auto_discovery", "circuit_breakers", "pprof", "flush_interval"]
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = std::env::temp_dir();
    for (path, expected) in [
        (folder.join("sidegate-no-such-file.json"), "cannot read the file: No such file or directory"),
        (folder.clone(), "cannot read the file: expected a regular file, found a directory"),
    ] {
        let error = load(&path, &registry().0, &env(), LoadMode::Load).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}: {expected}", path.display())), "{error}");
        assert_eq!(error.errors[0].kind, crate::kind::IO);
    }
}

#[test]
fn text_that_is_not_utf8() {
    let path = std::env::temp_dir().join(format!("sidegate-config-{}.json", std::process::id()));
    std::fs::write(&path, b"{\n \"\xc3\xa4\xff").unwrap();
    let error = load(&path, &registry().0, &env(), LoadMode::Load).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.to_string(), format!("{}:2:4: expected UTF-8, found other bytes", path.display()));
}
