use serde_json::json;
use sidegate_sdk::{prelude::*, testing::TestHost, PluginAnswer, PluginFailure, PluginFailureKind};

use crate::WithPlugin;

fn host(on_failure: &str) -> TestHost {
    let config = json!({"plugin": "checker", "send": ["User"], "on_failure": on_failure});
    let host = TestHost::with_plugins::<WithPlugin>(config, &["checker"]).unwrap();
    host.plugin("checker", |asked| match asked.header("User") {
        Some("ann") => Ok(PluginAnswer {
            status: 1,
            headers: vec![("X-Role".to_owned(), format!("admin by {}", asked.kind))],
            ..PluginAnswer::default()
        }),
        Some("odd") => Err(PluginFailure { kind: PluginFailureKind::Lost, message: "it died".to_owned() }),
        _ => Ok(PluginAnswer { status: -1, ..PluginAnswer::default() }),
    });
    host
}

#[test]
fn the_plugin_decides() {
    let host = host("refuse");
    let outcome = host.request("GET", "/", &[("user", "ann")]).run();
    assert_eq!(outcome.hooks(), ["on_request_headers", "on_resume", "destroy"]);
    assert_eq!(outcome.upstream.unwrap().header("x-role"), Some("admin by request"));
    assert_eq!(host.request("GET", "/", &[("user", "bob")]).run().status(), Some(403));
    assert_eq!(host.request("GET", "/", &[]).run().status(), Some(403));
}

#[test]
fn without_an_answer_the_configuration_decides() {
    for (on_failure, status) in [("refuse", 503), ("allow", 200)] {
        let host = host(on_failure);
        assert_eq!(host.request("GET", "/", &[("user", "odd")]).run().status(), Some(status));
        assert_eq!(host.logs(), [(Level::Warn, "checker: it died".to_owned())]);
    }
}

#[test]
fn a_plugin_that_the_configuration_does_not_give_is_refused() {
    let refused = TestHost::with_plugins::<WithPlugin>(json!({"plugin": "chekker"}), &["checker"]).unwrap_err();
    assert_eq!(refused.path, "plugin");
    assert_eq!(refused.message, "expected a plugin of `so_config.plugins`, which has `checker`");
    assert!(TestHost::new::<WithPlugin>(json!({"plugin": "checker"})).unwrap_err().message.ends_with("which has none"));
}

#[test]
fn a_client_that_leaves_ends_the_call() {
    let outcome = host("refuse").request("GET", "/", &[("user", "ann")]).leave_when_pending().run();
    assert_eq!(outcome.hooks(), ["on_request_headers", "destroy"]);
    assert!(outcome.response.is_none());
}

#[test]
fn settings_are_checked() {
    let refused = TestHost::with_plugins::<WithPlugin>(json!({"plugin": "a", "send": ["a b"]}), &["a"]).unwrap_err();
    assert_eq!(refused.path, "send[0]");
}
