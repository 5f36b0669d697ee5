//! The tables as JSON Schema, draft 2020-12.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sidegate_api::Registry;

use super::{Absent, Key, Object, Rule, Shape, Standing, TOP};

/// What a duration looks like, as far as a pattern can tell.
const DURATION: &str = r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// The same with a digit other than zero in it.
const POSITIVE_DURATION: &str = r"^\+?(?=.*[1-9])(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$";

const ADDRESS: &str = r"^(unix:.+|.*:[0-9]+)$";

/// JSON Schema of a configuration file, with the filters of `registry`.
///
/// It knows keys as they are usually written, while a file may write them in
/// any case; `null`, an absent key in a file, is no value in it.
pub fn json_schema(registry: &Registry) -> Value {
    let mut definitions = BTreeMap::new();
    let mut open = vec![&TOP];
    while let Some(table) = open.pop() {
        if !definitions.contains_key(table.name) {
            definitions.insert(table.name, object(table, registry));
            table.keys().filter(|key| key.standing.is_read()).for_each(|key| tables(&key.shape, &mut open));
        }
    }
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "Sidegate's configuration".into());
    schema.insert("description".into(), DESCRIPTION.into());
    if let Some(Value::Object(top)) = definitions.remove(TOP.name) {
        schema.extend(top.into_iter().filter(|(key, _)| key != "description"));
    }
    schema.insert("$defs".into(), json!(definitions));
    Value::Object(schema)
}

const DESCRIPTION: &str = "MOSN's schema as far as Sidegate has it, and Sidegate's own keys. Files may write keys in \
    any case, and null for an absent key or element; this schema knows the usual spelling only. What refers to names \
    elsewhere in the file is checked by `sidegate check` alone.";

/// Adds the tables that `shape` leads to.
pub(super) fn tables(shape: &'static Shape, found: &mut Vec<&'static Object>) {
    match shape {
        Shape::Object(table) => found.push(table),
        Shape::Array(inner) | Shape::Map(inner) => tables(inner, found),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| tables(shape, found)),
        _ => {}
    }
}

fn object(table: &'static Object, registry: &Registry) -> Value {
    let properties: Map<String, Value> = table.keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let required = table.keys().filter(|key| matches!(key.absent, Absent::Error(_)));
    let required: Vec<&str> = required.map(|key| key.name).collect();
    let mut schema = json!({
        "description": table.description(),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let mut rules: Vec<Value> = table.rules.iter().filter_map(rule).collect();
    if std::ptr::eq(table, &super::STREAM_FILTER) {
        rules.extend(filters(registry));
    }
    if std::ptr::eq(table, &super::LISTENER_TLS) || std::ptr::eq(table, &super::CLUSTER_TLS) {
        rules.extend(certificates(registry));
    }
    if std::ptr::eq(table, &super::ACCESS_LOG)
        && let Some(builder) = registry.access_log_builder()
    {
        rules.push(json!({"properties": {"plugin": builder.schema()}}));
    }
    if let Value::Object(schema) = &mut schema {
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        if !rules.is_empty() {
            schema.insert("allOf".into(), rules.into());
        }
    }
    schema
}

fn property(key: &'static Key) -> Value {
    match key.standing {
        Standing::Mosn | Standing::Own => {}
        Standing::Quiet => return json!({"description": "Has no effect.", "deprecated": true}),
        Standing::Warned => {
            return json!({"description": format!("Has no effect: {}.", key.doc), "deprecated": true});
        }
        Standing::Refused => {
            let description = format!("Not available yet: {}.", key.doc);
            return json!({"description": description, "enum": [null, false, 0, "", [], {}]});
        }
    }
    let mut schema = value(&key.shape);
    let description = match key.absent {
        Absent::Default(default) if !default.is_empty() => format!("{} Default: {default}.", key.doc),
        _ => key.doc.to_owned(),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".into(), description.into());
    }
    schema
}

fn value(shape: &'static Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Name => json!({"type": "string", "minLength": 1}),
        Shape::Address => json!({"type": "string", "pattern": ADDRESS}),
        Shape::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
        Shape::Words(words) => json!({"enum": words}),
        // The words are for completion, the pattern is what holds.
        Shape::AnyCase(words) => json!({"anyOf": [{"enum": words}, {"type": "string", "pattern": any_case(words)}]}),
        Shape::Codes(codes) => json!({"enum": codes}),
        Shape::Only(value) => json!({"const": value}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Integer(low, u64::MAX) => json!({"type": "integer", "minimum": low}),
        Shape::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Shape::Decimal => json!({"type": "number", "minimum": 0}),
        // The number 0, or a string.
        Shape::Duration => json!({"type": ["string", "integer"], "pattern": DURATION, "minimum": 0, "maximum": 0}),
        Shape::PositiveDuration => json!({"type": "string", "pattern": POSITIVE_DURATION}),
        Shape::Array(element) => json!({"type": "array", "items": value(element)}),
        Shape::Object(table) => json!({"$ref": format!("#/$defs/{}", table.name)}),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": value(inner)}),
        Shape::Free => json!({"type": "object"}),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(value).collect::<Vec<_>>()}),
        Shape::Anything => json!({}),
    }
}

/// Without `(?i)`, which the regular expressions of JSON Schema do not have.
fn any_case(words: &[&str]) -> String {
    let letter = |c: char| format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase());
    let words: Vec<String> = words.iter().map(|word| word.chars().map(letter).collect()).collect();
    format!("^({})$", words.join("|"))
}

fn rule(rule: &'static Rule) -> Option<Value> {
    let is = |key: &'static str, word: &str| json!({"properties": {key: {"const": word}}, "required": [key]});
    // In MOSN an empty object is an absent one.
    let present = |name: &&str| json!({"required": [name], "properties": {*name: {"minProperties": 1}}});
    Some(match rule {
        Rule::First(_) => return None,
        Rule::ExactlyOne(names) => json!({"oneOf": names.iter().map(present).collect::<Vec<_>>()}),
        Rule::AtLeastOne(names) => json!({"anyOf": names.iter().map(present).collect::<Vec<_>>()}),
        Rule::AtMostOne(names) => {
            let several = pairs(names).map(|pair| json!({"required": pair})).collect::<Vec<_>>();
            json!({"not": {"anyOf": several}})
        }
        Rule::Requires { key, word, then } => json!({"if": is(key, word), "then": {"required": [then]}}),
        Rule::When { key, word, then, shape } => json!({
            "if": is(key, word),
            "then": {"properties": {*then: value(shape)}},
        }),
    })
}

fn pairs(names: &'static [&'static str]) -> impl Iterator<Item = [&'static str; 2]> {
    names.iter().enumerate().flat_map(|(at, one)| names.iter().skip(at + 1).map(|other| [*one, *other]))
}

/// `extend_verify` is what the extension of `type` takes.
fn certificates(registry: &Registry) -> impl Iterator<Item = Value> {
    registry.certificate_builders().map(|(context_type, builder)| {
        let is_it = json!({"properties": {"type": {"const": context_type}}, "required": ["type"]});
        json!({"if": is_it, "then": {"properties": {"extend_verify": builder.schema()}}})
    })
}

/// An entry names a module, or its type is registered and its `config` is what
/// that filter takes.
fn filters(registry: &Registry) -> Vec<Value> {
    let types: Vec<&str> = registry.stream_filter_types().chain(crate::resolve::FILTERS_GONE).collect();
    let module = json!({"anyOf": [{"required": ["so_config"]}, {"required": ["go_plugin_config"]}]});
    let known = json!({"if": module, "else": {"properties": {"type": {"enum": types}}}});
    let configs = registry.stream_filters().map(|(filter_type, builder)| {
        let is_it = json!({"properties": {"type": {"const": filter_type}}, "required": ["type"], "not": module});
        json!({"if": is_it, "then": {"properties": {"config": builder.schema()}}})
    });
    std::iter::once(known).chain(configs).collect()
}
