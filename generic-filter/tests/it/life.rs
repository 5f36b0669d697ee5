//! Making, sharing and destroying.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_api::{
    BuildEnv, Completion, EndOfStream, FilterFault, GenerationState, ModuleStatus, Quarantine, QuarantineAction,
    QuarantinePhase, ReceiverPhase, Status, StreamFilterBuilder, StreamFilterFactory, Tenure, WorkerIndex,
};
use sidegate_generic_filter::{GenericFilter, What, Wish};

use crate::support::{Routes, compile, counted, cx, env, generic_filter, spec, stream};

#[test]
fn one_file_is_loaded_once_and_shared() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(1));
    let first = builder.build(&spec(&module, "status"), &env).unwrap();
    let second = builder.build(&spec(&module, "alias"), &env).unwrap();
    let third = builder.build(&spec(&module, "alias"), &env).unwrap();
    second.attach_worker(WorkerIndex(0)).unwrap();
    let filter = second.create_filter(WorkerIndex(0)).unwrap();
    let modules = builder.modules();
    assert_eq!(modules.len(), 1);
    let ModuleStatus { name, abi, version, generation, filters, streams, faults, sha256, .. } = modules[0].clone();
    assert_eq!((name.as_str(), abi.as_str(), version.as_str()), ("libhostile", "1.1", "1.0.0"));
    assert_eq!((generation, streams, faults, sha256.len()), (1, 1, 0, 64));
    assert_eq!(filters, ["alias", "status"]);
    assert_eq!(first.module(), Some(modules[0].clone()));

    std::fs::copy(compile("hostile", &["-lpthread", "-DCHANGED", "-g0"]), &module).unwrap();
    // Another configuration, which reads the file anew.
    let next = BuildEnv { reads: Default::default(), ..env.clone() };
    let changed = builder.build(&spec(&module, "status"), &next).unwrap();
    changed.attach_worker(WorkerIndex(0)).unwrap();
    let states = || -> Vec<_> {
        builder.settle();
        let modules = builder.modules();
        assert!(modules.len() <= 1, "{modules:?}");
        modules.iter().flat_map(|m| &m.generations).map(|g| (g.generation, g.state, g.streams)).collect()
    };
    assert_eq!(states(), [(1, GenerationState::Draining, 1), (2, GenerationState::Current, 0)]);
    assert_eq!((builder.modules()[0].generation, builder.modules()[0].streams), (2, 1));
    drop((first, third, filter));
    second.detach_worker(WorkerIndex(0));
    drop(second);
    // This thread, as a worker, has entered it and is not asked to leave.
    assert_eq!(states(), [(1, GenerationState::Unloading, 0), (2, GenerationState::Current, 0)]);
    changed.detach_worker(WorkerIndex(0));
    drop(changed);
    assert_eq!(builder.modules()[0].filters, [""; 0]);
}

#[test]
fn everything_is_destroyed_exactly_once_and_in_order() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(1));
    let factory = builder.build(&spec(&module, "life"), &env).unwrap();
    let count = |name: &str| counted(&env, name);

    factory.attach_worker(WorkerIndex(0)).unwrap();
    factory.attach_worker(WorkerIndex(0)).unwrap();
    assert_eq!(count("attached"), 1);
    let refusal = factory.create_route_config(&serde_json::json!(7)).err().unwrap();
    assert_eq!((refusal.kind, refusal.message.as_str()), ("route_config_refused", "expected a string"));
    let routes = Routes(Some(factory.create_route_config(&serde_json::json!("setting")).unwrap()));

    let mut state = stream(&[("x-status", "2")]);
    let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
    let mut cx = cx(&mut state, &routes);
    let status = filter.on_request_headers(&mut cx, ReceiverPhase::BeforeRoute, EndOfStream::End);
    assert!(matches!(status, Status::Pending), "{status:?}");
    assert!(matches!(filter.on_resume(&mut cx), Status::Continue));
    filter.on_complete(&mut cx, &Completion { status: 200, ..Completion::default() });
    for (name, value) in [("x-route", "setting"), ("x-worker", "worker-0"), ("x-resumed", "yes")] {
        assert_eq!(state.request.headers.get(name.as_bytes()), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(factory.module().unwrap().streams, 1);
    drop(filter);
    assert_eq!(factory.module().unwrap().streams, 0);
    factory.detach_worker(WorkerIndex(0));
    assert_eq!(count("detached"), 0, "another use goes on");
    let state_of_the_other = factory.create_filter(WorkerIndex(0));
    drop(state_of_the_other.unwrap());
    factory.detach_worker(WorkerIndex(0));
    assert_eq!(count("detached"), 1);
    factory.detach_worker(WorkerIndex(0));
    let late = factory.create_filter(WorkerIndex(0)).err().unwrap();
    assert!(late.message.contains("has no state"));

    drop(factory);
    builder.settle();
    assert_eq!(count("factories_destroyed"), 0, "the route's object holds the factory");
    drop(routes);
    builder.settle();
    for (name, expected) in [
        ("filters_made", 2),
        ("filters_destroyed", 2),
        ("completed", 1),
        ("attached", 1),
        ("detached", 1),
        ("routes_made", 1),
        ("routes_destroyed", 1),
        ("factories_destroyed", 1),
    ] {
        assert_eq!(count(name), expected, "{name}");
    }
}

/// A new view attaches before the old one detaches, as often as it likes.
#[test]
fn worker_states_are_counted_per_worker() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(2));
    let factory = builder.build(&spec(&module, "life"), &env).unwrap();
    let counts = || (counted(&env, "attached"), counted(&env, "detached"));
    let usable = |worker| factory.create_filter(WorkerIndex(worker)).is_ok();
    for worker in [0, 1] {
        factory.attach_worker(WorkerIndex(worker)).unwrap();
    }
    assert_eq!(counts(), (2, 0));
    for _ in 0..3 {
        factory.attach_worker(WorkerIndex(0)).unwrap();
        factory.detach_worker(WorkerIndex(0));
        assert!(usable(0));
    }
    assert_eq!(counts(), (2, 0));
    factory.detach_worker(WorkerIndex(1));
    assert_eq!((counts(), usable(0), usable(1)), ((2, 1), true, false));
    factory.detach_worker(WorkerIndex(0));
    assert_eq!((counts(), usable(0)), ((2, 2), false));
    factory.attach_worker(WorkerIndex(0)).unwrap();
    assert_eq!((counts(), usable(0)), ((3, 2), true));
    factory.detach_worker(WorkerIndex(0));

    // What was refused does not count, and may be asked for again.
    let refused = builder.build(&spec(&module, "no-attach"), &env).unwrap();
    for _ in 0..2 {
        assert!(refused.attach_worker(WorkerIndex(0)).is_err());
        assert!(refused.create_filter(WorkerIndex(0)).is_err());
    }
    refused.detach_worker(WorkerIndex(0));
    assert!(refused.create_filter(WorkerIndex(0)).is_err());
    assert_eq!(counts(), (3, 3));
}

#[test]
fn a_factory_with_a_bad_filter_table_is_destroyed() {
    let module = compile("tables", &[]);
    let (builder, env) = (generic_filter(), env(1));
    for filter in ["filter-0", "filter-null", "no-hook", "phases"] {
        assert!(builder.build(&spec(&module, filter), &env).is_err());
    }
    assert_eq!(counted(&env, "destroyed"), 4);
    drop(builder.build(&spec(&module, ""), &env).unwrap());
    builder.settle();
    assert_eq!(counted(&env, "destroyed"), 5);
}

/// Runs a stream through a filter that returns the status it is asked for.
fn run(factory: &Arc<dyn StreamFilterFactory>, status: &str) -> (Status, Option<u16>) {
    let mut state = stream(&[("x-status", status)]);
    let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
    let routes = Routes::default();
    let status = filter.on_request_headers(&mut cx(&mut state, &routes), ReceiverPhase::BeforeRoute, EndOfStream::End);
    (status, state.reply.take().map(|reply| reply.status))
}

fn with_quarantine(
    builder: &GenericFilter,
    module: &Path,
    env: &BuildEnv,
    rule: Quarantine,
) -> Arc<dyn StreamFilterFactory> {
    let mut spec = spec(module, "status");
    spec.module.as_mut().unwrap().quarantine = Some(rule);
    let factory = builder.build(&spec, env).unwrap();
    factory.attach_worker(WorkerIndex(0)).unwrap();
    factory
}

fn phase(factory: &Arc<dyn StreamFilterFactory>) -> QuarantinePhase {
    factory.module().unwrap().quarantine[0].phase
}

#[test]
fn too_many_faults_take_a_filter_out_of_service() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(1));
    for then in [QuarantineAction::Closed, QuarantineAction::Bypass] {
        let rule = Quarantine { faults: 2, within: Duration::from_secs(60), then, lasts: None };
        let factory = with_quarantine(&builder, &module, &env, rule);
        let run = |status: &str| run(&factory, status);
        assert!(matches!(run("6"), (Status::Fault(_), None)));
        assert!(matches!(run("0"), (Status::Continue, None)));
        assert!(matches!(run("6"), (Status::Fault(_), None)));
        match then {
            QuarantineAction::Closed => assert!(matches!(run("0"), (Status::Stop, Some(500)))),
            QuarantineAction::Bypass => assert!(matches!(run("6"), (Status::Continue, None))),
        }
        assert_eq!(phase(&factory), QuarantinePhase::Out);
        // A reload that keeps the factory begins with a clean slate.
        factory.reloaded();
        assert_eq!(phase(&factory), QuarantinePhase::Serving);
        assert!(matches!(run("6"), (Status::Fault(_), None)));
        factory.detach_worker(WorkerIndex(0));
    }
    let faults = env.metrics.read().into_iter().find(|s| &*s.name == "sidegate_module_faults_total").unwrap();
    assert_eq!(faults.value, sidegate_api::SeriesValue::Counter(6));
}

/// `for` is short, and `within` long: no step depends on how fast this runs.
#[test]
fn a_filter_comes_back_by_a_stream_that_tries_it() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(1));
    let (within, lasts) = (Duration::from_secs(600), Some(Duration::from_millis(1)));
    let rule = Quarantine { faults: 2, within, then: QuarantineAction::Closed, lasts };
    let factory = with_quarantine(&builder, &module, &env, rule);
    let out = || loop {
        // Until the time is over, streams are refused.
        match run(&factory, "6") {
            (Status::Fault(_), None) => return,
            (Status::Stop, Some(500)) => std::thread::sleep(Duration::from_millis(1)),
            other => panic!("{other:?}"),
        }
    };
    out();
    out();
    // A trial that fails: again the time has to pass.
    out();
    assert_eq!(phase(&factory), QuarantinePhase::Out);
    let mut trying = loop {
        let filter = factory.create_filter(WorkerIndex(0)).unwrap();
        if phase(&factory) == QuarantinePhase::Trying {
            break filter;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(matches!(run(&factory, "0"), (Status::Stop, Some(500))), "one stream tries");
    let (mut state, routes) = (stream(&[("x-status", "0")]), Routes::default());
    let status = trying.on_request_headers(&mut cx(&mut state, &routes), ReceiverPhase::BeforeRoute, EndOfStream::End);
    assert!(matches!(status, Status::Continue));
    drop(trying);
    assert_eq!(phase(&factory), QuarantinePhase::OnTrial);
    assert!(matches!(run(&factory, "0"), (Status::Continue, None)));
    // On trial the first fault is one too many.
    out();
    assert_eq!(phase(&factory), QuarantinePhase::Out);
    // What the proxy finds wrong with a stream that tries is a fault as well.
    let mut trying = loop {
        let filter = factory.create_filter(WorkerIndex(0)).unwrap();
        if phase(&factory) == QuarantinePhase::Trying {
            break filter;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    trying.on_fault(&FilterFault::new("it waited for too long"));
    drop(trying);
    assert_eq!(phase(&factory), QuarantinePhase::Out);
    let times = env.metrics.read().into_iter().find(|s| &*s.name == "sidegate_module_quarantines_total").unwrap();
    assert_eq!(times.value, sidegate_api::SeriesValue::Counter(4));
    factory.detach_worker(WorkerIndex(0));
}

#[test]
fn hooks_are_timed_and_slow_ones_are_counted() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(1));
    let mut spec = spec(&module, "status");
    // Nothing is faster than that.
    spec.module.as_mut().unwrap().slow_hook = Duration::from_nanos(1);
    let factory = builder.build(&spec, &env).unwrap();
    factory.attach_worker(WorkerIndex(0)).unwrap();
    for _ in 0..500 {
        run(&factory, "0");
    }
    let status = factory.module().unwrap();
    let hook = |name: &str| status.hooks.iter().find(|hook| hook.hook == name);
    for name in ["create_filter", "on_request_headers", "destroy"] {
        let hook = hook(name).unwrap();
        assert_eq!((hook.filter.as_str(), hook.slow), ("status", 500), "{name}");
        // All streams but for those since the last that was sampled.
        assert!((500 - 127..=500).contains(&hook.calls), "{hook:?}");
        assert!(!hook.total.is_zero() && !hook.longest.is_zero(), "{hook:?}");
    }
    assert!(hook("on_response_body").is_none(), "it is not called");
    factory.detach_worker(WorkerIndex(0));
}

/// What waits for the end of a tunnel may do so for a while after a newer
/// generation was taken into use, where that is bounded.
#[test]
fn a_filter_that_waits_is_bounded_once_there_is_a_newer_generation() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (Arc::new(generic_filter()), env(1));
    let mut spec = spec(&module, "status");
    let unbounded = builder.build(&spec, &env).unwrap();
    let timeout = Duration::from_millis(200);
    spec.module.as_mut().unwrap().generation_timeout = Some(timeout);
    let bounded = builder.build(&spec, &env).unwrap();
    for factory in [&unbounded, &bounded] {
        factory.attach_worker(WorkerIndex(0)).unwrap();
    }
    assert_eq!((unbounded.tenure(), bounded.tenure()), (Tenure::ToTheEnd, Tenure::For(timeout / 8)));
    let wish = Wish { module: spec.module.as_ref().unwrap().name.clone(), what: What::Fresh };
    let fresh = builder.wishing(wish).build(&spec, &env).unwrap();
    assert_eq!(fresh.module().unwrap().generation, 2);
    assert_eq!(bounded.tenure(), Tenure::For(timeout / 8), "nobody uses the new one yet");
    fresh.attach_worker(WorkerIndex(0)).unwrap();
    let start = Instant::now();
    while let Tenure::For(left) = bounded.tenure() {
        assert!(left <= timeout / 8);
        std::thread::sleep(left);
    }
    assert!(start.elapsed() >= timeout && bounded.tenure() == Tenure::Over);
    assert_eq!((unbounded.tenure(), fresh.tenure()), (Tenure::ToTheEnd, Tenure::For(timeout / 8)));
    for factory in [&unbounded, &bounded, &fresh] {
        factory.detach_worker(WorkerIndex(0));
    }
}
