//! `sidegate schema`: what it prints agrees with what `sidegate check` takes.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};
use sidegate_config::document::{Format, parse};
use sidegate_harness::{ConfigBuilder, TempDir, repository, sidegate};

use crate::docs;

fn schema() -> Value {
    let outcome = sidegate(["schema"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    serde_json::from_str(&outcome.stdout).expect("one JSON document")
}

pub fn validator() -> Validator {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).unwrap_or_else(|problem| panic!("{problem}"));
    jsonschema::validator_for(&schema).unwrap_or_else(|problem| panic!("{problem}"))
}

/// What the schema says against `config`.
pub fn problems(validator: &Validator, config: &Value) -> Vec<String> {
    validator.iter_errors(config).map(|problem| format!("{}: {problem}", problem.instance_path())).collect()
}

/// Whether `sidegate check` takes it; modules need not be there.
pub fn checked(config: &Value) -> Result<(), String> {
    let dir = TempDir::new();
    let file = dir.write("config.json", config.to_string());
    let outcome = sidegate(["check".as_ref(), "--no-load".as_ref(), "-c".as_ref(), file.as_os_str()]);
    let problems: Vec<&str> =
        outcome.stderr.lines().filter(|line| !line.contains("warning: ") && !line.contains(".so_path: ")).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Files below `folder` that are configurations.
fn configurations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("config"))
            && path.extension().is_some_and(|kind| kind == "json" || kind == "yaml")
        {
            found.push(path);
        }
    }
}

/// Keys of clusters in lower case, as the schema has them: one of MOSN's files
/// says `Name`, which Go and the check take too.
fn in_usual_spelling(mut config: Value) -> Value {
    let clusters = config.pointer_mut("/cluster_manager/clusters").and_then(Value::as_array_mut);
    for cluster in clusters.into_iter().flatten().filter_map(Value::as_object_mut) {
        *cluster = std::mem::take(cluster).into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect();
    }
    config
}

/// Whether a name is defined elsewhere or a file is there, and what counts only
/// where TLS is on.
fn is_beyond_a_schema(refusal: &str) -> bool {
    const WORDS: [&str; 3] =
        ["is not defined", "No such file or directory", "certificates do not come from extensions"];
    WORDS.iter().any(|words| refusal.contains(words))
}

#[test]
fn every_example_is_valid_where_the_check_takes_it() {
    let validator = validator();
    let mut files = Vec::new();
    configurations(&repository().join("so-examples"), &mut files);
    let mosn = repository().join("../shared/mosn-configs");
    if mosn.is_dir() {
        configurations(&mosn, &mut files);
    } else {
        eprintln!("skipped: the collection of MOSN configurations is not beside this checkout");
    }
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let config = parse(&text, Format::of(&file, &text)).unwrap().to_json();
        let problems = problems(&validator, &in_usual_spelling(config.clone()));
        match checked(&config) {
            Ok(()) => assert!(problems.is_empty(), "{}: {problems:#?}", file.display()),
            Err(refusal) if refusal.lines().all(is_beyond_a_schema) => {}
            Err(refusal) => assert!(!problems.is_empty(), "{}: {refusal}", file.display()),
        }
    }
}

/// Protobuf's JSON writes keys in camel case.
#[test]
fn keys_of_protobuf_are_taken_in_both_spellings() {
    let validator = validator();
    let base = ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).build(TempDir::new().path());
    let with = |provider: Value, requires: Value| {
        let mut config = base.clone();
        let filter = json!({"type": "jwt_authn", "config": {
            "providers": {"p": provider}, "rules": [{"match": {"prefix": "/"}, "requires": requires}],
        }});
        put(&mut config, "/servers/0/listeners/0/stream_filters", json!([filter]));
        config
    };
    let jwks =
        "{\"keys\": [{\"kty\": \"oct\", \"k\": \"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY\", \"alg\": \"HS256\"}]}";
    let snake = json!({"issuer": "i", "local_jwks": {"inline_string": jwks}, "from_headers": [{"name": "x", "value_prefix": "y"}]});
    let camel =
        json!({"issuer": "i", "localJwks": {"inlineString": jwks}, "fromHeaders": [{"name": "x", "valuePrefix": "y"}]});
    let mixed = json!({"issuer": "i", "localJwks": {"inline_string": jwks}});
    let name = json!({"providerName": "p"});
    let any = |first: Value| json!({"requiresAny": {"requirements": [first, {"provider_name": "p"}]}});
    for (provider, requires) in [
        (&snake, json!({"provider_name": "p"})),
        (&camel, name.clone()),
        (&mixed, any(json!({"requires_all": {"requirements": [name, {"allowMissing": {}}]}}))),
    ] {
        let config = with(provider.clone(), requires);
        assert_eq!(checked(&config), Ok(()), "{config}");
        assert_eq!(problems(&validator, &config), [""; 0], "{config}");
    }
    for (provider, requires) in [
        (json!({"localJwks": {"inlineStrin": jwks}}), json!({"providerName": "p"})),
        (json!({"local-jwks": {"inlineString": jwks}}), json!({"providerName": "p"})),
        (camel.clone(), json!({"providerName": "p", "requires_any": {"requirements": []}})),
        (camel, json!({"provider_name": 3})),
    ] {
        let config = with(provider, requires);
        assert!(checked(&config).is_err(), "{config}");
        assert!(!problems(&validator, &config).is_empty(), "{config}");
    }
}

#[test]
fn configurations_in_the_documentation_are_valid() {
    let validator = validator();
    let mut seen = 0;
    for block in docs::configurations() {
        let format = Format::of(format!("x.{}", block.language).as_ref(), &block.content);
        let config = parse(&block.content, format).unwrap_or_else(|e| panic!("{}: {e}", block.place())).to_json();
        let problems = problems(&validator, &config);
        assert!(problems.is_empty(), "{}: {problems:#?}\n{}", block.place(), block.content);
        seen += 1;
    }
    assert!(seen > 0, "no configuration found");
}

/// A pointer into the configuration and what to put there; `null` takes away.
#[test]
fn what_the_schema_refuses_the_check_refuses_too() {
    let validator = validator();
    let base = ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).build(TempDir::new().path());
    assert_eq!(problems(&validator, &base), Vec::<String>::new());
    let listener = "/servers/0/listeners/0";
    for (pointer, value) in [
        ("/severs", json!([])),
        ("/servers", json!([{"listeners": {}}])),
        ("/servers/0/default_log_level", json!("LOUD")),
        ("/servers/0/processor", json!(1025)),
        ("/servers/0/graceful_timeout", json!(30)),
        ("/servers/0/graceful_timeout", json!("30")),
        (&format!("{listener}/address"), Value::Null),
        (&format!("{listener}/addres"), json!("127.0.0.1:0")),
        (&format!("{listener}/use_original_dst"), json!("tproxy")),
        (&format!("{listener}/filter_chains/0/filters/0/config/limits"), json!({"max_headers": 0})),
        (&format!("{listener}/filter_chains/0/filters/0/config/timeouts"), json!({"filter_pending": "0s"})),
        (&format!("{listener}/filter_chains/0/filters/0/type"), json!("tcp_proxy")),
        (&format!("{listener}/stream_filters"), json!([{"type": "no_such_filter"}])),
        (&format!("{listener}/stream_filters"), json!([{"type": "demo", "config": {"User": 3}}])),
        (
            &format!("{listener}/stream_filters"),
            json!([{"type": "x", "so_config": {"so_path": "a.so", "sha256": "a"}}]),
        ),
        ("/servers/0/routers/0/virtual_hosts/0/routers/0", json!({"match": {"prefix": "/"}})),
        (
            "/servers/0/routers/0/virtual_hosts/0/routers/0",
            json!({"redirect": {"path_redirect": "/"}, "direct_response": {"status": 200}}),
        ),
        ("/servers/0/routers/0/virtual_hosts/0/routers/0", json!({"direct_response": {"status": 99}})),
        ("/servers/0/routers/0/virtual_hosts/0/domains", Value::Null),
        ("/cluster_manager/clusters/0/lb_type", json!("LB_RANDM")),
        ("/cluster_manager/clusters/0/hosts", json!([{"address": "a b"}])),
        ("/cluster_manager/clusters/0/hosts", json!([{"address": "127.0.0.1:1", "weight": 129}])),
        ("/admin", json!({"address": {}})),
    ] {
        let mut config = base.clone();
        put(&mut config, pointer, value.clone());
        assert!(!problems(&validator, &config).is_empty(), "the schema takes {pointer}: {value}");
        assert!(checked(&config).is_err(), "the check takes {pointer}: {value}");
    }
}

fn put(config: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = config.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}"));
    match (parent, value) {
        (Value::Object(entries), Value::Null) => drop(entries.remove(key)),
        (Value::Object(entries), value) => drop(entries.insert(key.to_owned(), value)),
        (Value::Array(elements), value) => elements[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer} leads into a scalar"),
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let printed = sidegate(["schema", "--format", "markdown"]);
    assert_eq!(printed.code, Some(0), "{}", printed.output());
    let page = repository().join("docs/src/reference.md");
    let stored = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        stored == printed.stdout,
        "docs/src/reference.md is stale; run: sidegate schema --format markdown > docs/src/reference.md"
    );
}
