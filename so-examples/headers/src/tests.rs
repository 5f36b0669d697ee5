use serde_json::{json, Value};
use sidegate_sdk::testing::TestHost;

use super::HeaderEdits;

fn refused(config: Value) -> String {
    TestHost::new::<HeaderEdits>(config).err().unwrap().to_string()
}

#[test]
fn removes_then_sets_then_adds() {
    let host = TestHost::new::<HeaderEdits>(json!({
        "request": {"remove": ["X-Debug"], "set": {"x-team": "edge"}, "add": {"via": "1.1 sidegate"}},
    }))
    .unwrap();
    let sent = [("x-debug", "1"), ("X-Team", "a"), ("x-team", "b"), ("via", "1.0 before"), ("x-debug", "2")];
    let upstream = host.request("GET", "/", &sent).run().upstream.unwrap();
    let mut fields: Vec<_> = upstream.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.sort_unstable();
    assert_eq!(fields, [("via", "1.0 before"), ("via", "1.1 sidegate"), ("x-team", "edge")]);
}

#[test]
fn edits_responses() {
    let host = TestHost::new::<HeaderEdits>(json!({"response": {"remove": ["server"], "set": {"a": "b"}}})).unwrap();
    let response = host.request("GET", "/", &[]).respond(200, &[("Server", "x")]).run().response.unwrap();
    assert_eq!((response.header("server"), response.header("a")), (None, Some("b")));
}

#[test]
fn asks_only_for_the_hooks_it_needs() {
    let hooks = |config: Value| TestHost::new::<HeaderEdits>(config).unwrap().request("GET", "/", &[]).run().hooks();
    assert_eq!(hooks(json!({"request": {"remove": ["a"]}})), ["on_request_headers", "destroy"]);
    assert_eq!(hooks(json!({"response": {"remove": ["a"]}})), ["on_response_headers", "destroy"]);
}

#[test]
fn refuses_what_would_fault_every_request() {
    for name in ["te", "Content-Length", "connection", "transfer-encoding", "upgrade", "trailer", "keep-alive"] {
        for edit in [json!({"remove": [name]}), json!({"set": {name: "5"}}), json!({"add": {name: "5"}})] {
            for direction in ["request", "response"] {
                let message = refused(json!({direction: edit}));
                assert!(message.contains("expected a header name that filters may edit, found"), "{message}");
            }
        }
    }
    assert_eq!(refused(json!({"request": {"remove": ["a", "Host"]}})), "request.remove[1]: `host` cannot be removed");
    assert!(refused(json!({"request": {"add": {"host": "a"}}})).starts_with("request.add.host: "));
    assert!(refused(json!({"request": {"set": {"host": "a/b"}}})).starts_with("request.set.host: "));
    let host = TestHost::new::<HeaderEdits>(json!({"request": {"set": {"host": "b.example"}}})).unwrap();
    assert!(host.request("GET", "/", &[]).run().fault.is_none());
}

#[test]
fn refuses_what_makes_no_sense() {
    assert_eq!(
        refused(json!({"request": {"set": {"x": "a\nb"}}})),
        "request.set.x: expected a header value, found `a\\nb`"
    );
    assert_eq!(
        refused(json!({"request": {"remove": ["a b"]}})),
        "request.remove[0]: expected a header name that filters may edit, found `a b`"
    );
    let unknown = refused(json!({"request": {"delete": []}}));
    assert!(unknown.starts_with("request.delete: unknown field"), "{unknown}");
}
