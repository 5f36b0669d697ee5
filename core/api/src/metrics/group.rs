//! Series that were defined together, and what keeps them.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::cells::{Chunk, Slot};
use super::series::{CALL_BUCKETS_US, LATENCY_BUCKETS_MS, MetricKind, Series, SeriesValue};

/// The labels of a series, in the order they were given.
pub(super) type Labels = Arc<[(String, String)]>;

/// Series of one set of labels that were defined together. Its cells are free
/// again when nobody has it any more: no handle, no reader, not the registry.
#[derive(Debug)]
pub(super) struct Group {
    /// Counts up in order of definition; never used again.
    pub(super) number: u64,
    /// The same for all groups that have them.
    pub(super) labels: Labels,
    /// The same for all groups of the same series.
    pub(super) columns: Arc<[Column]>,
    pub(super) slot: Slot,
}

/// One series of a group. Names are told apart by where they are, since the
/// registry has each once.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) kind: MetricKind,
    /// Its first cell, counted from the group's first.
    pub(super) at: usize,
}

impl Column {
    /// Cells of a series of this kind.
    pub(super) fn cells(kind: MetricKind) -> usize {
        match kind {
            MetricKind::Counter | MetricKind::Gauge => 1,
            // One per bucket, one beyond the last bound, one for the sum.
            MetricKind::Histogram | MetricKind::Durations | MetricKind::CallTimes => LATENCY_BUCKETS_MS.len() + 2,
        }
    }
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.name, &other.name) && (self.kind, self.at) == (other.kind, other.at)
    }
}

impl Eq for Column {}

impl Hash for Column {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name.as_ptr(), self.at).hash(state);
    }
}

impl Group {
    /// The series called `name`.
    pub(super) fn column(&self, name: &Arc<str>) -> Option<&Column> {
        self.columns.iter().find(|column| Arc::ptr_eq(&column.name, name))
    }

    pub(super) fn has_labels(&self, labels: &[(&str, &str)]) -> bool {
        self.labels.len() == labels.len()
            && self.labels.iter().zip(labels).all(|((name, value), (other, wanted))| name == other && value == wanted)
    }

    /// Sets levels to zero. Nobody may count meanwhile.
    pub(super) fn clear_gauges(&self) {
        for gauge in self.columns.iter().filter(|column| column.kind == MetricKind::Gauge) {
            let cell = self.slot.start() + gauge.at;
            self.slot.chunk().clear(cell..cell + 1);
        }
    }

    /// As it is now.
    pub(super) fn read(&self, column: &Column) -> Series {
        let value = self.value(column.kind, self.slot.start() + column.at);
        Series { name: column.name.clone(), labels: self.labels.clone(), value }
    }

    fn value(&self, kind: MetricKind, cell: usize) -> SeriesValue {
        let sum = |cell| self.slot.chunk().sum(cell);
        match kind {
            MetricKind::Counter => SeriesValue::Counter(sum(cell)),
            MetricKind::Gauge => SeriesValue::Gauge(sum(cell) as i64),
            MetricKind::Histogram | MetricKind::Durations | MetricKind::CallTimes => {
                // What cells hold, in a unit that they are read in.
                let (bounds, unit) = match kind {
                    MetricKind::CallTimes => (CALL_BUCKETS_US, 1e6),
                    MetricKind::Durations => (LATENCY_BUCKETS_MS, 1e3),
                    _ => (LATENCY_BUCKETS_MS, 1.0),
                };
                let mut count = 0;
                let mut buckets = Vec::with_capacity(bounds.len());
                for (index, bound) in bounds.into_iter().enumerate() {
                    count += sum(cell + index);
                    buckets.push((bound / unit, count));
                }
                let over = cell + LATENCY_BUCKETS_MS.len();
                count += sum(over);
                SeriesValue::Histogram { buckets, sum: sum(over + 1) as f64 / (1000.0 * unit), count }
            }
        }
    }
}

/// What the handles of a group's series hold. When the last of them is gone,
/// the group has departed, unless the registry has made another hold of it.
pub(super) struct Hold {
    /// The group's, here for a short way to the cells.
    pub(super) chunk: Chunk,
    /// There unless the handles are blanks.
    life: Option<Life>,
}

struct Life {
    group: Arc<Group>,
    /// Which hold of the group it is.
    number: u64,
    departed: Arc<Departed>,
}

impl Hold {
    pub(super) fn new(group: Arc<Group>, number: u64, departed: Arc<Departed>) -> Arc<Self> {
        Arc::new(Hold { chunk: group.slot.chunk().clone(), life: Some(Life { group, number, departed }) })
    }

    /// What it holds.
    pub(super) fn group(&self) -> Option<&Group> {
        self.life.as_ref().map(|life| &*life.group)
    }

    /// A hold of nothing: what is counted there is seen by nobody.
    pub(super) fn blank() -> Arc<Self> {
        Arc::new(Hold { chunk: Chunk::new(0), life: None })
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.departed.note(self.group.number, self.number);
    }
}

/// Groups whose last handle is gone, until the registry takes note. A list of
/// its own, since handles are dropped on workers: nothing is done while its
/// lock is held.
#[derive(Debug, Default)]
pub(super) struct Departed {
    list: Mutex<Vec<Departure>>,
    /// How often all series were read.
    reads: AtomicU64,
}

/// A group's last handle went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub(super) group: u64,
    /// The hold that went.
    pub(super) hold: u64,
    pub(super) when: Instant,
    /// Reads that had begun by then.
    pub(super) reads: u64,
}

impl Departed {
    fn note(&self, group: u64, hold: u64) {
        let departure = Departure { group, hold, when: Instant::now(), reads: self.reads() };
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(departure);
    }

    /// In order of departure. Whoever takes it has seen everything that was
    /// counted through the handles that are gone.
    pub(super) fn take(&self) -> Vec<Departure> {
        std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Another read begins; how many began before.
    pub(super) fn begin_read(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed)
    }
}
