//! What a module gives to the host: factory and filter tables.

use core::ffi::c_void;

use crate::host::{Completion, HostTable};
use crate::types::{ErrorOut, Module, Slice, StateOut, Stream};

/// The fixed-name entry of a module. Runs on the module-control thread.
/// Returns `OK`, or `FAILED`/`NOT_FOUND` with the reason in `args.error`.
pub type CreateFilterFactory = unsafe extern "C" fn(args: *const CreateArgs, result: *mut CreateResult) -> u32;

/// Optional: called on every thread that entered the module, before unload.
pub type ThreadDetach = unsafe extern "C" fn();

/// Optional: the `abi_stable` layout of the ABI types.
pub type LayoutFn = unsafe extern "C" fn() -> *const c_void;

/// What the host gives when it asks for a factory. Everything but `host` and
/// `module` is valid during the call only.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct CreateArgs {
    /// Length of this struct in bytes.
    pub size: u64,
    /// The host's functions; valid until the process ends.
    pub host: *const HostTable,
    /// Identity for log and metric calls; valid until the process ends.
    pub module: *mut Module,
    /// Which of the module's filters; empty asks for its only one.
    pub filter_name: Slice,
    /// The filter's configuration, a JSON object in UTF-8; `{}` if absent.
    pub config: Slice,
    /// Where to say why it was refused.
    pub error: *mut ErrorOut,
    /// Number of workers; their indexes are below it.
    pub workers: u32,
    /// Not used; 0. (No table ends in padding: `size` tells every field.)
    pub unused: u32,

    /// Of minor 1: names of the plugins that the filter may call, sorted.
    pub plugins: *const Slice,
    /// Number of names.
    pub plugins_len: u64,
}

/// What a factory's filters want to see. Constant over the factory's life.
/// Frozen, because it stands inside [`CreateResult`].
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug, Clone, Copy, Default)]
pub struct Interests {
    /// Bit `1 << PHASE_*` for each receiver phase whose header hook runs.
    pub phases: u32,
    /// `BODY_*` interest in the request body.
    pub request_body: u32,
    /// `BODY_*` interest in the response body.
    pub response_body: u32,
    /// `WANT_*` bits.
    pub hooks: u32,
}

/// Filled by the module. The host sets `size` and zeroes the rest before the
/// call; the module writes only fields that lie within `size`.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct CreateResult {
    /// Length of this struct in bytes as the host knows it.
    pub size: u64,
    /// The factory's functions; valid until the module is unloaded.
    pub factory_table: *const FactoryTable,
    /// The functions of its filters; valid until the module is unloaded.
    pub filter_table: *const FilterTable,
    /// The factory, passed to all its functions.
    pub factory: *mut c_void,
    /// What its filters want.
    pub interests: Interests,
}

/// Functions of a factory.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct FactoryTable {
    /// Length of this struct in bytes.
    pub size: u64,
    /// Frees the factory after its last filter, route configuration and worker
    /// state. Module-control thread, once. Required.
    pub destroy: Option<unsafe extern "C" fn(factory: *mut c_void)>,
    /// Makes a filter for a new stream on worker `worker`. Required. Any
    /// result but `OK` is a fault.
    pub create_filter: Option<
        unsafe extern "C" fn(
            factory: *mut c_void,
            worker: u32,
            worker_state: *mut c_void,
            filter: *mut *mut c_void,
        ) -> u32,
    >,
    /// Makes an object of a route's `per_filter_config` (a JSON value).
    /// Module-control thread. Optional.
    pub create_route_config: Option<
        unsafe extern "C" fn(
            factory: *mut c_void,
            config: Slice,
            error: *mut ErrorOut,
            route_config: *mut *mut c_void,
        ) -> u32,
    >,
    /// Frees such an object. Module-control thread. Required with
    /// `create_route_config`.
    pub destroy_route_config: Option<unsafe extern "C" fn(factory: *mut c_void, route_config: *mut c_void)>,
    /// Makes the state of one worker, on that worker. Optional.
    pub worker_attach: Option<unsafe extern "C" fn(factory: *mut c_void, worker: u32, state: *mut *mut c_void) -> u32>,
    /// Frees such a state, on that worker. Required with `worker_attach`.
    pub worker_detach: Option<unsafe extern "C" fn(factory: *mut c_void, worker: u32, state: *mut c_void)>,

    /// Of minor 1: writes what the factory that follows this one should know,
    /// with [`HostTable::state_write`]. Module-control thread, beside hooks.
    /// `NOT_FOUND`: there is nothing to hand over. Optional.
    pub export_state:
        Option<unsafe extern "C" fn(factory: *mut c_void, state: *mut StateOut, error: *mut ErrorOut) -> u32>,
    /// Of minor 1: takes over what a factory of the same module and filter
    /// wrote, another version of it perhaps: bytes to be checked. Once, before
    /// the first filter unless it takes too long, on the module-control thread.
    /// Anything but `OK` has changed nothing. Optional.
    pub import_state: Option<unsafe extern "C" fn(factory: *mut c_void, state: Slice, error: *mut ErrorOut) -> u32>,
}

/// What a hook is told. Valid during the hook.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct Hook {
    /// Length of this struct in bytes.
    pub size: u64,
    /// The stream, for the host's functions.
    pub stream: *mut Stream,
    /// What `worker_attach` made for this worker; NULL without.
    pub worker_state: *mut c_void,
    /// `PHASE_*`.
    pub phase: u32,
    /// `HOOK_*` bits.
    pub flags: u32,
}

/// One hook of a filter: returns a `STATUS_*`. Spelled out in the table, where
/// the layout's derive looks for a function and not for a name.
pub type HookFn = unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32;

/// Functions of a filter. Hooks run on the stream's worker, never overlap and
/// never nest. A hook that is `None` continues.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct FilterTable {
    /// Length of this struct in bytes.
    pub size: u64,
    /// Frees the filter, once, on the stream's worker. Required.
    pub destroy: Option<unsafe extern "C" fn(filter: *mut c_void)>,
    /// Request head, in each declared phase.
    pub on_request_headers: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// Request body: a chunk or all of it; in `STREAM` and `WHOLE` also the
    /// empty end of a request without one.
    pub on_request_body: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// Request trailers.
    pub on_request_trailers: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// Response head.
    pub on_response_headers: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// Response body: a chunk or all of it; in `STREAM` and `WHOLE` also the
    /// empty end of a response that has none and could have one.
    pub on_response_body: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// Response trailers.
    pub on_response_trailers: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// After a resume, in place of the hook that returned `PENDING`. It may be
    /// returned again, for a new handle: the time for a resume counts from the
    /// first, and 10,000 resumes of one hook are the most.
    pub on_resume: Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook) -> u32>,
    /// The stream has ended; once, before `destroy`; not after a fault.
    pub on_complete:
        Option<unsafe extern "C" fn(filter: *mut c_void, hook: *const Hook, completion: *const Completion)>,
}
