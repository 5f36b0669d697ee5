//! A Rust module that panics.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, TempDir, WireError, artifact, sidegate, until};

use super::{counter, entry, faults};

fn config(origin: &Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).filter(entry(&artifact("libpanicky.so"), "", &json!({})))
}

#[test]
fn a_panic_in_any_hook_ends_that_one_stream() {
    let origin = Origin::http(|_| Reply::ok("the answer"));
    let proxy = Proxy::start(&config(&origin));
    let mut bystander = proxy.connect();
    let mut count = 0;
    for (hook, wanted) in [
        ("request_headers", Some(500)),
        ("request_body", Some(500)),
        ("response_headers", Some(500)),
        ("response_body", None),
        ("complete", Some(200)),
    ] {
        for header in ["X-Panic", "X-Fail"] {
            if (hook, header) == ("complete", "X-Fail") {
                continue;
            }
            // After the end there is no stream to fault.
            count += u64::from(hook != "complete");
            let mut client = proxy.connect();
            client
                .send(format!("POST /{hook} HTTP/1.1\r\nHost: a\r\n{header}: {hook}\r\nContent-Length: 4\r\n\r\nbody"));
            match (client.try_response("POST"), wanted) {
                (Ok(got), Some(status)) => assert_eq!(got.status(), status, "{header}: {hook}"),
                // The head may be on its way already: then the body must be seen to be cut.
                (Ok(got), None) => assert_eq!(got.status(), 500, "{header}: {hook}"),
                (Err(WireError::Closed | WireError::Reset | WireError::Truncated { .. }), None) => {}
                (other, _) => panic!("{header}: {hook}: {other:?}"),
            }
            bystander.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(bystander.response().status(), 200, "after {header}: {hook}");
        }
    }
    until("all faults in the count", || (faults(&proxy) == Some(count)).then_some(()));
    until("the end of all filters", || (counter(&proxy, "panicky_alive") == 0).then_some(()));
    let line = proxy.access_line("a panic", |line| line.path == "/request_headers");
    assert!(line.status == 500 && line.has("FF"), "{line:?}");
    assert!(proxy.logs().contains("asked to panic in request_headers"), "the panic's message is in the log");
}

#[test]
pub(crate) fn a_panic_where_the_filter_is_made_ends_that_one_stream() {
    let origin = Origin::echo();
    let mut filter = entry(&artifact("libpanicky.so"), "", &json!({}));
    filter["config"] = json!({"panic_in_filter": true});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    for _ in 0..3 {
        assert_eq!(proxy.get("/").status(), 500);
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_factory_that_panics_refuses_the_configuration() {
    let dir = TempDir::new();
    let mut filter = entry(&artifact("libpanicky.so"), "", &json!({}));
    filter["config"] = json!({"panic": true});
    let file = dir.write("config.json", ConfigBuilder::empty().filter(filter).build(dir.path()).to_string());
    for command in ["check", "run"] {
        let outcome = sidegate([command.as_ref(), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(1), "{command}: {}", outcome.output());
        assert!(outcome.output().contains("the configuration asked for it"), "{command}: {}", outcome.output());
    }
}
