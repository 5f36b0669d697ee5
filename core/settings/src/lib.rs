//! Settings of filters: tables that say what a `config` object may hold, the
//! reader that takes values from it, and the JSON Schema made of the tables.
//!
//! The loader of the configuration file has tables of the same kind; these are
//! for what it passes on unread. A reader reports everything that is wrong, at
//! its path, and goes on with stand-ins: what came out counts only if nothing
//! was reported.

#![forbid(unsafe_code)]

mod object;
mod schema;
mod table;
mod value;

#[cfg(test)]
mod tests;

pub use object::Object;
pub use schema::json_schema;
pub use table::{Absent, Choice, Key, Shape, Spelling, Table, key, refused, required};
pub use value::{Report, Setting};

use sidegate_api::{FilterConfigError, RegexBudget};

/// Reads `config`, which is at `path`, as an object of `table`.
pub fn read<T>(
    config: &serde_json::Value,
    path: &str,
    table: &'static Table,
    regexes: &RegexBudget,
    take: impl FnOnce(&Object<'_>) -> T,
) -> Result<T, Vec<FilterConfigError>> {
    let report = Report::new(regexes);
    let taken = Object::open(config, path.to_owned(), table, &report).map(|object| take(&object));
    let errors = report.into_errors();
    match taken {
        Some(taken) if errors.is_empty() => Ok(taken),
        _ => Err(errors),
    }
}
