//! The tables as JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};

use super::table::{Absent, Choice, Key, Shape, Table};

/// What a duration looks like, as far as a pattern can tell.
const DURATION: &str = r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// JSON Schema of an object.
pub(crate) fn json_schema(table: &'static Table) -> Value {
    object(table, &mut Vec::new())
}

/// `inside` are the tables around this one. One that leads back to itself is
/// written out twice, and is any object then.
fn object(table: &'static Table, inside: &mut Vec<&'static Table>) -> Value {
    if inside.iter().filter(|outer| std::ptr::eq(**outer, table)).count() > 1 {
        return json!({"type": "object"});
    }
    inside.push(table);
    let mut properties = Map::new();
    for key in table.keys {
        let schema = property(key, inside);
        if let Some(alias) = key.alias {
            let mut same = schema.clone();
            same["description"] = format!("The same as `{}`.", key.name).into();
            properties.insert(alias.to_owned(), same);
        }
        properties.insert(key.name.to_owned(), schema);
    }
    inside.pop();
    let required = table.keys.iter().filter(|key| matches!(key.absent, Absent::Error(_)) && key.alias.is_none());
    let required: Vec<&str> = required.map(|key| key.name).collect();
    let mut schema = json!({
        "description": table.doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let several: Vec<Value> = pairs(table.alternatives).map(|pair| json!({"required": pair})).collect();
    if let Value::Object(schema) = &mut schema {
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        if table.choice == Choice::Required {
            let each: Vec<Value> = table.alternatives.iter().map(|name| json!({"required": [name]})).collect();
            schema.insert("oneOf".into(), each.into());
        } else if !several.is_empty() {
            schema.insert("not".into(), json!({"anyOf": several}));
        }
    }
    schema
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
        Shape::Duration => json!({"type": "string", "pattern": DURATION}),
        Shape::Array(element) => json!({"type": "array", "items": value(element, inside)}),
        Shape::Object(table) => object(table, inside),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": value(inner, inside)}),
        Shape::Refused => json!(false),
    }
}
