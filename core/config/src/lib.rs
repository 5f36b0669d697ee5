//! MOSN's configuration schema, in JSON or YAML, resolved into the typed
//! configurations that the layers own.
//!
//! ```text
//!  text ── document ──▶ tree with positions ── reader ──▶ values ── resolve ──▶ Config
//!                                                │
//!                                                └─▶ every error and warning, with file, line, column and path
//! ```
//!
//! Lenient where MOSN files need it: keys have no case, and keys of MOSN that
//! do nothing here are warned about. Strict otherwise: unknown keys, names that
//! are defined nowhere or twice, and keys of MOSN that would send traffic
//! elsewhere, unguarded or in clear text if they were ignored, are errors.
//!
//! # Beyond MOSN
//!
//! | where | key | value |
//! |---|---|---|
//! | `proxy` filter | `timeouts` | `request_header` (10s), `request_body` and `response_write` (60s without progress), `response` (60s), where `"0"` is no bound; `filter_pending` (15s) |
//! | | `limits` | `max_headers` (100), `max_buffered_body` (1048576 bytes) |
//! | | `forwarding` | `x_forwarded_for`: `append` (default), `replace`, `remove`, `pass`; `x_request_id`: `keep` (default), `make`, `pass` |
//! | `stream_filters[]` | `name` | for `per_filter_config`, metrics and logs; default: the module's name, else `type` |
//! | | `on_fault` | `reply-500` (default), `pass`, `reset` |
//! | | `so_config` | `so_path` (required), `name`, `filter`, `sha256`, `on_fault`, `quarantine` {`faults`, `within`, `then`: `closed` or `bypass`} |
//! | `routers[]` of a virtual host | `name` | for logs |
//! | | `per_filter_config` | by filter name, for every filter; also on virtual hosts |
//! | `admin` | `address.unix` | path of a socket, instead of `socket_address` |
//! | | `token` | what changing calls from elsewhere must carry |
//!
//! [`load`] builds filters but opens no log, binds no port and contacts nobody;
//! [`Listener::open`] opens the access logs of a listener.

#![forbid(unsafe_code)]

mod diagnostic;
pub mod document;
mod dump;
mod duration;
mod file;
mod nearest;
mod reader;
mod resolve;

pub use diagnostic::{ConfigErrors, Diagnostic, kind};
pub use dump::{REDACTED, redact};
pub use duration::{DurationError, parse_duration};
pub use file::{ConfigFile, LoadEnv, load};
pub use resolve::{AccessLogConfig, AdminConfig, Config, Listener, LoadMode};
