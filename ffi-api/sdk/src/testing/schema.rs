//! The JSON Schema of a filter's configuration, made of its type.

use std::path::Path;
use std::{env, fs};

/// With this variable set to `1`, files are written in place of being compared.
const UPDATE: &str = "SIDEGATE_UPDATE_SCHEMA";

/// Fails unless `file`, below the crate's folder, is the JSON Schema of `T`.
///
/// A manifest is data in the module's file, made before any code runs, so that it
/// can only have a schema that is there already: a file in the crate, which
/// [`manifest!`](crate::manifest) includes. This holds it to the type. Begin with
/// `{}` in the file; `SIDEGATE_UPDATE_SCHEMA=1 cargo test` writes it, now and
/// whenever the type has changed.
///
/// The schema is that of what serde reads, in draft 2020-12, with the comments of
/// the type as descriptions.
///
/// ```no_run
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// What to present.
///     token: String,
/// }
///
/// sidegate_sdk::testing::assert_schema_of::<Config>("config.schema.json");
/// ```
///
/// # Panics
///
/// If it is not, with the text that it should be.
#[track_caller]
#[allow(clippy::panic)]
pub fn assert_schema_of<T: schemars::JsonSchema>(file: impl AsRef<Path>) {
    let file = file.as_ref();
    let wanted = schema_of::<T>();
    if env::var_os(UPDATE).is_some_and(|value| value == "1") {
        if let Err(error) = fs::write(file, &wanted) {
            panic!("{}: {error}", file.display());
        }
        return;
    }
    // The order of keys is a matter of the features of serde_json.
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match fs::read_to_string(file) {
        Ok(found) if value(&found) == value(&wanted) => {}
        Ok(_) => panic!(
            "{}: it is not the schema of {} any more; {UPDATE}=1 cargo test writes it:\n{wanted}",
            file.display(),
            std::any::type_name::<T>()
        ),
        Err(error) => panic!("{}: {error}; {UPDATE}=1 cargo test writes it:\n{wanted}", file.display()),
    }
}

/// As the file has it.
fn schema_of<T: schemars::JsonSchema>() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let schema = generator.into_root_schema_for::<T>();
    // A value of maps and texts: this cannot fail.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Config {
        /// What to present.
        token: String,
        #[serde(default, rename = "limits")]
        each: Vec<Limit>,
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Limit {
        requests: u32,
    }

    #[test]
    fn a_schema_is_what_serde_reads() {
        let schema: serde_json::Value = serde_json::from_str(&schema_of::<Config>()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["token"]));
        assert_eq!(schema["properties"]["token"]["description"], "What to present.");
        assert_eq!(schema["properties"]["limits"]["items"]["$ref"], "#/$defs/Limit");
    }

    #[test]
    fn another_text_is_refused_with_the_right_one() {
        let file = env::temp_dir().join(format!("sidegate-schema-{}.json", std::process::id()));
        fs::write(&file, schema_of::<Config>()).unwrap();
        assert_schema_of::<Config>(&file);
        fs::write(&file, "{}").unwrap();
        let refused = std::panic::catch_unwind(|| assert_schema_of::<Config>(&file)).unwrap_err();
        fs::remove_file(&file).unwrap();
        let said = refused.downcast_ref::<String>().unwrap();
        assert!(said.contains(UPDATE) && said.contains("\"token\""), "{said}");
    }
}
