//! Reading a whole file without waiting for anybody.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{Step, find_on_way};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is something else.
    #[error("expected a regular file, found {0}")]
    NotRegular(&'static str),
    /// It is larger than it may be.
    #[error("expected at most {limit} bytes, found more")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The bytes of a regular file of at most `limit` bytes. FIFOs, devices and
/// sockets are refused without waiting for whoever is at their other end; so
/// is what lies in `/proc` or is reached through a link of it, such as
/// `/dev/stdin`: such a file is somebody's state and not a configuration.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let file = open(path)?;
    let stat = fs::fstat(&file).map_err(io::Error::from)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(ReadError::NotRegular("a directory")),
        FileType::Fifo => return Err(ReadError::NotRegular("a FIFO")),
        FileType::CharacterDevice => return Err(ReadError::NotRegular("a character device")),
        FileType::BlockDevice => return Err(ReadError::NotRegular("a block device")),
        FileType::Socket => return Err(ReadError::NotRegular("a socket")),
        _ => return Err(ReadError::NotRegular("something else")),
    }
    if fs::fstatfs(&file).is_ok_and(|mount| mount.f_type == fs::PROC_SUPER_MAGIC) {
        return Err(ReadError::NotRegular("a file of /proc"));
    }
    read_bounded(File::from(file), limit)
}

/// All bytes of `source`, if they are at most `limit`.
pub fn read_bounded(source: impl Read, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(bytes)
}

fn open(path: &Path) -> Result<OwnedFd, ReadError> {
    // A link of /proc is none in the file system: whatever it shows, it leads
    // to what a process has open.
    let is_proc = |folder: &Path| fs::statfs(folder).is_ok_and(|mount| mount.f_type == fs::PROC_SUPER_MAGIC);
    if find_on_way(path, |folder, step| (step == Step::Link && is_proc(folder)).then_some(())).is_some() {
        return Err(ReadError::NotRegular("a link of /proc"));
    }
    // NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match fs::open(path, flags, Mode::empty()) {
        // A socket has no open, and a device may have none now.
        Err(Errno::NXIO) => Err(ReadError::NotRegular("a socket or a device without anybody behind it")),
        other => other.map_err(|error| io::Error::from(error).into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    /// A folder of this test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("sidegate-files-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn problem(path: &Path) -> String {
        read_regular(path, 10).unwrap_err().to_string()
    }

    #[test]
    fn regular_files_are_read_up_to_a_bound() {
        let folder = Folder::new("regular");
        let file = folder.0.join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read_regular(&file, 10).unwrap(), b"0123456789");
        assert_eq!(read_regular(&file, 9).unwrap_err().to_string(), "expected at most 9 bytes, found more");
        // As Kubernetes mounts a ConfigMap.
        std::os::unix::fs::symlink("file", folder.0.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data", folder.0.join("link")).unwrap();
        assert_eq!(read_regular(&folder.0.join("link"), 10).unwrap(), b"0123456789");
        assert!(matches!(read_regular(&folder.0.join("none"), 10), Err(ReadError::Io(_))));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = Folder::new("others");
        let at = |name: &str| folder.0.join(name);
        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        assert_eq!(problem(&at("fifo")), "expected a regular file, found a FIFO");
        assert_eq!(problem(&at("zero")), "expected a regular file, found a character device");
        assert_eq!(problem(&folder.0), "expected a regular file, found a directory");
        assert!(problem(&at("socket")).starts_with("expected a regular file, found a socket"));
    }

    #[test]
    fn what_proc_shows_is_refused() {
        let folder = Folder::new("proc");
        let file = folder.0.join("file");
        std::fs::write(&file, "x").unwrap();
        let open = File::open(&file).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        for path in [format!("/proc/self/fd/{number}"), format!("/dev/fd/{number}")] {
            assert_eq!(problem(Path::new(&path)), "expected a regular file, found a link of /proc");
        }
        assert_eq!(problem(Path::new("/proc/self/status")), "expected a regular file, found a link of /proc");
        let status = format!("/proc/{}/status", std::process::id());
        assert_eq!(problem(Path::new(&status)), "expected a regular file, found a file of /proc");
    }
}
