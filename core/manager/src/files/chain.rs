//! Where something must happen for a path to lead to something else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the system follows.
const MAX_LINKS: usize = 40;

/// What to watch for some paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    /// Folders, and the names in them that matter; `None`: all.
    pub(super) folders: BTreeMap<PathBuf, Option<BTreeSet<OsString>>>,
    /// Files that are there, by their real names, and the paths that lead to
    /// each.
    pub(super) files: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Places {
    /// What matters to `paths`: each folder with a link on the way, the one
    /// with the file, and the file itself. Where the way ends early, the last
    /// folder that is there.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut places = Places::default();
        for path in paths {
            let end = places.walk(path);
            if let Some(end) = end {
                places.end(path, end);
            }
        }
        places
    }

    fn end(&mut self, path: &Path, end: PathBuf) {
        if !end.is_dir() {
            self.files.entry(end).or_default().insert(path.to_path_buf());
            return;
        }
        for entry in std::fs::read_dir(&end).into_iter().flatten().flatten() {
            // A link in a folder leads elsewhere.
            if let Some(inner) = self.walk(&path.join(entry.file_name())).filter(|inner| inner.is_file()) {
                self.files.entry(inner).or_default().insert(path.join(entry.file_name()));
            }
        }
        self.folders.insert(end, None);
    }

    /// Goes the way of `path`; where it ends, if there is something.
    fn walk(&mut self, path: &Path) -> Option<PathBuf> {
        let mut rest: VecDeque<OsString> = VecDeque::new();
        let mut at = PathBuf::from("/");
        if !path.is_absolute() {
            at = std::env::current_dir().ok()?;
        }
        push(&mut rest, path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let Ok(meta) = std::fs::symlink_metadata(&next) else {
                self.note(&at, name);
                return None;
            };
            if meta.is_symlink() {
                self.note(&at, name);
                let target = std::fs::read_link(&next).ok()?;
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push(&mut rest, &target);
            } else {
                if rest.is_empty() {
                    self.note(&at, name);
                }
                at = next;
            }
        }
        Some(at)
    }

    fn note(&mut self, folder: &Path, name: OsString) {
        if let Some(names) = self.folders.entry(folder.to_path_buf()).or_insert_with(|| Some(BTreeSet::new())) {
            names.insert(name);
        }
    }
}

/// Puts the steps of `path` in front of `rest`.
fn push(rest: &mut VecDeque<OsString>, path: &Path) {
    let steps = path.components().filter_map(|step| match step {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    for step in steps.collect::<Vec<_>>().into_iter().rev() {
        rest.push_front(step);
    }
}
