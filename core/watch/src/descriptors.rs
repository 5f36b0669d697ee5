//! Descriptors of a child that a module forked: what the parent serves with is
//! not the child's to keep.

use std::ffi::CStr;
use std::mem::{MaybeUninit, offset_of};

/// The first that is not standard input, output or error.
const FIRST: libc::c_int = 3;

/// Closes all sockets, and what waits for them (epoll, eventfd): with copies in
/// a child, connections that the parent closes stay open, and a child that goes
/// on where it forked takes the parent's events and answers its clients. Files
/// and pipes stay.
///
/// Calls nothing but the kernel, as is due after a fork. Without `/proc` it
/// closes nothing.
///
/// # Safety
/// Nobody in this process may use its sockets any more.
pub(crate) unsafe fn close_what_serves() {
    const FOLDER: &CStr = c"/proc/self/fd";
    // SAFETY: a string that ends with NUL; the answer is a number.
    let folder = unsafe { libc::open(FOLDER.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    if folder < 0 {
        return;
    }
    let mut buffer = Entries([0; 4096]);
    loop {
        // SAFETY: the kernel fills at most the buffer's length.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, folder, buffer.0.as_mut_ptr(), buffer.0.len()) };
        let Some(mut entries) = usize::try_from(filled).ok().and_then(|filled| buffer.0.get(..filled)) else { break };
        if entries.is_empty() {
            break;
        }
        while let Some((number, rest)) = first_of(entries) {
            entries = rest;
            if let Some(number) = number.filter(|&number| number >= FIRST && number != folder)
                && serves(number)
            {
                // SAFETY: by the caller's promise.
                unsafe { libc::close(number) };
            }
        }
    }
    // SAFETY: opened above.
    unsafe { libc::close(folder) };
}

/// As aligned as the entries that the kernel writes.
#[repr(align(8))]
struct Entries([u8; 4096]);

/// The number that the first entry names, if it names one, and the entries
/// behind it.
fn first_of(entries: &[u8]) -> Option<(Option<libc::c_int>, &[u8])> {
    const LENGTH: usize = offset_of!(libc::dirent64, d_reclen);
    const NAME: usize = offset_of!(libc::dirent64, d_name);
    let length = u16::from_ne_bytes([*entries.get(LENGTH)?, *entries.get(LENGTH + 1)?]);
    let (entry, rest) = entries.split_at_checked(length.into())?;
    let mut number: Option<libc::c_int> = None;
    for &byte in entry.get(NAME..)?.iter().take_while(|&&byte| byte != 0) {
        // `.` and `..` are no numbers.
        let Some(digit) = byte.is_ascii_digit().then(|| libc::c_int::from(byte - b'0')) else {
            return Some((None, rest));
        };
        number = number.unwrap_or(0).checked_mul(10).and_then(|above| above.checked_add(digit));
        number?;
    }
    Some((number, rest))
}

/// Sockets, and files without a type: epoll, eventfd and their kind.
fn serves(number: libc::c_int) -> bool {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel fills it, or says that it has not; zeroes are valid.
    let (done, about) = unsafe { (libc::fstat(number, about.as_mut_ptr()), about.assume_init()) };
    done == 0 && matches!(about.st_mode & libc::S_IFMT, libc::S_IFSOCK | 0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_serves_is_told_from_files_and_pipes() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (read, write) = std::io::pipe().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(serves(socket.as_raw_fd()));
        for other in [read.as_raw_fd(), write.as_raw_fd(), file.as_raw_fd(), -1] {
            assert!(!serves(other));
        }
    }

    #[test]
    fn entries_of_a_folder_are_numbers_or_not() {
        let entry = |name: &[u8], len: u16| {
            let mut bytes = vec![0; len.into()];
            bytes[16..18].copy_from_slice(&len.to_ne_bytes());
            bytes[19..19 + name.len()].copy_from_slice(name);
            bytes
        };
        let folder = [entry(b"..", 24), entry(b"1023", 24), entry(b"99999999999", 32)].concat();
        let (number, rest) = first_of(&folder).unwrap();
        assert_eq!((number, rest.len()), (None, 56));
        let (number, rest) = first_of(rest).unwrap();
        assert_eq!((number, rest.len()), (Some(1023), 32));
        assert!(first_of(rest).is_none() && first_of(&rest[..20]).is_none() && first_of(&[]).is_none());
    }
}
