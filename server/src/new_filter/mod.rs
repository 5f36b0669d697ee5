//! `sidegate new-filter`: a folder with a filter that builds, tests itself and
//! runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Language, NewFilterArgs};
use crate::{complain, print};

/// Bytes of a name: it becomes that of a crate, of a file and of a module.
const MAX_NAME: usize = 48;

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
enum NewFilterError {
    #[error(
        "{0:?} is no name for a filter: expected a letter, then letters, digits and hyphens, all in lower case, \
         {MAX_NAME} at most: `my-filter`"
    )]
    Name(String),
    #[error("{}: it is there already; nothing was written", .0.display())]
    Exists(PathBuf),
    #[error("{}: expected the folder of the crate sidegate-sdk, found no Cargo.toml in it", .0.display())]
    Sdk(PathBuf),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

pub(crate) fn new_filter(args: &NewFilterArgs) -> ExitCode {
    match write(args) {
        Ok(folder) => {
            let name = &args.name;
            print(&format_args!(
                "{}: filter {name:?}\n  make        builds and tests it\n  make run    runs it on 127.0.0.1:2046; \
                 saving a source replaces it",
                folder.display()
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn write(args: &NewFilterArgs) -> Result<PathBuf, NewFilterError> {
    let name = checked(&args.name)?;
    let sdk = args.sdk.as_deref().map(sdk_folder).transpose()?;
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    if folder.exists() {
        return Err(NewFilterError::Exists(folder));
    }
    let filler = Filler { name, ident: name.replace('-', "_"), sdk, language: args.lang };
    for (path, template) in files(args.lang) {
        write_file(&folder.join(path), &filler.fill(template))?;
    }
    for (path, header) in headers(args.lang) {
        write_file(&folder.join(path), header)?;
    }
    Ok(folder)
}

/// Headers that go into the folder as they are.
fn headers(language: Language) -> &'static [(&'static str, &'static str)] {
    const ALL: [(&str, &str); 3] = [
        ("sidegate.h", include_str!("../../../ffi-api/include/sidegate.h")),
        ("sidegate_test.h", include_str!("../../../ffi-api/include/sidegate_test.h")),
        ("sidegate.hpp", include_str!("../../../ffi-api/include/sidegate.hpp")),
    ];
    match language {
        Language::Rust => &[],
        Language::C => &ALL[..2],
        Language::Cpp => &ALL,
    }
}

/// Paths in the folder, and what goes there.
fn files(language: Language) -> Vec<(&'static str, &'static str)> {
    let c_makefile = concat!(include_str!("templates/c/Makefile.txt"), include_str!("templates/all/run.mk.txt"));
    let mut files = vec![
        ("config.yaml", include_str!("templates/all/config.yaml.txt")),
        ("README.md", include_str!("templates/all/README.md.txt")),
    ];
    match language {
        Language::Rust => files.extend([
            ("Cargo.toml", include_str!("templates/rust/Cargo.toml.txt")),
            ("src/lib.rs", include_str!("templates/rust/lib.rs.txt")),
            ("manifest.json", include_str!("templates/all/manifest.json.txt")),
            (
                "Makefile",
                concat!(include_str!("templates/rust/Makefile.txt"), include_str!("templates/all/run.mk.txt")),
            ),
            (".gitignore", "/target\n*.so\n*.so.new\n"),
        ]),
        Language::C => files.extend([
            ("filter.c", include_str!("templates/c/filter.c.txt")),
            ("test.c", include_str!("templates/c/test.c.txt")),
            ("Makefile", c_makefile),
            (".gitignore", "/.test\n*.so\n*.so.new\n"),
        ]),
        Language::Cpp => files.extend([
            ("filter.cpp", include_str!("templates/cpp/filter.cpp.txt")),
            ("test.cpp", include_str!("templates/cpp/test.cpp.txt")),
            ("Makefile", c_makefile),
            (".gitignore", "/.test\n*.so\n*.so.new\n"),
        ]),
    }
    files
}

/// What stands for `{{...}}` in templates.
struct Filler<'a> {
    name: &'a str,
    /// The name as a library's file has it.
    ident: String,
    sdk: Option<PathBuf>,
    language: Language,
}

impl Filler<'_> {
    fn fill(&self, template: &str) -> String {
        let sdk = match &self.sdk {
            Some(folder) => format!("{{ path = {:?} }}", folder.display().to_string()),
            None => format!("{:?}", SDK_VERSION),
        };
        let note = match (self.language, &self.sdk) {
            (Language::Rust, None) => RUST_NOTE,
            _ => "",
        };
        let (compiler, command, standard, source, test, unique) = match self.language {
            Language::Cpp => ("CXX", "c++", "c++17", "filter.cpp", "test.cpp", UNIQUE),
            Language::C | Language::Rust => ("CC", "cc", "c11", "filter.c", "test.c", ""),
        };
        let headers = headers(self.language).iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
        [
            ("{{name}}", self.name),
            ("{{ident}}", &self.ident),
            ("{{sdk}}", &sdk),
            ("{{note}}", note),
            ("{{compiler}}", compiler),
            ("{{command}}", command),
            ("{{standard}}", standard),
            ("{{source}}", source),
            ("{{test}}", test),
            ("{{unique}}", unique),
            ("{{headers}}", &headers),
        ]
        .iter()
        .fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }
}

/// What Cargo asks of the SDK's version.
const SDK_VERSION: &str = "1.1";

/// For the Makefile of a filter in C++.
const UNIQUE: &str = "\
# Else the module cannot be unloaded; clang needs no such option, and knows none.
CHECKS += $(shell $(CXX) -fno-gnu-unique -x c++ -E /dev/null >/dev/null 2>&1 && echo -fno-gnu-unique)
";

const RUST_NOTE: &str = "
Where crates.io does not have `sidegate-sdk` yet, or another copy is wanted, add to `Cargo.toml`:

```toml
[patch.crates-io]
sidegate-abi = { path = \"/path/to/sidegate/ffi-api/abi\" }
sidegate-sdk = { path = \"/path/to/sidegate/ffi-api/sdk\" }
```
";

fn checked(name: &str) -> Result<&str, NewFilterError> {
    let fits = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    // Words that Cargo and Rust keep for themselves.
    let taken = ["test", "core", "std", "alloc", "proc-macro", "self", "super", "crate", "fn", "mod"];
    if fits && !taken.contains(&name) { Ok(name) } else { Err(NewFilterError::Name(name.to_owned())) }
}

fn sdk_folder(folder: &Path) -> Result<PathBuf, NewFilterError> {
    let found = folder.canonicalize().ok().filter(|folder| folder.join("Cargo.toml").is_file());
    found.ok_or_else(|| NewFilterError::Sdk(folder.to_owned()))
}

fn write_file(path: &Path, text: &str) -> Result<(), NewFilterError> {
    let failed = |error| NewFilterError::Io { path: path.to_owned(), error };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates_files_and_modules() {
        for name in ["a", "my-filter", "auth2"] {
            assert!(checked(name).is_ok(), "{name}");
        }
        for name in ["", "A", "2a", "-a", "a-", "a--b", "a_b", "a/b", "../a", "a b", "é", "test", &"a".repeat(49)] {
            assert!(checked(name).is_err(), "{name}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill() {
        for language in [Language::Rust, Language::C, Language::Cpp] {
            let filler = Filler { name: "my-filter", ident: "my_filter".to_owned(), sdk: None, language };
            for (path, template) in files(language) {
                let text = filler.fill(template);
                assert!(!text.contains("{{"), "{path}: {text}");
            }
        }
    }
}
