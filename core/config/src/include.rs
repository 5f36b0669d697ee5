//! Directories that stand for a list in the file, one element per file:
//! `router_configs` for `virtual_hosts`, `clusters_configs` for `clusters`.
//!
//! They are read right after the file, and their elements are put into its
//! tree as if they were written there; their positions name their own files.
//! Whoever reads the tree needs to know nothing of it: a reader takes the list,
//! and asks for the directory's key only to have it read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Finding, Report, kind};
use crate::document::{FileNumber, Key, MAX_BYTES, Node, NodeValue, join};
use crate::file::Document;
use crate::source::Source;

/// A list that may come from a directory.
struct List {
    /// Keys that lead to its object; arrays on the way are walked through.
    way: &'static [&'static str],
    /// The key of the list.
    list: &'static str,
    /// The key of the directory.
    directory: &'static str,
}

const LISTS: [List; 3] = [
    List { way: &["servers", "routers"], list: "virtual_hosts", directory: "router_configs" },
    List {
        way: &["servers", "listeners", "filter_chains", "filters", "config"],
        list: "virtual_hosts",
        directory: "router_configs",
    },
    List { way: &["cluster_manager"], list: "clusters", directory: "clusters_configs" },
];

/// All that directories may hold, in bytes.
const MAX_INCLUDED: u64 = 4 * MAX_BYTES as u64;

/// Names of the files that a configuration was read from; the first is the file
/// itself.
pub(crate) type Files = Vec<Arc<str>>;

/// What a configuration was read from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Included {
    /// By number, as messages show them.
    pub names: Files,
    /// Files in directories, in order.
    pub paths: Vec<PathBuf>,
    /// SHA-256 of each of them.
    pub digests: Vec<[u8; 32]>,
    /// The directories.
    pub directories: Vec<PathBuf>,
}

/// Puts what directories hold into `root`, which was read from the file `name`.
/// Relative paths begin at `folder`. `Err`: the report says what is wrong.
pub(crate) fn include(
    root: &mut Node,
    folder: &Path,
    name: &str,
    source: &dyn Source,
) -> Result<Included, Box<Report>> {
    let mut includer = Includer {
        folder,
        source,
        report: Report::new(name),
        included: Included::default(),
        found: Vec::new(),
        bytes_left: MAX_INCLUDED,
    };
    for list in &LISTS {
        includer.walk(root, list, list.way, String::new());
    }
    let Includer { report, included, .. } = includer;
    if report.has_errors() { Err(Box::new(report)) } else { Ok(Included { names: report.into_files(), ..included }) }
}

struct Includer<'f> {
    folder: &'f Path,
    source: &'f dyn Source,
    report: Report,
    included: Included,
    /// Elements of the list that is being read.
    found: Vec<Node>,
    /// How much directories may still hold.
    bytes_left: u64,
}

impl Includer<'_> {
    fn walk(&mut self, node: &mut Node, list: &List, way: &[&str], path: String) {
        match (&mut node.value, way) {
            (NodeValue::Array(elements), _) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    self.walk(element, list, way, format!("{path}[{index}]"));
                }
            }
            (NodeValue::Object(entries), [next, rest @ ..]) => {
                for (key, inner) in entries.iter_mut().filter(|(key, _)| key.text.eq_ignore_ascii_case(next)) {
                    self.walk(inner, list, rest, join(&path, &key.text));
                }
            }
            (NodeValue::Object(entries), []) => self.fill(entries, list, &path),
            _ => {}
        }
    }

    fn fill(&mut self, entries: &mut Vec<(Key, Node)>, list: &List, path: &str) {
        let named = |name: &'static str| move |(key, _): &&(Key, Node)| key.text.eq_ignore_ascii_case(name);
        let Some((key, directory)) = entries.iter().find(named(list.directory)) else { return };
        let (position, key) = (directory.position, key.text.clone());
        let NodeValue::String(name) = &directory.value else { return };
        if name.is_empty() {
            return;
        }
        let at = join(path, &key);
        if entries.iter().find(named(list.list)).is_some_and(|(_, node)| !node.value.says_nothing()) {
            let expected = format!("either `{}` or `{}`", list.list, list.directory);
            return self.report.error(Some(position), &at, Finding::mismatch(kind::BAD_VALUE, expected, "both"));
        }
        // Without `./` in the middle: it is shown in messages.
        let directory: PathBuf = self.folder.join(name).components().collect();
        if let Err(error) = self.read(&directory) {
            let message = format!("cannot read the directory: {error}");
            return self.report.error(Some(position), &at, Finding::said(kind::IO, message));
        }
        let value = NodeValue::Array(std::mem::take(&mut self.found));
        entries.retain(|(key, _)| !key.text.eq_ignore_ascii_case(list.list));
        entries.push((Key { text: list.list.to_owned(), position }, Node { value, position }));
    }

    /// Reads the files of a directory, by name. Only those of our formats: a
    /// directory may hold notes, and what editors leave behind.
    fn read(&mut self, directory: &Path) -> std::io::Result<()> {
        self.included.directories.push(directory.to_path_buf());
        let mut paths = Vec::new();
        for path in self.source.list(directory)? {
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
            if !hidden && matches!(extension.as_str(), "json" | "yaml" | "yml") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let number = self.report.add_file(&path.display().to_string());
            match crate::file::read_document(&path, self.bytes_left.min(MAX_BYTES as u64), self.source) {
                Ok(Document { mut node, size, digest }) => {
                    self.bytes_left -= size;
                    node.set_file(number);
                    self.found.push(node);
                    self.included.digests.push(digest);
                    self.included.paths.push(path);
                }
                Err((position, finding)) => {
                    let position = position.map(|position| position.in_file(number));
                    self.report.error_in(number, position, "", finding);
                }
            }
        }
        Ok(())
    }
}

impl Node {
    /// Says of every position that it is in that file.
    fn set_file(&mut self, file: FileNumber) {
        self.position = self.position.in_file(file);
        match &mut self.value {
            NodeValue::Array(elements) => elements.iter_mut().for_each(|element| element.set_file(file)),
            NodeValue::Object(entries) => {
                for (key, node) in entries {
                    key.position = key.position.in_file(file);
                    node.set_file(file);
                }
            }
            _ => {}
        }
    }
}
