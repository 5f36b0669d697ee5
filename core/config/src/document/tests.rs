use std::path::Path;

use proptest::prelude::*;

use super::*;

fn json(text: &str) -> Result<Node, SyntaxError> {
    parse(text, Format::Json)
}

fn yaml(text: &str) -> Result<Node, SyntaxError> {
    parse(text, Format::Yaml)
}

fn shown(result: Result<Node, SyntaxError>) -> String {
    match result {
        Ok(node) => node.to_json().to_string(),
        Err(e) => format!("{}:{}: {e}", e.position.line, e.position.column),
    }
}

#[test]
fn json_errors_name_place_expectation_and_finding() {
    for (text, expected) in [
        ("", "1:1: expected a value, found the end of the file"),
        ("{\n  \"a\": 1,\n}", "3:1: expected a key in double quotes (a comma may not stand last), found '}'"),
        ("[1, ]", "1:5: expected a value (a comma may not stand last), found ']'"),
        ("{a: 1}", "1:2: expected a key in double quotes or '}', found 'a'"),
        ("{\"a\" 1}", "1:6: expected ':' after the key, found '1'"),
        ("[1 2]", "1:4: expected ',' or ']', found '2'"),
        ("{\"ä\": tru}", "1:7: expected a value (`true`?), found 't'"),
        ("[01]", "1:3: expected a number without leading zeros, found '1'"),
        ("[1.]", "1:4: expected a digit, found ']'"),
        ("[-]", "1:3: expected a digit, found ']'"),
        ("\"a", "1:3: expected '\"' at the end of the string, found the end of the file"),
        ("\"\\x\"", "1:3: expected one of \" \\ / b f n r t u after a backslash, found 'x'"),
        ("\"\\ud800\"", "1:2: expected a Unicode character, found half of a surrogate pair"),
        ("\"\\ud800\\u0041\"", "1:2: expected a Unicode character, found half of a surrogate pair"),
        ("\"\\ud800\\ue000\"", "1:2: expected a Unicode character, found half of a surrogate pair"),
        ("\"\\udc00\"", "1:2: expected a Unicode character, found half of a surrogate pair"),
        ("{} x", "1:4: expected the end of the file, found 'x'"),
        ("{ // no\n}", "1:3: expected a key in double quotes or '}', found a comment, which JSON does not have"),
        ("\"a\nb\"", "1:3: expected no raw control character in a string (write it as \\uXXXX), found '\\n'"),
    ] {
        assert_eq!(shown(json(text)), expected, "{text}");
    }
}

#[test]
fn json_values() {
    assert_eq!(
        shown(json("\u{feff}[null,true,-0.5e+3,\"\\u00e4\\ud83d\\ude00\\n\",{\"a\":[]}]")),
        "[null,true,-500.0,\"ä😀\\n\",{\"a\":[]}]"
    );
}

#[test]
fn nesting_is_bounded_in_both_formats() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    for parse in [json, yaml] {
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert!(shown(parse(&deep(MAX_DEPTH + 2))).contains("levels of nesting"));
        assert!(parse(&deep(100_000)).is_err());
    }
}

#[test]
fn yaml_scalars_follow_the_core_schema() {
    for (text, expected) in [
        ("", "null"),
        ("~", "null"),
        ("yes", "\"yes\""),
        ("True", "true"),
        ("012", "12"),
        ("0o17", "15"),
        ("0xfF", "255"),
        ("+5", "5"),
        ("-0", "-0.0"),
        (".5", "0.5"),
        ("1.", "1"),
        ("1e3", "1000.0"),
        ("1.2.3", "\"1.2.3\""),
        ("127.0.0.1:80", "\"127.0.0.1:80\""),
        ("'5'", "\"5\""),
        ("!!str 5", "\"5\""),
        ("!!int 5", "5"),
        ("!!int x", "1:1: expected a value of the tag `!!int`, found string \"x\""),
        (".inf", "1:1: expected a finite number, found .inf"),
        ("!x 5", "1:1: expected no tag but the core schema's, found the tag `!x`"),
        ("a: 1\n---\nb: 2", "2:1: expected one document in the file, found a second one"),
        ("a: &x {b: 1}\nc: *x", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"),
        ("a: &x [*x]", "1:8: expected an alias of a complete node, found an alias inside its own anchor"),
        ("a: {<<: {b: 1}}", "1:5: expected a key, found the merge key `<<`, which YAML 1.2 does not have"),
        ("? [a]\n: 1", "1:3: expected a plain or quoted key, found a key of another kind"),
    ] {
        assert_eq!(shown(yaml(text)), expected, "{text}");
    }
    assert!(shown(yaml("a: [1")).contains("expected valid YAML, found an error"));
}

#[test]
fn aliases_cannot_multiply() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = level - 1;
        let refs = vec![format!("*a{previous}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    assert!(shown(yaml(&text)).contains("more repetition than is allowed"));
}

#[test]
fn positions_of_keys_and_values() {
    let node = yaml("a:\n  - b: 1\n    c: x\n").unwrap();
    assert_eq!(node.locate("A[0].C").position, Position::new(3, 8));
    assert_eq!(node.locate("a[0].none.such").position, Position::new(2, 5));
    let node = json("{\n \"a.b\": {\"a\": [3]}}").unwrap();
    assert_eq!(node.locate("a.b.a[0]").position, Position::new(2, 16));
}

#[test]
fn duplicates_are_found_with_both_places() {
    let node = json("{\"a\": [{\"b\": 1,\n\"b\": 2, \"B\": 3}]}").unwrap();
    let duplicates = node.duplicates();
    assert_eq!(duplicates.len(), 1);
    assert_eq!(duplicates[0].path, "a[0].b");
    assert_eq!(duplicates[0].first, Position::new(1, 9));
    assert_eq!(duplicates[0].position, Position::new(2, 1));
}

#[test]
fn format_by_extension_then_by_look() {
    assert_eq!(Format::of(Path::new("a.JSON"), ""), Format::Json);
    assert_eq!(Format::of(Path::new("a.yml"), "{"), Format::Yaml);
    assert_eq!(Format::of(Path::new("a"), " {"), Format::Json);
    assert_eq!(Format::of(Path::new("a"), "a: 1"), Format::Yaml);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

/// Every scalar's text stands at the position its node names.
fn check_positions(node: &Node, text: &str) {
    let line = text.lines().nth(node.position.line as usize - 1).unwrap();
    let here: String = line.chars().skip(node.position.column as usize - 1).collect();
    match &node.value {
        NodeValue::Null => assert!(here.starts_with("null")),
        NodeValue::Bool(b) => assert!(here.starts_with(&b.to_string())),
        NodeValue::Number(n) => assert!(here.starts_with(n.as_str())),
        NodeValue::String(s) => assert!(here.starts_with(&serde_json::to_string(s).unwrap())),
        NodeValue::Array(elements) => {
            assert!(here.starts_with('['));
            elements.iter().for_each(|e| check_positions(e, text));
        }
        NodeValue::Object(entries) => {
            assert!(here.starts_with('{'));
            for (key, value) in entries {
                let line = text.lines().nth(key.position.line as usize - 1).unwrap();
                let here: String = line.chars().skip(key.position.column as usize - 1).collect();
                assert!(here.starts_with(&serde_json::to_string(&key.text).unwrap()));
                check_positions(value, text);
            }
        }
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        let _ = json(&text);
        let _ = yaml(&text);
    }

    #[test]
    fn random_punctuation_never_panics(text in "[\\[\\]{}:,\"'&*!|>#?\\- \\n\\ta0~<%@`\\\\]{0,60}") {
        let _ = json(&text);
        let _ = yaml(&text);
    }

    #[test]
    fn json_is_read_as_serde_json_reads_it(value in any_json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let node = json(&text).unwrap();
            prop_assert_eq!(node.to_json(), serde_json::from_str::<serde_json::Value>(&text).unwrap());
            check_positions(&node, &text);
        }
    }
}
