//! Filter `worker`, as `worker.c`.

use std::ffi::c_void;

use sidegate_abi as abi;
use sidegate_abi::{Completion, CreateResult, ErrorOut, FactoryTable, FilterTable, Hook, Slice};

use crate::{boxed, bytes, call, drop_boxed, no_factory_table, no_filter_table, outcome, refuse, run, text, Host, Outcome};

#[derive(Clone, Copy)]
struct Counters {
    host: Host,
    seen: u64,
    completed: u64,
}

struct OfStream {
    counters: Counters,
    nth: u32,
    head: String,
}

impl OfStream {
    fn on_request_headers(&mut self, hook: &Hook) -> Outcome<u32> {
        let host = &self.counters.host;
        host.count(self.counters.seen);
        let method = host.variable(hook.stream, abi::VAR_METHOD)?;
        let path = host.variable(hook.stream, abi::VAR_PATH)?;
        self.head = format!("{} {}", String::from_utf8_lossy(&method), String::from_utf8_lossy(&path));
        outcome(call!(host.table, named_set(hook.stream, text("conform"), text("shared"))))?;
        Ok(abi::STATUS_CONTINUE)
    }

    fn on_response_headers(&mut self, hook: &Hook) -> Outcome<u32> {
        let host = &self.counters.host;
        let show = |name, value: &[u8]| host.set_header(hook.stream, abi::MAP_RESPONSE, name, value);
        let (mut status, mut named) = (0, Slice::EMPTY);
        show("x-nth", self.nth.to_string().as_bytes())?;
        outcome(call!(host.table, variable_get_u64(hook.stream, abi::VAR_STATUS, &mut status)))?;
        show("x-saw", format!("{} {}", self.head, status).as_bytes())?;
        outcome(call!(host.table, named_get(hook.stream, text("conform"), &mut named)))?;
        // SAFETY: lent until the variable is changed.
        show("x-named", unsafe { bytes(named) })?;
        let route = call!(host.table, route_config(hook.stream));
        if !route.is_null() {
            // SAFETY: made by `create_route`, and shared only.
            show("x-route", unsafe { &*route.cast::<Vec<u8>>() })?;
        }
        Ok(abi::STATUS_CONTINUE)
    }
}

unsafe extern "C" fn on_request_headers(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<OfStream>(filter, hook, OfStream::on_request_headers)
}

unsafe extern "C" fn on_response_headers(filter: *mut c_void, hook: *const Hook) -> u32 {
    run::<OfStream>(filter, hook, OfStream::on_response_headers)
}

unsafe extern "C" fn on_complete(filter: *mut c_void, _: *const Hook, completion: *const Completion) {
    let (completion, counters) = (&*completion, &(*filter.cast::<OfStream>()).counters);
    if completion.status == 200 && completion.reset_by == abi::RESET_NOBODY {
        counters.host.count(counters.completed);
    }
}

unsafe extern "C" fn create_filter(
    factory: *mut c_void,
    _: u32,
    worker_state: *mut c_void,
    filter: *mut *mut c_void,
) -> u32 {
    let count = worker_state.cast::<u32>();
    *count += 1;
    *filter = boxed(OfStream { counters: *factory.cast(), nth: *count, head: String::new() });
    abi::OK
}

unsafe extern "C" fn attach(_: *mut c_void, _: u32, state: *mut *mut c_void) -> u32 {
    *state = boxed(0_u32);
    abi::OK
}

unsafe extern "C" fn detach(_: *mut c_void, _: u32, state: *mut c_void) {
    drop_boxed::<u32>(state);
}

unsafe extern "C" fn create_route(
    _: *mut c_void,
    config: Slice,
    error: *mut ErrorOut,
    made: *mut *mut c_void,
) -> u32 {
    let config = bytes(config);
    if config == b"null" {
        return refuse(error, "", "expected a value");
    }
    *made = boxed(config.to_vec());
    abi::OK
}

unsafe extern "C" fn destroy_route(_: *mut c_void, made: *mut c_void) {
    drop_boxed::<Vec<u8>>(made);
}

static FACTORY: FactoryTable = FactoryTable {
    destroy: Some(drop_boxed::<Counters>),
    create_filter: Some(create_filter),
    create_route_config: Some(create_route),
    destroy_route_config: Some(destroy_route),
    worker_attach: Some(attach),
    worker_detach: Some(detach),
    ..no_factory_table()
};
static FILTER: FilterTable = FilterTable {
    destroy: Some(drop_boxed::<OfStream>),
    on_request_headers: Some(on_request_headers),
    on_response_headers: Some(on_response_headers),
    on_complete: Some(on_complete),
    ..no_filter_table()
};

pub(crate) fn create(host: Host, result: &mut CreateResult) -> Outcome<()> {
    let counters = Counters { host, seen: host.counter("seen")?, completed: host.counter("completed")? };
    result.factory_table = &FACTORY;
    result.filter_table = &FILTER;
    result.factory = boxed(counters);
    result.interests.phases = 1 << abi::PHASE_AFTER_ROUTE;
    result.interests.hooks = abi::WANT_RESPONSE_HEADERS | abi::WANT_COMPLETE;
    Ok(())
}
