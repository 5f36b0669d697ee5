//! MOSN's dump of a configuration (made with its own code, of `dumped.json`)
//! is as good as the configuration.

use serde_json::{Value, json};

use super::support::{BASE, lines, load, load_with, varied};
use crate::LoadMode;

const FILE: &str = include_str!("dumped.json");
const DUMP: &str = include_str!("dump.json");

/// What a configuration came to, but for what is only for people.
fn meaning(text: &str) -> String {
    let config = load_with("c.json", text, LoadMode::NoLoad).unwrap_or_else(|errors| panic!("{errors}"));
    let listener = &config.listeners[0];
    let routes: Vec<_> = config.routers.iter().map(|table| format!("{table:?}")).collect();
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{routes:?}",
        config.workers, config.graceful_timeout, listener.net, listener.timeouts, config.clusters, config.admin
    )
}

#[test]
fn a_dump_means_what_its_file_means() {
    assert_eq!(meaning(DUMP), meaning(FILE));
}

#[test]
fn a_dump_is_warned_of_no_more_than_its_file() {
    let warned = |text: &str| load_with("c.json", text, LoadMode::NoLoad).unwrap().warnings;
    let paths = |text: &str| warned(text).into_iter().map(|warning| warning.path).collect::<Vec<_>>();
    assert_eq!(paths(DUMP).len(), paths(FILE).len(), "{:#?}", lines(&warned(DUMP)));
}

#[test]
fn mistakes_in_a_dump_have_their_place_in_it() {
    let text = DUMP.replacen("127.0.0.1:9\"", "127.0.0.1:x\"", 1);
    let line = 1 + text.lines().position(|line| line.contains("127.0.0.1:x")).unwrap();
    let errors = load_with("c.json", &text, LoadMode::NoLoad).unwrap_err().to_string();
    let expected = format!("c.json:{line}:17: cluster_manager.clusters[0].hosts[0].address: expected IP:port");
    assert!(errors.starts_with(&expected), "{errors}");
}

#[test]
fn null_is_absent_wherever_it_stands() {
    // Every key of every object of the full dump, one after the other.
    fn keys(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                for (key, inner) in entries {
                    let path = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                    keys(inner, &path, found);
                    found.push(path);
                }
            }
            Value::Array(elements) => {
                elements.iter().enumerate().for_each(|(index, inner)| keys(inner, &format!("{at}/{index}"), found));
            }
            _ => {}
        }
    }
    let file: Value = serde_json::from_str(FILE).unwrap();
    let mut all = Vec::new();
    keys(&file, "", &mut all);
    assert!(all.len() > 80, "{}", all.len());
    // What is inside of a filter's configuration is the filter's.
    for path in all.into_iter().filter(|path| !path.ends_with("/User")) {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let (mut absent, mut null) = (file.clone(), file.clone());
        absent.pointer_mut(parent).unwrap().as_object_mut().unwrap().shift_remove(key);
        *null.pointer_mut(&path).unwrap() = Value::Null;
        let outcome = |value: &Value| match load_with("c.json", &value.to_string(), LoadMode::NoLoad) {
            Ok(config) => json!(config.warnings.iter().map(|w| &w.path).collect::<Vec<_>>()),
            Err(errors) => json!(errors.errors.iter().map(|error| &error.message).collect::<Vec<_>>()),
        };
        assert_eq!(outcome(&null), outcome(&absent), "{path}");
    }
    // And a key that nobody knows is only warned of.
    let config = load(&varied("admin:\n", "nobody_knows: null\nadmin:\n")).unwrap();
    assert_eq!(lines(&config.warnings), ["c.yaml:27:1: nobody_knows: unknown key without a value"]);
}

/// Wherever a list may stand.
#[test]
fn null_is_no_element() {
    /// Puts `null` in front of the elements of one list after the other.
    fn lists(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(entries) => {
                entries.iter().for_each(|(key, inner)| lists(inner, &format!("{at}/{key}"), found));
            }
            Value::Array(elements) => {
                found.push(at.to_owned());
                elements.iter().enumerate().for_each(|(index, inner)| lists(inner, &format!("{at}/{index}"), found));
            }
            _ => {}
        }
    }
    let file: Value = serde_json::from_str(FILE).unwrap();
    let before = meaning(FILE);
    let mut all = Vec::new();
    lists(&file, "", &mut all);
    assert!(all.len() > 15, "{}", all.len());
    let warned = |text: &str| load_with("c.json", text, LoadMode::NoLoad).unwrap().warnings.len();
    for path in all.into_iter().filter(|path| !path.contains("/stream_filters/")) {
        let mut with_null = file.clone();
        with_null.pointer_mut(&path).unwrap().as_array_mut().unwrap().insert(0, Value::Null);
        let text = with_null.to_string();
        assert_eq!(meaning(&text), before, "{path}");
        assert_eq!(warned(&text), warned(FILE) + 1, "{path}");
    }
    // A list of nothing else is an empty one.
    let errors = super::support::errors(&file.to_string().replace("[\"*\"]", "[null, null]"));
    assert!(
        errors.len() == 1 && errors[0].ends_with("domains: expected at least one domain, found none"),
        "{errors:?}"
    );
}

#[test]
fn secrets_of_routes_are_missed_by_name() {
    let route = "route: {cluster_name: c}\n        per_filter_config: {demo: {inner: [{User: '***REDACTED***'}]}}";
    let errors = super::support::errors(&varied("route: {cluster_name: c}", route));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(".per_filter_config.demo.inner[0].User: expected the secret itself"), "{errors:?}");
}

#[test]
fn routes_behind_others_and_namesakes_are_warned_of() {
    let routes = "      - match: {prefix: /a}\n        route: {cluster_name: c}\n      \
                  - match: {prefix: /a/b}\n        route: {cluster_name: c}\n      \
                  - match: {path: /X}\n        route: {cluster_name: c}\n      \
                  - match: {path: /x}\n        route: {cluster_name: c}\n      \
                  - match: {prefix: /h, headers: [{name: a, value: b}]}\n        route: {cluster_name: c}\n      \
                  - match: {prefix: /h/i}\n        route: {cluster_name: c}\n      \
                  - match: {prefix: /}\n        route: {cluster_name: c}\n      \
                  - match: {regex: ^/r}\n        route: {cluster_name: c}\n";
    let text = BASE.replace("      - match: {prefix: /}\n        route: {cluster_name: c}\n", routes).replace(
        "      config: {User: admin}\n",
        "      config: {User: admin}\n    - type: demo\n    - {type: demo, name: other}\n",
    );
    let warned = lines(&load(&text).unwrap().warnings);
    let routers = "servers[0].routers[0].virtual_hosts[0].routers";
    let behind = |line: u32, index: usize, first_line: u32, first: usize| {
        format!(
            "c.yaml:{line}:9: {routers}[{index}]: no request gets here: the route at c.yaml:{first_line}:9 \
             ({routers}[{first}]) takes all that could"
        )
    };
    assert_eq!(
        warned,
        [
            behind(12, 1, 10, 0),
            behind(16, 3, 14, 2),
            behind(24, 7, 22, 6),
            "c.yaml:36:7: servers[0].listeners[0].stream_filters[1]: two filters of this listener are called \"demo\", \
             the first is at c.yaml:34:7 (servers[0].listeners[0].stream_filters[0]): `per_filter_config` and metrics \
             mean both; a `name` tells them apart"
                .to_owned(),
        ]
    );
}

#[test]
fn logs_lead_where_modules_do_and_are_looked_at() {
    let folder = std::env::temp_dir().join(format!("sidegate-logs-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("there.log")).unwrap();
    std::fs::write(folder.join("file"), "").unwrap();
    let path = folder.join("c.yaml");
    let of = |log: &str| {
        let text = BASE.replace("default_log_path: stdout", &format!("default_log_path: {log}"));
        let config = load_with(path.to_str().unwrap(), &text, LoadMode::Load).unwrap();
        (config.log.target.to_string(), config.warnings.into_iter().map(|w| w.message).collect::<Vec<_>>())
    };
    let here = |name: &str| folder.join(name).display().to_string();
    assert_eq!(of("new/a.log"), (here("new/a.log"), vec![]));
    assert_eq!(of("stderr").0, "stderr");
    assert_eq!(of("there.log").1, [format!("log {} is a folder", here("there.log"))]);
    let cannot = format!("log {} cannot be made: {} is no folder", here("file/a.log"), here("file"));
    assert_eq!(of("file/a.log").1, [cannot]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_modules_refuse_is_not_hidden_by_other_mistakes() {
    let text = BASE.replace(
        "    - type: demo\n      config: {User: admin}\n",
        "    - type: nobody\n    - type: demo\n      config: {refuse: me}\n",
    );
    let errors = lines(&load(&text).unwrap_err().errors);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("stream filter type \"nobody\" is not registered"), "{errors:#?}");
    assert!(errors[1].ends_with("stream_filters[1].config.refuse: the factory refused"), "{errors:#?}");
}

#[test]
fn indentation_is_named_as_such() {
    let error = |text: &str| load(text).unwrap_err().to_string();
    let tab = "c.yaml:{}:1: expected blanks in front of what a line says, found a tab, which YAML does not take for \
               indentation";
    for (from, to, expected) in [
        ("    address", "\taddress", tab.replace("{}", "14")),
        ("        config: {r", "\tconfig: {r", tab.replace("{}", "18")),
        ("    address", "      address", "c.yaml:14:7: expected an indentation of 4 (as line 13), found 6".to_owned()),
        (
            "    filter_chains",
            "     filter_chains",
            "c.yaml:15:6: expected an indentation of 4 (as line 14), found 5".to_owned(),
        ),
        (
            "  listeners",
            "   listeners",
            "c.yaml:12:4: expected an indentation of 4 (as line 7) or 2 (as line 5), found 3".to_owned(),
        ),
        (
            "cluster_manager",
            " cluster_manager",
            "c.yaml:22:2: expected an indentation of 2 (as line 13) or 0 (as line 2), found 1".to_owned(),
        ),
    ] {
        assert_eq!(error(&varied(from, to)), expected, "{to:?}");
    }
}
