use serde_json::json;
use sidegate_sdk::testing::TestHost;

use super::{Rewrite, RewriteConfig};

const TEXT: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8"), ("etag", "\"1\"")];

fn host() -> TestHost {
    let both = json!([{"from": "internal.example", "to": "www.example.com"}, {"from": "internal", "to": "public"}]);
    TestHost::new::<Rewrite>(json!({"request": both, "response": both})).unwrap()
}

#[test]
fn matches_across_chunks_and_the_longest_first() {
    let host = host();
    let request = host.request("GET", "/", &[]).respond(200, TEXT);
    let outcome = request.respond_body("go to inter").respond_body("nal.exam").respond_body("ple or internal").run();
    let response = outcome.response.unwrap();
    assert_eq!((response.text(), response.header("etag")), ("go to www.example.com or public", None));
}

#[test]
fn rewrites_requests_too_and_in_front_of_trailers() {
    let host = host();
    let request = host.request("POST", "/", &[("content-type", "application/json")]);
    let outcome = request.body("\"intern").body("al").trailers(&[("sum", "1")]).run();
    assert_eq!(outcome.upstream.unwrap().text(), "\"public");
}

#[test]
fn other_types_and_compressed_bodies_pass() {
    for headers in
        [&[("content-type", "image/png")][..], &[], &[("content-type", "text/plain"), ("content-encoding", "gzip")]]
    {
        let outcome = host().request("GET", "/", &[]).respond(200, headers).respond_body("internal").run();
        assert_eq!(
            outcome.did(),
            ["on_request_headers: waive the request body", "on_response_headers: waive the response body"]
        );
        assert_eq!(outcome.response.unwrap().text(), "internal", "{headers:?}");
    }
}

#[test]
fn an_empty_text_is_refused() {
    let refused = TestHost::new::<Rewrite>(json!({"response": [{"from": "", "to": "x"}]})).err().unwrap();
    assert_eq!(refused.path, "response[0].from");
}

#[test]
fn the_schema_of_the_manifest_is_that_of_the_type() {
    sidegate_sdk::testing::assert_schema_of::<RewriteConfig>("config.schema.json");
}
