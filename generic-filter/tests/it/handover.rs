//! State that goes from one factory to the next.

use std::path::Path;
use std::sync::Arc;

use sidegate_api::{
    BuildEnv, EndOfStream, InheritError, Inherited, ReceiverPhase, SeriesValue, StreamFilterBuilder,
    StreamFilterFactory, WorkerIndex,
};
use sidegate_generic_filter::GenericFilter;

use crate::support::{Routes, compile, counted, cx, env, generic_filter, spec, stream};

type Factory = Arc<dyn StreamFilterFactory>;

struct Place {
    module: std::path::PathBuf,
    builder: GenericFilter,
    env: BuildEnv,
}

impl Place {
    fn new() -> Self {
        Place { module: compile("state", &[]), builder: generic_filter(), env: env(1) }
    }

    fn factory_of(&self, module: &Path, filter: &str, ways: &str) -> Factory {
        let mut spec = spec(module, filter);
        spec.config = serde_json::json!({ "ways": ways });
        // Each for a configuration of its own, which reads the file anew.
        let env = BuildEnv { reads: Default::default(), ..self.env.clone() };
        self.builder.build(&spec, &env).unwrap()
    }

    fn factory(&self, ways: &str) -> Factory {
        self.factory_of(&self.module, "keeps", ways)
    }

    fn handovers(&self, result: &str) -> u64 {
        let series = self.env.metrics.read().into_iter();
        let values = series.filter(|series| {
            &*series.name == "sidegate_module_handovers_total"
                && series.labels.iter().any(|(_, value)| &**value == result)
        });
        values.fold(0, |sum, series| match series.value {
            SeriesValue::Counter(count) => sum + count,
            other => panic!("{other:?}"),
        })
    }
}

/// What the factory took over, by what its filters say; `headers` are the
/// request's.
fn kept_with(factory: &Factory, headers: &[(&str, &str)]) -> String {
    let mut state = stream(headers);
    let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
    let routes = Routes::default();
    filter.on_request_headers(&mut cx(&mut state, &routes), ReceiverPhase::BeforeRoute, EndOfStream::End);
    String::from_utf8_lossy(state.request.headers.get(b"x-kept").unwrap()).into_owned()
}

fn kept(factory: &Factory) -> String {
    kept_with(factory, &[])
}

#[test]
fn the_next_factory_has_what_the_former_one_wrote() {
    let place = Place::new();
    let before = place.factory("");
    let after = place.factory("");
    assert_eq!(after.inherit(&before), Ok(Inherited::State { bytes: 9 }));
    assert_eq!((kept(&before), kept(&after)), (String::new(), "of before".to_owned()));
    // Another generation is the same module, and its own factory is another.
    std::fs::copy(compile("state", &["-DCHANGED", "-g0", "-O2"]), &place.module).unwrap();
    let changed = place.factory("");
    assert_eq!(changed.inherit(&before), Ok(Inherited::State { bytes: 9 }));
    assert_eq!(kept(&changed), "of before");
    let long = place.factory("at-the-limit");
    assert_eq!(after.inherit(&long), Ok(Inherited::State { bytes: 16 << 20 }));
    assert_eq!((place.handovers("carried"), place.handovers("failed")), (3, 0));
}

#[test]
fn what_fails_leaves_the_next_one_empty_and_is_counted() {
    let place = Place::new();
    let failed = |before: &str, after: &str| {
        let (before, after) = (place.factory(before), place.factory(after));
        let error = after.inherit(&before).unwrap_err();
        assert_eq!(kept(&after), "");
        (error.kind(), error.to_string())
    };
    assert_eq!(failed("export-fails", ""), ("export_failed", "it was not exported: out of ink".to_owned()));
    let odd = "it was not exported: it answered 99 and gave no reason";
    assert_eq!(failed("export-odd", ""), ("export_failed", odd.to_owned()));
    assert_eq!(failed("", "import-fails"), ("import_failed", "it was not imported: cannot read it".to_owned()));
    assert_eq!(failed("too-long", "").0, "state_too_long");
    assert_eq!(place.handovers("failed"), 4);
    assert_eq!(place.factory("").inherit(&place.factory("has-none")), Ok(Inherited::Nothing));
}

#[test]
fn only_the_same_filter_of_the_same_module_hands_over() {
    let place = Place::new();
    let keeps = place.factory("");
    let plain = place.factory_of(&place.module, "plain", "");
    let elsewhere = crate::support::scratch("libother.so");
    std::fs::copy(&place.module, &elsewhere).unwrap();
    let other = place.factory_of(&elsewhere, "keeps", "");
    assert_eq!(plain.inherit(&keeps), Err(InheritError::Stranger));
    assert_eq!(keeps.inherit(&other), Err(InheritError::Stranger));
    assert_eq!(place.factory_of(&place.module, "plain", "").inherit(&plain), Ok(Inherited::Nothing));
    assert_eq!(counted(&place.env, "exports"), 0);
}

#[test]
fn who_hangs_is_not_waited_for_and_its_late_answer_is_dropped() {
    let place = Place::new();
    for (before, after, call, imports) in
        [("export-hangs", "", "export_state", 0), ("", "import-hangs", "import_state", 1)]
    {
        let (before, after) = (place.factory(before), place.factory(after));
        let Err(InheritError::Overdue { call: found, .. }) = after.inherit(&before) else { panic!("it came") };
        assert_eq!(found, call);
        // While the thread hangs, the next in line waits no longer either.
        let Err(InheritError::Overdue { call: found, .. }) = before.inherit(&after) else { panic!("it came") };
        assert_eq!(found, "the module-control thread");
        // Nobody but the job holds the former one now.
        drop(before);
        kept_with(&after, &[("x-release", "1")]);
        place.builder.settle();
        assert_eq!((counted(&place.env, "imports"), kept(&after).is_empty()), (imports, imports == 0), "{call}");
        drop(after);
        place.builder.settle();
    }
    assert_eq!((counted(&place.env, "exports"), counted(&place.env, "destroyed")), (2, 4));
    assert_eq!(place.handovers("failed"), 4);
}
