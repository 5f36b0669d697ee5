//! The modules that end-to-end tests run in the proxy, here without one.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};

use sidegate_api::{
    BodyDirection, BodyInterest, EndOfStream, FaultKind, ReceiverPhase, Status, StreamFilterBuilder, StreamState,
    WorkerIndex,
};

use crate::support::{Routes, build, compile, counted, cx, env, generic_filter, only, spec, stream};

#[test]
fn fault_does_what_a_header_asks() {
    let factory = build(&compile("fault", &[]), "").unwrap();
    let run = |what: &str, phase| {
        let mut state = stream(&[("x-do", what)]);
        let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
        let status = filter.on_request_headers(&mut cx(&mut state, &Routes::default()), phase, EndOfStream::End);
        (status, state)
    };
    let before = |what: &str| run(what, ReceiverPhase::BeforeRoute);
    assert!(matches!(before("nothing").0, Status::Continue));
    assert!(matches!(before("fault").0, Status::Fault(f) if f.message.ends_with("asked for a fault")));
    assert!(matches!(before("badstatus").0, Status::Fault(_)));
    assert!(matches!(before("terminate").0, Status::Terminate));
    assert!(matches!(before("stop").0, Status::Stop));
    assert!(matches!(before("pending").0, Status::Pending));
    let (status, mut state) = before("reply");
    assert!(matches!(status, Status::Stop));
    let reply = state.reply.take().unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (418, &b"short and stout"[..]));
    let (status, _) = before("badreply");
    assert!(matches!(&status, Status::Fault(f) if f.kind == FaultKind::Closed), "{status:?}");
    let (status, mut state) = before("secondbest");
    assert!(matches!(status, Status::Stop), "{status:?}");
    assert_eq!(state.reply.take().unwrap().headers.get(b"x-refused"), Some(&b"9"[..]));
    assert!(matches!(run("rematch", ReceiverPhase::AfterRoute).0, Status::RematchRoute));
    assert!(matches!(run("rechoose", ReceiverPhase::AfterChooseHost).0, Status::RechooseHost));
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits as the proxy does.
fn wait_resumed(state: &StreamState) {
    let slot = state.resume.clone().unwrap();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while !slot.poll_resumed(&Context::from_waker(&waker)) {
        thread::park();
    }
}

#[test]
fn resume_comes_from_the_modules_own_thread() {
    let (builder, env) = (generic_filter(), env(1));
    let factory = builder.build(&spec(&compile("resume", &["-lpthread"]), ""), &env).unwrap();
    let routes = Routes::default();
    for (mode, waits) in [("later", 1), ("early", 1), ("twice", 1), ("again", 2), ("reply", 1), ("stale", 0)] {
        let mut state = stream(&[("x-wait", mode)]);
        let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
        let phase = ReceiverPhase::BeforeRoute;
        let mut status = filter.on_request_headers(&mut cx(&mut state, &routes), phase, EndOfStream::End);
        for _ in 0..waits {
            assert!(matches!(status, Status::Pending), "{mode}: {status:?}");
            wait_resumed(&state);
            status = filter.on_resume(&mut cx(&mut state, &routes));
        }
        match mode {
            "reply" => assert!(matches!(status, Status::Stop) && state.reply.take().unwrap().status == 202),
            "stale" => assert!(matches!(status, Status::Pending)),
            _ => assert_eq!(state.request.headers.get(b"x-resumed"), Some(waits.to_string().as_bytes()), "{mode}"),
        }
        state.reset();
        drop(filter);
    }
    drop(factory);
    // The factory's end joins the thread, which has then resumed everything.
    builder.settle();
    let (ok, already, gone) =
        (counted(&env, "resume_ok"), counted(&env, "resume_already"), counted(&env, "resume_gone"));
    // The second resume of `twice` may find the wait over already.
    assert_eq!((ok, already + gone), (6, 2));
}

/// Runs one chunk of the request body through a filter of `body.c`.
fn chunk(name: &str, interest: BodyInterest, end: EndOfStream) -> (Status, StreamState) {
    let factory = build(&compile("body", &[]), name).unwrap();
    assert_eq!(factory.interests().request_body, interest);
    let mut filter = factory.create_filter(WorkerIndex(0)).unwrap();
    let (mut state, routes) = (stream(&[]), Routes::default());
    state.request_body.append(b"Hello, you");
    let status = filter.on_request_body(&mut cx(&mut state, &routes).with_body(BodyDirection::Request, interest), end);
    (status, state)
}

#[test]
fn bodies_are_changed_whole_and_in_chunks() {
    let (status, state) = chunk("whole", BodyInterest::Whole, EndOfStream::End);
    assert!(matches!(status, Status::Continue), "{status:?}");
    assert_eq!(state.request_body.as_slice(), b"HELLO, YOU!");
    let (_, state) = chunk("stream", BodyInterest::Stream, EndOfStream::More);
    assert_eq!(state.request_body.as_slice(), b"HELLO, YOU");
    let (status, state) = chunk("observe", BodyInterest::Observe, EndOfStream::End);
    assert!(matches!(status, Status::Continue), "{status:?}");
    assert_eq!(state.request_body.as_slice(), b"Hello, you");
    let (status, state) = chunk("fault-late", BodyInterest::Whole, EndOfStream::End);
    assert!(matches!(status, Status::Fault(_)));
    assert_eq!(state.request_body.as_slice(), b"changed");
    let (status, mut state) = chunk("reply", BodyInterest::Whole, EndOfStream::End);
    assert!(matches!(status, Status::Stop));
    assert_eq!(state.reply.take().unwrap().body, b"10");
    assert_eq!(only(build(&compile("body", &[]), "other")).kind, "filter_not_found");
}
