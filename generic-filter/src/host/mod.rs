//! The host's functions, as modules call them.
//!
//! Every function catches panics, checks every pointer for NULL and every
//! length for sense, and changes nothing when it refuses. That a pointer which
//! is not NULL points to as many bytes as its length says is the module's
//! promise; nothing in the process could check it.

mod arguments;
mod body;
mod headers;
mod module;
mod plugin;
mod reply;
mod resume;
mod scope;
mod state;
mod variables;

pub(crate) use plugin::Calls;
pub(crate) use scope::{current_slot, enter};
pub(crate) use state::{StateSink, exporting};

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sidegate_abi::{ABI_MAJOR, ABI_MINOR, FAILED, HostTable, OK, Slice};
use sidegate_api::{EditError, HeaderProblem};

struct Shared(HostTable);

// SAFETY: constant; its pointers are to functions and constant text.
unsafe impl Sync for Shared {}

/// The table that every module gets; it lives as long as the process.
pub(crate) fn table() -> &'static HostTable {
    static TABLE: Shared = Shared(HostTable {
        size: size_of::<HostTable>() as u64,
        abi_major: ABI_MAJOR as u32,
        abi_minor: ABI_MINOR as u32,
        host_version: Slice::from_bytes(concat!("sidegate ", env!("CARGO_PKG_VERSION")).as_bytes()),
        log_enabled: Some(module::log_enabled),
        log: Some(module::log),
        monotonic_ns: Some(module::monotonic_ns),
        wall_ns: Some(module::wall_ns),
        metric_define: Some(module::metric_define),
        metric_add: Some(module::metric_add),
        metric_set: Some(module::metric_set),
        metric_observe: Some(module::metric_observe),
        header_get: Some(headers::header_get),
        header_get_all: Some(headers::header_get_all),
        headers_visit: Some(headers::headers_visit),
        header_set: Some(headers::header_set),
        header_add: Some(headers::header_add),
        header_remove: Some(headers::header_remove),
        variable_get: Some(variables::variable_get),
        variable_get_u64: Some(variables::variable_get_u64),
        variable_set: Some(variables::variable_set),
        named_get: Some(variables::named_get),
        named_set: Some(variables::named_set),
        body_len: Some(body::body_len),
        body_read: Some(body::body_read),
        body_replace: Some(body::body_replace),
        body_append: Some(body::body_append),
        body_drain: Some(body::body_drain),
        reply: Some(reply::reply),
        resume_handle: Some(resume::resume_handle),
        resume: Some(resume::resume),
        resume_retain: Some(resume::resume_retain),
        resume_release: Some(resume::resume_release),
        route_config: Some(reply::route_config),
        fault: Some(reply::fault),
        body_waive: Some(body::body_waive),
        state_write: Some(state::state_write),
        plugin_call: Some(plugin::plugin_call),
        plugin_answer: Some(plugin::plugin_answer),
        plugin_cancel: Some(plugin::plugin_cancel),
    });
    &TABLE.0
}

/// Runs `act` and turns its outcome into a result number; a panic of the
/// host's own must not unwind into C.
fn answer(act: impl FnOnce() -> Result<(), u32>) -> u32 {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(())) => OK,
        Ok(Err(result)) => result,
        Err(_) => FAILED,
    }
}

fn edit_result(error: EditError) -> u32 {
    use sidegate_abi as abi;
    match error {
        EditError::Header(HeaderProblem::BadName) => abi::BAD_NAME,
        EditError::Header(HeaderProblem::BadValue) | EditError::BadValue => abi::BAD_VALUE,
        EditError::Header(HeaderProblem::Reserved) => abi::RESERVED,
        EditError::Limit => abi::LIMIT,
        EditError::NotNow => abi::NOT_NOW,
    }
}
