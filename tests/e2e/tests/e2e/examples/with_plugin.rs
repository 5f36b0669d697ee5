//! A module that asks a plugin through the proxy.

use serde_json::{Value, json};
use sidegate_harness::{Call, Origin, Signal, artifact, until};

use super::Example;

/// The example with the plugin of the tests in place of its own.
fn run(origin: &Origin, more: Value) -> Example {
    Example::run_with("with-plugin", origin, |config| {
        let filter = &mut config["servers"][0]["listeners"][0]["stream_filters"][0];
        let plugin = &mut filter["so_config"]["plugins"]["checker"];
        plugin["command"] = artifact("sidegate-test-plugin").display().to_string().into();
        // A loaded machine must not look like a plugin that hangs.
        plugin["timeout"] = "15s".into();
        plugin["restart_backoff"] = "0s".into();
        for (key, value) in more.as_object().unwrap() {
            filter["config"][key] = value.clone();
        }
    })
}

fn asks(deeds: &str) -> Call {
    Call::get("/x").header("X-Do", deeds)
}

fn status(example: &Example) -> Value {
    let all = example.proxy.admin_get("/api/v1/plugins").json();
    assert_eq!(all["plugins"].as_array().map(Vec::len), Some(1), "{all:#}");
    all["plugins"][0].clone()
}

#[test]
pub(crate) fn the_plugin_decides_and_its_answer_goes_upstream() {
    let origin = Origin::echo();
    let example = run(&origin, json!({}));
    let mut client = example.connect();
    assert_eq!(client.call(&asks("tell,set=X-Role:admin").header("User", "ann")).status(), 200);
    let seen = origin.last().head;
    assert_eq!(seen.get("x-role"), Some("admin"));
    // What it was told is what the configuration names, and no more.
    let told = seen.get("x-told").unwrap();
    assert_eq!(told, "request header(User=ann;X-Do=tell,set=X-Role:admin) trailer() body()");
    assert_eq!(client.call(&asks("deny")).status(), 403);
    assert_eq!(client.call(&asks("wait=200")).status(), 200);
    assert_eq!(origin.count(), 2);
    let status = status(&example);
    assert_eq!((&status["name"], &status["calls"], &status["in_flight"]), (&json!("checker"), &json!(3), &json!(0)));
}

#[test]
pub(crate) fn without_an_answer_the_configuration_decides() {
    for (on_failure, expected) in [("refuse", 503), ("allow", 200)] {
        let origin = Origin::echo();
        let example = run(&origin, json!({"on_failure": on_failure}));
        let mut client = example.connect();
        for deeds in ["fail", "die"] {
            assert_eq!(client.call(&asks(deeds)).status(), expected, "{deeds}");
        }
        // It was started again.
        assert_eq!(client.call(&asks("deny")).status(), 403);
        assert_eq!(example.proxy.order("/api/v1/plugins/checker/disable").status(), 200);
        until("its end", || (status(&example)["state"] == "disabled").then_some(()));
        assert_eq!(client.call(&asks("deny")).status(), expected);
        for said in ["as it was told", "connection ended in the call", "the plugin is disabled"] {
            until(said, || {
                let logs = example.proxy.logs();
                logs.lines().any(|line| line.contains("checker: ") && line.contains(said)).then_some(())
            });
        }
        assert_eq!(example.proxy.order("/api/v1/plugins/checker/enable").status(), 200);
        until("its start", || (status(&example)["state"] == "up").then_some(()));
        assert_eq!(client.call(&asks("deny")).status(), 403);
    }
}

#[test]
pub(crate) fn waiting_holds_up_nobody_and_ends_with_the_client() {
    let origin = Origin::echo();
    let mut example = run(&origin, json!({}));
    let waiting: Vec<_> = (0..8).map(|_| example.connect().begin(&asks("hang"))).collect();
    until("eight calls", || (status(&example)["in_flight"] == 8).then_some(()));
    // More than there are workers wait, and others are served.
    for _ in 0..4 {
        assert_eq!(example.connect().call(&asks("")).status(), 200);
    }
    drop(waiting);
    until("no call", || (status(&example)["in_flight"] == 0).then_some(()));
    let left = example.connect().begin(&asks("hang"));
    until("one call", || (status(&example)["in_flight"] == 1).then_some(()));
    drop(left);
    example.proxy.signal(Signal::TERM);
    assert!(example.proxy.wait_exit().success());
}
