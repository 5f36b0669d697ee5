//! The JSON Schema of a filter's configuration.

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;
use sidegate_api::nearest::hint;

use super::{MAX_TEXT, bounds};
use crate::text::printable;

/// Bytes of one compiled pattern.
const MAX_PATTERN: usize = 1024 * 1024;
/// Problems of one configuration that are shown.
const MAX_PROBLEMS: usize = 16;

/// A schema that was read. It refers to nothing outside itself, and its
/// patterns take time that is linear in the text.
#[derive(Debug)]
pub(crate) struct ConfigSchema {
    validator: Validator,
    /// What `validator` was made of.
    schema: Value,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where in it: `rules[0].name`; empty for the whole.
    pub(crate) path: String,
    /// What was expected. Says no value of the configuration, which may be
    /// secret.
    pub(crate) message: String,
}

/// Gets nothing, whatever features of the validator others turn on.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("{uri} is outside the schema").into())
    }
}

impl ConfigSchema {
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        if !schema.is_object() {
            return Err("it is no object".to_owned());
        }
        bounds::check(schema)?;
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN);
        let made = jsonschema::options().with_pattern_options(patterns).with_retriever(Nothing).build(schema);
        let validator = made.map_err(|error| error.to_string())?;
        Ok(ConfigSchema { validator, schema: schema.clone() })
    }

    /// The schema as the manifest has it.
    pub(crate) fn source(&self) -> &Value {
        &self.schema
    }

    /// Everything that is wrong with `config`, up to a bound.
    pub(crate) fn check(&self, config: &Value) -> Vec<Problem> {
        let problems = self.validator.iter_errors(config).flat_map(|error| self.problems(&error));
        problems.take(MAX_PROBLEMS).collect()
    }

    /// One per key that is not known, or the one.
    fn problems(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let path = path(error);
        let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else {
            let message = printable(error.masked_with("it").to_string().as_bytes(), MAX_TEXT);
            return vec![Problem { path, message }];
        };
        let place = error.schema_path().as_str();
        let of = place.rsplit_once('/').and_then(|(parent, _)| self.schema.pointer(parent));
        let known = of.and_then(|of| of["properties"].as_object());
        let names = || known.into_iter().flat_map(|known| known.keys().map(String::as_str));
        let unknown = unexpected.iter().take(MAX_PROBLEMS).map(|key| Problem {
            path: within(&path, key),
            message: printable(format!("there is no key {key:?}{}", hint(key, names())).as_bytes(), MAX_TEXT),
        });
        unknown.collect()
    }
}

fn path(error: &ValidationError<'_>) -> String {
    let mut path = String::new();
    for segment in error.instance_path() {
        path = match segment {
            LocationSegment::Property(name) => within(&path, &name),
            LocationSegment::Index(at) => format!("{path}[{at}]"),
        };
    }
    path
}

fn within(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
