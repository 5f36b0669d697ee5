//! An in-memory host: runs a module's hooks through the real tables, in its
//! own `cargo test`, without a proxy.
//!
//! ```
//! use sidegate_sdk::prelude::*;
//! use sidegate_sdk::testing::TestHost;
//!
//! #[derive(serde::Deserialize)]
//! struct Auth {
//!     token: String,
//! }
//!
//! impl RequestFilter for Auth {
//!     fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
//!         if cx.headers().get("x-token") == Some(self.token.as_bytes()) {
//!             cx.headers_mut().remove("x-token")?;
//!             return Ok(Status::Continue);
//!         }
//!         cx.reply(Reply::text(403, "forbidden\n"))
//!     }
//! }
//!
//! # fn main() -> Result<(), ConfigError> {
//! let host = TestHost::new::<Auth>(serde_json::json!({"token": "s3cret"}))?;
//!
//! let outcome = host.request("GET", "/", &[("x-token", "s3cret")]).run();
//! let upstream = outcome.upstream.expect("the request went on");
//! assert_eq!(upstream.header("x-token"), None);
//!
//! let outcome = host.request("GET", "/", &[]).run();
//! assert!(outcome.upstream.is_none());
//! assert_eq!(outcome.response.unwrap().status, 403);
//!
//! let refused = TestHost::new::<Auth>(serde_json::json!({"token": 5})).unwrap_err();
//! assert_eq!(refused.path, "token");
//! # Ok(())
//! # }
//! ```
//!
//! It follows the ABI's rules for one filter on one worker: phases and their
//! order, statuses, pending and resume, what may be changed when, header
//! checks. It has no routes: the filter gets the route's settings that
//! [`TestStream::route_config`] names, and an upstream that answers what
//! [`TestStream::respond`] says, by default an empty 200.
//!
//! # Scripts
//!
//! [`TestHost::play`] and [`TestHost::play_file`] send streams that are written
//! down, one directive a line:
//!
//! | line | means |
//! |---|---|
//! | `request METHOD TARGET` | begins a stream |
//! | `name: value` | a header of the request, or of the response after `response` |
//! | `body "text"` | a chunk of its body; escapes are those of Rust's byte strings |
//! | `trailer name: value` | one of its trailers |
//! | `response STATUS` | begins what the upstream answers; an empty 200 without |
//! | `route JSON` | the route's settings for the filter |
//! | `named NAME = VALUE` | a variable that an earlier filter shares |
//! | `variable NAME = VALUE` | a [`Variable`](crate::Variable), by its name there |
//! | `worker NUMBER` | the worker that the stream lives on |
//! | `leave` | the client leaves as soon as a hook is pending |
//! | `advance MILLISECONDS` | time passes before the stream |
//!
//! Empty lines, and lines that begin with `#`, mean nothing. Each stream gives
//! one [`Outcome`].
//!
//! ```
//! # use sidegate_sdk::{prelude::*, testing::TestHost};
//! # #[derive(serde::Deserialize)] struct Pass {}
//! # impl RequestFilter for Pass {
//! #   fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult { Ok(Status::Continue) }
//! # }
//! # let host = TestHost::new::<Pass>(serde_json::json!({})).unwrap();
//! let outcomes = host.play(r#"
//!     request POST /items?x=1
//!     host: example.test
//!     body "first line\n"
//!     body "\xff\x00"
//!     response 201
//!     location: /items/1
//!
//!     request GET /items/1
//! "#).unwrap();
//! assert_eq!(outcomes[0].upstream.as_ref().unwrap().body, b"first line\n\xff\0");
//! assert_eq!((outcomes[0].status(), outcomes[1].status()), (Some(201), Some(200)));
//! ```

#[cfg(test)]
mod empty_tests;
mod engine;
mod handover;
#[cfg(test)]
mod head_tests;
mod outcome;
#[cfg(test)]
mod plugin_tests;
mod plugins;
#[cfg(feature = "schema")]
mod schema;
mod script;
#[cfg(test)]
mod script_tests;
mod state;
mod stream;
mod table;
mod table_headers;
mod table_reply;
mod table_stream;
#[cfg(test)]
mod tests;

use std::ffi::c_void;
use std::mem::size_of;
use std::path::Path;
use std::ptr::{self, addr_of};
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::time::Duration;

use sidegate_abi as abi;

pub use outcome::{Action, Call, Outcome, Request, Response, Source};
pub use plugins::PluginAsked;
#[cfg(feature = "schema")]
pub use schema::assert_schema_of;
pub use script::ScriptError;
pub use stream::TestStream;

use crate::entry::{create, make_factory, Offer};
use crate::host::size_through;
use crate::{ConfigError, FilterFactory, Level};
use state::ModuleState;

/// A factory in an in-memory host. Lives on the thread that made it.
///
/// ```
/// # use std::time::Duration;
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Clock {}
/// # impl RequestFilter for Clock {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let now = cx.logger().monotonic();
///     sidegate_sdk::info!(cx, "{}", now.as_secs() >= 3600);
///     Ok(Status::Continue)
/// }
/// # }
/// let host = TestHost::new::<Clock>(serde_json::json!({})).unwrap();
/// host.advance(Duration::from_secs(3600));
/// host.request("GET", "/", &[]).run();
/// assert_eq!(host.logs(), [(Level::Info, "true".to_owned())]);
/// ```
pub struct TestHost {
    /// Leaked: handles of the module may outlive the host.
    module: &'static ModuleState,
    factory_table: *const abi::FactoryTable,
    filter_table: *const abi::FilterTable,
    factory: *mut c_void,
    interests: abi::Interests,
    worker_states: Vec<*mut c_void>,
}

impl TestHost {
    /// A factory `F` made of `config`, as the proxy does it.
    pub fn new<F: FilterFactory>(config: serde_json::Value) -> Result<TestHost, ConfigError> {
        Self::with_table::<F>(table::HOST, config, 1)
    }

    /// The same for a filter that may call these plugins, which
    /// [`plugin`](TestHost::plugin) then gives something to do.
    pub fn with_plugins<F: FilterFactory>(
        config: serde_json::Value,
        plugins: &[&str],
    ) -> Result<TestHost, ConfigError> {
        Self::with::<F>(table::HOST, config, 1, plugins)
    }

    /// The same in a host with so many workers, each with its own worker
    /// state. They share the test's thread: [`TestStream::worker`] says which
    /// one a stream lives on.
    pub fn with_workers<F: FilterFactory>(config: serde_json::Value, workers: u32) -> Result<TestHost, ConfigError> {
        Self::with_table::<F>(table::HOST, config, workers.max(1))
    }

    pub(crate) fn with_table<F: FilterFactory>(
        host: abi::HostTable,
        config: serde_json::Value,
        workers: u32,
    ) -> Result<TestHost, ConfigError> {
        Self::with::<F>(host, config, workers, &[])
    }

    fn with<F: FilterFactory>(
        host: abi::HostTable,
        config: serde_json::Value,
        workers: u32,
        plugins: &[&str],
    ) -> Result<TestHost, ConfigError> {
        crate::panic::IN_TESTS.store(true, Ordering::Relaxed);
        let is_1_0 = host.abi_minor == 0;
        let (module, host) = keep(host);
        let config = config.to_string();
        let (mut message, mut path) = ([0_u8; 512], [0_u8; 256]);
        let mut error = abi::ErrorOut {
            size: size_of::<abi::ErrorOut>() as u64,
            message: message.as_mut_ptr(),
            message_capacity: message.len() as u64,
            message_len: 0,
            path: path.as_mut_ptr(),
            path_capacity: path.len() as u64,
            path_len: 0,
        };
        let names: Vec<abi::Slice> = plugins.iter().map(|name| abi::Slice::from_bytes(name.as_bytes())).collect();
        // SAFETY: only the address of the field is formed.
        let of_1_0 = size_through(|args: *const abi::CreateArgs| unsafe { addr_of!((*args).unused) });
        let size = if is_1_0 { of_1_0 } else { size_of::<abi::CreateArgs>() as u64 };
        let args = abi::CreateArgs {
            size,
            host,
            module: module.as_raw(),
            filter_name: abi::Slice::EMPTY,
            config: abi::Slice::from_bytes(config.as_bytes()),
            error: &mut error,
            workers,
            unused: 0,
            plugins: names.as_ptr(),
            plugins_len: names.len() as u64,
        };
        let mut result = abi::CreateResult {
            size: size_of::<abi::CreateResult>() as u64,
            factory_table: ptr::null(),
            filter_table: ptr::null(),
            factory: ptr::null_mut(),
            interests: abi::Interests::default(),
        };
        // SAFETY: tables and buffers as the ABI has them.
        let code = unsafe { create(&args, &mut result, Offer { filters: &[("", make_factory::<F>)] }) };
        if code != abi::OK {
            return Err(read_error(&message, error.message_len, &path, error.path_len));
        }
        module.let_call(plugins);
        let mut made = TestHost {
            module,
            factory_table: result.factory_table,
            filter_table: result.filter_table,
            factory: result.factory,
            interests: result.interests,
            worker_states: Vec::new(),
        };
        if made.wants_nothing() {
            let message = "the filter wants no hook at all with this configuration and would never be called";
            return Err(ConfigError::new("", message));
        }
        for worker in 0..workers {
            let mut state = ptr::null_mut();
            // SAFETY: the table the SDK just gave, on the thread of all workers.
            let attached =
                unsafe { (*made.factory_table).worker_attach.map(|attach| attach(made.factory, worker, &mut state)) };
            if !matches!(attached, None | Some(abi::OK)) {
                return Err(ConfigError::new("", format_args!("worker state refused: {:?}", made.logs())));
            }
            made.worker_states.push(state);
        }
        Ok(made)
    }

    fn wants_nothing(&self) -> bool {
        let abi::Interests { phases, request_body, response_body, hooks } = self.interests;
        phases | request_body | response_body | hooks == 0
    }

    /// A request to send: add a body or a response, then
    /// [`run`](TestStream::run) it.
    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> TestStream<'_> {
        TestStream::new(self, method, target, headers)
    }

    /// Sends the streams of a script through the filter, in order; see
    /// [the format](self#scripts).
    pub fn play(&self, script: &str) -> Result<Vec<Outcome>, ScriptError> {
        script::play(self, script)
    }

    /// The same with a script in a file; a relative path starts at the folder
    /// that the test runs in, which for `cargo test` is the package's.
    pub fn play_file(&self, file: impl AsRef<Path>) -> Result<Vec<Outcome>, ScriptError> {
        script::play_file(self, file.as_ref())
    }

    /// Lets time pass for hooks on this thread: both clocks jump ahead. Threads
    /// of the module keep the real time.
    pub fn advance(&self, by: Duration) {
        table::advance(by);
    }

    /// The lines logged so far.
    pub fn logs(&self) -> Vec<(Level, String)> {
        self.module.logs()
    }

    /// Value of a counter or gauge, sum of a histogram: of the series with
    /// this name and these labels, if it was defined.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.module.metric(name, labels)
    }

    /// Tries a route's `per_filter_config`.
    pub fn check_route_config(&self, config: serde_json::Value) -> Result<(), ConfigError> {
        self.make_route_config(&config).map(|object| self.drop_route_config(object))
    }

    fn make_route_config(&self, config: &serde_json::Value) -> Result<*mut c_void, ConfigError> {
        let config = config.to_string();
        let (mut message, mut path) = ([0_u8; 512], [0_u8; 256]);
        let mut error = abi::ErrorOut {
            size: size_of::<abi::ErrorOut>() as u64,
            message: message.as_mut_ptr(),
            message_capacity: message.len() as u64,
            message_len: 0,
            path: path.as_mut_ptr(),
            path_capacity: path.len() as u64,
            path_len: 0,
        };
        let mut object = ptr::null_mut();
        // SAFETY: the SDK's table, living factory, buffers as the ABI has them.
        let code = unsafe {
            (*self.factory_table)
                .create_route_config
                .map(|make| make(self.factory, abi::Slice::from_bytes(config.as_bytes()), &mut error, &mut object))
        };
        if code == Some(abi::OK) {
            return Ok(object);
        }
        Err(read_error(&message, error.message_len, &path, error.path_len))
    }

    fn drop_route_config(&self, object: *mut c_void) {
        if object.is_null() {
            return;
        }
        // SAFETY: made by this factory, dropped once.
        unsafe {
            if let Some(destroy) = (*self.factory_table).destroy_route_config {
                destroy(self.factory, object);
            }
        }
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // SAFETY: the SDK's table; no filter is left, as streams borrow us.
        unsafe {
            if let Some(detach) = (*self.factory_table).worker_detach {
                for (worker, state) in self.worker_states.drain(..).enumerate() {
                    detach(self.factory, worker as u32, state);
                }
            }
            if let Some(destroy) = (*self.factory_table).destroy {
                destroy(self.factory);
            }
        }
    }
}

impl std::fmt::Debug for TestHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestHost").field("interests", &self.interests).finish_non_exhaustive()
    }
}

/// Makes a host and a module's record that live until the process ends, as the
/// ABI promises. They stay reachable, so that leak checkers are content.
fn keep(host: abi::HostTable) -> (&'static ModuleState, &'static abi::HostTable) {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let kept: &'static (ModuleState, abi::HostTable) = Box::leak(Box::new((ModuleState::default(), host)));
    state::lock(&KEPT).push(kept as *const (ModuleState, abi::HostTable) as usize);
    (&kept.0, &kept.1)
}

fn read_error(message: &[u8], message_len: u64, path: &[u8], path_len: u64) -> ConfigError {
    let text = |bytes: &[u8], len: u64| {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    ConfigError { path: text(path, path_len), message: text(message, message_len) }
}
