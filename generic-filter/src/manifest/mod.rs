//! What a module's manifest says, after its bytes were found (see
//! [`crate::preflight`]): filters and their configuration, and what they need.
//! The text is a stranger's; nothing of it is run.

mod agree;
mod bounds;
mod callees;
mod once;
mod page;
mod schema;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::printable;

pub(crate) use agree::{agrees, agrees_with_route};
pub(crate) use schema::ConfigSchema;

/// Filters that one module may offer.
const MAX_FILTERS: usize = 64;
/// Bytes of a text for people that are kept.
const MAX_TEXT: usize = 2048;

/// What a module says of itself, for people and for checks of configurations.
/// Keys that this proxy does not know are left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// What it is for, in a sentence or two.
    pub description: String,
    /// SPDX expression.
    pub licence: String,
    /// Where its source is.
    pub source: Source,
    /// Its filters; those that are not named here are not offered.
    pub filters: Vec<FilterManifest>,
    /// Clusters that it sends to, by name.
    pub clusters: Vec<Named>,
    /// Metrics that it defines, without their prefix.
    pub metrics: Vec<MetricManifest>,
}

/// Where a module comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Address of the repository.
    pub repository: String,
    /// Commit or tag.
    pub revision: String,
}

/// One filter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FilterManifest {
    /// What `filter` of a configuration calls it.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its `config`; `None`: not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// JSON Schema of what routes say to it in `per_filter_config`; `None`: not
    /// said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_filter_config: Option<Value>,
    /// Hooks that it has, `request_headers`.
    pub hooks: Vec<String>,
    /// Phases in which it sees request heads: `before_route`, `after_route`,
    /// `after_choose_host`.
    pub phases: Vec<String>,
    /// What it asks of bodies.
    pub bodies: Bodies,
    /// From `config`.
    #[serde(skip)]
    pub(crate) schema: Option<Arc<ConfigSchema>>,
    /// From `per_filter_config`.
    #[serde(skip)]
    pub(crate) route_schema: Option<Arc<ConfigSchema>>,
}

/// What a filter asks of bodies: `none`, `observe`, `stream` or `whole`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bodies {
    /// Of requests.
    pub request: String,
    /// Of responses.
    pub response: String,
}

/// Something with a name and words for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

/// One metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricManifest {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it counts.
    pub description: String,
}

impl Manifest {
    /// Reads the text of a manifest; the error says what was expected.
    pub fn parse(text: &[u8]) -> Result<Manifest, String> {
        let not_one = |error: serde_json::Error| {
            let error = printable(error.to_string().as_bytes(), MAX_TEXT);
            format!("expected a JSON object as the book has it: {error}")
        };
        let value = once::read(text).map_err(not_one)?;
        if !value.is_object() {
            return Err("expected a JSON object".to_owned());
        }
        let mut manifest: Manifest = serde_json::from_value(value).map_err(not_one)?;
        if manifest.filters.len() > MAX_FILTERS {
            return Err(format!("expected at most {MAX_FILTERS} filters, found {}", manifest.filters.len()));
        }
        let mut names = BTreeSet::new();
        for filter in &mut manifest.filters {
            let name = printable(filter.name.as_bytes(), MAX_TEXT);
            if filter.name.is_empty() || name != filter.name {
                return Err(format!("expected a name without control characters for each filter, found {name:?}"));
            }
            if !names.insert(name.clone()) {
                return Err(format!("expected each filter once, found {name:?} twice"));
            }
            filter.schema = schema(filter.config.as_ref(), "config", &name)?;
            filter.route_schema = schema(filter.per_filter_config.as_ref(), "per_filter_config", &name)?;
        }
        manifest.shorten();
        Ok(manifest)
    }

    /// The filter that `name` of a configuration means: the only one, if there
    /// is no name.
    pub(crate) fn filter(&self, name: &str) -> Option<&FilterManifest> {
        match &self.filters[..] {
            [only] if name.is_empty() => Some(only),
            filters => filters.iter().find(|filter| filter.name == name),
        }
    }

    /// All texts in a form that terminals and logs may show.
    fn shorten(&mut self) {
        let clean = |text: &mut String| *text = printable(text.as_bytes(), MAX_TEXT);
        for text in [&mut self.description, &mut self.licence, &mut self.source.repository, &mut self.source.revision] {
            clean(text);
        }
        for filter in &mut self.filters {
            clean(&mut filter.description);
            filter.hooks.iter_mut().chain(&mut filter.phases).for_each(clean);
            clean(&mut filter.bodies.request);
            clean(&mut filter.bodies.response);
        }
        for Named { name, description } in &mut self.clusters {
            clean(name);
            clean(description);
        }
        for MetricManifest { name, kind, description } in &mut self.metrics {
            clean(name);
            clean(kind);
            clean(description);
        }
    }
}

impl FilterManifest {
    /// What is wrong with a configuration of the filter, and with what a route
    /// says to it, by the schemas that it has; each with its place.
    pub fn problems(&self, config: &Value, of_route: &Value) -> Vec<String> {
        let checked = [(&self.schema, config), (&self.route_schema, of_route)];
        let problems = checked.iter().filter_map(|(schema, value)| Some(schema.as_ref()?.check(value))).flatten();
        problems
            .map(|problem| format!("{}: {}", printable(problem.path.as_bytes(), MAX_TEXT), problem.message))
            .collect()
    }
}

/// What `key` of filter `name` says.
fn schema(said: Option<&Value>, key: &str, name: &str) -> Result<Option<Arc<ConfigSchema>>, String> {
    let Some(said) = said else { return Ok(None) };
    let schema = ConfigSchema::new(said).map_err(|error| {
        let error = printable(error.as_bytes(), MAX_TEXT);
        format!("expected a JSON Schema as `{key}` of filter {name:?}: {error}")
    })?;
    Ok(Some(Arc::new(schema)))
}

#[cfg(test)]
mod tests;
