#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(value: &Value) -> Result<Manifest, String> {
    Manifest::parse(value.to_string().as_bytes())
}

fn auth() -> Value {
    json!({
        "description": "Checks a token.",
        "licence": "Apache-2.0",
        "source": {"repository": "https://example.com/auth", "revision": "1.2"},
        "filters": [{
            "name": "auth",
            "description": "Refuses | those *without*.",
            "hooks": ["request_headers"],
            "config": {
                "type": "object",
                "properties": {
                    "token": {"type": "string", "minLength": 1, "description": "What to present."},
                    "rules": {"type": "array", "items": {
                        "type": "object", "properties": {"path": {"type": "string", "pattern": "^/"}}}}
                },
                "required": ["token"],
                "additionalProperties": false
            }
        }],
        "clusters": [{"name": "users", "description": "knows them"}],
        "metrics": [{"name": "denied", "type": "counter", "description": "refused requests"}],
        "later": {"key": [1, 2]}
    })
}

#[test]
fn a_manifest_is_read_and_what_is_unknown_is_left_out() {
    let manifest = parse(&auth()).unwrap();
    assert_eq!(manifest.filter("auth").unwrap().hooks, ["request_headers"]);
    assert_eq!(manifest.filter("").unwrap().name, "auth", "the only one needs no name");
    assert!(manifest.filter("other").is_none());
    assert_eq!(manifest.metrics[0].kind, "counter");
    assert!(serde_json::to_value(&manifest).unwrap().get("later").is_none());
    assert!(Manifest::parse(b"{}").unwrap().filters.is_empty());
}

#[test]
fn configurations_are_checked_where_and_without_their_values() {
    let manifest = parse(&auth()).unwrap();
    let schema = manifest.filters[0].schema.as_ref().unwrap();
    assert_eq!(schema.check(&json!({"token": "s"})), []);
    let problems = schema.check(&json!({"token": 7_654_321, "rules": [{"path": "/a"}, {"path": "secret"}]}));
    let mut places: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["rules[1].path", "token"]);
    for problem in &problems {
        assert!(!problem.message.contains("secret") && !problem.message.contains("7654321"), "{}", problem.message);
    }
    let [problem] = &schema.check(&json!({}))[..] else { panic!("one problem") };
    assert!(problem.path.is_empty() && problem.message.contains("token"), "{problem:?}");
}

#[test]
fn what_is_no_manifest_is_refused_with_words() {
    let schema = |schema: Value| json!({"filters": [{"name": "a", "config": schema}]});
    for (value, words) in [
        (json!([]), "JSON object"),
        (json!({"filters": "auth"}), "JSON object"),
        (json!({"filters": [{}]}), "name"),
        (json!({"filters": [{"name": "a\u{1b}[31m"}]}), "control"),
        (json!({"filters": [{"name": "a"}, {"name": "a"}]}), "twice"),
        (json!({"filters": vec![json!({"name": "a"}); 65]}), "at most 64"),
        (schema(json!(true)), "JSON Schema"),
        (schema(json!({"type": "text"})), "JSON Schema"),
        (schema(json!({"$ref": "https://example.com/schema"})), "JSON Schema"),
        (schema(json!({"$ref": "file:///etc/passwd"})), "JSON Schema"),
        // Look-around cannot be had in linear time.
        (schema(json!({"properties": {"a": {"pattern": "(?=a)b"}}})), "JSON Schema"),
        (schema(json!({"properties": {"a": {"pattern": "(a{1000}){1000}"}}})), "JSON Schema"),
    ] {
        let error = parse(&value).map(|_| ()).expect_err(&value.to_string());
        assert!(error.starts_with("expected ") && error.contains(words), "{error}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Manifest::parse(format!("{{\"later\": {deep}}}").as_bytes()).is_err());
    assert!(Manifest::parse(b"\xff").is_err());
}

#[test]
fn the_page_shows_everything_and_obeys_nothing() {
    let page = parse(&auth()).unwrap().to_markdown("auth", "1.0.0");
    for words in [
        "# auth 1.0.0",
        "Licence: Apache-2.0",
        "Refuses \\| those \\*without\\*.",
        "| `token` (required) | string |  | What to present. |",
        "| `rules[].path` | string |",
        "| `users` | knows them |",
        "| `denied` | counter | refused requests |",
    ] {
        assert!(page.contains(words), "no {words:?} in\n{page}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_manifest_or_an_error(text in ".{0,200}") {
        let _ = Manifest::parse(text.as_bytes());
    }
}
