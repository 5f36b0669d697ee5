//! Licences of everything that the workspace is built of, from what Cargo says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spdx::expression::ExpressionReq;
use spdx::{Expression, LicenseReq, ParseMode};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// What deny.toml allows, and to whom it allows more.
struct Allowed {
    all: Vec<String>,
    exceptions: Vec<(String, Vec<String>)>,
}

impl Allowed {
    fn read() -> Self {
        let text = std::fs::read_to_string(workspace().join("deny.toml")).unwrap();
        let document: toml::Table = toml::from_str(&text).unwrap();
        let texts = |value: &toml::Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let licences = &document["licenses"];
        let exceptions = licences["exceptions"].as_array().unwrap().iter();
        Allowed {
            all: texts(&licences["allow"]),
            exceptions: exceptions
                .map(|entry| (entry["crate"].as_str().unwrap().to_owned(), texts(&entry["allow"])))
                .collect(),
        }
    }

    fn allows(&self, package: &str, licence: &LicenseReq) -> bool {
        let more = self.exceptions.iter().filter(|(name, _)| name == package).flat_map(|(_, allowed)| allowed);
        self.all.iter().chain(more).any(|allowed| *allowed == licence.to_string())
    }
}

#[test]
fn every_dependency_may_be_given_out_under_apache_2() {
    let output = Command::new(env!("CARGO"))
        // What is for other systems is not there on a machine that built it.
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let allowed = Allowed::read();
    let problems: Vec<String> = packages.iter().filter_map(|package| problem(package, &allowed)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What is wrong with the licence of a package.
fn problem(package: &Value, allowed: &Allowed) -> Option<String> {
    let name = package["name"].as_str()?;
    let Some(text) = package["license"].as_str() else { return Some(format!("{name}: says no licence")) };
    // Some write `MIT/Apache-2.0`.
    let expression = match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{name}: {text:?} is no licence: {error}")),
    };
    let permitted = expression.evaluate(|licence| allowed.allows(name, licence));
    let all: Vec<String> = expression.requirements().map(|ExpressionReq { req, .. }| req.to_string()).collect();
    (!permitted).then(|| format!("{name}: deny.toml allows none of {all:?} in the way that {text:?} wants"))
}

#[test]
fn what_is_not_allowed_is_found() {
    let allowed = Allowed::read();
    let package = |name: &str, licence: Value| serde_json::json!({ "name": name, "license": licence });
    for (licence, fits) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT/Apache-2.0", true),
        ("MPL-2.0", false),
    ] {
        assert_eq!(problem(&package("some", licence.into()), &allowed).is_none(), fits, "{licence}");
    }
    assert!(problem(&package("generational-arena", "MPL-2.0".into()), &allowed).is_none());
    assert!(problem(&package("some", Value::Null), &allowed).is_some());
}
