//! A manifest as a page of documentation, in Markdown.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{FilterManifest, Manifest};
use crate::text::printable;

/// How deep the keys of a configuration are followed.
const MAX_DEPTH: usize = 6;
/// Rows of a table.
const MAX_ROWS: usize = 500;
/// Bytes of a cell.
const MAX_CELL: usize = 300;

impl Manifest {
    /// The page of a module called `module` of this `version`.
    pub fn to_markdown(&self, module: &str, version: &str) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut page, module, version);
        page
    }

    fn write(&self, page: &mut String, module: &str, version: &str) -> fmt::Result {
        writeln!(page, "# {} {}\n", text(module), text(version))?;
        paragraph(page, &self.description)?;
        for (title, value) in
            [("Licence", &self.licence), ("Source", &self.source.repository), ("Revision", &self.source.revision)]
        {
            if !value.is_empty() {
                writeln!(page, "- {title}: {}", text(value))?;
            }
        }
        for filter in &self.filters {
            write_filter(page, filter)?;
        }
        if !self.clusters.is_empty() {
            writeln!(page, "\n## Clusters\n\n| name | what for |\n|---|---|")?;
            for cluster in &self.clusters {
                writeln!(page, "| {} | {} |", code(&cluster.name), text(&cluster.description))?;
            }
        }
        if !self.metrics.is_empty() {
            writeln!(page, "\n## Metrics\n\n| name | type | what |\n|---|---|---|")?;
            for metric in &self.metrics {
                writeln!(page, "| {} | {} | {} |", code(&metric.name), text(&metric.kind), text(&metric.description))?;
            }
        }
        Ok(())
    }
}

fn write_filter(page: &mut String, filter: &FilterManifest) -> fmt::Result {
    writeln!(page, "\n## Filter {}\n", code(&filter.name))?;
    paragraph(page, &filter.description)?;
    for (title, names) in [("Hooks", &filter.hooks), ("Phases", &filter.phases)] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| code(name)).collect();
            writeln!(page, "- {title}: {}", names.join(", "))?;
        }
    }
    for (title, mode) in [("Request bodies", &filter.bodies.request), ("Response bodies", &filter.bodies.response)] {
        if !mode.is_empty() {
            writeln!(page, "- {title}: {}", text(mode))?;
        }
    }
    if let Some(schema) = &filter.config {
        write_keys(page, schema, "")?;
    }
    if let Some(schema) = &filter.per_filter_config {
        write_keys(page, schema, "\nOf a route, in `per_filter_config`:\n")?;
    }
    Ok(())
}

/// The table of a schema's keys, after `words`.
fn write_keys(page: &mut String, schema: &Value, words: &str) -> fmt::Result {
    let mut rows = Vec::new();
    keys(Place { root: schema, schema, path: "", depth: 0 }, &mut rows);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "{words}\n| key | type | default | what |\n|---|---|---|---|")?;
    for row in rows {
        let default = row.default.map(|value| code(&value.to_string())).unwrap_or_default();
        let needed = if row.required { " (required)" } else { "" };
        writeln!(page, "| {}{needed} | {} | {default} | {} |", code(&row.key), text(&row.kind), text(row.what))?;
    }
    Ok(())
}

struct Row<'a> {
    key: String,
    kind: String,
    default: Option<&'a Value>,
    required: bool,
    what: &'a str,
}

/// A schema within another.
#[derive(Clone, Copy)]
struct Place<'a, 'p> {
    root: &'a Value,
    schema: &'a Value,
    path: &'p str,
    depth: usize,
}

/// The keys of an object's schema, and of objects in it; `*` stands for any key
/// and `[]` for any element.
fn keys<'a>(place: Place<'a, '_>, rows: &mut Vec<Row<'a>>) {
    let Place { root, path, depth, .. } = place;
    let schema = target(root, place.schema);
    let required = |key: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|name| name == key))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let named = properties.into_iter().flatten().map(|(key, of)| (key.as_str(), of));
    let others = schema.get("additionalProperties").filter(|of| of.is_object()).map(|of| ("*", of));
    for (key, of) in named.chain(others) {
        if rows.len() >= MAX_ROWS {
            return;
        }
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let meant = target(root, of);
        let said = |name: &str| of.get(name).or_else(|| meant.get(name));
        rows.push(Row {
            key: path.clone(),
            kind: kind(meant),
            default: said("default"),
            required: required(key),
            what: said("description").and_then(Value::as_str).unwrap_or_default(),
        });
        if depth < MAX_DEPTH {
            keys(Place { root, schema: meant, path: &path, depth: depth + 1 }, rows);
            if let Some(items) = meant.get("items") {
                let path = format!("{path}[]");
                keys(Place { root, schema: items, path: &path, depth: depth + 1 }, rows);
            }
        }
    }
}

/// What a schema stands for: itself, or the place that it names.
fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let place = schema.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| root.pointer(place)).unwrap_or(schema)
}

fn kind(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return values.join(", ");
    }
    match schema.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    }
}

fn paragraph(page: &mut String, words: &str) -> fmt::Result {
    if words.is_empty() { Ok(()) } else { writeln!(page, "{}\n", text(words)) }
}

/// A stranger's words, which are to be read and not to be understood as
/// Markdown.
fn text(words: &str) -> String {
    let mut out = String::new();
    for c in printable(words.as_bytes(), MAX_CELL * 4).chars() {
        if "\\`*_{}[]<>#|!~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn code(words: &str) -> String {
    let words = printable(words.as_bytes(), MAX_CELL).replace('`', "'").replace('|', "\\|");
    let mut out = String::new();
    let _ = write!(out, "`{words}`");
    out
}
