//! What the process has resident.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Open from the start: later there may be no descriptor for it.
#[derive(Debug)]
pub(crate) struct Resident(Option<File>);

impl Resident {
    pub(crate) fn open() -> Self {
        Resident(File::open("/proc/self/statm").ok())
    }

    /// Bytes, if the system says so. A system call of a microsecond or two.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let count = self.0.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..count)?).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(rustix::param::page_size() as u64)
    }
}
