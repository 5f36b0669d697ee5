//! What the process has mapped, as the kernel says: the answer of `dlclose`
//! says nothing of whether anything was unmapped.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;

use rustix::fs;

/// A file, as the kernel tells files apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileKey {
    major: u32,
    minor: u32,
    inode: u64,
}

impl FileKey {
    pub(crate) fn of(file: impl AsFd) -> rustix::io::Result<Self> {
        let stat = fs::fstat(file)?;
        Ok(FileKey { major: fs::major(stat.st_dev), minor: fs::minor(stat.st_dev), inode: stat.st_ino })
    }

    /// Whether anything of it is mapped; the error is why nobody can tell.
    pub(crate) fn is_mapped(self) -> std::io::Result<bool> {
        let mut maps = BufReader::new(std::fs::File::open("/proc/self/maps")?);
        let mut line = Vec::new();
        loop {
            line.clear();
            if maps.read_until(b'\n', &mut line)? == 0 {
                return Ok(false);
            }
            if key_of(&line) == Some(self) {
                return Ok(true);
            }
        }
    }
}

/// `start-end rights offset major:minor inode  path`; paths may be any bytes.
fn key_of(line: &[u8]) -> Option<FileKey> {
    let mut fields = line.split(|byte| *byte == b' ').skip(3).map(|field| std::str::from_utf8(field).ok());
    let (major, minor) = fields.next()??.split_once(':')?;
    let inode = fields.next()??;
    Some(FileKey {
        major: u32::from_str_radix(major, 16).ok()?,
        minor: u32::from_str_radix(minor, 16).ok()?,
        inode: inode.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_mapped_and_a_file_that_is_only_open_is_not() {
        let program = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(FileKey::of(&program).unwrap().is_mapped().unwrap());
        let other = std::fs::File::open("/proc/self/cmdline").unwrap();
        assert!(!FileKey::of(&other).unwrap().is_mapped().unwrap());
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line = b"7f06c2a2e000-7f06c2a30000 r--p 00000000 00:01 2097219    /memfd:sidegate:lib (deleted)\n";
        assert_eq!(key_of(line), Some(FileKey { major: 0, minor: 1, inode: 2_097_219 }));
        assert_eq!(key_of(b"7ffc-7ffd rw-p 00000000 fe:0a 0 \n").unwrap().major, 0xfe);
        assert_eq!(key_of(b"\xff\xfe\n"), None);
    }
}
