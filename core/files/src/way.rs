//! The folders and links that a path leads through.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As the kernel's limit.
const MAX_LINKS: u32 = 40;

/// What is looked up in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A symbolic link, which the way follows.
    Link,
    /// Anything else, or nothing.
    Other,
}

/// Goes the way to `path` and gives what `look` finds first: it sees each
/// folder in which a name is looked up, also by the way of links. What cannot
/// be looked at is for who opens the file.
pub fn find_on_way<T>(path: &Path, mut look: impl FnMut(&Path, Step) -> Option<T>) -> Option<T> {
    let mut folder = PathBuf::new();
    let mut left: VecDeque<OsString> = VecDeque::new();
    prepend(&mut left, &std::path::absolute(path).ok()?, &mut folder);
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            folder.pop();
            continue;
        }
        let next = folder.join(&name);
        let target = std::fs::read_link(&next);
        let found = look(&folder, if target.is_ok() { Step::Link } else { Step::Other });
        if found.is_some() {
            return found;
        }
        match target {
            Ok(_) if links == MAX_LINKS => return None,
            Ok(target) => {
                links += 1;
                prepend(&mut left, &target, &mut folder);
            }
            Err(_) => folder = next,
        }
    }
    None
}

/// Puts the names of `path` in front of those that are left; an absolute one
/// begins at the root again.
fn prepend(left: &mut VecDeque<OsString>, path: &Path, folder: &mut PathBuf) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => left.push_front(name.to_owned()),
            Component::ParentDir => left.push_front("..".into()),
            Component::RootDir => *folder = PathBuf::from("/"),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}
