//! Tables and readers agree, and the schema agrees with both.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::diagnostic::{Report, kind};
use crate::document::{Format, parse};
use crate::reader::Cursor;
use crate::resolve::{Chains, LoadMode, read_all};
use crate::reuse::FilterCache;

/// All tables that the document leads to.
fn tables() -> Vec<&'static Object> {
    fn walk(shape: &'static Shape, found: &mut Vec<&'static Object>) {
        match shape {
            Shape::Object(table) if !found.iter().any(|other| std::ptr::eq(*other, *table)) => {
                found.push(table);
                table.keys().for_each(|key| walk(&key.shape, found));
            }
            Shape::Array(inner) | Shape::Map(inner) => walk(inner, found),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| walk(shape, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&DOCUMENT, &mut found);
    found
}

/// A value of this shape, not necessarily a sensible one. Where there is a
/// choice, `turn` decides.
fn sample(shape: &'static Shape, turn: usize) -> Value {
    match shape {
        Shape::Text | Shape::Name | Shape::Pattern(_) => "x".into(),
        Shape::Address => "127.0.0.1:1".into(),
        Shape::Words(words) | Shape::AnyCase(words) => words[turn % words.len()].into(),
        Shape::Codes(codes) => codes[turn % codes.len()].into(),
        Shape::Only(value) => (*value).into(),
        Shape::Bool => true.into(),
        Shape::Integer(low, _) => (*low).into(),
        Shape::Decimal => 1.5.into(),
        Shape::Duration | Shape::PositiveDuration => "1s".into(),
        Shape::Array(element) => json!([sample(element, turn)]),
        Shape::Object(table) => everything(table, turn),
        Shape::Map(value) => json!({"x": sample(value, turn)}),
        Shape::Free | Shape::Anything => json!({}),
        Shape::Either(shapes) => sample(&shapes[turn % shapes.len()], turn),
    }
}

/// An object with every key of the table, except where only some may stand
/// together.
fn everything(table: &'static Object, turn: usize) -> Value {
    // What is chosen here must not decide what is chosen further in.
    let choices = table.rules.iter().map(|rule| match rule {
        Rule::ExactlyOne(names) | Rule::AtMostOne(names) | Rule::First(names) => names.len(),
        Rule::AtLeastOne(_) | Rule::Requires { .. } | Rule::When { .. } => 1,
    });
    let inner = turn / choices.max().unwrap_or(1);
    let mut object: Map<String, Value> =
        table.keys().map(|key| (key.name.to_owned(), sample(&key.shape, inner))).collect();
    for rule in table.rules {
        match rule {
            Rule::ExactlyOne(names) | Rule::AtMostOne(names) | Rule::First(names) => {
                let kept = names[turn % names.len()];
                object.retain(|key, _| key == kept || !names.contains(&key.as_str()));
            }
            Rule::AtLeastOne(_) | Rule::Requires { .. } => {}
            Rule::When { key, word, then, shape } => {
                if object[*key] == *word {
                    object.insert((*then).to_owned(), sample(shape, inner));
                }
            }
        }
    }
    Value::Object(object)
}

#[test]
fn names_are_unique() {
    let mut names = BTreeSet::new();
    for table in tables() {
        assert!(names.insert(table.name), "two tables are called {}", table.name);
        let mut keys = BTreeSet::new();
        for key in table.keys() {
            assert!(keys.insert(key.name.to_ascii_lowercase()), "{}.{} stands twice", table.name, key.name);
            assert!(!key.doc.is_empty() || key.standing == Standing::Quiet, "{}.{} says nothing", table.name, key.name);
        }
    }
}

/// If this fails, a reader does not read a key of its table: read it, or take
/// it out of the table, or give it a standing that needs no reader.
#[test]
fn every_key_of_every_table_is_read() {
    let (registry, _) = crate::resolve::tests::registry();
    let report = Report::new("c.json");
    let mut nodes = Vec::new();
    for turn in 0..108 {
        nodes.push(parse(&sample(&DOCUMENT, turn).to_string(), Format::Json).unwrap());
    }
    for node in &nodes {
        let env = crate::resolve::tests::build_env();
        let chains = Chains::new(&registry, &env, LoadMode::NoLoad, None, FilterCache::default());
        read_all(Cursor::root(node, &report, &DOCUMENT), chains);
    }
    let unread = tables().into_iter().flat_map(|table| {
        let keys = table.keys().filter(|key| key.standing.is_read());
        keys.filter(|key| !report.was_read(table.name, key.name)).map(move |key| format!("{}.{}", table.name, key.name))
    });
    let unread: Vec<String> = unread.collect();
    assert!(unread.is_empty(), "no reader asks for these keys: {unread:#?}");
}

/// JSON Schema of the registry that the tests use.
fn validator() -> jsonschema::Validator {
    let (registry, _) = crate::resolve::tests::registry();
    let schema = json_schema(&registry);
    jsonschema::meta::validate(&schema).unwrap_or_else(|problem| panic!("{problem}"));
    jsonschema::draft202012::new(&schema).unwrap()
}

/// What the schema can know: the rest is about names, other keys and texts.
const OF_THE_SCHEMA: [&str; 3] = [kind::UNKNOWN_KEY, kind::MISSING_KEY, kind::WRONG_TYPE];

/// Kinds of the errors that the loader has, none if it takes the document.
fn errors(text: &str) -> Vec<&'static str> {
    match crate::resolve::tests::load(text) {
        Ok(_) => Vec::new(),
        Err(all) => all.errors.iter().map(|error| error.kind).collect(),
    }
}

fn json_of(text: &str) -> Value {
    parse(text, Format::Yaml).unwrap().to_json()
}

#[test]
fn the_schema_takes_what_the_loader_takes() {
    let validator = validator();
    for text in [crate::resolve::tests::BASE, crate::resolve::tests::FULL] {
        let problems: Vec<_> =
            validator.iter_errors(&json_of(text)).map(|p| format!("{}: {p}", p.instance_path())).collect();
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

#[test]
fn the_schema_refuses_the_mistakes_it_can_know_of() {
    let validator = validator();
    let mut refused = 0;
    for (from, to) in crate::resolve::tests::mistakes() {
        let text = crate::resolve::tests::varied(&from, &to);
        let kinds = errors(&text);
        let valid = validator.is_valid(&json_of(&text));
        assert!(!valid || !kinds.iter().any(|kind| OF_THE_SCHEMA.contains(kind)), "{to}: {kinds:?}");
        refused += usize::from(!valid);
    }
    assert!(refused > 20, "the schema refuses {refused} only");
}

/// Values of a large file replaced by others: no false alarm in an editor, and
/// no unknown key, missing key or wrong type that the schema misses.
#[track_caller]
fn agree_on_every_value(file: &str) {
    let others = [
        json!(true),
        json!(3),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("\u{0}é"),
        json!("1s"),
        json!([]),
        json!([[]]),
        json!(["x"]),
        json!({}),
        json!({"a": []}),
    ];
    let validator = validator();
    let whole = json_of(file);
    assert_eq!((errors(file), validator.is_valid(&whole)), (vec![], true));
    let mut wrong = BTreeSet::new();
    for index in 0.. {
        let mut left = index;
        crate::resolve::tests::replace_node(&mut whole.clone(), &mut left, &Value::Null);
        // Counts down once per node, and wraps below zero.
        if left <= index {
            break;
        }
        // All of them everywhere would take long; the next nodes get the next ones.
        for other in others.iter().cycle().skip(index * 4).take(4).chain([&Value::Null]) {
            let mut document = whole.clone();
            crate::resolve::tests::replace_node(&mut document, &mut { index }, other);
            take_nulls(&mut document);
            let kinds = errors(&document.to_string());
            let problems: Vec<_> =
                validator.iter_errors(&document).map(|p| format!("{}: {p}", p.instance_path())).collect();
            if kinds.is_empty() && !problems.is_empty() {
                wrong.insert(format!("a false alarm with {other}: {problems:?}"));
            } else if *other == "" && kinds == [kind::MISSING_KEY] {
                // In MOSN an empty text is an absent key, which no schema can say.
            } else if problems.is_empty() && kinds.iter().any(|kind| OF_THE_SCHEMA.contains(kind)) {
                let place = crate::resolve::tests::load(&document.to_string()).unwrap_err();
                wrong.insert(format!("missed with {other}: {place}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `null` is an absent key, and no element.
fn take_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(take_nulls);
        }
        Value::Array(elements) => {
            elements.retain(|element| !element.is_null());
            elements.iter_mut().for_each(take_nulls);
        }
        _ => {}
    }
}

const EVERY_KEY: &str = include_str!("every_key.yaml");

#[test]
fn schema_and_loader_agree_on_the_full_file() {
    agree_on_every_value(crate::resolve::tests::FULL);
}

#[test]
fn schema_and_loader_agree_on_the_other_keys() {
    agree_on_every_value(EVERY_KEY);
}

/// Notes the keys of tables that `value` holds.
fn present(value: &Value, shape: &'static Shape, found: &mut BTreeSet<(&'static str, &'static str)>) {
    match (value, shape) {
        (_, Shape::Either(shapes)) => shapes.iter().for_each(|shape| present(value, shape, found)),
        (Value::Array(elements), Shape::Array(element)) => elements.iter().for_each(|v| present(v, element, found)),
        (Value::Object(entries), Shape::Map(inner)) => entries.values().for_each(|v| present(v, inner, found)),
        (Value::Object(entries), Shape::Object(table)) => {
            for (name, value) in entries {
                if let Some(key) = table.key(name) {
                    found.insert((table.name, key.name));
                    present(value, &key.shape, found);
                }
            }
        }
        _ => {}
    }
}

/// Keys that need files beside the configuration.
const WITH_FILES: [(&str, &str); 4] = [
    ("router", "router_configs"),
    ("cluster_manager", "clusters_configs"),
    ("modules", "directories"),
    ("so_config", "module"),
];

/// If this fails, add the key to every_key.yaml: the agreement above is only
/// shown for what is in these files.
#[test]
fn the_full_files_have_every_key() {
    let mut found = BTreeSet::from(WITH_FILES);
    for file in [crate::resolve::tests::FULL, EVERY_KEY] {
        present(&json_of(file), &DOCUMENT, &mut found);
    }
    let missing = tables().into_iter().flat_map(|table| {
        let keys = table.keys().filter(|key| key.standing.is_read());
        keys.map(|key| (table.name, key.name))
    });
    let missing: Vec<_> = missing.filter(|key| !found.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
