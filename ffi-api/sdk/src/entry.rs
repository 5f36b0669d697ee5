//! From the ABI's entry function to a factory of the module's own.

use std::ffi::c_void;
use std::mem::size_of;

use sidegate_abi as abi;

use crate::host::{lent, Host};
use crate::objects::ConfigValue;
use crate::panic::{guard, install};
use crate::tables::{FactoryBox, Tables};
use crate::{ConfigError, FactoryEnv, FilterFactory};

/// Makes a factory of one kind; what [`export!`](crate::export) lists.
pub type Maker = unsafe fn(&Request<'_>, *mut abi::CreateResult) -> Result<(), ConfigError>;

/// What the host asked for, checked.
pub struct Request<'a> {
    host: Host,
    workers: u32,
    config: &'a [u8],
}

/// The filters of a module, as [`export!`](crate::export) lists them.
pub struct Offer<'a> {
    /// Name and maker of each.
    pub filters: &'a [(&'a str, Maker)],
}

/// The whole of `sidegate_create_filter_factory_v1`.
///
/// # Safety
/// The arguments are a host's, by the rules of the ABI.
pub unsafe fn create(args: *const abi::CreateArgs, result: *mut abi::CreateResult, offer: Offer<'_>) -> u32 {
    if args.is_null() {
        return abi::BAD_ARGUMENT;
    }
    // SAFETY: every table begins with its size.
    if unsafe { (*args).size } < size_of::<abi::CreateArgs>() as u64 {
        return abi::BAD_ARGUMENT;
    }
    // SAFETY: long enough for what we know, as was just checked.
    let args = unsafe { &*args };
    // SAFETY: checked before it is written.
    if result.is_null() || unsafe { (*result).size } < size_of::<abi::CreateResult>() as u64 {
        let refused = ConfigError::new("", "the host's result is shorter than ABI 1.0 has it");
        // SAFETY: the host's error buffer.
        unsafe { write_error(args.error, &refused) };
        return abi::FAILED;
    }
    // SAFETY: the host's pointers, by the rules of the ABI.
    let made = unsafe { make(args, result, offer) };
    match made {
        Ok(()) => abi::OK,
        Err((code, error)) => {
            // SAFETY: the host's error buffer.
            unsafe { write_error(args.error, &error) };
            code
        }
    }
}

/// # Safety
/// As [`create`], with lengths checked.
unsafe fn make(
    args: &abi::CreateArgs,
    result: *mut abi::CreateResult,
    offer: Offer<'_>,
) -> Result<(), (u32, ConfigError)> {
    let failed = |message: String| (abi::FAILED, ConfigError::new("", message));
    // SAFETY: the host's pointers, valid until the process ends.
    let host = unsafe { Host::new(args.host, args.module) }.map_err(failed)?;
    install(host);
    // SAFETY: lent for the call.
    let (name, config) = unsafe { (lent(args.filter_name), lent(args.config)) };
    let maker = find(offer.filters, name).map_err(|message| (abi::NOT_FOUND, ConfigError::new("", message)))?;
    let request = Request { host, workers: args.workers, config };
    // SAFETY: `result` is long enough.
    match guard(|| unsafe { maker(&request, result) }) {
        Ok(made) => made.map_err(|error| (abi::FAILED, error)),
        Err(panicked) => Err(failed(format!("the factory {panicked}"))),
    }
}

fn find(filters: &[(&str, Maker)], name: &[u8]) -> Result<Maker, String> {
    if let Some((_, maker)) = filters.iter().find(|(known, _)| known.as_bytes() == name) {
        return Ok(*maker);
    }
    if let ([(_, maker)], []) = (filters, name) {
        return Ok(*maker);
    }
    let known: Vec<&str> = filters.iter().map(|(known, _)| *known).collect();
    let known = known.join("`, `");
    if name.is_empty() {
        return Err(format!("expected a filter name, as this module has several filters: `{known}`"));
    }
    Err(format!("no filter `{}` in this module, expected `{known}`", String::from_utf8_lossy(name)))
}

/// Makes an `F` and fills `result`.
///
/// # Safety
/// `result` is at least as long as this SDK knows it.
pub unsafe fn make_factory<F: FilterFactory>(
    request: &Request<'_>,
    result: *mut abi::CreateResult,
) -> Result<(), ConfigError> {
    let config = if request.config.is_empty() { b"{}" } else { request.config };
    let config = ConfigValue::from_bytes(config)?.parse()?;
    let mut env = FactoryEnv { host: request.host, workers: request.workers };
    let factory = F::new(config, &mut env)?;
    let interests = factory.hooks().0;
    let boxed: *mut FactoryBox<F> = Box::into_raw(Box::new(FactoryBox { host: request.host, factory }));
    // SAFETY: promised by the caller.
    unsafe {
        (*result).factory_table = &Tables::<F>::FACTORY;
        (*result).filter_table = &Tables::<F>::FILTER;
        (*result).factory = boxed.cast::<c_void>();
        (*result).interests = interests;
    }
    Ok(())
}

/// Tells the host why.
///
/// # Safety
/// `out` is NULL or a host's error buffer.
pub(crate) unsafe fn write_error(out: *mut abi::ErrorOut, error: &ConfigError) {
    if out.is_null() {
        return;
    }
    // SAFETY: every field of ABI 1.0 is within every host's buffer.
    let out = unsafe { &mut *out };
    // SAFETY: buffers of the capacities they name.
    unsafe {
        out.message_len = copy_text(out.message, out.message_capacity, &error.message);
        out.path_len = copy_text(out.path, out.path_capacity, &error.path);
    }
}

/// Copies what fits, without cutting a character, and says how much.
///
/// # Safety
/// `to` is NULL or has room for `capacity` bytes.
unsafe fn copy_text(to: *mut u8, capacity: u64, text: &str) -> u64 {
    if to.is_null() {
        return 0;
    }
    let mut len = text.len().min(usize::try_from(capacity).unwrap_or(usize::MAX));
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    // SAFETY: within both; the host's buffer is not our string.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), to, len) };
    len as u64
}
