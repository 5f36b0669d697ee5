//! Buffers in which a module says why it refused something.

use sidegate_abi::ErrorOut;

use crate::text;

const MESSAGE: usize = 1024;
const PATH: usize = 256;

/// Memory behind an [`ErrorOut`].
pub(crate) struct ErrorBuffers {
    message: Box<[u8; MESSAGE]>,
    path: Box<[u8; PATH]>,
}

/// What the module said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) path: String,
}

impl ErrorBuffers {
    pub(crate) fn new() -> Self {
        ErrorBuffers { message: Box::new([0; MESSAGE]), path: Box::new([0; PATH]) }
    }

    /// What to pass to the module.
    pub(crate) fn lend(&mut self) -> ErrorOut {
        ErrorOut {
            size: size_of::<ErrorOut>() as u64,
            message: self.message.as_mut_ptr(),
            message_capacity: MESSAGE as u64,
            message_len: 0,
            path: self.path.as_mut_ptr(),
            path_capacity: PATH as u64,
            path_len: 0,
        }
    }

    /// What came back: of `error` only the lengths are believed, and those no
    /// further than the buffers go.
    pub(crate) fn take(&self, error: &ErrorOut) -> Said {
        let cut = |bytes: &[u8], len: u64| {
            let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
            // A module that counts a C string's end in means well.
            let bytes = bytes[..len].strip_suffix(b"\0").unwrap_or(&bytes[..len]);
            text::printable(bytes, MESSAGE)
        };
        Said { message: cut(&*self.message, error.message_len), path: cut(&*self.path, error.path_len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_buffers_are_cut() {
        let mut buffers = ErrorBuffers::new();
        let mut error = buffers.lend();
        error.message_len = u64::MAX;
        error.path_len = 3;
        error.path = std::ptr::null_mut();
        let said = buffers.take(&error);
        assert!(said.message.starts_with("\\x00"));
        assert_eq!(said.path, "\\x00\\x00");
    }
}
