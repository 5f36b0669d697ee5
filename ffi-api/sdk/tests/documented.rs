//! Every public item of the SDK shows how it is used.

// A test may fail, and needs the workspace's compiler only.
#![allow(clippy::incompatible_msrv, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// Name of the public item that a line begins, if it begins one.
fn public_item(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("macro_rules! ").or_else(|| {
        let rest = line.strip_prefix("pub ")?;
        ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| rest.strip_prefix(kind))
    })?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Public items of a file without an example, as far as the text tells: items
/// that a macro makes are checked where the macro is called.
fn without_example(source: &str, macros: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    let lines: Vec<&str> = source.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = public_item(line) else { continue };
        let above = lines[..index].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
        let above: Vec<&&str> = above.collect();
        let says = |text: &str| above.iter().any(|line| line.contains(text));
        if line.starts_with("macro_rules!") && !says("#[macro_export]") {
            continue;
        }
        if !says("/// ```") && !says("#[doc(hidden)]") {
            missing.push(name.to_owned());
        }
    }
    for call in macros {
        for docs in source.split(&format!("\n{call}!(\n")).skip(1) {
            let docs = docs.split("\n);").next().unwrap_or(docs);
            if !docs.contains("/// ```") {
                missing.push(
                    docs.lines().find(|line| !line.contains("///")).unwrap_or(docs).trim_matches([' ', ',']).to_owned(),
                );
            }
        }
    }
    missing
}

#[test]
fn every_public_item_has_an_example() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let internal = ["entry.rs", "export.rs", "tables.rs"];
    let mut missing = Vec::new();
    let mut items = 0;
    for file in files.iter().filter(|file| !internal.iter().any(|name| file.ends_with(name))) {
        let source = std::fs::read_to_string(file).unwrap();
        items += source.lines().filter_map(public_item).count();
        let found = without_example(&source, &["context", "context_with_headers", "context_with_body"]);
        missing.extend(found.into_iter().map(|name| format!("{}: {name}", file.display())));
    }
    assert!(items > 40, "the sources are written differently: {items}");
    assert!(missing.is_empty(), "no example:\n{}", missing.join("\n"));
}

#[test]
fn a_missing_example_is_seen() {
    let source =
        "/// A.\npub struct A;\n\n/// B.\n/// ```\n/// ```\npub enum B {}\n\ncontext!(\n    /// C.\n    C\n);\n";
    assert_eq!(without_example(source, &["context"]), ["A", "C"]);
}
