//! The page on variables says which there are and where.

use std::collections::BTreeSet;

use sidegate_harness::repository;
use sidegate_router::{StreamVariable, VARIABLE_NAMES};
use sidegate_telemetry::AccessLogFormat;

/// Names of the table's rows, each with whether logs and headers know it.
fn rows() -> Vec<(String, bool, bool)> {
    let page = std::fs::read_to_string(repository().join("docs/src/variables.md")).unwrap();
    let mut found = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let names = cells[1].split('`').skip(1).step_by(2);
        found.extend(names.map(|name| (name.replace("NAME", "x"), cells[2] == "✓", cells[3] == "✓")));
    }
    found
}

#[test]
fn variables_are_known_where_the_page_says() {
    let rows = rows();
    assert!(rows.len() > 40, "{rows:?}");
    for (name, in_logs, in_headers) in rows {
        assert_eq!(AccessLogFormat::parse(&format!("%{name}%")).is_ok(), in_logs, "{name} in access logs");
        assert_eq!(StreamVariable::parse(&name).is_ok(), in_headers, "{name} in headers");
    }
}

#[test]
fn the_page_has_every_variable() {
    let shown: BTreeSet<String> = rows().into_iter().map(|(name, ..)| name).collect();
    let known = AccessLogFormat::variables().chain(VARIABLE_NAMES.iter().map(|(name, _)| *name));
    let missing: Vec<&str> = known.filter(|name| !name.starts_with("Http1_") && !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/src/variables.md lacks {missing:?}");
}
