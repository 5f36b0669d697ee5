//! A stream and a factory for unit tests of filters.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidegate_api::{
    BodyDirection, BodyInterest, BuildEnv, EndOfStream, FaultPolicy, FilterCx, FilterSpec, LocalReply, Method, Metrics,
    ReceiverPhase, RouteConfigSource, RouteFilterConfig, Series, Status, StreamFilter, StreamFilterBuilder,
    StreamFilterFactory, StreamState, WorkerIndex,
};

use crate::builtin::{Builtin, Definition};

/// A filter of one type, and a stream for it.
pub(crate) struct Bench {
    pub(crate) factory: Arc<dyn StreamFilterFactory>,
    filter: Box<dyn StreamFilter>,
    pub(crate) stream: StreamState,
    route: Route,
    metrics: Metrics,
}

struct Route(Option<Arc<dyn RouteFilterConfig>>);

impl RouteConfigSource for Route {
    fn route_config(&self, _filter_index: usize) -> Option<&dyn RouteFilterConfig> {
        self.0.as_deref()
    }
}

pub(crate) fn env() -> BuildEnv {
    BuildEnv {
        metrics: Metrics::new(1),
        workers: 1,
        search_dirs: Vec::new(),
        regexes: Default::default(),
        reads: Default::default(),
        plugins: None,
    }
}

fn spec(config: Value) -> FilterSpec {
    FilterSpec { filter_type: "x".into(), name: "x".into(), config, module: None, on_fault: FaultPolicy::Reply500 }
}

fn get() -> StreamState {
    let mut stream = StreamState::default();
    stream.request.method = Method::Get;
    stream.request.set_target("/");
    stream.request.authority.push_str("example.test");
    stream
}

/// `path: message` of everything that is wrong with `config`.
pub(crate) fn errors<D: Definition>(config: Value) -> Vec<String> {
    let errors = Builtin::<D>::builder().check(&spec(config), &env()).err().unwrap_or_default();
    errors.into_iter().map(|e| format!("{}: {}", e.path, e.message)).collect()
}

impl Bench {
    /// A filter with `config` and a `GET /` for it.
    pub(crate) fn new<D: Definition>(config: Value) -> Bench {
        let env = env();
        let factory = Builtin::<D>::builder().build(&spec(config), &env).unwrap();
        let filter = factory.create_filter(WorkerIndex(0)).unwrap();
        Bench { factory, filter, stream: get(), route: Route(None), metrics: env.metrics }
    }

    /// Another `GET /` and a filter of the same factory for it.
    pub(crate) fn sibling(&self) -> Bench {
        let (factory, metrics) = (self.factory.clone(), self.metrics.clone());
        let filter = factory.create_filter(WorkerIndex(0)).unwrap();
        Bench { factory, filter, stream: get(), route: Route(None), metrics }
    }

    /// What the factory measures.
    pub(crate) fn metrics(&self) -> Vec<Series> {
        self.metrics.read()
    }

    /// The route's own settings.
    pub(crate) fn on_route(mut self, config: Value) -> Bench {
        self.route = Route(Some(self.factory.create_route_config(&config).unwrap()));
        self
    }

    /// Adds a request header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Bench {
        self.stream.request.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        self
    }

    /// Starts a response.
    pub(crate) fn response(mut self, status: u16, headers: &[(&str, &str)]) -> Bench {
        self.stream.response.status = status;
        for (name, value) in headers {
            self.stream.response.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        self
    }

    fn call(&mut self, hook: impl FnOnce(&mut dyn StreamFilter, &mut FilterCx<'_>) -> Status) -> Outcome {
        match self.call_raw(hook) {
            Outcome::Stop => Outcome::Reply(self.stream.reply.take().map_or(0, |reply| reply.status)),
            other => other,
        }
    }

    fn call_raw(&mut self, hook: impl FnOnce(&mut dyn StreamFilter, &mut FilterCx<'_>) -> Status) -> Outcome {
        let wants = self.factory.interests();
        let cx = FilterCx::new(&mut self.stream, &self.route, 0, WorkerIndex(0), 1 << 20);
        let mut cx = cx
            .with_body(BodyDirection::Request, wants.request_body)
            .with_body(BodyDirection::Response, wants.response_body);
        let status = hook(&mut *self.filter, &mut cx);
        match status {
            Status::Continue => Outcome::Continue,
            Status::Stop => Outcome::Stop,
            Status::Pending => Outcome::Waits(self.stream.wake_after.take()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn request(&mut self) -> Outcome {
        let wants = self.factory.interests().phases;
        let phase = wants.first_phase().unwrap_or(ReceiverPhase::BeforeRoute);
        self.call(|filter, cx| filter.on_request_headers(cx, phase, EndOfStream::End))
    }

    /// The reply that a request head got, or what else was said.
    pub(crate) fn request_reply(&mut self) -> Result<Outcome, Box<LocalReply>> {
        let phase = self.factory.interests().phases.first_phase().unwrap();
        let outcome = self.call_raw(|filter, cx| filter.on_request_headers(cx, phase, EndOfStream::End));
        match self.stream.reply.take() {
            Some(reply) => Err(reply),
            None => Ok(outcome),
        }
    }

    /// The same for a request with a body.
    pub(crate) fn request_with_body(&mut self) -> Outcome {
        let phase = self.factory.interests().phases.first_phase().unwrap();
        self.call(|filter, cx| filter.on_request_headers(cx, phase, EndOfStream::More))
    }

    pub(crate) fn resume(&mut self) -> Outcome {
        self.call(|filter, cx| filter.on_resume(cx))
    }

    pub(crate) fn request_body(&mut self, chunk: &[u8]) -> Outcome {
        self.stream.request_body.replace(chunk);
        self.call(|filter, cx| filter.on_request_body(cx, EndOfStream::More))
    }

    pub(crate) fn response_head(&mut self, end: EndOfStream) -> Outcome {
        self.call(|filter, cx| filter.on_response_headers(cx, end))
    }

    /// What becomes of a part of the response body.
    pub(crate) fn response_body(&mut self, chunk: &[u8], last: bool) -> Vec<u8> {
        assert_ne!(self.factory.interests().response_body, BodyInterest::None);
        self.stream.response_body.replace(chunk);
        self.stream.response_body.set_last(last);
        let end = if last { EndOfStream::End } else { EndOfStream::More };
        assert_eq!(self.call(|filter, cx| filter.on_response_body(cx, end)), Outcome::Continue);
        self.stream.response_body.as_slice().to_vec()
    }

    pub(crate) fn waives(&mut self, direction: BodyDirection) -> bool {
        std::mem::take(&mut self.stream.waived_bodies[direction as usize])
    }

    pub(crate) fn response_header(&self, name: &str) -> Option<&str> {
        self.stream.response.headers.get(name.as_bytes()).map(|value| std::str::from_utf8(value).unwrap())
    }
}

/// What a hook said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Continue,
    Stop,
    /// With this status.
    Reply(u16),
    Waits(Option<Duration>),
}
