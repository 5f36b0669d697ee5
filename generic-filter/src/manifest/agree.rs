//! Holding configurations to manifests.

use std::path::Path;

use serde_json::Value;
use sidegate_api::{FilterConfigError, ModuleSpec, nearest};

use super::schema::Problem;
use super::{Manifest, callees};
use crate::builder::config_error;
use crate::refusal::{Reason, Refusal};

/// Whether the module of `file` offers the filter that is wanted, with such a
/// configuration, by what its manifest says.
pub(crate) fn agrees(
    manifest: &Manifest,
    file: &Path,
    module: &ModuleSpec,
    config: &Value,
) -> Result<(), Vec<FilterConfigError>> {
    if manifest.filters.is_empty() {
        return Ok(());
    }
    let Some(filter) = manifest.filter(&module.filter) else {
        let names: Vec<&str> = manifest.filters.iter().map(|filter| filter.name.as_str()).collect();
        let mut hint = nearest::hint(&module.filter, names.iter().copied());
        if hint.is_empty() {
            hint = format!("; it has {}", names.join(", "));
        }
        let reason = Reason::FilterNotInManifest { found: module.filter.clone(), hint };
        return Err(vec![config_error(&Refusal::new(file, reason), module)]);
    };
    let Some(schema) = &filter.schema else { return Ok(()) };
    let none = serde_json::json!({});
    let config = if config.is_null() { &none } else { config };
    let unknown = callees::unknown(schema.source(), config, module.plugins.keys().map(String::as_str));
    let problems = schema.check(config).into_iter().chain(unknown);
    errors(problems.map(|problem| Problem { path: below("config", &problem.path), ..problem }), file)
}

/// Whether a route may say `config` to the filter that is wanted.
pub(crate) fn agrees_with_route(
    manifest: &Manifest,
    file: &Path,
    module: &ModuleSpec,
    config: &Value,
) -> Result<(), Vec<FilterConfigError>> {
    let filter = manifest.filter(&module.filter);
    let Some(schema) = filter.and_then(|filter| filter.route_schema.as_ref()) else { return Ok(()) };
    let unknown = callees::unknown(schema.source(), config, module.plugins.keys().map(String::as_str));
    errors(schema.check(config).into_iter().chain(unknown), file)
}

fn errors(problems: impl Iterator<Item = Problem>, file: &Path) -> Result<(), Vec<FilterConfigError>> {
    let errors = problems.map(|Problem { path, message }| {
        let message = format!("expected what the manifest of {} says: {message}", file.display());
        FilterConfigError::new(path, message).with_kind("config_schema")
    });
    match errors.collect::<Vec<_>>() {
        errors if errors.is_empty() => Ok(()),
        errors => Err(errors),
    }
}

fn below(key: &str, path: &str) -> String {
    match path {
        "" => key.to_owned(),
        path if path.starts_with('[') => format!("{key}{path}"),
        path => format!("{key}.{path}"),
    }
}
