//! Replies, faults and the route's configuration.

use std::ffi::c_void;
use std::mem::size_of;

use sidegate_abi::{BAD_ARGUMENT, BAD_VALUE, LIMIT, Reply, Slice, Stream};
use sidegate_api::{Headers, LocalReply};

use super::arguments::{array, bytes, field};
use super::scope::{with, with_cx};
use super::{answer, edit_result};
use crate::route_config::ModuleRouteConfig;
use crate::text;

/// Longest text of a fault that is kept.
const MAX_FAULT_BYTES: usize = 1024;

pub(super) unsafe extern "C" fn reply(stream: *mut Stream, reply: *const Reply) -> u32 {
    answer(|| {
        if reply.is_null() || !reply.is_aligned() {
            return Err(BAD_ARGUMENT);
        }
        // SAFETY: not NULL and aligned; every reply begins with its size.
        if unsafe { reply.cast::<u64>().read() } < size_of::<Reply>() as u64 {
            return Err(BAD_ARGUMENT);
        }
        // SAFETY: it is at least as long as this host knows it.
        let given = unsafe { &*reply };
        let status = u16::try_from(given.status).map_err(|_| BAD_VALUE)?;
        if given.headers_len > Headers::MAX_FIELDS as u64 {
            return Err(LIMIT);
        }
        let mut made = LocalReply::new(status, "module_reply");
        // SAFETY: the module lends the fields and the body for the call.
        unsafe {
            for header in array(given.headers, given.headers_len)? {
                let (name, value) = field(header)?;
                made.headers.add(name, value).map_err(|_| LIMIT)?;
            }
            let body = bytes(given.body)?;
            made.body.try_reserve_exact(body.len()).map_err(|_| LIMIT)?;
            made.body.extend_from_slice(body);
        }
        with_cx(stream, |cx| cx.reply(made).map_err(edit_result))
    })
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
