//! MOSN's own example files, where they are at hand, and files on disk.

use std::path::PathBuf;

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
        ("plugin/cert_loader/config.json", "tls_context.status: TLS is not available yet"),
        ("plugin/filter/config.json", "type: stream filter type \"demo_plugin\" is not registered"),
        ("tcpproxy-sample/config.json", "type: network filter \"tcp_proxy\" is not available yet"),
        ("uds-sample/client_config.json", "type: network filter \"tcp_proxy\" is not available yet"),
    ] {
        let Some(loaded) = example(name) else { return };
        let errors = lines(&loaded.unwrap_err().errors);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(expected), "{}", errors[0]);
    }
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
        [
            "log_level",
            "inspector",
            "match",
            "tls_context",
            "auto_discovery",
            "sub_type",
            "circuit_breakers",
            "pprof",
            "flush_interval"
        ]
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
