//! Addresses beyond their syntax.

use std::os::unix::ffi::OsStrExt;

use sidegate_api::Address;

use crate::diagnostic::kind;
use crate::reader::Cursor;

/// Longest path of a Unix socket: `sun_path` has 108 bytes with the NUL.
const MAX_SOCKET_PATH: usize = 107;

/// `address` if the system can take it.
pub(super) fn checked(cursor: &Cursor<'_>, address: Address) -> Option<Address> {
    if let Address::Unix(path) = &address {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_SOCKET_PATH || bytes.contains(&0) {
            cursor.mismatch(kind::BAD_VALUE, format!("a socket path of 1 to {MAX_SOCKET_PATH} bytes without NUL"));
            return None;
        }
    }
    Some(address)
}
