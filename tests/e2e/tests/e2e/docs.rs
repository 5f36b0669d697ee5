//! What the documentation shows works: configurations pass the check, and
//! other JSON is JSON.

use std::path::PathBuf;

use serde_json::Value;
use sidegate_harness::{TempDir, repository, sidegate};

/// A fenced block of a page.
pub struct Block {
    pub page: PathBuf,
    /// What stands after the fence.
    pub language: String,
    pub content: String,
}

/// All of the documentation.
fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.strip_prefix("```") else { continue };
            let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Block { page: page.clone(), language: language.to_owned(), content: content.join("\n") });
        }
    }
    found
}

/// Blocks that are whole configurations.
pub fn configurations() -> Vec<Block> {
    let mut blocks = blocks();
    blocks.retain(|block| block.content.contains("servers") && matches!(block.language.as_str(), "json" | "yaml"));
    blocks
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![repository().join("README.md")];
    for entry in std::fs::read_dir(repository().join("docs/src")).unwrap() {
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
    for Block { page, language, content } in configurations() {
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
    assert!(checked > 0, "no configuration found");
}

#[test]
fn json_in_the_documentation_is_json() {
    for Block { page, content, .. } in blocks().into_iter().filter(|block| block.language == "json") {
        // A fragment is what may stand within an object.
        let object = if content.starts_with('"') { format!("{{{content}}}") } else { content.clone() };
        let parsed = serde_json::from_str::<Value>(&object);
        assert!(parsed.is_ok(), "{}: {parsed:?}\n{content}", page.display());
    }
}

#[test]
fn the_summary_lists_every_page_of_the_book() {
    let summary = std::fs::read_to_string(repository().join("docs/src/SUMMARY.md")).unwrap();
    for page in pages().iter().filter(|page| page.parent().is_some_and(|folder| folder.ends_with("docs/src"))) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{name} is not in SUMMARY.md");
    }
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
