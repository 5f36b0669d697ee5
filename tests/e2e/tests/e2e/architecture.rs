//! What ARCHITECTURE.md promises about the code itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sidegate_harness::{repository, run};

/// `(name, folder below the repository, workspace dependencies)` of every
/// member.
fn members() -> Vec<(String, PathBuf, Vec<String>)> {
    let root = repository().canonicalize().unwrap();
    let outcome = run(Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(&root));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let metadata: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let folder = manifest.parent().unwrap().strip_prefix(&root).unwrap().to_owned();
            // Dependencies for tests count too: a test that needs an outer crate belongs to the outer crate.
            let dependencies = package["dependencies"].as_array().unwrap().iter().filter(|d| !d["path"].is_null());
            let names = dependencies.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), folder, names)
        })
        .collect()
}

#[test]
fn nothing_under_core_depends_on_anything_outside() {
    let members = members();
    let folder_of = |name: &str| members.iter().find(|(known, ..)| known == name).map(|(_, folder, _)| folder.clone());
    let mut core = 0;
    for (name, folder, dependencies) in &members {
        if !folder.starts_with("core") {
            continue;
        }
        core += 1;
        for dependency in dependencies {
            let target = folder_of(dependency).unwrap_or_else(|| panic!("{dependency} is no member"));
            assert!(target.starts_with("core"), "{name} depends on {dependency} in {}", target.display());
        }
    }
    assert!(core >= 9, "only {core} crates found under core/");
}

#[test]
fn arrows_point_as_drawn() {
    let allowed: &[(&str, &[&str])] = &[
        ("sidegate-api", &[]),
        ("sidegate-files", &[]),
        ("sidegate-net", &["sidegate-api", "sidegate-files", "sidegate-overload", "sidegate-tls", "sidegate-watch"]),
        ("sidegate-overload", &["sidegate-api"]),
        // It holds no socket: who does uses it, not the reverse.
        ("sidegate-tls", &["sidegate-api"]),
        ("sidegate-watch", &[]),
        ("sidegate-protocol", &["sidegate-api"]),
        ("sidegate-router", &["sidegate-api"]),
        ("sidegate-stream", &["sidegate-api", "sidegate-net", "sidegate-protocol"]),
        // A stream does not know what carries it: no codec.
        (
            "sidegate-proxy",
            &[
                "sidegate-api",
                "sidegate-net",
                "sidegate-overload",
                "sidegate-router",
                "sidegate-stream",
                "sidegate-telemetry",
                "sidegate-tls",
                "sidegate-upstream",
                "sidegate-watch",
            ],
        ),
        ("sidegate-telemetry", &["sidegate-api"]),
        ("sidegate-abi", &[]),
        // Itself, with features, for its tests.
        ("sidegate-sdk", &["sidegate-abi", "sidegate-sdk"]),
        ("auth", &["sidegate-sdk"]),
    ];
    let members = members();
    for (name, wanted) in allowed {
        let (_, _, dependencies) = members.iter().find(|(known, ..)| known == name).expect("that member");
        for dependency in dependencies {
            assert!(wanted.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
    for (name, _, dependencies) in &members {
        assert!(!dependencies.iter().any(|d| d == "sidegate-server"), "{name} depends on the server");
    }
}

/// All Rust files below `folder`, but not those of build output.
fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with("target") && !name.starts_with('.') && name != "generated" {
                rust_files(&path, out);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn no_file_is_over_500_lines() {
    let mut files = Vec::new();
    rust_files(repository(), &mut files);
    assert!(files.len() > 50, "only {} files found", files.len());
    let long: Vec<String> = files
        .iter()
        .map(|file| (std::fs::read_to_string(file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > 500)
        .map(|(lines, file)| format!("{lines} {}", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn unsafe_code_stays_in_its_leaves() {
    // Where a foreign function is called or a raw table read; everything else forbids it.
    const LEAVES: [&str; 6] =
        ["ffi-api", "generic-filter", "so-examples", "core/memory", "core/watch", "extensions/spawn"];
    for (name, folder, _) in members() {
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| repository().join(&folder).join(root));
        let Some(root) = roots.iter().find(|root| root.exists()) else { continue };
        let forbids = std::fs::read_to_string(root).unwrap().contains("#![forbid(unsafe_code)]");
        let is_leaf = LEAVES.iter().any(|leaf| folder.starts_with(leaf)) || name == "sidegate-server";
        assert!(forbids || is_leaf, "{name} does not forbid unsafe code");
    }
}
