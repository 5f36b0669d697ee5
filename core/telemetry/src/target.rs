//! Where log lines go, and opening it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; missing folders are made.
    File(PathBuf),
}

/// A log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The folder of the file does not exist and cannot be made.
    #[error("cannot make folder {} for the log: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file (or stream) cannot be opened for writing.
    #[error("cannot write log {target}: {source}")]
    Open {
        /// What was to be opened.
        target: LogTarget,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be renamed to make place for the next.
    #[error("cannot set log {} aside: {source}", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the log writer: {0}")]
    Thread(io::Error),
    /// The process has a log already.
    #[error("the process log is installed already")]
    AlreadyInstalled,
}

impl LogTarget {
    /// `stdout`, `stderr` (also as `/dev/…` and empty, as in MOSN) or a path.
    pub fn parse(text: &str) -> Self {
        match text {
            "stdout" | "/dev/stdout" => LogTarget::Stdout,
            "" | "stderr" | "/dev/stderr" => LogTarget::Stderr,
            path => LogTarget::File(PathBuf::from(path)),
        }
    }

    pub(crate) fn open(&self) -> Result<File, LogError> {
        let opened = match self {
            LogTarget::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            LogTarget::Stderr => io::stderr().as_fd().try_clone_to_owned().map(File::from),
            LogTarget::File(path) => {
                make_folder(path)?;
                open_file(path)
            }
        };
        opened.map_err(|source| LogError::Open { target: self.clone(), source })
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogTarget::Stdout => f.write_str("stdout"),
            LogTarget::Stderr => f.write_str("stderr"),
            LogTarget::File(path) => path.display().fmt(f),
        }
    }
}

fn make_folder(path: &Path) -> Result<(), LogError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            fs::create_dir_all(folder).map_err(|source| LogError::Folder { path: folder.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    // Opening a FIFO only for writing waits for a reader, which may never come.
    let is_fifo = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
    OpenOptions::new().read(is_fifo).append(true).create(true).open(path)
}
