//! What is in files and folders now, to be compared with later.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// What was at each of some paths.
pub(super) type Seen = BTreeMap<PathBuf, Content>;

/// What is at a path, links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing, or nothing that can be read.
    None,
    /// SHA-256 of a file.
    File([u8; 32]),
    /// Names in a folder, and what tells one file from another.
    Folder(BTreeMap<OsString, (u64, u64, i64, i64)>),
}

/// Reads all of them. Pipes and devices count as nothing: reading them may
/// wait.
pub(super) fn look(paths: &[PathBuf]) -> Seen {
    paths.iter().map(|path| (path.clone(), content(path))).collect()
}

fn content(path: &Path) -> Content {
    let Ok(meta) = std::fs::metadata(path) else { return Content::None };
    if meta.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return Content::Folder(entries.map(|entry| (entry.file_name(), identity(&entry.path()))).collect());
    }
    if !meta.is_file() {
        return Content::None;
    }
    digest(path).map_or(Content::None, Content::File)
}

fn identity(path: &Path) -> (u64, u64, i64, i64) {
    std::fs::metadata(path).map_or((0, 0, 0, 0), |meta| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// Nobody takes a larger file, in bytes, and nothing else is followed while one
/// is read.
const MAX_FILE: u64 = 64 << 20;

fn digest(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?.take(MAX_FILE);
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&piece[..count]),
        }
    }
}

/// Whether one of them was changed after `since`, as far as their own times
/// tell.
pub(super) fn changed_since(paths: &[PathBuf], since: SystemTime) -> bool {
    let Ok(since) = since.duration_since(SystemTime::UNIX_EPOCH) else { return false };
    let since = (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()));
    let changed = |path: &PathBuf| {
        // The link itself may be what changed.
        let links = std::fs::symlink_metadata(path).into_iter().chain(std::fs::metadata(path));
        links.into_iter().any(|meta| (meta.ctime(), meta.ctime_nsec()) > since)
    };
    paths.iter().any(changed)
}
