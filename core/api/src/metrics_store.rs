//! Cells behind the metrics: one shard per worker and one for other threads.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::metrics::{LATENCY_BUCKETS_MS, MetricError, MetricKind, Series, SeriesValue};

/// Shard number of threads that are no worker.
pub(crate) const SHARED: usize = usize::MAX;
const CHUNK: usize = 512;
const CHUNKS: usize = 1024;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(SHARED) };
}

pub(crate) fn enter_worker(index: usize) {
    WORKER.with(|worker| worker.set(index));
}

#[inline]
pub(crate) fn current_worker() -> usize {
    WORKER.with(Cell::get)
}

#[derive(Debug)]
pub(crate) struct Store {
    shards: Box<[Shard]>,
    shared: Shard,
    definitions: RwLock<Definitions>,
}

/// Chunks appear when their first cell is touched; aligned so that two workers
/// never write to one cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Chunk([AtomicU64; CHUNK]);

#[derive(Debug, Default)]
struct Definitions {
    list: Vec<Definition>,
    by_key: HashMap<(String, Vec<(String, String)>), usize>,
    /// Every name with its kind, once: a process with many hosts defines many
    /// series at its start.
    names: HashMap<Arc<str>, MetricKind>,
    cells: u32,
}

#[derive(Debug)]
struct Definition {
    kind: MetricKind,
    name: Arc<str>,
    labels: Arc<[(String, String)]>,
    cell: u32,
}

impl Shard {
    fn new() -> Self {
        Shard { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    #[inline]
    fn cell(&self, cell: u32) -> &AtomicU64 {
        let cell = cell as usize;
        // `define` hands out no cell beyond CHUNK * CHUNKS.
        let chunk = self.chunks[cell / CHUNK].get_or_init(|| Box::new(Chunk([const { AtomicU64::new(0) }; CHUNK])));
        &chunk.0[cell % CHUNK]
    }

    fn peek(&self, cell: u32) -> u64 {
        let cell = cell as usize;
        self.chunks[cell / CHUNK].get().map_or(0, |chunk| chunk.0[cell % CHUNK].load(Ordering::Relaxed))
    }
}

impl Store {
    pub(crate) fn new(workers: usize) -> Self {
        Store {
            shards: (0..workers).map(|_| Shard::new()).collect(),
            shared: Shard::new(),
            definitions: RwLock::default(),
        }
    }

    #[inline]
    pub(crate) fn add(&self, worker: usize, cell: u32, count: u64) {
        match self.shards.get(worker) {
            Some(shard) => {
                // Only this worker writes here, so load and store need no lock
                // prefix.
                let cell = shard.cell(cell);
                cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
            }
            None => {
                self.shared.cell(cell).fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn set(&self, cell: u32, value: u64) {
        self.shared.cell(cell).store(value, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self, cell: u32) -> u64 {
        self.shards.iter().fold(self.shared.peek(cell), |sum, shard| sum.wrapping_add(shard.peek(cell)))
    }

    pub(crate) fn define(
        &self,
        kind: MetricKind,
        name: &str,
        labels: &[(&str, &str)],
        cells: u32,
    ) -> Result<u32, MetricError> {
        if !is_metric_name(name) {
            return Err(MetricError::BadName(name.to_owned()));
        }
        if let Some((label, _)) = labels.iter().find(|(label, _)| !is_metric_name(label) || label.contains(':')) {
            return Err(MetricError::BadName((*label).to_owned()));
        }
        let labels: Vec<(String, String)> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut definitions = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), labels);
        if let Some(&known) = definitions.by_key.get(&key) {
            let known = &definitions.list[known];
            return if known.kind == kind { Ok(known.cell) } else { Err(MetricError::KindConflict(name.to_owned())) };
        }
        let shared: Arc<str> = match definitions.names.get_key_value(name) {
            Some((_, known)) if *known != kind => return Err(MetricError::KindConflict(name.to_owned())),
            Some((shared, _)) => shared.clone(),
            None => name.into(),
        };
        let cell = definitions.cells;
        if (cell + cells) as usize > CHUNK * CHUNKS {
            return Err(MetricError::Limit);
        }
        definitions.cells += cells;
        let index = definitions.list.len();
        definitions.names.insert(shared.clone(), kind);
        definitions.list.push(Definition { kind, name: shared, labels: key.1.clone().into(), cell });
        definitions.by_key.insert(key, index);
        Ok(cell)
    }

    pub(crate) fn read(&self) -> Vec<Series> {
        let definitions = self.definitions.read().unwrap_or_else(PoisonError::into_inner);
        definitions
            .list
            .iter()
            .map(|d| Series { name: d.name.clone(), labels: d.labels.clone(), value: self.value(d.kind, d.cell) })
            .collect()
    }

    fn value(&self, kind: MetricKind, cell: u32) -> SeriesValue {
        match kind {
            MetricKind::Counter => SeriesValue::Counter(self.sum(cell)),
            MetricKind::Gauge => SeriesValue::Gauge(self.sum(cell) as i64),
            MetricKind::Histogram | MetricKind::Durations => {
                // Cells are in milliseconds.
                let unit = if kind == MetricKind::Durations { 1000.0 } else { 1.0 };
                let mut count = 0;
                let mut buckets = Vec::with_capacity(LATENCY_BUCKETS_MS.len());
                for (index, bound) in LATENCY_BUCKETS_MS.into_iter().enumerate() {
                    count += self.sum(cell + index as u32);
                    buckets.push((bound / unit, count));
                }
                let over = LATENCY_BUCKETS_MS.len() as u32;
                count += self.sum(cell + over);
                SeriesValue::Histogram { buckets, sum: self.sum(cell + over + 1) as f64 / (1000.0 * unit), count }
            }
        }
    }
}

fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b':'))
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use crate::{MetricError, Metrics, SeriesValue};

    #[test]
    fn workers_and_other_threads_add_up() {
        let metrics = Metrics::new(2);
        let counter = metrics.counter("requests_total", &[("listener", "a")]).unwrap();
        counter.inc();
        for worker in 0..2 {
            let (metrics, counter) = (metrics.clone(), counter.clone());
            std::thread::spawn(move || {
                metrics.enter_worker(worker);
                counter.add(10);
            })
            .join()
            .unwrap();
        }
        assert_eq!(counter.get(), 21);
        let again = metrics.counter("requests_total", &[("listener", "a")]).unwrap();
        assert_eq!(again.get(), 21);
        assert_eq!(
            metrics.gauge("requests_total", &[]).unwrap_err(),
            MetricError::KindConflict("requests_total".into())
        );
        assert!(metrics.counter("no good", &[]).is_err());
    }

    #[test]
    fn gauges_and_histograms_read_back() {
        let metrics = Metrics::new(1);
        let active = metrics.up_down("active", &[]).unwrap();
        active.inc();
        active.inc();
        active.dec();
        assert_eq!(active.get(), 1);
        let histogram = metrics.histogram("ms", &[]).unwrap();
        histogram.observe(0.3);
        histogram.observe(99999.0);
        histogram.observe(f64::NAN);
        metrics.durations("seconds", &[]).unwrap().observe(300.0);
        let series = metrics.read();
        let SeriesValue::Histogram { buckets, sum, count } = &series[1].value else { panic!() };
        assert_eq!((buckets[0].1, buckets[1].1, *count), (1, 2, 3));
        assert!((sum - 99999.3).abs() < 0.001);
        let SeriesValue::Histogram { buckets, sum, count } = &series[2].value else { panic!() };
        assert_eq!((buckets[0], buckets[10], buckets[13], *count), ((0.00025, 0), (0.5, 1), (10.0, 1), 1));
        assert!((sum - 0.3).abs() < 1e-9);
    }
}
