//! `sidegate new-filter`: a folder with a filter that builds, tests itself and
//! runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::NewFilterArgs;
use crate::output::{Output, complain};
use templates::{Filler, files, headers};

mod templates;

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

pub(crate) fn new_filter(args: &NewFilterArgs, output: &mut Output) -> ExitCode {
    match write(args) {
        Ok(folder) => {
            let name = &args.name;
            let (saved, note) = (templates::saved(args.lang), templates::caveat(args.lang));
            output.print(&format_args!(
                "{}: filter {name:?}\n  make        builds and tests it\n  make run    runs it on 127.0.0.1:2046; \
                 saving a source {saved}{note}",
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
    let filler = Filler { name, sdk: sdk.as_deref(), language: args.lang };
    for (path, template) in files(args.lang) {
        write_file(&folder.join(path), &filler.fill(template))?;
    }
    for (path, header) in headers(args.lang) {
        write_file(&folder.join(path), header)?;
    }
    Ok(folder)
}

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
}
