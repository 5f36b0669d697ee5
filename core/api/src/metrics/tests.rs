//! Series as owners see them: defined, counted, gone, back.

use std::time::Duration;

use super::*;

/// Departed series are freed by the next definition.
const AT_ONCE: MetricBounds =
    MetricBounds { cells: 1 << 20, read: Duration::ZERO, unread: Duration::ZERO, departed: 0 };
/// After the next read.
const ONCE_READ: MetricBounds = MetricBounds { unread: Duration::MAX, departed: 4096, ..AT_ONCE };
/// Never.
const NEVER: MetricBounds = MetricBounds { read: Duration::MAX, ..ONCE_READ };

fn names(metrics: &Metrics) -> Vec<String> {
    metrics.read().iter().map(|one| one.name.to_string()).collect()
}

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
    assert_eq!(metrics.gauge("requests_total", &[]).unwrap_err(), MetricError::KindConflict("requests_total".into()));
    assert!(metrics.counter("no good", &[]).is_err());
    assert!(metrics.counter("good", &[("no:good", "")]).is_err());
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

#[test]
fn series_stay_until_they_were_read_without_their_owner() {
    let metrics = Metrics::with_bounds(1, ONCE_READ);
    let kept = metrics.counter("kept", &[]).unwrap();
    let gone = metrics.counter("gone", &[]).unwrap();
    gone.add(3);
    assert_eq!(names(&metrics), ["kept", "gone"]);
    drop(gone);
    let last = metrics.read();
    assert_eq!((&*last[1].name, &last[1].value), ("gone", &SeriesValue::Counter(3)));
    assert_eq!(names(&metrics), ["kept"]);
    assert_eq!(metrics.cells(), 1);
    drop(kept);
}

#[test]
fn who_returns_goes_on_but_levels_of_the_dead_are_nobodys() {
    let metrics = Metrics::with_bounds(1, NEVER);
    let labels = [("host", "a")];
    let make = || {
        let of = |series: &Together<'_>| Ok((series.counter("total")?, series.up_down("active")?));
        metrics.together(&labels, of).unwrap()
    };
    let (total, active) = make();
    total.add(5);
    active.inc();
    // A handle of one of them keeps both.
    drop(total);
    let (total, again) = make();
    assert_eq!((total.get(), again.get()), (5, 1));
    drop((total, again, active));
    let (total, active) = make();
    assert_eq!((total.get(), active.get()), (5, 0));
    // Departed and returned again and again, it is one series.
    drop((total, active));
    for round in 0..5000 {
        let (total, _) = make();
        assert_eq!(total.get(), 5 + round);
        total.inc();
    }
    assert_eq!(metrics.cells(), 2);
    assert_eq!(names(&metrics), ["total", "active"]);
}

#[test]
fn what_is_to_last_stays_without_a_handle() {
    let metrics = Metrics::with_bounds(1, AT_ONCE);
    for _ in 0..3 {
        metrics.lasting_counter("told", &[("why", "a")]).unwrap().inc();
        metrics.lasting_gauge("level", &[]).unwrap().add(2);
        metrics.counter("passes", &[]).unwrap().inc();
    }
    let values: Vec<SeriesValue> = metrics.read().into_iter().map(|one| one.value).collect();
    assert_eq!(values, [SeriesValue::Counter(3), SeriesValue::Gauge(6)]);
}

#[test]
fn a_departed_series_stands_in_nobodys_way() {
    let bounds = MetricBounds { cells: 40, ..NEVER };
    let metrics = Metrics::with_bounds(1, bounds);
    let kept = metrics.counter("kept", &[]).unwrap();
    drop(metrics.counter("x", &[("a", "1")]).unwrap());
    // Another kind, and more than there is room for.
    let gauge = metrics.gauge("x", &[]).unwrap();
    for number in 0..100 {
        let one = metrics.histogram("h", &[("n", &number.to_string())]).unwrap();
        one.observe(1.0);
        assert!(metrics.cells() <= 40);
    }
    let _two = [0, 1].map(|n: i32| metrics.histogram("g", &[("n", &n.to_string())]).unwrap());
    assert_eq!(metrics.histogram("g", &[]).unwrap_err(), MetricError::Limit);
    assert_eq!(metrics.histogram("x", &[]).unwrap_err(), MetricError::KindConflict("x".into()));
    drop((kept, gauge));
}

#[test]
fn together_is_the_same_as_one_by_one() {
    let metrics = Metrics::with_bounds(1, NEVER);
    let labels = [("l", "v")];
    let single = metrics.counter("b", &labels).unwrap();
    single.inc();
    let make = |series: &Together<'_>| {
        let many = (0..40).map(|n| series.histogram(&format!("h{n}"))).collect::<Result<Vec<_>, _>>()?;
        Ok((series.counter("a")?, series.counter("b")?, series.counter("a")?, many))
    };
    let (a, b, same, many) = metrics.together(&labels, make).unwrap();
    b.inc();
    a.inc();
    many.iter().enumerate().for_each(|(n, one)| one.observe(n as f64));
    assert_eq!((single.get(), same.get(), metrics.read().len()), (2, 1, 42));
    let sum = |series: &Series| match series.value {
        SeriesValue::Histogram { sum, count: 1, .. } => Some(sum),
        _ => None,
    };
    let sums: Vec<f64> = metrics.read().iter().filter_map(sum).collect();
    assert_eq!(sums, (0..40).map(f64::from).collect::<Vec<_>>());
    let conflict = |series: &Together<'_>| Ok((series.counter("c")?, series.gauge("c")?));
    assert_eq!(metrics.together(&labels, conflict).unwrap_err(), MetricError::KindConflict("c".into()));
    assert!(metrics.together(&labels, |series| series.counter("no good")).is_err());
    assert!(metrics.known_counter("a", &labels).is_some() && metrics.known_counter("c", &labels).is_none());
    assert!(metrics.known_counter("h1", &labels).is_none(), "it is no counter");
}

#[test]
fn owners_that_come_and_go_need_no_more_room() {
    let bounds = MetricBounds { departed: 100, ..NEVER };
    let metrics = Metrics::with_bounds(2, bounds);
    let _stays = metrics.counter("stays", &[]).unwrap();
    let mut cells = Vec::new();
    for round in 0..2000 {
        let name = format!("c{round}");
        let labels = [("cluster", name.as_str())];
        let make = |series: &Together<'_>| Ok((series.counter("total")?, series.histogram("time")?));
        let (total, time) = metrics.together(&labels, make).unwrap();
        let class = metrics.counter("classes", &[labels[0], ("class", "2xx")]).unwrap();
        assert_eq!((total.get(), class.get()), (0, 0), "what was freed is zero");
        total.inc();
        class.inc();
        time.observe(3.0);
        cells.push(metrics.cells());
    }
    assert_eq!(cells[200], cells[1999]);
    assert!(cells[1999] < 103 * 18, "{}", cells[1999]);
    drop(_stays);
}

#[test]
fn names_go_with_their_series() {
    let metrics = Metrics::with_bounds(1, NEVER);
    let labels = [("l", "v")];
    let conflict = |series: &Together<'_>| Ok((series.counter("c")?, series.gauge("c")?));
    assert!(metrics.together(&labels, conflict).is_err());
    // What failed has left no name behind.
    drop(metrics.gauge("c", &labels).unwrap());
    let in_two_ways = |series: &Together<'_>| Ok((series.counter("c")?, series.counter("d")?));
    drop(metrics.together(&labels, in_two_ways).unwrap());
    // The names of what goes to make room are those of what needs it.
    let tight = Metrics::with_bounds(1, MetricBounds { cells: 2, ..NEVER });
    for round in 0..4 {
        let labels = [("round", if round % 2 == 0 { "a" } else { "b" })];
        let (c, _d) = tight.together(&labels, in_two_ways).unwrap();
        c.inc();
        assert_eq!((c.get(), tight.counter("c", &labels).unwrap().get(), tight.read().len()), (1, 1, 2));
    }
}
