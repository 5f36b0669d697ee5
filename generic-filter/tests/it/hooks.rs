//! Hooks that break the rules.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sidegate_api::{
    BodyDirection, BodyInterest, EndOfStream, FaultKind, ReceiverPhase, Status, StreamFilter, StreamFilterBuilder,
    StreamFilterFactory, StreamState, WorkerIndex,
};

use crate::support::{Routes, build, compile, cx, env, generic_filter, spec, stream};

fn module() -> &'static PathBuf {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| compile("hostile", &["-lpthread"]))
}

/// A filter with its factory, ended in the order that the proxy keeps.
struct Made {
    filter: Option<Box<dyn StreamFilter>>,
    factory: Arc<dyn StreamFilterFactory>,
}

impl Made {
    fn by(factory: Arc<dyn StreamFilterFactory>) -> Self {
        factory.attach_worker(WorkerIndex(0)).unwrap();
        let filter = Some(factory.create_filter(WorkerIndex(0)).unwrap());
        Made { filter, factory }
    }

    fn get(&mut self) -> &mut dyn StreamFilter {
        &mut **self.filter.as_mut().unwrap()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.filter = None;
        self.factory.detach_worker(WorkerIndex(0));
    }
}

/// A filter of the module, loaded for it alone.
fn filter(name: &str) -> Made {
    Made::by(build(module(), name).unwrap())
}

fn run_on(filter: &mut dyn StreamFilter, stream: &mut StreamState) -> Status {
    filter.on_request_headers(&mut cx(stream, &Routes::default()), ReceiverPhase::BeforeRoute, EndOfStream::End)
}

#[track_caller]
fn goes_on(name: &str) -> StreamState {
    let mut stream = stream(&[]);
    let status = run_on(filter(name).get(), &mut stream);
    assert!(matches!(status, Status::Continue), "{name}: {status:?}");
    stream
}

#[test]
fn statuses_known_and_unknown() {
    let run = |text: &str| run_on(filter("status").get(), &mut stream(&[("x-status", text)]));
    assert!(matches!(run("0"), Status::Continue));
    assert!(matches!(run("1"), Status::Stop));
    assert!(matches!(run("2"), Status::Pending));
    assert!(matches!(run("3"), Status::Terminate));
    assert!(matches!(run("4"), Status::RematchRoute));
    assert!(matches!(run("5"), Status::RechooseHost));
    for (number, words) in
        [("6", "it gave no reason"), ("7", "0x7, which"), ("0xffffffff", "0xffffffff"), ("256", "0x100")]
    {
        let Status::Fault(fault) = run(number) else { panic!("{number} is no fault") };
        assert!(fault.message.contains(words) && fault.message.contains("libhostile"), "{fault}");
    }
}

#[test]
fn after_a_fault_only_destroy_follows() {
    let mut filter = filter("status");
    let mut stream = stream(&[("x-status", "6")]);
    assert!(matches!(run_on(filter.get(), &mut stream), Status::Fault(_)));
    assert!(matches!(run_on(filter.get(), &mut stream), Status::Continue), "the module would fault again");
}

#[test]
fn bad_replies_are_refused() {
    let status = run_on(filter("replies").get(), &mut stream(&[]));
    let Status::Fault(fault) = status else { panic!("{status:?}") };
    assert_eq!(fault.kind, FaultKind::Closed, "the last of them decides, whatever the policy");
    let why = "its call `reply` was refused: body: NULL, or longer than memory; then the hook answered Continue";
    assert!(fault.message.contains("libhostile") && fault.message.ends_with(why), "{fault}");
}

#[test]
fn null_pointers_and_impossible_lengths_are_refused() {
    let stream = goes_on("nulls");
    let names: Vec<_> = stream.request.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"user-agent"[..], b"accept", b"x-worker"], "nothing was changed");
    assert_eq!(stream.request.path(), "/path");
}

#[test]
fn foreign_bytes_are_refused_or_escaped() {
    let status = run_on(filter("encodings").get(), &mut stream(&[]));
    let Status::Fault(fault) = status else { panic!("{status:?}") };
    let (said, refused) = fault.message.split_once(" (the last call that was refused: ").unwrap();
    assert!(said.ends_with("\\xff\\xfe\\x80 \\x1b[31m\\x0a"), "{fault}");
    assert!(refused.starts_with("`named_set` of `") && refused.ends_with("header name is not a token)"), "{fault}");
}

#[test]
fn visitors_cannot_edit() {
    let stream = goes_on("visitor");
    assert_eq!(stream.request.headers.get(b"x-after"), Some(&b"ok"[..]));
    assert_eq!(stream.request.authority, "example.com");
}

#[test]
fn what_was_lent_can_be_passed_back() {
    let stream = goes_on("alias");
    assert_eq!(stream.request.headers.get_all(b"x-copy").filter(|v| *v == b"0123456789abcdef").count(), 300);
}

#[test]
fn limits_hold() {
    // For all tests: what one thread writes must not hang on the others.
    tracing_subscriber::fmt().with_writer(std::io::sink).init();
    goes_on("limits");
}

#[test]
fn stale_streams_and_resume_handles_answer_gone() {
    let mut first = stream(&[]);
    let (builder, env) = (generic_filter(), env(1));
    let build = |name| Made::by(builder.build(&spec(module(), name), &env).unwrap());
    // Keeps the module, which keeps the handle.
    let _loaded = build("status");
    let mut keeper = build("keep");
    assert!(matches!(run_on(keeper.get(), &mut first), Status::Pending));
    assert!(first.resume.is_some());
    drop(keeper);
    first.reset();
    let status = run_on(build("use-kept").get(), &mut stream(&[]));
    assert!(matches!(status, Status::Continue), "{status:?}");
}

#[test]
fn bodies_can_be_passed_back_and_are_bounded() {
    let mut filter = filter("body");
    assert_eq!(filter.factory.interests().request_body, BodyInterest::Whole);
    let mut stream = stream(&[]);
    stream.request_body.append(b"hello");
    let routes = Routes::default();
    let mut cx = cx(&mut stream, &routes).with_body(BodyDirection::Request, BodyInterest::Whole);
    let status = filter.get().on_request_body(&mut cx, EndOfStream::End);
    assert!(matches!(status, Status::Continue), "{status:?}");
    assert_eq!(stream.request_body.as_slice(), b"bye");
}

#[test]
fn filters_and_worker_states_that_are_not_made_are_faults() {
    let factory = build(module(), "no-filter").unwrap();
    let fault = factory.create_filter(WorkerIndex(0)).err().unwrap();
    assert!(fault.message.contains("has no state"), "{fault}");
    factory.attach_worker(WorkerIndex(0)).unwrap();
    let fault = factory.create_filter(WorkerIndex(0)).err().unwrap();
    assert!(fault.message.contains("create_filter answered 11"), "{fault}");
    factory.detach_worker(WorkerIndex(0));
    let factory = build(module(), "no-attach").unwrap();
    let fault = factory.attach_worker(WorkerIndex(0)).unwrap_err();
    assert!(fault.message.contains("worker_attach answered 11"), "{fault}");
    assert_eq!(factory.module().unwrap().faults, 1);
}
