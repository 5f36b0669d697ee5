//! The in-memory host's function table.

use std::cell::Cell;
use std::mem::size_of;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sidegate_abi as abi;

use super::plugins::{plugin_answer, plugin_call, plugin_cancel};
use super::state::{Field, MetricState, ModuleState, StreamState};
use super::table_headers::{header_add, header_get, header_get_all, header_remove, header_set, headers_visit};
use super::table_reply::reply;
use super::table_stream::{
    body_append, body_drain, body_len, body_read, body_replace, body_waive, fault, named_get, named_set, resume,
    resume_handle, resume_release, resume_retain, route_config, variable_get, variable_get_u64, variable_set,
};
use crate::host::lent;
use crate::Level;

pub(crate) const HOST: abi::HostTable = abi::HostTable {
    size: size_of::<abi::HostTable>() as u64,
    abi_major: abi::ABI_MAJOR as u32,
    abi_minor: abi::ABI_MINOR as u32,
    host_version: abi::Slice { ptr: NAME.as_ptr(), len: NAME.len() as u64 },
    log_enabled: Some(log_enabled),
    log: Some(log),
    monotonic_ns: Some(monotonic_ns),
    wall_ns: Some(wall_ns),
    metric_define: Some(metric_define),
    metric_add: Some(metric_add),
    metric_set: Some(metric_set),
    metric_observe: Some(metric_observe),
    header_get: Some(header_get),
    header_get_all: Some(header_get_all),
    headers_visit: Some(headers_visit),
    header_set: Some(header_set),
    header_add: Some(header_add),
    header_remove: Some(header_remove),
    variable_get: Some(variable_get),
    variable_get_u64: Some(variable_get_u64),
    variable_set: Some(variable_set),
    named_get: Some(named_get),
    named_set: Some(named_set),
    body_len: Some(body_len),
    body_read: Some(body_read),
    body_replace: Some(body_replace),
    body_append: Some(body_append),
    body_drain: Some(body_drain),
    reply: Some(reply),
    resume_handle: Some(resume_handle),
    resume: Some(resume),
    resume_retain: Some(resume_retain),
    resume_release: Some(resume_release),
    route_config: Some(route_config),
    fault: Some(fault),
    body_waive: Some(body_waive),
    state_write: Some(super::handover::state_write),
    plugin_call: Some(plugin_call),
    plugin_answer: Some(plugin_answer),
    plugin_cancel: Some(plugin_cancel),
};

const NAME: &[u8] = b"sidegate-sdk in-memory host";

/// # Safety
/// `module` came from [`ModuleState::as_raw`], which is never freed.
unsafe fn module_of(module: *mut abi::Module) -> &'static ModuleState {
    // SAFETY: promised by the caller.
    unsafe { &*module.cast::<ModuleState>() }
}

/// # Safety
/// `stream` is the stream of the running hook, and no other borrow of it is
/// alive. Bytes lent before are in buffers that a mere borrow does not move.
pub(super) unsafe fn stream_of<'a>(stream: *mut abi::Stream) -> &'a mut StreamState {
    // SAFETY: promised by the caller.
    unsafe { &mut *stream.cast::<StreamState>() }
}

unsafe extern "C" fn log_enabled(_: *mut abi::Module, level: u32) -> u32 {
    (abi::LOG_ERROR..=abi::LOG_DEBUG).contains(&level).into()
}

unsafe extern "C" fn log(module: *mut abi::Module, level: u32, message: abi::Slice) -> u32 {
    let level = match level {
        abi::LOG_ERROR => Level::Error,
        abi::LOG_WARN => Level::Warn,
        abi::LOG_INFO => Level::Info,
        abi::LOG_DEBUG => Level::Debug,
        abi::LOG_TRACE => Level::Trace,
        _ => return abi::BAD_ARGUMENT,
    };
    // SAFETY: our module; the message is lent for the call.
    unsafe { module_of(module).log(level, String::from_utf8_lossy(lent(message)).into_owned()) };
    abi::OK
}

thread_local! {
    /// How far this thread's clocks run ahead. The clocks' functions are told
    /// nothing about whose clock they are, and each test has a thread.
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

pub(super) fn advance(by: Duration) {
    AHEAD.with(|ahead| ahead.set(ahead.get() + by));
}

unsafe extern "C" fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    (START.get_or_init(Instant::now).elapsed() + AHEAD.with(Cell::get)).as_nanos() as u64
}

unsafe extern "C" fn wall_ns() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| (since + AHEAD.with(Cell::get)).as_nanos() as u64)
}

unsafe extern "C" fn metric_define(
    module: *mut abi::Module,
    kind: u32,
    name: abi::Slice,
    labels: *const abi::Header,
    labels_len: u64,
    metric: *mut u64,
) -> u32 {
    // SAFETY: our module; name and labels are lent for the call.
    let (module, name, labels) = unsafe { (module_of(module), lent(name).to_vec(), fields(labels, labels_len)) };
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    if name.is_empty() || name[0].is_ascii_digit() || !name.iter().all(word) {
        return abi::BAD_NAME;
    }
    if !(abi::METRIC_COUNTER..=abi::METRIC_HISTOGRAM).contains(&kind) {
        return abi::UNSUPPORTED;
    }
    let mut metrics = module.metrics();
    let known = metrics.iter().position(|m| m.name == name && m.labels == labels);
    let number = match known {
        Some(known) if metrics[known].kind != kind => return abi::BAD_VALUE,
        Some(known) => known,
        None => {
            metrics.push(MetricState { kind, name, labels, value: 0.0 });
            metrics.len() - 1
        }
    };
    // SAFETY: the module's place for the number.
    unsafe { *metric = number as u64 };
    abi::OK
}

/// Changes a series if it is of one of `kinds`.
unsafe fn with_metric(module: *mut abi::Module, metric: u64, kinds: &[u32], change: impl FnOnce(&mut f64)) -> u32 {
    // SAFETY: our module.
    let mut metrics = unsafe { module_of(module) }.metrics();
    match metrics.get_mut(metric as usize) {
        Some(state) if kinds.contains(&state.kind) => {
            change(&mut state.value);
            abi::OK
        }
        _ => abi::BAD_ARGUMENT,
    }
}

unsafe extern "C" fn metric_add(module: *mut abi::Module, metric: u64, delta: i64) -> u32 {
    let both = [abi::METRIC_COUNTER, abi::METRIC_GAUGE];
    let kinds = if delta < 0 { &both[1..] } else { &both[..] };
    // SAFETY: our module.
    unsafe { with_metric(module, metric, kinds, |value| *value += delta as f64) }
}

unsafe extern "C" fn metric_set(module: *mut abi::Module, metric: u64, level: i64) -> u32 {
    // SAFETY: our module.
    unsafe { with_metric(module, metric, &[abi::METRIC_GAUGE], |value| *value = level as f64) }
}

unsafe extern "C" fn metric_observe(module: *mut abi::Module, metric: u64, seen: f64) -> u32 {
    // SAFETY: our module.
    unsafe { with_metric(module, metric, &[abi::METRIC_HISTOGRAM], |value| *value += seen) }
}

/// Copies of lent fields.
///
/// # Safety
/// `headers` points to `len` lent fields.
pub(super) unsafe fn fields(headers: *const abi::Header, len: u64) -> Vec<Field> {
    if headers.is_null() || len == 0 {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(headers, len as usize) }
        .iter()
        // SAFETY: lent, as is the array.
        .map(|field| unsafe { (lent(field.name).to_vec(), lent(field.value).to_vec()) })
        .collect()
}
