//! The in-memory host's functions for variables, bodies, replies and waiting.

use std::ffi::c_void;
use std::sync::Arc;

use sidegate_abi as abi;

use super::state::{Access, ResumeSlot, StreamState};
use super::table::stream_of;
use super::table_headers::is_token;
use crate::host::lent;
use crate::Variable;

pub(super) const MAX_BODY: usize = 1 << 20;
const MAX_NAMED: usize = 64 * 1024;

pub(super) unsafe extern "C" fn variable_get(stream: *mut abi::Stream, variable: u32, value: *mut abi::Slice) -> u32 {
    if is_number(variable) || !(abi::VAR_METHOD..=abi::VAR_TLS_CIPHER).contains(&variable) {
        return abi::UNSUPPORTED;
    }
    // SAFETY: in the stream's hook.
    match unsafe { stream_of(stream) }.variables.get(&variable) {
        Some(known) if !known.is_empty() => {
            // SAFETY: the module's place.
            unsafe { *value = abi::Slice::from_bytes(known) };
            abi::OK
        }
        _ => abi::NOT_FOUND,
    }
}

fn is_number(variable: u32) -> bool {
    matches!(variable, abi::VAR_STATUS | abi::VAR_BYTES_RECEIVED | abi::VAR_BYTES_SENT | abi::VAR_RESPONSE_FLAGS)
}

pub(super) unsafe extern "C" fn variable_get_u64(stream: *mut abi::Stream, variable: u32, value: *mut u64) -> u32 {
    if !is_number(variable) {
        return abi::UNSUPPORTED;
    }
    // SAFETY: in the stream's hook.
    let known = unsafe { stream_of(stream) }.numbers.get(&variable).copied();
    let known = if variable == abi::VAR_STATUS { known } else { Some(known.unwrap_or(0)) };
    match known {
        Some(known) => {
            // SAFETY: the module's place.
            unsafe { *value = known };
            abi::OK
        }
        None => abi::NOT_FOUND,
    }
}

pub(super) unsafe extern "C" fn variable_set(stream: *mut abi::Stream, variable: u32, value: abi::Slice) -> u32 {
    // SAFETY: in the stream's hook; the value is lent for the call.
    let (stream, value) = unsafe { (stream_of(stream), lent(value)) };
    let code = set_variable(stream, variable, value);
    let name = match Variable::ALL.iter().find(|known| **known as u32 == variable) {
        Some(known) => format!("{known:?}"),
        None if variable == abi::VAR_STATUS => "Status".to_owned(),
        None => variable.to_string(),
    };
    stream.note(|| format!("set variable {name} = {}", String::from_utf8_lossy(value)), code)
}

pub(super) fn set_variable(stream: &mut StreamState, variable: u32, value: &[u8]) -> u32 {
    if variable == abi::VAR_STATUS {
        let status = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        return match status {
            _ if !stream.response_there || stream.response_sent || stream.ended => abi::NOT_NOW,
            Some(status @ 200..=599) => {
                stream.numbers.insert(variable, status);
                abi::OK
            }
            _ => abi::BAD_VALUE,
        };
    }
    let visible = value.iter().all(u8::is_ascii_graphic) && !value.contains(&b'#');
    match variable {
        abi::VAR_METHOD..=abi::VAR_AUTHORITY if stream.request_sent || stream.ended => abi::NOT_NOW,
        abi::VAR_PATH | abi::VAR_TARGET if !value.starts_with(b"/") => abi::BAD_VALUE,
        abi::VAR_PATH if value.contains(&b'?') => abi::BAD_VALUE,
        abi::VAR_AUTHORITY if value.iter().any(|b| b"/?@,\\".contains(b)) => abi::BAD_VALUE,
        abi::VAR_METHOD if value.is_empty() => abi::BAD_VALUE,
        abi::VAR_METHOD..=abi::VAR_AUTHORITY if !visible => abi::BAD_VALUE,
        abi::VAR_TARGET => {
            stream.set_target(value);
            abi::OK
        }
        abi::VAR_PATH | abi::VAR_QUERY => {
            stream.variables.insert(variable, value.to_vec());
            let mut target = stream.variables.get(&abi::VAR_PATH).cloned().unwrap_or_default();
            if let Some(query) = stream.variables.get(&abi::VAR_QUERY).filter(|query| !query.is_empty()) {
                target.push(b'?');
                target.extend_from_slice(query);
            }
            stream.set_target(&target);
            abi::OK
        }
        abi::VAR_METHOD => {
            // As in the proxy: framing was decided by the method that came.
            let head = |method: &[u8]| method == b"HEAD";
            let was_head = stream.variables.get(&variable).is_some_and(|known| head(known));
            if value == b"CONNECT" || head(value) != was_head {
                return abi::BAD_VALUE;
            }
            stream.variables.insert(variable, value.to_vec());
            abi::OK
        }
        abi::VAR_AUTHORITY => {
            stream.variables.insert(variable, value.to_ascii_lowercase());
            abi::OK
        }
        abi::VAR_SCHEME..=abi::VAR_TLS_CIPHER => abi::NOT_NOW,
        _ => abi::UNSUPPORTED,
    }
}

pub(super) unsafe extern "C" fn named_get(stream: *mut abi::Stream, name: abi::Slice, value: *mut abi::Slice) -> u32 {
    // SAFETY: in the stream's hook; the name is lent for the call.
    let (stream, name) = unsafe { (stream_of(stream), lent(name)) };
    match stream.named.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, known)) => {
            // SAFETY: the module's place.
            unsafe { *value = abi::Slice::from_bytes(known) };
            abi::OK
        }
        None => abi::NOT_FOUND,
    }
}

pub(super) unsafe extern "C" fn named_set(stream: *mut abi::Stream, name: abi::Slice, value: abi::Slice) -> u32 {
    // SAFETY: in the stream's hook; name and value are lent for the call.
    let (stream, name, value) = unsafe { (stream_of(stream), lent(name), lent(value)) };
    let held: usize = stream.named.iter().map(|(name, value)| name.len() + value.len()).sum();
    let code = if !is_token(name) {
        abi::BAD_NAME
    } else if held + name.len() + value.len() > MAX_NAMED {
        abi::LIMIT
    } else {
        stream.named.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        stream.named.push((name.to_vec(), value.to_vec()));
        abi::OK
    };
    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    stream.note(|| format!("set named {name} = {value}"), code)
}

/// The body the running hook sees, if it may do that much with it.
///
/// # Safety
/// As [`stream_of`].
unsafe fn body<'a>(stream: *mut abi::Stream, direction: u32, at_least: Access) -> Result<&'a mut Vec<u8>, u32> {
    // SAFETY: promised by the caller.
    let stream = unsafe { stream_of(stream) };
    let access = *stream.access.get(direction as usize).ok_or(abi::UNSUPPORTED)?;
    if access == Access::None || (access == Access::Read && at_least == Access::Edit) {
        return Err(abi::NOT_NOW);
    }
    Ok(&mut stream.bodies[direction as usize])
}

pub(super) unsafe extern "C" fn body_len(stream: *mut abi::Stream, direction: u32, len: *mut u64) -> u32 {
    // SAFETY: in the stream's hook; the module's place.
    match unsafe { body(stream, direction, Access::Read) } {
        Ok(body) => {
            // SAFETY: the module's place.
            unsafe { *len = body.len() as u64 };
            abi::OK
        }
        Err(code) => code,
    }
}

/// Lends a body of two bytes or more as two slices, so that a module which
/// reads only the first fails its own test.
pub(super) unsafe extern "C" fn body_read(
    stream: *mut abi::Stream,
    direction: u32,
    slices: *mut abi::Slice,
    capacity: u64,
    count: *mut u64,
) -> u32 {
    // SAFETY: in the stream's hook.
    let body = match unsafe { body(stream, direction, Access::Read) } {
        Ok(body) => body,
        Err(code) => return code,
    };
    let (front, back) = body.split_at(body.len() / 2);
    let parts = [front, back];
    let parts = parts.iter().filter(|part| !part.is_empty());
    let mut found = 0;
    for part in parts {
        if found < capacity {
            // SAFETY: below the module's capacity.
            unsafe { *slices.add(found as usize) = abi::Slice::from_bytes(part) };
        }
        found += 1;
    }
    // SAFETY: the module's place.
    unsafe { *count = found };
    abi::OK
}

/// Changes the body that the running hook sees, and notes that.
///
/// # Safety
/// As [`stream_of`].
unsafe fn edit(
    stream: *mut abi::Stream,
    direction: u32,
    what: impl FnOnce(&str) -> String,
    change: impl FnOnce(&mut Vec<u8>) -> u32,
) -> u32 {
    // SAFETY: promised by the caller.
    let code = match unsafe { body(stream, direction, Access::Edit) } {
        Ok(body) => change(body),
        Err(code) => code,
    };
    let name = if direction == abi::BODY_REQUEST { "request body" } else { "response body" };
    // SAFETY: promised by the caller; the body's borrow is over.
    unsafe { stream_of(stream) }.note(|| what(name), code)
}

pub(super) unsafe extern "C" fn body_replace(
    stream: *mut abi::Stream,
    direction: u32,
    slices: *const abi::Slice,
    count: u64,
) -> u32 {
    let mut bytes = Vec::new();
    for index in 0..count as usize {
        // SAFETY: below the module's count; lent for the call.
        bytes.extend_from_slice(unsafe { lent(*slices.add(index)) });
    }
    let text = excerpt(&bytes);
    // SAFETY: in the stream's hook.
    unsafe {
        edit(
            stream,
            direction,
            |body| format!("replace {body} by {text}"),
            |body| {
                if bytes.len() > MAX_BODY {
                    return abi::LIMIT;
                }
                *body = bytes;
                abi::OK
            },
        )
    }
}

pub(super) unsafe extern "C" fn body_append(stream: *mut abi::Stream, direction: u32, bytes: abi::Slice) -> u32 {
    // SAFETY: lent for the call.
    let bytes = unsafe { lent(bytes) };
    // SAFETY: in the stream's hook.
    unsafe {
        edit(
            stream,
            direction,
            |body| format!("append {} to {body}", excerpt(bytes)),
            |body| {
                if body.len() + bytes.len() > MAX_BODY {
                    return abi::LIMIT;
                }
                body.extend_from_slice(bytes);
                abi::OK
            },
        )
    }
}

pub(super) unsafe extern "C" fn body_drain(
    stream: *mut abi::Stream,
    direction: u32,
    count: u64,
    drained: *mut u64,
) -> u32 {
    // SAFETY: in the stream's hook.
    unsafe {
        edit(
            stream,
            direction,
            |body| format!("drain {count} bytes of {body}"),
            |body| {
                let count = body.len().min(usize::try_from(count).unwrap_or(usize::MAX));
                body.drain(..count);
                if !drained.is_null() {
                    // The module's place.
                    *drained = count as u64;
                }
                abi::OK
            },
        )
    }
}

pub(super) unsafe extern "C" fn body_waive(stream: *mut abi::Stream, direction: u32) -> u32 {
    // SAFETY: in the stream's hook.
    let stream = unsafe { stream_of(stream) };
    let code = match direction {
        abi::BODY_REQUEST | abi::BODY_RESPONSE if stream.ended || !stream.declared[direction as usize] => abi::NOT_NOW,
        abi::BODY_REQUEST | abi::BODY_RESPONSE => {
            stream.waived[direction as usize] = true;
            abi::OK
        }
        _ => abi::UNSUPPORTED,
    };
    let name = if direction == abi::BODY_REQUEST { "request" } else { "response" };
    stream.note(|| format!("waive the {name} body"), code)
}

/// Bytes as a test shows them: not too many.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    match bytes.get(..SHOWN) {
        Some(front) => format!("\"{}\"... ({} bytes)", front.escape_ascii(), bytes.len()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}

pub(super) unsafe extern "C" fn resume_handle(stream: *mut abi::Stream, resume: *mut *mut abi::Resume) -> u32 {
    // SAFETY: in the stream's hook.
    let stream = unsafe { stream_of(stream) };
    if stream.ended {
        return stream.note(|| "take a resume handle".to_owned(), abi::GONE);
    }
    let slot = stream.resume.get_or_insert_with(Arc::default).clone();
    slot.retain();
    stream.note(|| "take a resume handle".to_owned(), abi::OK);
    // SAFETY: the module's place; the reference is its own from now on.
    unsafe { *resume = Arc::into_raw(slot).cast_mut().cast() };
    abi::OK
}

pub(super) unsafe extern "C" fn resume(resume: *mut abi::Resume) -> u32 {
    // SAFETY: the caller holds a reference.
    unsafe { &*resume.cast::<ResumeSlot>() }.resume()
}

pub(super) unsafe extern "C" fn resume_retain(resume: *mut abi::Resume) -> u32 {
    // SAFETY: the caller holds a reference.
    unsafe {
        (*resume.cast::<ResumeSlot>()).retain();
        Arc::increment_strong_count(resume.cast::<ResumeSlot>());
    }
    abi::OK
}

pub(super) unsafe extern "C" fn resume_release(resume: *mut abi::Resume) -> u32 {
    // SAFETY: takes over the caller's reference.
    let slot = unsafe { Arc::from_raw(resume.cast::<ResumeSlot>()) };
    slot.release();
    abi::OK
}

pub(super) unsafe extern "C" fn route_config(stream: *mut abi::Stream) -> *mut c_void {
    // SAFETY: in the stream's hook.
    unsafe { stream_of(stream) }.route_config
}

pub(super) unsafe extern "C" fn fault(stream: *mut abi::Stream, message: abi::Slice) -> u32 {
    // SAFETY: in the stream's hook; the message is lent for the call.
    let (stream, message) = unsafe { (stream_of(stream), lent(message)) };
    stream.fault = Some(String::from_utf8_lossy(message).into_owned());
    abi::OK
}
