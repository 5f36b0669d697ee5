//! Filter `guard`, as `guard.c`.

use std::ffi::c_void;

use sidegate_abi as abi;
use sidegate_abi::{CreateArgs, CreateResult, FactoryTable, FilterTable, Hook, Slice};

use crate::{boxed, bytes, call, drop_boxed, no_factory_table, no_filter_table, outcome, refuse, run, text, Host, Outcome};

struct Guard {
    host: Host,
    user: Vec<u8>,
}

impl Guard {
    fn on_request_headers(&self, hook: &Hook) -> Outcome<u32> {
        let has = |name| self.host.header(hook.stream, abi::MAP_REQUEST, name).is_some();
        if has("x-terminate") {
            return Ok(abi::STATUS_TERMINATE);
        }
        if has("x-fault") {
            call!(self.host.table, fault(hook.stream, text("asked for a fault")));
            return Ok(abi::STATUS_FAULT);
        }
        let (mut values, mut count) = ([Slice::EMPTY; 4], 0);
        let name = text("User");
        let (place, room) = (values.as_mut_ptr(), values.len() as u64);
        outcome(call!(self.host.table, header_get_all(hook.stream, abi::MAP_REQUEST, name, place, room, &mut count)))?;
        // SAFETY: lent until the hook returns.
        if values.iter().take(count as usize).any(|value| unsafe { bytes(*value) } == self.user) {
            return Ok(abi::STATUS_CONTINUE);
        }
        Ok(self.host.reply(hook.stream, 403, "forbidden\n"))
    }
}

unsafe extern "C" fn on_request_headers(filter: *mut c_void, hook: *const Hook) -> u32 {
    // A filter keeps nothing of its own: it is its factory, which hooks share.
    let mut shared = filter.cast::<Guard>() as *const Guard;
    let place: *mut *const Guard = &mut shared;
    run::<*const Guard>(place.cast(), hook, |guard, hook| (**guard).on_request_headers(hook))
}

unsafe extern "C" fn create_filter(factory: *mut c_void, _: u32, _: *mut c_void, filter: *mut *mut c_void) -> u32 {
    *filter = factory;
    abi::OK
}

unsafe extern "C" fn keep(_: *mut c_void) {}

static FACTORY: FactoryTable =
    FactoryTable { destroy: Some(drop_boxed::<Guard>), create_filter: Some(create_filter), ..no_factory_table() };
static FILTER: FilterTable =
    FilterTable { destroy: Some(keep), on_request_headers: Some(on_request_headers), ..no_filter_table() };

pub(crate) unsafe fn create(host: Host, args: &CreateArgs, result: &mut CreateResult) -> Outcome<()> {
    let config = bytes(args.config);
    let user = config.strip_prefix(b"{\"user\":\"").and_then(|rest| rest.strip_suffix(b"\"}"));
    let user = user.ok_or_else(|| refuse(args.error, "user", "expected a name"))?.to_vec();
    result.factory_table = &FACTORY;
    result.filter_table = &FILTER;
    result.factory = boxed(Guard { host, user });
    result.interests.phases = 1 << abi::PHASE_BEFORE_ROUTE;
    Ok(())
}
