//! Where the texts of a configuration come from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sidegate_files::{ReadError, read_regular};

/// Files and directories.
pub(crate) trait Source {
    /// Files of a directory, without what is in directories in it.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// The bytes of a file of at most `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError>;
}

/// What lies in the file system.
pub(crate) struct Disk;

impl Source for Disk {
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            // Anything but a folder: what is no file is an error and not passed
            // over.
            if !path.is_dir() {
                paths.push(path);
            }
        }
        Ok(paths)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
        read_regular(path, limit)
    }
}

/// The same, and keeps what was read.
#[derive(Default)]
pub(crate) struct Recorder(RefCell<BTreeMap<PathBuf, Vec<u8>>>);

impl Recorder {
    /// Keeps what was read by other means.
    pub(crate) fn note(&self, path: &Path, bytes: &[u8]) {
        self.0.borrow_mut().insert(path.to_path_buf(), bytes.to_vec());
    }

    /// Everything that was read.
    pub(crate) fn into_files(self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.0.into_inner()
    }
}

impl Source for Recorder {
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(directory)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
        let bytes = Disk.read(path, limit)?;
        self.note(path, &bytes);
        Ok(bytes)
    }
}

/// Files that somebody else has read.
pub(crate) struct Sent(pub(crate) BTreeMap<PathBuf, String>);

impl Source for Sent {
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        // A directory without files may be there; it cannot be told from one
        // that is not.
        Ok(self.0.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
        let text = self.0.get(path).ok_or_else(|| ReadError::Io(io::ErrorKind::NotFound.into()))?;
        if text.len() as u64 > limit {
            return Err(ReadError::TooLarge { limit });
        }
        Ok(text.clone().into_bytes())
    }
}
