//! The copy of a module's file that is checked and then loaded: nothing can
//! change in between, and a changed file at the same path is new code.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{self, FileType, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sha2::{Digest, Sha256};

use super::folders;
use crate::policy::Policy;
use crate::refusal::Reason;

/// Bytes of a module in memory that nobody can change any more.
#[derive(Debug)]
pub(crate) struct SealedCopy {
    descriptor: OwnedFd,
    bytes: Mapping,
    pub(crate) sha256: [u8; 32],
}

impl SealedCopy {
    /// Opens `path`, checks what kind of file it is and whose, and copies it.
    pub(crate) fn read(path: &Path, policy: &Policy) -> Result<Self, Reason> {
        // NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = fs::open(path, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => Reason::NoSuchFile,
            other => Reason::Unreadable { error: other.to_string() },
        })?;
        check_file(file.as_fd(), policy)?;
        if let Some(folders) = &policy.only_from {
            folders::check_within(file.as_fd(), folders)?;
        }
        let descriptor = copy(File::from(file), path, policy.max_bytes)?;
        let bytes = Mapping::of(descriptor.as_fd()).map_err(copy_failed)?;
        let sha256 = Sha256::digest(&*bytes).into();
        Ok(SealedCopy { descriptor, bytes, sha256 })
    }

    /// What was read.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The descriptor of the copy; the mapping goes. `patch` is a number to
    /// be put at an offset, in another copy that is sealed like this one, so
    /// that nobody can change more than that.
    pub(crate) fn into_descriptor(self, patch: Option<(u64, u64)>, path: &Path) -> Result<OwnedFd, Reason> {
        let Some((offset, number)) = patch else { return Ok(self.descriptor) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut bytes = self.bytes.to_vec();
        let place = start.checked_add(8).and_then(|end| bytes.get_mut(start..end));
        let place = place.ok_or(Reason::Malformed { what: "its dynamic segment is outside the file" })?;
        place.copy_from_slice(&number.to_le_bytes());
        sealed(path, |memory| memory.write_all(&bytes))
    }
}

fn check_file(file: BorrowedFd<'_>, policy: &Policy) -> Result<(), Reason> {
    let stat = fs::fstat(file).map_err(|error| Reason::Unreadable { error: error.to_string() })?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Reason::IsDirectory),
        FileType::Fifo => return Err(Reason::NotRegularFile { found: "a FIFO" }),
        FileType::CharacterDevice => return Err(Reason::NotRegularFile { found: "a character device" }),
        FileType::BlockDevice => return Err(Reason::NotRegularFile { found: "a block device" }),
        _ => return Err(Reason::NotRegularFile { found: "something else" }),
    }
    let process = rustix::process::geteuid().as_raw();
    if stat.st_uid != 0 && stat.st_uid != process {
        return Err(Reason::BadOwner { owner: stat.st_uid, process });
    }
    if stat.st_mode & 0o002 != 0 {
        return Err(Reason::WorldWritable { mode: stat.st_mode & 0o7777 });
    }
    let found = u64::try_from(stat.st_size).unwrap_or(0);
    if found > policy.max_bytes {
        return Err(Reason::TooLarge { limit: policy.max_bytes, found });
    }
    Ok(())
}

/// A sealed copy of a sealed copy.
pub(super) fn copy_of(copy: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Reason> {
    let bytes = Mapping::of(copy).map_err(copy_failed)?;
    sealed(path, |memory| memory.write_all(&bytes))
}

/// What `write` puts into memory, sealed.
fn sealed(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<OwnedFd, Reason> {
    let mut memory = File::from(memory_file(path).map_err(copy_failed)?);
    write(&mut memory).map_err(copy_failed)?;
    seal(&memory)?;
    Ok(memory.into())
}

/// Times that sealing is tried, and the pause in between: the kernel refuses
/// with EBUSY while it has one of the pages in hand itself, to move or to
/// reclaim it.
const SEAL_TRIES: u32 = 50;
const SEAL_PAUSE: Duration = Duration::from_millis(10);

fn seal(memory: &File) -> Result<(), Reason> {
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    let mut sealed = fs::fcntl_add_seals(memory, seals);
    for _ in 1..SEAL_TRIES {
        if sealed != Err(Errno::BUSY) {
            break;
        }
        std::thread::sleep(SEAL_PAUSE);
        sealed = fs::fcntl_add_seals(memory, seals);
    }
    sealed.map_err(copy_failed)
}

fn copy(file: File, path: &Path, limit: u64) -> Result<OwnedFd, Reason> {
    let mut memory = File::from(memory_file(path).map_err(copy_failed)?);
    // The file may still be growing: one byte over the limit tells.
    let mut limited = file.take(limit.saturating_add(1));
    let mut chunk = vec![0_u8; 256 * 1024];
    let mut copied = 0_u64;
    loop {
        let read = limited.read(&mut chunk).map_err(|error| Reason::Unreadable { error: error.to_string() })?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        memory.write_all(bytes).map_err(copy_failed)?;
        copied += read as u64;
    }
    if copied > limit {
        return Err(Reason::TooLarge { limit, found: copied });
    }
    seal(&memory)?;
    Ok(memory.into())
}

/// The loader maps the copy, it never executes it as a program, so the file
/// itself is not executable where the kernel knows that (Linux 6.3).
fn memory_file(path: &Path) -> rustix::io::Result<OwnedFd> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let short: String = stem.chars().filter(|c| *c != '\0').take(60).collect();
    let name = format!("sidegate:{short}");
    let plain = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match fs::memfd_create(name.as_str(), plain | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => fs::memfd_create(name.as_str(), plain),
        other => other,
    }
}

fn copy_failed(error: impl std::fmt::Display) -> Reason {
    Reason::CopyFailed { error: error.to_string() }
}

/// A sealed file's bytes, mapped to read.
#[derive(Debug)]
struct Mapping {
    start: *const u8,
    len: usize,
}

impl Mapping {
    fn of(file: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let len = usize::try_from(fs::fstat(file)?.st_size).map_err(|_| Errno::FBIG)?;
        if len == 0 {
            return Ok(Mapping { start: std::ptr::NonNull::dangling().as_ptr(), len });
        }
        // SAFETY: a new mapping at a place the kernel chooses aliases nothing.
        let start = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
        Ok(Mapping { start: start.cast(), len })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is `len` readable bytes until drop, or dangling with
        // length 0; the seals keep anybody from writing or shrinking the file.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: mapped in `of` with this length, unmapped only here.
            let _ = unsafe { munmap(self.start.cast_mut().cast(), self.len) };
        }
    }
}

// SAFETY: the bytes are read-only and the mapping belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}
