//! Names of modules: one file, one name, so that what is counted, reloaded and
//! shown by name is one thing.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use sidegate_api::BuildEnv;

use crate::diagnostic::{Finding, kind};
use crate::reader::Cursor;

/// The modules of one configuration.
pub(super) struct Modules<'e> {
    env: &'e BuildEnv,
    /// File and first place of each name.
    by_name: HashMap<String, (PathBuf, String)>,
    /// Name and first place of each file.
    by_file: HashMap<PathBuf, (String, String)>,
}

impl<'e> Modules<'e> {
    pub fn new(env: &'e BuildEnv) -> Self {
        Modules { env, by_name: HashMap::new(), by_file: HashMap::new() }
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
        if let Some((other, place)) = known.filter(|(other, _)| *other != name) {
            let message = format!("a module has one name; this file is called {other:?} at {place}");
            at.error(Finding::said(kind::DUPLICATE, message));
            return None;
        }
        if let Some((other, place)) = self.by_name.get(&name).filter(|(other, _)| *other != file) {
            let message = format!(
                "module name {name:?} is given twice, to {} at {place} and to {}",
                other.display(),
                file.display()
            );
            at.error(Finding::said(kind::DUPLICATE, message));
            return None;
        }
        self.by_name.entry(name.clone()).or_insert_with(|| (file.clone(), at.place()));
        self.by_file.entry(file).or_insert_with(|| (name.clone(), at.place()));
        Some(name)
    }
}

fn is_url_safe(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name != "." && name != ".." && name.bytes().all(safe)
}

/// Without `.` segments, so that `./a.so` and `a.so` are one file. Links are
/// not followed: the file need not exist to be checked.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}
