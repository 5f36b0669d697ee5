//! The folders on the way to a module's file: who may write to one may put
//! another file in the module's place.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, StatVfsMountFlags};

use crate::refusal::Reason;

/// As the kernel's limit.
const MAX_LINKS: u32 = 40;
const STICKY: u32 = 0o1000;
const WORLD_WRITABLE: u32 = 0o002;

/// The first folder on the way to `path`, links included, that everybody may
/// write to, unless it is sticky (entries belong to their owners, and the
/// file's owner is checked) or mounted read-only.
pub(super) fn writable_by_all(path: &Path) -> Option<Reason> {
    let mut folder = PathBuf::new();
    let absolute = std::path::absolute(path).ok()?;
    let mut left: VecDeque<OsString> = VecDeque::new();
    prepend(&mut left, &absolute, &mut folder);
    let mut links = 0;
    // What cannot be looked at (a link that leads nowhere) is for who opens it.
    while let Some(name) = left.pop_front() {
        if name == ".." {
            folder.pop();
            continue;
        }
        if let Some(reason) = check(&folder) {
            return Some(reason);
        }
        let next = folder.join(&name);
        match std::fs::read_link(&next) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
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

fn check(folder: &Path) -> Option<Reason> {
    let stat = fs::stat(folder).ok()?;
    let mode = stat.st_mode & 0o7777;
    let read_only = || fs::statvfs(folder).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    let harmless = mode & WORLD_WRITABLE == 0 || mode & STICKY != 0 || read_only();
    (!harmless).then(|| Reason::WritableDirectory { folder: folder.display().to_string(), mode })
}
