//! The tables as the reference page of the documentation.

mod filter;

use std::fmt::{self, Write};

use sidegate_api::Registry;

use filter::{filter, settings};

use super::{Absent, Key, Object, Shape, Standing, TOP};

/// The page, in Markdown, with the filters of `registry`.
pub fn reference(registry: &Registry) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut listed = Vec::new();
    list(&TOP, &mut listed);
    for table in listed {
        // Writing to a string does not fail.
        let _ = section(&mut page, table);
    }
    page.push_str(FILTERS);
    for (filter_type, builder) in registry.stream_filters() {
        let _ = filter(&mut page, filter_type, &builder.schema());
    }
    for (context_type, builder) in registry.certificate_builders() {
        let _ = write!(page, "\n# TLS contexts of the type `{context_type}`\n");
        let _ = settings(&mut page, "extend_verify", &builder.schema());
    }
    if let Some(builder) = registry.access_log_builder() {
        page.push_str("\n# Access logs to plugins\n\n`plugin` of an entry of `access_logs`.\n");
        let _ = settings(&mut page, "plugin", &builder.schema());
    }
    page
}

const INTRODUCTION: &str = "\
<!-- Made by `sidegate schema --format markdown`: edit the tables in core/config/src/schema instead. -->

# Configuration reference

Every key of a configuration file, object by object, beginning with the [whole file](#top). How to begin is in
[configuration.md](configuration.md). For editors there is a JSON Schema: `sidegate schema`.

Keys have no case. `null` is an absent key; as an element of a list it counts as absent too, with a warning. A duration
is a string such as `\"1.5s\"`, `\"300ms\"` or `\"1h2m\"`, or 0, with or without quotes. A key that is not listed is an
error. Keys marked with ◆ are Sidegate's own, all others are MOSN's. MOSN's keys that do nothing here are listed too: as
warnings where ignoring them is harmless; as errors where it would send traffic elsewhere, in clear text or unguarded,
unless the value says nothing (`false`, 0, `\"\"`, `[]`, `{}`).
";

const FILTERS: &str = "
# Built-in stream filters

`config` of an entry of `stream_filters` by its `type`. A filter from a module has the configuration that the module's
author gave it.
";

/// `table` and what it leads to, each once, a file's order.
fn list(table: &'static Object, found: &mut Vec<&'static Object>) {
    if found.iter().any(|other| std::ptr::eq(*other, table)) {
        return;
    }
    found.push(table);
    for key in table.keys().filter(|key| key.standing.is_read()) {
        let mut inner = Vec::new();
        super::json::tables(&key.shape, &mut inner);
        inner.into_iter().for_each(|table| list(table, found));
    }
}

fn section(page: &mut String, table: &'static Object) -> fmt::Result {
    write!(page, "\n## {}\n\n{}\n", table.name, table.description())?;
    if !table.keys().any(|key| key.standing.is_read()) {
        return Ok(());
    }
    page.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
    for key in table.keys().filter(|key| key.standing.is_read()) {
        let mark = if key.standing == Standing::Own { " ◆" } else { "" };
        let default = match key.absent {
            Absent::Error(_) => "**required**",
            Absent::Default(text) => text,
        };
        writeln!(
            page,
            "| `{}`{mark} | {} | {} | {} |",
            key.name,
            cell(&value(&key.shape)),
            cell(default),
            cell(key.doc)
        )?;
    }
    unread(page, table, Standing::Refused, "Errors, not there yet")?;
    unread(page, table, Standing::Warned, "Warnings, without effect")?;
    let quiet: Vec<String> = of(table, Standing::Quiet).map(|key| format!("`{}`", key.name)).collect();
    if !quiet.is_empty() {
        write!(page, "\nNot read: {}.\n", quiet.join(", "))?;
    }
    Ok(())
}

fn of(table: &'static Object, standing: Standing) -> impl Iterator<Item = &'static Key> {
    table.keys().filter(move |key| key.standing == standing)
}

fn unread(page: &mut String, table: &'static Object, standing: Standing, title: &str) -> fmt::Result {
    if of(table, standing).next().is_some() {
        write!(page, "\n{title}:\n\n| key | because |\n|---|---|\n")?;
    }
    of(table, standing).try_for_each(|key| writeln!(page, "| `{}` | {} |", key.name, cell(key.doc)))
}

fn value(shape: &'static Shape) -> String {
    let quoted = |words: &[&str]| {
        let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    match shape {
        Shape::Text | Shape::Name | Shape::Pattern(_) => "string".to_owned(),
        Shape::Address => "address".to_owned(),
        Shape::Words(words) | Shape::AnyCase(words) => quoted(words),
        Shape::Codes(codes) => codes.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        Shape::Only(value) => format!("`{value}`"),
        Shape::Bool => "boolean".to_owned(),
        Shape::Integer(0, u64::MAX | super::MAX_SIZE) => "integer".to_owned(),
        Shape::Integer(low, u64::MAX | super::MAX_SIZE) => format!("integer from {low}"),
        Shape::Integer(low, high) => format!("{low} to {high}"),
        Shape::Decimal => "number from 0".to_owned(),
        Shape::Duration | Shape::PositiveDuration => "duration".to_owned(),
        Shape::Array(element) => format!("list of {}", value(element)),
        Shape::Object(table) => format!("[{}](#{})", table.name, table.name),
        Shape::Map(inner) => format!("name: {}", value(inner)),
        Shape::Free => "object".to_owned(),
        Shape::Either(shapes) => shapes.iter().map(value).collect::<Vec<_>>().join(" or "),
        Shape::Anything => "any".to_owned(),
    }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
