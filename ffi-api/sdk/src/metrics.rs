//! Metric handles: defined in a factory, updated from any thread without lock
//! or lookup.

use std::marker::PhantomData;
use std::ops::Index;
use std::time::Duration;

use sidegate_abi as abi;

use crate::host::{check, host_fn, Host};
use crate::{ConfigError, FactoryEnv};

#[derive(Debug, Clone, Copy)]
struct Series {
    host: Host,
    number: u64,
}

fn define(host: Host, kind: u32, name: &str, labels: &[(&str, &str)]) -> Result<Series, ConfigError> {
    let labels: Vec<abi::Header> = labels
        .iter()
        .map(|(name, value)| abi::Header {
            name: abi::Slice::from_bytes(name.as_bytes()),
            value: abi::Slice::from_bytes(value.as_bytes()),
        })
        .collect();
    let mut number = 0;
    host_fn!(host, metric_define)
        .and_then(|define| {
            let name = abi::Slice::from_bytes(name.as_bytes());
            // SAFETY: name and labels are lent for the call, `number` is ours.
            check(unsafe { define(host.module(), kind, name, labels.as_ptr(), labels.len() as u64, &mut number) })
        })
        .map_err(|error| ConfigError::new("", format_args!("metric `{name}`: {error}")))?;
    Ok(Series { host, number })
}

impl Series {
    fn add(self, delta: i64) {
        if let Ok(add) = host_fn!(self.host, metric_add) {
            // SAFETY: any thread; the number was defined by this module.
            let _ = unsafe { add(self.host.module(), self.number, delta) };
        }
    }
}

pub(crate) mod sealed {
    use super::ConfigError;
    use crate::FactoryEnv;

    pub trait Define: Copy {
        fn define(env: &FactoryEnv, name: &str, labels: &[(&str, &str)]) -> Result<Self, ConfigError>;
    }
}

/// A kind of metric: [`Counter`], [`Gauge`] or [`Histogram`].
///
/// ```
/// # use sidegate_sdk::{ConfigError, FactoryEnv, Family, Label, Metric};
/// /// One metric per value of a label that the caller chooses.
/// fn per_label<M: Metric, L: Label>(env: &mut FactoryEnv) -> Result<Family<M, L>, ConfigError> {
///     env.family("limit_total", &[])
/// }
/// ```
pub trait Metric: sealed::Define {}

macro_rules! metric {
    ($type:ident, $kind:ident) => {
        impl sealed::Define for $type {
            fn define(env: &FactoryEnv, name: &str, labels: &[(&str, &str)]) -> Result<Self, ConfigError> {
                define(env.host, abi::$kind, name, labels).map($type)
            }
        }

        impl Metric for $type {}
    };
}

/// Only grows. Made by [`FactoryEnv::counter`](crate::FactoryEnv::counter).
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Hits { hits: Counter }
/// # struct HitsFilter<'f>(&'f Hits);
/// # impl FilterFactory for Hits {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = HitsFilter<'f>;
/// fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
///     Ok(Hits { hits: env.counter("hits_total", &[("of", "requests")])? })
/// }
/// #   fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> HitsFilter<'f> { HitsFilter(self) }
/// # }
/// # impl Filter for HitsFilter<'_> {
/// #   const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
/// fn on_request_headers(&mut self, _: &mut RequestHeaders<'_>) -> HookResult {
///     self.0.hits.inc();
///     Ok(Status::Continue)
/// }
/// # }
/// # fn main() {
/// # let host = TestHost::new::<Hits>(serde_json::json!({})).unwrap();
/// # host.request("GET", "/", &[]).run();
/// assert_eq!(host.metric("hits_total", &[("of", "requests")]), Some(1.0));
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Counter(Series);

metric!(Counter, METRIC_COUNTER);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(self) {
        self.0.add(1);
    }

    /// Adds `count`, at most `i64::MAX` at a time.
    #[inline]
    pub fn add(self, count: u64) {
        self.0.add(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Goes up and down. Made by [`FactoryEnv::gauge`](crate::FactoryEnv::gauge).
///
/// ```
/// # use sidegate_sdk::Gauge;
/// fn entered(active: Gauge) { active.add(1); }
/// fn left(active: Gauge) { active.add(-1); }
/// fn cleared(active: Gauge) { active.set(0); }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Series);

metric!(Gauge, METRIC_GAUGE);

impl Gauge {
    /// Moves the level.
    #[inline]
    pub fn add(self, delta: i64) {
        self.0.add(delta);
    }

    /// Sets the level.
    #[inline]
    pub fn set(self, level: i64) {
        if let Ok(set) = host_fn!(self.0.host, metric_set) {
            // SAFETY: any thread; the number was defined by this module.
            let _ = unsafe { set(self.0.host.module(), self.0.number, level) };
        }
    }
}

/// Distribution of values. Made by
/// [`FactoryEnv::histogram`](crate::FactoryEnv::histogram).
///
/// ```
/// # use std::time::Duration;
/// # use sidegate_sdk::Histogram;
/// fn checked(seconds: Histogram, took: Duration) { seconds.observe_duration(took); }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Histogram(Series);

metric!(Histogram, METRIC_HISTOGRAM);

impl Histogram {
    /// Counts one observation.
    #[inline]
    pub fn observe(self, value: f64) {
        if let Ok(observe) = host_fn!(self.0.host, metric_observe) {
            // SAFETY: any thread; the number was defined by this module.
            let _ = unsafe { observe(self.0.host.module(), self.0.number, value) };
        }
    }

    /// Counts a time, in seconds.
    #[inline]
    pub fn observe_duration(self, time: Duration) {
        self.observe(time.as_secs_f64());
    }
}

/// The values of one label, known when the module is built; made by
/// [`labels!`](crate::labels).
///
/// ```
/// # use sidegate_sdk::Label;
/// #[derive(Clone, Copy)]
/// struct IsHit(bool);
///
/// impl Label for IsHit {
///     const NAME: &'static str = "cache";
///     const VALUES: &'static [&'static str] = &["miss", "hit"];
///
///     fn index(self) -> usize {
///         usize::from(self.0)
///     }
/// }
/// assert_eq!(IsHit::VALUES[IsHit(true).index()], "hit");
/// ```
pub trait Label: Copy + 'static {
    /// Name of the label.
    const NAME: &'static str;
    /// All its values.
    const VALUES: &'static [&'static str];

    /// Place of this one in [`Label::VALUES`].
    fn index(self) -> usize;
}

/// Makes an enum whose variants are the values of a metric label.
///
/// ```
/// sidegate_sdk::labels! {
///     /// What became of a request.
///     pub enum Verdict: "verdict" { Allowed = "allowed", Refused = "refused" }
/// }
/// # fn main() {
/// use sidegate_sdk::Label;
/// assert_eq!((Verdict::NAME, Verdict::VALUES[Verdict::Refused.index()]), ("verdict", "refused"));
/// # }
/// ```
#[macro_export]
macro_rules! labels {
    ($(#[$attribute:meta])* $visible:vis enum $name:ident: $label:literal { $($(#[$doc:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visible enum $name {
            $($(#[$doc])* #[allow(missing_docs)] $variant),+
        }

        impl $crate::Label for $name {
            const NAME: &'static str = $label;
            const VALUES: &'static [&'static str] = &[$($value),+];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// One metric per value of a label, all defined in the factory, so that
/// choosing one is an index. Made by
/// [`FactoryEnv::family`](crate::FactoryEnv::family).
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// sidegate_sdk::labels! { enum Verdict: "verdict" { Allowed = "allowed", Refused = "refused" } }
///
/// struct Gate { requests: Family<Counter, Verdict> }
/// # struct GateFilter<'f>(&'f Gate);
/// # impl FilterFactory for Gate {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = GateFilter<'f>;
/// fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
///     Ok(Gate { requests: env.family("gate_requests_total", &[])? })
/// }
/// #   fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> GateFilter<'f> { GateFilter(self) }
/// # }
/// # impl Filter for GateFilter<'_> {
/// #   const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
/// fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     self.0.requests[Verdict::Refused].inc();
///     cx.reply(Reply::text(403, "no\n"))
/// }
/// # }
/// # fn main() {
/// # let host = TestHost::new::<Gate>(serde_json::json!({})).unwrap();
/// # host.request("GET", "/", &[]).run();
/// assert_eq!(host.metric("gate_requests_total", &[("verdict", "refused")]), Some(1.0));
/// assert_eq!(host.metric("gate_requests_total", &[("verdict", "allowed")]), Some(0.0));
/// # }
/// ```
#[derive(Debug)]
pub struct Family<M, L> {
    series: Box<[M]>,
    _label: PhantomData<fn(L)>,
}

impl<M: Metric, L: Label> Family<M, L> {
    pub(crate) fn define(env: &FactoryEnv, name: &str, labels: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let series = L::VALUES.iter().map(|value| {
            let mut all = labels.to_vec();
            all.push((L::NAME, value));
            M::define(env, name, &all)
        });
        Ok(Family { series: series.collect::<Result<_, _>>()?, _label: PhantomData })
    }
}

impl<M: Metric, L: Label> Index<L> for Family<M, L> {
    type Output = M;

    #[inline]
    fn index(&self, label: L) -> &M {
        &self.series[label.index()]
    }
}
