//! `admin`.

use sidegate_api::Address;

use super::address::{checked, ip_and_port, socket_mode};
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// The admin listener.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens.
    pub address: Address,
    /// What calls that change something must carry, if they may come from
    /// elsewhere than loopback.
    pub token: Option<String>,
    /// Names under which it is called.
    pub hosts: Vec<String>,
    /// Permission bits of a Unix socket; `None`: the owner alone.
    pub socket_mode: Option<u32>,
    /// Whether hosts may be changed by calls.
    pub live_edit: bool,
}

/// Without the token.
impl std::fmt::Debug for AdminConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminConfig")
            .field("address", &self.address)
            .field("hosts", &self.hosts)
            .field("live_edit", &self.live_edit)
            .finish_non_exhaustive()
    }
}

pub(super) fn admin<'a>(cursor: &Cursor<'a>) -> Option<(AdminConfig, Cursor<'a>)> {
    let mut object = cursor.object(&schema::ADMIN)?;
    let token = object.get("token").map(|cursor| token(&cursor));
    let hosts = object.get("hosts").and_then(|cursor| cursor.array()).unwrap_or_default();
    let hosts: Vec<_> = hosts.iter().map(host_name).collect();
    let live_edit_at = object.get("live_edit");
    let live_edit = live_edit_at.as_ref().and_then(|cursor| cursor.bool()).unwrap_or_default();
    let address = object.required("address");
    object.finish();
    let at = address?;
    let (address, socket_mode) = address_of(at.object(&schema::ADMIN_ADDRESS)?)?;
    let token = match token {
        Some(token) => Some(token?),
        None => None,
    };
    if let (true, None, Address::Tcp(_), Some(at)) = (live_edit, &token, &address, live_edit_at) {
        at.inert("nobody may edit: there is neither a `token` nor a Unix socket");
    }
    let hosts = hosts.into_iter().collect::<Option<_>>()?;
    Some((AdminConfig { address, token, hosts, socket_mode, live_edit }, at))
}

/// Where it listens, whatever else is wrong with it.
pub(crate) fn admin_address(cursor: &Cursor<'_>) -> Option<Address> {
    let address = cursor.object(&schema::ADMIN)?.get("address")?;
    Some(address_of(address.object(&schema::ADMIN_ADDRESS)?)?.0)
}

fn address_of(mut object: ObjectReader<'_>) -> Option<(Address, Option<u32>)> {
    let unix = object.get("unix");
    let socket = object.get("socket_address");
    let mode = object.get("mode");
    let cursor = object.cursor().clone();
    object.finish();
    match (socket, unix) {
        (Some(socket), None) => {
            if let Some(mode) = mode {
                mode.inert("there is no Unix socket whose mode it could be");
            }
            Some((socket_address(socket.object(&schema::SOCKET_ADDRESS)?)?, None))
        }
        (None, Some(unix)) => {
            let mode = match mode {
                Some(mode) => Some(socket_mode(&mode)?),
                None => None,
            };
            Some((checked(&unix, Address::Unix(unix.name()?.into()))?, mode))
        }
        (None, None) => {
            cursor.error(Finding::mismatch(kind::MISSING_KEY, "`socket_address` or `unix`", "neither"));
            None
        }
        (Some(_), Some(_)) => {
            cursor.error(Finding::mismatch(kind::BAD_VALUE, "one of `socket_address` and `unix`", "both"));
            None
        }
    }
}

fn host_name(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.string()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        cursor.mismatch(kind::BAD_VALUE, "a host name without port");
        return None;
    }
    Some(text.to_owned())
}

fn socket_address(mut object: ObjectReader<'_>) -> Option<Address> {
    let host = object.get("address");
    let port = object.required("port_value").and_then(|c| c.integer());
    object.finish();
    ip_and_port(host.as_ref(), port?)
}

/// A token travels in a header, alone.
fn token(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.string()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        cursor.error(Finding::mismatch(kind::BAD_VALUE, "visible ASCII characters without blanks", cursor.shown()));
        return None;
    }
    Some(text.to_owned())
}
