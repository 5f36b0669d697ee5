//! Settings of extensions, from their JSON Schema.

use std::fmt::{self, Write};

use serde_json::Value;

use super::cell;

/// What is known of the keys so far.
#[derive(Default)]
struct Rows {
    read: String,
    /// Keys that may only be `null`.
    missing: String,
    /// Objects that were listed, by their properties, and where: schemas repeat
    /// what stands in several places.
    listed: Vec<(Value, String)>,
}

/// Adds the section of a filter.
pub(super) fn filter(page: &mut String, filter_type: &str, schema: &Value) -> fmt::Result {
    write!(page, "\n## Filter `{filter_type}`\n")?;
    settings(page, "config", schema)
}

/// Adds what `schema` says, which is that of the value of `key`.
pub(super) fn settings(page: &mut String, key: &str, schema: &Value) -> fmt::Result {
    if let Some(text) = schema["description"].as_str() {
        write!(page, "\n{}\n", text.trim())?;
    }
    let mut rows = Rows::default();
    rows.properties("", schema)?;
    if !rows.read.is_empty() {
        write!(page, "\n| key of `{key}` | value | default | |\n|---|---|---|---|\n{}", rows.read)?;
    }
    if !rows.missing.is_empty() {
        write!(page, "\nErrors, not there yet:\n\n| key | because |\n|---|---|\n{}", rows.missing)?;
    }
    Ok(())
}

impl Rows {
    /// One row per property, those of inner objects after the one that holds
    /// them.
    fn properties(&mut self, prefix: &str, schema: &Value) -> fmt::Result {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{prefix}{name}");
            // A key with several spellings is required in one of them.
            let spellings = schema["allOf"].as_array().into_iter().flatten();
            let spellings = spellings.filter_map(|each| each["anyOf"].as_array()).flatten();
            let mut required = spellings.chain([schema]).filter_map(|schema| schema["required"].as_array()).flatten();
            self.row(&path, property, required.any(|other| other == name))?;
            self.inner(&path, property)?;
            self.inner(&format!("{path}[]"), &property["items"])?;
            self.inner(&format!("{path}.NAME"), &property["additionalProperties"])?;
            for alternative in ["anyOf", "oneOf"] {
                for schema in property[alternative].as_array().into_iter().flatten() {
                    self.inner(&path, schema)?;
                }
            }
        }
        Ok(())
    }

    /// The properties of an object at `path`.
    fn inner(&mut self, path: &str, schema: &Value) -> fmt::Result {
        let properties = &schema["properties"];
        if properties.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(());
        }
        if let Some((_, place)) = self.listed.iter().find(|(known, _)| known == properties) {
            return writeln!(self.read, "| `{path}.…` | as `{place}.…` | | |");
        }
        self.listed.push((properties.clone(), path.to_owned()));
        self.properties(&format!("{path}."), schema)
    }

    fn row(&mut self, path: &str, property: &Value, required: bool) -> fmt::Result {
        let description = property["description"].as_str().unwrap_or_default();
        // The default comes at the end, as in the tables of this crate.
        let (about, said) = match description.rsplit_once(" Default: ") {
            Some((about, default)) => (about, default.trim_end_matches('.')),
            None => (description, ""),
        };
        let default = match &property["default"] {
            _ if required => "**required**".to_owned(),
            Value::Null => said.to_owned(),
            other => format!("`{other}`"),
        };
        let value = shown(property);
        if value == "`null`" {
            let why = about.strip_prefix("Not available: ").unwrap_or(about);
            return writeln!(self.missing, "| `{path}` | {} |", cell(why));
        }
        writeln!(self.read, "| `{path}` | {} | {} | {} |", cell(&value), cell(&default), cell(about))
    }
}

/// What a JSON Schema lets through, in a few words.
fn shown(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap_or(&word.to_string())))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    let kind = |name: &str| match name {
        "array" => format!("list of {}", shown(&schema["items"])),
        "integer" => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(low), Some(high)) if low == high => format!("`{low}`"),
            (Some(low), Some(high)) => format!("{low} to {high}"),
            (Some(low), None) if low > 0 => format!("integer from {low}"),
            _ => "integer".to_owned(),
        },
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => kind(name),
        // `null` is an absent key.
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.map(kind).collect::<Vec<_>>().join(" or ")
        }
        _ => {
            let alternatives = ["anyOf", "oneOf"].iter().filter_map(|word| schema[*word].as_array()).flatten();
            let mut shown: Vec<String> = alternatives.filter(|one| one["type"] != "null").map(shown).collect();
            shown.dedup();
            if shown.is_empty() { "any".to_owned() } else { shown.join(" or ") }
        }
    }
}
