//! Metrics: defined once, updated without lock or lookup, summed on read.

use std::sync::Arc;

use crate::metrics_store::{SHARED, Store, current_worker, enter_worker};

/// The process's metrics. Cheap to clone. A series is named by its name and
/// labels; defining it again gives the same series, so series survive reloads.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Store>);

/// What a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution over fixed buckets.
    Histogram,
    /// The same of durations, read in seconds.
    Durations,
}

/// A series could not be defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Not `[a-zA-Z_:][a-zA-Z0-9_:]*`, or a label name that is not.
    #[error("`{0}` is not a metric or label name")]
    BadName(String),
    /// Known with another kind.
    #[error("`{0}` is already defined with another kind")]
    KindConflict(String),
    /// Too many series.
    #[error("too many metric series")]
    Limit,
}

/// Upper bounds of the histogram buckets for latencies, in milliseconds.
pub const LATENCY_BUCKETS_MS: [f64; 14] =
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0, 10000.0];

/// One series as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name, as in Prometheus.
    pub name: Arc<str>,
    /// Labels in definition order.
    pub labels: Arc<[(String, String)]>,
    /// Value.
    pub value: SeriesValue,
}

/// Value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesValue {
    /// Total.
    Counter(u64),
    /// Level.
    Gauge(i64),
    /// Bucket bounds with cumulative counts, sum and count.
    Histogram {
        /// `(upper bound, observations up to it)`.
        buckets: Vec<(f64, u64)>,
        /// Sum of all observations, rounded to thousandths.
        sum: f64,
        /// Number of observations.
        count: u64,
    },
}

impl Metrics {
    /// An empty store for this many workers.
    pub fn new(workers: usize) -> Self {
        Metrics(Arc::new(Store::new(workers)))
    }

    /// Makes the calling thread worker number `index`: its updates go to cells
    /// of its own.
    pub fn enter_worker(&self, index: usize) {
        enter_worker(index);
    }

    /// A counter.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, MetricError> {
        let cell = self.0.define(MetricKind::Counter, name, labels, 1)?;
        Ok(Counter(Cell { store: self.0.clone(), cell }))
    }

    /// A gauge that any thread may set; one cell for the whole process.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, MetricError> {
        let cell = self.0.define(MetricKind::Gauge, name, labels, 1)?;
        Ok(Gauge(Cell { store: self.0.clone(), cell }))
    }

    /// A gauge that is only moved up and down, cheaply on workers.
    pub fn up_down(&self, name: &str, labels: &[(&str, &str)]) -> Result<UpDown, MetricError> {
        let cell = self.0.define(MetricKind::Gauge, name, labels, 1)?;
        Ok(UpDown(Cell { store: self.0.clone(), cell }))
    }

    /// A histogram over [`LATENCY_BUCKETS_MS`]; observations are in
    /// milliseconds or whatever unit the name says.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, MetricError> {
        let cells = LATENCY_BUCKETS_MS.len() as u32 + 2;
        let cell = self.0.define(MetricKind::Histogram, name, labels, cells)?;
        Ok(Histogram(Cell { store: self.0.clone(), cell }))
    }

    /// A histogram of durations, with the bounds of [`LATENCY_BUCKETS_MS`] in
    /// seconds, which Prometheus' conventions want.
    pub fn durations(&self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, MetricError> {
        let cells = LATENCY_BUCKETS_MS.len() as u32 + 2;
        let cell = self.0.define(MetricKind::Durations, name, labels, cells)?;
        Ok(Histogram(Cell { store: self.0.clone(), cell }))
    }

    /// All series, in order of definition.
    pub fn read(&self) -> Vec<Series> {
        self.0.read()
    }
}

#[derive(Debug, Clone)]
struct Cell {
    store: Arc<Store>,
    cell: u32,
}

/// Handle of a counter.
#[derive(Debug, Clone)]
pub struct Counter(Cell);

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store.add(current_worker(), self.0.cell, count);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Total over all threads.
    pub fn get(&self) -> u64 {
        self.0.store.sum(self.0.cell)
    }
}

/// Handle of a gauge that can be set.
#[derive(Debug, Clone)]
pub struct Gauge(Cell);

impl Gauge {
    /// Sets the level.
    pub fn set(&self, level: i64) {
        self.0.store.set(self.0.cell, level as u64);
    }

    /// Moves the level.
    pub fn add(&self, delta: i64) {
        self.0.store.add(SHARED, self.0.cell, delta as u64);
    }

    /// The level.
    pub fn get(&self) -> i64 {
        self.0.store.sum(self.0.cell) as i64
    }
}

/// Handle of a gauge that is moved only.
#[derive(Debug, Clone)]
pub struct UpDown(Cell);

impl UpDown {
    /// One more.
    #[inline]
    pub fn inc(&self) {
        self.0.store.add(current_worker(), self.0.cell, 1);
    }

    /// One less.
    #[inline]
    pub fn dec(&self) {
        self.0.store.add(current_worker(), self.0.cell, u64::MAX);
    }

    /// The level over all threads.
    pub fn get(&self) -> i64 {
        self.0.store.sum(self.0.cell) as i64
    }
}

/// Handle of a histogram.
#[derive(Debug, Clone)]
pub struct Histogram(Cell);

impl Histogram {
    /// Counts one observation, in milliseconds or whatever unit the name says.
    #[inline]
    pub fn observe(&self, value: f64) {
        self.record(Observation::new(value));
    }

    /// The same, of what was looked up already.
    #[inline]
    pub fn record(&self, observation: Observation) {
        let worker = current_worker();
        let Cell { store, cell } = &self.0;
        store.add(worker, cell + observation.bucket, 1);
        store.add(worker, cell + LATENCY_BUCKETS_MS.len() as u32 + 1, observation.thousandths);
    }
}

/// A value and its bucket, looked up once for all histograms that it goes into.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    bucket: u32,
    /// Thousandths keep the sum an integer cell.
    thousandths: u64,
}

impl Observation {
    /// Of `value`, in milliseconds or the histogram's unit; negative and NaN
    /// count as zero.
    #[inline]
    pub fn new(value: f64) -> Self {
        let value = if value > 0.0 { value } else { 0.0 };
        let bucket = LATENCY_BUCKETS_MS.iter().position(|&bound| value <= bound).unwrap_or(LATENCY_BUCKETS_MS.len());
        // Float-to-int casts saturate.
        Observation { bucket: bucket as u32, thousandths: (value * 1000.0) as u64 }
    }
}
