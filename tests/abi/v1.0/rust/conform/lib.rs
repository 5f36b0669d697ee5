//! The filters of `../../c` in Rust, on the raw tables of `../abi` alone, with
//! what Rust 1.63 knows: `guard`, `whole`, `stream`, `wait`, `worker`.
//!
//!     rustc --edition 2021 --crate-type rlib --crate-name sidegate_abi ../abi/lib.rs
//!     rustc --edition 2021 --crate-type cdylib -O --extern sidegate_abi=libsidegate_abi.rlib lib.rs

mod body;
mod guard;
mod wait;
mod worker;

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{null_mut, slice_from_raw_parts_mut};

use sidegate_abi as abi;
use sidegate_abi::{CreateArgs, CreateResult, ErrorOut, Hook, HostTable, ModuleRecord, Slice, Stream};

#[no_mangle]
#[allow(non_upper_case_globals)]
pub static sidegate_module_v1: ModuleRecord = ModuleRecord {
    name: abi::record_text("conform"),
    version: abi::record_text("1.0.0"),
    sdk: abi::record_text("sidegate-abi"),
    sdk_version: abi::record_text("1.0"),
    compiler: abi::record_text("rustc"),
    ..ModuleRecord::new(abi::PANIC_UNWIND)
};

/// What a result other than OK carries here: its number.
type Outcome<T> = Result<T, u32>;

/// Calls a function of the host's table.
macro_rules! call {
    ($host:expr, $function:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the table lives as long as the process and has all of 1.0;
        // arguments are what the ABI asks for.
        unsafe { (($host).$function.unwrap())($($argument),*) }
    };
}
pub(crate) use call;

/// The host's table, and this module for metrics.
#[derive(Clone, Copy)]
struct Host {
    table: &'static HostTable,
    module: *mut abi::Module,
}

// SAFETY: both live as long as the process and may be used on any thread.
unsafe impl Send for Host {}
unsafe impl Sync for Host {}

impl Host {
    fn header(&self, stream: *mut Stream, map: u32, name: &str) -> Option<Vec<u8>> {
        let mut value = Slice::EMPTY;
        let found = call!(self.table, header_get(stream, map, text(name), &mut value));
        // SAFETY: the host lends it until the hook returns.
        (found == abi::OK).then(|| unsafe { bytes(value) }.to_vec())
    }

    fn set_header(&self, stream: *mut Stream, map: u32, name: &str, value: &[u8]) -> Outcome<()> {
        outcome(call!(self.table, header_set(stream, map, text(name), Slice::from_bytes(value))))
    }

    fn variable(&self, stream: *mut Stream, variable: u32) -> Outcome<Vec<u8>> {
        let mut value = Slice::EMPTY;
        outcome(call!(self.table, variable_get(stream, variable, &mut value)))?;
        // SAFETY: as above.
        Ok(unsafe { bytes(value) }.to_vec())
    }

    fn counter(&self, name: &str) -> Outcome<u64> {
        let mut metric = 0;
        let kind = abi::METRIC_COUNTER;
        outcome(call!(self.table, metric_define(self.module, kind, text(name), std::ptr::null(), 0, &mut metric)))?;
        Ok(metric)
    }

    fn count(&self, metric: u64) {
        call!(self.table, metric_add(self.module, metric, 1));
    }

    fn reply(&self, stream: *mut Stream, status: u32, body: &str) -> u32 {
        let kind = abi::Header { name: text("content-type"), value: text("text/plain; charset=utf-8") };
        let reply = abi::Reply {
            size: std::mem::size_of::<abi::Reply>() as u64,
            status,
            flags: 0,
            headers: &kind,
            headers_len: 1,
            body: text(body),
        };
        match call!(self.table, reply(stream, &reply)) {
            abi::OK => abi::STATUS_STOP,
            _ => abi::STATUS_FAULT,
        }
    }
}

fn outcome(result: u32) -> Outcome<()> {
    if result == abi::OK { Ok(()) } else { Err(result) }
}

fn text(text: &str) -> Slice {
    Slice::from_bytes(text.as_bytes())
}

/// # Safety
/// The slice must be lent for `'a`.
unsafe fn bytes<'a>(slice: Slice) -> &'a [u8] {
    if slice.len == 0 { &[] } else { std::slice::from_raw_parts(slice.ptr, slice.len as usize) }
}

/// Runs a hook on the object behind `filter`; an error or a panic is a fault.
///
/// # Safety
/// `filter` must come from `Box::into_raw` of a `T` that nothing else uses now.
unsafe fn run<T>(filter: *mut c_void, hook: *const Hook, act: impl FnOnce(&mut T, &Hook) -> Outcome<u32>) -> u32 {
    let (filter, hook) = (&mut *filter.cast::<T>(), &*hook);
    match catch_unwind(AssertUnwindSafe(|| act(filter, hook))) {
        Ok(Ok(status)) => status,
        Ok(Err(_)) | Err(_) => abi::STATUS_FAULT,
    }
}

/// For `destroy` of what was made by `Box::into_raw`.
unsafe extern "C" fn drop_boxed<T>(object: *mut c_void) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(object.cast::<T>()))));
}

fn boxed<T>(object: T) -> *mut c_void {
    Box::into_raw(Box::new(object)).cast()
}

/// Writes a refusal.
unsafe fn refuse(error: *mut ErrorOut, path: &str, message: &str) -> u32 {
    let copy = |to: *mut u8, capacity: u64, text: &str| {
        let length = text.len().min(capacity as usize);
        (*slice_from_raw_parts_mut(to, length)).copy_from_slice(&text.as_bytes()[..length]);
        length as u64
    };
    let error = &mut *error;
    error.path_len = copy(error.path, error.path_capacity, path);
    error.message_len = copy(error.message, error.message_capacity, message);
    abi::FAILED
}

const fn no_filter_table() -> abi::FilterTable {
    abi::FilterTable {
        size: std::mem::size_of::<abi::FilterTable>() as u64,
        destroy: None,
        on_request_headers: None,
        on_request_body: None,
        on_request_trailers: None,
        on_response_headers: None,
        on_response_body: None,
        on_response_trailers: None,
        on_resume: None,
        on_complete: None,
    }
}

const fn no_factory_table() -> abi::FactoryTable {
    abi::FactoryTable {
        size: std::mem::size_of::<abi::FactoryTable>() as u64,
        destroy: None,
        create_filter: None,
        create_route_config: None,
        destroy_route_config: None,
        worker_attach: None,
        worker_detach: None,
    }
}

#[no_mangle]
pub unsafe extern "C" fn sidegate_create_filter_factory_v1(args: *const CreateArgs, result: *mut CreateResult) -> u32 {
    let (args, result) = (&*args, &mut *result);
    let host = Host { table: &*args.host, module: args.module };
    let enough = std::mem::size_of::<HostTable>() as u64;
    if host.table.abi_major != u32::from(abi::ABI_MAJOR) || host.table.size < enough {
        return refuse(args.error, "", "this host is too old");
    }
    result.factory = null_mut();
    let made = catch_unwind(AssertUnwindSafe(|| match bytes(args.filter_name) {
        b"guard" => guard::create(host, args, result),
        b"whole" => body::create(host, abi::BODY_WHOLE, result),
        b"stream" => body::create(host, abi::BODY_STREAM, result),
        b"wait" => wait::create(host, result),
        b"worker" => worker::create(host, result),
        _ => {
            refuse(args.error, "", "expected one of this module's filters: guard, whole, stream, wait, worker");
            Err(abi::NOT_FOUND)
        }
    }));
    match made {
        Ok(Ok(())) => abi::OK,
        Ok(Err(result)) => result,
        Err(_) => abi::PANICKED,
    }
}
