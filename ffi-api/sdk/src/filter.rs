//! What a module author writes.

use serde::de::DeserializeOwned;
use serde::Deserialize;

use crate::host::Host;
use crate::metrics::sealed::Define;
use crate::objects::{ConfigValue, RouteObject, WorkerObject};
use crate::{
    Complete, ConfigError, Counter, Family, Fault, Gauge, Histogram, HookResult, Hooks, Label, Logger, Metric, Phase,
    RequestBody, RequestHeaders, RequestTrailers, ResponseBody, ResponseHeaders, ResponseTrailers, Resumed, Status,
};

/// The short way for a filter that looks at request heads and keeps nothing
/// per stream: implement it on the configuration itself.
///
/// ```
/// use sidegate_sdk::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Auth {
///     token: String,
/// }
///
/// impl RequestFilter for Auth {
///     fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         match cx.headers().get("x-token") {
///             Some(token) if token == self.token.as_bytes() => Ok(Status::Continue),
///             _ => cx.reply(Reply::text(403, "forbidden\n")),
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub trait RequestFilter: DeserializeOwned + Send + Sync + 'static {
    /// Where the hook runs.
    const PHASE: Phase = Phase::BeforeRoute;

    /// Refuses a configuration that reads well but makes no sense.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The request head.
    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult;
}

/// One filter of one stream. Declare the hooks it wants in [`Filter::HOOKS`]
/// and write them; it lives on one worker and is dropped when the stream ends,
/// or right after a hook failed or panicked.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Both;
/// #[derive(Default)]
/// struct BothWays { asked_for_json: bool }
///
/// impl Filter for BothWays {
///     const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute).response_headers();
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         self.asked_for_json = cx.headers().get("accept") == Some(b"application/json");
///         Ok(Status::Continue)
///     }
///
///     fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
///         if self.asked_for_json {
///             cx.headers_mut().add("vary", "accept")?;
///         }
///         Ok(Status::Continue)
///     }
/// }
/// # impl FilterFactory for Both {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = BothWays;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Both) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> BothWays { BothWays::default() }
/// # }
/// # fn main() {
/// # let host = TestHost::new::<Both>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[("accept", "application/json")]).run();
/// assert_eq!(outcome.response.unwrap().header("vary"), Some("accept"));
/// # }
/// ```
#[allow(unused_variables)]
pub trait Filter {
    /// The hooks below that are to be called.
    const HOOKS: Hooks;

    /// The request head, once per declared phase; again after a rematch or
    /// for another upstream attempt.
    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// A chunk of the request body, or all of it. In [`BodyMode::Stream`](crate::BodyMode::Stream) and
    /// [`BodyMode::Whole`](crate::BodyMode::Whole) it is called once for a
    /// request without a body too, with no bytes; only a request to switch
    /// protocols is not shown.
    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// The request's trailers, if it has any.
    fn on_request_trailers(&mut self, cx: &mut RequestTrailers<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// The head of the response or of a local reply.
    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// A chunk of the response body, or all of it; for one without bytes as in
    /// [`on_request_body`](Filter::on_request_body). Not for responses that
    /// cannot have a body: to `HEAD`, 1xx, 204, 205, 304, and not in a tunnel.
    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// The response's trailers, if it has any.
    fn on_response_trailers(&mut self, cx: &mut ResponseTrailers<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// After a resume, in place of the hook that returned
    /// [`Status::Pending`]. Needs no declaration.
    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        Ok(Status::Continue)
    }

    /// The stream has ended, also if it was pending; not after a fault. A
    /// tunnel that outlives its module by `so_config.generation_timeout` ends
    /// here for the filter and goes on without it: bytes are those so far, and
    /// [`Variable::ResponseDetails`](crate::Variable::ResponseDetails) is
    /// `generation_timeout`.
    fn on_complete(&mut self, cx: &mut Complete<'_>) {}
}

/// Makes the filters of one place in one filter chain.
///
/// ```
/// use sidegate_sdk::{prelude::*, testing::TestHost};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct LimitConfig { max: u64 }
///
/// struct Limit { max: u64, refused: Counter }
/// struct LimitFilter<'f> { limit: &'f Limit, seen: u64 }
///
/// impl FilterFactory for Limit {
///     type Config = LimitConfig;
///     type Filter<'f> = LimitFilter<'f>;
///
///     fn new(config: LimitConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
///         if config.max == 0 {
///             return Err(ConfigError::new("max", "expected a number above 0, found 0"));
///         }
///         Ok(Limit { max: config.max, refused: env.counter("limit_refused_total", &[])? })
///     }
///
///     fn filter<'f>(&'f self, _env: &FilterEnv<'_>) -> LimitFilter<'f> {
///         LimitFilter { limit: self, seen: 0 }
///     }
/// }
///
/// impl Filter for LimitFilter<'_> {
///     const HOOKS: Hooks = Hooks::new().request_body(BodyMode::Observe);
///
///     fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
///         self.seen += cx.body().len();
///         if self.seen > self.limit.max {
///             self.limit.refused.inc();
///             return cx.reply(Reply::text(413, "too large\n"));
///         }
///         Ok(Status::Continue)
///     }
/// }
///
/// sidegate_sdk::export! { "limit" => Limit }
///
/// # fn main() {
/// let host = TestHost::new::<Limit>(serde_json::json!({"max": 5})).unwrap();
/// assert_eq!(host.request("POST", "/", &[]).body("123").body("456").run().status(), Some(413));
/// assert_eq!(host.metric("limit_refused_total", &[]), Some(1.0));
/// assert_eq!(TestHost::new::<Limit>(serde_json::json!({"max": 0})).unwrap_err().path, "max");
/// # }
/// ```
pub trait FilterFactory: Sized + Send + Sync + 'static {
    /// What the filter's `config` object holds; [`NoConfig`] for nothing.
    type Config: DeserializeOwned;

    /// The filter. It may borrow from the factory, which outlives it; that is
    /// the cheapest way to share the configuration.
    type Filter<'f>: Filter;

    /// Takes the configuration. Define metrics here.
    fn new(config: Self::Config, env: &mut FactoryEnv) -> Result<Self, ConfigError>;

    /// A filter for a new stream.
    fn filter<'f>(&'f self, env: &FilterEnv<'_>) -> Self::Filter<'f>;

    /// The hooks this factory's filters want: those of [`Filter::HOOKS`], or
    /// fewer if the configuration needs fewer. Without any the proxy refuses
    /// the filter, as it would never be called.
    fn hooks(&self) -> Hooks {
        <Self::Filter<'static> as Filter>::HOOKS
    }

    /// Takes a route's `per_filter_config`:
    /// `Ok(RouteObject::new(config.parse::<Limits>()?))`.
    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        let _ = config;
        Err(ConfigError::new("", "expected no per_filter_config: this filter has no settings per route"))
    }

    /// Makes what one worker's filters share without locks, on that worker.
    fn worker_state(&self, worker: u32) -> Option<WorkerObject> {
        let _ = worker;
        None
    }

    /// What the factory that follows this one is to know: called when the
    /// module or the filter's configuration is exchanged while the proxy runs,
    /// on another thread than the hooks and beside them. The reader may be
    /// another version of this module, so begin with a version. At most 16 MiB;
    /// both calls have a second together.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use sidegate_sdk::{prelude::*, testing::TestHost};
    ///
    /// const VERSION: u8 = 1;
    ///
    /// struct Hits(AtomicU64);
    /// struct HitsFilter<'f>(&'f Hits);
    ///
    /// impl FilterFactory for Hits {
    ///     // ...
    /// #   type Config = NoConfig;
    /// #   type Filter<'f> = HitsFilter<'f>;
    /// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Hits(AtomicU64::new(0))) }
    /// #   fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> HitsFilter<'f> { HitsFilter(self) }
    ///     fn export_state(&self) -> Option<Vec<u8>> {
    ///         let mut state = vec![VERSION];
    ///         state.extend(self.0.load(Ordering::Relaxed).to_le_bytes());
    ///         Some(state)
    ///     }
    ///
    ///     fn import_state(&self, state: &[u8]) -> Result<(), Fault> {
    ///         let Some((&VERSION, hits)) = state.split_first() else { bail!("not of version {VERSION}") };
    ///         self.0.store(u64::from_le_bytes(hits.try_into()?), Ordering::Relaxed);
    ///         Ok(())
    ///     }
    /// }
    /// # impl Filter for HitsFilter<'_> {
    /// #     const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
    /// #     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
    /// #         let hits = self.0.0.fetch_add(1, Ordering::Relaxed) + 1;
    /// #         cx.headers_mut().set("x-hits", hits.to_string())?;
    /// #         Ok(Status::Continue)
    /// #     }
    /// # }
    /// # fn main() {
    /// # let hits = |host: &TestHost| {
    /// #     host.request("GET", "/", &[]).run().upstream.unwrap().header("x-hits").unwrap().to_owned()
    /// # };
    ///
    /// let before = TestHost::new::<Hits>(serde_json::json!({})).unwrap();
    /// assert_eq!(hits(&before), "1");
    /// let after = TestHost::new::<Hits>(serde_json::json!({})).unwrap();
    /// assert_eq!(after.inherit(&before), Ok(true));
    /// assert_eq!(hits(&after), "2");
    /// assert_eq!(after.import_state(b"\x02").unwrap_err(), "not of version 1");
    /// # }
    /// ```
    fn export_state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over what the factory before this one exported, perhaps that of
    /// another version of the module: bytes to be checked. Called once, after
    /// the routes' settings were read and before the first stream (beside the
    /// first streams, if it takes longer than a second). An error is logged and
    /// must leave everything as it was: the filter then starts empty.
    fn import_state(&self, state: &[u8]) -> Result<(), Fault> {
        let _ = state;
        Err(Fault::new("this version takes no state over"))
    }
}

/// What a factory is told and may use.
///
/// ```
/// # use sidegate_sdk::prelude::*;
/// # struct Share { per_worker: u64, hits: Counter, seconds: Histogram }
/// fn new(total: u64, env: &mut FactoryEnv) -> Result<Share, ConfigError> {
///     sidegate_sdk::info!(env, "shared by {} workers", env.workers());
///     Ok(Share {
///         per_worker: total / u64::from(env.workers()),
///         hits: env.counter("share_hits_total", &[("of", "requests")])?,
///         seconds: env.histogram("share_seconds", &[])?,
///     })
/// }
/// ```
#[derive(Debug)]
pub struct FactoryEnv {
    pub(crate) host: Host,
    pub(crate) workers: u32,
    /// `None` from a host of 1.0.
    pub(crate) plugins: Option<Vec<String>>,
}

impl FactoryEnv {
    /// Number of workers; their indexes are below it.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// The host's log and clocks, for any thread.
    pub fn logger(&self) -> Logger {
        Logger(self.host)
    }

    /// Defines a counter. The same name and labels give the same series again.
    pub fn counter(&mut self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, ConfigError> {
        Define::define(self, name, labels)
    }

    /// Defines a gauge.
    pub fn gauge(&mut self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, ConfigError> {
        Define::define(self, name, labels)
    }

    /// Defines a histogram.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, ConfigError> {
        Define::define(self, name, labels)
    }

    /// Defines one metric for each value of the label `L`, beside `labels`.
    pub fn family<M: Metric, L: Label>(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<Family<M, L>, ConfigError> {
        Family::define(self, name, labels)
    }
}

/// What a new filter is told.
///
/// ```
/// # use std::cell::Cell;
/// # use sidegate_sdk::prelude::*;
/// # struct Numbered;
/// # struct NumberedFilter { worker: u32, number: u64 }
/// fn filter(env: &FilterEnv<'_>) -> NumberedFilter {
///     let number = env.worker_state::<Cell<u64>>().map_or(0, |count| count.replace(count.get() + 1));
///     NumberedFilter { worker: env.worker(), number }
/// }
/// ```
#[derive(Debug)]
pub struct FilterEnv<'a> {
    pub(crate) host: Host,
    pub(crate) worker: u32,
    pub(crate) worker_state: Option<&'a WorkerObject>,
}

impl<'a> FilterEnv<'a> {
    /// Index of the worker that the stream lives on.
    pub fn worker(&self) -> u32 {
        self.worker
    }

    /// What [`FilterFactory::worker_state`] made, if it is a `T`.
    pub fn worker_state<T: 'static>(&self) -> Option<&'a T> {
        self.worker_state?.get()
    }

    /// The host's log and clocks.
    pub fn logger(&self) -> Logger {
        Logger(self.host)
    }
}

/// The configuration of a filter that has none: refuses every key.
///
/// ```
/// # use sidegate_sdk::{ConfigValue, NoConfig};
/// assert!(ConfigValue::from_json(serde_json::json!({})).parse::<NoConfig>().is_ok());
/// assert!(ConfigValue::from_json(serde_json::json!({"a": 1})).parse::<NoConfig>().is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// The filter behind a [`RequestFilter`]; nobody needs to name it.
#[doc(hidden)]
pub struct Shared<'f, T>(&'f T);

impl<T: RequestFilter> Filter for Shared<'_, T> {
    const HOOKS: Hooks = Hooks::new().request_headers(T::PHASE);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.0.on_request_headers(cx)
    }
}

impl<T: RequestFilter> FilterFactory for T {
    type Config = T;
    type Filter<'f> = Shared<'f, T>;

    fn new(config: T, _env: &mut FactoryEnv) -> Result<T, ConfigError> {
        config.check()?;
        Ok(config)
    }

    fn filter<'f>(&'f self, _env: &FilterEnv<'_>) -> Shared<'f, T> {
        Shared(self)
    }
}
