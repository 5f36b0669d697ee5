//! Names of modules: one file, one name, so that what is counted, reloaded and
//! shown by name is one thing.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use sidegate_api::BuildEnv;

use super::module_directory::{KnownModule, ModuleDirectory};
use crate::diagnostic::{Finding, kind};
use crate::nearest::hint;
use crate::reader::Cursor;

/// The modules of one configuration.
pub(super) struct Modules<'e> {
    env: &'e BuildEnv,
    /// File and first place of each name.
    by_name: HashMap<String, (PathBuf, String)>,
    /// Name and first place of each file.
    by_file: HashMap<PathBuf, (String, String)>,
    /// Those in directories.
    known: Vec<KnownModule>,
    /// Whether the configuration names directories.
    has_directories: bool,
}

impl<'e> Modules<'e> {
    pub fn new(env: &'e BuildEnv) -> Self {
        let known = Vec::new();
        Modules { env, by_name: HashMap::new(), by_file: HashMap::new(), known, has_directories: false }
    }

    /// Makes the modules of a directory known; reports names that are taken.
    pub fn add_directory(&mut self, directory: &ModuleDirectory<'_>) {
        self.has_directories = true;
        for module in &directory.modules {
            if self.enter(&directory.at, &module.name, normal(&module.file)) {
                self.known.push(module.clone());
            }
        }
    }

    /// The file of the module that is called so.
    pub fn known(&self, cursor: &Cursor<'_>) -> Option<(PathBuf, String)> {
        let name = cursor.name()?;
        if let Some(module) = self.known.iter().find(|module| module.name == name) {
            return Some((module.file.clone(), module.name.clone()));
        }
        let message = if self.has_directories {
            let names = self.known.iter().map(|module| module.name.as_str());
            let hint = hint(name, names.clone());
            match self.known.len() {
                0 => format!("module {name:?} is in none of `modules.directories`, which hold no module"),
                1..=8 if hint.is_empty() => {
                    let all = names.collect::<Vec<_>>().join(", ");
                    format!("module {name:?} is in none of `modules.directories`; known are {all}")
                }
                _ => format!("module {name:?} is in none of `modules.directories`{hint}"),
            }
        } else {
            format!("module {name:?} is known by no name: `modules.directories` names no directory")
        };
        let expected = Some("the name of a module in `modules.directories`".to_owned());
        cursor.error(Finding { kind: kind::UNDEFINED, message, expected, found: Some(cursor.shown()) });
        None
    }

    /// All modules in directories.
    pub fn into_known(self) -> Vec<KnownModule> {
        self.known
    }

    /// The name of the module in `so_path`: as given, else the one the file has
    /// already, else the file's stem.
    pub fn name(&mut self, path_at: &Cursor<'_>, so_path: &Path, given: Option<&Cursor<'_>>) -> Option<String> {
        let file = normal(&self.env.resolve(so_path));
        let known = self.by_file.get(&file);
        let (name, at) = match (given, known) {
            (Some(cursor), _) => (cursor.name()?.to_owned(), cursor),
            (None, Some((name, _))) => (name.clone(), path_at),
            (None, None) => (so_path.file_stem()?.to_string_lossy().into_owned(), path_at),
        };
        if !is_url_safe(&name) {
            let expected = if given.is_some() {
                "letters, digits, '.', '_' and '-'"
            } else {
                "a file name of letters, digits, '.', '_' and '-', or a `name` beside it"
            };
            at.mismatch(kind::BAD_VALUE, expected);
            return None;
        }
        self.enter(at, &name, file).then_some(name)
    }

    /// Notes that `file` is called `name`; reports what does not go together.
    fn enter(&mut self, at: &Cursor<'_>, name: &str, file: PathBuf) -> bool {
        if let Some((other, place)) = self.by_file.get(&file).filter(|(other, _)| other != name) {
            let message = format!("a module has one name; this file is called {other:?} at {place}");
            at.error(Finding::said(kind::DUPLICATE, message));
            return false;
        }
        if let Some((other, place)) = self.by_name.get(name).filter(|(other, _)| *other != file) {
            let message = format!(
                "module name {name:?} is given twice, to {} at {place} and to {}",
                other.display(),
                file.display()
            );
            at.error(Finding::said(kind::DUPLICATE, message));
            return false;
        }
        self.by_name.entry(name.to_owned()).or_insert_with(|| (file.clone(), at.place()));
        self.by_file.entry(file).or_insert_with(|| (name.to_owned(), at.place()));
        true
    }
}

pub(super) fn is_url_safe(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name != "." && name != ".." && name.bytes().all(safe)
}

/// Without `.` segments, so that `./a.so` and `a.so` are one file. Links are
/// not followed: the file need not exist to be checked.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}
