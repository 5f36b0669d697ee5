//! Fenced blocks of the documentation.

use std::path::{Path, PathBuf};

use sidegate_harness::repository;

/// A fenced block of a page.
#[derive(Clone)]
pub struct Block {
    pub page: PathBuf,
    /// Line of the fence, from 1.
    pub line: usize,
    /// The first word after the fence.
    pub language: String,
    pub content: String,
    /// What a comment right before the fence says: `<!-- file: NAME -->`,
    /// `<!-- in: /json/pointer -->`, `<!-- from: PATH -->`.
    pub note: Option<(String, String)>,
}

impl Block {
    /// For messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page.display(), self.line)
    }

    /// Page and first line: how lists name a block.
    pub fn name(&self) -> (&str, &str) {
        let page = self.page.file_name().and_then(|name| name.to_str()).unwrap();
        (page, self.content.lines().next().unwrap_or_default())
    }

    /// The value of the note `kind`.
    pub fn noted(&self, kind: &str) -> Option<&str> {
        self.note.as_ref().filter(|(key, _)| key == kind).map(|(_, value)| value.as_str())
    }

    /// A whole configuration file.
    pub fn is_configuration(&self) -> bool {
        self.content.contains("servers") && self.noted("in").is_none() && matches!(&*self.language, "json" | "yaml")
    }
}

/// Pages of the book, and the front page of the repository.
pub fn book() -> Vec<PathBuf> {
    let mut pages = vec![repository().join("README.md")];
    pages.extend(markdown_in(&repository().join("docs/src")));
    pages
}

/// The same and the pages of the examples.
pub fn pages() -> Vec<PathBuf> {
    let mut pages = book();
    for examples in ["so-examples", "plugin-examples"].map(|name| repository().join(name)) {
        pages.extend(markdown_in(&examples));
        for entry in std::fs::read_dir(examples).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pages.extend(markdown_in(&path));
            }
        }
    }
    pages
}

fn markdown_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    pages.sort();
    pages
}

/// The blocks of `page`, in order.
pub fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut found = Vec::new();
    let mut before = "";
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let content = lines.by_ref().take_while(|(_, line)| *line != "```").map(|(_, line)| line);
            found.push(Block {
                page: page.to_path_buf(),
                line: number + 1,
                language: info.split([',', ' ']).next().unwrap_or_default().to_owned(),
                content: content.collect::<Vec<_>>().join("\n"),
                note: note(before),
            });
        }
        before = line;
    }
    found
}

fn note(line: &str) -> Option<(String, String)> {
    let (key, value) = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": ")?;
    Some((key.to_owned(), value.to_owned()))
}
