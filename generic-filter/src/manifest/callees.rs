//! Names of plugins in configurations, where the schema says that a text is one.

use serde_json::Value;
use sidegate_api::nearest;

use super::schema::Problem;

/// What a schema calls the name of a plugin that the filter calls.
const FORMAT: &str = "plugin";

/// Names in `config` that are none of the plugins that the filter may call.
/// Looks where the schema has `properties` and `items`.
pub(crate) fn unknown<'a>(
    schema: &Value,
    config: &Value,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    look(schema, config, "", &known, &mut problems);
    problems
}

fn look<'a>(
    schema: &Value,
    config: &Value,
    path: &str,
    known: &(impl Iterator<Item = &'a str> + Clone),
    problems: &mut Vec<Problem>,
) {
    match config {
        Value::String(name) if schema["format"] == FORMAT && known.clone().all(|one| one != name) => {
            let hint = nearest::hint(name, known.clone());
            let message = format!("expected a plugin of `so_config.plugins`, where there is no {name:?}{hint}");
            problems.push(Problem { path: path.to_owned(), message });
        }
        Value::Object(map) => {
            for (key, value) in map {
                let within = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                look(&schema["properties"][key], value, &within, known, problems);
            }
        }
        Value::Array(all) => {
            for (at, value) in all.iter().enumerate() {
                look(&schema["items"], value, &format!("{path}[{at}]"), known, problems);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_the_configuration_does_not_give_are_found() {
        let schema = json!({"properties": {
            "plugin": {"type": "string", "format": "plugin"},
            "rules": {"items": {"properties": {"ask": {"format": "plugin"}, "free": {"type": "string"}}}},
        }});
        let config =
            json!({"plugin": "chekker", "rules": [{"ask": "checker", "free": "x"}, {"ask": "y"}], "other": "z"});
        let found = unknown(&schema, &config, ["checker", "second"].into_iter());
        let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["plugin", "rules[1].ask"]);
        assert!(found[0].message.contains("\"chekker\"") && found[0].message.contains("checker"), "{found:?}");
        assert!(unknown(&schema, &json!("checker"), [].into_iter()).is_empty());
    }
}
