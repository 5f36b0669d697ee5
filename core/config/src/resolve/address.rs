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

/// Permission bits of a socket's file. A string, because YAML's 0660 is not the number that people mean by it.
pub(super) fn socket_mode(cursor: &Cursor<'_>) -> Option<u32> {
    let text = cursor.string()?;
    let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
    let mode = u32::from_str_radix(digits, 8).ok().filter(|_| digits.len() == 3 && !digits.starts_with('+'));
    if mode.is_none() {
        cursor.mismatch(kind::BAD_VALUE, "three octal digits such as \"0660\"");
    }
    mode
}
