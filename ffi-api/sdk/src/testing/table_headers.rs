//! The in-memory host's header functions.

use std::ffi::c_void;

use sidegate_abi as abi;

use super::state::{Field, StreamState};
use super::table::stream_of;
use super::table_stream::set_variable;
use crate::host::lent;

/// Fields up to which filters may fill a map.
pub(super) const MAX_FIELDS: usize = 4096 - 256;

/// Values of the fields `name`; header `host` is the variable.
fn values<'s>(stream: &'s StreamState, map: u32, name: &'s [u8]) -> Option<impl Iterator<Item = &'s [u8]>> {
    let fields = stream.maps.get(map as usize)?;
    let authority = stream.variables.get(&abi::VAR_AUTHORITY).filter(|_| is_host(map, name));
    let found = fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..]);
    Some(authority.map(|value| &value[..]).into_iter().chain(found))
}

fn is_host(map: u32, name: &[u8]) -> bool {
    map == abi::MAP_REQUEST && name.eq_ignore_ascii_case(b"host")
}

pub(super) unsafe extern "C" fn header_get(
    stream: *mut abi::Stream,
    map: u32,
    name: abi::Slice,
    value: *mut abi::Slice,
) -> u32 {
    // SAFETY: in the stream's hook; the name is lent.
    let (stream, name) = unsafe { (stream_of(stream), lent(name)) };
    let Some(mut values) = values(stream, map, name) else { return abi::UNSUPPORTED };
    let Some(first) = values.next() else { return abi::NOT_FOUND };
    // SAFETY: the module's place.
    unsafe { *value = abi::Slice::from_bytes(first) };
    abi::OK
}

pub(super) unsafe extern "C" fn header_get_all(
    stream: *mut abi::Stream,
    map: u32,
    name: abi::Slice,
    out: *mut abi::Slice,
    capacity: u64,
    count: *mut u64,
) -> u32 {
    // SAFETY: in the stream's hook; the name is lent.
    let (stream, name) = unsafe { (stream_of(stream), lent(name)) };
    let Some(values) = values(stream, map, name) else { return abi::UNSUPPORTED };
    let mut found = 0;
    for value in values {
        if found < capacity {
            // SAFETY: below the module's capacity.
            unsafe { *out.add(found as usize) = abi::Slice::from_bytes(value) };
        }
        found += 1;
    }
    // SAFETY: the module's place.
    unsafe { *count = found };
    abi::OK
}

pub(super) unsafe extern "C" fn headers_visit(
    stream: *mut abi::Stream,
    map: u32,
    visitor: Option<abi::HeaderVisitor>,
    user: *mut c_void,
) -> u32 {
    // SAFETY: in the stream's hook.
    let stream = unsafe { stream_of(stream) };
    let Some(visitor) = visitor else { return abi::BAD_ARGUMENT };
    let Some(fields) = stream.maps.get(map as usize) else { return abi::UNSUPPORTED };
    let host = stream.variables.get(&abi::VAR_AUTHORITY).filter(|_| map == abi::MAP_REQUEST);
    let host = host.map(|value| (&b"host"[..], &value[..])).into_iter();
    for (name, value) in host.chain(fields.iter().map(|(name, value)| (&name[..], &value[..]))) {
        let header = abi::Header { name: abi::Slice::from_bytes(name), value: abi::Slice::from_bytes(value) };
        // SAFETY: the module's visitor with its own `user`.
        if unsafe { visitor(user, &header) } != 0 {
            break;
        }
    }
    abi::OK
}

/// The map, if `name` and `value` may be written to it now.
fn open<'s>(stream: &'s mut StreamState, map: u32, name: &[u8], value: &[u8]) -> Result<&'s mut Vec<Field>, u32> {
    let there = match map {
        _ if stream.ended => false,
        abi::MAP_REQUEST => !stream.request_sent,
        abi::MAP_RESPONSE => stream.response_there && !stream.response_sent,
        abi::MAP_RESPONSE_TRAILERS => stream.response_there && !stream.no_trailers[abi::BODY_RESPONSE as usize],
        // Edited in hooks of the request: later they are sent.
        _ => !stream.response_there && !stream.no_trailers[abi::BODY_REQUEST as usize],
    };
    let fields = stream.maps.get_mut(map as usize).ok_or(abi::UNSUPPORTED)?;
    check_field(name, value)?;
    if matches!(map, abi::MAP_REQUEST_TRAILERS | abi::MAP_RESPONSE_TRAILERS) && !may_trail(name) {
        return Err(abi::RESERVED);
    }
    if !there {
        return Err(abi::NOT_NOW);
    }
    Ok(fields)
}

/// The rules of RFC 9110 for what a filter may write.
pub(super) fn check_field(name: &[u8], value: &[u8]) -> Result<(), u32> {
    if !is_token(name) {
        return Err(abi::BAD_NAME);
    }
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    let bad = |b: &u8| (*b < b' ' && *b != b'\t') || *b == 0x7f;
    if value.iter().any(bad) || blank(value.first()) || blank(value.last()) {
        return Err(abi::BAD_VALUE);
    }
    const RESERVED: [&[u8]; 9] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"trailer",
        b"expect",
    ];
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(abi::RESERVED);
    }
    Ok(())
}

pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// Trailers carry no routing and no credentials.
fn may_trail(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 6] =
        [b"host", b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"content-type"];
    !FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name))
}

fn map_name(map: u32) -> &'static str {
    match map {
        abi::MAP_REQUEST => "request header",
        abi::MAP_REQUEST_TRAILERS => "request trailer",
        abi::MAP_RESPONSE => "response header",
        abi::MAP_RESPONSE_TRAILERS => "response trailer",
        _ => "unknown map's",
    }
}

fn field_text(verb: &str, map: u32, name: &[u8], value: &[u8]) -> String {
    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    format!("{verb} {} {name}: {value}", map_name(map))
}

pub(super) unsafe extern "C" fn header_set(
    stream: *mut abi::Stream,
    map: u32,
    name: abi::Slice,
    value: abi::Slice,
) -> u32 {
    // SAFETY: in the stream's hook; name and value are lent for the call.
    let (stream, name, value) = unsafe { (stream_of(stream), lent(name), lent(value)) };
    let code = set(stream, map, name, value);
    stream.note(|| field_text("set", map, name, value), code)
}

fn set(stream: &mut StreamState, map: u32, name: &[u8], value: &[u8]) -> u32 {
    if is_host(map, name) {
        return set_variable(stream, abi::VAR_AUTHORITY, value);
    }
    match open(stream, map, name, value) {
        Ok(fields) => {
            let field = (name.to_ascii_lowercase(), value.to_vec());
            if fields.len() >= MAX_FIELDS && !fields.iter().any(|(known, _)| *known == field.0) {
                return abi::LIMIT;
            }
            let place = fields.iter().position(|(known, _)| *known == field.0);
            fields.retain(|(known, _)| *known != field.0);
            fields.insert(place.unwrap_or(fields.len()), field);
            abi::OK
        }
        Err(code) => code,
    }
}

pub(super) unsafe extern "C" fn header_add(
    stream: *mut abi::Stream,
    map: u32,
    name: abi::Slice,
    value: abi::Slice,
) -> u32 {
    // SAFETY: in the stream's hook; name and value are lent for the call.
    let (stream, name, value) = unsafe { (stream_of(stream), lent(name), lent(value)) };
    let code = match open(stream, map, name, value) {
        _ if is_host(map, name) => abi::RESERVED,
        Ok(fields) if fields.len() >= MAX_FIELDS => abi::LIMIT,
        Ok(fields) => {
            fields.push((name.to_ascii_lowercase(), value.to_vec()));
            abi::OK
        }
        Err(code) => code,
    };
    stream.note(|| field_text("add", map, name, value), code)
}

pub(super) unsafe extern "C" fn header_remove(
    stream: *mut abi::Stream,
    map: u32,
    name: abi::Slice,
    removed: *mut u64,
) -> u32 {
    // SAFETY: in the stream's hook; the name is lent for the call.
    let (stream, name) = unsafe { (stream_of(stream), lent(name)) };
    let code = match open(stream, map, name, b"") {
        _ if is_host(map, name) => abi::RESERVED,
        Ok(fields) => {
            let before = fields.len();
            fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if !removed.is_null() {
                // SAFETY: the module's place.
                unsafe { *removed = (before - fields.len()) as u64 };
            }
            abi::OK
        }
        Err(code) => code,
    };
    stream.note(|| format!("remove {} {}", map_name(map), String::from_utf8_lossy(name)), code)
}
