//! The host's table, read with care: it may be shorter than ours.

use std::fmt::{self, Write as _};
use std::mem::{size_of, MaybeUninit};
use std::ptr;
use std::time::{Duration, SystemTime};

use sidegate_abi as abi;

use crate::HostError;

/// The host's functions and this module's identity there. Both are valid until
/// the process ends, so that handles made of it can go anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    table: *const abi::HostTable,
    module: *mut abi::Module,
}

// SAFETY: the ABI lets functions without a stream be called from any thread;
// those with one are reached only through contexts, which are not `Send`.
unsafe impl Send for Host {}
// SAFETY: as above; nothing behind the pointers is written by the module.
unsafe impl Sync for Host {}

/// Finds a function of the host: `host_fn!(host, log)` is its pointer, or
/// [`HostError::Unsupported`].
macro_rules! host_fn {
    ($host:expr, $field:ident) => {
        // SAFETY: only the address of the field is formed.
        $host.function(|table| unsafe { std::ptr::addr_of!((*table).$field) })
    };
}
pub(crate) use host_fn;

impl Host {
    /// Checks the table the host gave.
    ///
    /// # Safety
    /// If not NULL, `table` points to a host table of the length it names, and
    /// both pointers are valid until the process ends.
    pub(crate) unsafe fn new(table: *const abi::HostTable, module: *mut abi::Module) -> Result<Host, String> {
        if table.is_null() {
            return Err("the host gave no function table".to_owned());
        }
        // SAFETY: every table begins with its size.
        let size = unsafe { ptr::addr_of!((*table).size).read() };
        let needed = size_through(|table: *const abi::HostTable| {
            // SAFETY: only the address of the field is formed.
            unsafe { ptr::addr_of!((*table).fault) }
        });
        if size < needed {
            return Err(format!("the host's function table has {size} bytes, expected at least {needed}"));
        }
        // SAFETY: within the size that was just checked.
        let (major, minor) = unsafe { ((*table).abi_major, (*table).abi_minor) };
        if major != u32::from(abi::ABI_MAJOR) {
            return Err(format!("the host speaks ABI {major}.{minor}, expected {}.x", abi::ABI_MAJOR));
        }
        Ok(Host { table, module })
    }

    /// The function that `field` finds in the table.
    #[inline]
    pub(crate) fn function<T: Copy>(
        self,
        field: impl Fn(*const abi::HostTable) -> *const Option<T>,
    ) -> Result<T, HostError> {
        // The offset is taken on a table of our own: ours may be longer than
        // the host's, and then the host's field must not even be pointed at.
        let ours = MaybeUninit::<abi::HostTable>::uninit();
        let offset = field(ours.as_ptr()) as usize - ours.as_ptr() as usize;
        // SAFETY: every table begins with its size.
        let size = unsafe { ptr::addr_of!((*self.table).size).read() };
        if (offset + size_of::<Option<T>>()) as u64 > size {
            return Err(HostError::Unsupported);
        }
        // SAFETY: the field lies within the table's size and has this type.
        unsafe { self.table.cast::<u8>().add(offset).cast::<Option<T>>().read() }.ok_or(HostError::Unsupported)
    }

    pub(crate) fn module(self) -> *mut abi::Module {
        self.module
    }

    fn log_enabled(self, level: Level) -> bool {
        match host_fn!(self, log_enabled) {
            // SAFETY: any thread; the module pointer is the host's own.
            Ok(enabled) => unsafe { enabled(self.module, level as u32) != 0 },
            Err(_) => false,
        }
    }

    pub(crate) fn log(self, level: Level, message: &str) {
        if let Ok(log) = host_fn!(self, log) {
            // SAFETY: any thread; the message is lent for the call. A refusal
            // means the module logs too much: there is nobody to tell.
            let _ = unsafe { log(self.module, level as u32, abi::Slice::from_bytes(message.as_bytes())) };
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

/// Length of a `T` up to and with a field: what ABI 1.0 has of it, however
/// long later minors make it.
pub(crate) fn size_through<T, F>(last: impl Fn(*const T) -> *const F) -> u64 {
    let ours = MaybeUninit::<T>::uninit();
    (last(ours.as_ptr()) as usize - ours.as_ptr() as usize + size_of::<F>()) as u64
}

/// Bytes that the host lent, for as long as the caller says.
///
/// # Safety
/// `slice` came from the host and stays valid for `'a`.
#[inline]
pub(crate) unsafe fn lent<'a>(slice: abi::Slice) -> &'a [u8] {
    if slice.ptr.is_null() || slice.len == 0 {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(slice.ptr, slice.len as usize) }
}

/// Turns a result number into a `Result`.
#[inline]
pub(crate) fn check(code: u32) -> Result<(), HostError> {
    match HostError::from_code(code) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// How important a log line is.
///
/// ```
/// # use sidegate_sdk::{Level, Logger};
/// fn report(logger: Logger, failures: u32) {
///     let level = if failures > 10 { Level::Error } else { Level::Debug };
///     logger.write(level, format_args!("{failures} failures"));
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = abi::LOG_ERROR,
    /// Something is odd.
    Warn = abi::LOG_WARN,
    /// Worth knowing in normal operation.
    Info = abi::LOG_INFO,
    /// For finding faults.
    Debug = abi::LOG_DEBUG,
    /// Every step.
    Trace = abi::LOG_TRACE,
}

/// Writes to the host's log and reads its clocks, from any thread.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Noisy;
/// # struct NoisyFilter;
/// # impl FilterFactory for Noisy {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = NoisyFilter;
/// fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
///     let logger = env.logger();
///     std::thread::spawn(move || sidegate_sdk::warn!(logger, "from a thread")).join().unwrap();
///     Ok(Noisy)
/// }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> NoisyFilter { NoisyFilter }
/// # }
/// # impl Filter for NoisyFilter { const HOOKS: Hooks = Hooks::new().complete(); }
/// # fn main() {
/// # let host = TestHost::new::<Noisy>(serde_json::json!({})).unwrap();
/// assert_eq!(host.logs(), [(Level::Warn, "from a thread".to_owned())]);
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Logger(pub(crate) Host);

impl Logger {
    /// Whether a line of this level would be written.
    pub fn enabled(self, level: Level) -> bool {
        self.0.log_enabled(level)
    }

    /// Writes one line, formatted only if its level is enabled:
    /// `logger.write(Level::Info, format_args!("{count} left"))`. The macros
    /// [`error!`](crate::error), [`warn!`](crate::warn), [`info!`](crate::info),
    /// [`debug!`](crate::debug) and [`trace!`](crate::trace) are shorter.
    pub fn write(self, level: Level, message: fmt::Arguments<'_>) {
        if !self.enabled(level) {
            return;
        }
        match message.as_str() {
            Some(text) => self.0.log(level, text),
            None => {
                let mut text = String::new();
                if text.write_fmt(message).is_ok() {
                    self.0.log(level, &text);
                }
            }
        }
    }

    /// Time on a clock that never goes back.
    pub fn monotonic(self) -> Duration {
        match host_fn!(self.0, monotonic_ns) {
            // SAFETY: any thread.
            Ok(now) => Duration::from_nanos(unsafe { now() }),
            Err(_) => Duration::ZERO,
        }
    }

    /// Time of day.
    pub fn wall(self) -> SystemTime {
        match host_fn!(self.0, wall_ns) {
            // SAFETY: any thread.
            Ok(now) => SystemTime::UNIX_EPOCH + Duration::from_nanos(unsafe { now() }),
            Err(_) => SystemTime::UNIX_EPOCH,
        }
    }

    /// Itself: lets the log macros take a context or a logger.
    #[doc(hidden)]
    pub fn logger(self) -> Logger {
        self
    }
}

/// Logs an error: `error!(cx, "no token for {user}")`. Takes anything with a
/// `logger` method: a context, an environment, a [`Logger`]. Nothing is
/// formatted while the level is off.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Talk {}
/// # impl RequestFilter for Talk {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     sidegate_sdk::error!(cx, "no token for {:?}", cx.path());
///     sidegate_sdk::warn!(cx, "odd");
///     sidegate_sdk::info!(cx, "passed");
///     sidegate_sdk::debug!(cx, "{} fields", cx.headers().iter().count());
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Talk>(serde_json::json!({})).unwrap();
/// # host.request("GET", "/", &[]).run();
/// assert_eq!(host.logs()[3], (Level::Debug, "1 fields".to_owned()));
/// ```
#[macro_export]
macro_rules! error {
    ($cx:expr, $($message:tt)+) => { $cx.logger().write($crate::Level::Error, ::core::format_args!($($message)+)) };
}

/// Logs a warning, as [`error!`](crate::error).
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// fn hook(cx: &mut RequestHeaders<'_>) {
///     sidegate_sdk::warn!(cx, "{} of {} are used", 9, 10);
/// }
/// ```
#[macro_export]
macro_rules! warn {
    ($cx:expr, $($message:tt)+) => { $cx.logger().write($crate::Level::Warn, ::core::format_args!($($message)+)) };
}

/// Logs what is worth knowing, as [`error!`](crate::error).
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// fn hook(cx: &mut RequestHeaders<'_>) {
///     sidegate_sdk::info!(cx, "{} rules", 3);
/// }
/// ```
#[macro_export]
macro_rules! info {
    ($cx:expr, $($message:tt)+) => { $cx.logger().write($crate::Level::Info, ::core::format_args!($($message)+)) };
}

/// Logs details, as [`error!`](crate::error).
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// fn hook(cx: &mut RequestHeaders<'_>) {
///     sidegate_sdk::debug!(cx, "found in the cache");
/// }
/// ```
#[macro_export]
macro_rules! debug {
    ($cx:expr, $($message:tt)+) => { $cx.logger().write($crate::Level::Debug, ::core::format_args!($($message)+)) };
}

/// Logs every step, as [`error!`](crate::error).
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// fn hook(cx: &mut RequestHeaders<'_>) {
///     sidegate_sdk::trace!(cx, "looking for {:?}", cx.path());
/// }
/// ```
#[macro_export]
macro_rules! trace {
    ($cx:expr, $($message:tt)+) => { $cx.logger().write($crate::Level::Trace, ::core::format_args!($($message)+)) };
}
