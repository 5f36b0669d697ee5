//! Filters `whole` and `stream`, as `body.c`.

use std::ffi::c_void;

use sidegate_abi as abi;
use sidegate_abi::{CreateResult, FactoryTable, FilterTable, Hook, Slice};

use crate::{boxed, bytes, call, drop_boxed, no_factory_table, no_filter_table, outcome, run, text, Host, Outcome};

fn capitals(host: &Host, hook: &Hook, direction: u32) -> Outcome<u32> {
    let (mut lent, mut count) = ([Slice::EMPTY; 16], 0);
    let (place, room) = (lent.as_mut_ptr(), lent.len() as u64);
    outcome(call!(host.table, body_read(hook.stream, direction, place, room, &mut count)))?;
    let mut made = Vec::new();
    for slice in lent.get(..count as usize).ok_or(abi::LIMIT)? {
        // SAFETY: lent until the body is changed, which comes after this.
        made.extend(unsafe { bytes(*slice) }.iter().map(u8::to_ascii_uppercase));
    }
    let slice = Slice::from_bytes(&made);
    outcome(call!(host.table, body_replace(hook.stream, direction, &slice, 1)))?;
    if hook.flags & abi::HOOK_END != 0 {
        outcome(call!(host.table, body_append(hook.stream, direction, text("!"))))?;
    }
    Ok(abi::STATUS_CONTINUE)
}

unsafe extern "C" fn on_request_body(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<Host>(filter, hook, |host, hook| capitals(host, hook, abi::BODY_REQUEST))
}

unsafe extern "C" fn on_response_body(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<Host>(filter, hook, |host, hook| capitals(host, hook, abi::BODY_RESPONSE))
}

unsafe extern "C" fn on_request_trailers(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<Host>(filter, hook, |host, hook| {
        host.set_header(hook.stream, abi::MAP_REQUEST_TRAILERS, "x-checked", b"yes")?;
        Ok(abi::STATUS_CONTINUE)
    })
}

unsafe extern "C" fn create_filter(factory: *mut c_void, _: u32, _: *mut c_void, filter: *mut *mut c_void) -> u32 {
    *filter = boxed(*factory.cast::<Host>());
    abi::OK
}

static FACTORY: FactoryTable =
    FactoryTable { destroy: Some(drop_boxed::<Host>), create_filter: Some(create_filter), ..no_factory_table() };
static FILTER: FilterTable = FilterTable {
    destroy: Some(drop_boxed::<Host>),
    on_request_body: Some(on_request_body),
    on_request_trailers: Some(on_request_trailers),
    on_response_body: Some(on_response_body),
    ..no_filter_table()
};

pub(crate) fn create(host: Host, interest: u32, result: &mut CreateResult) -> Outcome<()> {
    result.factory_table = &FACTORY;
    result.filter_table = &FILTER;
    result.factory = boxed(host);
    result.interests.request_body = interest;
    result.interests.response_body = interest;
    result.interests.hooks = abi::WANT_REQUEST_TRAILERS;
    Ok(())
}
