//! The JSON Schema of a filter's configuration.

use jsonschema::paths::LocationSegment;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Bytes of one compiled pattern.
const MAX_PATTERN: usize = 1024 * 1024;
/// Problems of one configuration that are shown.
const MAX_PROBLEMS: usize = 16;

/// A schema that was read. It refers to nothing outside itself, and its
/// patterns take time that is linear in the text.
#[derive(Debug)]
pub(crate) struct ConfigSchema(Validator);

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where in it: `rules[0].name`; empty for the whole.
    pub(crate) path: String,
    /// What was expected. Says no value of the configuration, which may be
    /// secret.
    pub(crate) message: String,
}

impl ConfigSchema {
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        if !schema.is_object() {
            return Err("it is no object".to_owned());
        }
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN);
        let made = jsonschema::options().with_pattern_options(patterns).build(schema);
        made.map(ConfigSchema).map_err(|error| error.to_string())
    }

    /// Everything that is wrong with `config`, up to a bound.
    pub(crate) fn check(&self, config: &Value) -> Vec<Problem> {
        let problems = self.0.iter_errors(config).take(MAX_PROBLEMS);
        problems
            .map(|error| {
                let mut path = String::new();
                for segment in error.instance_path() {
                    match segment {
                        LocationSegment::Property(name) if path.is_empty() => path.push_str(&name),
                        LocationSegment::Property(name) => {
                            path.push('.');
                            path.push_str(&name);
                        }
                        LocationSegment::Index(at) => path.push_str(&format!("[{at}]")),
                    }
                }
                Problem { path, message: error.masked_with("it").to_string() }
            })
            .collect()
    }
}
