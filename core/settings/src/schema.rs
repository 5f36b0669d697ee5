//! The tables as JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};

use super::table::{Absent, Choice, Key, Shape, Spelling, Table};

/// What a duration looks like, as far as a pattern can tell.
const DURATION: &str = r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// JSON Schema of an object.
pub fn json_schema(table: &'static Table) -> Value {
    object(table, &mut Vec::new())
}

/// `inside` are the tables around this one. One that leads back to itself is
/// written out twice, and is any object then.
fn object(table: &'static Table, inside: &mut Vec<&'static Table>) -> Value {
    if inside.iter().filter(|outer| std::ptr::eq(**outer, table)).count() > 1 {
        return json!({"type": "object"});
    }
    inside.push(table);
    let (mut properties, mut other_spellings) = (Map::new(), Map::new());
    for key in table.keys {
        let schema = property(key, inside);
        if let Some(alias) = key.alias {
            let mut same = schema.clone();
            same["description"] = format!("The same as `{}`.", key.name).into();
            properties.insert(alias.to_owned(), same);
        }
        for other in spellings(table, key.name).into_iter().skip(1) {
            other_spellings.insert(format!("^{other}$"), schema.clone());
        }
        properties.insert(key.name.to_owned(), schema);
    }
    inside.pop();
    let required = table.keys.iter().filter(|key| matches!(key.absent, Absent::Error(_)) && key.alias.is_none());
    let (several_ways, required): (Vec<_>, Vec<_>) =
        required.map(|key| spellings(table, key.name)).partition(|spellings| spellings.len() > 1);
    let mut schema = json!({
        "description": table.doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let several: Vec<Value> = pairs(table.alternatives).map(|pair| has_all(table, pair)).collect();
    if let Value::Object(schema) = &mut schema {
        if !required.is_empty() {
            schema.insert("required".into(), required.concat().into());
        }
        if !other_spellings.is_empty() {
            schema.insert("patternProperties".into(), other_spellings.into());
        }
        if !several_ways.is_empty() {
            let each = several_ways.into_iter().map(any_of);
            schema.insert("allOf".into(), each.collect::<Vec<_>>().into());
        }
        if table.choice == Choice::Required {
            let each: Vec<Value> = table.alternatives.iter().map(|name| has(table, name)).collect();
            schema.insert("oneOf".into(), each.into());
        } else if !several.is_empty() {
            schema.insert("not".into(), json!({"anyOf": several}));
        }
    }
    schema
}

/// The usual spelling, and then protobuf's if it is another.
fn spellings(table: &Table, name: &'static str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if table.spelling == Spelling::Protobuf && name.contains('_') {
        let words = name.split('_').enumerate().map(|(at, word)| match word.split_at_checked(1) {
            Some((first, rest)) if at > 0 => first.to_ascii_uppercase() + rest,
            _ => word.to_owned(),
        });
        spellings.push(words.collect());
    }
    spellings
}

/// That the key is there, however it is spelt.
fn has(table: &Table, name: &'static str) -> Value {
    any_of(spellings(table, name))
}

/// That both keys are there.
fn has_all(table: &Table, names: [&'static str; 2]) -> Value {
    if names.iter().all(|name| spellings(table, name).len() == 1) {
        return json!({"required": names});
    }
    json!({"allOf": names.map(|name| has(table, name))})
}

/// That one of these keys is there.
fn any_of(spellings: Vec<String>) -> Value {
    let mut each: Vec<Value> = spellings.into_iter().map(|name| json!({"required": [name]})).collect();
    match each.pop() {
        Some(only) if each.is_empty() => only,
        last => json!({"anyOf": each.into_iter().chain(last).collect::<Vec<_>>()}),
    }
}

fn pairs(names: &'static [&'static str]) -> impl Iterator<Item = [&'static str; 2]> {
    names.iter().enumerate().flat_map(|(at, one)| names.iter().skip(at + 1).map(|other| [*one, *other]))
}

fn property(key: &'static Key, inside: &mut Vec<&'static Table>) -> Value {
    if matches!(key.shape, Shape::Refused) {
        return json!({"description": format!("Not available: {}.", key.doc), "enum": [null]});
    }
    let mut schema = value(&key.shape, inside);
    let description = match key.absent {
        Absent::Default(default) if !matches!(default, "" | "none") => format!("{} Default: {default}.", key.doc),
        _ => key.doc.to_owned(),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".into(), description.into());
    }
    schema
}

fn value(shape: &'static Shape, inside: &mut Vec<&'static Table>) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Name => json!({"type": "string", "minLength": 1}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Integer(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Shape::Number(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
        // The number 0, or a string.
        Shape::Duration => json!({"type": ["string", "integer"], "pattern": DURATION, "minimum": 0, "maximum": 0}),
        Shape::Array(element) => json!({"type": "array", "items": value(element, inside)}),
        Shape::Object(table) => object(table, inside),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": value(inner, inside)}),
        Shape::Any => json!({}),
        Shape::Refused => json!(false),
    }
}
