//! Tables that a module handed over: copied field by field as far as they say
//! they reach, never followed further.

use std::mem::{MaybeUninit, offset_of, size_of};

use sidegate_abi::{
    BODY_WHOLE, FactoryTable, FilterTable, Interests as RawInterests, PHASE_AFTER_CHOOSE_HOST, PHASE_AFTER_ROUTE,
    PHASE_BEFORE_ROUTE, WANT_COMPLETE, WANT_REQUEST_TRAILERS, WANT_RESPONSE_HEADERS, WANT_RESPONSE_TRAILERS,
};
use sidegate_api::{BodyInterest, HookSet, Interests, ReceiverPhase};

use crate::refusal::Reason;

/// Bytes up to the end of the last field that no 1.0 module can miss.
const FACTORY_REQUIRED: u64 = offset_of!(FactoryTable, create_route_config) as u64;
const FILTER_REQUIRED: u64 = offset_of!(FilterTable, on_request_headers) as u64;

/// Reads the table at `table` into a copy; fields beyond its size are zero.
///
/// # Safety
/// `T` must begin with a `u64` size, have fields of 8 bytes only, and be valid
/// when all its bytes are zero. `table` must be NULL or point to a size and as
/// many readable bytes as that says, as far as `T` reaches.
unsafe fn read<T>(table: *const T, name: &'static str, required: u64) -> Result<T, Reason> {
    let invalid = |problem: &str| Reason::TableInvalid { table: name, problem: problem.to_owned() };
    if table.is_null() {
        return Err(invalid("the pointer to it is NULL"));
    }
    if !table.is_aligned() {
        return Err(invalid("the pointer to it is not aligned"));
    }
    // SAFETY: not NULL, aligned, and starts with a size by the caller's promise.
    let size = unsafe { table.cast::<u64>().read() };
    if size < required {
        return Err(Reason::TableTooSmall { table: name, expected: required, found: size });
    }
    // A size that ends within a field does not give that field.
    let known = size_of::<T>();
    let given = usize::try_from(size).unwrap_or(known).min(known) & !7;
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: `given` bytes are readable by the caller's promise, and at most
    // `size_of::<T>()` are written. Zero is valid for what is not written.
    unsafe {
        std::ptr::copy_nonoverlapping(table.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), given);
        Ok(copy.assume_init())
    }
}

/// Reads a factory's table and insists on what it cannot do without.
///
/// # Safety
/// As the ABI says of `CreateResult::factory_table`.
pub(crate) unsafe fn read_factory_table(table: *const FactoryTable) -> Result<FactoryTable, Reason> {
    // SAFETY: the caller's promise; a size and optional functions may be zero.
    let table = unsafe { read(table, "factory table", FACTORY_REQUIRED) }?;
    let missing = |function: &str| Reason::TableInvalid {
        table: "factory table",
        problem: format!("its function `{function}` is NULL"),
    };
    if table.destroy.is_none() {
        return Err(missing("destroy"));
    }
    if table.create_filter.is_none() {
        return Err(missing("create_filter"));
    }
    if table.create_route_config.is_some() && table.destroy_route_config.is_none() {
        return Err(missing("destroy_route_config"));
    }
    if table.worker_attach.is_some() && table.worker_detach.is_none() {
        return Err(missing("worker_detach"));
    }
    Ok(table)
}

/// Reads a filter's table and insists on the hooks that `interests` declare.
///
/// # Safety
/// As the ABI says of `CreateResult::filter_table`.
pub(crate) unsafe fn read_filter_table(
    table: *const FilterTable,
    interests: &RawInterests,
) -> Result<FilterTable, Reason> {
    // SAFETY: the caller's promise; a size and optional functions may be zero.
    let table = unsafe { read(table, "filter table", FILTER_REQUIRED) }?;
    let wanted = |bit: u32| interests.hooks & bit != 0;
    let declared = [
        (true, table.destroy.is_some(), "destroy"),
        (interests.phases != 0, table.on_request_headers.is_some(), "on_request_headers"),
        (interests.request_body != 0, table.on_request_body.is_some(), "on_request_body"),
        (wanted(WANT_REQUEST_TRAILERS), table.on_request_trailers.is_some(), "on_request_trailers"),
        (wanted(WANT_RESPONSE_HEADERS), table.on_response_headers.is_some(), "on_response_headers"),
        (interests.response_body != 0, table.on_response_body.is_some(), "on_response_body"),
        (wanted(WANT_RESPONSE_TRAILERS), table.on_response_trailers.is_some(), "on_response_trailers"),
        (wanted(WANT_COMPLETE), table.on_complete.is_some(), "on_complete"),
    ];
    match declared.into_iter().find(|(declared, present, _)| *declared && !present) {
        Some((_, _, hook)) => Err(Reason::TableInvalid {
            table: "filter table",
            problem: format!("its function `{hook}` is declared or required and is NULL or beyond the table's size"),
        }),
        None => Ok(table),
    }
}

/// Whether filters with these interests would never be called.
pub(crate) fn wants_nothing(raw: &RawInterests) -> bool {
    let RawInterests { phases, request_body, response_body, hooks } = *raw;
    phases | request_body | response_body | hooks == 0
}

/// What a factory declared, in the host's words; anything unknown is refused,
/// because a hook the module waits for would never come.
pub(crate) fn interests(raw: &RawInterests) -> Result<Interests, Reason> {
    let unknown = |what: &str, value: u32| Reason::TableInvalid {
        table: "declaration of interests",
        problem: format!("its {what} {value:#x} is not known to this proxy"),
    };
    let all = 1 << PHASE_BEFORE_ROUTE | 1 << PHASE_AFTER_ROUTE | 1 << PHASE_AFTER_CHOOSE_HOST;
    if raw.phases & !all != 0 {
        return Err(unknown("set of phases", raw.phases));
    }
    let hooks = WANT_REQUEST_TRAILERS | WANT_RESPONSE_HEADERS | WANT_RESPONSE_TRAILERS | WANT_COMPLETE;
    if raw.hooks & !hooks != 0 {
        return Err(unknown("set of hooks", raw.hooks));
    }
    let body = |what: &str, value: u32| match value {
        0 => Ok(BodyInterest::None),
        1 => Ok(BodyInterest::Observe),
        2 => Ok(BodyInterest::Stream),
        BODY_WHOLE => Ok(BodyInterest::Whole),
        other => Err(unknown(what, other)),
    };
    let phases: Vec<ReceiverPhase> =
        ReceiverPhase::ALL.into_iter().filter(|phase| raw.phases & (1 << *phase as u32) != 0).collect();
    let wanted = |bit: u32| HookSet::from(raw.hooks & bit != 0);
    Ok(Interests {
        phases: HookSet::phases(&phases),
        request_body: body("request body interest", raw.request_body)?,
        request_trailers: wanted(WANT_REQUEST_TRAILERS),
        response_headers: wanted(WANT_RESPONSE_HEADERS),
        response_body: body("response body interest", raw.response_body)?,
        response_trailers: wanted(WANT_RESPONSE_TRAILERS),
        complete: wanted(WANT_COMPLETE),
    })
}
