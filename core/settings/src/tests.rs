use serde_json::{Value, json};
use sidegate_api::RegexBudget;

use super::*;

static INNER: Table = Table::new("Inner.", &[required("percent", Shape::Integer(0, 100), "a number", "How many.")]);

static OUTER: Table = Table::new(
    "Outer.",
    &[
        key("inner", Shape::Object(&INNER), "none", "One."),
        key("inners", Shape::Array(&Shape::Object(&INNER)), "none", "Many."),
        key("names", Shape::Map(&Shape::Name), "none", "Names."),
        key("wait", Shape::Duration, "0", "How long."),
        key("word", Shape::Words(&["a", "b"]), "a", "Which."),
        Key { alias: Some("size "), ..key("size", Shape::Integer(0, 9), "0", "How big.") },
        refused("remote", "nothing is fetched"),
    ],
)
.at_most_one(&["inner", "inners"]);

static PROTOBUF: Table = Table::protobuf("", &[key("from_headers", Shape::Bool, "", "")]);

static CHOICE: Table =
    Table::new("", &[key("a", Shape::Bool, "", ""), key("b", Shape::Bool, "", "")]).exactly_one(&["a", "b"]);

#[test]
fn one_of_some_keys_may_be_required() {
    let error = |config: Value| {
        read(&config, "c", &CHOICE, &RegexBudget::default(), |_| ()).err().map(|errors| errors[0].to_string())
    };
    assert_eq!(error(json!({})).as_deref(), Some("expected one of a, b, found none"));
    assert_eq!(error(json!({"a": true, "b": true})).as_deref(), Some("expected one of a, b, found a and b"));
    assert_eq!(error(json!({"a": true})), None);
    assert_eq!(json_schema(&CHOICE)["oneOf"], json!([{"required": ["a"]}, {"required": ["b"]}]));
}

fn all(object: &Object<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let inner = |object: Object<'_>| object.get("percent").and_then(|s| s.integer());
    out.extend(object.get("inner").and_then(|s| s.object()).map(|o| format!("{:?}", inner(o))));
    for one in object.get("inners").map(|s| s.list()).unwrap_or_default() {
        out.extend(one.object().map(|o| format!("{:?}", inner(o))));
    }
    for (name, value) in object.get("names").map(|s| s.entries()).unwrap_or_default() {
        out.push(format!("{name}={:?}", value.text()));
    }
    out.extend(object.get("wait").map(|s| format!("{:?}", s.duration())));
    out.extend(object.get("word").map(|s| format!("{:?}", s.choice(&[("a", 1), ("b", 2)]))));
    out.extend(object.get("size").map(|s| format!("{:?}", s.integer())));
    out
}

fn errors(config: Value) -> Vec<String> {
    let errors = read(&config, "config", &OUTER, &RegexBudget::default(), all).unwrap_err();
    errors.into_iter().map(|e| format!("{}: {}", e.path, e.message)).collect()
}

#[test]
fn values_are_read_whatever_the_case_of_their_keys() {
    let config =
        json!({"INNER": {"Percent": 3}, "names": {"X": "y"}, "wait": "1s", "word": "b", "Size ": 4, "remote": null});
    let read = read(&config, "config", &OUTER, &RegexBudget::default(), all).unwrap();
    assert_eq!(read, ["Some(3)", "X=Some(\"y\")", "Some(1s)", "Some(2)", "Some(4)"]);
}

#[test]
fn null_is_no_element_and_no_time_needs_no_unit() {
    let config = json!({"inners": [null, {"percent": 3}, null], "wait": 0});
    let taken = read(&config, "config", &OUTER, &RegexBudget::default(), all).unwrap();
    assert_eq!(taken, ["Some(3)", "Some(0ns)"]);
    // Places are those of the file.
    assert_eq!(
        errors(json!({"inners": [null, {}]})),
        ["config.inners[1].percent: required key is missing; expected a number"]
    );
    let error = errors(json!({"wait": 3})).concat();
    assert!(error.starts_with("config.wait: expected a duration string"), "{error}");
}

#[test]
fn protobuf_keys_may_be_in_camel_case() {
    for key in ["from_headers", "fromHeaders", "FROMHEADERS"] {
        let taken = super::read(&json!({key: true}), "", &PROTOBUF, &RegexBudget::default(), |o| {
            o.get("from_headers").and_then(|s| s.bool())
        });
        assert_eq!(taken.unwrap(), Some(true), "{key}");
    }
}

#[test]
fn every_mistake_is_reported_at_its_path() {
    let config = json!({
        "inners": [{"percent": 101}, {}, 3],
        "names": {"x": ""},
        "wait": "3",
        "word": "c",
        "sizes": 1,
        "completely": 1,
        "remote": {"uri": "x"},
    });
    assert_eq!(
        errors(config),
        [
            "config.sizes: unknown key; did you mean \"size\"?",
            "config.completely: unknown key; known here are inner, inners, names, wait, word, size",
            "config.remote: not available: nothing is fetched",
            "config.inners[0].percent: expected an integer from 0 to 100, found 101",
            "config.inners[1].percent: required key is missing; expected a number",
            "config.inners[2]: expected an object, found 3",
            "config.names.x: expected a string that is not empty, found \"\"",
            "config.wait: expected a duration with a unit (ns, us, ms, s, m or h) such as \"30s\", found \"3\"",
            "config.word: expected \"a\" or \"b\", found \"c\"",
        ]
    );
    assert_eq!(
        errors(json!({"inner": {"percent": 1}, "inners": []})),
        ["config.inners: expected one of inner, inners, found inner and inners"]
    );
    assert_eq!(errors(json!({"size": 1, "SIZE": 1})), ["config.SIZE: key stands twice, the first is \"size\""]);
    assert_eq!(errors(json!([])), ["config: expected an object, found an array"]);
}

#[test]
fn the_schema_says_the_same() {
    let schema = json_schema(&OUTER);
    assert_eq!(schema["properties"]["inner"]["required"], json!(["percent"]));
    assert_eq!(schema["properties"]["inners"]["items"]["properties"]["percent"]["maximum"], 100);
    assert_eq!(schema["properties"]["size "]["maximum"], schema["properties"]["size"]["maximum"]);
    assert_eq!(schema["not"], json!({"anyOf": [{"required": ["inner", "inners"]}]}));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_schema_knows_both_spellings_of_protobuf() {
    static TABLE: Table = Table::protobuf(
        "",
        &[
            required("from_headers_x", Shape::Bool, "it", "Doc."),
            required("plain", Shape::Bool, "it", ""),
            key("one_way", Shape::Bool, "", ""),
            key("other", Shape::Bool, "", ""),
        ],
    )
    .at_most_one(&["one_way", "other"]);
    let schema = json_schema(&TABLE);
    let doc = json!({"type": "boolean", "description": "Doc."});
    assert_eq!(schema["properties"]["from_headers_x"], doc);
    assert_eq!(schema["patternProperties"]["^fromHeadersX$"], doc);
    assert_eq!(schema["required"], json!(["plain"]));
    let (snake, camel) = (json!({"required": ["from_headers_x"]}), json!({"required": ["fromHeadersX"]}));
    assert_eq!(schema["allOf"], json!([{"anyOf": [snake, camel]}]));
    let one_way = json!({"anyOf": [{"required": ["one_way"]}, {"required": ["oneWay"]}]});
    assert_eq!(schema["not"], json!({"anyOf": [{"allOf": [one_way, {"required": ["other"]}]}]}));
}
