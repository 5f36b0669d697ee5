//! What a program implements.

use std::sync::Arc;

use sidegate_proto::v1::{
    BodyChunk, Completion, Configure, Hooks, RequestHeaders, ResponseHeaders, Trailers, Variable,
};

use crate::{Answer, LogSink};

/// What a program says of itself.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// For logs.
    pub name: String,
    /// For logs.
    pub version: String,
    /// Variables that it wants to see.
    pub variables: Vec<Variable>,
    /// The hooks that it wants; `None`: all that the configuration has.
    pub hooks: Option<Hooks>,
}

/// A program.
pub trait Plugin: Send + Sync + 'static {
    /// What it says of itself.
    fn describe(&self) -> Description {
        Description::default()
    }

    /// A place in a filter chain with its configuration; an error fails all
    /// that is asked there. MOSN's calls have the default configuration.
    fn configure(&self, configure: &Configure) -> Result<Box<dyn Use>, String>;

    /// What takes access logs, where the program does.
    fn log_sink(&self) -> Option<Arc<dyn LogSink>> {
        None
    }
}

/// A place in a filter chain: makes the filters of its HTTP streams.
pub trait Use: Send + Sync + 'static {
    /// A filter for one HTTP stream. By MOSN's call request and response have
    /// one each.
    fn filter(&self) -> Box<dyn Filter>;
}

impl<F: Fn() -> Box<dyn Filter> + Send + Sync + 'static> Use for F {
    fn filter(&self) -> Box<dyn Filter> {
        self()
    }
}

/// One HTTP stream. Its hooks are called one after the other; many streams are
/// under way at once.
#[allow(unused_variables)]
#[tonic::async_trait]
pub trait Filter: Send {
    /// The head of a request, once per phase that is configured.
    async fn request_headers(&mut self, head: RequestHeaders) -> Answer {
        Answer::proceed()
    }

    /// A chunk of a request's body, or all of it; what is answered while a body
    /// is only observed counts for nothing.
    async fn request_body(&mut self, chunk: BodyChunk) -> Answer {
        Answer::proceed()
    }

    /// Trailers of a request.
    async fn request_trailers(&mut self, trailers: Trailers) -> Answer {
        Answer::proceed()
    }

    /// The head of a response.
    async fn response_headers(&mut self, head: ResponseHeaders) -> Answer {
        Answer::proceed()
    }

    /// A chunk of a response's body, or all of it.
    async fn response_body(&mut self, chunk: BodyChunk) -> Answer {
        Answer::proceed()
    }

    /// Trailers of a response.
    async fn response_trailers(&mut self, trailers: Trailers) -> Answer {
        Answer::proceed()
    }

    /// The HTTP stream is over; how it ended is known where that is configured.
    async fn end(&mut self, completion: Option<Completion>) {}
}
