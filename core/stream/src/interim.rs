//! Informational responses, of which each costs work at both ends, whether or
//! not it travels on.

use crate::{ClientError, ResponseError};

/// To one request: far more than any server sends.
const MAX_COUNT: u32 = 32;
/// Bytes of them together; a final head may be as long.
const MAX_BYTES: usize = 64 * 1024;

/// Those to the current request.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    count: u32,
    bytes: usize,
}

impl Interim {
    /// One of so many bytes came.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), ClientError> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.count > MAX_COUNT || self.bytes > MAX_BYTES {
            return Err(ResponseError { details: "too_many_interim_responses" }.into());
        }
        Ok(())
    }

    /// Whether there was any.
    pub(crate) fn any(&self) -> bool {
        self.count > 0
    }
}
