//! A line that is made without allocating.

use crate::thread::current;

/// Holds the longest names of a place and what else a line says.
const ROOM: usize = 1024;

/// What does not fit is cut; the end of the line has its room.
pub(crate) struct Line {
    bytes: [u8; ROOM],
    len: usize,
}

impl Line {
    pub(crate) fn new() -> Self {
        let mut line = Line { bytes: [0; ROOM], len: 0 };
        line.push("sidegate: ");
        line
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.len + 1 < ROOM {
                self.bytes[self.len] = *byte;
                self.len += 1;
            }
        }
    }

    pub(crate) fn push_hex(&mut self, number: usize) {
        self.push("0x");
        self.push_digits(number as u64, 16);
    }

    pub(crate) fn push_number(&mut self, number: u64) {
        self.push_digits(number, 10);
    }

    fn push_digits(&mut self, number: u64, base: u64) {
        let mut digits = [0_u8; 20];
        let (mut left, mut at) = (number, digits.len());
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(left % base) as usize];
            left /= base;
            if left == 0 {
                break;
            }
        }
        self.push_bytes(&digits[at..]);
    }

    /// Ends the line and writes it to standard error.
    pub(crate) fn write(mut self) {
        self.bytes[self.len] = b'\n';
        let mut left = &self.bytes[..=self.len];
        while !left.is_empty() {
            // SAFETY: the bytes are this line's. Nobody is left to tell of a
            // failure.
            let written = unsafe { libc::write(libc::STDERR_FILENO, left.as_ptr().cast(), left.len()) };
            match usize::try_from(written) {
                Ok(count @ 1..) => left = &left[count.min(left.len())..],
                _ => return,
            }
        }
    }
}

/// ` in THREAD, module M, filter F, HOOK (sha256 …)`.
pub(crate) fn push_whereabouts(line: &mut Line) {
    line.push(" in ");
    let Some(cell) = current() else {
        line.push("another thread (");
        push_thread_name(line);
        return line.push(")");
    };
    line.push(cell.name());
    let Some(at) = cell.at() else {
        return line.push(", in no filter");
    };
    line.push(", ");
    line.push(at.place.text());
    line.push(", ");
    line.push(at.hook.name());
    if let Some(digest) = at.place.digest() {
        line.push(" (sha256 ");
        line.push(digest);
        line.push(")");
    }
}

/// Of a thread that the proxy does not watch: a module's, most likely.
fn push_thread_name(line: &mut Line) {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes at most 16 bytes, the last of them 0.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    for byte in name.iter().take_while(|byte| **byte != 0) {
        line.push_bytes(&[if byte.is_ascii_graphic() { *byte } else { b'?' }]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fill: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::new();
        fill(&mut line);
        String::from_utf8(line.bytes[..line.len].to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4096, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(text(|line| line.push_number(number)), format!("sidegate: {number}"));
            assert_eq!(text(|line| line.push_hex(number as usize)), format!("sidegate: {:#x}", number as usize));
        }
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let long = text(|line| (0..100).for_each(|_| line.push("0123456789abcdef")));
        assert_eq!(long.len(), ROOM - 1);
    }

    #[test]
    fn a_thread_that_nobody_watches_has_its_own_name() {
        let named = std::thread::Builder::new().name("some thread".into());
        let said = named.spawn(|| text(push_whereabouts)).unwrap().join().unwrap();
        assert_eq!(said, "sidegate:  in another thread (some?thread)");
    }
}
