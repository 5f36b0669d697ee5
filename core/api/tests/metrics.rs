//! The store of metrics against a plain model of it, and under threads that
//! count while series come and go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use sidegate_api::{Counter, Histogram, MetricBounds, Metrics, Series, SeriesValue, Together, UpDown};

/// Departed series are freed by the next definition or read.
const AT_ONCE: MetricBounds =
    MetricBounds { cells: 1 << 20, read: Duration::ZERO, unread: Duration::ZERO, departed: 0 };
/// They never are.
const NEVER: MetricBounds =
    MetricBounds { read: Duration::MAX, unread: Duration::MAX, departed: usize::MAX / 2, ..AT_ONCE };

/// What an owner has.
#[derive(Debug, Clone)]
struct Owned {
    total: Counter,
    active: UpDown,
    time: Histogram,
}

impl Owned {
    fn new(metrics: &Metrics, owner: usize) -> Self {
        let owner = owner.to_string();
        metrics.together(&[("owner", &owner)], Self::define).unwrap()
    }

    fn define(series: &Together<'_>) -> Result<Self, sidegate_api::MetricError> {
        Ok(Owned {
            total: series.counter("total")?,
            active: series.up_down("active")?,
            time: series.durations("time")?,
        })
    }
}

/// What there should be of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Expected {
    total: u64,
    active: i64,
    observed: u64,
}

fn read(metrics: &Metrics) -> BTreeMap<usize, Expected> {
    let mut all = BTreeMap::new();
    for Series { labels, value, .. } in metrics.read() {
        let of: &mut Expected = all.entry(labels[0].1.parse().unwrap()).or_default();
        match value {
            SeriesValue::Counter(total) => of.total = total,
            SeriesValue::Gauge(level) => of.active = level,
            SeriesValue::Histogram { count, .. } => of.observed = count,
        }
    }
    all
}

#[derive(Debug, Clone)]
enum Step {
    /// Another hold of an owner's series.
    Define(usize),
    /// One hold of them goes.
    Drop(usize),
    /// A worker counts, or a thread that is none.
    Count(usize, usize),
    /// It opens what it will not close.
    Open(usize, usize),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    let owner = 0..12_usize;
    prop_oneof![
        3 => owner.clone().prop_map(Step::Define),
        3 => owner.clone().prop_map(Step::Drop),
        4 => (owner.clone(), 0..3_usize).prop_map(|(owner, thread)| Step::Count(owner, thread)),
        1 => (owner, 0..3_usize).prop_map(|(owner, thread)| Step::Open(owner, thread)),
        1 => Just(Step::Read),
    ]
}

type Job = Box<dyn FnOnce() + Send>;

/// Two workers and a thread that is none, which do one thing after the other.
struct Threads(Vec<Sender<(Job, Sender<()>)>>);

impl Threads {
    fn start(metrics: &Metrics) -> Self {
        let start = |index: usize| {
            let (jobs, todo) = mpsc::channel::<(Job, Sender<()>)>();
            let metrics = metrics.clone();
            thread::spawn(move || {
                if index < 2 {
                    metrics.enter_worker(index);
                }
                for (job, done) in todo {
                    job();
                    let _ = done.send(());
                }
            });
            jobs
        };
        Threads((0..3).map(start).collect())
    }

    fn run(&self, thread: usize, job: impl FnOnce() + Send + 'static) {
        let (done, wait) = mpsc::channel();
        self.0[thread].send((Box::new(job), done)).unwrap();
        wait.recv().unwrap();
    }
}

/// Plays steps on a store and on a map; `keeps` says whether it keeps what
/// departed.
fn play(steps: &[Step], bounds: MetricBounds, keeps: bool) {
    let metrics = Metrics::with_bounds(2, bounds);
    let threads = Threads::start(&metrics);
    let mut held: BTreeMap<usize, Vec<Owned>> = BTreeMap::new();
    let mut expected: BTreeMap<usize, Expected> = BTreeMap::new();
    for step in steps {
        match *step {
            Step::Define(owner) => {
                let of = expected.entry(owner).or_default();
                if held.get(&owner).is_none_or(Vec::is_empty) {
                    // Nobody's levels are not taken over.
                    *of = Expected { active: 0, ..*of };
                }
                held.entry(owner).or_default().push(Owned::new(&metrics, owner));
            }
            Step::Drop(owner) => {
                let holds = held.entry(owner).or_default();
                let gone = holds.pop();
                // The last handle may go on a worker.
                threads.run(owner % 3, move || drop(gone));
                if holds.is_empty() && !keeps {
                    expected.remove(&owner);
                }
            }
            Step::Count(owner, thread) => {
                let Some(owned) = held.get(&owner).and_then(|holds| holds.last()).cloned() else { continue };
                let of = expected.entry(owner).or_default();
                *of = Expected { total: of.total + 3, observed: of.observed + 1, ..*of };
                threads.run(thread, move || {
                    owned.total.add(3);
                    owned.time.observe(7.0);
                });
            }
            Step::Open(owner, thread) => {
                let Some(owned) = held.get(&owner).and_then(|holds| holds.last()).cloned() else { continue };
                expected.entry(owner).or_default().active += 1;
                threads.run(thread, move || owned.active.inc());
            }
            Step::Read => assert_eq!(read(&metrics), expected),
        }
    }
    assert_eq!(read(&metrics), expected);
    assert_eq!(metrics.cells(), expected.len() * 18);
    drop(held);
    if !keeps {
        assert_eq!((read(&metrics).len(), metrics.cells()), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn values_never_mix_and_none_is_lost(steps in proptest::collection::vec(step(), 1..80)) {
        play(&steps, AT_ONCE, false);
        play(&steps, NEVER, true);
    }
}

/// Workers count and drop handles that a control thread gives them, while it
/// defines, lets go and defines again, and others read.
#[test]
fn series_come_and_go_while_workers_count() {
    const WORKERS: usize = 3;
    const ROUNDS: usize = 1500;
    const OWNERS: usize = 7;
    let metrics = Metrics::with_bounds(WORKERS, AT_ONCE);
    let ended = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    // Held all the while: none of its counts may be lost or go elsewhere.
    let stays = Owned::new(&metrics, 1000);
    thread::scope(|scope| {
        let mut inboxes = Vec::new();
        let mut workers = Vec::new();
        for index in 0..WORKERS {
            // Short, so that owners go while others come.
            let (inbox, handed) = mpsc::sync_channel::<(Owned, bool)>(2);
            inboxes.push(inbox);
            let (metrics, stays) = (metrics.clone(), stays.clone());
            workers.push(scope.spawn(move || {
                metrics.enter_worker(index);
                let mut batch = Vec::new();
                for (owned, is_new) in handed {
                    // Cells that were another's a moment ago are zero, but for
                    // what the other workers have counted in them since.
                    if is_new {
                        assert!(owned.total.get() <= (WORKERS * 40) as u64, "{}", owned.total.get());
                    }
                    for _ in 0..20 {
                        owned.total.inc();
                        owned.active.inc();
                        owned.time.observe(1.0);
                        stays.total.inc();
                        owned.active.dec();
                    }
                    batch.push(owned);
                    if batch.len() > 3 {
                        batch.remove(0);
                    }
                }
            }));
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    for one in metrics.read() {
                        match (&*one.labels[0].1, one.value) {
                            ("1000", _) => {}
                            // An owner's life is 20 rounds by 3 workers, twice
                            // that where one follows itself.
                            (_, SeriesValue::Counter(total)) => assert!(total < 100_000, "{total}"),
                            (_, SeriesValue::Gauge(level)) => assert!((-3..=3).contains(&level), "{level}"),
                            (_, SeriesValue::Histogram { count, .. }) => assert!(count < 100_000, "{count}"),
                        }
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut last: Vec<Option<Owned>> = vec![None; OWNERS];
        for round in 0..ROUNDS {
            // An owner of its own each round, and some that return.
            let owner = if round % 3 == 0 { round % OWNERS } else { 10_000 + round };
            let owned = Owned::new(&metrics, owner);
            for inbox in &inboxes {
                inbox.send((owned.clone(), owner >= 10_000)).unwrap();
            }
            last[round % OWNERS] = Some(owned);
        }
        drop((inboxes, last));
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        ended.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 0);
    assert_eq!(stays.total.get(), (WORKERS * ROUNDS * 20) as u64);
    assert_eq!(read(&metrics).len(), 1);
    assert_eq!(metrics.cells(), 18);
}

/// Each call that is seen stands for some; bounds begin at a microsecond.
#[test]
fn times_of_calls_are_counted_for_those_that_are_not_seen() {
    let metrics = Metrics::new(1);
    let times = metrics.call_times("call_seconds", &[("hook", "h")]).unwrap();
    times.observe(Duration::from_nanos(800), 1);
    times.observe(Duration::from_micros(3), 64);
    times.observe(Duration::from_secs(2), 2);
    assert_eq!(times.get(), (67, Duration::from_nanos(4_000_192_800)));
    let Some(SeriesValue::Histogram { buckets, sum, count }) = metrics.read().pop().map(|series| series.value) else {
        panic!("no histogram")
    };
    assert_eq!((count, sum), (67, 4.000_192_8));
    let below = |wanted: f64| buckets.iter().find(|(bound, _)| *bound == wanted).unwrap().1;
    assert_eq!([below(1e-6), below(2.5e-6), below(5e-6), below(1.0)], [1, 1, 65, 65]);
}
