//! What the host gives to a module: its functions and what they carry.

use core::ffi::c_void;

use crate::types::{Header, Module, Resume, Slice, StateOut, Stream};

/// Called by `headers_visit` for each field in order; 0 goes on, anything else
/// stops. `*header` is valid during the call; the bytes it points to are lent
/// like all others, until the hook returns or the map is changed.
pub type HeaderVisitor = unsafe extern "C" fn(user: *mut c_void, header: *const Header) -> u32;

/// A whole reply, for [`HostTable::reply`].
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct Reply {
    /// Length of this struct in bytes.
    pub size: u64,
    /// 200 to 599.
    pub status: u32,
    /// Not used; 0.
    pub flags: u32,
    /// Fields; framing and hop-by-hop fields are refused.
    pub headers: *const Header,
    /// Number of fields.
    pub headers_len: u64,
    /// Body.
    pub body: Slice,
}

/// What a plugin is asked, for [`HostTable::plugin_call`]. Of minor 1.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct PluginCall {
    /// Length of this struct in bytes.
    pub size: u64,
    /// Which plugin: a name in `so_config.plugins`.
    pub plugin: Slice,
    /// What the call is about, for the plugin; UTF-8.
    pub kind: Slice,
    /// Its header; names are UTF-8.
    pub headers: *const Header,
    /// Number of fields.
    pub headers_len: u64,
    /// Its trailer.
    pub trailers: *const Header,
    /// Number of fields.
    pub trailers_len: u64,
    /// Its body.
    pub body: Slice,
    /// Bound of the call if it is shorter than the configuration's; 0: that.
    pub timeout_ns: u64,
}

/// How a call of a plugin ended, from [`HostTable::plugin_answer`]. Of minor 1.
/// Lent until the hook returns.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct PluginAnswer {
    /// Length of this struct in bytes, set by the module.
    pub size: u64,
    /// `PLUGIN_*`; all but `PLUGIN_ANSWERED` have a `message` and nothing else.
    pub outcome: u32,
    /// The plugin's own number.
    pub status: i32,
    /// Its header.
    pub headers: *const Header,
    /// Number of fields.
    pub headers_len: u64,
    /// Its trailer.
    pub trailers: *const Header,
    /// Number of fields.
    pub trailers_len: u64,
    /// Its body.
    pub body: Slice,
    /// Why there is no answer, for people.
    pub message: Slice,
}

/// How a stream ended, for `on_complete`.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct Completion {
    /// Length of this struct in bytes.
    pub size: u64,
    /// Status sent to the client; 0 if none was.
    pub status: u32,
    /// Response flags, as `VAR_RESPONSE_FLAGS`.
    pub flags: u32,
    /// `RESET_*`.
    pub reset_by: u32,
    /// Not used; 0.
    pub unused: u32,
    /// Request body bytes from the client.
    pub bytes_received: u64,
    /// Response body bytes to the client.
    pub bytes_sent: u64,
    /// From the first byte of the request to the end.
    pub duration_ns: u64,
    /// From the first byte of the request to the first of the upstream's
    /// response; `NO_DURATION` without.
    pub upstream_duration_ns: u64,
}

/// The host's functions. Valid until the process ends. Functions with a
/// [`Stream`] may be called in a hook of that stream only; the others from any
/// thread. Functions that can fail return `OK` or another result number and
/// have then changed nothing.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct HostTable {
    /// Length of this struct in bytes.
    pub size: u64,
    /// ABI major.
    pub abi_major: u32,
    /// ABI minor.
    pub abi_minor: u32,
    /// Name and version of the host, for people.
    pub host_version: Slice,

    /// Whether a message of `LOG_*` level would be written: 0 or 1.
    pub log_enabled: Option<unsafe extern "C" fn(module: *mut Module, level: u32) -> u32>,
    /// Writes one line; control bytes are escaped. `LIMIT` above the rate.
    pub log: Option<unsafe extern "C" fn(module: *mut Module, level: u32, message: Slice) -> u32>,
    /// Nanoseconds on a clock that never goes back.
    pub monotonic_ns: Option<unsafe extern "C" fn() -> u64>,
    /// Nanoseconds since 1970-01-01 UTC.
    pub wall_ns: Option<unsafe extern "C" fn() -> u64>,

    /// Defines a series; the same name and labels give the same `metric`
    /// again. In factories, not on the data path.
    pub metric_define: Option<
        unsafe extern "C" fn(
            module: *mut Module,
            kind: u32,
            name: Slice,
            labels: *const Header,
            labels_len: u64,
            metric: *mut u64,
        ) -> u32,
    >,
    /// Adds to a counter (not negative) or gauge.
    pub metric_add: Option<unsafe extern "C" fn(module: *mut Module, metric: u64, delta: i64) -> u32>,
    /// Sets a gauge.
    pub metric_set: Option<unsafe extern "C" fn(module: *mut Module, metric: u64, level: i64) -> u32>,
    /// Counts an observation of a histogram.
    pub metric_observe: Option<unsafe extern "C" fn(module: *mut Module, metric: u64, value: f64) -> u32>,

    /// Value of the first field `name` (any case).
    pub header_get: Option<unsafe extern "C" fn(stream: *mut Stream, map: u32, name: Slice, value: *mut Slice) -> u32>,
    /// Values of all fields `name`: writes up to `capacity` and sets `count` to
    /// how many there are.
    pub header_get_all: Option<
        unsafe extern "C" fn(
            stream: *mut Stream,
            map: u32,
            name: Slice,
            values: *mut Slice,
            capacity: u64,
            count: *mut u64,
        ) -> u32,
    >,
    /// Shows every field in order. The visitor must not change the map.
    // The derive knows no function that takes a function.
    #[cfg_attr(feature = "abi_stable", sabi(unsafe_opaque_field))]
    pub headers_visit: Option<
        unsafe extern "C" fn(stream: *mut Stream, map: u32, visitor: Option<HeaderVisitor>, user: *mut c_void) -> u32,
    >,
    /// Replaces all fields `name` by one.
    pub header_set: Option<unsafe extern "C" fn(stream: *mut Stream, map: u32, name: Slice, value: Slice) -> u32>,
    /// Appends a field.
    pub header_add: Option<unsafe extern "C" fn(stream: *mut Stream, map: u32, name: Slice, value: Slice) -> u32>,
    /// Removes all fields `name`; `removed` may be NULL.
    pub header_remove:
        Option<unsafe extern "C" fn(stream: *mut Stream, map: u32, name: Slice, removed: *mut u64) -> u32>,

    /// Value of variable `VAR_*` as bytes. `UNSUPPORTED` for an integer one.
    pub variable_get: Option<unsafe extern "C" fn(stream: *mut Stream, variable: u32, value: *mut Slice) -> u32>,
    /// Value of an integer variable. `UNSUPPORTED` for one of bytes.
    pub variable_get_u64: Option<unsafe extern "C" fn(stream: *mut Stream, variable: u32, value: *mut u64) -> u32>,
    /// Sets a variable that can be set; integers as decimal text.
    pub variable_set: Option<unsafe extern "C" fn(stream: *mut Stream, variable: u32, value: Slice) -> u32>,
    /// Value of a variable that filters share.
    pub named_get: Option<unsafe extern "C" fn(stream: *mut Stream, name: Slice, value: *mut Slice) -> u32>,
    /// Sets a variable that filters share.
    pub named_set: Option<unsafe extern "C" fn(stream: *mut Stream, name: Slice, value: Slice) -> u32>,

    /// Number of body bytes that this hook may see.
    pub body_len: Option<unsafe extern "C" fn(stream: *mut Stream, direction: u32, len: *mut u64) -> u32>,
    /// Those bytes without copying: writes up to `capacity` slices and sets
    /// `count` to how many there are.
    pub body_read: Option<
        unsafe extern "C" fn(
            stream: *mut Stream,
            direction: u32,
            slices: *mut Slice,
            capacity: u64,
            count: *mut u64,
        ) -> u32,
    >,
    /// Replaces those bytes.
    pub body_replace:
        Option<unsafe extern "C" fn(stream: *mut Stream, direction: u32, slices: *const Slice, count: u64) -> u32>,
    /// Appends to them.
    pub body_append: Option<unsafe extern "C" fn(stream: *mut Stream, direction: u32, bytes: Slice) -> u32>,
    /// Removes up to `count` from their front; `drained` may be NULL.
    pub body_drain:
        Option<unsafe extern "C" fn(stream: *mut Stream, direction: u32, count: u64, drained: *mut u64) -> u32>,

    /// Sets the reply that goes out when this hook returns `STATUS_STOP`. The
    /// last call in a hook decides: refused, or taken and followed by anything
    /// but `STATUS_STOP` or `STATUS_TERMINATE`, the stream gets 500.
    pub reply: Option<unsafe extern "C" fn(stream: *mut Stream, reply: *const Reply) -> u32>,
    /// A handle that ends the wait after this hook returns `STATUS_PENDING`.
    /// The caller owns one reference.
    pub resume_handle: Option<unsafe extern "C" fn(stream: *mut Stream, resume: *mut *mut Resume) -> u32>,
    /// Ends the wait: `OK`, `ALREADY` or `GONE`. Any thread.
    pub resume: Option<unsafe extern "C" fn(resume: *mut Resume) -> u32>,
    /// One reference more. Any thread.
    pub resume_retain: Option<unsafe extern "C" fn(resume: *mut Resume) -> u32>,
    /// One reference less. Any thread.
    pub resume_release: Option<unsafe extern "C" fn(resume: *mut Resume) -> u32>,

    /// This filter's object of the matched route or virtual host; NULL without.
    /// Valid until the hook returns.
    pub route_config: Option<unsafe extern "C" fn(stream: *mut Stream) -> *mut c_void>,
    /// Says why this hook is going to return `STATUS_FAULT`, for the log.
    pub fault: Option<unsafe extern "C" fn(stream: *mut Stream, message: Slice) -> u32>,

    /// Of minor 1: this filter wants no more of this stream's body and trailers
    /// of `direction`. In the hook of its head the message keeps its length.
    pub body_waive: Option<unsafe extern "C" fn(stream: *mut Stream, direction: u32) -> u32>,
    /// Of minor 1: appends to what `export_state` hands over. In that function,
    /// on its thread. `LIMIT` above 16 MiB in all, and then nothing is handed over.
    pub state_write: Option<unsafe extern "C" fn(state: *mut StateOut, bytes: Slice) -> u32>,

    /// Of minor 1: begins a call of a plugin and sets its number. While the
    /// filter is `PENDING`, `on_resume` follows each end of a call.
    pub plugin_call: Option<unsafe extern "C" fn(stream: *mut Stream, call: *const PluginCall, id: *mut u64) -> u32>,
    /// Of minor 1: the end of this filter's call `id`, once. `NOT_NOW`: it has
    /// none yet.
    pub plugin_answer: Option<unsafe extern "C" fn(stream: *mut Stream, id: u64, answer: *mut PluginAnswer) -> u32>,
    /// Of minor 1: gives the call `id` up.
    pub plugin_cancel: Option<unsafe extern "C" fn(stream: *mut Stream, id: u64) -> u32>,
}
