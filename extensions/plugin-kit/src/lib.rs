//! Plugins for Sidegate as programs in Rust: implement [`Plugin`] and
//! [`Filter`], and [`serve`] does the rest. Such a program speaks Sidegate's
//! streaming protocol and MOSN's call, and is started by either proxy.
//!
//! ```no_run
//! use sidegate_plugin_kit::{Answer, Configure, Filter, Plugin, RequestHeaders, async_trait, serve};
//!
//! struct Auth;
//!
//! impl Plugin for Auth {
//!     fn configure(&self, _: &Configure) -> Result<Box<dyn sidegate_plugin_kit::Use>, String> {
//!         Ok(Box::new(|| Box::new(Check) as Box<dyn Filter>))
//!     }
//! }
//!
//! struct Check;
//!
//! #[async_trait]
//! impl Filter for Check {
//!     async fn request_headers(&mut self, head: RequestHeaders) -> Answer {
//!         match head.fields.iter().find(|field| field.name == "authorization") {
//!             Some(_) => Answer::proceed(),
//!             None => Answer::reply(401, "who are you?"),
//!         }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     serve(Auth)
//! }
//! ```
//!
//! ```text
//!  serve                socket, handshake, which service a call is for
//!  controls             health and the order to end
//!  session ▸ stream     the streaming protocol
//!  unary                MOSN's call
//!  access_log           lines of access logs
//!  filter, answer       what a program implements, and what it says
//! ```

#![forbid(unsafe_code)]

mod access_log;
mod answer;
mod controls;
mod filter;
mod serve;
mod session;
mod stream;
mod unary;

pub use access_log::{LogError, LogSink, serve_log_sink};
pub use answer::Answer;
pub use filter::{Description, Filter, Plugin, Use};
pub use serve::serve;
pub use sidegate_proto::v1::{
    BodyChunk, BodyMode, Completion, Configure, Field, Hooks, Interest, Part, Phase, RequestHeaders, ResponseHeaders,
    Trailers, Variable, WriteRequest,
};
pub use tonic::async_trait;
