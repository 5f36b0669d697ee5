//! `sidegate new-filter`: a folder with a filter that builds, tests itself and
//! runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Language, NewFilterArgs};
use crate::output::{Output, complain};
use reserved::reserved;
use templates::{Filler, files, headers};

mod reserved;
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
    #[error("{0:?} is a word of {1}, and no name for a filter in it: choose another, `{0}-filter`")]
    Reserved(String, &'static str),
    #[error(
        "{}: it is there already, and nothing was written: name another --folder, or take it away", .0.display()
    )]
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
            let (saved, note) = (templates::saved(args.lang), templates::caveat(args.lang, args.sdk.as_deref()));
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
    let name = checked(&args.name, args.lang)?;
    let sdk = args.sdk.as_deref().map(sdk_folder).transpose()?;
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(name));
    // Links that lead nowhere as well.
    if folder.symlink_metadata().is_ok() {
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

fn checked(name: &str, language: Language) -> Result<&str, NewFilterError> {
    let fits = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match reserved(name, language) {
        _ if !fits => Err(NewFilterError::Name(name.to_owned())),
        Some(whose) => Err(NewFilterError::Reserved(name.to_owned(), whose)),
        None => Ok(name),
    }
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
            assert!(checked(name, Language::Rust).is_ok(), "{name}");
        }
        for name in ["", "A", "2a", "-a", "a-", "a--b", "a_b", "a/b", "../a", "a b", "é", &"a".repeat(49)] {
            assert!(matches!(checked(name, Language::C), Err(NewFilterError::Name(_))), "{name}");
        }
        for name in ["fn", "match", "async", "gen", "self", "core", "test", "proc-macro"] {
            let Err(refused) = checked(name, Language::Rust) else { panic!("{name}") };
            assert!(refused.to_string().contains("is a word of Rust"), "{refused}");
            assert!(checked(name, Language::Cpp).is_ok(), "{name}");
        }
    }
}
