//! Replies, faults and the route's configuration.

use std::ffi::c_void;
use std::mem::size_of;

use sidegate_abi::{BAD_ARGUMENT, BAD_VALUE, FAILED, GONE, LIMIT, Reply, Slice, Stream};
use sidegate_api::{EditError, Headers, LocalReply, RefusedReply};

use super::arguments::{array, bytes, field};
use super::scope::{refuse, with, with_cx};
use super::{answer, edit_result};
use crate::route_config::ModuleRouteConfig;
use crate::text;

/// Longest text of a fault that is kept.
const MAX_FAULT_BYTES: usize = 1024;

pub(super) unsafe extern "C" fn reply(stream: *mut Stream, reply: *const Reply) -> u32 {
    let mut refused = None;
    let code = answer(|| {
        // SAFETY: the module lends the reply for the call.
        let made = unsafe { made_of(reply) }.map_err(|(code, why)| {
            refused = Some(why);
            code
        })?;
        // Says itself what it refuses.
        with_cx(stream, |cx| cx.reply(made).map_err(edit_result))
    });
    let refused = refused.or_else(|| match code {
        // The hook that runs here wanted to answer all the same.
        GONE | BAD_ARGUMENT => Some(RefusedReply::new("stream", "it is not the running hook's")),
        FAILED => Some(RefusedReply::new("reply", "the host failed")),
        // Noted where it was refused.
        _ => None,
    });
    if let Some(refused) = refused {
        refuse(refused);
    }
    code
}

/// The reply that a module describes.
///
/// # Safety
/// If not NULL, `reply` must begin with its size and be that long; what it
/// names must be there.
unsafe fn made_of(reply: *const Reply) -> Result<LocalReply, (u32, RefusedReply)> {
    let refused = |code: u32, part: &str, reason: &str| (code, RefusedReply::new(part, reason));
    if reply.is_null() || !reply.is_aligned() {
        return Err(refused(BAD_ARGUMENT, "reply", "the pointer to it is NULL or not aligned"));
    }
    // SAFETY: not NULL and aligned; every reply begins with its size.
    let size = unsafe { reply.cast::<u64>().read() };
    if size < size_of::<Reply>() as u64 {
        return Err(refused(BAD_ARGUMENT, "size", &format!("expected at least {}, found {size}", size_of::<Reply>())));
    }
    // SAFETY: it is at least as long as this host knows it.
    let given = unsafe { &*reply };
    if given.flags != 0 {
        return Err(refused(BAD_VALUE, "flags", &format!("expected 0, found {:#x}", given.flags)));
    }
    let status = u16::try_from(given.status)
        .map_err(|_| refused(BAD_VALUE, &format!("status {}", given.status), "expected 200 to 599"))?;
    if given.headers_len > Headers::MAX_FIELDS as u64 {
        return Err(refused(LIMIT, &format!("{} fields", given.headers_len), "limit reached"));
    }
    let mut made = LocalReply::new(status, "module_reply");
    let unreadable = |part: &str| RefusedReply::new(part, "NULL, or longer than memory");
    // SAFETY: the module lends the fields and the body for the call.
    unsafe {
        let fields = array(given.headers, given.headers_len).map_err(|code| (code, unreadable("headers")))?;
        for header in fields {
            let (name, value) = field(header).map_err(|code| (code, unreadable("a field")))?;
            made.headers.add(name, value).map_err(|_| (LIMIT, RefusedReply::field(name, EditError::Limit)))?;
        }
        let body = bytes(given.body).map_err(|code| (code, unreadable("body")))?;
        let room = made.body.try_reserve_exact(body.len());
        room.map_err(|_| refused(LIMIT, "body", "out of memory"))?;
        made.body.extend_from_slice(body);
    }
    Ok(made)
}

pub(super) unsafe extern "C" fn fault(stream: *mut Stream, message: Slice) -> u32 {
    answer(|| {
        // SAFETY: the module lends it for the call.
        let message = text::printable(unsafe { bytes(message) }?, MAX_FAULT_BYTES);
        with(stream, |host| {
            *host.fault.borrow_mut() = Some(message);
            Ok(())
        })
    })
}

pub(super) unsafe extern "C" fn route_config(stream: *mut Stream) -> *mut c_void {
    let mut object = std::ptr::null_mut();
    answer(|| {
        with(stream, |host| {
            object = host
                .with_cx(|cx| {
                    let config = cx.route_config()?.as_any().downcast_ref::<ModuleRouteConfig>()?;
                    config.object_of(host.core)
                })
                .unwrap_or(std::ptr::null_mut());
            Ok(())
        })
    });
    object
}
