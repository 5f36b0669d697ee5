//! From the ABI's entry function to a factory of the module's own.

use std::ffi::c_void;
use std::mem::{size_of, MaybeUninit};
use std::ptr::addr_of;

use sidegate_abi as abi;

use crate::host::{lent, size_through, Host};
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
    plugins: Option<Vec<String>>,
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
    // SAFETY: only the addresses of the fields are formed.
    let (args_size, result_size) = unsafe {
        (
            size_through(|args: *const abi::CreateArgs| addr_of!((*args).unused)),
            size_through(|result: *const abi::CreateResult| addr_of!((*result).interests)),
        )
    };
    // SAFETY: every table begins with its size.
    if unsafe { (*args).size } < args_size {
        return abi::BAD_ARGUMENT;
    }
    // SAFETY: as long as it says.
    let args = unsafe { known_of(args) };
    // SAFETY: every table begins with its size.
    if result.is_null() || unsafe { (*result).size } < result_size {
        let refused = ConfigError::new("", "the host's result is shorter than ABI 1.0 has it");
        // SAFETY: the host's error buffer.
        unsafe { write_error(args.error, &refused) };
        return abi::FAILED;
    }
    // SAFETY: the host's pointers, by the rules of the ABI.
    let made = unsafe { make(&args, result, offer) };
    match made {
        Ok(()) => abi::OK,
        Err((code, error)) => {
            // SAFETY: the host's error buffer.
            unsafe { write_error(args.error, &error) };
            code
        }
    }
}

/// What a host gave, as long as this SDK knows it; what is beyond the host's
/// own length is zero.
///
/// # Safety
/// `args` is as long as its size says.
unsafe fn known_of(args: *const abi::CreateArgs) -> abi::CreateArgs {
    let mut known = MaybeUninit::<abi::CreateArgs>::zeroed();
    // SAFETY: within both; null pointers and zero numbers are valid.
    unsafe {
        let size = (*args.cast::<u64>()).min(size_of::<abi::CreateArgs>() as u64) as usize;
        args.cast::<u8>().copy_to_nonoverlapping(known.as_mut_ptr().cast(), size);
        known.assume_init()
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
    // SAFETY: as above.
    let plugins = unsafe { plugins_of(args) };
    let request = Request { host, workers: args.workers, config, plugins };
    // SAFETY: `result` is long enough.
    match guard(|| unsafe { maker(&request, result) }) {
        Ok(made) => made.map_err(|error| (abi::FAILED, error)),
        Err(panicked) => Err((abi::PANICKED, ConfigError::new("", format!("the factory {panicked}")))),
    }
}

/// `None` from a host of 1.0.
///
/// # Safety
/// What the arguments name is lent.
unsafe fn plugins_of(args: &abi::CreateArgs) -> Option<Vec<String>> {
    // SAFETY: only the address of the field is formed.
    let needed = size_through(|args: *const abi::CreateArgs| unsafe { addr_of!((*args).plugins_len) });
    if args.size < needed {
        return None;
    }
    if args.plugins.is_null() || args.plugins_len == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the caller's promise.
    let names = unsafe { std::slice::from_raw_parts(args.plugins, args.plugins_len as usize) };
    // SAFETY: as above.
    Some(names.iter().map(|name| String::from_utf8_lossy(unsafe { lent(*name) }).into_owned()).collect())
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
    let plugins = request.plugins.clone();
    let mut env = FactoryEnv { host: request.host, workers: request.workers, plugins };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn maker_of(filters: &[(&str, Maker)], name: &str) -> Result<(), String> {
        find(filters, name.as_bytes()).map(|_| ())
    }

    #[test]
    fn filters_are_found_by_name() {
        unsafe fn none(_: &Request<'_>, _: *mut abi::CreateResult) -> Result<(), ConfigError> {
            Ok(())
        }
        let two: [(&str, Maker); 2] = [("a", none), ("b", none)];
        let (one, two) = (&two[..1], &two[..]);
        assert_eq!(maker_of(one, ""), Ok(()));
        assert_eq!(maker_of(one, "a"), Ok(()));
        assert_eq!(maker_of(two, "b"), Ok(()));
        assert_eq!(maker_of(one, "c").unwrap_err(), "no filter `c` in this module, expected `a`");
        assert_eq!(
            maker_of(two, "").unwrap_err(),
            "expected a filter name, as this module has several filters: `a`, `b`"
        );
    }

    #[test]
    fn errors_are_cut_at_a_character() {
        let (mut message, mut path) = ([0_u8; 4], [0_u8; 4]);
        let mut out = abi::ErrorOut {
            size: std::mem::size_of::<abi::ErrorOut>() as u64,
            message: message.as_mut_ptr(),
            message_capacity: 4,
            message_len: 0,
            path: path.as_mut_ptr(),
            path_capacity: 4,
            path_len: 0,
        };
        // SAFETY: buffers of the capacities they name.
        unsafe { write_error(&mut out, &ConfigError::new("a.b", "abc\u{e9}")) };
        assert_eq!((out.message_len, out.path_len), (3, 3));
        assert_eq!((&message[..3], &path[..3]), (&b"abc"[..], &b"a.b"[..]));
        // SAFETY: NULL is allowed.
        unsafe { write_error(std::ptr::null_mut(), &ConfigError::new("", "")) };
    }

    #[test]
    fn bad_arguments_are_refused() {
        let offer = || Offer { filters: &[] };
        // SAFETY: NULL and short tables are what is tested; nothing beyond the
        // sizes named may be touched.
        unsafe {
            assert_eq!(create(std::ptr::null(), std::ptr::null_mut(), offer()), abi::BAD_ARGUMENT);
            let mut args = abi::CreateArgs {
                size: 16,
                host: std::ptr::null(),
                module: std::ptr::null_mut(),
                filter_name: abi::Slice::EMPTY,
                config: abi::Slice::EMPTY,
                error: std::ptr::null_mut(),
                workers: 1,
                unused: 0,
                plugins: std::ptr::null(),
                plugins_len: 0,
            };
            assert_eq!(create(&args, std::ptr::null_mut(), offer()), abi::BAD_ARGUMENT);
            args.size = std::mem::size_of::<abi::CreateArgs>() as u64;
            assert_eq!(create(&args, std::ptr::null_mut(), offer()), abi::FAILED);
            let mut result = abi::CreateResult {
                size: 8,
                factory_table: std::ptr::null(),
                filter_table: std::ptr::null(),
                factory: std::ptr::null_mut(),
                interests: abi::Interests::default(),
            };
            assert_eq!(create(&args, &mut result, offer()), abi::FAILED);
            result.size = std::mem::size_of::<abi::CreateResult>() as u64;
            assert_eq!(create(&args, &mut result, offer()), abi::FAILED, "there is no host table");
            assert!(result.factory.is_null());
        }
    }
}
