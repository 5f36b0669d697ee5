//! Metrics: defined once, updated without lock or lookup, summed on read.
//!
//! Whoever holds a handle owns the series. All series of one set of labels that
//! were [defined together](Metrics::together), those of a host for example,
//! live until the last handle of one of them is dropped, and are then shown a
//! little longer ([`MetricBounds`]), so that their last values are read. Defined
//! again while they are shown, they go on from there: so a series survives a
//! change of configuration in which its owner stays or returns. After that
//! their memory is used for others. There is nothing to free by hand: what
//! belongs to a host, a listener, a filter or a generation of a module goes
//! with the struct that its handles are in. Who counts once in a while and has
//! nowhere to keep a handle says so ([`Metrics::lasting_counter`]).

mod cells;
mod family;
mod group;
mod registry;
mod series;
mod snapshot;
#[cfg(test)]
mod tests;

use std::cell::{Cell as StdCell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::family::CounterFamily;
use self::group::Hold;
pub use self::registry::MetricBounds;
use self::registry::{Place, Store};
use self::series::CALL_BUCKETS_US;
pub use self::series::{LATENCY_BUCKETS_MS, MetricError, MetricKind, Series, SeriesValue};
pub use self::snapshot::{MetricFamily, MetricSnapshot};

/// The process's metrics. Cheap to clone. A series is named by its name and
/// labels; defining it again gives the same series.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Store>);

/// Defines series of one set of labels: see [`Metrics::together`].
pub struct Together<'a> {
    metrics: &'a Metrics,
    labels: &'a [(&'a str, &'a str)],
    stage: Stage,
}

/// Whether the series are there already.
enum Stage {
    /// They are asked for.
    Asking(RefCell<Vec<(String, MetricKind)>>),
    /// They are, in the order in which they were asked for.
    There { asked: Vec<(String, MetricKind)>, places: Vec<Place>, next: StdCell<usize> },
}

impl Metrics {
    /// An empty store for this many workers.
    pub fn new(workers: usize) -> Self {
        Self::with_bounds(workers, MetricBounds::default())
    }

    /// The same, which holds and keeps as much as `bounds` says.
    pub fn with_bounds(workers: usize, bounds: MetricBounds) -> Self {
        Metrics(Arc::new(Store::new(workers, bounds)))
    }

    /// Makes the calling thread worker number `index`: its updates go to cells
    /// of its own.
    pub fn enter_worker(&self, index: usize) {
        cells::enter_worker(index);
    }

    /// A counter.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, MetricError> {
        self.0.define(MetricKind::Counter, name, labels).map(|place| Counter(Cell::new(place)))
    }

    /// A gauge that any thread may set; one cell for the whole process.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, MetricError> {
        self.0.define(MetricKind::Gauge, name, labels).map(|place| Gauge(Cell::new(place)))
    }

    /// A gauge that is only moved up and down, cheaply on workers.
    pub fn up_down(&self, name: &str, labels: &[(&str, &str)]) -> Result<UpDown, MetricError> {
        self.0.define(MetricKind::Gauge, name, labels).map(|place| UpDown(Cell::new(place)))
    }

    /// A histogram over [`LATENCY_BUCKETS_MS`]; observations are in
    /// milliseconds or whatever unit the name says.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, MetricError> {
        self.0.define(MetricKind::Histogram, name, labels).map(|place| Histogram(Cell::new(place)))
    }

    /// A histogram of durations, with the bounds of [`LATENCY_BUCKETS_MS`] in
    /// seconds, which Prometheus' conventions want.
    pub fn durations(&self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, MetricError> {
        self.0.define(MetricKind::Durations, name, labels).map(|place| Histogram(Cell::new(place)))
    }

    /// A histogram of the times of calls, in seconds, with bounds from a
    /// microsecond on.
    pub fn call_times(&self, name: &str, labels: &[(&str, &str)]) -> Result<CallTimes, MetricError> {
        self.0.define(MetricKind::CallTimes, name, labels).map(|place| CallTimes(Cell::new(place)))
    }

    /// Defines series of one owner, that all have `labels`: they share one
    /// record, so that a series costs little more than its cells, and they go
    /// together. `make` is called twice: first to learn which there are, with
    /// handles that count nothing, then for good.
    pub fn together<T>(
        &self,
        labels: &[(&str, &str)],
        make: impl Fn(&Together<'_>) -> Result<T, MetricError>,
    ) -> Result<T, MetricError> {
        let learning = Together { metrics: self, labels, stage: Stage::Asking(RefCell::default()) };
        make(&learning)?;
        let Stage::Asking(asked) = learning.stage else { return make(&learning) };
        let asked = asked.into_inner();
        let places = self.0.define_together(&asked, labels)?;
        make(&Together { metrics: self, labels, stage: Stage::There { asked, places, next: StdCell::new(0) } })
    }

    /// A counter that stays for good, for what is seldom and has no owner that
    /// could keep a handle.
    pub fn lasting_counter(&self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, MetricError> {
        self.0.define_lasting(MetricKind::Counter, name, labels).map(|place| Counter(Cell::new(place)))
    }

    /// The same of a gauge.
    pub fn lasting_gauge(&self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, MetricError> {
        self.0.define_lasting(MetricKind::Gauge, name, labels).map(|place| Gauge(Cell::new(place)))
    }

    /// The counter of this name and these labels, if there is one, be it of an
    /// owner that is gone.
    pub fn known_counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<Counter> {
        self.0.find(MetricKind::Counter, name, labels).map(|place| Counter(Cell::new(place)))
    }

    /// All series, in order of definition; those of one owner one after the
    /// other.
    pub fn read(&self) -> Vec<Series> {
        let snapshot = self.snapshot();
        (0..snapshot.owners()).flat_map(|owner| snapshot.series_of(owner)).collect()
    }

    /// The same, for who does not want all at once.
    pub fn snapshot(&self) -> MetricSnapshot {
        MetricSnapshot::new(self.0.groups())
    }

    /// Cells that are taken by series in use and by those that are still shown:
    /// a counter or a gauge has one, a histogram 16.
    pub fn cells(&self) -> usize {
        self.0.cells()
    }
}

impl Together<'_> {
    /// As [`Metrics::counter`].
    pub fn counter(&self, name: &str) -> Result<Counter, MetricError> {
        self.place(MetricKind::Counter, name).map(|place| Counter(Cell::new(place)))
    }

    /// As [`Metrics::gauge`].
    pub fn gauge(&self, name: &str) -> Result<Gauge, MetricError> {
        self.place(MetricKind::Gauge, name).map(|place| Gauge(Cell::new(place)))
    }

    /// As [`Metrics::up_down`].
    pub fn up_down(&self, name: &str) -> Result<UpDown, MetricError> {
        self.place(MetricKind::Gauge, name).map(|place| UpDown(Cell::new(place)))
    }

    /// As [`Metrics::histogram`].
    pub fn histogram(&self, name: &str) -> Result<Histogram, MetricError> {
        self.place(MetricKind::Histogram, name).map(|place| Histogram(Cell::new(place)))
    }

    /// As [`Metrics::durations`].
    pub fn durations(&self, name: &str) -> Result<Histogram, MetricError> {
        self.place(MetricKind::Durations, name).map(|place| Histogram(Cell::new(place)))
    }

    fn place(&self, kind: MetricKind, name: &str) -> Result<Place, MetricError> {
        match &self.stage {
            Stage::Asking(asked) => {
                asked.borrow_mut().push((name.to_owned(), kind));
                Ok(self.metrics.0.blank())
            }
            Stage::There { asked, places, next } => {
                let index = next.replace(next.get() + 1);
                match (asked.get(index), places.get(index)) {
                    (Some((of, its)), Some(place)) if of == name && *its == kind => Ok(place.clone()),
                    // It asks for others than the first time.
                    _ => self.metrics.0.define(kind, name, self.labels),
                }
            }
        }
    }
}

impl fmt::Debug for Together<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// A series' cells, and a share in keeping it.
#[derive(Clone)]
struct Cell {
    hold: Arc<Hold>,
    at: u32,
}

impl Cell {
    fn new((hold, at): Place) -> Self {
        // A chunk has far fewer cells.
        Cell { hold, at: at as u32 }
    }

    #[inline]
    fn add(&self, count: u64) {
        self.hold.chunk.add([(self.at as usize, count)]);
    }

    fn sum(&self) -> u64 {
        self.hold.chunk.sum(self.at as usize)
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sum() as i64)
    }
}

/// Handle of a counter.
#[derive(Debug, Clone)]
pub struct Counter(Cell);

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.add(count);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.add(1);
    }

    /// Total over all threads.
    pub fn get(&self) -> u64 {
        self.0.sum()
    }
}

/// Handle of a gauge that can be set.
#[derive(Debug, Clone)]
pub struct Gauge(Cell);

impl Gauge {
    /// Sets the level.
    pub fn set(&self, level: i64) {
        self.0.hold.chunk.set_shared(self.0.at as usize, level as u64);
    }

    /// Moves the level.
    pub fn add(&self, delta: i64) {
        self.0.hold.chunk.add_shared(self.0.at as usize, delta as u64);
    }

    /// The level.
    pub fn get(&self) -> i64 {
        self.0.sum() as i64
    }
}

/// Handle of a gauge that is moved only.
#[derive(Debug, Clone)]
pub struct UpDown(Cell);

impl UpDown {
    /// One more.
    #[inline]
    pub fn inc(&self) {
        self.0.add(1);
    }

    /// One less.
    #[inline]
    pub fn dec(&self) {
        self.0.add(u64::MAX);
    }

    /// The level over all threads.
    pub fn get(&self) -> i64 {
        self.0.sum() as i64
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
        let first = self.0.at as usize;
        let bucket = first + observation.bucket as usize;
        let sum = first + LATENCY_BUCKETS_MS.len() + 1;
        self.0.hold.chunk.add([(bucket, 1), (sum, observation.thousandths)]);
    }
}

/// Handle of a histogram of the times of calls.
#[derive(Debug, Clone)]
pub struct CallTimes(Cell);

impl CallTimes {
    /// Counts one call of which only each `of`-th is seen: it stands for as
    /// many.
    pub fn observe(&self, took: Duration, of: u64) {
        let micros = took.as_secs_f64() * 1e6;
        let bucket = CALL_BUCKETS_US.iter().position(|&bound| micros <= bound).unwrap_or(CALL_BUCKETS_US.len());
        // Thousandths, as in all histograms.
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).saturating_mul(of);
        let first = self.0.at as usize;
        self.0.hold.chunk.add([(first + bucket, of), (first + CALL_BUCKETS_US.len() + 1, nanos)]);
    }

    /// Calls so far and how long they took together, as observed.
    pub fn get(&self) -> (u64, Duration) {
        let cell = |index| self.0.hold.chunk.sum(self.0.at as usize + index);
        let calls = (0..=CALL_BUCKETS_US.len()).fold(0_u64, |sum, index| sum.wrapping_add(cell(index)));
        (calls, Duration::from_nanos(cell(CALL_BUCKETS_US.len() + 1)))
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
