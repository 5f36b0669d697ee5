//! A request to send through the filter.

use std::time::Duration;

use super::engine;
use super::{Outcome, TestHost};
use crate::ConfigError;

/// A request to send through the filter, and what its upstream answers.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Pass {}
/// # impl RequestFilter for Pass {
/// #   fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult { Ok(Status::Continue) }
/// # }
/// # let host = TestHost::new::<Pass>(serde_json::json!({})).unwrap();
/// let outcome = host
///     .request("POST", "/items?x=1", &[("host", "a.test"), ("content-type", "text/plain")])
///     .body("one ")
///     .body("two")
///     .trailers(&[("x-sum", "7")])
///     .variable(Variable::DownstreamRemoteIp, "10.0.0.7")
///     .respond(201, &[("location", "/items/1")])
///     .respond_body("made")
///     .run();
/// assert_eq!(outcome.upstream.unwrap().text(), "one two");
/// assert_eq!(outcome.response.unwrap().header("location"), Some("/items/1"));
/// ```
pub struct TestStream<'h> {
    pub(super) host: &'h TestHost,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) authority: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) trailers: Vec<(String, String)>,
    pub(super) variables: Vec<(u32, String)>,
    pub(super) route_config: Option<serde_json::Value>,
    pub(super) response: Answer,
    pub(super) pending_timeout: Duration,
    pub(super) leave_when_pending: bool,
    pub(super) worker: usize,
    pub(super) named: Vec<(String, Vec<u8>)>,
}

/// What the upstream answers.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) trailers: Vec<(String, String)>,
}

impl<'h> TestStream<'h> {
    pub(super) fn new(host: &'h TestHost, method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let (hosts, headers): (Vec<_>, Vec<_>) = lower(headers).into_iter().partition(|(name, _)| name == "host");
        let authority = hosts.into_iter().next().map_or_else(|| "example.test".to_owned(), |(_, value)| value);
        TestStream {
            host,
            method: method.to_owned(),
            target: target.to_owned(),
            authority,
            headers,
            chunks: Vec::new(),
            trailers: Vec::new(),
            variables: Vec::new(),
            route_config: None,
            response: Answer { status: 200, headers: Vec::new(), chunks: Vec::new(), trailers: Vec::new() },
            pending_timeout: Duration::from_secs(15),
            leave_when_pending: false,
            worker: 0,
            named: Vec::new(),
        }
    }

    /// Adds a chunk to the request's body.
    pub fn body(mut self, chunk: impl Into<Vec<u8>>) -> Self {
        self.chunks.push(chunk.into());
        self
    }

    /// Sets the request's trailers.
    pub fn trailers(mut self, trailers: &[(&str, &str)]) -> Self {
        self.trailers = lower(trailers);
        self
    }

    /// Sets a variable before the first hook.
    pub fn variable(mut self, variable: crate::Variable, value: &str) -> Self {
        self.variables.push((variable as u32, value.to_owned()));
        self
    }

    /// Sets a variable that filters share, as one before this filter would.
    pub fn named(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.named.push((name.to_owned(), value.into()));
        self
    }

    /// The worker that the stream lives on; see [`TestHost::with_workers`].
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn worker(mut self, worker: usize) -> Self {
        assert!(worker < self.host.worker_states.len(), "there is no worker {worker}");
        self.worker = worker;
        self
    }

    /// Sets the route's settings for the filter.
    pub fn route_config(mut self, config: serde_json::Value) -> Self {
        self.route_config = Some(config);
        self
    }

    /// What the upstream answers.
    pub fn respond(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        self.response.status = status;
        self.response.headers = lower(headers);
        self
    }

    /// Adds a chunk to the body of the upstream's answer.
    pub fn respond_body(mut self, chunk: impl Into<Vec<u8>>) -> Self {
        self.response.chunks.push(chunk.into());
        self
    }

    /// Sets the trailers of the upstream's answer.
    pub fn respond_trailers(mut self, trailers: &[(&str, &str)]) -> Self {
        self.response.trailers = lower(trailers);
        self
    }

    /// How long a hook may be pending in all, however often it is resumed;
    /// 15 s by default, as in the proxy.
    pub fn pending_timeout(mut self, timeout: Duration) -> Self {
        self.pending_timeout = timeout;
        self
    }

    /// The client closes its connection as soon as a hook is pending.
    pub fn leave_when_pending(mut self) -> Self {
        self.leave_when_pending = true;
        self
    }

    /// Sends it through the filter. A pending hook is waited for, so something
    /// else (a thread of the module) must resume it.
    ///
    /// # Panics
    /// If the factory refuses [`TestStream::route_config`]; try that with
    /// [`TestHost::check_route_config`].
    pub fn run(self) -> Outcome {
        match self.try_run() {
            Ok(outcome) => outcome,
            #[allow(clippy::panic)] // for tests only, and documented
            Err(refused) => panic!("per_filter_config refused: {refused}"),
        }
    }

    pub(super) fn try_run(self) -> Result<Outcome, ConfigError> {
        let host = self.host;
        let object = match &self.route_config {
            Some(config) => host.make_route_config(config)?,
            None => std::ptr::null_mut(),
        };
        let outcome = engine::run(self, object);
        host.drop_route_config(object);
        Ok(outcome)
    }
}

fn lower(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect()
}
