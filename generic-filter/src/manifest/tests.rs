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
            "phases": ["after_route"],
            "per_filter_config": {
                "type": "object",
                "properties": {"off": {"type": "boolean", "description": "Lets all pass."}},
                "additionalProperties": false
            },
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
fn a_key_that_stands_twice_is_refused_by_its_path() {
    for (text, at) in [
        (r#"{"description": "a", "description": "b"}"#, "`description`"),
        (r#"{"filters": [{"name": "a"}, {"name": "b", "name": "c"}]}"#, "`filters[1].name`"),
        (
            r#"{"filters": [{"name": "a", "config": {"properties": {"x": {"type": "string", "type": "object"}}}}]}"#,
            "`filters[0].config.properties.x.type`",
        ),
        // However it is written, and where nobody looks.
        (r#"{"later": {"k": 1, "\u006b": 2}}"#, "`later.k`"),
    ] {
        let error = Manifest::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(&format!("expected {at} once, found it twice at line 1 column ")), "{error}");
    }
    assert!(Manifest::parse(br#"{"later": [{"k": 1}, {"k": 2}]}"#).is_ok(), "in two objects");
    let numbers = br#"{"later": [null, true, -1, 1, 1.5, "x"]}"#;
    assert_eq!(once::read(numbers).unwrap(), serde_json::from_slice::<Value>(numbers).unwrap());
    assert!(once::read(b"{} {}").is_err() && once::read("[".repeat(10_000).as_bytes()).is_err());
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
    let routes = manifest.filters[0].route_schema.as_ref().unwrap();
    assert_eq!(routes.check(&json!({"off": true})), []);
    assert_eq!(routes.check(&json!({"off": 1}))[0].path, "off");
    let [problem] = &schema.check(&json!({}))[..] else { panic!("one problem") };
    assert!(problem.path.is_empty() && problem.message.contains("token"), "{problem:?}");
}

/// Definitions, each of which refers to the next.
fn chain(len: usize, link: impl Fn(&str) -> Value) -> Value {
    let name = |number: usize| format!("#/$defs/{number}");
    let mut defs: serde_json::Map<String, Value> =
        (0..len).map(|number| (number.to_string(), link(&name(number + 1)))).collect();
    defs.insert(len.to_string(), json!({"type": "object"}));
    json!({"$defs": defs, "$ref": name(0)})
}

#[test]
fn schemas_that_go_round_in_circles_come_to_an_end() {
    let of = |schema: Value| parse(&json!({"filters": [{"name": "a", "config": schema}]})).unwrap();
    let check = |schema: Value, config: Value| of(schema).filters[0].schema.as_ref().unwrap().check(&config).len();
    for round in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]}), json!({"not": {"not": {"$ref": "#"}}})] {
        check(round, json!({"a": 1}));
    }
    let tree = json!({"properties": {"value": {"type": "string"}, "next": {"$ref": "#"}}});
    assert_eq!(check(tree.clone(), json!({"next": {"next": {"value": "a"}}})), 0);
    assert_eq!(check(tree.clone(), json!({"next": {"next": {"value": 1}}})), 1);
    assert!(of(tree).to_markdown("a", "1").contains("`next.next.value`"));
    let small = chain(100, |next| json!({"$ref": next}));
    assert_eq!(check(small, json!(1)), 1);
}

#[test]
fn keys_that_are_not_known_are_named_with_what_was_meant() {
    let manifest = parse(&auth()).unwrap();
    let problems = manifest.filters[0].schema.as_ref().unwrap().check(&json!({"token": "s", "tokn": "x"}));
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.path, "tokn");
    assert!(problem.message.contains("did you mean \"token\"?"), "{problem:?}");
}

#[test]
fn pages_follow_references_and_maps() {
    let config = json!({
        "properties": {"limits": {"$ref": "#/$defs/limits", "description": "by name"}},
        "$defs": {"limits": {"type": "object", "additionalProperties": {"type": "integer", "description": "per second"}}}
    });
    let page = parse(&json!({"filters": [{"name": "a", "config": config}]})).unwrap().to_markdown("a", "1");
    assert!(page.contains("| `limits` | object |  | by name |"), "{page}");
    assert!(page.contains("| `limits.*` | integer |  | per second |"), "{page}");
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
        (json!({"filters": [{"name": "a", "per_filter_config": {"type": "text"}}]}), "`per_filter_config` of filter"),
        (json!({"filters": vec![json!({"name": "a"}); 65]}), "at most 64"),
        (schema(json!(true)), "JSON Schema"),
        (schema(json!({"type": "text"})), "JSON Schema"),
        (schema(json!({"$ref": "https://example.com/schema"})), "JSON Schema"),
        (schema(json!({"$ref": "file:///etc/passwd"})), "JSON Schema"),
        (schema(json!({"$ref": "#/$defs/none"})), "references to places in it"),
        (schema(json!({"$dynamicRef": "#"})), "`$ref` for references"),
        (schema(json!({"items": {"$id": "https://example.com/a"}})), "no `$id`"),
        (schema(chain(300, |next| json!({"$ref": next}))), "within each other"),
        (schema(chain(300, |next| json!({"properties": {"a": {"$ref": next}}}))), "within each other"),
        (schema(chain(30, |next| json!({"allOf": [{"$ref": next}, {"$ref": next}]}))), "for one value"),
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
        "- Phases: `after_route`",
        "Of a route, in `per_filter_config`:\n\n| key |",
        "| `off` | boolean |  | Lets all pass. |",
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
