//! The folders on the way to a module's file: who may write to one may put
//! another file in the module's place.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, StatVfsMountFlags};
use sidegate_files::find_on_way;

use crate::refusal::Reason;

const STICKY: u32 = 0o1000;
const WORLD_WRITABLE: u32 = 0o002;

/// The first folder on the way to `path`, links included, that everybody may
/// write to, unless it is sticky (entries belong to their owners, and the
/// file's owner is checked) or mounted read-only.
pub(super) fn writable_by_all(path: &Path) -> Option<Reason> {
    find_on_way(path, |folder, _| check(folder))
}

/// Whether an open file lies below one of `folders`, wherever the path led that
/// it was opened by.
pub(super) fn check_within(file: BorrowedFd<'_>, folders: &[PathBuf]) -> Result<(), Reason> {
    let unreadable = |error: std::io::Error| Reason::Unreadable { error: error.to_string() };
    let found = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(unreadable)?;
    let real = folders.iter().filter_map(|folder| folder.canonicalize().ok());
    if real.into_iter().any(|folder| found.starts_with(folder)) {
        return Ok(());
    }
    let folders = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(Reason::OutsideDirectories { folders, found: found.display().to_string() })
}

/// Whether a folder belongs to neither root nor the user of this process.
pub(super) fn somebody_elses(folder: &Path) -> Option<Reason> {
    let owner = fs::stat(folder).ok()?.st_uid;
    let process = rustix::process::geteuid().as_raw();
    (owner != 0 && owner != process).then_some(Reason::BadOwner { owner, process })
}

fn check(folder: &Path) -> Option<Reason> {
    let stat = fs::stat(folder).ok()?;
    let mode = stat.st_mode & 0o7777;
    let read_only = || fs::statvfs(folder).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
    let harmless = mode & WORLD_WRITABLE == 0 || mode & STICKY != 0 || read_only();
    (!harmless).then(|| Reason::WritableDirectory { folder: folder.display().to_string(), mode })
}
