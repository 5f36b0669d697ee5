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

/// An IP address, by default all IPv4 ones, with a port.
pub(super) fn ip_and_port(host: Option<&Cursor<'_>>, port: u64) -> Option<Address> {
    let text = match host {
        Some(cursor) => cursor.string()?,
        None => "",
    };
    let bracketed = if text.contains(':') && !text.starts_with('[') { format!("[{text}]") } else { text.to_owned() };
    let address = Address::parse(&format!("{bracketed}:{port}")).ok().filter(|a| matches!(a, Address::Tcp(_)));
    if let (None, Some(host)) = (&address, host) {
        host.mismatch(kind::BAD_VALUE, "an IP address or localhost");
    }
    address
}
