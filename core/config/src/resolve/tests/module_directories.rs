//! Modules that are known by name.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use sidegate_api::ModuleSource;

use super::support::{BASE, env, lines, registry, varied};
use crate::{Config, ConfigErrors, ConfigFile, LoadMode};

/// A folder with files of modules; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[&str]) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("sidegate-modules-{name}-{}", std::process::id())));
        for path in files {
            let path = folder.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    /// A configuration in the folder, with these directories and filters.
    fn resolve(&self, directories: &str, filters: &str) -> Result<Config, ConfigErrors> {
        let text = varied("    - type: demo\n      config: {User: admin}\n", filters);
        let text = format!("{text}modules: {{directories: [{directories}]}}\n");
        ConfigFile::parse(&self.0.join("c.yaml"), &text)?.resolve(&registry().0, &env(), LoadMode::NoLoad, None)
    }

    #[track_caller]
    fn error(&self, directories: &str, filters: &str) -> String {
        let errors = self.resolve(directories, filters).map(drop).unwrap_err();
        let [error] = &lines(&errors.errors)[..] else { panic!("{errors}") };
        error.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn filter(so_config: &str) -> String {
    format!("    - {{type: x, so_config: {{{so_config}}}}}\n")
}

#[test]
fn a_name_stands_for_a_file() {
    let folder = Folder::new("names", &["a/libauth.so", "a/.hidden.so", "a/libauth.txt", "a/folder.so/x", "b/geo.so"]);
    let filters =
        filter("module: libauth, filter: f, watch: true") + &filter("module: geo") + &filter("so_path: geo.so");
    // The same file by its path has the same name.
    let config = folder.resolve("a, b", &filters.replace("so_path: geo.so", "so_path: b/geo.so")).unwrap();
    let specs: Vec<_> = config.listeners[0].chain.iter().map(|filter| filter.spec.module.clone().unwrap()).collect();
    assert_eq!((specs[0].name.as_str(), &specs[0].so_path), ("libauth", &folder.0.join("a/libauth.so")));
    assert_eq!(
        (specs[0].source, specs[0].source.key(), specs[0].source.file_key()),
        (ModuleSource::Directory, "so_config", "module")
    );
    assert_eq!((specs[1].name.as_str(), specs[2].name.as_str()), ("geo", "geo"));
    assert_eq!(config.listeners[0].chain[0].spec.name, "libauth");
    let known: Vec<_> = config.known_modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(known, ["libauth", "geo"]);
    assert_eq!(config.watched_directories, [folder.0.join("a"), folder.0.join("b")]);
}

#[test]
fn unknown_names_are_told_with_what_is_there() {
    let folder = Folder::new("unknown", &["a/libauth.so", "empty/x.txt"]);
    let at = "c.yaml:20:37: servers[0].listeners[0].stream_filters[0].so_config.module: module ";
    assert_eq!(
        folder.error("a", &filter("module: libauht")),
        format!("{at}\"libauht\" is in none of `modules.directories`; did you mean \"libauth\"?")
    );
    assert_eq!(
        folder.error("a", &filter("module: nothing-like-it")),
        format!("{at}\"nothing-like-it\" is in none of `modules.directories`; known are libauth")
    );
    assert_eq!(
        folder.error("empty", &filter("module: a")),
        format!("{at}\"a\" is in none of `modules.directories`, which hold no module")
    );
    assert_eq!(
        folder.error("", &filter("module: a")),
        format!("{at}\"a\" is known by no name: `modules.directories` names no directory")
    );
}

#[test]
fn names_that_clash_are_told_with_both_places() {
    let folder = Folder::new("clash", &["a/geo.so", "b/geo.so", "a/other.so"]);
    let error = folder.error("a, b", "");
    assert!(error.ends_with("modules.directories[1]: module name \"geo\" is given twice, to a/geo.so at c.yaml:27:25 (modules.directories[0]) and to b/geo.so"), "{error}");
    let error = folder.error("a", &filter("so_path: /elsewhere/geo.so"));
    assert!(error.contains("so_path: module name \"geo\" is given twice, to a/geo.so at c.yaml:"), "{error}");
    let error = folder.error("a", &filter("so_path: a/geo.so, name: mine"));
    assert!(error.contains("name: a module has one name; this file is called \"geo\" at c.yaml:"), "{error}");
}

#[test]
fn one_way_to_name_a_file_and_directories_that_can_be_read() {
    let folder = Folder::new("ways", &["a/geo.so", "a/no name.so"]);
    let error = folder.error("a", &filter("module: geo, so_path: b.so"));
    assert!(error.contains("so_config.so_path: expected `module` alone"), "{error}");
    let error = folder.error("a", &filter("module: geo, name: b"));
    assert!(error.contains("so_config.name: expected `module` alone"), "{error}");
    let error = folder.error("a", &filter("filter: f"));
    assert!(
        error.ends_with(
            "so_config.so_path: required key is missing; expected the path of a shared library, or `module`"
        ),
        "{error}"
    );
    let error = folder.error("none", "");
    assert!(error.contains("modules.directories[0]: cannot read the directory none: "), "{error}");
    let warnings = lines(&folder.resolve("a", "").unwrap().warnings);
    assert!(
        warnings.iter().any(|line| line.contains("no name.so is left out: the name of a module has letters")),
        "{warnings:?}"
    );
}

#[test]
fn who_builds_modules_judges_directories() {
    let folder = Folder::new("judged", &["a/geo.so"]);
    let (registry, builder) = registry();
    builder.refuses_directories.store(true, Ordering::Relaxed);
    let file = ConfigFile::parse(&folder.0.join("c.yaml"), &format!("{BASE}modules: {{directories: [a]}}\n")).unwrap();
    let errors = file.resolve(&registry, &env(), LoadMode::NoLoad, None).unwrap_err();
    let expected = format!("{}/c.yaml:29:25: modules.directories[0]: not this one", folder.0.display());
    assert_eq!((errors.to_string(), errors.errors[0].kind), (expected, "writable_directory"));
}
