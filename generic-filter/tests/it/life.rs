//! Making, sharing and destroying.

use std::time::Duration;

use sidegate_api::{
    Completion, EndOfStream, ModuleStatus, Quarantine, QuarantineAction, ReceiverPhase, Status, StreamFilterBuilder,
    WorkerIndex,
};

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
    let changed = builder.build(&spec(&module, "status"), &env).unwrap();
    let generations: Vec<u64> = builder.modules().iter().map(|m| m.generation).collect();
    assert_eq!(generations, [1, 2]);
    drop((first, third, filter));
    second.detach_worker(WorkerIndex(0));
    drop(second);
    let generations: Vec<u64> = builder.modules().iter().map(|m| m.generation).collect();
    assert_eq!(generations, [2], "what nothing uses is not shown");
    drop(changed);
    assert!(builder.modules().is_empty());
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

#[test]
fn too_many_faults_take_a_filter_out_of_service() {
    let module = compile("hostile", &["-lpthread"]);
    let (builder, env) = (generic_filter(), env(1));
    for then in [QuarantineAction::Closed, QuarantineAction::Bypass] {
        let mut spec = spec(&module, "status");
        let rule = Quarantine { faults: 2, within: Duration::from_secs(60), then, lasts: None };
        spec.module.as_mut().unwrap().quarantine = Some(rule);
        let factory = builder.build(&spec, &env).unwrap();
        factory.attach_worker(WorkerIndex(0)).unwrap();
        let run = |status: &str| {
            let mut state = stream(&[("x-status", status)]);
            let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
            let routes = Routes::default();
            let status =
                filter.on_request_headers(&mut cx(&mut state, &routes), ReceiverPhase::BeforeRoute, EndOfStream::End);
            (status, state.reply.take().map(|reply| reply.status))
        };
        assert!(matches!(run("6"), (Status::Fault(_), None)));
        assert!(matches!(run("0"), (Status::Continue, None)));
        assert!(matches!(run("6"), (Status::Fault(_), None)));
        match then {
            QuarantineAction::Closed => assert!(matches!(run("0"), (Status::Stop, Some(500)))),
            QuarantineAction::Bypass => assert!(matches!(run("6"), (Status::Continue, None))),
        }
        factory.detach_worker(WorkerIndex(0));
    }
    let faults = env.metrics.read().into_iter().find(|s| &*s.name == "sidegate_module_faults_total").unwrap();
    assert_eq!(faults.value, sidegate_api::SeriesValue::Counter(4));
}
