//! Secrets that only the owner of a configuration knows of. A built-in filter
//! marks them in its JSON Schema with `writeOnly`; for a module the file does,
//! in `so_config.secrets`.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sidegate_api::Registry;

use super::redact_leaves;

/// What is marked in a filter's configuration.
#[derive(Debug, Clone)]
enum Marks {
    Schema(Value),
    /// JSON Pointers (RFC 6901).
    Pointers(Vec<String>),
}

/// By the name of a filter: several listeners may have filters of one name.
type Named = HashMap<String, Vec<Marks>>;

/// Hides what is marked, in the filters' own configurations and in what routes
/// and virtual hosts say about them.
pub(super) fn redact(document: &mut Value, registry: &Registry) {
    in_contexts(document, registry);
    if let Some(builder) = registry.access_log_builder() {
        in_access_logs(document, &builder.schema());
    }
    let mut named = Named::new();
    in_filters(document, registry, &mut named);
    if !named.is_empty() {
        in_routes(document, &named);
    }
}

/// Hides in the settings of what brings certificates to TLS contexts.
fn in_contexts(value: &mut Value, registry: &Registry) {
    match value {
        Value::Object(entries) => {
            let schema = text(entries, "type").and_then(|kind| Some(registry.certificate_builder(kind)?.schema()));
            for (key, value) in entries {
                match &schema {
                    Some(schema) if key.eq_ignore_ascii_case("extend_verify") => by_schema(value, schema),
                    _ => in_contexts(value, registry),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_contexts(element, registry)),
        _ => {}
    }
}

/// Hides in what entries of `access_logs` say of their plugins.
fn in_access_logs(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::Array(logs) if key.eq_ignore_ascii_case("access_logs") => {
                        let entries = logs.iter_mut().filter_map(Value::as_object_mut).flatten();
                        let plugins = entries.filter(|(key, _)| key.eq_ignore_ascii_case("plugin"));
                        plugins.for_each(|(_, plugin)| by_schema(plugin, schema));
                    }
                    value => in_access_logs(value, schema),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_access_logs(element, schema)),
        _ => {}
    }
}

/// Hides in the entries of all `stream_filters`, and notes what is marked by
/// the name that a `per_filter_config` has for the filter.
fn in_filters(value: &mut Value, registry: &Registry, named: &mut Named) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::Array(filters) if key.eq_ignore_ascii_case("stream_filters") => {
                        filters.iter_mut().for_each(|filter| in_filter(filter, registry, named));
                    }
                    value => in_filters(value, registry, named),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_filters(element, registry, named)),
        _ => {}
    }
}

fn in_filter(filter: &mut Value, registry: &Registry, named: &mut Named) {
    let Value::Object(filter) = filter else { return };
    let filter_type = text(filter, "type").unwrap_or_default().to_owned();
    if let Some(callers) = registry.plugin_callers()
        && let Some((_, module)) = filter.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case("so_config"))
        && let Some((_, plugins)) = module
            .as_object_mut()
            .and_then(|module| module.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case("plugins")))
    {
        let schema = callers.schema();
        plugins.as_object_mut().into_iter().flat_map(|all| all.values_mut()).for_each(|one| by_schema(one, &schema));
    }
    let module = ["so_config", "go_plugin_config"].iter().find_map(|key| get(filter, key)?.as_object());
    let marks = match module {
        Some(module) => {
            let pointers = get(module, "secrets").and_then(Value::as_array).into_iter().flatten();
            Marks::Pointers(pointers.filter_map(Value::as_str).map(str::to_owned).collect())
        }
        None => match registry.stream_filters().find(|(name, _)| *name == filter_type) {
            Some((_, builder)) => Marks::Schema(builder.schema()),
            None => return,
        },
    };
    // As the reader of entries names them; a module without a name is called
    // after its file.
    let name = module.and_then(|module| {
        let stem = || std::path::Path::new(text(module, "so_path")?).file_stem()?.to_str();
        text(module, "name").or_else(|| text(module, "module")).or_else(stem)
    });
    let name = text(filter, "name").or(name).unwrap_or(&filter_type).to_owned();
    if let Some((_, config)) = filter.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case("config")) {
        marks.hide(config);
    }
    named.entry(name).or_default().push(marks);
}

fn in_routes(value: &mut Value, named: &Named) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::Object(filters) if key.eq_ignore_ascii_case("per_filter_config") => {
                        for (name, config) in filters {
                            named.get(name).into_iter().flatten().for_each(|marks| marks.hide(config));
                        }
                    }
                    value => in_routes(value, named),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_routes(element, named)),
        _ => {}
    }
}

impl Marks {
    fn hide(&self, config: &mut Value) {
        match self {
            Marks::Schema(schema) => by_schema(config, schema),
            Marks::Pointers(pointers) => {
                for pointer in pointers {
                    if let Some(marked) = config.pointer_mut(pointer) {
                        redact_leaves(marked);
                    }
                }
            }
        }
    }
}

/// Follows `schema` as far as filters' schemas go: no references.
fn by_schema(value: &mut Value, schema: &Value) {
    if schema.get("writeOnly") == Some(&Value::Bool(true)) {
        return redact_leaves(value);
    }
    for several in ["allOf", "anyOf", "oneOf"] {
        for schema in schema.get(several).and_then(Value::as_array).into_iter().flatten() {
            by_schema(value, schema);
        }
    }
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let known = schema.get("properties").and_then(|known| known.get(key));
                if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                    by_schema(value, schema);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(schema) = schema.get("items") {
                elements.iter_mut().for_each(|element| by_schema(element, schema));
            }
        }
        _ => {}
    }
}

/// The value of `key` in any case, as files may write it.
fn get<'a>(entries: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    entries.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn text<'a>(entries: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    get(entries, key)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use sidegate_api::{BuildEnv, FilterConfigError, FilterSpec, StreamFilterBuilder, StreamFilterFactory};

    use super::*;
    use crate::REDACTED;

    struct Marking;

    impl StreamFilterBuilder for Marking {
        fn check(&self, _: &FilterSpec, _: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
            Ok(())
        }

        fn schema(&self) -> Value {
            json!({
                "properties": {
                    "pin": {"writeOnly": true},
                    "users": {"type": "array", "items": {"anyOf": [{"properties": {"code": {"writeOnly": true}}}]}},
                    "open": {},
                },
                "additionalProperties": {"type": "string", "writeOnly": true},
            })
        }

        fn build(&self, _: &FilterSpec, _: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
            Err(Vec::new())
        }
    }

    #[track_caller]
    fn becomes(mut document: Value, expected: &Value) {
        let mut registry = Registry::new();
        registry.stream_filter("marking", Arc::new(Marking));
        redact(&mut document, &registry);
        assert_eq!(&document, expected);
    }

    #[test]
    fn a_filters_schema_marks() {
        let config = json!({
            "pin": 1234, "open": "a", "users": [{"code": "x", "id": 1}], "other": {"a": ["b", true, null, ""]},
        });
        let hidden = json!({
            "pin": REDACTED, "open": "a", "users": [{"code": REDACTED, "id": 1}],
            "other": {"a": [REDACTED, REDACTED, null, ""]},
        });
        let document = |config: &Value| {
            json!({
                "Stream_Filters": [{"TYPE": "marking", "Config": config}, {"type": "unknown", "config": {"pin": 1}}],
                "routers": [{"per_filter_config": {"marking": config, "unknown": {"pin": 1}}}],
            })
        };
        becomes(document(&config), &document(&hidden));
    }

    #[test]
    fn the_entry_of_a_module_marks() {
        let document = |pin: &str, user: &str, all: &str| {
            json!({
                "stream_filters": [
                    {"type": "x", "so_config": {"so_path": "/a/libguard.so", "secrets": ["/pins/0", "/none"]},
                     "config": {"pins": [{"code": pin}, {"code": "b"}]}},
                    {"type": "x", "name": "mine", "so_config": {"so_path": "/a/libguard.so", "secrets": [""]},
                     "config": {"User": user}},
                    {"type": "marking", "go_plugin_config": {"so_path": "c.so"}, "config": {"pin": "c"}},
                ],
                "per_filter_config": {"libguard": {"pins": [pin]}, "mine": {"a": {"b": all}}, "c": {"pin": "c"}},
            })
        };
        becomes(document("a", "u", "v"), &document(REDACTED, REDACTED, REDACTED));
    }
}
