use std::sync::atomic::AtomicU64;

use sidegate_api::Metrics;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn rule(faults: u32, then: QuarantineAction, lasts: Option<u64>) -> Quarantine {
    Quarantine { faults, within: Duration::from_secs(10), then, lasts: lasts.map(Duration::from_secs) }
}

struct Scene {
    state: QuarantineState,
    out: Gauge,
    times: Counter,
}

impl Scene {
    fn new(rule: Quarantine) -> Self {
        let metrics = Metrics::new(1);
        let (out, times) = (metrics.gauge("out", &[]).unwrap(), metrics.counter("times", &[]).unwrap());
        let shown = Shown { out: Some(out.clone()), times: Some(times.clone()) };
        Scene { state: QuarantineState::new(rule, shown), out, times }
    }

    fn fault(&self, second: u64) -> Consequence {
        self.state.count_at(FaultKind::Policy, second * SECOND)
    }

    fn admit(&self, second: u64) -> Admission {
        self.state.admit_at(self.state.state(), second * SECOND)
    }

    /// `f`: the filter, `t`: as a trial, `-`: something in its place.
    fn streams(&self, seconds: impl IntoIterator<Item = u64>) -> String {
        let of = |second| match self.admit(second) {
            Admission::Filter => 'f',
            Admission::Trial(_) => 't',
            Admission::StandIn(_) => '-',
        };
        seconds.into_iter().map(of).collect()
    }
}

#[test]
fn only_faults_within_the_window_trip_it() {
    let scene = Scene::new(rule(3, QuarantineAction::Bypass, None));
    for _ in 0..5 {
        let closed = scene.state.count_at(FaultKind::Closed, 0);
        assert_eq!(closed, Consequence::None, "what fails closed is never bypassed");
    }
    for second in [0, 5, 11, 22, 33, 34] {
        assert_eq!(scene.fault(second), Consequence::None, "{second}");
        assert_eq!(scene.streams([second]), "f");
    }
    assert_eq!(scene.fault(35), Consequence::Out);
    for _ in 0..5 {
        assert_eq!(scene.fault(36), Consequence::None, "it trips once");
    }
    assert_eq!((scene.streams([36, 1_000_000_000]), scene.out.get(), scene.times.get()), ("--".to_owned(), 1, 1));
    assert_eq!(scene.state.condition(), (Phase::Out, None));
    scene.state.clear();
    assert_eq!((scene.streams([37]), scene.out.get()), ("f".to_owned(), 0));
    let (out, state) = (scene.out.clone(), scene.state);
    for _ in 0..3 {
        state.count_at(FaultKind::Policy, 40 * SECOND);
    }
    assert_eq!(out.get(), 1);
    drop(state);
    assert_eq!(out.get(), 0, "what is gone is not shown");
}

#[test]
fn one_stream_tries_and_all_follow_if_it_does_well() {
    let scene = Scene::new(rule(1, QuarantineAction::Closed, Some(30)));
    assert_eq!(scene.fault(100), Consequence::Out);
    assert_eq!(scene.streams([100, 129]), "--");
    let Admission::Trial(trial) = scene.admit(130) else { panic!("nobody tries") };
    assert_eq!((scene.streams([130, 131, 139]), scene.out.get()), ("---".to_owned(), 1));
    assert!(scene.state.tried_at(trial, 132 * SECOND));
    assert_eq!((scene.streams([132, 141]), scene.out.get()), ("ff".to_owned(), 0));
    assert!(!scene.state.tried_at(trial, 133 * SECOND), "a trial ends once");
    // The first fault of the window takes it out again, for as long again.
    assert_eq!(scene.fault(141), Consequence::OutAgain);
    assert_eq!((scene.streams([170, 171, 172]), scene.out.get(), scene.times.get()), ("-t-".to_owned(), 1, 2));
}

#[test]
fn a_trial_that_fails_renews_it_and_its_end_changes_nothing() {
    let scene = Scene::new(rule(2, QuarantineAction::Closed, Some(30)));
    assert_eq!([scene.fault(0), scene.fault(0)], [Consequence::None, Consequence::Out]);
    let Admission::Trial(trial) = scene.admit(30) else { panic!("nobody tries") };
    assert_eq!(scene.fault(31), Consequence::OutAgain);
    assert!(!scene.state.tried_at(trial, 31 * SECOND));
    assert_eq!(scene.streams([31, 60, 61]), "--t");
}

#[test]
fn a_trial_that_lasts_is_as_good_as_one_that_ended() {
    let scene = Scene::new(rule(2, QuarantineAction::Bypass, Some(5)));
    scene.fault(0);
    scene.fault(0);
    assert_eq!(scene.streams([5, 14, 15, 16]), "t-ff");
    assert_eq!(scene.fault(24), Consequence::OutAgain, "it is still on trial");
    assert_eq!(scene.streams([29, 39, 49, 50]), "tfff");
    assert_eq!(scene.fault(51), Consequence::None, "after the window it takes as many as before");
    assert_eq!(scene.fault(52), Consequence::Out);
}

#[test]
fn of_many_that_come_at_once_one_tries() {
    let scene = Scene::new(rule(1, QuarantineAction::Closed, Some(1)));
    scene.fault(0);
    let trials = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    if matches!(scene.admit(2), Admission::Trial(_)) {
                        trials.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!((trials.into_inner(), scene.out.get()), (1, 1));
}

#[test]
fn faults_of_many_threads_are_all_counted() {
    const EACH: u32 = 1000;
    let scene = Scene::new(rule(4 * EACH, QuarantineAction::Closed, None));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..EACH).for_each(|_| {
                    scene.fault(1);
                })
            });
        }
    });
    // The last of them may have looked before the first was to be seen.
    let late = scene.streams([1]) == "-" || scene.fault(1) == Consequence::Out;
    assert!(late && scene.times.get() == 1);
}

#[test]
fn states_are_what_their_words_say() {
    for time in [0, 1, SECOND, State::NEVER] {
        for state in [State::Out { until: time }, State::Trying { since: time }, State::OnTrial { until: time }] {
            assert_eq!(State::of(state.word()), state);
        }
    }
    assert_eq!((State::Serving.word(), State::of(State::SERVING)), (State::SERVING, State::Serving));
    assert_eq!(State::Out { until: u64::MAX }.word(), State::Out { until: State::NEVER }.word());
}
