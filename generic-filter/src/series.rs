//! The metric series of a module: defined under a lock, updated without.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use sidegate_abi as abi;
use sidegate_api::{Counter, Gauge, Histogram, MetricError, Metrics};

/// A defined series.
#[derive(Debug)]
pub(crate) enum Series {
    Counter(Counter),
    Gauge(SharedGauge),
    Histogram(Histogram),
}

/// A gauge that the generations of a module share while they overlap. What one
/// of them has added goes with it; a level that was set is the last setter's.
#[derive(Debug)]
pub(crate) struct SharedGauge {
    gauge: Gauge,
    added: AtomicI64,
    is_set: AtomicBool,
}

impl SharedGauge {
    fn new(gauge: Gauge) -> Self {
        SharedGauge { gauge, added: AtomicI64::new(0), is_set: AtomicBool::new(false) }
    }

    pub(crate) fn add(&self, delta: i64) {
        self.added.fetch_add(delta, Ordering::Relaxed);
        self.gauge.add(delta);
    }

    pub(crate) fn set(&self, level: i64) {
        self.is_set.store(true, Ordering::Relaxed);
        self.gauge.set(level);
    }
}

impl Drop for SharedGauge {
    fn drop(&mut self) {
        if !*self.is_set.get_mut() {
            self.gauge.add(self.added.get_mut().wrapping_neg());
        }
    }
}

/// One module may define `CHUNK * CHUNKS` series.
const CHUNK: usize = 64;
const CHUNKS: usize = 16;
const MAX_LABELS: usize = 16;
const MAX_LABEL_BYTES: usize = 256;

type Key = (u32, String, Vec<(String, String)>);
type Chunk = Box<[OnceLock<Series>]>;

/// Append-only: a number that was given out stays valid, and looking it up
/// takes no lock.
///
/// A table belongs to one generation of a module and owns the series in it:
/// when it is dropped, those that no other generation has defined are shown
/// for a while longer and then freed (see [`Metrics`]). What a next generation
/// has too goes on, counters from where they are; a gauge that none defines
/// any more begins at zero when one does again.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    chunks: [OnceLock<Chunk>; CHUNKS],
    known: Mutex<HashMap<Key, usize>>,
}

impl SeriesTable {
    /// The series with this number.
    #[inline]
    pub(crate) fn get(&self, number: u64) -> Option<&Series> {
        let number = usize::try_from(number).ok()?;
        self.chunks.get(number / CHUNK)?.get()?.get(number % CHUNK)?.get()
    }

    /// Defines a series of `module`, or finds it; errors are result numbers.
    pub(crate) fn define(
        &self,
        metrics: &Metrics,
        module: &str,
        kind: u32,
        name: &[u8],
        labels: &[(&[u8], &[u8])],
    ) -> Result<u64, u32> {
        let key = checked_key(kind, name, labels)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = known.get(&key) {
            return Ok(number as u64);
        }
        let number = known.len();
        let chunk = self.chunks.get(number / CHUNK).ok_or(abi::LIMIT)?;
        let series = make(metrics, module, &key)?;
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
        // The lock is held and the number is new, so the place is free.
        let _ = chunk[number % CHUNK].set(series);
        known.insert(key, number);
        Ok(number as u64)
    }
}

fn checked_key(kind: u32, name: &[u8], labels: &[(&[u8], &[u8])]) -> Result<Key, u32> {
    if !(abi::METRIC_COUNTER..=abi::METRIC_HISTOGRAM).contains(&kind) {
        return Err(abi::UNSUPPORTED);
    }
    if name.len() > MAX_LABEL_BYTES || labels.len() > MAX_LABELS {
        return Err(abi::LIMIT);
    }
    let name = std::str::from_utf8(name).map_err(|_| abi::BAD_NAME)?;
    if name.starts_with("sidegate_") {
        return Err(abi::RESERVED);
    }
    let mut checked = Vec::with_capacity(labels.len());
    for (label, value) in labels {
        let label = std::str::from_utf8(label).map_err(|_| abi::BAD_NAME)?;
        let value = std::str::from_utf8(value).map_err(|_| abi::BAD_VALUE)?;
        if label == "module" || label == "le" {
            return Err(abi::RESERVED);
        }
        if value.len() > MAX_LABEL_BYTES || label.len() > MAX_LABEL_BYTES {
            return Err(abi::LIMIT);
        }
        if value.chars().any(char::is_control) || checked.iter().any(|(known, _)| known == label) {
            return Err(abi::BAD_VALUE);
        }
        checked.push((label.to_owned(), value.to_owned()));
    }
    Ok((kind, name.to_owned(), checked))
}

fn make(metrics: &Metrics, module: &str, (kind, name, labels): &Key) -> Result<Series, u32> {
    let mut all = vec![("module", module)];
    all.extend(labels.iter().map(|(label, value)| (label.as_str(), value.as_str())));
    let series = match *kind {
        abi::METRIC_COUNTER => metrics.counter(name, &all).map(Series::Counter),
        abi::METRIC_GAUGE => metrics.gauge(name, &all).map(|gauge| Series::Gauge(SharedGauge::new(gauge))),
        _ => metrics.histogram(name, &all).map(Series::Histogram),
    };
    series.map_err(|error| match error {
        MetricError::BadName(_) => abi::BAD_NAME,
        MetricError::KindConflict(_) => abi::BAD_VALUE,
        MetricError::Limit => abi::LIMIT,
    })
}

#[cfg(test)]
mod tests {
    use sidegate_api::SeriesValue;

    use super::*;

    #[test]
    fn series_are_found_again_and_bounded() {
        let metrics = Metrics::new(1);
        let table = SeriesTable::default();
        let define = |kind, name: &[u8], labels: &[(&[u8], &[u8])]| table.define(&metrics, "m", kind, name, labels);
        let first = define(abi::METRIC_COUNTER, b"hits", &[(b"a", b"1")]).unwrap();
        assert_eq!(define(abi::METRIC_COUNTER, b"hits", &[(b"a", b"1")]), Ok(first));
        assert_eq!(define(abi::METRIC_GAUGE, b"hits", &[]), Err(abi::BAD_VALUE));
        assert_eq!(define(abi::METRIC_COUNTER, b"no good", &[]), Err(abi::BAD_NAME));
        assert_eq!(define(abi::METRIC_COUNTER, b"\xff", &[]), Err(abi::BAD_NAME));
        assert_eq!(define(abi::METRIC_COUNTER, b"sidegate_x", &[]), Err(abi::RESERVED));
        assert_eq!(define(abi::METRIC_COUNTER, b"x", &[(b"module", b"other")]), Err(abi::RESERVED));
        assert_eq!(define(abi::METRIC_COUNTER, b"x", &[(b"a", b"1\n")]), Err(abi::BAD_VALUE));
        assert_eq!(define(9, b"x", &[]), Err(abi::UNSUPPORTED));
        for number in 1..CHUNK * CHUNKS {
            assert_eq!(
                define(abi::METRIC_COUNTER, b"hits", &[(b"n", number.to_string().as_bytes())]),
                Ok(number as u64)
            );
        }
        assert_eq!(define(abi::METRIC_COUNTER, b"hits", &[(b"n", b"more")]), Err(abi::LIMIT));
        assert!(matches!(table.get(first), Some(Series::Counter(_))));
        assert!(table.get((CHUNK * CHUNKS) as u64).is_none());
        assert!(table.get(u64::MAX).is_none());
        assert_eq!(metrics.read()[0].labels[0], ("module".to_owned(), "m".to_owned()));
    }
    #[test]
    fn what_a_generation_added_goes_with_it_and_what_it_set_does_not() {
        let metrics = Metrics::new(1);
        let (old, new) = (SeriesTable::default(), SeriesTable::default());
        let gauge = |table: &SeriesTable, name: &[u8], act: &dyn Fn(&SharedGauge)| {
            let number = table.define(&metrics, "m", abi::METRIC_GAUGE, name, &[]).unwrap();
            let Some(Series::Gauge(gauge)) = table.get(number) else { panic!("no gauge") };
            act(gauge);
        };
        gauge(&old, b"held", &|held| held.add(5));
        gauge(&new, b"held", &|held| held.add(2));
        gauge(&old, b"level", &|level| level.set(9));
        gauge(&new, b"level", &|level| level.set(4));
        let levels = || -> Vec<_> { metrics.read().into_iter().map(|series| series.value).collect() };
        assert_eq!(levels(), [SeriesValue::Gauge(7), SeriesValue::Gauge(4)]);
        drop(old);
        assert_eq!(levels(), [SeriesValue::Gauge(2), SeriesValue::Gauge(4)]);
    }
}
