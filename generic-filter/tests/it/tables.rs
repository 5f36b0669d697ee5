//! What factories hand over, and how they refuse.

use std::path::PathBuf;
use std::sync::OnceLock;

use sidegate_api::{FilterConfigError, WorkerIndex};

use crate::support::{build, compile, only};

fn module() -> &'static PathBuf {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| compile("tables", &[]))
}

#[track_caller]
fn refused(filter: &str, kind: &str, path: &str, words: &[&str]) {
    let error: FilterConfigError = only(build(module(), filter));
    assert_eq!((error.kind, error.path.as_str()), (kind, path), "{filter}: {error}");
    for word in words.iter().chain(&["libtables.so"]) {
        assert!(error.message.contains(word), "{filter}: no `{word}` in {error}");
    }
}

#[test]
fn tables_of_wrong_sizes() {
    const PATH: &str = "so_config.so_path";
    refused("factory-0", "table_too_small", PATH, &["factory table of at least 24 bytes, found 0"]);
    refused("factory-4", "table_too_small", PATH, &["factory table of at least 24 bytes, found 4"]);
    refused("factory-16", "table_too_small", PATH, &["factory table of at least 24 bytes, found 16"]);
    refused("filter-0", "table_too_small", PATH, &["filter table of at least 16 bytes, found 0"]);
    refused("filter-8", "table_too_small", PATH, &["filter table of at least 16 bytes, found 8"]);
    refused("factory-null", "table_invalid", PATH, &["factory table", "NULL"]);
    refused("filter-null", "table_invalid", PATH, &["filter table", "NULL"]);
    refused("factory-unaligned", "table_invalid", PATH, &["factory table", "not aligned"]);
    refused("filter-unaligned", "table_invalid", PATH, &["filter table", "not aligned"]);
    for good in ["factory-least", "factory-uneven", "factory-huge", "filter-least", "filter-huge", ""] {
        let factory = build(module(), good).unwrap_or_else(|e| panic!("{good}: {e:?}"));
        drop(factory.create_filter(WorkerIndex(1)).unwrap());
        assert!(factory.create_filter(WorkerIndex(2)).is_err(), "there are two workers");
    }
}

#[test]
fn functions_that_are_missing() {
    const PATH: &str = "so_config.so_path";
    refused("no-destroy", "table_invalid", PATH, &["`destroy` is NULL"]);
    refused("no-create", "table_invalid", PATH, &["`create_filter` is NULL"]);
    refused("no-filter-destroy", "table_invalid", PATH, &["`destroy`"]);
    refused("no-detach", "table_invalid", PATH, &["`worker_detach` is NULL"]);
    refused("no-route-destroy", "table_invalid", PATH, &["`destroy_route_config` is NULL"]);
    refused("no-hook", "table_invalid", PATH, &["`on_request_headers` is declared"]);
    refused("filter-short", "table_invalid", PATH, &["`on_request_headers` is declared"]);
    refused("no-body-hook", "table_invalid", PATH, &["`on_request_body` is declared"]);
    refused("no-complete-hook", "table_invalid", PATH, &["`on_complete` is declared"]);
}

#[test]
fn interests_that_nobody_knows() {
    const PATH: &str = "so_config.so_path";
    refused("phases", "table_invalid", PATH, &["set of phases 0x10"]);
    refused("hooks", "table_invalid", PATH, &["set of hooks 0x80000000"]);
    refused("body", "table_invalid", PATH, &["request body interest 0x4"]);
}

#[test]
fn a_filter_that_wants_nothing_is_refused() {
    let words = ["filter `nothing` wants no hook at all with this configuration and would never be called"];
    refused("nothing", "no_interest", "so_config.filter", &words);
}

#[test]
fn refused_configurations() {
    refused("refuse", "factory_refused", "config.users[1].name", &["`refuse`", "expected a name, found 7"]);
    refused("refuse-silently", "factory_refused", "config", &["without saying why"]);
    refused("refuse-oddly", "factory_refused", "config", &["it answered 4711"]);
    refused("panic", "factory_panicked", "config", &["panicked at src/lib.rs:7:9: oh no"]);
    refused("unknown", "filter_not_found", "so_config.filter", &["`unknown`"]);
}

#[test]
fn lengths_beyond_the_error_buffers_are_cut() {
    let error = only(build(module(), "long-message"));
    assert_eq!(error.kind, "factory_refused");
    assert!(error.message.contains(&"m".repeat(1000)) && error.message.len() < 4096, "{}", error.message.len());
    assert!(error.path.starts_with("config.\\xff") && error.path.len() < 2048);
}
