//! The folders of this crate are layers: each uses those that stand before it,
//! and none that stands behind. Counted in the sources, where every call of
//! another folder's function begins with an import.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up.
const LAYERS: [&str; 15] = [
    "config",
    "update",
    "outcome",
    "view",
    "slots",
    "chain",
    "stream",
    "hooks",
    "host",
    "mirror",
    "relay",
    "phases",
    "connection",
    "service",
    "lib",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Names that stand behind `crate::`, in braces or not.
fn used(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let paths = text.split("crate::").skip(1).flat_map(|rest| match rest.strip_prefix('{') {
        Some(group) => group[..group.find("};").unwrap_or(0)].split(',').collect(),
        None => vec![rest],
    });
    paths.filter_map(|path| path.trim().split(|c| !is_name(c)).next()).collect()
}

#[test]
fn no_layer_uses_one_that_stands_behind_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let level = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let (mut arrows, mut wrong) = (0, Vec::new());
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let layer = inside.iter().next().unwrap().to_str().unwrap();
        let from = level(layer).unwrap_or_else(|| panic!("{layer} has no place among the layers"));
        let text = fs::read_to_string(&path).unwrap();
        for (name, to) in used(&text).into_iter().filter_map(|name| Some((name, level(name)?))) {
            arrows += 1;
            if to > from {
                wrong.push(format!("{} uses {name}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(arrows > 50, "only {arrows} arrows seen: is this test still looking at the right thing?");
}

#[test]
fn imports_are_understood() {
    let text = "use crate::view::{A, B};\nuse crate::{C, chain::D};\nlet e = crate::hooks::e();";
    assert_eq!(used(text), BTreeSet::from(["C", "chain", "hooks", "view"]));
}
