//! The tables of one factory type: safe hooks behind C functions.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::size_of;

use sidegate_abi as abi;

use crate::entry::write_error;
use crate::host::{check, host_fn, lent, Host};
use crate::objects::{ConfigValue, RouteObject, WorkerObject};
use crate::panic::guard;
use crate::{
    Complete, ConfigError, Filter, FilterEnv, FilterFactory, HookResult, Level, RequestBody, RequestHeaders,
    RequestTrailers, ResponseBody, ResponseHeaders, ResponseTrailers, Resumed, Stream,
};

/// A factory as the host holds it.
pub(crate) struct FactoryBox<F> {
    pub(crate) host: Host,
    pub(crate) factory: F,
}

/// A filter as the host holds it. It borrows from its [`FactoryBox`], which
/// the host frees after it: `'static` stands for that.
struct FilterBox<F: FilterFactory> {
    host: Host,
    filter: F::Filter<'static>,
}

/// The constant tables of a factory type.
pub(crate) struct Tables<F>(PhantomData<F>);

impl<F: FilterFactory> Tables<F> {
    pub(crate) const FACTORY: abi::FactoryTable = abi::FactoryTable {
        size: size_of::<abi::FactoryTable>() as u64,
        destroy: Some(destroy_factory::<F>),
        create_filter: Some(create_filter::<F>),
        create_route_config: Some(create_route_config::<F>),
        destroy_route_config: Some(destroy_route_config::<F>),
        worker_attach: Some(worker_attach::<F>),
        worker_detach: Some(worker_detach::<F>),
        export_state: Some(export_state::<F>),
        import_state: Some(import_state::<F>),
    };

    pub(crate) const FILTER: abi::FilterTable = abi::FilterTable {
        size: size_of::<abi::FilterTable>() as u64,
        destroy: Some(destroy_filter::<F>),
        on_request_headers: Some(on_request_headers::<F>),
        on_request_body: Some(on_request_body::<F>),
        on_request_trailers: Some(on_request_trailers::<F>),
        on_response_headers: Some(on_response_headers::<F>),
        on_response_body: Some(on_response_body::<F>),
        on_response_trailers: Some(on_response_trailers::<F>),
        on_resume: Some(on_resume::<F>),
        on_complete: Some(on_complete::<F>),
    };
}

/// Runs a call of the host that has nothing to answer; a panic is logged.
fn quietly(host: Host, what: &str, call: impl FnOnce()) {
    if let Err(panicked) = guard(call) {
        host.log(Level::Error, &format!("{what} {panicked}"));
    }
}

unsafe extern "C" fn destroy_factory<F: FilterFactory>(factory: *mut c_void) {
    // SAFETY: made by `make_factory::<F>`; the host destroys it once, last.
    let boxed = unsafe { Box::from_raw(factory.cast::<FactoryBox<F>>()) };
    quietly(boxed.host, "dropping the factory", || drop(boxed));
}

unsafe extern "C" fn create_filter<F: FilterFactory>(
    factory: *mut c_void,
    worker: u32,
    worker_state: *mut c_void,
    filter: *mut *mut c_void,
) -> u32 {
    // SAFETY: made by `make_factory::<F>`; it outlives all its filters, which
    // is what 'static stands for here. `F` is generic over the lifetime, so
    // its code cannot make use of it.
    let boxed: &'static FactoryBox<F> = unsafe { &*factory.cast::<FactoryBox<F>>() };
    let host = boxed.host;
    let made = guard(|| {
        // SAFETY: NULL or made by our `worker_attach` for this worker.
        let worker_state = unsafe { worker_state.cast::<WorkerObject>().as_ref() };
        let env = FilterEnv { host, worker, worker_state };
        Box::new(FilterBox::<F> { host, filter: boxed.factory.filter(&env) })
    });
    match made {
        Ok(made) => {
            // SAFETY: the host's place for the pointer.
            unsafe { *filter = Box::into_raw(made).cast() };
            abi::OK
        }
        Err(panicked) => {
            host.log(Level::Error, &format!("making a filter {panicked}"));
            abi::FAILED
        }
    }
}

unsafe extern "C" fn create_route_config<F: FilterFactory>(
    factory: *mut c_void,
    config: abi::Slice,
    error: *mut abi::ErrorOut,
    route_config: *mut *mut c_void,
) -> u32 {
    // SAFETY: made by `make_factory::<F>`, not destroyed yet.
    let boxed = unsafe { &*factory.cast::<FactoryBox<F>>() };
    let made = guard(|| {
        // SAFETY: lent for the call.
        let config = ConfigValue::from_bytes(unsafe { lent(config) })?;
        boxed.factory.route_config(config)
    });
    match made.unwrap_or_else(|panicked| Err(ConfigError::new("", panicked))) {
        Ok(object) => {
            // SAFETY: the host's place for the pointer.
            unsafe { *route_config = Box::into_raw(Box::new(object)).cast() };
            abi::OK
        }
        Err(refused) => {
            // SAFETY: the host's error buffer.
            unsafe { write_error(error, &refused) };
            abi::FAILED
        }
    }
}

unsafe extern "C" fn destroy_route_config<F: FilterFactory>(factory: *mut c_void, route_config: *mut c_void) {
    // SAFETY: made by `make_factory::<F>`, not destroyed yet.
    let host = unsafe { (*factory.cast::<FactoryBox<F>>()).host };
    // SAFETY: made by `create_route_config`; destroyed once.
    let object = unsafe { Box::from_raw(route_config.cast::<RouteObject>()) };
    quietly(host, "dropping a route's settings", || drop(object));
}

unsafe extern "C" fn worker_attach<F: FilterFactory>(
    factory: *mut c_void,
    worker: u32,
    state: *mut *mut c_void,
) -> u32 {
    // SAFETY: made by `make_factory::<F>`, not destroyed yet.
    let boxed = unsafe { &*factory.cast::<FactoryBox<F>>() };
    match guard(|| boxed.factory.worker_state(worker)) {
        Ok(made) => {
            let pointer = made.map_or(std::ptr::null_mut(), |object| Box::into_raw(Box::new(object)));
            // SAFETY: the host's place for the pointer.
            unsafe { *state = pointer.cast() };
            abi::OK
        }
        Err(panicked) => {
            boxed.host.log(Level::Error, &format!("making a worker's state {panicked}"));
            abi::FAILED
        }
    }
}

unsafe extern "C" fn worker_detach<F: FilterFactory>(factory: *mut c_void, _worker: u32, state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // SAFETY: made by `make_factory::<F>`, not destroyed yet.
    let host = unsafe { (*factory.cast::<FactoryBox<F>>()).host };
    // SAFETY: made by `worker_attach` on this thread; detached once.
    let object = unsafe { Box::from_raw(state.cast::<WorkerObject>()) };
    quietly(host, "dropping a worker's state", || drop(object));
}

unsafe extern "C" fn export_state<F: FilterFactory>(
    factory: *mut c_void,
    state: *mut abi::StateOut,
    error: *mut abi::ErrorOut,
) -> u32 {
    // SAFETY: made by `make_factory::<F>`, not destroyed yet.
    let boxed = unsafe { &*factory.cast::<FactoryBox<F>>() };
    let refused = match guard(|| boxed.factory.export_state()) {
        Ok(None) => return abi::NOT_FOUND,
        Ok(Some(bytes)) => {
            let write = host_fn!(boxed.host, state_write);
            // SAFETY: the host's place, valid during this call on this thread.
            let written = write.and_then(|write| check(unsafe { write(state, abi::Slice::from_bytes(&bytes)) }));
            match written {
                Ok(()) => return abi::OK,
                Err(error) => {
                    ConfigError::new("", format_args!("the host did not take {} bytes: {error}", bytes.len()))
                }
            }
        }
        Err(panicked) => ConfigError::new("", panicked),
    };
    // SAFETY: the host's error buffer.
    unsafe { write_error(error, &refused) };
    abi::FAILED
}

unsafe extern "C" fn import_state<F: FilterFactory>(
    factory: *mut c_void,
    state: abi::Slice,
    error: *mut abi::ErrorOut,
) -> u32 {
    // SAFETY: made by `make_factory::<F>`, not destroyed yet.
    let boxed = unsafe { &*factory.cast::<FactoryBox<F>>() };
    // SAFETY: lent for the call.
    let refused = match guard(|| boxed.factory.import_state(unsafe { lent(state) })) {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(fault)) => ConfigError::new("", fault.message()),
        Err(panicked) => ConfigError::new("", panicked),
    };
    // SAFETY: the host's error buffer.
    unsafe { write_error(error, &refused) };
    abi::FAILED
}

unsafe extern "C" fn destroy_filter<F: FilterFactory>(filter: *mut c_void) {
    // SAFETY: made by `create_filter::<F>`; destroyed once.
    let boxed = unsafe { Box::from_raw(filter.cast::<FilterBox<F>>()) };
    quietly(boxed.host, "dropping a filter", || drop(boxed));
}

/// Runs one hook. An error or a panic is a fault, told to the host.
///
/// # Safety
/// The pointers are what the host gave to a hook of a filter of `F`.
#[inline]
unsafe fn run<F: FilterFactory>(
    filter: *mut c_void,
    hook: *const abi::Hook,
    call: impl FnOnce(&mut F::Filter<'static>, Stream<'_>) -> HookResult,
) -> u32 {
    // SAFETY: made by `create_filter::<F>`; hooks never overlap or nest.
    let boxed = unsafe { &mut *filter.cast::<FilterBox<F>>() };
    let host = boxed.host;
    // SAFETY: the host's hook, valid until we return.
    let (stream, raw) = unsafe { (Stream::new(host, hook), (*hook).stream) };
    match guard(|| call(&mut boxed.filter, stream)) {
        Ok(Ok(status)) => status as u32,
        Ok(Err(fault)) => {
            Stream::report_fault(host, raw, fault.message());
            abi::STATUS_FAULT
        }
        Err(panicked) => {
            Stream::report_fault(host, raw, &panicked);
            abi::STATUS_FAULT
        }
    }
}

macro_rules! hooks {
    ($($name:ident: $context:ident,)+) => {$(
        unsafe extern "C" fn $name<F: FilterFactory>(filter: *mut c_void, hook: *const abi::Hook) -> u32 {
            // SAFETY: what the host gave.
            unsafe { run::<F>(filter, hook, |filter, stream| filter.$name(&mut $context(stream))) }
        }
    )+};
}

hooks! {
    on_request_headers: RequestHeaders,
    on_request_body: RequestBody,
    on_request_trailers: RequestTrailers,
    on_response_headers: ResponseHeaders,
    on_response_body: ResponseBody,
    on_response_trailers: ResponseTrailers,
    on_resume: Resumed,
}

unsafe extern "C" fn on_complete<F: FilterFactory>(
    filter: *mut c_void,
    hook: *const abi::Hook,
    completion: *const abi::Completion,
) {
    // SAFETY: made by `create_filter::<F>`; hooks never overlap or nest.
    let boxed = unsafe { &mut *filter.cast::<FilterBox<F>>() };
    let host = boxed.host;
    quietly(host, "on_complete", || {
        // SAFETY: the host's hook and completion, valid until we return.
        let mut complete = unsafe { Complete::new(Stream::new(host, hook), completion) };
        boxed.filter.on_complete(&mut complete);
    });
}
