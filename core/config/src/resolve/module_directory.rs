//! `modules.directories`: modules that are known by name.

use std::io;
use std::path::{Path, PathBuf};

use sidegate_api::look_up;

use super::modules::is_url_safe;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};

/// A module that filters may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModule {
    /// The stem of its file's name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
}

/// What a directory holds, and where the configuration names it.
pub(super) struct ModuleDirectory<'a> {
    pub at: Cursor<'a>,
    pub path: PathBuf,
    pub modules: Vec<KnownModule>,
}

/// Reads the directories that `modules` names.
pub(super) fn directories<'a>(object: &mut ObjectReader<'a>, search_dirs: &[PathBuf]) -> Vec<ModuleDirectory<'a>> {
    let entries = object.get("directories").and_then(|cursor| cursor.array()).unwrap_or_default();
    entries.into_iter().filter_map(|at| directory(at, search_dirs)).collect()
}

/// What is in all of them.
pub(crate) fn known_modules(object: &mut ObjectReader<'_>, search_dirs: &[PathBuf]) -> Vec<KnownModule> {
    directories(object, search_dirs).into_iter().flat_map(|directory| directory.modules).collect()
}

/// The directories themselves.
pub(crate) fn module_directories(object: &mut ObjectReader<'_>, search_dirs: &[PathBuf]) -> Vec<PathBuf> {
    directories(object, search_dirs).into_iter().map(|directory| directory.path).collect()
}

fn directory<'a>(at: Cursor<'a>, search_dirs: &[PathBuf]) -> Option<ModuleDirectory<'a>> {
    let path = look_up(search_dirs, Path::new(at.name()?));
    let files = match list(&path) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("cannot read the directory {}: {error}", path.display());
            at.error(Finding::said(kind::IO, message));
            return None;
        }
    };
    let mut modules = Vec::with_capacity(files.len());
    for file in files {
        match file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_url_safe(stem)) {
            Some(name) => modules.push(KnownModule { name: name.to_owned(), file }),
            None => at.inert(format!(
                "{} is left out: the name of a module has letters, digits, '.', '_' and '-'",
                file.display()
            )),
        }
    }
    Some(ModuleDirectory { at, path, modules })
}

/// Its `.so` files, by name. Hidden ones are what somebody is writing, or what
/// Kubernetes mounts beside its links.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_module = path.extension().is_some_and(|extension| extension == "so");
        if is_module && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
