//! A request to send through the filter.

use std::time::Duration;

use super::engine;
use super::{Outcome, TestHost};
use crate::ConfigError;

/// A request to send through the filter, and what its upstream answers.
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

    /// How long a pending hook may wait to be resumed; 15 s by default, as in
    /// the proxy.
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

    fn try_run(self) -> Result<Outcome, ConfigError> {
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
