//! What the documentation shows works: configurations pass the check, and
//! other JSON is JSON.

use std::path::PathBuf;

use serde_json::Value;
use sidegate_harness::{TempDir, repository, sidegate};

/// Fenced blocks of a page: language and content.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```").filter(|language| !language.is_empty()) else { continue };
        let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push((language.to_owned(), content.join("\n")));
    }
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![repository().join("README.md")];
    for entry in std::fs::read_dir(repository().join("docs")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    for entry in std::fs::read_dir(repository().join("so-examples")).unwrap() {
        let path = entry.unwrap().path();
        pages.push(if path.is_dir() { path.join("README.md") } else { path });
    }
    pages.retain(|page| page.extension().is_some_and(|kind| kind == "md"));
    pages
}

#[test]
fn configurations_in_the_documentation_pass_the_check() {
    let dir = TempDir::new();
    let mut checked = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for (language, content) in blocks(&text) {
            if language == "json" {
                // A fragment is what may stand within an object.
                let object = if content.starts_with('"') { format!("{{{content}}}") } else { content.clone() };
                let parsed = serde_json::from_str::<Value>(&object);
                assert!(parsed.is_ok(), "{}: {parsed:?}\n{content}", page.display());
            }
            if !content.contains("servers") || !matches!(language.as_str(), "json" | "yaml") {
                continue;
            }
            let file = dir.write(format!("{checked}.{language}"), &content);
            let outcome = sidegate(["check".as_ref(), "--no-load".as_ref(), "-c".as_ref(), file.as_os_str()]);
            // Modules named there need not exist here.
            let (missing, problems): (Vec<&str>, Vec<&str>) =
                outcome.stderr.lines().partition(|line| line.contains(".so_path: "));
            assert!(problems.is_empty(), "{}:\n{}\n{content}", page.display(), problems.join("\n"));
            let expected = if missing.is_empty() { 0 } else { 1 };
            assert_eq!(outcome.code, Some(expected), "{}:\n{}\n{content}", page.display(), outcome.output());
            checked += 1;
        }
    }
    assert!(checked > 0, "no configuration found");
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(page.parent().unwrap().join(path).exists(), "{}: {target}", page.display());
        }
    }
}
